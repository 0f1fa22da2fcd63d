/*
 * ranks.c - GET /v1/fine_tuning/jobs/{id}/ranks: what each direction of a finished adapter carries,
 * and which ranks that suggests for the next run. It reads the adapter and its base, aside.
 */
#include "api/handlers.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/aside.h"
#include "api/list.h"
#include "api/respond.h"
#include "daemon/error.h"
#include "daemon/evidence.h"

#define MAX_BUDGET 1000000000000

struct asking {
    struct store *store;
    struct models *models;
    char id[ID_SIZE];
    struct prilora_suggest_options options;
    struct evidence evidence;
    enum prilora_status rc;
    struct prilora_error err;
};

static void ask(void *state)
{
    struct asking *a = state;

    a->rc = evidence_open(&a->evidence, a->store, a->models, a->id, &a->options, &a->err);
}

static void asking_free(void *state)
{
    struct asking *a = state;

    if (!a)
        return;
    evidence_clear(&a->evidence);
    free(a);
}

/* ---- answering ---- */

static void respond_failure(struct request *r, const struct asking *a)
{
    const char *code = a->evidence.error_code;

    if (!code)
        respond_internal(r, &a->err);
    else if (a->rc == PRILORA_EINVAL)
        respond_error(r, 400, code, a->err.where, "%s", a->err.message);
    else if (strcmp(code, "base_model_not_usable") == 0)
        respond_error(r, 409, code, NULL, "%s", a->err.message);
    else
        respond_error(r, 404, code, NULL, "%s", a->err.message);
}

static void answer(struct request *r, void *state)
{
    const struct asking *a = state;
    const struct evidence *e = &a->evidence;

    if (a->rc != PRILORA_OK) {
        respond_failure(r, a);
        return;
    }
    respond_json(r, 200,
                 json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:s}", "object", "fine_tuning.job.ranks",
                           "job_id", e->job.id, "model", e->job.fine_tuned_model, "base_model",
                           e->job.model, "maps", evidence_maps(e), "suggestion",
                           evidence_suggestion(e), "reason", e->suggestion.reason));
}

/* ---- the request ---- */

/* A share as "0.9"; answers and returns false if it is not above 0 and at most 1. */
static bool read_energy(struct request *r, double *out)
{
    const char *text = query_get(&r->query, "energy");
    json_t *value = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    bool right = !text || (json_is_number(value) && json_number_value(value) > 0 &&
                           json_number_value(value) <= 1);

    *out = json_number_value(value);
    json_decref(value);
    if (!right)
        respond_error(r, 400, "invalid_value", "energy",
                      "energy: \"%.60s\", but must be a number above 0 and at most 1", text);
    return right;
}

void api_job_ranks(struct request *r)
{
    static const char *const names[] = {"budget", "energy", NULL};
    static const struct aside_work work = {ask, answer, asking_free};
    int64_t budget = 0;
    struct asking *a;
    struct job job;
    double energy;

    if (!query_check(r, names) || !read_energy(r, &energy) ||
        (query_get(&r->query, "budget") && !query_number(r, "budget", 1, MAX_BUDGET, &budget)) ||
        !api_find_job(r, &job))
        return;
    a = calloc(1, sizeof *a);
    if (a) {
        a->store = r->api->store;
        a->models = r->api->models;
        a->options = (struct prilora_suggest_options){(size_t)budget, energy};
        snprintf(a->id, sizeof a->id, "%s", job.id);
    }
    job_clear(&job);
    aside_run(r, &work, a);
}
