/*
 * watchdog.c - see watchdog.h.
 *
 * It waits for nobody: no lock but its own, no database, and no line in the log while all is well.
 * A thread that stands still for training.stall_timeout_s ends the feeding, and systemd's patience
 * (WatchdogSec=) begins to run; if the thread goes on, so does the feeding.
 *
 * Time in which the whole process stood still (a frozen machine, SIGSTOP) is nobody's fault: what
 * passes between two looks counts for twice their distance at most.
 */
#include "daemon/watchdog.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "daemon/clock.h"
#include "daemon/error.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/pulse.h"
#include "daemon/status.h"

#define LOOK_EVERY_S  5.0
#define MOST_LATE     2.0 /* looks that one that comes late counts for */
#define EXTEND_BY_S   120 /* in which something must move for more time to be asked for */
#define WATCHDOG_PART 4   /* looks in the time in which WATCHDOG=1 must come */

struct watchdog {
    const struct config *config;
    double every_s;
    atomic_bool is_awaited;
    pthread_t thread;
    pthread_mutex_t lock; /* guards `stopping` */
    pthread_cond_t stop;
    bool stopping;
};

static bool sleep_until_look(struct watchdog *w)
{
    struct timespec until;
    bool stopping;
    int code = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)w->every_s;
    until.tv_nsec += (long)((w->every_s - (double)(time_t)w->every_s) * 1e9);
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&w->lock);
    while (!w->stopping && code == 0)
        code = pthread_cond_timedwait(&w->stop, &w->lock, &until);
    stopping = w->stopping;
    pthread_mutex_unlock(&w->lock);
    return !stopping;
}

static void look(const struct watchdog *w, double elapsed_s, bool *was_well)
{
    double patience_s = (double)config_now(w->config)->stall_timeout_s;
    struct pulse_look seen;
    bool is_well;

    pulse_look(&seen, elapsed_s, patience_s);
    is_well = seen.n_stalled == 0;
    if (is_well && notify_watchdog_usec())
        notify_send("WATCHDOG=1");
    if (atomic_load(&w->is_awaited) && seen.n_moved > 0)
        notify_send("EXTEND_TIMEOUT_USEC=%d000000", EXTEND_BY_S);
    if (!is_well && *was_well) {
        status_say("stuck: %s has stood still for %.0f s", seen.stalled, seen.stalled_s);
        log_error("watchdog", "%s has not got on for %.0f s (training.stall_timeout_s)",
                  seen.stalled, seen.stalled_s);
    } else if (is_well && !*was_well) {
        log_warn("watchdog", "what stood still goes on");
    }
    *was_well = is_well;
}

static void *run(void *argument)
{
    struct watchdog *w = argument;
    double last = clock_seconds();
    bool is_well = true;

    pthread_setname_np(pthread_self(), "watchdog");
    do {
        double at = clock_seconds(), elapsed = at - last;

        last = at;
        look(w, elapsed < MOST_LATE * w->every_s ? elapsed : MOST_LATE * w->every_s, &is_well);
    } while (sleep_until_look(w));
    return NULL;
}

static void watchdog_free(struct watchdog *w)
{
    pthread_cond_destroy(&w->stop);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

enum prilora_status watchdog_start(struct watchdog **out, const struct config *config,
                                   struct prilora_error *err)
{
    double limit_s = (double)notify_watchdog_usec() * 1e-6;
    pthread_condattr_t monotonic;
    struct watchdog *w;

    *out = NULL;
    if (!notify_is_open())
        return PRILORA_OK;
    w = calloc(1, sizeof *w);
    if (!w)
        return error_memory(err);
    w->config = config;
    w->every_s = LOOK_EVERY_S;
    if (limit_s > 0 && limit_s / WATCHDOG_PART < w->every_s)
        w->every_s = limit_s / WATCHDOG_PART;
    atomic_init(&w->is_awaited, true);
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&w->thread, NULL, run, w) != 0) {
        watchdog_free(w);
        return error_set(err, PRILORA_EIO, "cannot start the thread that feeds the watchdog");
    }
    *out = w;
    return PRILORA_OK;
}

void watchdog_set_awaited(struct watchdog *w, bool awaited)
{
    if (w)
        atomic_store(&w->is_awaited, awaited);
}

void watchdog_stop(struct watchdog *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->stop);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    watchdog_free(w);
}
