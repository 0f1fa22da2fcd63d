/*
 * forecast.c - POST /v1/fine_tuning/forecasts: what a job would need, without queueing it; and the
 * settings that it may have.
 */
#include "api/handlers.h"

#include <stdlib.h>

#include "api/aside.h"
#include "api/job_suggest.h"
#include "api/json.h"
#include "api/list.h"
#include "api/respond.h"
#include "daemon/error.h"
#include "daemon/worker.h"

struct forecasting {
    const struct config *config;
    struct store *store;
    struct models *models;
    struct job job;
    struct job_settings settings;
    bool has_fault; /* the ranks could not be suggested */
    struct fault fault;
    enum prilora_status rc;
    struct worker_outlook outlook;
    struct prilora_error err;
};

static void look_ahead(void *state)
{
    struct forecasting *f = state;

    if (f->settings.ranks_from &&
        !job_suggest(&f->job, &f->settings, f->store, f->models, &f->fault, &f->err)) {
        f->rc = f->err.status;
        f->has_fault = f->rc == PRILORA_OK;
        return;
    }
    f->rc = worker_look_ahead(&f->outlook, f->config, f->store, f->models, &f->job, &f->err);
}

static void forecasting_free(void *state)
{
    struct forecasting *f = state;

    if (!f)
        return;
    job_settings_clear(&f->settings);
    job_clear(&f->job);
    free(f);
}

/* ---- answering ---- */

static void write_data(struct json_out *out, const char *name,
                       const struct prilora_dataset_info *data)
{
    if (data->n_examples == 0) {
        json_out_null(out, name);
        return;
    }
    json_out_open(out, name, '{');
    json_out_integer(out, "n_examples", (int64_t)data->n_examples);
    json_out_integer(out, "n_tokens", (int64_t)data->n_tokens);
    json_out_integer(out, "longest", (int64_t)data->longest);
    json_out_integer(out, "n_truncated", (int64_t)data->n_truncated);
    if (data->task == PRILORA_TASK_QUESTION_ANSWERING)
        json_out_integer(out, "n_questions", (int64_t)data->n_questions);
    json_out_close(out, '}');
}

static void write_outlook(struct json_out *out, const struct forecasting *f)
{
    const struct worker_outlook *o = &f->outlook;

    json_out_open(out, NULL, '{');
    json_out_text(out, "object", "fine_tuning.forecast");
    json_out_text(out, "model", f->job.model);
    json_out_integer(out, "memory_bytes", (int64_t)o->forecast.memory_bytes);
    json_out_integer(out, "base_bytes", (int64_t)o->forecast.base_bytes);
    json_out_integer(out, "n_trainable", (int64_t)o->forecast.n_trainable);
    json_out_integer(out, "n_adapter", (int64_t)o->forecast.n_adapter);
    json_out_integer(out, "total_steps", (int64_t)o->forecast.total_steps);
    json_out_real(out, "flops", o->forecast.flops);
    if (o->seconds >= 0)
        json_out_real(out, "seconds", o->seconds);
    else
        json_out_null(out, "seconds");
    json_out_text(out, "task", api_task_word(o->train.task));
    json_out_integer(out, "n_labels", (int64_t)o->train.n_labels);
    json_out_integer(out, "n_examples", (int64_t)o->train.n_examples);
    json_out_integer(out, "n_tokens", (int64_t)o->train.n_tokens);
    write_data(out, "training", &o->train);
    write_data(out, "validation", &o->valid);
    json_out_open(out, "ranks", '[');
    for (size_t i = 0; i < o->n_layers; i++)
        json_out_integer(out, NULL, (int64_t)o->ranks[i]);
    json_out_close(out, ']');
    json_out_close(out, '}');
}

static void respond_failure(struct request *r, const struct forecasting *f)
{
    const char *code = f->outlook.error_code;

    if (error_is_machines(f->rc))
        respond_internal(r, &f->err);
    else if (f->rc == PRILORA_ELIMIT && !f->outlook.error_param)
        respond_error(r, 422, code, NULL, "%s", f->err.message);
    else
        respond_error(r, 400, code, f->outlook.error_param, "%s", f->err.message);
}

static void answer_forecast(struct request *r, void *state)
{
    struct forecasting *f = state;
    struct json_out out = {0};

    if (f->has_fault || f->rc != PRILORA_OK) {
        if (f->has_fault)
            respond_fault(r, &f->fault);
        else
            respond_failure(r, f);
        return;
    }
    write_outlook(&out, f);
    respond_written(r, 200, &out);
}

/* ---- the requests ---- */

void api_forecast_create(struct request *r)
{
    static const struct aside_work work = {look_ahead, answer_forecast, forecasting_free};
    struct job_settings settings;
    struct forecasting *f;
    struct job job;

    if (!api_read_job(r, &job, &settings))
        return;
    f = calloc(1, sizeof *f);
    if (!f) {
        job_settings_clear(&settings);
        job_clear(&job);
        respond_json(r, 503, NULL);
        return;
    }
    f->config = r->api->config;
    f->store = r->api->store;
    f->models = r->api->models;
    f->job = job;
    f->settings = settings;
    aside_run(r, &work, f);
}

void api_setting_list(struct request *r)
{
    char *text;

    if (!query_check(r, NULL))
        return;
    text = prilora_spec_settings();
    respond_json(r, 200, text ? list_make(json_parsed(text), false, false) : NULL);
    free(text);
}
