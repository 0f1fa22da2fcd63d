/*
 * batch.h - what is new about a job since a position, as the text of server-sent events: read once,
 * sent to every watcher who stands at that position.
 *
 * Each message is three lines and an empty one, so that line readers have it as easy as browsers:
 *
 *     event: metrics
 *     id: 2f-1c8-1b8-0-5d0c8a3e
 *     data: {"step":456,"created_at":1767225600,"train_loss":0.52, ...}
 *
 *     job       the job as GET shows it: first of all, and when it is another one but for progress
 *     metrics   a row of GET .../metrics, and again when it changes: when its evaluation joins it
 *     layers    a row of GET .../layers?history=1: every adapted map as a pruning left it; last of
 *               all, perhaps under the same step again, as it was exported
 *     message   an event of GET .../events; browsers hand it to onmessage
 *     progress  {"status", "estimated_finish", "progress"}: those members of the job, when changed
 *     end       {"id", "status"}, the last: the job is over, or "deleted"
 *
 * Messages of one kind come in the order in which they were written, none twice and none left out;
 * of different kinds only by and by, for a reader who comes late is given pages of each.
 */
#ifndef BATCH_H
#define BATCH_H

#include <stdatomic.h>

#include "api/etag.h"
#include "api/position.h"
#include "api/server.h"

/* Where a watcher stands: what he can say himself, and what of the job he was shown last. */
struct cursor {
    struct position position;
    char job[ETAG_SIZE], progress[ETAG_SIZE]; /* "": nothing yet */
};

struct batch {
    struct cursor from, to;
    uint64_t seen; /* the watch's count of news when it was read */
    char *text;    /* may be empty */
    size_t n;
    bool has_more; /* the next one can be had at once */
    atomic_uint n_holders;
};

/* The first holder is the caller. */
enum prilora_status batch_read(struct batch **out, struct api *api, const char *job_id,
                               const struct cursor *from, struct prilora_error *err);
bool batch_follows(const struct batch *batch, const struct cursor *cursor);
void batch_hold(struct batch *batch);
void batch_release(struct batch *batch); /* accepts NULL */

#endif
