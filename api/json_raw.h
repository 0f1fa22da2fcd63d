/*
 * json_raw.h - parts of JSON text that prilorad itself has written and stored, without reading it
 * into values. Of text that is no JSON a part may be anything, but lies within it.
 */
#ifndef JSON_RAW_H
#define JSON_RAW_H

#include <stdbool.h>
#include <stddef.h>

struct json_raw {
    const char *at; /* NULL: absent */
    size_t n;
};

struct json_raw json_raw_of(const char *text); /* the whole; NULL: absent */
/* A member of an object, by a name that needs no escape; absent if there is none. */
struct json_raw json_raw_member(struct json_raw object, const char *name);
/* The member after the one that *at stands at (NULL: the first), its name without quotes. */
bool json_raw_next(struct json_raw object, const char **at, struct json_raw *name,
                   struct json_raw *value);
bool json_raw_is_number(struct json_raw value);
bool json_raw_equals(struct json_raw text, const char *other);

#endif
