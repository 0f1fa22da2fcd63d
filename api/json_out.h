/*
 * json_out.h - JSON written straight into text, for the answers that are asked for all the time:
 * building it of values first takes several times as long. The text is what jansson would make of
 * the same values, compact.
 */
#ifndef JSON_OUT_H
#define JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/json_raw.h"

/* Significant digits of a real: every one that a float32 computation can mean. */
#define JSON_DIGITS 9

struct json_out {
    char *text; /* with a NUL after it */
    size_t n, room;
    bool failed; /* out of memory: what follows is lost */
};

/*
 * `name` is a member's, in letters that need no escape; NULL: an element of a list, or the whole.
 * A list or object that was opened is filled by the next calls, until it is closed.
 */
void json_out_open(struct json_out *out, const char *name, char bracket);      /* '{' or '[' */
void json_out_close(struct json_out *out, char bracket);                       /* '}' or ']' */
void json_out_text(struct json_out *out, const char *name, const char *value); /* NULL: null */
void json_out_integer(struct json_out *out, const char *name, int64_t value);
void json_out_real(struct json_out *out, const char *name, double value); /* not finite: null */
void json_out_bool(struct json_out *out, const char *name, bool value);
void json_out_null(struct json_out *out, const char *name);

/* Stored JSON, its white space left out and its reals cut to JSON_DIGITS; absent: null. */
void json_out_raw(struct json_out *out, const char *name, struct json_raw value);

/* All members of a stored object but `except`, into the object that is open. */
void json_out_members(struct json_out *out, struct json_raw object, const char *except);

/* {"object": "list", "data": [ - the elements follow - and ], "has_more"}. */
void json_out_open_list(struct json_out *out);
void json_out_close_list(struct json_out *out, bool has_more);

void json_out_end(struct json_out *out); /* a line's end after the whole */
void json_out_clear(struct json_out *out);

#endif
