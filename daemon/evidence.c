/* evidence.c - see evidence.h. */
#include "daemon/evidence.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/error.h"
#include "daemon/json_memory.h"

/* ---- finding and computing it ---- */

static enum prilora_status find_job(struct evidence *out, struct store *store, const char *id,
                                    struct prilora_error *err)
{
    bool is_job = strncmp(id, "ftjob-", strlen("ftjob-")) == 0;
    enum prilora_status rc =
        is_job ? queue_get(store, id, &out->job, err) : queue_find_model(store, id, &out->job, err);

    if (rc == PRILORA_ENOENT) {
        out->error_code = is_job ? "job_not_found" : "model_not_found";
        return error_set(err, rc, "no such %s: %s", is_job ? "job" : "finished adapter", id);
    }
    if (rc != PRILORA_OK || out->job.fine_tuned_model)
        return rc;
    out->error_code = "adapter_not_found";
    return error_set(err, PRILORA_EMISMATCH, "job %s has no adapter to tell anything by: it is %s",
                     id, job_status_name(out->job.status));
}

static enum prilora_status open_spectra(struct evidence *out, struct store *store,
                                        struct prilora_base *base, struct prilora_error *err)
{
    char *folder = queue_folder(store, out->job.id, "adapter");
    enum prilora_status rc =
        folder ? prilora_spectra_open(&out->spectra, base, folder, err) : error_memory(err);
    struct job now = {0};

    free(folder);
    if (rc == PRILORA_EMISMATCH)
        out->error_code = "base_model_not_usable";
    if (rc == PRILORA_OK || error_is_machines(rc))
        return rc;
    /* deleted meanwhile: the files went under the reader's hands */
    if (queue_get(store, out->job.id, &now, NULL) == PRILORA_ENOENT || !now.fine_tuned_model) {
        out->error_code = "adapter_not_found";
        rc = error_set(err, PRILORA_EMISMATCH, "job %s has no adapter any more", out->job.id);
    }
    job_clear(&now);
    return rc;
}

static enum prilora_status compute(struct evidence *out, struct store *store, struct models *models,
                                   struct prilora_error *err)
{
    struct prilora_base *base = NULL;
    enum prilora_status rc = models_acquire(models, out->job.model, &base, err);

    if (rc == PRILORA_OK)
        rc = open_spectra(out, store, base, err);
    else if (!error_is_machines(rc))
        out->error_code = "base_model_not_usable";
    models_release(models, base);
    return rc;
}

static enum prilora_status suggest(struct evidence *out,
                                   const struct prilora_suggest_options *options,
                                   struct prilora_error *err)
{
    enum prilora_status rc = prilora_spectra_suggest(&out->suggestion, out->spectra, options, err);

    out->suggests = rc == PRILORA_OK;
    if (rc == PRILORA_EINVAL)
        out->error_code = "invalid_value";
    if (rc != PRILORA_EMISMATCH)
        return rc;
    snprintf(out->suggestion.reason, sizeof out->suggestion.reason, "%s", err->message);
    return PRILORA_OK;
}

enum prilora_status evidence_open(struct evidence *out, struct store *store, struct models *models,
                                  const char *id, const struct prilora_suggest_options *options,
                                  struct prilora_error *err)
{
    enum prilora_status rc;

    *out = (struct evidence){0};
    rc = find_job(out, store, id, err);
    if (rc == PRILORA_OK)
        rc = compute(out, store, models, err);
    return rc == PRILORA_OK ? suggest(out, options, err) : rc;
}

void evidence_clear(struct evidence *evidence)
{
    prilora_spectra_close(evidence->spectra);
    job_clear(&evidence->job);
    evidence->spectra = NULL;
}

/* ---- JSON ---- */

static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *count(size_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *spectrum(const struct prilora_spectrum *s, size_t rank)
{
    json_t *object = json_object(), *values = json_array();

    for (size_t k = 0; k < rank; k++)
        json_add(&values, real(s->values[k]));
    json_put(&object, "norm", real(s->norm));
    json_put(&object, "relative", real(s->relative));
    json_put(&object, "lower_share", real(s->lower_share));
    json_put(&object, "stable_rank", real(s->stable_rank));
    json_put(&object, "effective_rank", real(s->effective_rank));
    json_put(&object, "rank_90", count(s->rank_90));
    json_put(&object, "rank_95", count(s->rank_95));
    json_put(&object, "rank_99", count(s->rank_99));
    json_put(&object, "values", values);
    return object;
}

static json_t *input(const struct prilora_map_spectrum *map)
{
    json_t *object = json_object();

    json_put(&object, "min", real(map->input_min));
    json_put(&object, "mean", real(map->input_mean));
    json_put(&object, "max", real(map->input_max));
    return object;
}

static json_t *map_object(const struct prilora_map_spectrum *map)
{
    json_t *object = json_object();

    json_put(&object, "module", json_string(map->module));
    json_put(&object, "map", json_string(map->map));
    json_put(&object, "layer", count(map->layer));
    json_put(&object, "rank", count(map->rank));
    json_put(&object, "scale", real(map->scale));
    json_put(&object, "in_features", count(map->in_features));
    json_put(&object, "out_features", count(map->out_features));
    json_put(&object, "update", spectrum(&map->update, map->rank));
    json_put(&object, "output", map->has_inputs ? spectrum(&map->output, map->rank) : json_null());
    json_put(&object, "input", map->has_inputs ? input(map) : json_null());
    return object;
}

json_t *evidence_maps(const struct evidence *evidence)
{
    const struct prilora_map_spectrum *map;
    json_t *list = json_array();

    for (size_t i = 0; (map = prilora_spectra_map(evidence->spectra, i)); i++)
        json_add(&list, map_object(map));
    return list;
}

static json_t *layer_object(size_t layer, const struct prilora_layer_advice *a)
{
    json_t *object = json_object();

    json_put(&object, "layer", count(layer));
    json_put(&object, "before", a->before ? count(a->before) : json_null());
    json_put(&object, "rank", count(a->rank));
    json_put(&object, "least", count(a->least));
    json_put(&object, "most", count(a->most));
    json_put(&object, "energy", real(a->energy));
    json_put(&object, "lower_share", real(a->lower_share));
    json_put(&object, "held", real(a->held));
    json_put(&object, "reason", json_string(a->reason));
    return object;
}

static json_t *rank_list(const struct prilora_suggestion *s)
{
    json_t *list = json_array();

    for (size_t l = 0; l < s->n_layers; l++)
        json_add(&list, count(s->layers[l].rank));
    return list;
}

/* "prilora" can say all that the finished run's settings said; "lora" was one that never pruned. */
static json_t *hyperparameters(const struct evidence *evidence)
{
    static const char *const others[] = {"r", "rank_start", "rank_end"};
    json_t *spec = json_loads(evidence->job.spec, 0, NULL);
    json_t *method = json_object_get(spec, "method");
    const char *type = json_string_value(json_object_get(method, "type"));
    json_t *settings =
        type ? json_deep_copy(json_object_get(json_object_get(method, type), "hyperparameters"))
             : NULL;

    for (size_t i = 0; settings && i < sizeof others / sizeof *others; i++)
        json_object_del(settings, others[i]);
    json_put(&settings, "rank_schedule", json_string("list"));
    json_put(&settings, "ranks", rank_list(&evidence->suggestion));
    if (type && strcmp(type, "lora") == 0)
        json_put(&settings, "prune_ratio", json_real(0));
    json_decref(spec);
    return settings;
}

json_t *evidence_suggestion(const struct evidence *evidence)
{
    const struct prilora_suggestion *s = &evidence->suggestion;
    json_t *object = json_object(), *layers = json_array();

    if (!evidence->suggests) {
        json_decref(object);
        json_decref(layers);
        return json_null();
    }
    for (size_t l = 0; l < s->n_layers; l++)
        json_add(&layers, layer_object(l, &s->layers[l]));
    json_put(&object, "ranks", rank_list(s));
    json_put(&object, "hyperparameters", hyperparameters(evidence));
    json_put(&object, "parameters_before", count(s->n_before));
    json_put(&object, "parameters_after", count(s->n_after));
    json_put(&object, "budget", count(s->budget));
    json_put(&object, "energy_held", real(s->held));
    json_put(&object, "weighted_by_inputs", json_boolean(s->uses_inputs));
    json_put(&object, "layers", layers);
    json_put(&object, "reason", json_string(s->reason));
    return object;
}
