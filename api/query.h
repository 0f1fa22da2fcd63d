/* query.h - the request target: percent-decoding and query parameters. Pure functions. */
#ifndef QUERY_H
#define QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include "api/fault.h"

#define QUERY_MAX_PARAMETERS 64

struct parameter {
    char *name, *value;
};

struct query {
    struct parameter list[QUERY_MAX_PARAMETERS];
    size_t n;
};

/*
 * percent_decode - `n` bytes of text with %XX decoded (and '+' as a space, if `form`), in
 * malloc'ed memory. NULL: errno is ENOMEM, or EILSEQ for a broken escape, an encoded NUL, or what
 * is not UTF-8.
 */
char *percent_decode(const char *text, size_t n, bool form);

/* What stands behind the '?'. A parameter twice, too many, or a broken escape is a fault; so is
 * memory that is refused, with status 503. */
bool query_parse(struct query *out, const char *text, struct fault *fault);
void query_clear(struct query *query);
const char *query_get(const struct query *query, const char *name); /* NULL: absent */

#endif
