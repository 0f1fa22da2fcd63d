/*
 * watch.h - who waits for news of a job: live streams and long polls. No thread waits: their
 * connections are suspended (waiting.h), and one thread for all of them, the ticker, wakes them
 *
 *   - when something was written about their job (events_subscribe), but the watchers of one job
 *     not more often than every quarter of a second, or every second if they are hundreds;
 *   - when nothing was for WATCH_SILENCE_S: a heartbeat is due, and with it libmicrohttpd notices
 *     that a client has gone;
 *   - at their own deadline.
 *
 * What is new each finds out for himself:
 *
 *     watch_look(w);             counts from here
 *     ... reads; answers if there is something new, else:
 *     if (watch_sleep(w, f))     suspended: f or the content reader runs again when it is woken
 *         return;
 *     ... something was told between: look again
 *
 * Locks: struct watch has one. It is held while watchers are suspended and woken, so that a watcher
 * who is in a list is alive (the rule of waiting.h); api->lock is taken inside of it, never the
 * other way round. No work is done under it.
 */
#ifndef WATCH_H
#define WATCH_H

#include "api/batch.h"
#include "api/request.h"

#define WATCH_SILENCE_S 15.0

struct watch;

/* One request that watches a job; a member of its state, all zero before watch_join. */
struct watcher {
    struct request *request;
    struct channel *channel; /* its job's; NULL: has not joined */
    double deadline;         /* of clock_seconds; 0: none */
    /* guarded by the watch's lock */
    uint64_t seen; /* the count of news when it looked last */
    bool is_asleep;
    struct watcher *next, *previous;
};

/* `max` watchers at a time. */
enum prilora_status watch_start(struct watch **out, size_t max, struct prilora_error *err);
/* After the last request has ended. Accepts NULL. */
void watch_stop(struct watch *watch);
/* Cuts the connections of all who still watch: at the server's stop, of clients that do not read.
 */
void watch_cut(struct watch *watch);

/* Answers with a fault and returns false if too many watch already. */
bool watch_join(struct watcher *watcher, struct request *r, const char *job_id, double deadline);
void watch_leave(struct watcher *watcher); /* does nothing if it has not joined */

/* On the request's polling thread, as request_suspend. */
void watch_look(struct watcher *watcher);
bool watch_sleep(struct watcher *watcher, void (*resumed)(struct request *r));

/* The batch last read for this job, if it is what the watcher, who has looked, would read: held for
 * the caller. NULL: read it, and give it to the others. */
struct batch *watch_find_batch(struct watcher *watcher, const struct cursor *cursor);
void watch_share_batch(struct watcher *watcher, struct batch *batch);

#endif
