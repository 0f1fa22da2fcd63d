/* error.h - filling the caller's struct prilora_error. */
#ifndef PL_ERROR_H
#define PL_ERROR_H

#include "prilora.h"

/*
 * pl_fail - set *err (if not NULL) and return `status`, so that a caller can `return pl_fail(...)`.
 * pl_fail_at also says where: a JSON pointer or "file:line". Over-long text is cut, never refused;
 * bytes that are not UTF-8 and control characters become '?'.
 */
enum prilora_status pl_fail(struct prilora_error *err, enum prilora_status status,
                            const char *format, ...) __attribute__((format(printf, 3, 4)));
enum prilora_status pl_fail_at(struct prilora_error *err, enum prilora_status status,
                               const char *where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* "PATH: cannot WHAT: reason of errno"; ENOENT, ENOMEM, ENOSPC or EIO. */
enum prilora_status pl_fail_errno(struct prilora_error *err, const char *path, const char *what);

#endif
