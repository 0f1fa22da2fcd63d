/* forecast.c - what a run will need, from settings and shapes: the sizes are asked of the parts
 * that will allocate them. */
#include <string.h>

#include "train/run.h"
#include "train/spec.h"

/* Code, stacks, BLAS's own buffers: of the process, whatever is trained. */
#define PROCESS_BYTES  ((size_t)24 << 20)
#define GUESSED_LABELS 8 /* outputs of a head that is not known yet */

static size_t data_bytes(const struct prilora_dataset *data)
{
    return data->starts[data->n] * (sizeof *data->ids + sizeof *data->type_ids) +
           data->n * (sizeof *data->starts + data->width * sizeof *data->targets);
}

static double pass_operations(const struct pl_net *net, const struct prilora_dataset *data,
                              bool train)
{
    double sum = 0;

    for (size_t i = 0; i < data->n; i++)
        sum += pl_net_operations(net, data->starts[i + 1] - data->starts[i], train);
    return sum;
}

/* Times through the validation data. */
static double n_evaluations(const struct prilora_spec *spec, uint64_t total, uint64_t per_epoch)
{
    uint64_t every = spec->eval_steps > 0 ? (uint64_t)spec->eval_steps : per_epoch;

    return (double)((total + every - 1) / every) + 1; /* and once at export */
}

static void add_work(struct prilora_forecast *out, const struct pl_net *net,
                     const struct prilora_spec *spec, const struct prilora_dataset *train,
                     const struct prilora_dataset *valid, size_t step_size)
{
    uint64_t per_epoch = (train->n + step_size - 1) / step_size;
    double epochs;

    out->total_steps =
        spec->max_steps > 0 ? (uint64_t)spec->max_steps : (uint64_t)spec->n_epochs * per_epoch;
    epochs = (double)out->total_steps / (double)per_epoch;
    out->flops = epochs * pass_operations(net, train, true);
    if (valid)
        out->flops +=
            n_evaluations(spec, out->total_steps, per_epoch) * pass_operations(net, valid, false);
}

static void add_memory(struct prilora_forecast *out, const struct prilora_base *base,
                       const struct pl_net *net, const struct pl_engine_limits *limits,
                       const struct prilora_dataset *train, const struct prilora_dataset *valid)
{
    const struct pl_model *model = base->model;
    const struct pl_adapter *adapter = pl_net_adapter(net);
    size_t block = pl_net_layout(net)->size * sizeof(pl_real), shared, thread;

    pl_engine_bytes(net, limits, &shared, &thread);
    out->base_bytes = model->mapped_bytes + model->resident_bytes;
    out->thread_bytes = thread;
    out->memory_bytes = PROCESS_BYTES + out->base_bytes + shared + thread + 4 * block +
                        pl_pruner_bytes(adapter, model->sites, pl_net_stats_size(net)) +
                        2 * adapter->n_adapted * sizeof(struct prilora_layer);
    if (train)
        out->memory_bytes += data_bytes(train) + pl_feed_bytes(train, limits->max_sequences);
    if (valid)
        out->memory_bytes += data_bytes(valid) + pl_shares_bytes(valid->n) +
                             valid->n * valid->n_labels * sizeof(pl_real);
}

enum prilora_status
prilora_run_forecast(struct prilora_forecast *out, const struct prilora_base *base,
                     const struct prilora_spec *spec, const struct prilora_dataset *train,
                     const struct prilora_dataset *valid, struct prilora_error *err)
{
    const struct pl_config *config = &base->model->config;
    enum prilora_task task = train ? train->task : PRILORA_TASK_CLASSIFICATION;
    size_t step_size = (size_t)(spec->batch_size * spec->gradient_accumulation_steps);
    struct pl_engine_limits limits = {.n_outputs = GUESSED_LABELS, .train = true};
    struct pl_net_options options;
    struct pl_net *net;
    enum prilora_status rc;

    *out = (struct prilora_forecast){0};
    limits.longest = (size_t)spec->max_length < config->max_position_embeddings
                         ? (size_t)spec->max_length
                         : config->max_position_embeddings;
    if (train) {
        step_size = step_size < train->n ? step_size : train->n;
        limits.n_outputs = train->n_labels;
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
    add_memory(out, base, net, &limits, train, valid);
    if (train)
        add_work(out, net, spec, train, valid, step_size);
    pl_net_free(net);
    return PRILORA_OK;
}
