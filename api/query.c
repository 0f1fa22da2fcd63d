/* query.c - see query.h. */
#include "api/query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/utf8.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *percent_decode(const char *text, size_t n, bool form)
{
    char *out = malloc(n + 1);
    size_t used = 0;

    if (!out) {
        errno = ENOMEM;
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        int value = (unsigned char)text[i];

        if (text[i] == '%') {
            int high = n - i > 2 ? hex_digit(text[i + 1]) : -1;
            int low = n - i > 2 ? hex_digit(text[i + 2]) : -1;

            value = high < 0 || low < 0 ? 0 : high * 16 + low;
            i += 2;
        } else if (form && text[i] == '+') {
            value = ' ';
        }
        if (value == 0)
            goto broken;
        out[used++] = (char)value;
    }
    out[used] = '\0';
    if (utf8_valid(out, used))
        return out;
broken:
    free(out);
    errno = EILSEQ;
    return NULL;
}

void query_clear(struct query *query)
{
    for (size_t i = 0; i < query->n; i++) {
        free(query->list[i].name);
        free(query->list[i].value);
    }
    query->n = 0;
}

const char *query_get(const struct query *query, const char *name)
{
    for (size_t i = 0; i < query->n; i++) {
        if (strcmp(query->list[i].name, name) == 0)
            return query->list[i].value;
    }
    return NULL;
}

/* Whether it can be taken: both parts are decoded, and the name is a new one. */
static bool check(const struct query *query, const struct parameter *p, const char *text,
                  size_t n_name, struct fault *fault)
{
    bool decoded = p->name && p->value;

    if (!decoded && errno == ENOMEM)
        return fault_set(fault, 503, "out_of_memory", NULL, "out of memory");
    if (decoded && !query_get(query, p->name))
        return true;
    return fault_set(fault, 400, "invalid_query", p->name,
                     decoded ? "query parameter %.*s is given twice"
                             : "query parameter %.*s is not percent-encoded UTF-8",
                     (int)(n_name < 100 ? n_name : 100), text);
}

/* One "name=value"; "name" alone has an empty value. */
static bool add(struct query *out, const char *text, size_t n, struct fault *fault)
{
    const char *equals = memchr(text, '=', n);
    size_t n_name = equals ? (size_t)(equals - text) : n;
    struct parameter p = {0};

    if (out->n == QUERY_MAX_PARAMETERS)
        return fault_set(fault, 400, "too_many_parameters", NULL, "more than %d query parameters",
                         QUERY_MAX_PARAMETERS);
    p.name = percent_decode(text, n_name, true);
    if (p.name)
        p.value = percent_decode(equals ? equals + 1 : "", equals ? n - n_name - 1 : 0, true);
    if (check(out, &p, text, n_name, fault)) {
        out->list[out->n++] = p;
        return true;
    }
    free(p.name);
    free(p.value);
    return false;
}

bool query_parse(struct query *out, const char *text, struct fault *fault)
{
    out->n = 0;
    while (*text) {
        size_t n = strcspn(text, "&");

        if (n > 0 && !add(out, text, n, fault)) {
            query_clear(out);
            return false;
        }
        text += n + (text[n] == '&');
    }
    return true;
}
