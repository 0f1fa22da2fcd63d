/* error.h - filling a struct prilora_error in daemon/ and api/; lib/ has its own. */
#ifndef DAEMON_ERROR_H
#define DAEMON_ERROR_H

#include <stdbool.h>

#include "prilora.h"

/* Sets *err (if not NULL), `where` empty, and returns `status`. Over-long text is cut. */
enum prilora_status error_set(struct prilora_error *err, enum prilora_status status,
                              const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same with a place: a JSON member, "file:line". */
enum prilora_status error_set_at(struct prilora_error *err, enum prilora_status status,
                                 const char *where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* "PATH: cannot DOING: reason of errno"; ENOENT, ENOMEM, ENOSPC or EIO. */
enum prilora_status error_errno(struct prilora_error *err, const char *path, const char *doing);
enum prilora_status error_memory(struct prilora_error *err);

/* Not about what was asked for, but about the machine: memory, disk, database. */
bool error_is_machines(enum prilora_status status);
/* Of these, what may be otherwise when it is tried again: all but memory. */
bool error_may_pass(enum prilora_status status);

/* printf into malloc'ed memory; NULL when out of memory. */
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
