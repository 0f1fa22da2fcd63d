/* job_check.c - see job_check.h. */
#include "api/job_check.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/error.h"
#include "daemon/files.h"
#include "daemon/json_memory.h"
#include "daemon/models.h"
#include "daemon/worker.h"

struct checking {
    struct api *api;
    struct job *job;
    struct job_settings *settings;
    struct fault *fault;
    struct prilora_error *err;
};

/* Not the client's fault: *c->err says what it is. */
static bool trouble(struct checking *c, enum prilora_status rc)
{
    c->err->status = rc;
    return false;
}

/* The job's fault: what *c->err holds was about that, or about nothing. */
static struct fault *wrong(struct checking *c)
{
    c->err->status = PRILORA_OK;
    return c->fault;
}

/* A file that a job may train on. */
static bool check_file(struct checking *c, const char *param, const char *id)
{
    struct file file;
    enum prilora_status rc;
    bool right;

    if (!id)
        return true;
    rc = files_get(c->api->store, id, &file, c->err);
    if (rc == PRILORA_ENOENT)
        return fault_set(wrong(c), 400, "file_not_found", param, "%s: no such file: %s", param, id);
    if (rc != PRILORA_OK)
        return trouble(c, rc);
    right = strcmp(file.purpose, "fine-tune") == 0 && strcmp(file.status, "processed") == 0;
    if (!right)
        fault_set(wrong(c), 400, "invalid_file", param,
                  "%s: file %s is \"%s\" for \"%s\", but must be processed for fine-tune", param,
                  id, file.status, file.purpose);
    file_clear(&file);
    return right;
}

/* A base that cannot be opened: which of our errors are the client's to know. */
static bool fail_model(struct checking *c, enum prilora_status rc)
{
    if (rc == PRILORA_ENOMEM)
        return trouble(c, rc);
    return fault_set(wrong(c), 400,
                     rc == PRILORA_EUNSUPPORTED ? "unsupported_model" : "invalid_model", "model",
                     "model: %s", c->err->message);
}

static bool fail_spec(struct checking *c, enum prilora_status rc)
{
    if (error_is_machines(rc))
        return trouble(c, rc);
    fault_from_spec(wrong(c), c->err);
    return false;
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
static enum prilora_status continue_spec(struct checking *c, const struct prilora_base *base)
{
    struct job made;
    struct job *job = c->job;
    struct job_settings *settings = c->settings;
    char *folder = NULL;
    enum prilora_status rc = queue_find_model(c->api->store, job->start_from, &made, c->err);

    if (rc != PRILORA_OK)
        return rc;
    folder = queue_folder(c->api->store, made.id, "adapter");
    job_clear(&made);
    prilora_spec_free(settings->spec);
    settings->spec = NULL;
    rc = folder ? prilora_spec_continue(&settings->spec, settings->text, strlen(settings->text),
                                        base, folder, c->err)
                : error_memory(c->err);
    free(folder);
    if (rc != PRILORA_OK)
        return rc;
    free(job->spec);
    job->spec = prilora_spec_dump(settings->spec);
    return job->spec ? PRILORA_OK : error_memory(c->err);
}

/* What the job will need, into job->forecast. */
static bool check_memory(struct checking *c, const struct prilora_base *base)
{
    struct prilora_forecast forecast;
    enum prilora_status rc = c->job->start_from ? continue_spec(c, base) : PRILORA_OK;

    if (rc == PRILORA_OK)
        rc =
            worker_forecast(&forecast, c->api->config, base, c->settings->spec, NULL, NULL, c->err);
    if (rc != PRILORA_OK)
        return fail_spec(c, rc);
    if (worker_check_memory(c->api->config, &forecast, c->err) != PRILORA_OK)
        return fault_set(wrong(c), 422, "not_enough_memory", NULL, "%s", c->err->message);
    c->job->forecast = forecast_text(&forecast);
    return c->job->forecast || trouble(c, error_memory(c->err));
}

static bool forecast(struct checking *c)
{
    struct prilora_base *base;
    enum prilora_status rc = models_acquire(c->api->models, c->job->model, &base, c->err);
    bool right;

    if (rc != PRILORA_OK)
        return fail_model(c, rc);
    right = check_memory(c, base);
    models_release(c->api->models, base);
    return right;
}

/* A base model; or a finished adapter, which the job then goes on from: its base becomes
 * job->model. */
static bool check_model(struct checking *c)
{
    struct model_entry entry;
    struct job made;
    struct job *job = c->job;
    enum prilora_status rc = models_find(c->api->models, job->model, &entry, c->err);

    if (rc == PRILORA_OK) {
        model_entry_clear(&entry);
        return true;
    }
    if (rc == PRILORA_ENOENT)
        rc = queue_find_model(c->api->store, job->model, &made, c->err);
    if (rc == PRILORA_OK) {
        job->start_from = job->model;
        job->model = made.model;
        made.model = NULL;
        job_clear(&made);
        return true;
    }
    if (rc == PRILORA_ENOENT)
        return fault_set(wrong(c), 400, "model_not_found", "model",
                         "model: no such base model or finished adapter: %s (GET /v1/models lists "
                         "those there are)",
                         job->model);
    return trouble(c, rc);
}

static const char *mismatched_file(const struct job_settings *settings)
{
    const char *id = settings->spec->mismatched_file;

    return *id ? id : NULL;
}

bool job_check(struct api *api, struct job *job, struct job_settings *settings, struct fault *fault,
               struct prilora_error *err)
{
    struct checking c = {api, job, settings, fault, err};

    return check_model(&c) && check_file(&c, "training_file", job->training_file) &&
           check_file(&c, "validation_file", job->validation_file) &&
           check_file(&c, "task.mismatched_file", mismatched_file(settings)) && forecast(&c);
}
