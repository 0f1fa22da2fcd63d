/* terminal.h - what stdout is: how wide, and whether it has colours. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum colour { COLOUR_NONE, COLOUR_GOOD, COLOUR_BAD, COLOUR_BUSY, COLOUR_FAINT, COLOUR_STRONG };

bool terminal_is(FILE *stream);      /* one that understands "go back to the line's start" */
size_t terminal_width(FILE *stream); /* 0: no terminal, as wide as may be */
/* What turns a colour on (COLOUR_NONE: all off); "" without a terminal or with NO_COLOR set. */
const char *terminal_colour(FILE *stream, enum colour colour);

/* The colour of a job's or pull's status. */
enum colour terminal_status_colour(const char *status);

#endif
