/*
 * statistics.c - what PRILoRA shows of itself: every adapted map now and at each pruning, and the
 * numbers of each step. A running job's layers come from memory; it is not kept waiting.
 */
#include "api/handlers.h"

#include <stdlib.h>
#include <string.h>

#include "api/json.h"
#include "api/list.h"
#include "api/poll.h"
#include "api/respond.h"
#include "api/rows.h"
#include "daemon/live.h"
#include "daemon/report.h"

#define METRICS_PER_PAGE     1000
#define MAX_METRICS_PER_PAGE 10000
#define HISTORY_PER_PAGE     100
#define MAX_HISTORY_PER_PAGE 1000

/* ?after=<step>&limit= ; others as page_rules. Answers and returns false if they are wrong. */
static bool read_page(struct request *r, const struct page_rules *rules, int64_t *after,
                      size_t *limit)
{
    struct page page;

    *after = -1;
    if (!page_read(r, rules, &page))
        return false;
    *limit = page.limit;
    return !page.after || query_number(r, "after", 0, INT64_MAX, after);
}

static void respond_series(struct request *r, const struct job *job, enum series series,
                           int64_t after, size_t limit, void (*handle)(struct request *r))
{
    struct series_row *rows;
    struct prilora_error err;
    size_t n;
    bool has_more;
    struct json_out out = {0};

    if (series_list(r->api->store, series, job->id, after, true, limit, &rows, &n, &has_more,
                    &err) != PRILORA_OK) {
        respond_internal(r, &err);
        return;
    }
    json_out_open_list(&out);
    for (size_t i = 0; i < n; i++)
        series_encode(&out, &rows[i]);
    series_free_list(rows, n);
    json_out_close_list(&out, has_more);
    respond_written(r, 200, &out);
    poll_end_list(r, n, handle);
}

void api_job_metrics(struct request *r)
{
    static const char *const others[] = {POLL_WAIT, NULL};
    static const struct page_rules rules = {METRICS_PER_PAGE, MAX_METRICS_PER_PAGE, false, others};
    struct job job;
    int64_t after;
    size_t limit;

    if (!read_page(r, &rules, &after, &limit) || !poll_begin(r) || !api_find_job(r, &job))
        return;
    respond_series(r, &job, SERIES_METRICS, after, limit, api_job_metrics);
    job_clear(&job);
}

/* ---- layers ---- */

/* {"object": "list", "job_id", "step", "data": [...]}; takes data. */
static void respond_layers(struct request *r, const struct job *job, json_t *step, json_t *data)
{
    respond_json(r, 200,
                 json_pack("{s:s, s:s, s:o, s:o, s:b}", "object", "list", "job_id", job->id, "step",
                           step, "data", data, "has_more", 0));
}

static bool respond_live_layers(struct request *r, const struct job *job)
{
    struct prilora_layer *layers;
    uint64_t step;
    size_t n = live_get_layers(job->id, &layers, &step);
    json_t *data;

    if (n > 0) {
        data = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(data, report_layer(&layers[i]));
        respond_layers(r, job, json_integer((json_int_t)step), data);
    }
    free(layers);
    return n > 0;
}

static void respond_last_layers(struct request *r, const struct job *job)
{
    struct series_row *rows;
    struct prilora_error err;
    size_t n;
    bool has_more;
    json_t *stored, *layers;

    if (series_list(r->api->store, SERIES_LAYERS, job->id, -1, false, 1, &rows, &n, &has_more,
                    &err) != PRILORA_OK) {
        respond_internal(r, &err);
        return;
    }
    stored = n ? json_parsed(rows[0].json) : NULL;
    layers = json_object_get(stored, "layers");
    respond_layers(r, job, n ? json_integer((json_int_t)rows[0].step) : json_null(),
                   layers ? json_incref(layers) : json_array());
    json_decref(stored);
    series_free_list(rows, n);
}

void api_job_layers(struct request *r)
{
    static const char *const now_names[] = {"history", POLL_WAIT, NULL};
    static const struct page_rules history_rules = {HISTORY_PER_PAGE, MAX_HISTORY_PER_PAGE, false,
                                                    now_names};
    int64_t history = 0, after;
    size_t limit = 0;
    struct job job;

    if (query_get(&r->query, "history") && !query_number(r, "history", 0, 1, &history))
        return;
    if (history ? !read_page(r, &history_rules, &after, &limit) : !query_check(r, now_names))
        return;
    if (!poll_begin(r) || !api_find_job(r, &job))
        return;
    if (history) {
        respond_series(r, &job, SERIES_LAYERS, after, limit, api_job_layers);
    } else {
        if (!respond_live_layers(r, &job))
            respond_last_layers(r, &job);
        poll_end_object(r, &job, api_job_layers);
    }
    job_clear(&job);
}
