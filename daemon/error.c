/* error.c - see error.h. */
#include "daemon/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 4, 0))) static void fill(struct prilora_error *err,
                                                       enum prilora_status status,
                                                       const char *where, const char *format,
                                                       va_list args)
{
    if (!err)
        return;
    err->status = status;
    snprintf(err->where, sizeof err->where, "%s", where);
    vsnprintf(err->message, sizeof err->message, format, args);
}

enum prilora_status error_set(struct prilora_error *err, enum prilora_status status,
                              const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fill(err, status, "", format, args);
    va_end(args);
    return status;
}

enum prilora_status error_set_at(struct prilora_error *err, enum prilora_status status,
                                 const char *where, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fill(err, status, where, format, args);
    va_end(args);
    return status;
}

enum prilora_status error_errno(struct prilora_error *err, const char *path, const char *doing)
{
    static const struct {
        int code;
        enum prilora_status status;
    } kinds[] = {
        {ENOENT, PRILORA_ENOENT},
        {ENOMEM, PRILORA_ENOMEM},
        {ENOSPC, PRILORA_ENOSPC},
        {EDQUOT, PRILORA_ENOSPC},
    };
    int code = errno;
    enum prilora_status status = PRILORA_EIO;
    char buffer[128];

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].code == code)
            status = kinds[i].status;
    return error_set(err, status, "%s: cannot %s: %s", path, doing,
                     strerror_r(code, buffer, sizeof buffer));
}

bool error_is_machines(enum prilora_status status)
{
    return status == PRILORA_EIO || status == PRILORA_ENOMEM || error_may_pass(status);
}

bool error_may_pass(enum prilora_status status)
{
    return status == PRILORA_EIO || status == PRILORA_ENOSPC || status == PRILORA_EBUSY;
}

enum prilora_status error_memory(struct prilora_error *err)
{
    return error_set(err, PRILORA_ENOMEM, "out of memory");
}

char *text_format(const char *format, ...)
{
    va_list args;
    char *text = NULL;
    int n;

    va_start(args, format);
    n = vasprintf(&text, format, args);
    va_end(args);
    return n < 0 ? NULL : text;
}
