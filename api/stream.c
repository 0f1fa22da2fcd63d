/*
 * stream.c - GET /v1/fine_tuning/jobs/{id}/events as text/event-stream.
 *
 * The answer begins with `retry:`; then come messages, which batch.h describes; while there are
 * none a comment every 15 s (":" and an empty line); last of all `event: end`, and the answer is
 * over. Every message has an id. A client that lost the connection sends the last one that it got
 * back, as the header Last-Event-ID or as ?last_event_id=, and is sent what followed, nothing twice
 * and nothing left out; the header counts if both are there, because browsers repeat the address
 * as it was. A client that comes back after `end` (an EventSource does, unless it is closed) gets
 * 204, which tells browsers to stay away.
 *
 * libmicrohttpd asks for bytes on the connection's polling thread. If there are none, the
 * connection is suspended there until the ticker of watch.h wakes it; a stream whose key has been
 * revoked or has expired is over then, without `end`. What a stream holds is one
 * batch, shared with all who stand at the same place, and the next one is read only when the client
 * has taken this one: one that reads slowly costs nothing more.
 */
#include "api/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/handlers.h"
#include "api/job_codec.h"
#include "api/list.h"
#include "api/respond.h"
#include "api/waiting.h"
#include "api/watch.h"
#include "daemon/log.h"

#define MEDIA_TYPE "text/event-stream"
#define BLOCK      ((size_t)4096) /* for HTTP/1.0; chunks are as large as there is room */
#define RETRY      "retry: 2000\n\n"
#define HEARTBEAT  ":\n\n"
#define LAST_ID    "last_event_id"
#define HEADER_ID  "Last-Event-ID"

struct stream {
    struct watcher watcher;
    struct request *request;
    struct cursor at;
    struct batch *batch; /* being sent, or NULL */
    const char *text;    /* what is left of it, or of a line that is not in a batch */
    size_t n;
    bool looks; /* there may be something new */
};

/* ---- what is asked for ---- */

/* Whether a header like Accept names the media type, other than with q=0. */
static bool accepts(const char *header, const char *type)
{
    size_t n = strlen(type);

    while (header && *header) {
        size_t length;
        const char *q;

        header += strspn(header, " \t,");
        length = strcspn(header, ",");
        q = memmem(header, length, "q=0", 3);
        if (strncasecmp(header, type, n) == 0 && strchr(" \t;,", header[n]) &&
            !(q && strspn(q + 3, ".0") == strcspn(q + 3, ", \t;")))
            return true;
        header += length;
    }
    return false;
}

bool stream_is_wanted(struct request *r, bool *wanted)
{
    const char *text = query_get(&r->query, "stream");

    *wanted = text ? strcmp(text, "true") == 0
                   : accepts(request_header(r, MHD_HTTP_HEADER_ACCEPT), MEDIA_TYPE);
    if (!text || *wanted || strcmp(text, "false") == 0)
        return true;
    respond_error(r, 400, "invalid_value", "stream", "stream: \"%s\", but must be true or false",
                  text);
    return false;
}

/* Where to go on; answers and returns false if the id is wrong. */
static bool read_position(struct request *r, const char *job_id, struct position *out)
{
    const char *header = request_header(r, HEADER_ID);
    const char *id = header && *header ? header : query_get(&r->query, LAST_ID);

    *out = (struct position){0};
    if (!id || !*id || position_parse(out, job_id, id))
        return true;
    respond_error(r, 400, "invalid_value", id == header ? HEADER_ID : LAST_ID,
                  "%s: \"%.100s\" is no id of this job's stream; leave it out to be sent all",
                  id == header ? HEADER_ID : LAST_ID, id);
    return false;
}

/* ---- sending ---- */

/* The next batch; false: it cannot be had, which is in the log. */
static bool take_batch(struct stream *s)
{
    struct watcher *watcher = &s->watcher;
    struct request *r = s->request;
    struct prilora_error err;

    watch_look(watcher);
    s->batch = watch_find_batch(watcher, &s->at);
    if (!s->batch) {
        if (batch_read(&s->batch, r->api, r->captures[0], &s->at, &err) != PRILORA_OK) {
            log_error("http", "%s: stream of %s: %s", r->id, r->captures[0], err.message);
            return false;
        }
        watch_share_batch(watcher, s->batch);
    }
    s->text = s->batch->n ? s->batch->text : HEARTBEAT;
    s->n = s->batch->n ? s->batch->n : strlen(HEARTBEAT);
    return true;
}

static void end_batch(struct stream *s)
{
    if (!s->batch)
        return;
    s->at = s->batch->to;
    s->looks = s->batch->has_more;
    batch_release(s->batch);
    s->batch = NULL;
}

static ssize_t send_some(void *context, uint64_t sent, char *out, size_t room)
{
    struct stream *s = context;
    size_t n;

    (void)sent;
    while (s->n == 0) {
        if (s->at.position.ended || api_is_stopping(s->request->api) ||
            !auth_still_holds(s->request))
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (!s->looks) {
            s->looks = true; /* when it is woken, and if it was told of something meanwhile */
            if (watch_sleep(&s->watcher, NULL))
                return 0;
        }
        if (!take_batch(s))
            return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    n = s->n < room ? s->n : room;
    memcpy(out, s->text, n);
    s->text += n;
    s->n -= n;
    if (s->n == 0)
        end_batch(s);
    return (ssize_t)n;
}

/* ---- answering ---- */

static void stream_free(void *state)
{
    struct stream *s = state;

    watch_leave(&s->watcher);
    batch_release(s->batch);
    free(s);
}

static void add_headers(struct request *r)
{
    respond_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, MEDIA_TYPE);
    respond_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
    respond_header(r, MHD_HTTP_HEADER_VARY, "Accept");
    respond_header(r, "X-Accel-Buffering", "no"); /* nginx would wait for a full buffer */
}

static void start(struct request *r, const char *job_id, const struct position *position)
{
    struct stream *s = calloc(1, sizeof *s);
    struct MHD_Response *response = NULL;

    if (s) {
        *s = (struct stream){.request = r,
                             .at = {.position = *position},
                             .text = RETRY,
                             .n = strlen(RETRY),
                             .looks = true};
        r->state = s;
        r->free_state = stream_free;
        if (!watch_join(&s->watcher, r, job_id, 0))
            return;
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, send_some, s, NULL);
    }
    respond_take(r, 200, response);
    if (response)
        add_headers(r);
    /* libmicrohttpd sends the last chunk of a body that HEAD does not have: where a client would
     * look for its next answer */
    if (strcmp(r->method, "HEAD") == 0)
        r->must_close = true;
}

void stream_respond(struct request *r)
{
    static const char *const names[] = {"stream", LAST_ID, NULL};
    struct position position;
    struct job job;
    bool is_over;

    if (!query_check(r, names) || !api_find_job(r, &job))
        return;
    if (read_position(r, job.id, &position)) {
        is_over = position.ended && job_is_over(&job);
        position.ended = false; /* it is told again if it has not come */
        if (is_over)
            respond_take(r, 204,
                         MHD_create_response_from_buffer(0, (char[1]){0}, MHD_RESPMEM_MUST_COPY));
        else
            start(r, job.id, &position);
    }
    job_clear(&job);
}
