/*
 * predictions.c - POST /v1/predictions. The request is suspended while the predictor's thread
 * computes, together with whatever else waits for the same adapter.
 */
#include "api/handlers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/list.h"
#include "api/prediction_codec.h"
#include "api/respond.h"
#include "api/waiting.h"

/* The request's own, until it is answered. */
struct asking {
    struct predictor *predictor;
    struct prediction *prediction;
    char *model;
};

static void asking_free(void *state)
{
    struct asking *a = state;

    if (!a)
        return;
    predictor_release(a->predictor, a->prediction);
    free(a->model);
    free(a);
}

/* The texts with the JSON that they stand in, which the prediction owns. */
static void owner_free(void *owner)
{
    prediction_request_clear(owner);
    free(owner);
}

/* ---- which adapter ---- */

static void respond_no_adapter(struct request *r, const char *model)
{
    struct model_entry entry;

    if (models_find(r->api->models, model, &entry, NULL) == PRILORA_OK) {
        respond_error(r, 400, "base_model", "model",
                      "model: %s is a base model: predictions need a finished adapter, as a job's "
                      "fine_tuned_model names it",
                      model);
        model_entry_clear(&entry);
        return;
    }
    respond_error(r, 404, "model_not_found", "model", "no such model: %s", model);
}

/* Fills the job's id and base, and tells its task; answers and returns false if the model is no
 * adapter. */
static bool find_adapter(struct request *r, const char *model, struct prediction *prediction,
                         enum prilora_task *task)
{
    struct job job;
    struct prilora_error err;
    enum prilora_status rc = queue_find_model(r->api->store, model, &job, &err);

    if (rc == PRILORA_ENOENT) {
        respond_no_adapter(r, model);
        return false;
    }
    if (rc != PRILORA_OK) {
        respond_internal(r, &err);
        return false;
    }
    snprintf(prediction->job_id, sizeof prediction->job_id, "%s", job.id);
    prediction->base = strdup(job.model);
    *task = api_task_of_spec(job.spec);
    job_clear(&job);
    if (!prediction->base)
        respond_error(r, 503, "out_of_memory", NULL, "out of memory");
    return prediction->base != NULL;
}

/* ---- answers ---- */

static void respond_too_long(struct request *r, const struct prediction *p)
{
    const struct prediction_request *asked = p->owner;
    const bool is_list = json_is_array(json_object_get(asked->root, "input"));
    char pointer[80], param[80];

    snprintf(pointer, sizeof pointer, "/input%.40s/context", is_list ? p->error.where : "");
    fault_dotted(param, sizeof param, pointer);
    respond_error(r, 400, "context_too_long", param, "%s: %s", param, p->error.message);
}

static void respond_failure(struct request *r, const struct asking *a)
{
    const struct prediction *p = a->prediction;
    const char *message = p->error.message;

    if (p->status == PRILORA_ESTOPPED)
        respond_later(r, 503, "shutting_down", NULL, 1, "%s", message);
    else if (p->status == PRILORA_ELIMIT && p->stage == PREDICTION_ADAPTER)
        respond_error(r, 507, "memory_limit", "model", "%s", message);
    else if (p->status == PRILORA_ELIMIT && p->stage == PREDICTION_TEXTS)
        respond_too_long(r, p);
    else if (p->stage == PREDICTION_BASE && p->status != PRILORA_ENOMEM)
        respond_error(r, 409, "base_model_not_usable", "model", "the base of %s cannot be used: %s",
                      a->model, message);
    else if (p->stage == PREDICTION_ADAPTER && p->status == PRILORA_EMISMATCH)
        respond_error(r, 409, "base_model_changed", "model",
                      "%s was trained on another %s than is there now", a->model, p->base);
    else if (p->stage == PREDICTION_TEXTS && p->status == PRILORA_EFORMAT)
        respond_error(r, 409, "base_model_changed", "model", "%s", message);
    else if (p->stage == PREDICTION_ADAPTER && p->status == PRILORA_ENOENT)
        respond_error(r, 404, "model_not_found", "model", "no such model: %s", a->model);
    else
        respond_internal(r, &p->error);
}

static void resumed(struct request *r)
{
    struct asking *a = r->state;
    struct json_out out = {0};

    if (!predictor_collect(a->predictor, a->prediction)) {
        respond_later(r, 503, "shutting_down", NULL, 1, "prilorad is stopping");
    } else if (a->prediction->status != PRILORA_OK) {
        respond_failure(r, a);
    } else {
        const struct prediction_request *asked = a->prediction->owner;

        prediction_encode(&out, a->model, a->prediction, asked->top_k);
        respond_written(r, 200, &out);
    }
}

/* ---- asking ---- */

static void wake(void *context)
{
    request_wake(context);
}

/* Hands the texts to the predictor; answers and returns false if it does not take them. */
static bool submit(struct request *r, struct asking *a)
{
    struct prilora_error err;
    enum prilora_status rc = predictor_submit(a->predictor, a->prediction, &err);

    if (rc == PRILORA_ELIMIT)
        respond_later(r, 429, "too_many_predictions", NULL,
                      (unsigned)predictor_patience_s(a->predictor), "%s", err.message);
    else if (rc != PRILORA_OK)
        respond_later(r, 503, "shutting_down", NULL, 1, "%s", err.message);
    return rc == PRILORA_OK;
}

/* What the request asks, as r->state; takes *body, also when it fails. */
static struct asking *prepare(struct request *r, struct prediction_request *body)
{
    struct asking *a = calloc(1, sizeof *a);
    struct prediction *p = prediction_new();
    struct prediction_request *owner = malloc(sizeof *owner);

    r->state = a;
    r->free_state = asking_free;
    if (a)
        *a = (struct asking){r->api->predictor, p, strdup(body->model)};
    if (!a || !p || !owner || !a->model) {
        if (!a)
            free(p);
        free(owner);
        prediction_request_clear(body);
        respond_error(r, 503, "out_of_memory", NULL, "out of memory");
        return NULL;
    }
    *owner = *body;
    p->owner = owner;
    p->free_owner = owner_free;
    return a;
}

/* What an input is depends on the adapter's task. */
static bool read_input(struct request *r, struct asking *a, enum prilora_task task)
{
    struct prediction_request *body = a->prediction->owner;
    struct fault fault;

    if (!prediction_decode_input(body, task, &fault)) {
        respond_fault(r, &fault);
        return false;
    }
    a->prediction->texts = body->texts;
    a->prediction->n = body->n;
    a->prediction->n_best = task == PRILORA_TASK_QUESTION_ANSWERING ? body->top_k : 0;
    return true;
}

void api_predictions(struct request *r)
{
    struct prediction_request body;
    enum prilora_task task;
    struct fault fault;
    struct asking *a;

    if (!query_check(r, NULL) || !respond_unless_json(r))
        return;
    if (!prediction_decode(r->body, r->n_body, &body, &fault)) {
        respond_fault(r, &fault);
        return;
    }
    a = prepare(r, &body);
    if (!a || !find_adapter(r, a->model, a->prediction, &task) || !read_input(r, a, task) ||
        !submit(r, a))
        return;
    request_suspend(r, resumed);
    predictor_await(a->predictor, a->prediction, wake, r);
}
