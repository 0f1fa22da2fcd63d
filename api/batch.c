/*
 * batch.c - see batch.h.
 *
 * The job is read first: one that is over has written all that it ever will, so what is read after
 * it is complete.
 */
#include "api/batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/job_codec.h"
#include "api/rows.h"
#include "daemon/error.h"
#include "daemon/live.h"

/* Of each kind in one batch: what a slow reader makes us hold stays near 100 kB. */
#define MAX_EVENTS  50
#define MAX_METRICS 200
#define MAX_LAYERS  1

struct reading {
    struct api *api;
    const char *job_id;
    struct batch *batch;
    FILE *out;
    bool failed; /* out of memory */
};

/* ---- holding ---- */

bool batch_follows(const struct batch *batch, const struct cursor *cursor)
{
    const struct position *a = &batch->from.position, *b = &cursor->position;

    return a->event == b->event && a->metrics == b->metrics && a->layers == b->layers &&
           a->ended == b->ended && strcmp(batch->from.job, cursor->job) == 0 &&
           strcmp(batch->from.progress, cursor->progress) == 0;
}

void batch_hold(struct batch *batch)
{
    atomic_fetch_add(&batch->n_holders, 1);
}

void batch_release(struct batch *batch)
{
    if (!batch || atomic_fetch_sub(&batch->n_holders, 1) > 1)
        return;
    free(batch->text);
    free(batch);
}

/* ---- messages ---- */

/* Takes `json`; its id is where the reader stands after it. */
static void add(struct reading *reading, const char *name, struct json_out *json)
{
    char id[POSITION_SIZE];

    position_format(id, reading->job_id, &reading->batch->to.position);
    if (json->failed)
        reading->failed = true;
    else
        fprintf(reading->out, "event: %s\nid: %s\ndata: %s\n\n", name, id, json->text);
    json_out_clear(json);
}

/* The job, if it is another one than was shown last but for its progress. */
static void add_job(struct reading *reading, const struct job *job)
{
    static const struct job_progress none;
    const struct job_view still = {.live = &none};
    struct json_out text = {0};
    char etag[ETAG_SIZE] = "";

    job_encode(&text, job, &still);
    if (!text.failed)
        etag_make(etag, text.text, text.n);
    json_out_clear(&text);
    if (strcmp(etag, reading->batch->from.job) == 0)
        return;
    api_write_job(&text, reading->api, job);
    add(reading, "job", &text);
    memcpy(reading->batch->to.job, etag, sizeof etag);
}

static void add_progress(struct reading *reading, const struct job *job)
{
    struct job_progress live;
    struct json_out text = {0};
    char etag[ETAG_SIZE] = "";

    if (job->status != JOB_RUNNING || !live_get_progress(job->id, &live) || live.step == 0)
        return;
    job_encode_progress(&text, job, &live);
    if (!text.failed)
        etag_make(etag, text.text, text.n);
    if (strcmp(etag, reading->batch->from.progress) == 0) {
        json_out_clear(&text);
        return;
    }
    add(reading, "progress", &text);
    memcpy(reading->batch->to.progress, etag, sizeof etag);
}

static enum prilora_status add_series(struct reading *reading, enum series series, const char *name,
                                      size_t limit, int64_t *revision, struct prilora_error *err)
{
    struct series_row *rows;
    size_t n;
    bool has_more;
    enum prilora_status rc = series_list_changed(reading->api->store, series, reading->job_id,
                                                 *revision, limit, &rows, &n, &has_more, err);

    if (rc != PRILORA_OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        struct json_out text = {0};

        *revision = rows[i].revision;
        series_encode(&text, &rows[i]);
        add(reading, name, &text);
    }
    series_free_list(rows, n);
    reading->batch->has_more |= has_more;
    return PRILORA_OK;
}

static void add_events(struct reading *reading, const struct event *events, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct json_out text = {0};

        reading->batch->to.position.event = events[i].sequence;
        event_encode(&text, &events[i]);
        add(reading, "message", &text);
    }
}

static void add_end(struct reading *reading, const char *status)
{
    struct json_out text = {0};

    reading->batch->to.position.ended = true;
    json_out_open(&text, NULL, '{');
    json_out_text(&text, "id", reading->job_id);
    json_out_text(&text, "status", status);
    json_out_close(&text, '}');
    add(reading, "end", &text);
}

/* ---- reading ---- */

static enum prilora_status add_all(struct reading *reading, const struct job *job,
                                   struct prilora_error *err)
{
    struct batch *batch = reading->batch;
    struct position *to = &batch->to.position;
    struct event *events;
    size_t n;
    enum prilora_status rc = events_list_after(reading->api->store, reading->job_id, to->event,
                                               MAX_EVENTS, &events, &n, &batch->has_more, err);

    if (rc != PRILORA_OK)
        return rc;
    add_job(reading, job);
    rc = add_series(reading, SERIES_METRICS, "metrics", MAX_METRICS, &to->metrics, err);
    if (rc == PRILORA_OK)
        rc = add_series(reading, SERIES_LAYERS, "layers", MAX_LAYERS, &to->layers, err);
    if (rc == PRILORA_OK) {
        add_events(reading, events, n);
        add_progress(reading, job);
        if (job_is_over(job) && !batch->has_more)
            add_end(reading, job_status_name(job->status));
    }
    events_free_list(events, n);
    return rc;
}

static enum prilora_status fill(struct reading *reading, struct prilora_error *err)
{
    struct job job;
    enum prilora_status rc = queue_get(reading->api->store, reading->job_id, &job, err);

    if (rc == PRILORA_ENOENT) {
        add_end(reading, "deleted");
        return PRILORA_OK;
    }
    if (rc != PRILORA_OK)
        return rc;
    rc = add_all(reading, &job, err);
    job_clear(&job);
    return rc;
}

enum prilora_status batch_read(struct batch **out, struct api *api, const char *job_id,
                               const struct cursor *from, struct prilora_error *err)
{
    struct batch *batch = calloc(1, sizeof *batch);
    struct reading reading = {.api = api, .job_id = job_id, .batch = batch};
    enum prilora_status rc;

    *out = NULL;
    if (!batch)
        return error_memory(err);
    atomic_init(&batch->n_holders, 1);
    batch->from = batch->to = *from;
    reading.out = open_memstream(&batch->text, &batch->n);
    if (!reading.out) {
        batch_release(batch);
        return error_memory(err);
    }
    rc = fill(&reading, err);
    if ((fclose(reading.out) != 0 || reading.failed) && rc == PRILORA_OK)
        rc = error_memory(err);
    if (rc == PRILORA_OK)
        *out = batch;
    else
        batch_release(batch);
    return rc;
}
