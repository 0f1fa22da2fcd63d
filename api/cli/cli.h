/*
 * cli.h - what all files of the client share: the call in hand, how it ends, words to its user.
 *
 * Functions that return an int return one of the statuses below, and have told the user why if it
 * is not EXIT_DONE: a caller only passes it on. Memory that runs out ends the program at once.
 */
#ifndef CLI_H
#define CLI_H

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/cli/settings.h"

enum exit_status {
    EXIT_DONE = 0,
    EXIT_FAILED = 1, /* the server refused, a file could not be written, the watched job failed */
    EXIT_USAGE = 2,
    EXIT_UNREACHABLE = 3,
    EXIT_NOT_FOUND = 4,
    EXIT_NOT_ALLOWED = 5,
    EXIT_TIMED_OUT = 6,
    EXIT_INTERRUPTED = 130,
};

struct command;
struct http;
struct option_spec;

struct given {
    const struct option_spec *option;
    const char *value; /* NULL: it takes none */
};

struct call {
    const struct command *command;
    const char **args; /* what is not an option */
    size_t n_args;
    struct given *given; /* in the order written */
    size_t n_given;
    struct settings settings;
    bool json;
    struct http *http;
};

/* An option's value, the last if it was given twice; NULL: not given. */
const char *call_option(const struct call *call, const char *name);
bool call_has(const struct call *call, const char *name);
/* The value as an integer from `min` to `max`; `standard` if it was not given. */
int call_integer(const struct call *call, const char *name, int64_t min, int64_t max,
                 int64_t standard, int64_t *out);
/* The value as a time in seconds, above 0; 0 if it was not given. */
int call_duration(const struct call *call, const char *name, int64_t *seconds);

/* "prilora: ..." on stderr; returns `status`. */
int fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same without a status: a remark for whoever reads along. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Never NULL. */
void *must(void *memory);
char *format(const char *format, ...) __attribute__((format(printf, 1, 2), malloc));
char *format_list(const char *format, va_list arguments)
    __attribute__((format(printf, 1, 0), malloc));

#endif
