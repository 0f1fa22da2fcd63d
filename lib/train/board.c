/*
 * board.c - the live statistics of the adapted maps. The run drafts them on its own thread and
 * publishes the draft by one copy under a lock; readers copy it out under the same lock. Neither
 * waits for any computation.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "math/blas.h"
#include "train/run.h"

static const struct pl_map_site *site_of(const struct prilora_run *run, size_t map)
{
    return &run->base->model->sites[map];
}

static void fill_constants(struct prilora_run *run)
{
    struct prilora_layer *layer = run->board.draft;

    for (size_t i = 0; i < run->engine->adapter->n_maps; i++) {
        const struct pl_lora *lora = &run->engine->adapter->maps[i];
        const struct pl_map_site *site = site_of(run, i);

        if (!lora->rank)
            continue;
        snprintf(layer->module, sizeof layer->module, "%s", site->path);
        snprintf(layer->map, sizeof layer->map, "%s", site->kind);
        layer->layer = site->layer;
        layer->rank = lora->rank;
        layer->in_features = site->in;
        layer->out_features = site->out;
        layer->alpha = lora->alpha;
        layer->scale = lora->scale;
        layer->n_prunable = lora->rank * site->in;
        layer->n_parameters = lora->rank * (site->in + site->out);
        layer++;
    }
}

enum prilora_status pl_board_new(struct prilora_run *run, struct prilora_error *err)
{
    struct pl_board *board = &run->board;
    size_t rank = 0, n = run->engine->adapter->n_adapted;

    for (size_t i = 0; i < run->engine->adapter->n_maps; i++)
        rank =
            run->engine->adapter->maps[i].rank > rank ? run->engine->adapter->maps[i].rank : rank;
    pthread_mutex_init(&board->lock, NULL);
    board->n = n;
    board->published = pl_calloc(n, sizeof *board->published);
    board->draft = pl_calloc(n, sizeof *board->draft);
    board->gram = pl_calloc(2 * rank * rank, sizeof *board->gram);
    if (!board->published || !board->draft || !board->gram)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for the statistics of %zu maps", n);
    fill_constants(run);
    pl_board_publish(run, run->params);
    return PRILORA_OK;
}

void pl_board_free(struct pl_board *board)
{
    if (board->draft)
        pthread_mutex_destroy(&board->lock);
    free(board->published);
    free(board->draft);
    free(board->gram);
}

/*
 * Frobenius norms of A, B and B A. |B A|^2 is the trace of (A A^T) (B^T B), two products of rank by
 * rank: B A itself is never made.
 */
static void fill_norms(struct prilora_layer *layer, pl_real *gram, const pl_real *a,
                       const pl_real *b)
{
    size_t r = layer->rank;
    pl_real *of_a = gram, *of_b = gram + r * r;
    struct pl_matrix a_rows = {a, layer->in_features, false}, b_rows = {b, r, false};
    struct pl_matrix a_columns = {a, layer->in_features, true}, b_columns = {b, r, true};
    double a_square = 0, b_square = 0, product = 0;

    pl_gemm(of_a, r, a_rows, a_columns, r, r, layer->in_features, 1, 0);
    pl_gemm(of_b, r, b_columns, b_rows, r, r, layer->out_features, 1, 0);
    for (size_t i = 0; i < r; i++) {
        a_square += (double)of_a[i * r + i];
        b_square += (double)of_b[i * r + i];
    }
    for (size_t i = 0; i < r * r; i++)
        product += (double)of_a[i] * (double)of_b[i];
    layer->a_norm = sqrt(a_square);
    layer->b_norm = sqrt(b_square);
    layer->update_norm = layer->scale * sqrt(product > 0 ? product : 0);
}

static void fill_inputs(struct prilora_layer *layer, const pl_real *stats)
{
    double low = (double)stats[0], high = low, sum = 0;

    for (size_t j = 0; j < layer->in_features; j++) {
        double one = (double)stats[j];

        low = one < low ? one : low;
        high = one > high ? one : high;
        sum += one;
    }
    layer->input_min = low;
    layer->input_mean = sum / (double)layer->in_features;
    layer->input_max = high;
}

static void fill_prunings(struct prilora_layer *layer, const struct pl_pruned *pruned)
{
    layer->n_prunings = pruned->n_prunings;
    layer->last_pruning_step = pruned->last_step;
    layer->last_pruned = (size_t)pruned->n_changed;
    layer->churn = pruned->n_zeroed ? (double)pruned->n_new / (double)pruned->n_zeroed : 0;
}

void pl_board_publish(struct prilora_run *run, const pl_real *block)
{
    const struct pl_pruner *pruner = run->pruner;
    struct pl_board *board = &run->board;
    struct prilora_layer *layer = board->draft;

    for (size_t i = 0; i < pruner->adapter->n_maps; i++) {
        const struct pl_lora *lora = &pruner->adapter->maps[i];

        if (!lora->rank)
            continue;
        layer->n_nonzero = pl_prune_map_nonzero(pruner, block, i);
        layer->sparsity = 1 - (double)layer->n_nonzero / (double)layer->n_prunable;
        fill_norms(layer, board->gram, block + lora->a, block + lora->b);
        fill_inputs(layer, pruner->stats + pruner->stats_offset[i]);
        fill_prunings(layer, &pruner->maps[i]);
        layer++;
    }
    pthread_mutex_lock(&board->lock);
    memcpy(board->published, board->draft, board->n * sizeof *board->draft);
    board->step = run->state.step;
    pthread_mutex_unlock(&board->lock);
    board->last = pl_seconds();
}

size_t prilora_run_snapshot(struct prilora_run *run, struct prilora_layer *layers, size_t capacity,
                            uint64_t *step)
{
    struct pl_board *board = &run->board;
    size_t n = board->n < capacity ? board->n : capacity;

    pthread_mutex_lock(&board->lock);
    if (n)
        memcpy(layers, board->published, n * sizeof *layers);
    if (step)
        *step = board->step;
    pthread_mutex_unlock(&board->lock);
    return board->n;
}
