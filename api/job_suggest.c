/* job_suggest.c - see job_suggest.h. */
#include "api/job_suggest.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/error.h"
#include "daemon/evidence.h"
#include "daemon/json_memory.h"

/* The settings' text with the ranks in it, read again: a wrong list is told as any other. */
static bool set_ranks(struct job *job, struct job_settings *settings,
                      const struct prilora_suggestion *s, struct fault *fault,
                      struct prilora_error *err)
{
    json_t *root = json_loads(settings->text, 0, NULL), *ranks = json_array(), *hyperparameters;
    enum prilora_status rc;
    char *text;

    for (size_t l = 0; l < s->n_layers; l++)
        json_add(&ranks, json_integer((json_int_t)s->layers[l].rank));
    hyperparameters = json_object_get(json_object_get(json_object_get(root, "method"), "prilora"),
                                      "hyperparameters");
    text = json_object_set_new(hyperparameters, "ranks", ranks) == 0
               ? json_whole_text(root, JSON_COMPACT | JSON_REAL_PRECISION(17))
               : NULL;
    json_decref(root);
    if (!text) {
        error_memory(err);
        return false;
    }
    free(settings->text);
    settings->text = text;
    prilora_spec_free(settings->spec);
    settings->spec = NULL;
    free(job->spec);
    job->spec = NULL;
    rc = json_memory_spec(&settings->spec, text, err);
    if (rc == PRILORA_OK && !(job->spec = prilora_spec_dump(settings->spec)))
        rc = error_memory(err);
    if (rc == PRILORA_OK || error_is_machines(rc))
        return rc == PRILORA_OK;
    fault_from_spec(fault, err);
    err->status = PRILORA_OK;
    return false;
}

/* "3, 4, 6" */
static void list_ranks(char *out, size_t room, const struct prilora_suggestion *s)
{
    size_t used = 0;

    *out = '\0';
    for (size_t l = 0; l < s->n_layers && used < room; l++)
        used +=
            (size_t)snprintf(out + used, room - used, "%s%zu", l ? ", " : "", s->layers[l].rank);
}

/* The event that the new job begins with. */
static bool tell(struct job *job, const struct evidence *e, struct prilora_error *err)
{
    const struct prilora_suggestion *s = &e->suggestion;
    json_t *data = evidence_suggestion(e);
    char ranks[PRILORA_MAX_LAYERS * 6 + 1];

    if (data)
        json_object_del(data, "hyperparameters"); /* the job has them itself */
    json_put(&data, "ranks_from", json_string(e->job.id));
    list_ranks(ranks, sizeof ranks, s);
    job->ranks_data = data ? json_whole_text(data, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    job->ranks_message =
        text_format("Ranks suggested from %s: %s (%zu adapter parameters, %zu before)", e->job.id,
                    ranks, s->n_after, s->n_before);
    json_decref(data);
    if (!job->ranks_data || !job->ranks_message)
        error_memory(err);
    return job->ranks_data && job->ranks_message;
}

static bool use(struct job *job, struct job_settings *settings, const struct evidence *e,
                struct fault *fault, struct prilora_error *err)
{
    bool is_base = strcmp(job->model, e->job.model) == 0;

    if (is_base && e->suggests)
        return set_ranks(job, settings, &e->suggestion, fault, err) && tell(job, e, err);
    if (is_base)
        fault_set(fault, 400, "invalid_value", "ranks_from", "ranks_from: %s: %s",
                  settings->ranks_from, e->suggestion.reason);
    else
        fault_set(fault, 400, "invalid_value", "ranks_from",
                  "ranks_from: %s was trained on the base model %s, but this job's model is %s; "
                  "ranks are suggested only for a new adapter of the same base",
                  settings->ranks_from, e->job.model, job->model);
    snprintf(fault->pointer, sizeof fault->pointer, "/ranks_from");
    return false;
}

bool job_suggest(struct job *job, struct job_settings *settings, struct store *store,
                 struct models *models, struct fault *fault, struct prilora_error *err)
{
    struct prilora_error why = {0};
    struct evidence *e = malloc(sizeof *e);
    unsigned long before = json_memory_refusals();
    bool right = false;

    *err = (struct prilora_error){0};
    if (!e) {
        error_memory(err);
        return false;
    }
    if (evidence_open(e, store, models, settings->ranks_from, &(struct prilora_suggest_options){0},
                      &why) == PRILORA_OK) {
        right = use(job, settings, e, fault, err);
    } else if (e->error_code) {
        fault_set(fault, 400, e->error_code, "ranks_from", "ranks_from: %s", why.message);
        snprintf(fault->pointer, sizeof fault->pointer, "/ranks_from");
    } else {
        *err = why;
    }
    if (right && json_memory_refusals() != before) {
        error_memory(err);
        right = false;
    }
    evidence_clear(e);
    free(e);
    return right;
}
