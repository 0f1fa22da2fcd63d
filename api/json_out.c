/* json_out.c - see json_out.h. */
#include "api/json_out.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/utf8.h"

#define REAL_ROOM 40

/* ---- bytes ---- */

static bool make_room(struct json_out *out, size_t more)
{
    size_t room = 2 * (out->n + more) + 1024;
    char *text;

    if (out->failed || out->room - out->n > more) /* one more for the NUL */
        return !out->failed;
    text = realloc(out->text, room);
    if (!text) {
        out->failed = true;
        return false;
    }
    out->text = text;
    out->room = room;
    return true;
}

static void put(struct json_out *out, const char *bytes, size_t n)
{
    if (!make_room(out, n))
        return;
    memcpy(out->text + out->n, bytes, n);
    out->n += n;
    out->text[out->n] = '\0';
}

/* What stands before a value: the comma after another one, the name. */
static void begin(struct json_out *out, const char *name)
{
    char last = out->n ? out->text[out->n - 1] : '{';

    if (last != '{' && last != '[')
        put(out, ",", 1);
    if (name) {
        put(out, "\"", 1);
        put(out, name, strlen(name));
        put(out, "\":", 2);
    }
}

/* ---- values ---- */

void json_out_open(struct json_out *out, const char *name, char bracket)
{
    begin(out, name);
    put(out, &bracket, 1);
}

void json_out_close(struct json_out *out, char bracket)
{
    put(out, &bracket, 1);
}

static size_t escape(char to[8], unsigned char c)
{
    static const char letters[] = "\"\\\b\f\n\r\t", escapes[] = "\"\\bfnrt";
    const char *found = strchr(letters, c);

    if (!found)
        return (size_t)snprintf(to, 8, "\\u%04X", c);
    to[0] = '\\';
    to[1] = escapes[found - letters];
    return 2;
}

static void put_quoted(struct json_out *out, const char *text)
{
    put(out, "\"", 1);
    for (const char *plain = text;; text++) {
        unsigned char c = (unsigned char)*text;
        char escaped[8];

        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        put(out, plain, (size_t)(text - plain));
        if (c == '\0')
            break;
        put(out, escaped, escape(escaped, c));
        plain = text + 1;
    }
    put(out, "\"", 1);
}

void json_out_text(struct json_out *out, const char *name, const char *value)
{
    char *repaired;

    if (!value) {
        json_out_null(out, name);
        return;
    }
    begin(out, name);
    if (utf8_valid(value, strlen(value))) {
        put_quoted(out, value);
        return;
    }
    repaired = strdup(value);
    if (repaired) {
        utf8_repair(repaired);
        put_quoted(out, repaired);
    }
    out->failed = out->failed || !repaired;
    free(repaired);
}

void json_out_integer(struct json_out *out, const char *name, int64_t value)
{
    char text[24];

    begin(out, name);
    put(out, text, (size_t)snprintf(text, sizeof text, "%" PRId64, value));
}

/* "1e+09" as "1e9", "0.50e-07" as "0.50e-7", "2" as "2.0": still a real to who reads it. */
static void put_real(struct json_out *out, double value)
{
    char text[REAL_ROOM], *exponent, *digits;
    size_t n;

    snprintf(text, sizeof text, "%.*g", JSON_DIGITS, value);
    exponent = strchr(text, 'e');
    if (exponent) {
        digits = exponent + 1 + (exponent[1] == '-');
        n = strspn(digits, "+0");
        memmove(digits, digits + n, strlen(digits + n) + 1);
    }
    put(out, text, strlen(text));
    if (!exponent && !strchr(text, '.'))
        put(out, ".0", 2);
}

void json_out_real(struct json_out *out, const char *name, double value)
{
    if (!isfinite(value)) {
        json_out_null(out, name);
        return;
    }
    begin(out, name);
    put_real(out, value);
}

void json_out_bool(struct json_out *out, const char *name, bool value)
{
    begin(out, name);
    put(out, value ? "true" : "false", value ? 4 : 5);
}

void json_out_null(struct json_out *out, const char *name)
{
    begin(out, name);
    put(out, "null", 4);
}

/* ---- stored JSON ---- */

static size_t string_length(const char *at, size_t n)
{
    size_t i = 1;

    while (i < n && at[i] != '"')
        i += at[i] == '\\' ? 2 : 1;
    return i < n ? i + 1 : n;
}

/* A number as it stands, or, if it is a real of many digits, with fewer. */
static void put_number(struct json_out *out, const char *at, size_t n)
{
    char number[REAL_ROOM];
    bool is_real = false;

    for (size_t i = 0; i < n; i++)
        is_real = is_real || at[i] == '.' || at[i] == 'e' || at[i] == 'E';
    if (!is_real || n <= JSON_DIGITS || n >= sizeof number) {
        put(out, at, n);
        return;
    }
    memcpy(number, at, n);
    number[n] = '\0';
    put_real(out, strtod(number, NULL));
}

static void put_raw(struct json_out *out, struct json_raw value)
{
    for (size_t i = 0, n; i < value.n; i += n) {
        const char *at = value.at + i;
        size_t left = value.n - i;

        if (*at == '"') {
            n = string_length(at, left);
            put(out, at, n);
        } else if (*at == '-' || (*at >= '0' && *at <= '9')) {
            for (n = 1; n < left && strchr("0123456789+-.eE", at[n]) && at[n];)
                n++;
            put_number(out, at, n);
        } else {
            n = 1;
            if (!strchr(" \n\t\r", *at))
                put(out, at, 1);
        }
    }
}

void json_out_raw(struct json_out *out, const char *name, struct json_raw value)
{
    if (!value.at || !value.n) {
        json_out_null(out, name);
        return;
    }
    begin(out, name);
    put_raw(out, value);
}

void json_out_members(struct json_out *out, struct json_raw object, const char *except)
{
    struct json_raw name, value;
    const char *at = NULL;

    while (json_raw_next(object, &at, &name, &value)) {
        if (json_raw_equals(name, except))
            continue;
        begin(out, NULL);
        put(out, "\"", 1);
        put(out, name.at, name.n);
        put(out, "\":", 2);
        put_raw(out, value);
    }
}

/* ---- lists ---- */

void json_out_open_list(struct json_out *out)
{
    json_out_open(out, NULL, '{');
    json_out_text(out, "object", "list");
    json_out_open(out, "data", '[');
}

void json_out_close_list(struct json_out *out, bool has_more)
{
    json_out_close(out, ']');
    json_out_bool(out, "has_more", has_more);
    json_out_close(out, '}');
}

void json_out_end(struct json_out *out)
{
    put(out, "\n", 1);
}

void json_out_clear(struct json_out *out)
{
    free(out->text);
    *out = (struct json_out){0};
}
