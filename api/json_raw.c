/* json_raw.c - see json_raw.h. */
#include "api/json_raw.h"

#include <string.h>

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
        at++;
    return at;
}

/* Behind the string whose opening quote stands at `at`. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at < end ? at + 1 : end;
}

/* Behind the value at `at`. */
static const char *skip_value(const char *at, const char *end)
{
    size_t depth = 0;

    while (at < end) {
        char c = *at;

        if (depth == 0 && (c == ',' || c == '}' || c == ']'))
            return at;
        at = c == '"' ? skip_string(at, end) : at + 1;
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        if (depth == 0 && (c == '"' || c == '}' || c == ']'))
            return at;
    }
    return end;
}

struct json_raw json_raw_of(const char *text)
{
    struct json_raw raw = {text, text ? strlen(text) : 0};

    return raw;
}

bool json_raw_next(struct json_raw object, const char **at, struct json_raw *name,
                   struct json_raw *value)
{
    const char *end = object.at ? object.at + object.n : NULL, *p, *stop;

    if (!object.at)
        return false;
    p = skip_space(*at ? *at : object.at, end);
    if (p >= end || *p != (*at ? ',' : '{'))
        return false;
    p = skip_space(p + 1, end);
    if (p >= end || *p != '"')
        return false;
    stop = skip_string(p, end);
    *name = (struct json_raw){p + 1, (size_t)(stop - p) - (stop > p + 1 ? 2 : 1)};
    p = skip_space(stop, end);
    if (p >= end || *p != ':')
        return false;
    p = skip_space(p + 1, end);
    stop = skip_value(p, end);
    *value = (struct json_raw){p, (size_t)(stop - p)};
    while (value->n && strchr(" \n\t\r", p[value->n - 1]))
        value->n--;
    *at = stop;
    return true;
}

struct json_raw json_raw_member(struct json_raw object, const char *name)
{
    struct json_raw found, value;
    const char *at = NULL;

    while (json_raw_next(object, &at, &found, &value))
        if (json_raw_equals(found, name))
            return value;
    return (struct json_raw){0};
}

bool json_raw_is_number(struct json_raw value)
{
    return value.n > 0 && (value.at[0] == '-' || (value.at[0] >= '0' && value.at[0] <= '9'));
}

bool json_raw_equals(struct json_raw text, const char *other)
{
    return text.at && strlen(other) == text.n && memcmp(text.at, other, text.n) == 0;
}
