/* error.h - filling a struct prilora_error in daemon/ and api/; lib/ has its own. */
#ifndef DAEMON_ERROR_H
#define DAEMON_ERROR_H

#include "prilora.h"

/* Sets *err (if not NULL), `where` empty, and returns `status`. Over-long text is cut. */
enum prilora_status error_set(struct prilora_error *err, enum prilora_status status,
                              const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same with a place: a JSON member, "file:line". */
enum prilora_status error_set_at(struct prilora_error *err, enum prilora_status status,
                                 const char *where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* "PATH: cannot DOING: reason of errno"; ENOENT, ENOMEM or EIO. */
enum prilora_status error_errno(struct prilora_error *err, const char *path, const char *doing);
enum prilora_status error_memory(struct prilora_error *err);

/* printf into malloc'ed memory; NULL when out of memory. */
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
