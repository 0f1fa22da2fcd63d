/* text.c - see text.h. Widths and kinds of characters are utf8proc's: they depend on no locale. */
#include "api/cli/text.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <utf8proc.h>

#include "api/cli/cli.h"

#define N_BUFFERS 8

/* ---- characters ---- */

/* The next character; -1 and one byte for what is not UTF-8. */
static int32_t next(const char **text)
{
    utf8proc_int32_t c;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)*text, -1, &c);

    *text += n > 0 ? n : 1;
    return n > 0 ? c : -1;
}

/* Control characters (C0, DEL, C1), and marks that turn the direction of what follows. */
static bool is_obeyed(int32_t c)
{
    return c < 0x20 || utf8proc_category(c) == UTF8PROC_CATEGORY_CC ||
           (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x2028 ||
           c == 0x2029 || c == 0x200e || c == 0x200f;
}

static size_t width_of(int32_t c)
{
    int width = utf8proc_charwidth(c);

    return width > 0 ? (size_t)width : 0;
}

size_t text_width(const char *text)
{
    size_t width = 0;

    while (*text)
        width += width_of(next(&text));
    return width;
}

char *text_clean(const char *text)
{
    size_t used = 0;
    char *out = must(malloc(strlen(text) + 1));

    while (*text) {
        const char *from = text;
        int32_t c = next(&text);

        if (is_obeyed(c)) {
            out[used++] = c == '\n' || c == '\t' ? ' ' : '?';
        } else {
            memcpy(out + used, from, (size_t)(text - from));
            used += (size_t)(text - from);
        }
    }
    out[used] = '\0';
    return out;
}

void text_put(FILE *out, const char *text)
{
    char *clean = text_clean(text);

    fputs(clean, out);
    free(clean);
}

void text_say(const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = format_list(format, arguments);
    va_end(arguments);
    text_put(stdout, text);
    putchar('\n');
    free(text);
}

char *text_cut(const char *text, size_t columns)
{
    size_t width = 0;
    const char *p = text, *end = text;

    if (text_width(text) <= columns)
        return must(strdup(text));
    while (*p && columns > 0) {
        width += width_of(next(&p));
        if (width > columns - 1)
            break;
        end = p;
    }
    return format("%.*s%s", (int)(end - text), text, columns > 0 ? "…" : "");
}

void text_put_json(FILE *out, const char *json)
{
    if (!isatty(fileno(out))) {
        fputs(json, out);
        return;
    }
    while (*json) {
        const char *from = json;
        int32_t c = next(&json);

        if (c < 0)
            fputc('?', out); /* the body was JSON, hence UTF-8: it never comes to this */
        else if (is_obeyed(c) && !strchr("\n\r\t", c))
            fprintf(out, "\\u%04x", (unsigned)c);
        else
            fwrite(from, 1, (size_t)(json - from), out);
    }
}

/* ---- numbers ---- */

bool text_integer(const char *text, int64_t min, int64_t max, int64_t *out)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (end == text || *end || errno || text[0] == ' ' || text[0] == '+' || value < min ||
        value > max)
        return false;
    *out = value;
    return true;
}

bool text_duration(const char *text, int64_t *seconds)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
    size_t digits = strspn(text, "0123456789");
    char *number = must(strndup(text, digits));
    bool right = text_integer(number, 0, 1000000000, seconds);

    free(number);
    if (!right || text[digits] == '\0')
        return right;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (text[digits] == units[i].unit && text[digits + 1] == '\0') {
            *seconds *= units[i].seconds;
            return true;
        }
    }
    return false;
}

static char *next_buffer(void)
{
    static char buffers[N_BUFFERS][48];
    static unsigned turn;

    return buffers[turn++ % N_BUFFERS];
}

/* value / 1000^i with three digits and the i-th of `units`. */
static const char *scaled(double value, const char *const *units, size_t n_units)
{
    char *out = next_buffer();
    size_t i = 0;

    while (fabs(value) >= 999.5 && i + 1 < n_units) {
        value /= 1000;
        i++;
    }
    snprintf(out, 48, "%.*f%s", i == 0 || fabs(value) >= 99.95 ? 0 : 1, value, units[i]);
    return out;
}

const char *text_bytes(int64_t bytes)
{
    static const char *const units[] = {" B", " kB", " MB", " GB", " TB", " PB", " EB"};

    return scaled((double)bytes, units, 7);
}

const char *text_count(double value)
{
    static const char *const units[] = {"", "k", "M", "G", "T"};

    return scaled(value, units, 5);
}

const char *text_real(double value)
{
    char *out = next_buffer();

    if (fabs(value) >= 1000 && fabs(value) < 1e9)
        snprintf(out, 48, "%.0f", value);
    else
        snprintf(out, 48, "%.4g", value);
    return out;
}

const char *text_clock(double seconds)
{
    char *out = next_buffer();
    long s = seconds > 0 && seconds < 1e11 ? lround(seconds) : 0;

    if (s >= 2 * 86400)
        snprintf(out, 48, "%ld d %ld h", s / 86400, s % 86400 / 3600);
    else if (s >= 3600)
        snprintf(out, 48, "%ld:%02ld:%02ld", s / 3600, s % 3600 / 60, s % 60);
    else
        snprintf(out, 48, "%ld:%02ld", s / 60, s % 60);
    return out;
}

static const char *time_as(int64_t unix_time, bool seconds)
{
    char *out = next_buffer();
    time_t t = (time_t)unix_time;
    struct tm local;

    if (unix_time <= 0 || !localtime_r(&t, &local) ||
        !strftime(out, 48, "%Y-%m-%d %H:%M:%S", &local))
        snprintf(out, 48, "-");
    else if (!seconds)
        out[strlen("2026-11-25 10:25")] = '\0';
    return out;
}

const char *text_time(int64_t unix_time)
{
    return time_as(unix_time, true);
}

const char *text_minute(int64_t unix_time)
{
    return time_as(unix_time, false);
}
