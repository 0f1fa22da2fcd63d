/*
 * predict.c - an adapter opened to say something of texts that nobody has labelled.
 *
 * Texts are tokenized and computed some at a time, so that memory is bounded whatever their number.
 * What depends on the parameters alone (the projected relative positions) is computed once.
 */
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "math/vector.h"
#include "model/task.h"
#include "train/predict.h"
#include "train/spec.h"

#define MAX_SEQUENCES PL_PREDICT_SEQUENCES
#define MAX_TOKENS    PL_PREDICT_TOKENS

/* ---- threads ------------------------------------------------------------------------------ */

struct prilora_team {
    struct pl_team *threads;
};

enum prilora_status prilora_team_new(struct prilora_team **out, size_t n_threads,
                                     struct prilora_error *err)
{
    struct prilora_team *team = pl_calloc(1, sizeof *team);
    enum prilora_status rc = team ? pl_team_new(&team->threads, n_threads, err)
                                  : pl_fail(err, PRILORA_ENOMEM, "no memory for a compute team");

    *out = rc == PRILORA_OK ? team : NULL;
    if (rc != PRILORA_OK)
        free(team);
    return rc;
}

void prilora_team_free(struct prilora_team *team)
{
    if (team)
        pl_team_free(team->threads);
    free(team);
}

/* ---- opening ------------------------------------------------------------------------------ */

/* A row of logits for every token. */
static bool is_of_tokens(const struct prilora_adapter *a)
{
    return pl_task_of(a->labels.task)->tokens;
}

static bool has_tags(const struct prilora_adapter *a)
{
    return a->labels.task == PRILORA_TASK_TOKEN_CLASSIFICATION;
}

/* Rows of logits that are computed together, at most. */
static size_t most_rows(const struct prilora_adapter *a)
{
    return is_of_tokens(a) ? MAX_TOKENS + a->labels.max_length : MAX_SEQUENCES;
}

static enum prilora_status make_room(struct prilora_adapter *a, struct prilora_error *err)
{
    a->starts = pl_calloc(MAX_SEQUENCES + 1, sizeof *a->starts);
    a->logits = pl_calloc(most_rows(a) * a->labels.n, sizeof *a->logits);
    a->tags = has_tags(a) ? pl_tags_new(a->labels.names, a->labels.n) : NULL;
    if (!a->starts || !a->logits || (has_tags(a) && !a->tags))
        return pl_fail(err, PRILORA_ENOMEM, "no memory for batches of %d texts", MAX_SEQUENCES);
    return pl_shares_new(&a->cut, MAX_SEQUENCES, err);
}

static enum prilora_status open_adapter(struct prilora_adapter *a, const struct pl_import *in,
                                        const char *folder, struct prilora_team *team,
                                        struct prilora_error *err)
{
    struct pl_engine_limits limits = {.team = team ? team->threads : NULL};
    enum prilora_status rc = pl_adapter_labels_read(&a->labels, folder, a->base->fingerprint, err);

    if (rc == PRILORA_OK)
        rc = pl_adapter_labels_complete(&a->labels, in, a->base->model, err);
    limits.n_outputs = a->labels.n;
    limits.longest = a->labels.max_length;
    if (rc == PRILORA_OK)
        rc = pl_opened_new(&a->opened, a->base->model, in, a->labels.task, &limits, err);
    if (rc == PRILORA_OK)
        rc = pl_tokenizer_prepare(a->base->tokenizer, err);
    if (rc == PRILORA_OK)
        rc = make_room(a, err);
    if (rc == PRILORA_OK)
        pl_engine_prepare(a->opened.engine, a->labels.max_length, a->opened.params);
    return rc;
}

enum prilora_status prilora_adapter_open(struct prilora_adapter **out, struct prilora_base *base,
                                         const char *folder, struct prilora_team *team,
                                         struct prilora_error *err)
{
    struct prilora_adapter *a = pl_calloc(1, sizeof *a);
    struct pl_import in = {0};
    enum prilora_status rc;

    *out = NULL;
    if (!a)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    a->base = prilora_base_ref(base);
    rc = pl_import_open(&in, folder, err);
    if (rc == PRILORA_OK)
        rc = open_adapter(a, &in, folder, team, err);
    pl_import_close(&in);
    if (rc != PRILORA_OK)
        prilora_adapter_close(a);
    else
        *out = a;
    return rc;
}

void prilora_adapter_close(struct prilora_adapter *adapter)
{
    if (!adapter)
        return;
    pl_shares_free(&adapter->cut);
    pl_ids_free(&adapter->ids);
    free(adapter->starts);
    free(adapter->logits);
    free(adapter->tags);
    pl_opened_free(&adapter->opened);
    pl_adapter_labels_free(&adapter->labels);
    prilora_base_close(adapter->base);
    free(adapter);
}

/* ---- what it is --------------------------------------------------------------------------- */

static size_t resident_bytes(const struct prilora_adapter *a)
{
    const struct pl_engine *engine = a->opened.engine;
    const struct pl_net *net = engine->net;
    struct pl_engine_limits limits = {.n_outputs = a->labels.n, .longest = a->labels.max_length};
    size_t shared, per_thread;

    pl_engine_bytes(net, &limits, &shared, &per_thread);
    return shared + engine->n_threads * (per_thread + pl_workspace_bytes(net, false, NULL)) +
           engine->layout->size * sizeof(pl_real) + MAX_SEQUENCES * sizeof *a->starts +
           most_rows(a) * a->labels.n * sizeof *a->logits + pl_shares_bytes(MAX_SEQUENCES) +
           (MAX_TOKENS + a->labels.max_length) * (sizeof *a->ids.ids + sizeof *a->ids.type_ids);
}

void prilora_adapter_describe(const struct prilora_adapter *adapter,
                              struct prilora_adapter_info *info)
{
    *info = (struct prilora_adapter_info){
        .task = adapter->labels.task,
        .n_labels = adapter->labels.n,
        .max_length = adapter->labels.max_length,
        .n_parameters = adapter->opened.engine->layout->n_parameters,
        .resident_bytes = resident_bytes(adapter),
    };
}

const char *prilora_adapter_label(const struct prilora_adapter *adapter, size_t label)
{
    return label < adapter->labels.n ? adapter->labels.names[label] : NULL;
}

/* ---- logits to what they mean ------------------------------------------------------------- */

static void softmax(double *out, const pl_real *z, size_t n)
{
    double top = (double)z[0], sum = 0;

    for (size_t k = 1; k < n; k++)
        top = fmax(top, (double)z[k]);
    for (size_t k = 0; k < n; k++)
        sum += out[k] = exp((double)z[k] - top);
    for (size_t k = 0; k < n; k++)
        out[k] /= sum;
}

static void sigmoids(double *out, const pl_real *z, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        double e = exp(-fabs((double)z[k]));

        out[k] = (z[k] < 0 ? e : 1) / (1 + e);
    }
}

static void copies(double *out, const pl_real *z, size_t n)
{
    for (size_t k = 0; k < n; k++)
        out[k] = (double)z[k];
}

static void (*const meanings[])(double *, const pl_real *, size_t) = {
    [PRILORA_TASK_CLASSIFICATION] = softmax,
    [PRILORA_TASK_REGRESSION] = copies,
    [PRILORA_TASK_MULTI_LABEL] = sigmoids,
};

/* ---- predicting --------------------------------------------------------------------------- */

/* Tokens of as many texts as are computed together, from texts[first] on; *n tells how many. */
static enum prilora_status encode(struct prilora_adapter *a, const struct prilora_text *texts,
                                  size_t first, size_t end, struct prilora_prediction *out,
                                  size_t *n, struct prilora_error *err)
{
    struct prilora_error local;

    err = err ? err : &local;
    a->ids.n = 0;
    for (*n = 0; first + *n < end && *n < MAX_SEQUENCES && a->ids.n < MAX_TOKENS; ++*n) {
        const struct prilora_text *text = &texts[first + *n];
        bool truncated = false;
        enum prilora_status rc =
            pl_tokenizer_encode(a->base->tokenizer, &a->ids, text->text, text->text_size,
                                text->pair, text->pair_size, a->labels.max_length, &truncated, err);

        if (rc != PRILORA_OK) {
            snprintf(err->where, sizeof err->where, "/%zu", first + *n);
            return rc;
        }
        if (out)
            out[first + *n] = (struct prilora_prediction){a->ids.n - a->starts[*n], truncated};
        a->starts[*n + 1] = a->ids.n;
    }
    return PRILORA_OK;
}

/* No share much larger than a thread's part of the work, so that all threads have some. */
static size_t share_budget(const struct pl_engine *engine, const struct pl_batch *batch)
{
    size_t even =
        batch->n_tokens / engine->n_threads + batch->n_tokens / batch->n_sequences / 2 + 1;

    return even < engine->budget ? even : engine->budget;
}

struct pl_batch pl_adapter_batch(const struct prilora_adapter *a, size_t n)
{
    return (struct pl_batch){
        .n_sequences = n,
        .n_tokens = a->ids.n,
        .longest = a->labels.max_length,
        .ids = a->ids.ids,
        .type_ids = a->ids.type_ids,
        .starts = a->starts,
    };
}

enum prilora_status pl_adapter_compute(struct prilora_adapter *a, const struct pl_batch *batch,
                                       const atomic_int *stop, struct prilora_error *err)
{
    struct pl_engine *engine = a->opened.engine;
    size_t n = batch->n_sequences, n_rows = is_of_tokens(a) ? batch->n_tokens : n;
    enum prilora_status rc;

    pl_shares_fill(&a->cut, batch->starts, n, share_budget(engine, batch));
    if (!pl_engine_predict(engine, batch, &a->cut, a->opened.params, a->logits, stop))
        return pl_fail(err, PRILORA_ESTOPPED, "stopped while it predicted");
    rc = prilora_base_check(a->base, err);
    if (rc != PRILORA_OK)
        return rc;
    if (!pl_all_finite(a->logits, n_rows * a->labels.n))
        return pl_fail(err, PRILORA_ENUMERIC,
                       "the model's answers are not finite: its base is another than it was "
                       "trained on, or damaged");
    return PRILORA_OK;
}

enum prilora_status pl_adapter_predict_batch(struct prilora_adapter *a,
                                             const struct pl_batch *batch, const atomic_int *stop,
                                             double *values, struct prilora_error *err)
{
    size_t width = a->labels.n;
    enum prilora_status rc = pl_adapter_compute(a, batch, stop, err);

    for (size_t i = 0; rc == PRILORA_OK && i < batch->n_sequences; i++)
        meanings[a->labels.task](values + i * width, a->logits + i * width, width);
    return rc;
}

enum prilora_status prilora_adapter_predict(struct prilora_adapter *adapter,
                                            const struct prilora_text *texts, size_t n,
                                            const atomic_int *stop, struct prilora_prediction *out,
                                            double *values, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    size_t some;

    if (is_of_tokens(adapter))
        return pl_fail(err, PRILORA_EINVAL, "the adapter's task is %s: it %s",
                       pl_task_word(adapter->labels.task),
                       has_tags(adapter) ? "tags words" : "answers questions");
    for (size_t done = 0; rc == PRILORA_OK && done < n; done += some) {
        rc = encode(adapter, texts, done, n, out, &some, err);
        if (rc == PRILORA_OK) {
            const struct pl_batch batch = pl_adapter_batch(adapter, some);

            rc = pl_adapter_predict_batch(adapter, &batch, stop, values + done * adapter->labels.n,
                                          err);
        }
    }
    return rc;
}
