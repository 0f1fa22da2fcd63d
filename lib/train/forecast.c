/* forecast.c - what a run will need, from settings and shapes: the sizes are asked of the parts
 * that will allocate them. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/run.h"
#include "train/spec.h"

/* Code, stacks, BLAS's own buffers: of the process, whatever is trained. */
#define PROCESS_BYTES  ((size_t)12 << 20)
#define FAULT_BYTES    ((size_t)64 << 10) /* of a file map that Linux brings in together */
#define GUESSED_LABELS 8                  /* outputs of a head that is not known yet */

static size_t data_bytes(const struct prilora_dataset *data)
{
    return data->starts[data->n] * (sizeof *data->ids + sizeof *data->type_ids) +
           data->n * (sizeof *data->starts + data->width * sizeof *data->targets);
}

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

/* The table of words, or NULL; rows that no example uses stay on disk. */
static const struct pl_tensor *word_table(const struct pl_model *model)
{
    static const char end[] = "embeddings.word_embeddings.weight";

    for (size_t i = 0; i < pl_tensors_count(model->tensors); i++) {
        const struct pl_tensor *t = pl_tensors_at(model->tensors, i);
        size_t n = strlen(t->name);

        if (n >= strlen(end) && strcmp(t->name + n - strlen(end), end) == 0 && t->n_dims == 2)
            return t;
    }
    return NULL;
}

static size_t tensor_bytes(const struct pl_tensor *t)
{
    return t ? t->n_elements * pl_dtype_size(t->dtype) : 0;
}

static void mark_rows(unsigned char *blocks, const struct pl_tensor *table,
                      const struct prilora_dataset *data)
{
    size_t row = table->dims[1] * pl_dtype_size(table->dtype);

    for (size_t i = 0; data && i < data->starts[data->n]; i++) {
        size_t first = (size_t)data->ids[i] * row;

        if ((size_t)data->ids[i] >= table->dims[0])
            continue;
        for (size_t b = first / FAULT_BYTES; b <= (first + row - 1) / FAULT_BYTES; b++)
            blocks[b] = 1;
    }
}

/* Bytes of the base that training will touch: all but unused tensors and unused words. */
static size_t base_bytes(const struct pl_model *model, const struct prilora_dataset *train,
                         const struct prilora_dataset *valid)
{
    size_t bytes = model->mapped_bytes + model->resident_bytes, unused = 0, used = 0;
    const struct pl_tensor *table = word_table(model);
    size_t n = tensor_bytes(table) / FAULT_BYTES + 1;
    unsigned char *blocks = train && table ? pl_calloc(n, 1) : NULL;

    for (size_t i = 0; i < model->n_unused; i++)
        unused += tensor_bytes(pl_tensors_find(model->tensors, model->unused[i]));
    if (blocks) {
        mark_rows(blocks, table, train);
        mark_rows(blocks, table, valid);
        for (size_t b = 0; b < n; b++)
            used += blocks[b] * FAULT_BYTES;
        if (used < tensor_bytes(table))
            unused += tensor_bytes(table) - used;
    }
    free(blocks);
    return unused < model->mapped_bytes ? bytes - unused : bytes;
}

static void add_memory(struct prilora_forecast *out, const struct prilora_base *base,
                       const struct pl_net *net, const struct pl_engine_limits *limits,
                       const struct prilora_dataset *train, const struct prilora_dataset *valid)
{
    const struct pl_model *model = base->model;
    const struct pl_adapter *adapter = pl_net_adapter(net);
    size_t block = pl_net_layout(net)->size * sizeof(pl_real), shared, thread;

    pl_engine_bytes(net, limits, &shared, &thread);
    out->base_bytes = base_bytes(model, train, valid);
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
