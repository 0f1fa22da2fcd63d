/* fault.c - see fault.h; respond.c makes an answer of it. */
#include "api/fault.h"

#include <stdarg.h>
#include <stdio.h>

#include "api/utf8.h"

bool fault_set(struct fault *f, unsigned status, const char *code, const char *param,
               const char *format, ...)
{
    va_list arguments;

    *f = (struct fault){.status = status, .code = code};
    snprintf(f->param, sizeof f->param, "%s", param ? param : "");
    va_start(arguments, format);
    vsnprintf(f->message, sizeof f->message, format, arguments);
    va_end(arguments);
    utf8_repair(f->param);
    utf8_repair(f->message);
    return false;
}

void fault_dotted(char *out, size_t room, const char *pointer)
{
    size_t n = 0;

    for (const char *p = *pointer == '/' ? pointer + 1 : pointer; *p && n + 1 < room; p++) {
        if (p[0] == '~' && (p[1] == '0' || p[1] == '1'))
            out[n++] = *++p == '0' ? '~' : '/';
        else
            out[n++] = *p == '/' ? '.' : *p;
    }
    out[n] = '\0';
}

bool fault_from_spec(struct fault *f, const struct prilora_error *err)
{
    fault_set(f, 400, err->status == PRILORA_EUNSUPPORTED ? "unsupported_value" : "invalid_value",
              NULL, "%s", err->message);
    fault_dotted(f->param, sizeof f->param, err->where);
    if (err->where[0] == '/')
        snprintf(f->pointer, sizeof f->pointer, "%s", err->where);
    utf8_repair(f->param);
    utf8_repair(f->pointer);
    return false;
}
