/*
 * text.h - text for people: widths of any script, nothing that a terminal would obey, and numbers,
 * sizes and times as they are read best.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Columns on a terminal; `text` is clean. */
size_t text_width(const char *text);
/* '?' for control characters, what turns the direction of writing, and bytes that are not UTF-8;
 * a line's end becomes a space. Free it. */
char *text_clean(const char *text);
void text_put(FILE *out, const char *text); /* cleaned */
/* A line to stdout, cleaned. */
void text_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* At most `columns` wide, "…" at the end of what is cut; `text` is clean. Free it. */
char *text_cut(const char *text, size_t columns);
/* JSON as it came, but on a terminal what it would obey is escaped, which is the same JSON. */
void text_put_json(FILE *out, const char *json);

/* A whole number in this range, nothing around it. */
bool text_integer(const char *text, int64_t min, int64_t max, int64_t *out);
/* "90", "15m", "24h", "30d": seconds */
bool text_duration(const char *text, int64_t *seconds);

/* Each into one of eight buffers used in turn. */
const char *text_bytes(int64_t bytes);      /* "86.9 kB" */
const char *text_count(double value);       /* "12.7k" */
const char *text_real(double value);        /* four significant digits */
const char *text_clock(double seconds);     /* "1:05", "3:20:09", "2 d 4 h" */
const char *text_minute(int64_t unix_time); /* the same without seconds */
const char *text_time(int64_t unix_time);   /* "2026-11-25 10:25:47", local; "-" for 0 */

#endif
