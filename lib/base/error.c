/* error.c - one status and one sentence per failure; nothing here prints. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Bytes of the UTF-8 sequence at `text`, 0 if it is none; one of a control character is none. */
static size_t sequence(const unsigned char *text)
{
    static const struct {
        unsigned char first_min, first_max, second_min, second_max, length;
    } forms[] = {
        {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3},
        {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4},
        {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };

    if (text[0] < 0x80)
        return text[0] >= 0x20 && text[0] != 0x7F;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (text[0] < forms[i].first_min || text[0] > forms[i].first_max)
            continue;
        if (text[1] < forms[i].second_min || text[1] > forms[i].second_max)
            return 0;
        for (size_t k = 2; k < forms[i].length; k++)
            if ((text[k] & 0xC0) != 0x80)
                return 0;
        return forms[i].length;
    }
    return 0;
}

/* Messages quote strangers' bytes: what is not UTF-8 (be it only cut off) or would break a line of
 * a log becomes '?'. */
static void make_presentable(char *text)
{
    while (*text) {
        size_t length = sequence((const unsigned char *)text);

        if (length == 0)
            *text = '?';
        text += length ? length : 1;
    }
}

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
    make_presentable(err->where);
    make_presentable(err->message);
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

enum prilora_status pl_fail_errno(struct prilora_error *err, const char *path, const char *what)
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
    const char *reason = strerrordesc_np(code);

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].code == code)
            status = kinds[i].status;
    return pl_fail(err, status, "%s: cannot %s: %s", path, what,
                   code && reason ? reason : "unknown reason");
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
        [PRILORA_ENOSPC] = "no_space",
        [PRILORA_EBUSY] = "busy",
    };

    if ((size_t)status >= sizeof names / sizeof *names)
        return "unknown";
    return names[status];
}

const char *prilora_version(void)
{
    return PRILORA_VERSION;
}
