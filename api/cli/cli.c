/* cli.c - see cli.h. */
#include "api/cli/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/cli/progress.h"
#include "api/cli/text.h"

void *must(void *memory)
{
    if (memory)
        return memory;
    fputs("prilora: out of memory\n", stderr);
    exit(EXIT_FAILED);
}

char *format_list(const char *format, va_list arguments)
{
    char *text = NULL;

    return must(vasprintf(&text, format, arguments) < 0 ? NULL : text);
}

char *format(const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = format_list(format, arguments);
    va_end(arguments);
    return text;
}

static void tell(const char *format, va_list arguments)
{
    char *text = format_list(format, arguments);

    progress_clear();
    fflush(stdout);
    fputs("prilora: ", stderr);
    text_put(stderr, text);
    fputc('\n', stderr);
    free(text);
}

int fail(int status, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    tell(format, arguments);
    va_end(arguments);
    return status;
}

void note(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    tell(format, arguments);
    va_end(arguments);
}

static const struct given *find_given(const struct call *call, const char *name)
{
    for (size_t i = call->n_given; i > 0; i--) {
        if (strcmp(call->given[i - 1].option->name, name) == 0)
            return &call->given[i - 1];
    }
    return NULL;
}

const char *call_option(const struct call *call, const char *name)
{
    const struct given *given = find_given(call, name);

    return given ? given->value : NULL;
}

bool call_has(const struct call *call, const char *name)
{
    return find_given(call, name) != NULL;
}

int call_integer(const struct call *call, const char *name, int64_t min, int64_t max,
                 int64_t standard, int64_t *out)
{
    const char *text = call_option(call, name);

    *out = standard;
    if (!text || text_integer(text, min, max, out))
        return EXIT_DONE;
    return fail(EXIT_USAGE, "--%s: \"%s\", but must be an integer from %lld to %lld", name, text,
                (long long)min, (long long)max);
}

int call_duration(const struct call *call, const char *name, int64_t *seconds)
{
    const char *text = call_option(call, name);

    *seconds = 0;
    if (!text || (text_duration(text, seconds) && *seconds > 0))
        return EXIT_DONE;
    return fail(EXIT_USAGE, "--%s: \"%s\", but must be a time as 90, 15m or 24h", name, text);
}
