/* watch.c - see watch.h: a channel for each job that is watched, and the ticker. */
#include "api/watch.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "api/respond.h"
#include "api/waiting.h"
#include "daemon/clock.h"
#include "daemon/error.h"
#include "daemon/events.h"
#include "daemon/pulse.h"

/* Between two wakings of one job's watchers: what they cost stays bounded. */
#define LEAST_GAP_S   0.25
#define MOST_GAP_S    2.0
#define GAP_OF_EACH_S 0.004

#define RETRY_AFTER_S 10

struct channel {
    struct watch *watch;
    char job_id[ID_SIZE];
    uint64_t told, woken; /* news, counted: all; when the watchers were woken last */
    double woken_at;
    struct watcher *watchers;
    size_t n;
    struct batch *latest; /* or NULL */
    struct channel *next;
};

struct watch {
    pthread_mutex_t lock; /* guards the rest, the channels and what is in them */
    pthread_cond_t sooner;
    struct channel *channels;
    size_t n, max;  /* watchers */
    double planned; /* when the ticker wakes by itself; INFINITY: not at all */
    bool stopping;
    pthread_t ticker;
};

/* ---- all below with watch->lock held ---- */

static struct channel *find(struct watch *watch, const char *job_id)
{
    struct channel *channel = watch->channels;

    while (channel && strcmp(channel->job_id, job_id) != 0)
        channel = channel->next;
    return channel;
}

/* When the channel's watchers are to be woken. */
static double due_at(const struct channel *channel)
{
    double gap = WATCH_SILENCE_S;

    if (channel->told > channel->woken)
        gap = fmin(fmax(LEAST_GAP_S, GAP_OF_EACH_S * (double)channel->n), MOST_GAP_S);
    return channel->woken_at + gap;
}

static void plan(struct watch *watch, double when)
{
    if (when < watch->planned)
        pthread_cond_signal(&watch->sooner);
}

static void wake(struct watcher *watcher)
{
    if (!watcher->is_asleep)
        return;
    watcher->is_asleep = false;
    request_wake(watcher->request);
}

static void wake_channel(struct channel *channel, double now)
{
    if (channel->told == channel->woken)
        channel->told++; /* the silence itself is told */
    channel->woken = channel->told;
    channel->woken_at = now;
    for (struct watcher *w = channel->watchers; w; w = w->next)
        wake(w);
}

/* Wakes whose time has come; when the next one's will have. */
static double tick(struct watch *watch, double now)
{
    double next = INFINITY;

    for (struct channel *channel = watch->channels; channel; channel = channel->next) {
        if (due_at(channel) <= now)
            wake_channel(channel, now);
        next = fmin(next, due_at(channel));
        for (struct watcher *w = channel->watchers; w; w = w->next) {
            if (!w->is_asleep || w->deadline == 0)
                continue;
            if (w->deadline <= now)
                wake(w);
            else
                next = fmin(next, w->deadline);
        }
    }
    return next;
}

/* ---- the ticker ---- */

static void *run_ticker(void *context)
{
    struct watch *watch = context;

    pthread_setname_np(pthread_self(), "ticker");
    pthread_mutex_lock(&watch->lock);
    while (!watch->stopping) {
        struct timespec until;

        pulse_begin("the live streams");
        watch->planned = tick(watch, clock_seconds());
        pulse_end();
        if (isinf(watch->planned)) {
            pthread_cond_wait(&watch->sooner, &watch->lock);
            continue;
        }
        until.tv_sec = (time_t)watch->planned;
        until.tv_nsec = (long)((watch->planned - floor(watch->planned)) * 1e9);
        pthread_cond_timedwait(&watch->sooner, &watch->lock, &until);
    }
    pthread_mutex_unlock(&watch->lock);
    return NULL;
}

/* The events' subscriber: on the thread that trains. */
static void on_news(void *context, const char *job_id)
{
    struct watch *watch = context;
    struct channel *channel;

    pthread_mutex_lock(&watch->lock);
    channel = find(watch, job_id);
    if (channel) {
        channel->told++;
        plan(watch, due_at(channel));
    }
    pthread_mutex_unlock(&watch->lock);
}

/* ---- starting and stopping ---- */

static void watch_free(struct watch *watch)
{
    pthread_cond_destroy(&watch->sooner);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

enum prilora_status watch_start(struct watch **out, size_t max, struct prilora_error *err)
{
    struct watch *watch = calloc(1, sizeof *watch);
    pthread_condattr_t monotonic;
    int code;

    *out = NULL;
    if (!watch)
        return error_memory(err);
    watch->max = max;
    watch->planned = INFINITY;
    pthread_mutex_init(&watch->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->sooner, &monotonic);
    pthread_condattr_destroy(&monotonic);
    code = pthread_create(&watch->ticker, NULL, run_ticker, watch);
    if (code != 0) {
        watch_free(watch);
        return error_set(err, PRILORA_EIO, "cannot start a thread: %s", strerror(code));
    }
    events_subscribe(on_news, watch);
    *out = watch;
    return PRILORA_OK;
}

void watch_stop(struct watch *watch)
{
    if (!watch)
        return;
    events_subscribe(NULL, NULL);
    pthread_mutex_lock(&watch->lock);
    watch->stopping = true;
    pthread_cond_signal(&watch->sooner);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->ticker, NULL);
    watch_free(watch);
}

void watch_cut(struct watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    for (struct channel *channel = watch->channels; channel; channel = channel->next) {
        for (struct watcher *w = channel->watchers; w; w = w->next) {
            const union MHD_ConnectionInfo *info =
                MHD_get_connection_info(w->request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

            if (info)
                shutdown(info->connect_fd, SHUT_RDWR);
        }
    }
    pthread_mutex_unlock(&watch->lock);
}

/* ---- joining and leaving ---- */

static void put_in(struct watch *watch, struct channel *channel, struct watcher *watcher)
{
    watcher->channel = channel;
    watcher->seen = channel->told;
    watcher->next = channel->watchers;
    if (channel->watchers)
        channel->watchers->previous = watcher;
    channel->watchers = watcher;
    channel->n++;
    watch->n++;
}

/* Takes `fresh` if the job has no channel yet, and returns what is left to be freed. */
static struct channel *enter(struct watch *watch, struct channel *fresh, struct watcher *watcher)
{
    struct channel *channel = find(watch, fresh->job_id);

    if (!channel) {
        channel = fresh;
        channel->next = watch->channels;
        watch->channels = channel;
        plan(watch, due_at(channel));
        fresh = NULL;
    }
    put_in(watch, channel, watcher);
    return fresh;
}

bool watch_join(struct watcher *watcher, struct request *r, const char *job_id, double deadline)
{
    struct watch *watch = r->api->watch;
    struct channel *fresh = calloc(1, sizeof *fresh);
    bool is_room;

    if (!fresh) {
        respond_json(r, 503, NULL);
        return false;
    }
    *watcher = (struct watcher){.request = r, .deadline = deadline};
    fresh->watch = watch;
    fresh->woken_at = clock_seconds();
    snprintf(fresh->job_id, sizeof fresh->job_id, "%s", job_id);
    pthread_mutex_lock(&watch->lock);
    is_room = watch->n < watch->max;
    if (is_room)
        fresh = enter(watch, fresh, watcher);
    pthread_mutex_unlock(&watch->lock);
    free(fresh);
    if (is_room)
        return true;
    respond_later(r, 503, "too_many_watchers", NULL, RETRY_AFTER_S,
                  "%zu live streams and long polls are open, three quarters of "
                  "server.max_connections; no more are taken",
                  watch->max);
    return false;
}

/* The channel, if the watcher was its last: it is out of the list. */
static struct channel *take_out(struct watch *watch, struct watcher *watcher)
{
    struct channel *channel = watcher->channel, **at = &watch->channels;

    if (watcher->previous)
        watcher->previous->next = watcher->next;
    else
        channel->watchers = watcher->next;
    if (watcher->next)
        watcher->next->previous = watcher->previous;
    watch->n--;
    if (--channel->n > 0)
        return NULL;
    while (*at != channel)
        at = &(*at)->next;
    *at = channel->next;
    return channel;
}

void watch_leave(struct watcher *watcher)
{
    struct watch *watch;
    struct channel *empty;

    if (!watcher->channel)
        return;
    watch = watcher->channel->watch;
    pthread_mutex_lock(&watch->lock);
    empty = take_out(watch, watcher);
    pthread_mutex_unlock(&watch->lock);
    watcher->channel = NULL;
    if (empty)
        batch_release(empty->latest);
    free(empty);
}

/* ---- looking and sleeping ---- */

void watch_look(struct watcher *watcher)
{
    struct watch *watch = watcher->channel->watch;

    pthread_mutex_lock(&watch->lock);
    watcher->is_asleep = false; /* it may be the server's stop that has woken it */
    watcher->seen = watcher->channel->told;
    pthread_mutex_unlock(&watch->lock);
}

bool watch_sleep(struct watcher *watcher, void (*resumed)(struct request *r))
{
    struct watch *watch = watcher->channel->watch;
    bool missed;

    pthread_mutex_lock(&watch->lock);
    missed = watcher->channel->woken > watcher->seen;
    if (!missed) {
        watcher->is_asleep = true;
        request_suspend(watcher->request, resumed);
        if (watcher->deadline > 0)
            plan(watch, watcher->deadline);
    }
    pthread_mutex_unlock(&watch->lock);
    return !missed;
}

struct batch *watch_find_batch(struct watcher *watcher, const struct cursor *cursor)
{
    struct watch *watch = watcher->channel->watch;
    struct batch *batch;

    pthread_mutex_lock(&watch->lock);
    batch = watcher->channel->latest;
    if (batch && batch->seen >= watcher->seen && batch_follows(batch, cursor))
        batch_hold(batch);
    else
        batch = NULL;
    pthread_mutex_unlock(&watch->lock);
    return batch;
}

void watch_share_batch(struct watcher *watcher, struct batch *batch)
{
    struct watch *watch = watcher->channel->watch;
    struct batch *old;

    batch->seen = watcher->seen;
    batch_hold(batch);
    pthread_mutex_lock(&watch->lock);
    old = watcher->channel->latest;
    watcher->channel->latest = batch;
    pthread_mutex_unlock(&watch->lock);
    batch_release(old);
}
