/*
 * watchdog.h - a thread that tells systemd that all threads get on (WATCHDOG=1), and asks for more
 * time (EXTEND_TIMEOUT_USEC) while a start or a stop that takes long does. There is none without
 * $NOTIFY_SOCKET.
 */
#ifndef WATCHDOG_H
#define WATCHDOG_H

#include <stdbool.h>

#include "daemon/config.h"

struct watchdog;

/* `config` gives training.stall_timeout_s, as it holds at the time of each look. */
enum prilora_status watchdog_start(struct watchdog **out, const struct config *config,
                                   struct prilora_error *err);
/* Whether systemd waits for us to be ready or to have ended: at first it does. NULL is accepted. */
void watchdog_set_awaited(struct watchdog *watchdog, bool awaited);
void watchdog_stop(struct watchdog *watchdog); /* accepts NULL */

#endif
