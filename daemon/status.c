/* status.c - see status.h. */
#include "daemon/status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "daemon/live.h"
#include "daemon/notify.h"

#define MAX_STATUS 240
#define FAR_S      (1000.0 * 3600.0)

static void add(char *out, size_t room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add(char *out, size_t room, const char *format, ...)
{
    size_t n = strlen(out);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(out + n, room - n, format, arguments);
    va_end(arguments);
}

/* ", 0:10 left", ", 2:03:00 left"; nothing if nobody knows. */
static void add_time_left(char *out, size_t room, double seconds)
{
    unsigned long s;

    if (!(seconds > 0 && seconds < FAR_S))
        return;
    s = (unsigned long)seconds;
    if (s >= 3600)
        add(out, room, ", %lu:%02lu:%02lu left", s / 3600, s / 60 % 60, s % 60);
    else
        add(out, room, ", %lu:%02lu left", s / 60, s % 60);
}

static void add_running(char *out, size_t room)
{
    char id[ID_SIZE];
    struct job_progress progress;
    size_t n = live_first(id, &progress);

    if (n == 0)
        return;
    add(out, room, "%zu job%s: %s", n, n == 1 ? "" : "s", id);
    if (progress.total_steps > 0) {
        add(out, room, " step %" PRIu64 " of %" PRIu64, progress.step, progress.total_steps);
        add_time_left(out, room, progress.seconds_left);
    }
    if (n > 1)
        add(out, room, ", and %zu more", n - 1);
}

static void add_waiting(char *out, size_t room, uint64_t n, const char *what)
{
    if (n > 0)
        add(out, room, "%s%" PRIu64 " %s", *out ? "; " : "", n, what);
}

void status_describe(struct store *store, char *out, size_t room)
{
    uint64_t counts[JOB_CANCELLED + 1];

    out[0] = '\0';
    add_running(out, room);
    if (queue_counts(store, counts, NULL) == PRILORA_OK) {
        add_waiting(out, room, counts[JOB_VALIDATING], "being validated");
        add_waiting(out, room, counts[JOB_QUEUED], "queued");
    } else {
        add(out, room, "%sthe database does not answer", *out ? "; " : "");
    }
    if (!*out)
        add(out, room, "idle");
}

static atomic_bool is_stale; /* what status_update has told is not what systemd shows */

void status_say(const char *format, ...)
{
    char text[MAX_STATUS];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    atomic_store(&is_stale, true);
    notify_send("STATUS=%s", text);
}

static const char *noted = "";

void status_note(const char *note)
{
    noted = note;
}

void status_update(struct store *store)
{
    static char told[MAX_STATUS];
    char text[MAX_STATUS];

    if (!notify_is_open())
        return;
    status_describe(store, text, sizeof text);
    if (*noted)
        add(text, sizeof text, "; %s", noted);
    if (!atomic_exchange(&is_stale, false) && strcmp(text, told) == 0)
        return;
    memcpy(told, text, sizeof told);
    notify_send("STATUS=%s", text);
}
