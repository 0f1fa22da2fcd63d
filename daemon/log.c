/*
 * log.c - one write(2) per line, so that lines of several threads are never torn.
 *
 * Three forms: text with a time for a terminal or a file; text with a <priority> in front for
 * journald, which adds the time itself; a JSON object per line.
 */
#include "daemon/log.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/json_memory.h"

#define MAX_MESSAGE 2048

static const struct {
    const char *name;
    int priority; /* as syslog(3) counts */
} levels[] = {
    [LOG_LEVEL_DEBUG] = {"debug", 7},
    [LOG_LEVEL_INFO] = {"info", 6},
    [LOG_LEVEL_WARN] = {"warn", 4},
    [LOG_LEVEL_ERROR] = {"error", 3},
};

static atomic_int least_level = LOG_LEVEL_INFO;
static atomic_bool as_json, to_journal;

/* systemd tells in $JOURNAL_STREAM which device and inode its journal's stream has. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat st;

    return stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_configure(enum log_level least, bool json)
{
    atomic_store(&least_level, (int)least);
    atomic_store(&as_json, json);
    atomic_store(&to_journal, stderr_is_journal());
}

bool log_level_parse(enum log_level *out, const char *name)
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (strcmp(levels[i].name, name) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    return false;
}

static void format_time(char *out, size_t room)
{
    struct timespec now;
    struct tm tm;
    size_t n;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    n = strftime(out, room, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, room - n, ".%03ldZ", now.tv_nsec / 1000000);
}

/* Control characters would break the line, or a terminal. */
static void make_one_line(char *text, bool ascii)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 127 || (ascii && (*text & 0x80)))
            *text = *text == '\n' || *text == '\t' ? ' ' : '?';
}

static void write_line(const char *line, size_t size)
{
    while (size) {
        ssize_t n = write(STDERR_FILENO, line, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        line += n;
        size -= (size_t)n;
    }
}

static json_t *text_or_ascii(char *text)
{
    json_t *string = json_string(text);

    if (string)
        return string;
    make_one_line(text, true); /* it was not UTF-8 */
    return json_string(text);
}

static void write_json(const char *time, const char *level, const char *module, char *message)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:o}", "time", time, "level", level, "module",
                               module, "message", text_or_ascii(message));
    char *text = object ? json_whole_text(object, JSON_COMPACT) : NULL, *line = NULL;
    int n = text ? asprintf(&line, "%s\n", text) : -1;

    if (n > 0)
        write_line(line, (size_t)n);
    if (n >= 0)
        free(line);
    free(text);
    json_decref(object);
}

void log_write(enum log_level level, const char *module, const char *format, ...)
{
    char message[MAX_MESSAGE], line[MAX_MESSAGE + 128], time[40];
    va_list args;
    int n;

    if ((int)level < atomic_load(&least_level))
        return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    make_one_line(message, false);
    format_time(time, sizeof time);
    if (atomic_load(&as_json)) {
        write_json(time, levels[level].name, module, message);
        return;
    }
    if (atomic_load(&to_journal))
        n = snprintf(line, sizeof line, "<%d>%s: %s\n", levels[level].priority, module, message);
    else
        n = snprintf(line, sizeof line, "%s %-5s %s: %s\n", time, levels[level].name, module,
                     message);
    if (n > 0)
        write_line(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}
