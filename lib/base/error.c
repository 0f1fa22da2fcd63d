/* error.c - one status and one sentence per failure; nothing here prints. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

static void fill(struct prilora_error *err, enum prilora_status status, const char *where,
                 const char *format, va_list args)
{
    if (!err)
        return;
    err->status = status;
    snprintf(err->where, sizeof err->where, "%s", where);
    vsnprintf(err->message, sizeof err->message, format, args);
}

enum prilora_status pl_fail(struct prilora_error *err, enum prilora_status status,
                            const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fill(err, status, "", format, args);
    va_end(args);
    return status;
}

enum prilora_status pl_fail_at(struct prilora_error *err, enum prilora_status status,
                               const char *where, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fill(err, status, where, format, args);
    va_end(args);
    return status;
}

const char *prilora_status_name(enum prilora_status status)
{
    static const char *const names[] = {
        [PRILORA_OK] = "ok",
        [PRILORA_EINVAL] = "invalid",
        [PRILORA_EFORMAT] = "bad_format",
        [PRILORA_EDATA] = "bad_data",
        [PRILORA_EIO] = "io_error",
        [PRILORA_ENOENT] = "not_found",
        [PRILORA_ENOMEM] = "out_of_memory",
        [PRILORA_ELIMIT] = "limit_reached",
        [PRILORA_EUNSUPPORTED] = "unsupported",
        [PRILORA_EMISMATCH] = "mismatch",
        [PRILORA_ENUMERIC] = "not_finite",
        [PRILORA_ESTOPPED] = "stopped",
    };

    if ((size_t)status >= sizeof names / sizeof *names)
        return "unknown";
    return names[status];
}

const char *prilora_version(void)
{
    return PRILORA_VERSION;
}
