/* value.c - see value.h. */
#include "api/cli/value.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/cli.h"

/* A number as people write it, ".5" and "1e-3" too; NULL: it is none. */
static json_t *parse_number(const char *text)
{
    char *end;
    long long whole;
    double value;

    if (!*text || text[strspn(text, "+-.0123456789eE")] != '\0')
        return NULL;
    errno = 0;
    whole = strtoll(text, &end, 10);
    if (*end == '\0' && !errno)
        return must(json_integer(whole));
    value = strtod(text, &end);
    return *end == '\0' && end > text && isfinite(value) ? must(json_real(value)) : NULL;
}

static json_t *parse_word(const char *text)
{
    json_t *value = parse_number(text);

    if (value)
        return value;
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        return json_boolean(text[0] == 't');
    if (strcmp(text, "null") == 0)
        return json_null();
    return json_string(text); /* NULL: not UTF-8 */
}

static json_t *parse_list(const char *text)
{
    json_t *list = must(json_array());

    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ",");
        char *word = must(strndup(p, n));
        json_t *value = parse_word(word);

        free(word);
        if (!value) {
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, value);
        p += n;
        if (!*p)
            return list;
    }
}

json_t *value_parse(const char *text)
{
    if (strchr("[{\"", text[0]) && text[0]) {
        json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

        if (value)
            return value;
    }
    return strchr(text, ',') ? parse_list(text) : parse_word(text);
}
