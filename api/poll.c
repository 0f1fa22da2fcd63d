/* poll.c - see poll.h. */
#include "api/poll.h"

#include <stdlib.h>

#include "api/job_codec.h"
#include "api/list.h"
#include "api/respond.h"
#include "api/waiting.h"
#include "api/watch.h"
#include "daemon/clock.h"

#define MAX_WAIT_S 60

struct poll {
    struct watcher watcher;
    bool knows_status;
    enum job_status status; /* the job's when the request came */
};

static void poll_free(void *state)
{
    struct poll *poll = state;

    watch_leave(&poll->watcher);
    free(poll);
}

bool poll_begin(struct request *r)
{
    struct poll *poll = r->state;
    int64_t wait_s = 0;

    if (!poll) {
        if (query_get(&r->query, POLL_WAIT) && !query_number(r, POLL_WAIT, 0, MAX_WAIT_S, &wait_s))
            return false;
        if (wait_s == 0)
            return true;
        poll = calloc(1, sizeof *poll);
        if (!poll) {
            respond_json(r, 503, NULL);
            return false;
        }
        r->state = poll;
        r->free_state = poll_free;
        if (!watch_join(&poll->watcher, r, r->captures[0], clock_seconds() + (double)wait_s))
            return false;
    }
    if (!auth_still_holds(r)) {
        respond_error(r, 401, "invalid_api_key", NULL,
                      "this API key has expired, or was revoked, while the request waited");
        return false;
    }
    watch_look(&poll->watcher);
    return true;
}

static void hold(struct request *r, struct poll *poll, void (*handle)(struct request *r))
{
    if (r->answer.status >= 400 || api_is_stopping(r->api) ||
        clock_seconds() >= poll->watcher.deadline)
        return;
    MHD_destroy_response(r->answer.response);
    r->answer = (struct answer){0};
    if (!watch_sleep(&poll->watcher, handle))
        handle(r); /* told of something since it looked: at most once for each waking */
}

void poll_end_list(struct request *r, size_t n, void (*handle)(struct request *r))
{
    if (r->state && n == 0)
        hold(r, r->state, handle);
}

/* Whether the job is in another state than when the request came, or over. */
static bool has_changed(struct poll *poll, const struct job *job)
{
    if (!poll->knows_status)
        poll->status = job->status;
    poll->knows_status = true;
    return poll->status != job->status || job_is_over(job);
}

void poll_end_object(struct request *r, const struct job *job, void (*handle)(struct request *r))
{
    bool is_new;

    if (!r->state)
        return;
    if (request_header(r, MHD_HTTP_HEADER_IF_NONE_MATCH))
        is_new = r->answer.status != 304;
    else
        is_new = has_changed(r->state, job);
    if (!is_new)
        hold(r, r->state, handle);
}
