/* closing.c - see closing.h. A CR stands only first in CR LF "--" boundary "--", so that a byte
 * that does not fit can begin another match, but not continue one. */
#include "api/closing.h"

#include <string.h>

#define BEFORE "\r\n--"
#define AFTER  "--"

void closing_begin(struct closing *closing, const char *content_type)
{
    static const char name[] = "boundary=";
    const char *at = content_type ? strstr(content_type, name) : NULL;
    size_t n;

    *closing = (struct closing){.boundary = at ? at + strlen(name) : ""};
    n = strlen(closing->boundary);
    if (n >= 2 && closing->boundary[0] == '"' && closing->boundary[n - 1] == '"') {
        closing->boundary++;
        n -= 2;
    }
    closing->n_boundary = n;
}

static char wanted(const struct closing *c)
{
    size_t i = c->n_matched;

    if (i < strlen(BEFORE))
        return BEFORE[i];
    i -= strlen(BEFORE);
    return i < c->n_boundary ? c->boundary[i] : AFTER[i - c->n_boundary];
}

size_t closing_take(struct closing *closing, const char *data, size_t size)
{
    size_t whole = strlen(BEFORE) + closing->n_boundary + strlen(AFTER), n = 0;

    while (n < size && !closing->found) {
        char c = data[n++];

        if (c == wanted(closing))
            closing->n_matched++;
        else
            closing->n_matched = c == BEFORE[0];
        closing->found = closing->n_matched == whole;
    }
    return n;
}
