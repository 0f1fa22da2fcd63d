/*
 * forecast.c - what a run will need, from settings, shapes and data: the sizes are asked of the
 * parts that will allocate them. Of a workspace only what the largest share fills becomes resident,
 * so the run's first steps are cut into shares here as they will be there.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "model/precision.h"
#include "train/run.h"
#include "train/spec.h"

/* Beside what is allocated here; as measured. */
#define RUN_BYTES  ((size_t)256 << 10) /* what training first uses of libraries' code and tables */
#define BLAS_BYTES ((size_t)768 << 10) /* of a thread: its stack and its part of BLAS's buffers */

#define MOST_EXAMPLES  ((size_t)1 << 18) /* of the first steps, that are cut into shares here */
#define GUESSED_LABELS 8                 /* outputs of a head that is not known yet */

static double pass_operations(const struct pl_net *net, const struct prilora_dataset *data,
                              bool train)
{
    double sum = 0;

    for (size_t i = 0; i < data->n; i++) {
        size_t n = data->starts[i + 1] - data->starts[i];

        sum += pl_net_operations(net, n, train);
        if (train)
            sum += pl_net_repeated_operations(net, n);
    }
    return sum;
}

/* Times through the validation data. */
static double n_evaluations(const struct prilora_spec *spec, uint64_t total, uint64_t per_epoch)
{
    uint64_t every = spec->eval_steps > 0 ? (uint64_t)spec->eval_steps : per_epoch;
    uint64_t n = (total + every - 1) / every;

    return (double)n + 1; /* and once at export */
}

/* What the data make of a run, as far as memory goes. */
struct largest {
    size_t share_bytes; /* of a workspace */
    size_t step_tokens;
};

static void measure_shares(struct largest *out, const struct pl_net *net, const struct pl_batch *b,
                           const struct pl_shares *cut, bool train)
{
    for (size_t k = 0; k < cut->n; k++) {
        const struct pl_share *share = &cut->shares[k];
        struct pl_extent extent = {.n_tokens = share->n_tokens, .n_sequences = share->n_sequences};
        size_t bytes;

        for (size_t i = 0; i < share->n_sequences; i++) {
            const size_t *start = &b->starts[share->sequences[i]];

            extent.squares += (start[1] - start[0]) * (start[1] - start[0]);
        }
        bytes = pl_workspace_bytes(net, train, &extent);
        out->share_bytes = bytes > out->share_bytes ? bytes : out->share_bytes;
    }
}

static enum prilora_status measure_steps(struct largest *out, const struct pl_net *net,
                                         const struct pl_engine_limits *limits,
                                         const struct prilora_spec *spec,
                                         const struct prilora_dataset *train, uint64_t total_steps,
                                         struct prilora_error *err)
{
    double *cost = pl_calloc(limits->longest + 1, sizeof *cost);
    struct pl_shares shares = {0};
    struct pl_feed feed = {0};
    enum prilora_status rc = pl_shares_new(&shares, limits->max_sequences, err);

    if (rc == PRILORA_OK)
        rc = pl_feed_new(&feed, train, spec->seed, limits->max_sequences, err);
    if (rc == PRILORA_OK && !cost)
        rc = pl_fail(err, PRILORA_ENOMEM, "no memory for the forecast");
    for (size_t n = 1; rc == PRILORA_OK && n <= limits->longest; n++)
        cost[n] = pl_net_operations(net, n, true);
    for (uint64_t k = 0, n = 0; rc == PRILORA_OK && k < total_steps && n < MOST_EXAMPLES; k++) {
        const struct pl_batch b = pl_feed_batch(&feed, k);

        pl_shares_cut(&shares, b.starts, b.n_sequences, cost, pl_net_options(net)->max_tokens);
        measure_shares(out, net, &b, &shares, true);
        out->step_tokens = b.n_tokens > out->step_tokens ? b.n_tokens : out->step_tokens;
        n += b.n_sequences;
    }
    pl_feed_free(&feed);
    pl_shares_free(&shares);
    free(cost);
    return rc;
}

/* Evaluations fill their shares, but keep nothing of them. */
static enum prilora_status measure_evaluation(struct largest *out, const struct pl_net *net,
                                              const struct prilora_dataset *valid,
                                              struct prilora_error *err)
{
    const struct pl_batch all = pl_feed_all(valid);
    struct pl_shares shares;
    enum prilora_status rc = pl_shares_new(&shares, valid->n, err);

    if (rc != PRILORA_OK)
        return rc;
    pl_shares_fill(&shares, valid->starts, valid->n, pl_net_options(net)->max_tokens);
    measure_shares(out, net, &all, &shares, false);
    pl_shares_free(&shares);
    return PRILORA_OK;
}

/* Without data: the largest that can be. */
static enum prilora_status
measure(struct largest *out, const struct pl_net *net, const struct pl_engine_limits *limits,
        const struct prilora_spec *spec, const struct prilora_dataset *train,
        const struct prilora_dataset *valid, uint64_t total_steps, struct prilora_error *err)
{
    enum prilora_status rc;

    *out = (struct largest){0};
    if (!train) {
        out->share_bytes = pl_workspace_bytes(net, true, NULL);
        return PRILORA_OK;
    }
    rc = measure_steps(out, net, limits, spec, train, total_steps, err);
    return rc == PRILORA_OK && valid ? measure_evaluation(out, net, valid, err) : rc;
}

static void add_work(struct prilora_forecast *out, const struct pl_net *net,
                     const struct prilora_spec *spec, const struct prilora_dataset *train,
                     const struct prilora_dataset *valid, size_t step_size)
{
    uint64_t per_epoch = (train->n + step_size - 1) / step_size;
    double epochs = (double)out->total_steps / (double)per_epoch;

    out->flops = epochs * pass_operations(net, train, true);
    if (valid)
        out->flops +=
            n_evaluations(spec, out->total_steps, per_epoch) * pass_operations(net, valid, false);
}

static void add_memory(struct prilora_forecast *out, const struct prilora_base *base,
                       const struct pl_net *net, const struct pl_engine_limits *limits,
                       const struct largest *largest, const struct prilora_dataset *train,
                       const struct prilora_dataset *valid)
{
    const struct pl_model *model = base->model;
    const struct pl_adapter *adapter = pl_net_adapter(net);
    size_t block = pl_net_layout(net)->size * sizeof(pl_real), shared, thread;

    pl_engine_bytes(net, limits, &shared, &thread);
    thread += largest->share_bytes + BLAS_BYTES;
    out->base_bytes = model->touched_bytes + model->resident_bytes +
                      pl_model_maps_bytes(model, pl_net_options(net)->half) +
                      pl_tokenizer_bytes(base->tokenizer, !train);
    out->thread_bytes = thread;
    out->fixed_bytes = RUN_BYTES + out->base_bytes + 4 * block +
                       pl_net_layout(net)->size * sizeof(float) + /* as it is exported */
                       pl_pruner_bytes(adapter, model->sites, pl_net_stats_size(net)) +
                       2 * adapter->n_adapted * sizeof(struct prilora_layer);
    out->memory_bytes = out->fixed_bytes + shared + thread;
    if (train)
        out->memory_bytes += pl_dataset_bytes(train) +
                             pl_feed_bytes(train, limits->max_sequences, largest->step_tokens);
    if (valid)
        out->memory_bytes += pl_dataset_bytes(valid) + pl_shares_bytes(valid->n) +
                             pl_dataset_logit_rows(valid) * valid->n_labels * sizeof(pl_real);
}

/* Before there are data. */
static size_t guessed_outputs(enum prilora_task task)
{
    return task == PRILORA_TASK_QUESTION_ANSWERING ? 2 : GUESSED_LABELS;
}

enum prilora_status
prilora_run_forecast(struct prilora_forecast *out, const struct prilora_base *base,
                     const struct prilora_spec *spec, const struct prilora_dataset *train,
                     const struct prilora_dataset *valid, struct prilora_error *err)
{
    const size_t most = pl_model_max_length(base->model);
    enum prilora_task task = train                             ? train->task
                             : spec->task != PRILORA_TASK_AUTO ? spec->task
                                                               : PRILORA_TASK_CLASSIFICATION;
    size_t step_size = (size_t)(spec->batch_size * spec->gradient_accumulation_steps);
    struct pl_engine_limits limits = {.n_outputs = guessed_outputs(task), .train = true};
    struct pl_net_options options;
    struct largest largest;
    struct pl_net *net;
    enum prilora_status rc;

    *out = (struct prilora_forecast){0};
    limits.longest = (size_t)spec->max_length < most ? (size_t)spec->max_length : most;
    if (train) {
        step_size = step_size < train->n ? step_size : train->n;
        limits.n_outputs = train->n_labels;
        out->total_steps = spec->max_steps > 0 ? (uint64_t)spec->max_steps
                                               : (uint64_t)spec->n_epochs *
                                                     ((train->n + step_size - 1) / step_size);
        limits.longest = train->longest;
        limits.step_tokens = pl_feed_step_tokens(train, step_size);
        if (valid && valid->longest > limits.longest)
            limits.longest = valid->longest;
    }
    limits.max_sequences = step_size;
    options = pl_engine_net_options(spec, task, &limits);
    rc = pl_net_new(&net, base->model, spec, &options, err);
    if (rc != PRILORA_OK)
        return rc;
    out->n_trainable = pl_net_layout(net)->n_parameters;
    out->n_adapter = pl_net_adapter(net)->n_parameters;
    rc = measure(&largest, net, &limits, spec, train, valid, out->total_steps, err);
    if (rc == PRILORA_OK)
        add_memory(out, base, net, &limits, &largest, train, valid);
    if (rc == PRILORA_OK && train)
        add_work(out, net, spec, train, valid, step_size);
    pl_net_free(net);
    return rc;
}
