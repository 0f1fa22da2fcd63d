/* jobs.c - /v1/fine_tuning/jobs: create, list, show; what is done to a job is in job_steer.c. */
#include "api/handlers.h"

#include <stdlib.h>
#include <string.h>

#include "api/aside.h"
#include "api/creation.h"
#include "api/idempotency.h"
#include "api/job_check.h"
#include "api/job_codec.h"
#include "api/job_suggest.h"
#include "api/list.h"
#include "api/poll.h"
#include "api/respond.h"
#include "daemon/experiments.h"
#include "daemon/live.h"

#define JOBS_PER_PAGE     20
#define MAX_JOBS_PER_PAGE 100

/* ---- showing ---- */

void api_write_job(struct json_out *out, struct api *api, const struct job *job)
{
    struct job_progress progress;
    struct adapter_files files;
    struct job_view view = {0};

    if (job->status == JOB_RUNNING && live_get_progress(job->id, &progress) && progress.step > 0)
        view.live = &progress;
    if (adapter_files_read(api->store, job, &files, NULL) == PRILORA_OK)
        view.adapter = &files;
    job_encode(out, job, &view);
    adapter_files_clear(&files);
}

void api_respond_job(struct request *r, const struct job *job)
{
    struct json_out out = {0};

    api_write_job(&out, r->api, job);
    respond_written(r, 200, &out);
}

bool api_find_job(struct request *r, struct job *out)
{
    struct prilora_error err;
    enum prilora_status rc = queue_get(r->api->store, r->captures[0], out, &err);

    if (rc == PRILORA_ENOENT)
        respond_error(r, 404, "job_not_found", "fine_tuning_job_id", "no such job: %s",
                      r->captures[0]);
    else if (rc != PRILORA_OK)
        respond_internal(r, &err);
    return rc == PRILORA_OK;
}

void api_job_show(struct request *r)
{
    static const char *const names[] = {POLL_WAIT, NULL};
    struct job job;

    if (!query_check(r, names) || !poll_begin(r) || !api_find_job(r, &job))
        return;
    api_respond_job(r, &job);
    poll_end_object(r, &job, api_job_show);
    job_clear(&job);
}

/* ---- listing ---- */

/* metadata[k]=v parameters as pairs, NULL-terminated; keys are to be freed, values the query's.
 * Answers and returns false if a bracket is not closed. */
static bool read_filter(struct request *r, char *keys[QUERY_MAX_PARAMETERS + 1],
                        const char *pairs[2 * QUERY_MAX_PARAMETERS + 1])
{
    size_t n = 0;

    for (size_t i = 0; i < r->query.n; i++) {
        const char *name = r->query.list[i].name, *key = name + strlen("metadata[");
        size_t length;

        if (strncmp(name, "metadata[", strlen("metadata[")) != 0)
            continue;
        length = strlen(key);
        if (length == 0 || key[length - 1] != ']') {
            respond_error(r, 400, "invalid_value", name, "%s: must be metadata[key]", name);
            return false;
        }
        keys[n] = strndup(key, length - 1);
        if (!keys[n]) {
            respond_json(r, 503, NULL);
            return false;
        }
        pairs[2 * n] = keys[n];
        pairs[2 * n + 1] = r->query.list[i].value;
        n++;
    }
    return true;
}

/* status=queued,running as bits; answers and returns false if one of them is no state. */
static bool read_statuses(struct request *r, unsigned *out)
{
    const char *text = query_get(&r->query, "status");

    *out = 0;
    for (const char *p = text; p;) {
        size_t n = strcspn(p, ",");
        enum job_status status;

        if (!job_status_parse(p, n, &status)) {
            respond_error(r, 400, "invalid_value", "status",
                          "status: \"%s\", but must be one or several, with commas between, of "
                          "validating_files, queued, running, paused, succeeded, failed, cancelled",
                          text);
            return false;
        }
        *out |= 1u << status;
        p = p[n] ? p + n + 1 : NULL;
    }
    return true;
}

static void respond_jobs(struct request *r, const struct page *page,
                         const struct queue_query *query)
{
    struct job *jobs;
    struct prilora_error err;
    size_t n;
    bool has_more;
    struct json_out out = {0};

    if (queue_list(r->api->store, query, &jobs, &n, &has_more, &err) == PRILORA_OK) {
        json_out_open_list(&out);
        for (size_t i = 0; i < n; i++)
            api_write_job(&out, r->api, &jobs[i]);
        queue_free_list(jobs, n);
        json_out_close_list(&out, has_more);
        respond_written(r, 200, &out);
    } else {
        list_respond_failure(r, page, &err);
    }
}

/* Of an experiment: the one that the path names, or the one of the query. */
static void list_jobs(struct request *r, const char *const *others, bool of_path)
{
    const struct page_rules rules = {JOBS_PER_PAGE, MAX_JOBS_PER_PAGE, false, others};
    char *keys[QUERY_MAX_PARAMETERS + 1] = {NULL};
    const char *pairs[2 * QUERY_MAX_PARAMETERS + 1] = {NULL};
    struct experiment experiment = {0};
    struct page page;
    struct queue_query query = {0};

    if (!page_read(r, &rules, &page) || !read_statuses(r, &query.statuses) ||
        (of_path && !api_find_experiment(r, &experiment)))
        return;
    if (read_filter(r, keys, pairs)) {
        query.experiment = of_path ? experiment.id : query_get(&r->query, "experiment");
        query.after = page.after;
        query.limit = page.limit;
        query.metadata = pairs[0] ? pairs : NULL;
        respond_jobs(r, &page, &query);
    }
    for (size_t i = 0; keys[i]; i++)
        free(keys[i]);
    experiment_clear(&experiment);
}

void api_job_list(struct request *r)
{
    static const char *const others[] = {"metadata[", "status", "experiment", NULL};

    list_jobs(r, others, false);
}

void api_experiment_jobs(struct request *r)
{
    static const char *const others[] = {"metadata[", "status", NULL};

    list_jobs(r, others, true);
}

/* ---- creating ---- */

/* creation.write; the object is the struct job that was submitted. */
static enum prilora_status write_created(struct json_out *out, struct api *api, const void *object,
                                         struct prilora_error *err)
{
    struct job stored;
    const struct job *job = object;
    enum prilora_status rc = queue_get(api->store, job->id, &stored, err);

    if (rc == PRILORA_OK)
        api_write_job(out, api, &stored);
    job_clear(&stored);
    return rc;
}

static void submit(struct request *r, struct job *job)
{
    struct prilora_error err;
    struct creation creation = {.write = write_created, .object = job};
    enum prilora_status rc = creation_begin(&creation, r, &err);

    memcpy(job->key_id, r->caller, sizeof job->key_id);
    if (rc == PRILORA_OK)
        rc = queue_submit(r->api->store, job, &err);
    if (creation_end(&creation, r, rc))
        return;
    if (rc == PRILORA_ENOENT) /* it was deleted since it was looked at */
        respond_error(r, 400,
                      strcmp(err.where, "model") == 0 ? "model_not_found" : "file_not_found",
                      err.where, "%s: %s", err.where, err.message);
    else if (rc == PRILORA_ELIMIT)
        respond_quota(r, &err);
    else
        respond_internal(r, &err);
}

static bool check(struct request *r, struct job *job, struct job_settings *settings)
{
    struct prilora_error err = {0};
    struct fault fault;

    if (job_check(r->api, job, settings, &fault, &err))
        return true;
    if (err.status != PRILORA_OK)
        respond_internal(r, &err);
    else
        respond_fault(r, &fault);
    return false;
}

/* is_new: it is to be made, so that an Idempotency-Key counts. */
static bool read_job(struct request *r, bool is_new, struct job *out, struct job_settings *settings)
{
    struct fault fault;
    bool right = false;

    *settings = (struct job_settings){0};
    if (!query_check(r, NULL) || !respond_unless_json(r))
        return false;
    if (!job_decode(r->body, r->n_body, out, settings, &fault))
        respond_fault(r, &fault);
    else
        right =
            (!is_new || idempotency_check(r)) && (settings->ranks_from || check(r, out, settings));
    if (!right) {
        job_settings_clear(settings);
        job_clear(out);
    }
    return right;
}

bool api_read_job(struct request *r, struct job *out, struct job_settings *settings)
{
    return read_job(r, false, out, settings);
}

/* ---- creating one whose ranks a finished run suggests, which is asked aside ---- */

struct suggesting {
    struct store *store;
    struct models *models;
    struct job job;
    struct job_settings settings;
    bool found;
    struct fault fault;
    struct prilora_error err;
};

static void find_ranks(void *state)
{
    struct suggesting *s = state;

    s->found = job_suggest(&s->job, &s->settings, s->store, s->models, &s->fault, &s->err);
}

static void answer_suggested(struct request *r, void *state)
{
    struct suggesting *s = state;

    if (s->found && check(r, &s->job, &s->settings))
        submit(r, &s->job);
    else if (!s->found && s->err.status != PRILORA_OK)
        respond_internal(r, &s->err);
    else if (!s->found)
        respond_fault(r, &s->fault);
}

static void suggesting_free(void *state)
{
    struct suggesting *s = state;

    if (!s)
        return;
    job_settings_clear(&s->settings);
    job_clear(&s->job);
    free(s);
}

void api_job_create(struct request *r)
{
    static const struct aside_work work = {find_ranks, answer_suggested, suggesting_free};
    struct job_settings settings;
    struct suggesting *s;
    struct job job;

    if (!read_job(r, true, &job, &settings))
        return;
    if (settings.ranks_from) {
        s = calloc(1, sizeof *s);
        if (s) {
            *s = (struct suggesting){
                .store = r->api->store, .models = r->api->models, .job = job, .settings = settings};
            job = (struct job){0};
            settings = (struct job_settings){0};
        }
        aside_run(r, &work, s);
    } else {
        submit(r, &job);
    }
    job_settings_clear(&settings);
    job_clear(&job);
}
