/* adapter_evaluate.c - metrics of a finished adapter on a dataset. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "train/base.h"
#include "train/feed.h"
#include "train/import.h"
#include "train/metrics.h"
#include "train/spec.h"

#define MAX_LABELS_FILE ((size_t)16 << 20) /* bytes */

/* The data as the adapter's head numbers its labels. */
struct view {
    size_t n_outputs, width;
    float *targets; /* [n, width] */
};

/* Where a label of the data stands in the adapter's id2label; -1: nowhere. */
static long label_place(const json_t *id2label, const char *name)
{
    for (size_t i = 0; i < json_object_size(id2label); i++) {
        char id[24];
        const char *one;

        snprintf(id, sizeof id, "%zu", i);
        one = json_string_value(json_object_get(id2label, id));
        if (one && strcmp(one, name) == 0)
            return (long)i;
    }
    return -1;
}

static void renumber(struct view *view, const struct prilora_dataset *data, const size_t *places)
{
    for (size_t i = 0; i < data->n; i++) {
        const float *from = data->targets + i * data->width;
        float *to = view->targets + i * view->width;

        if (data->task == PRILORA_TASK_CLASSIFICATION)
            *to = (float)places[(size_t)*from];
        else
            for (size_t k = 0; k < data->width; k++)
                to[places[k]] = from[k];
    }
}

static enum prilora_status match_labels(struct view *view, const struct prilora_dataset *data,
                                        const json_t *id2label, const char *path,
                                        struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    size_t *places = pl_calloc(data->n_labels, sizeof *places);

    view->n_outputs = json_object_size(id2label);
    view->width = data->task == PRILORA_TASK_MULTI_LABEL ? view->n_outputs : data->width;
    view->targets = pl_calloc(data->n * view->width, sizeof *view->targets);
    if (!places || !view->targets || !view->n_outputs)
        rc = pl_fail(err, view->n_outputs ? PRILORA_ENOMEM : PRILORA_EFORMAT,
                     "%s: cannot match %zu labels to its id2label", path, data->n_labels);
    for (size_t k = 0; rc == PRILORA_OK && k < data->n_labels; k++) {
        long place = label_place(id2label, data->labels[k]);

        if (place < 0)
            rc = pl_fail(err, PRILORA_EMISMATCH, "%s: the adapter knows no label \"%.100s\"", path,
                         data->labels[k]);
        else
            places[k] = (size_t)place;
    }
    if (rc == PRILORA_OK)
        renumber(view, data, places);
    free(places);
    return rc;
}

static enum prilora_status check_labels(struct view *view, const struct prilora_base *base,
                                        const struct prilora_dataset *data, const json_t *root,
                                        const char *path, struct prilora_error *err)
{
    const char *task = json_string_value(json_object_get(root, "task"));
    const char *made =
        json_string_value(json_object_get(json_object_get(root, "base"), "fingerprint"));
    const json_t *id2label = json_object_get(root, "id2label");

    if (task && strcmp(task, pl_task_word(data->task)) != 0)
        return pl_fail(err, PRILORA_EMISMATCH, "%s: the adapter's task is %.40s, the data's is %s",
                       path, task, pl_task_word(data->task));
    if (made && strcmp(made, base->fingerprint) != 0)
        return pl_fail(err, PRILORA_EMISMATCH,
                       "%s: the adapter was trained on another base (fingerprint %.12s, here "
                       "%.12s)",
                       path, made, base->fingerprint);
    if (data->task == PRILORA_TASK_REGRESSION || !json_is_object(id2label))
        return PRILORA_OK;
    return match_labels(view, data, id2label, path, err);
}

/* labels.json is ours: a folder without one has its labels in the data's order. */
static enum prilora_status read_labels(struct view *view, const struct prilora_base *base,
                                       const struct prilora_dataset *data, const char *folder,
                                       struct prilora_error *err)
{
    char *path = pl_file_join(folder, "labels.json"), *text = NULL;
    enum prilora_status rc;
    json_t *root;
    size_t size;

    *view = (struct view){data->n_labels, data->width, NULL};
    if (!path)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    if (access(path, F_OK) != 0) {
        free(path);
        return PRILORA_OK;
    }
    rc = pl_file_read(&text, &size, path, MAX_LABELS_FILE, err);
    if (rc == PRILORA_OK) {
        root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
        rc = root ? check_labels(view, base, data, root, path, err)
                  : pl_fail(err, PRILORA_EFORMAT, "%s: not JSON", path);
        json_decref(root);
    }
    free(text);
    free(path);
    return rc;
}

static enum prilora_status compute(struct pl_engine *engine, const struct prilora_dataset *data,
                                   const struct view *view, const pl_real *params,
                                   struct prilora_value *values, size_t *n_values,
                                   struct prilora_error *err)
{
    struct pl_batch batch = pl_feed_all(data);
    pl_real *logits = pl_calloc(data->n * view->n_outputs, sizeof *logits);
    struct pl_shares cut;
    enum prilora_status rc = pl_shares_new(&cut, data->n, err);

    if (rc == PRILORA_OK && !logits)
        rc = pl_fail(err, PRILORA_ENOMEM, "no memory to evaluate %zu examples", data->n);
    if (rc == PRILORA_OK) {
        batch.labels = view->targets ? view->targets : data->targets;
        pl_shares_fill(&cut, data->starts, data->n, engine->budget);
        pl_engine_evaluate(engine, &batch, &cut, params, logits, NULL);
        *n_values = pl_metrics_compute(values, data->task, logits, batch.labels, data->n,
                                       view->n_outputs, view->width);
        if (*n_values == PRILORA_MAX_VALUES)
            --*n_values;
        snprintf(values[*n_values].name, sizeof values->name, "%s",
                 pl_metric_name(PRILORA_METRIC_LOSS));
        values[(*n_values)++].value = engine->loss;
    }
    pl_shares_free(&cut);
    free(logits);
    return rc;
}

enum prilora_status prilora_adapter_evaluate(struct prilora_base *base, const char *folder,
                                             const struct prilora_dataset *data, size_t n_threads,
                                             struct prilora_value *values, size_t *n_values,
                                             struct prilora_error *err)
{
    struct pl_engine_limits limits = {.longest = data->longest, .n_threads = n_threads};
    struct prilora_spec *spec = NULL;
    struct pl_engine *engine = NULL;
    struct pl_import in = {0};
    struct view view = {0};
    pl_real *params = NULL;
    enum prilora_status rc = pl_data_check(base, data, "evaluation", err);

    *n_values = 0;
    if (rc == PRILORA_OK)
        rc = read_labels(&view, base, data, folder, err);
    if (rc == PRILORA_OK)
        rc = pl_import_open(&in, folder, err);
    if (rc == PRILORA_OK)
        rc = pl_import_spec(&spec, &in, base->model, err);
    limits.n_outputs = view.n_outputs;
    if (rc == PRILORA_OK)
        rc = pl_engine_new(&engine, base->model, spec, data->task, &limits, err);
    if (rc == PRILORA_OK && !(params = pl_calloc_aligned(engine->layout->size, sizeof *params)))
        rc = pl_fail(err, PRILORA_ENOMEM, "no memory for %zu numbers", engine->layout->size);
    if (rc == PRILORA_OK)
        rc = pl_import_fill(&in, base->model, engine, params, err);
    if (rc == PRILORA_OK)
        rc = compute(engine, data, &view, params, values, n_values, err);
    free(params);
    free(view.targets);
    pl_engine_free(engine);
    prilora_spec_free(spec);
    pl_import_close(&in);
    return rc;
}
