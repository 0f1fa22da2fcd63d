/*
 * notify.h - the service manager's wire: $NOTIFY_SOCKET, as sd_notify(3) tells it. Everything here
 * does nothing when there is none.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "prilora.h"

/*
 * notify_open - takes $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID out of the environment.
 * Before threads are made. EINVAL: one of them says nothing that can be meant.
 */
enum prilora_status notify_open(struct prilora_error *err);
bool notify_is_open(void);
uint64_t notify_watchdog_usec(void); /* what WATCHDOG=1 is waited for at most; 0: it is not */

/* Lines as "READY=1\nSTATUS=all is well"; one datagram, whose loss harms nobody. Any thread. */
void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));
void notify_reloading(void); /* RELOADING=1 with its time; READY=1 ends it */

#endif
