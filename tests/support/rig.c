/* rig.c - see rig.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "model/precision.h"
#include "base/random.h"
#include "support/rig.h"

void test_fill(pl_real *x, size_t n, double range, uint64_t seed)
{
    struct pl_random r = pl_random_at(seed, 0, PL_SITE_INIT_A, 0);

    for (size_t i = 0; i < n; i++)
        x[i] = (pl_real)(range * (2 * pl_random_uniform(&r, i) - 1));
}

double test_distance(const pl_real *x, const pl_real *y, size_t n)
{
    double difference = 0, norm = 0;

    for (size_t i = 0; i < n; i++) {
        difference += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
        norm += (double)y[i] * (double)y[i];
    }
    return norm > 0 ? sqrt(difference / norm) : sqrt(difference);
}

static void must(enum prilora_status rc, const struct prilora_error *err)
{
    if (rc != PRILORA_OK)
        fail_msg("%s: %s", prilora_status_name(rc), err->message);
}

void test_rig_open(struct test_rig *rig, const char *folder, const long *ranks, size_t n_layers,
                   const char *const *targets, size_t n_targets,
                   const struct pl_net_options *options)
{
    struct prilora_spec spec = {.rank_schedule = PRILORA_RANK_LIST,
                                .n_ranks = n_layers,
                                .lora_alpha = 16,
                                .scaling = PRILORA_SCALING_LAYER,
                                .n_targets = n_targets};
    const size_t tokens = options->max_tokens;
    struct prilora_error err = {0};
    size_t sums, stats;

    memset(rig, 0, sizeof *rig);
    memcpy(spec.ranks, ranks, n_layers * sizeof *ranks);
    for (size_t i = 0; i < n_targets; i++)
        spec.targets[i] = (char *)(uintptr_t)targets[i];
    must(pl_model_open(&rig->model, folder, &err), &err);
    must(pl_net_new(&rig->net, rig->model, &spec, options, &err), &err);
    must(pl_model_use(rig->model, pl_net_options(rig->net)->half, &err), &err);
    must(pl_tables_new(&rig->tables, rig->net, &err), &err);
    must(pl_workspace_new(&rig->ws, rig->net, true, &err), &err);
    sums = pl_net_sum_size(rig->net);
    stats = pl_net_stats_size(rig->net);
    rig->params = pl_calloc_aligned(pl_net_layout(rig->net)->size, sizeof(pl_real));
    rig->grads = pl_calloc_aligned(sums, sizeof(pl_real));
    rig->part = pl_calloc_aligned(sums, sizeof(pl_real));
    rig->stats = pl_calloc_aligned(stats, sizeof(pl_real));
    rig->part_stats = pl_calloc_aligned(stats, sizeof(pl_real));
    rig->logits =
        pl_calloc((TEST_RIG_MAX_SEQUENCES + tokens) * options->n_outputs, sizeof(pl_real));
    rig->ids = pl_calloc(tokens, sizeof *rig->ids);
    rig->type_ids = pl_calloc(tokens, sizeof *rig->type_ids);
    rig->labels =
        pl_calloc(TEST_RIG_MAX_SEQUENCES * options->n_outputs + tokens, sizeof *rig->labels);
    rig->train = true;
}

void test_rig_close(struct test_rig *rig)
{
    free(rig->params);
    free(rig->grads);
    free(rig->part);
    free(rig->stats);
    free(rig->part_stats);
    free(rig->logits);
    free(rig->ids);
    free(rig->type_ids);
    free(rig->labels);
    pl_workspace_free(rig->ws);
    pl_tables_free(rig->tables);
    pl_net_free(rig->net);
    pl_model_close(rig->model);
}

void test_rig_batch(struct test_rig *rig, const size_t *lengths, size_t n)
{
    struct pl_random r = pl_random_at(7, 0, PL_SITE_SHUFFLE, 0);

    rig->batch = (struct pl_batch){.n_sequences = n,
                                   .ids = rig->ids,
                                   .type_ids = rig->type_ids,
                                   .starts = rig->starts,
                                   .labels = rig->labels};
    for (size_t k = 0; k < n; k++) {
        rig->starts[k + 1] = rig->starts[k] + lengths[k];
        if (lengths[k] > rig->batch.longest)
            rig->batch.longest = lengths[k];
    }
    rig->batch.n_tokens = rig->starts[n];
    for (size_t i = 0; i < rig->batch.n_tokens; i++) {
        rig->ids[i] = (int32_t)(pl_random_u32(&r, i) % rig->model->config.vocab_size);
        rig->type_ids[i] = (uint8_t)(pl_random_u32(&r, i) >> 31);
    }
}

static struct pl_pass pass_of(const struct test_rig *rig)
{
    return (struct pl_pass){.batch = &rig->batch,
                            .params = rig->params,
                            .seed = rig->seed,
                            .step = rig->step,
                            .train = rig->train,
                            .tables = rig->tables};
}

static void add_share(struct test_rig *rig, const struct pl_pass *pass, size_t from, size_t n)
{
    size_t sequences[TEST_RIG_MAX_SEQUENCES];
    struct pl_share share = {.sequences = sequences, .n_sequences = n};
    double loss;

    share.n_tokens = rig->starts[from + n] - rig->starts[from];
    for (size_t k = 0; k < n; k++)
        sequences[k] = from + k;
    pl_net_share(rig->net, pass, &share, rig->ws, rig->train ? rig->part : NULL,
                 rig->train ? rig->part_stats : NULL, &loss, rig->logits);
    rig->loss += loss;
    for (size_t i = 0; rig->train && i < pl_net_sum_size(rig->net); i++)
        rig->grads[i] += rig->part[i];
    for (size_t i = 0; rig->train && i < pl_net_stats_size(rig->net); i++)
        rig->stats[i] += rig->part_stats[i];
}

void test_rig_step(struct test_rig *rig, const size_t *sizes, size_t n_shares)
{
    const struct pl_pass pass = pass_of(rig);
    const size_t layers = rig->model->config.num_hidden_layers;
    size_t from = 0;

    memset(rig->grads, 0, pl_net_sum_size(rig->net) * sizeof *rig->grads);
    memset(rig->stats, 0, pl_net_stats_size(rig->net) * sizeof *rig->stats);
    rig->loss = 0;
    for (size_t l = 0; l < layers; l++)
        pl_net_begin_layer(rig->net, &pass, l, rig->ws);
    for (size_t k = 0; k < n_shares; k++) {
        add_share(rig, &pass, from, sizes[k]);
        from += sizes[k];
    }
    assert_int_equal(from, rig->batch.n_sequences);
    for (size_t l = 0; rig->train && l < layers; l++)
        pl_net_finish_layer(rig->net, &pass, l, rig->ws, rig->grads);
}

double test_rig_loss(struct test_rig *rig)
{
    test_rig_step(rig, &rig->batch.n_sequences, 1);
    return rig->loss;
}
