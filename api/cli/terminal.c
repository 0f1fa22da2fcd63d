/* terminal.c - see terminal.h. */
#include "api/cli/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool terminal_is(FILE *stream)
{
    const char *kind = getenv("TERM");

    return isatty(fileno(stream)) && !(kind && strcmp(kind, "dumb") == 0);
}

size_t terminal_width(FILE *stream)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    long width = columns ? strtol(columns, NULL, 10) : 0;

    if (!isatty(fileno(stream)))
        return 0;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return width > 0 && width < 10000 ? (size_t)width : 80;
}

const char *terminal_colour(FILE *stream, enum colour colour)
{
    static const char *const codes[] = {
        [COLOUR_NONE] = "\033[0m",  [COLOUR_GOOD] = "\033[32m",  [COLOUR_BAD] = "\033[31m",
        [COLOUR_BUSY] = "\033[36m", [COLOUR_FAINT] = "\033[90m", [COLOUR_STRONG] = "\033[1m",
    };
    const char *refused = getenv("NO_COLOR");

    return terminal_is(stream) && !(refused && *refused) ? codes[colour] : "";
}

enum colour terminal_status_colour(const char *status)
{
    static const struct {
        const char *status;
        enum colour colour;
    } rows[] = {
        {"succeeded", COLOUR_GOOD}, {"failed", COLOUR_BAD},    {"cancelled", COLOUR_BAD},
        {"error", COLOUR_BAD},      {"running", COLOUR_BUSY},  {"validating_files", COLOUR_BUSY},
        {"paused", COLOUR_FAINT},   {"revoked", COLOUR_FAINT}, {"expired", COLOUR_FAINT},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].status, status) == 0)
            return rows[i].colour;
    }
    return COLOUR_NONE;
}
