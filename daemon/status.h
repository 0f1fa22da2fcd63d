/* status.h - what the daemon does, in one line for systemctl status. */
#ifndef STATUS_H
#define STATUS_H

#include <stddef.h>

#include "daemon/store.h"

/* Sends this, whatever status_update sent before. Any thread. */
void status_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What status_update adds until it is called again with ""; the text must last. On its thread. */
void status_note(const char *note);

/* Sends STATUS= if it is another than before; reads the database. For one thread only. */
void status_update(struct store *store);

/* "1 job: ftjob-a step 291 of 720, 0:10 left; 3 queued", "idle". */
void status_describe(struct store *store, char *out, size_t room);

#endif
