/* engine.c - see engine.h. */
#include "train/engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/precision.h"

#define SHORTEST 2 /* tokens of a sequence: [CLS] and [SEP] */

/*
 * Tokens that a share may have, and so what workspaces are made for: what a usual step needs in
 * PL_MIN_SHARES shares and half as much again, for no two steps are alike. It is a constant of the
 * run's data and settings: the cut knows nothing of threads.
 */
static size_t share_budget(const struct pl_engine_limits *limits)
{
    size_t budget = PL_SHARE_TOKENS, usual = limits->step_tokens / PL_MIN_SHARES;

    if (limits->step_tokens && usual + usual / 2 + 1 < budget)
        budget = usual + usual / 2 + 1;
    return limits->longest > budget ? limits->longest : budget;
}

struct pl_net_options pl_engine_net_options(const struct prilora_spec *spec, enum prilora_task task,
                                            const struct pl_engine_limits *limits)
{
    size_t budget = share_budget(limits), fit = budget / SHORTEST;

    return (struct pl_net_options){
        .task = task,
        .n_outputs = limits->n_outputs,
        .hidden_dropout = spec->hidden_dropout,
        .attention_dropout = spec->attention_dropout,
        .classifier_dropout = spec->classifier_dropout,
        .lora_dropout = spec->lora_dropout,
        .half = spec->compute == PRILORA_COMPUTE_BF16,
        .recompute = spec->recompute,
        .max_tokens = budget,
        .max_sequences = fit,
        .max_length = limits->longest,
    };
}

void pl_engine_bytes(const struct pl_net *net, const struct pl_engine_limits *limits,
                     size_t *shared, size_t *per_thread)
{
    size_t sums = (pl_net_sum_size(net) + pl_net_stats_size(net)) * sizeof(pl_real);

    *per_thread = limits->train ? sums : 0;
    *shared = pl_tables_bytes(net) + (limits->train ? sums : 0) +
              pl_shares_bytes(limits->max_sequences) + (limits->longest + 1) * sizeof(double);
}

static enum prilora_status make_threads(struct pl_engine *e, bool train, struct prilora_error *err)
{
    enum prilora_status rc =
        e->team_is_shared ? PRILORA_OK : pl_team_new(&e->team, e->n_threads, err);

    e->workspaces = pl_calloc(e->n_threads, sizeof *e->workspaces);
    e->sums = pl_calloc(e->n_threads, sizeof *e->sums);
    if (rc == PRILORA_OK && (!e->workspaces || !e->sums))
        rc = pl_fail(err, PRILORA_ENOMEM, "no memory for %zu compute threads", e->n_threads);
    for (size_t i = 0; rc == PRILORA_OK && i < e->n_threads; i++) {
        rc = pl_workspace_new(&e->workspaces[i], e->net, train, err);
        if (rc != PRILORA_OK || !train)
            continue;
        e->sums[i] = pl_calloc_aligned(e->n_sum + e->n_stats, sizeof(pl_real));
        if (!e->sums[i])
            rc = pl_fail(err, PRILORA_ENOMEM, "no memory for the gradients of thread %zu", i + 1);
    }
    return rc;
}

static enum prilora_status make_sums(struct pl_engine *e, const struct pl_engine_limits *limits,
                                     struct prilora_error *err)
{
    e->cost = pl_calloc(limits->longest + 1, sizeof *e->cost);
    e->total = limits->train ? pl_calloc_aligned(e->n_sum, sizeof(pl_real)) : NULL;
    e->squares = limits->train ? pl_calloc_aligned(e->n_stats, sizeof(pl_real)) : NULL;
    if (!e->cost || (limits->train && (!e->total || !e->squares)))
        return pl_fail(err, PRILORA_ENOMEM, "no memory for the gradients of a step");
    for (size_t n = 1; n <= limits->longest; n++)
        e->cost[n] = pl_net_operations(e->net, n, true);
    return pl_shares_new(&e->shares, limits->max_sequences, err);
}

enum prilora_status pl_engine_new(struct pl_engine **out, struct pl_model *model,
                                  const struct prilora_spec *spec, enum prilora_task task,
                                  const struct pl_engine_limits *limits, struct prilora_error *err)
{
    struct pl_net_options options = pl_engine_net_options(spec, task, limits);
    struct pl_engine *e = pl_calloc(1, sizeof *e);
    enum prilora_status rc;

    *out = NULL;
    if (!e)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for a compute team");
    e->team = limits->team;
    e->team_is_shared = limits->team != NULL;
    e->n_threads = limits->team        ? pl_team_size(limits->team)
                   : limits->n_threads ? limits->n_threads
                                       : 1;
    e->n_layers = model->config.num_hidden_layers;
    e->budget = share_budget(limits);
    rc = pl_net_new(&e->net, model, spec, &options, err);
    if (rc == PRILORA_OK)
        rc = pl_model_use(model, pl_net_options(e->net)->half, err);
    if (rc == PRILORA_OK) {
        e->layout = pl_net_layout(e->net);
        e->adapter = pl_net_adapter(e->net);
        e->n_sum = pl_net_sum_size(e->net);
        e->n_stats = pl_net_stats_size(e->net);
        rc = pl_tables_new(&e->tables, e->net, err);
    }
    if (rc == PRILORA_OK)
        rc = make_threads(e, limits->train, err);
    if (rc == PRILORA_OK)
        rc = make_sums(e, limits, err);
    if (rc != PRILORA_OK) {
        pl_engine_free(e);
        return rc;
    }
    *out = e;
    return PRILORA_OK;
}

void pl_engine_free(struct pl_engine *engine)
{
    if (!engine)
        return;
    if (!engine->team_is_shared)
        pl_team_free(engine->team);
    for (size_t i = 0; i < engine->n_threads; i++) {
        if (engine->workspaces)
            pl_workspace_free(engine->workspaces[i]);
        if (engine->sums)
            free(engine->sums[i]);
    }
    free(engine->workspaces);
    free(engine->sums);
    free(engine->total);
    free(engine->squares);
    free(engine->cost);
    pl_shares_free(&engine->shares);
    pl_tables_free(engine->tables);
    pl_net_free(engine->net);
    free(engine);
}

static void begin_layer(void *context, size_t layer, size_t thread)
{
    struct pl_engine *e = context;

    pl_net_begin_layer(e->net, e->pass, layer, e->workspaces[thread]);
}

static void finish_layer(void *context, size_t layer, size_t thread)
{
    struct pl_engine *e = context;

    pl_net_finish_layer(e->net, e->pass, layer, e->workspaces[thread], e->total);
}

static void add(pl_real *restrict total, const pl_real *restrict part, size_t n)
{
    for (size_t i = 0; i < n; i++)
        total[i] += part[i];
}

/*
 * The sum over shares, all of it: what an engine that trains on several machines would replace by
 * an all-reduce. Called in share order, by one thread at a time.
 */
static void sum_share(struct pl_engine *e, size_t share, const pl_real *part, double loss)
{
    if (share == 0) {
        memcpy(e->total, part, e->n_sum * sizeof *part);
        memcpy(e->squares, part + e->n_sum, e->n_stats * sizeof *part);
    } else {
        add(e->total, part, e->n_sum);
        add(e->squares, part + e->n_sum, e->n_stats);
    }
    e->loss += loss;
}

static void train_share(void *context, size_t share, size_t thread)
{
    struct pl_engine *e = context;
    pl_real *part = e->sums[thread];
    double loss = 0;

    pl_net_share(e->net, e->pass, &e->cut->shares[share], e->workspaces[thread], part,
                 part + e->n_sum, &loss, NULL);
    pl_turn_wait(e->team, share);
    sum_share(e, share, part, loss);
    pl_turn_done(e->team, share);
}

void pl_engine_step(struct pl_engine *engine, const struct pl_batch *batch, const pl_real *params,
                    uint64_t seed, uint64_t step)
{
    struct pl_pass pass = {batch, params, seed, step, true, engine->tables};

    pl_shares_cut(&engine->shares, batch->starts, batch->n_sequences, engine->cost, engine->budget);
    engine->pass = &pass;
    engine->cut = &engine->shares;
    engine->loss = 0;
    pl_team_run(engine->team, begin_layer, engine, engine->n_layers);
    pl_team_run(engine->team, train_share, engine, engine->cut->n);
    pl_team_run(engine->team, finish_layer, engine, engine->n_layers);
    engine->pass = NULL;
}

static bool stopped(const atomic_int *stop)
{
    return stop && atomic_load_explicit(stop, memory_order_relaxed) == PRILORA_STOP;
}

static void evaluate_share(void *context, size_t share, size_t thread)
{
    struct pl_engine *e = context;
    double loss = 0;

    if (!stopped(e->stop))
        pl_net_share(e->net, e->pass, &e->cut->shares[share], e->workspaces[thread], NULL, NULL,
                     &loss, e->logits);
    pl_turn_wait(e->team, share);
    e->loss += loss;
    pl_turn_done(e->team, share);
}

void pl_engine_prepare(struct pl_engine *engine, size_t longest, const pl_real *params)
{
    const struct pl_batch batch = {.longest = longest};
    const struct pl_pass pass = {&batch, params, 0, 0, false, engine->tables};

    engine->pass = &pass;
    pl_team_run(engine->team, begin_layer, engine, engine->n_layers);
    engine->pass = NULL;
}

bool pl_engine_predict(struct pl_engine *engine, const struct pl_batch *batch,
                       const struct pl_shares *cut, const pl_real *params, pl_real *logits,
                       const atomic_int *stop)
{
    const struct pl_pass pass = {batch, params, 0, 0, false, engine->tables};

    engine->pass = &pass;
    engine->cut = cut;
    engine->logits = logits;
    engine->stop = stop;
    engine->loss = 0;
    pl_team_run(engine->team, evaluate_share, engine, cut->n);
    engine->pass = NULL;
    return !stopped(stop);
}

bool pl_engine_evaluate(struct pl_engine *engine, const struct pl_batch *batch,
                        const struct pl_shares *cut, const pl_real *params, pl_real *logits,
                        const atomic_int *stop)
{
    pl_engine_prepare(engine, batch->longest, params);
    return pl_engine_predict(engine, batch, cut, params, logits, stop);
}
