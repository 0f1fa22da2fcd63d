/* jobs.c - /v1/fine_tuning/jobs: create, list, show, cancel. */
#include "api/handlers.h"

#include <stdlib.h>
#include <string.h>

#include "api/job_codec.h"
#include "api/list.h"
#include "api/respond.h"
#include "daemon/files.h"
#include "daemon/live.h"
#include "daemon/worker.h"

#define JOBS_PER_PAGE     20
#define MAX_JOBS_PER_PAGE 100

/* ---- showing ---- */

static void write_job(struct json_out *out, struct api *api, const struct job *job)
{
    struct job_progress progress;
    struct adapter_files files;
    struct job_view view = {.now = store_now()};

    if (job->status == JOB_RUNNING && live_get_progress(job->id, &progress) && progress.step > 0)
        view.live = &progress;
    if (adapter_files_read(api->store, job, &files, NULL) == PRILORA_OK)
        view.adapter = &files;
    job_encode(out, job, &view);
    adapter_files_clear(&files);
}

static void respond_job(struct request *r, const struct job *job)
{
    struct json_out out = {0};

    write_job(&out, r->api, job);
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
    struct job job;

    if (!query_check(r, NULL) || !api_find_job(r, &job))
        return;
    respond_job(r, &job);
    job_clear(&job);
}

/* ---- listing ---- */

/* metadata[k]=v parameters as pairs, NULL-terminated; the texts stay the query's. */
static void collect_filter(const struct request *r, char *keys[QUERY_MAX_PARAMETERS],
                           const char *pairs[2 * QUERY_MAX_PARAMETERS + 1])
{
    size_t n = 0;

    for (size_t i = 0; i < r->query.n; i++) {
        const char *name = r->query.list[i].name;
        size_t length = strlen(name);

        keys[i] = NULL;
        if (strncmp(name, "metadata[", 9) != 0 || name[length - 1] != ']')
            continue;
        keys[i] = strndup(name + 9, length - 10);
        if (!keys[i])
            continue;
        pairs[n++] = keys[i];
        pairs[n++] = r->query.list[i].value;
    }
    pairs[n] = NULL;
}

void api_job_list(struct request *r)
{
    static const char *const others[] = {"metadata[", NULL};
    static const struct page_rules rules = {JOBS_PER_PAGE, MAX_JOBS_PER_PAGE, false, others};
    char *keys[QUERY_MAX_PARAMETERS];
    const char *pairs[2 * QUERY_MAX_PARAMETERS + 1];
    struct page page;
    struct queue_query query;
    struct job *jobs;
    struct prilora_error err;
    size_t n;
    bool has_more;
    struct json_out out = {0};

    if (!page_read(r, &rules, &page))
        return;
    collect_filter(r, keys, pairs);
    query = (struct queue_query){page.after, page.limit, pairs[0] ? pairs : NULL};
    if (queue_list(r->api->store, &query, &jobs, &n, &has_more, &err) == PRILORA_OK) {
        json_out_open_list(&out);
        for (size_t i = 0; i < n; i++)
            write_job(&out, r->api, &jobs[i]);
        queue_free_list(jobs, n);
        json_out_close_list(&out, has_more);
        respond_written(r, 200, &out);
    } else {
        list_respond_failure(r, &page, &err);
    }
    for (size_t i = 0; i < r->query.n; i++)
        free(keys[i]);
}

/* ---- cancelling ---- */

void api_job_cancel(struct request *r)
{
    struct job job;
    struct prilora_error err;
    enum prilora_status rc;

    if (!query_check(r, NULL) || !api_find_job(r, &job))
        return;
    job_clear(&job);
    rc = queue_cancel(r->api->store, r->captures[0], &job, &err);
    if (rc == PRILORA_EMISMATCH)
        respond_error(r, 409, "job_is_over", NULL, "%s", err.message);
    else if (rc != PRILORA_OK)
        respond_internal(r, &err);
    else
        respond_job(r, &job);
    job_clear(&job);
}

/* ---- creating ---- */

/* A file that a job may train on; answers and returns false if this one is not. */
static bool check_file(struct request *r, const char *param, const char *id)
{
    struct file file;
    struct prilora_error err;
    enum prilora_status rc;
    bool right;

    if (!id)
        return true;
    rc = files_get(r->api->store, id, &file, &err);
    if (rc == PRILORA_ENOENT)
        respond_error(r, 400, "file_not_found", param, "%s: no such file: %s", param, id);
    else if (rc != PRILORA_OK)
        respond_internal(r, &err);
    if (rc != PRILORA_OK)
        return false;
    right = strcmp(file.purpose, "fine-tune") == 0 && strcmp(file.status, "processed") == 0;
    if (!right)
        respond_error(r, 400, "invalid_file", param,
                      "%s: file %s is \"%s\" for \"%s\", but must be processed for fine-tune",
                      param, id, file.status, file.purpose);
    file_clear(&file);
    return right;
}

static void respond_unknown_model(struct request *r, const char *model)
{
    struct job job;

    if (queue_find_model(r->api->store, model, &job, NULL) == PRILORA_OK) {
        respond_error(r, 400, "unsupported_model", "model",
                      "%s is a finished adapter; training goes on from base models only: this "
                      "one's is %s",
                      model, job.model);
        job_clear(&job);
        return;
    }
    respond_error(r, 400, "model_not_found", "model",
                  "model: no such base model: %s (GET /v1/models lists those there are)", model);
}

/* A base that cannot be opened: which of our errors are the client's to know. */
static void respond_bad_model(struct request *r, const struct prilora_error *err)
{
    if (err->status == PRILORA_ENOMEM)
        respond_internal(r, err);
    else
        respond_error(r, 400,
                      err->status == PRILORA_EUNSUPPORTED ? "unsupported_model" : "invalid_model",
                      "model", "model: %s", err->message);
}

/* Steps and operations are known when the data have been read. */
static char *forecast_text(const struct prilora_forecast *f)
{
    json_t *object = json_pack("{s:I, s:I, s:I, s:I, s:n, s:n, s:n}", "memory_bytes",
                               (json_int_t)f->memory_bytes, "base_bytes", (json_int_t)f->base_bytes,
                               "n_trainable", (json_int_t)f->n_trainable, "n_adapter",
                               (json_int_t)f->n_adapter, "total_steps", "flops", "seconds");
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

    json_decref(object);
    return text;
}

/* What the job will need, into job->forecast; answers and returns false if that is too much. */
static bool forecast(struct request *r, struct job *job, const struct prilora_spec *spec)
{
    struct prilora_base *base;
    struct prilora_forecast forecast;
    struct prilora_error err;
    struct fault fault;

    if (models_acquire(r->api->models, job->model, &base, &err) != PRILORA_OK) {
        respond_bad_model(r, &err);
        return false;
    }
    if (worker_forecast(&forecast, r->api->config, base, spec, NULL, NULL, &err) != PRILORA_OK) {
        fault_from_spec(&fault, &err);
        respond_fault(r, &fault);
    } else if (worker_check_memory(r->api->config, &forecast, &err) != PRILORA_OK) {
        respond_error(r, 422, "not_enough_memory", NULL, "%s", err.message);
    } else {
        job->forecast = forecast_text(&forecast);
        if (!job->forecast)
            respond_json(r, 503, NULL);
    }
    models_release(r->api->models, base);
    return job->forecast != NULL;
}

static bool check_model(struct request *r, const char *model)
{
    struct model_entry entry;
    struct prilora_error err;
    enum prilora_status rc = models_find(r->api->models, model, &entry, &err);

    if (rc == PRILORA_ENOENT)
        respond_unknown_model(r, model);
    else if (rc != PRILORA_OK)
        respond_internal(r, &err);
    else
        model_entry_clear(&entry);
    return rc == PRILORA_OK;
}

static void submit(struct request *r, struct job *job)
{
    struct prilora_error err;
    struct job stored;
    enum prilora_status rc = queue_submit(r->api->store, job, &err);

    if (rc == PRILORA_OK)
        rc = queue_get(r->api->store, job->id, &stored, &err);
    if (rc == PRILORA_OK) {
        respond_job(r, &stored);
        job_clear(&stored);
    } else if (rc == PRILORA_ENOENT) { /* a file was deleted since it was looked at */
        respond_error(r, 400, "file_not_found", err.where, "%s: %s", err.where, err.message);
    } else {
        respond_internal(r, &err);
    }
}

bool api_read_job(struct request *r, struct job *out)
{
    struct prilora_spec *spec = NULL;
    struct fault fault;
    bool right = false;

    if (!query_check(r, NULL))
        return false;
    if (!request_is_type(r, "application/json")) {
        respond_error(r, 415, "unsupported_media_type", NULL, "the body must be application/json");
        return false;
    }
    if (!job_decode(r->body, r->n_body, out, &spec, &fault))
        respond_fault(r, &fault);
    else
        right = check_model(r, out->model) && check_file(r, "training_file", out->training_file) &&
                check_file(r, "validation_file", out->validation_file) && forecast(r, out, spec);
    prilora_spec_free(spec);
    if (!right)
        job_clear(out);
    return right;
}

void api_job_create(struct request *r)
{
    struct job job;

    if (!api_read_job(r, &job))
        return;
    submit(r, &job);
    job_clear(&job);
}
