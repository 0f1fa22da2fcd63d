/* adapter_evaluate.c - metrics of a finished adapter on a dataset. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/adapter_labels.h"
#include "train/base.h"
#include "train/feed.h"
#include "train/measure.h"
#include "train/opened.h"
#include "train/questions.h"
#include "train/spec.h"

/* The data as the adapter's head numbers its labels. */
struct view {
    size_t n_outputs, width;
    float *targets; /* [rows, width]; NULL: those of the data */
    char *const *names;
    struct pl_answer_rules answers;
};

/* Where a label of the data stands among the adapter's; -1: nowhere. */
static long label_place(const struct pl_adapter_labels *labels, const char *name)
{
    for (size_t i = 0; i < labels->n; i++) {
        if (strcmp(labels->names[i], name) == 0)
            return (long)i;
    }
    return -1;
}

static void renumber(struct view *view, const struct prilora_dataset *data, const size_t *places)
{
    for (size_t i = 0; i < pl_dataset_rows(data); i++) {
        const float *from = data->targets + i * data->width;
        float *to = view->targets + i * view->width;

        if (data->task != PRILORA_TASK_MULTI_LABEL)
            *to = *from < 0 ? *from : (float)places[(size_t)*from];
        else
            for (size_t k = 0; k < data->width; k++)
                to[places[k]] = from[k];
    }
}

static enum prilora_status match_labels(struct view *view, const struct prilora_dataset *data,
                                        const struct pl_adapter_labels *labels,
                                        struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    size_t *places = pl_calloc(data->n_labels, sizeof *places);

    view->n_outputs = labels->n;
    view->width = data->task == PRILORA_TASK_MULTI_LABEL ? view->n_outputs : data->width;
    view->names = labels->names;
    view->targets = pl_calloc(pl_dataset_rows(data) * view->width, sizeof *view->targets);
    if (!places || !view->targets)
        rc = pl_fail(err, PRILORA_ENOMEM, "%s: no memory to match %zu labels", labels->path,
                     data->n_labels);
    for (size_t k = 0; rc == PRILORA_OK && k < data->n_labels; k++) {
        long place = label_place(labels, data->labels[k]);

        if (place < 0)
            rc = pl_fail(err, PRILORA_EMISMATCH, "%s: the adapter knows no label \"%.100s\"",
                         labels->path, data->labels[k]);
        else
            places[k] = (size_t)place;
    }
    if (rc == PRILORA_OK)
        renumber(view, data, places);
    free(places);
    return rc;
}

/* Outputs that are no labels: whatever they are called, they are these. */
static bool has_labels(enum prilora_task task)
{
    return task != PRILORA_TASK_REGRESSION && task != PRILORA_TASK_QUESTION_ANSWERING;
}

/* A folder without labels.json has its labels in the data's order, and says that there is no answer
 * if the data do. */
static enum prilora_status look_at(struct view *view, const struct prilora_dataset *data,
                                   const struct pl_adapter_labels *labels,
                                   struct prilora_error *err)
{
    *view = (struct view){data->n_labels, data->width, NULL, data->labels, labels->answers};
    if (labels->task == PRILORA_TASK_AUTO && data->questions)
        view->answers.none = pl_questions_some_unanswered(data->questions);
    if (labels->task != PRILORA_TASK_AUTO && labels->task != data->task)
        return pl_fail(err, PRILORA_EMISMATCH, "%s: the adapter's task is %.40s, the data's is %s",
                       labels->path, pl_task_word(labels->task), pl_task_word(data->task));
    if (!has_labels(data->task) || !labels->n)
        return PRILORA_OK;
    return match_labels(view, data, labels, err);
}

static enum prilora_status compute(struct pl_opened *opened, const struct prilora_dataset *data,
                                   const struct view *view, struct prilora_value *values,
                                   size_t *n_values, struct prilora_error *err)
{
    struct pl_batch batch = pl_feed_all(data);
    pl_real *logits = pl_calloc(pl_dataset_logit_rows(data) * view->n_outputs, sizeof *logits);
    struct pl_measured measured = {data,        logits,       NULL, view->names, view->n_outputs,
                                   view->width, view->answers};
    struct pl_shares cut;
    enum prilora_status rc = pl_shares_new(&cut, data->n, err);

    if (rc == PRILORA_OK && !logits)
        rc = pl_fail(err, PRILORA_ENOMEM, "no memory to evaluate %zu examples", data->n);
    if (rc == PRILORA_OK) {
        batch.labels = measured.labels = view->targets ? view->targets : data->targets;
        pl_shares_fill(&cut, data->starts, data->n, opened->engine->budget);
        pl_engine_evaluate(opened->engine, &batch, &cut, opened->params, logits, NULL);
        *n_values = pl_measure(values, &measured);
        if (*n_values == PRILORA_MAX_VALUES)
            --*n_values;
        snprintf(values[*n_values].name, sizeof values->name, "%s",
                 pl_metric_name(PRILORA_METRIC_LOSS));
        values[(*n_values)++].value = opened->engine->loss;
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
    struct pl_adapter_labels labels = {0};
    struct pl_opened opened = {0};
    struct pl_import in = {0};
    struct view view = {0};
    enum prilora_status rc = pl_data_check(base, data, "evaluation", err);

    *n_values = 0;
    if (rc == PRILORA_OK)
        rc = pl_adapter_labels_read(&labels, folder, base->fingerprint, err);
    if (rc == PRILORA_OK)
        rc = look_at(&view, data, &labels, err);
    if (rc == PRILORA_OK)
        rc = pl_import_open(&in, folder, err);
    limits.n_outputs = view.n_outputs;
    if (rc == PRILORA_OK)
        rc = pl_opened_new(&opened, base->model, &in, data->task, &limits, err);
    if (rc == PRILORA_OK)
        rc = compute(&opened, data, &view, values, n_values, err);
    pl_opened_free(&opened);
    free(view.targets);
    pl_import_close(&in);
    pl_adapter_labels_free(&labels);
    return rc;
}
