/* jobs.c - /v1/fine_tuning/jobs: create, list, show; what is done to a job is in job_steer.c. */
#include "api/handlers.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/json_memory.h"
#include "api/creation.h"
#include "api/idempotency.h"
#include "api/job_codec.h"
#include "api/list.h"
#include "api/poll.h"
#include "api/respond.h"
#include "daemon/error.h"
#include "daemon/files.h"
#include "daemon/live.h"
#include "daemon/worker.h"

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

void api_job_list(struct request *r)
{
    static const char *const others[] = {"metadata[", "status", NULL};
    static const struct page_rules rules = {JOBS_PER_PAGE, MAX_JOBS_PER_PAGE, false, others};
    char *keys[QUERY_MAX_PARAMETERS + 1] = {NULL};
    const char *pairs[2 * QUERY_MAX_PARAMETERS + 1] = {NULL};
    struct page page;
    struct queue_query query;

    if (!page_read(r, &rules, &page) || !read_statuses(r, &query.statuses))
        return;
    if (read_filter(r, keys, pairs)) {
        query.after = page.after;
        query.limit = page.limit;
        query.metadata = pairs[0] ? pairs : NULL;
        respond_jobs(r, &page, &query);
    }
    for (size_t i = 0; keys[i]; i++)
        free(keys[i]);
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
    char *text = object ? json_whole_text(object, JSON_COMPACT) : NULL;

    json_decref(object);
    return text;
}

/* The settings of a job that goes on from an adapter: what the client left open is the adapter's.
 */
static enum prilora_status continue_spec(struct request *r, struct job *job,
                                         struct job_settings *settings,
                                         const struct prilora_base *base, struct prilora_error *err)
{
    struct job made;
    char *folder = NULL;
    enum prilora_status rc = queue_find_model(r->api->store, job->start_from, &made, err);

    if (rc != PRILORA_OK)
        return rc;
    folder = queue_folder(r->api->store, made.id, "adapter");
    job_clear(&made);
    prilora_spec_free(settings->spec);
    settings->spec = NULL;
    rc = folder ? prilora_spec_continue(&settings->spec, settings->text, strlen(settings->text),
                                        base, folder, err)
                : error_memory(err);
    free(folder);
    if (rc != PRILORA_OK)
        return rc;
    free(job->spec);
    job->spec = prilora_spec_dump(settings->spec);
    return job->spec ? PRILORA_OK : error_memory(err);
}

static void respond_bad_spec(struct request *r, const struct prilora_error *err)
{
    struct fault fault;

    if (error_is_machines(err->status)) {
        respond_internal(r, err);
        return;
    }
    fault_from_spec(&fault, err);
    respond_fault(r, &fault);
}

/* What the job will need, into job->forecast; answers and returns false if that is too much. */
static bool forecast(struct request *r, struct job *job, struct job_settings *settings)
{
    struct prilora_base *base;
    struct prilora_forecast forecast;
    struct prilora_error err;
    enum prilora_status rc = PRILORA_OK;

    if (models_acquire(r->api->models, job->model, &base, &err) != PRILORA_OK) {
        respond_bad_model(r, &err);
        return false;
    }
    if (job->start_from)
        rc = continue_spec(r, job, settings, base, &err);
    if (rc == PRILORA_OK)
        rc = worker_forecast(&forecast, r->api->config, base, settings->spec, NULL, NULL, &err);
    if (rc != PRILORA_OK) {
        respond_bad_spec(r, &err);
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

/*
 * A base model; or a finished adapter, which the job then goes on from: its base becomes
 * job->model. Answers and returns false if it is neither.
 */
static bool check_model(struct request *r, struct job *job)
{
    struct model_entry entry;
    struct job made;
    struct prilora_error err;
    enum prilora_status rc = models_find(r->api->models, job->model, &entry, &err);

    if (rc == PRILORA_OK) {
        model_entry_clear(&entry);
        return true;
    }
    if (rc == PRILORA_ENOENT)
        rc = queue_find_model(r->api->store, job->model, &made, &err);
    if (rc == PRILORA_OK) {
        job->start_from = job->model;
        job->model = made.model;
        made.model = NULL;
        job_clear(&made);
        return true;
    }
    if (rc == PRILORA_ENOENT)
        respond_error(r, 400, "model_not_found", "model",
                      "model: no such base model or finished adapter: %s (GET /v1/models lists "
                      "those there are)",
                      job->model);
    else
        respond_internal(r, &err);
    return false;
}

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

static const char *mismatched_file(const struct job_settings *settings)
{
    const char *id = settings->spec->mismatched_file;

    return *id ? id : NULL;
}

/* is_new: it is to be made, so that an Idempotency-Key counts. */
static bool read_job(struct request *r, bool is_new, struct job *out)
{
    struct job_settings settings;
    struct fault fault;
    bool right = false;

    if (!query_check(r, NULL) || !respond_unless_json(r))
        return false;
    if (!job_decode(r->body, r->n_body, out, &settings, &fault))
        respond_fault(r, &fault);
    else
        right = (!is_new || idempotency_check(r)) && check_model(r, out) &&
                check_file(r, "training_file", out->training_file) &&
                check_file(r, "validation_file", out->validation_file) &&
                check_file(r, "task.mismatched_file", mismatched_file(&settings)) &&
                forecast(r, out, &settings);
    job_settings_clear(&settings);
    if (!right)
        job_clear(out);
    return right;
}

bool api_read_job(struct request *r, struct job *out)
{
    return read_job(r, false, out);
}

void api_job_create(struct request *r)
{
    struct job job;

    if (!read_job(r, true, &job))
        return;
    submit(r, &job);
    job_clear(&job);
}
