/* events.c - a job's events, as a list (stream.c has them live), and its checkpoints. */
#include "api/handlers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/json.h"
#include "api/list.h"
#include "api/poll.h"
#include "api/respond.h"
#include "api/rows.h"
#include "api/stream.h"

#define EVENTS_PER_PAGE      20
#define CHECKPOINTS_PER_PAGE 10
#define MAX_PER_PAGE         1000

#define CHECKPOINT_PREFIX "ftckpt_"

static void list_events(struct request *r)
{
    static const char *const others[] = {"stream", POLL_WAIT, NULL};
    static const struct page_rules rules = {EVENTS_PER_PAGE, MAX_PER_PAGE, true, others};
    struct page page;
    struct events_query query;
    struct event *events;
    struct prilora_error err;
    struct job job;
    struct json_out out = {0};
    size_t n;
    bool has_more;

    if (!page_read(r, &rules, &page) || !poll_begin(r) || !api_find_job(r, &job))
        return;
    query = (struct events_query){job.id, page.after, page.ascending, page.limit};
    if (events_list(r->api->store, &query, &events, &n, &has_more, &err) == PRILORA_OK) {
        json_out_open_list(&out);
        for (size_t i = 0; i < n; i++)
            event_encode(&out, &events[i]);
        events_free_list(events, n);
        json_out_close_list(&out, has_more);
        respond_written(r, 200, &out);
        respond_header(r, MHD_HTTP_HEADER_VARY, "Accept");
        poll_end_list(r, n, list_events);
    } else {
        list_respond_failure(r, &page, &err);
    }
    job_clear(&job);
}

void api_job_events(struct request *r)
{
    bool streams;

    if (!stream_is_wanted(r, &streams))
        return;
    if (streams)
        stream_respond(r);
    else
        list_events(r);
}

/* ---- checkpoints: "ftckpt_", the job's own letters, "-", the step ---- */

static const char *own_letters(const struct job *job)
{
    const char *dash = strchr(job->id, '-');

    return dash ? dash + 1 : job->id;
}

/* The step in a checkpoint's id of this job; false: it is none. */
static bool parse_id(const char *id, const struct job *job, int64_t *step)
{
    char prefix[ID_SIZE + 16];
    size_t n = (size_t)snprintf(prefix, sizeof prefix, CHECKPOINT_PREFIX "%s-", own_letters(job));
    const char *digits = id + n;

    if (strncmp(id, prefix, n) != 0 || !*digits || strlen(digits) > 18 ||
        digits[strspn(digits, "0123456789")] != '\0')
        return false;
    *step = strtoll(digits, NULL, 10);
    return true;
}

/* The name that the model has, or will have, at this step. */
static void checkpoint_model(char *out, size_t room, const struct job *job, uint64_t step)
{
    snprintf(out, room, "%s:ckpt-step-%" PRIu64,
             job->fine_tuned_model ? job->fine_tuned_model : job->model, step);
}

static json_t *encode_checkpoint(const struct job *job, const struct series_row *row)
{
    char id[ID_SIZE + 40], model[400];
    json_t *stored = json_parsed(row->json), *object;
    json_t *metrics = json_object_get(stored, "metrics"),
           *best = json_object_get(stored, "is_best");

    snprintf(id, sizeof id, CHECKPOINT_PREFIX "%s-%" PRIu64, own_letters(job), row->step);
    checkpoint_model(model, sizeof model, job, row->step);
    object = json_pack("{s:s, s:s, s:I, s:s, s:s, s:I, s:O, s:O}", "id", id, "object",
                       "fine_tuning.job.checkpoint", "created_at", (json_int_t)row->created_at,
                       "fine_tuned_model_checkpoint", model, "fine_tuning_job_id", job->id,
                       "step_number", (json_int_t)row->step, "metrics",
                       metrics ? metrics : json_null(), "is_best", best ? best : json_false());
    json_decref(stored);
    return object;
}

static void list_checkpoints(struct request *r, const struct job *job, const struct page *page)
{
    struct series_row *rows;
    struct prilora_error err;
    int64_t before = -1;
    size_t n;
    bool has_more;
    json_t *data;

    if (page->after && !parse_id(page->after, job, &before)) {
        respond_error(r, 400, "invalid_value", "after", "after: nothing in this list is \"%s\"",
                      page->after);
        return;
    }
    if (series_list(r->api->store, SERIES_CHECKPOINTS, job->id, before, false, page->limit, &rows,
                    &n, &has_more, &err) != PRILORA_OK) {
        respond_internal(r, &err);
        return;
    }
    data = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(data, encode_checkpoint(job, &rows[i]));
    series_free_list(rows, n);
    respond_json(r, 200, list_make(data, has_more, true));
}

void api_job_checkpoints(struct request *r)
{
    static const struct page_rules rules = {CHECKPOINTS_PER_PAGE, MAX_PER_PAGE, false, NULL};
    struct page page;
    struct job job;

    if (!page_read(r, &rules, &page) || !api_find_job(r, &job))
        return;
    list_checkpoints(r, &job, &page);
    job_clear(&job);
}
