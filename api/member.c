/* member.c - see member.h. No I/O. */
#include "api/member.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/suggest.h"
#include "api/utf8.h"
#include "daemon/json_memory.h"

#define MAX_SHOWN       60
#define SHOWN_PRECISION 6

json_t *member_body(const char *body, size_t size, struct fault *fault)
{
    json_error_t error;
    json_t *object;
    unsigned long before;

    if (size == 0) {
        fault_set(fault, 400, "missing_body", NULL, "the body is empty: it must be JSON");
        return NULL;
    }
    before = json_memory_refusals();
    object = json_loadb(body, size, JSON_REJECT_DUPLICATES, &error);
    if (json_memory_refusals() != before) {
        json_decref(object);
        object = NULL;
        fault_set(fault, 503, "out_of_memory", NULL, "out of memory");
    } else if (!object) {
        fault_set(fault, 400, "invalid_json", NULL, "the body is not JSON: line %d, column %d: %s",
                  error.line, error.column,
                  json_error_code(&error) == json_error_null_character
                      ? "a string has a NUL character"
                      : error.text);
    } else if (!json_is_object(object)) {
        json_decref(object);
        object = NULL;
        fault_set(fault, 400, "invalid_json", NULL, "the body is not a JSON object");
    }
    return object;
}

/* The value seen, for a message: short, whatever it is. */
static const char *show(const json_t *value, char out[MAX_SHOWN + 4])
{
    char *text = json_whole_text(value, JSON_ENCODE_ANY | JSON_COMPACT |
                                            JSON_REAL_PRECISION(SHOWN_PRECISION));
    size_t n = text ? strlen(text) : 0;

    memcpy(out, text ? text : "", n < MAX_SHOWN ? n : MAX_SHOWN);
    memcpy(out + (n < MAX_SHOWN ? n : MAX_SHOWN), n > MAX_SHOWN ? "..." : "",
           n > MAX_SHOWN ? 4 : 1);
    free(text);
    return out;
}

/* A pointer to the member, with RFC 6901's escapes; one that does not fit points nowhere. */
static void point_at(struct fault *fault, const char *name)
{
    size_t n = 0;

    fault->pointer[n++] = '/';
    for (; *name && n + 3 < sizeof fault->pointer; name++) {
        if (*name == '~' || *name == '/')
            fault->pointer[n++] = '~';
        fault->pointer[n++] = *name == '~' ? '0' : *name == '/' ? '1' : *name;
    }
    fault->pointer[*name ? 0 : n] = '\0';
    utf8_repair(fault->pointer);
}

bool member_fail(struct fault *fault, const char *name, const json_t *value, const char *must)
{
    char seen[MAX_SHOWN + 4];

    fault_set(fault, 400, value ? "invalid_value" : "missing_required_parameter", name,
              value ? "%s: %s, but must be %s" : "%s is missing%.0s: it must be %s", name,
              value ? show(value, seen) : "", must);
    point_at(fault, name);
    return false;
}

bool member_text(const json_t *value, const char *name, size_t max, const char *must, char **out,
                 struct fault *fault)
{
    const char *text = json_string_value(value);
    size_t n = text ? utf8_length(text) : 0;

    if (n < 1 || n > max)
        return member_fail(fault, name, value, must);
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 127)
            return member_fail(fault, name, value, must);
    }
    *out = strdup(text);
    return *out || fault_set(fault, 503, "out_of_memory", NULL, "out of memory");
}

bool member_integer(const json_t *value, const char *name, int64_t min, int64_t max,
                    const char *must, int64_t *out, struct fault *fault)
{
    *out = json_integer_value(value);
    if (json_is_integer(value) && *out >= min && *out <= max)
        return true;
    return member_fail(fault, name, value, must);
}

bool member_check_names(json_t *object, const char *const *names, struct fault *fault)
{
    const char *name, *meant;
    json_t *value;

    json_object_foreach (object, name, value) {
        size_t i = 0;

        while (names[i] && strcmp(names[i], name) != 0)
            i++;
        if (names[i])
            continue;
        meant = suggest(name, names);
        fault_set(fault, 400, "unknown_parameter", name,
                  meant ? "unknown member \"%.100s\"; did you mean \"%s\"?"
                        : "unknown member \"%.100s\"%.0s",
                  name, meant ? meant : "");
        point_at(fault, name);
        return false;
    }
    return true;
}
