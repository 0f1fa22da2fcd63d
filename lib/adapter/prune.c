/* prune.c - see prune.h. Nothing here allocates after pl_pruner_new. */
#include "adapter/prune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct pl_score {
    pl_real score;
    uint32_t column;
};

static size_t widest(const struct pl_map_site *sites, size_t n)
{
    size_t in = 0;

    for (size_t i = 0; i < n; i++)
        in = sites[i].in > in ? sites[i].in : in;
    return in;
}

static size_t count_prunable(const struct pl_adapter *adapter, const struct pl_map_site *sites)
{
    size_t n = 0;

    for (size_t i = 0; i < adapter->n_maps; i++)
        n += adapter->maps[i].rank * sites[i].in;
    return n;
}

size_t pl_pruner_bytes(const struct pl_adapter *adapter, const struct pl_map_site *sites,
                       size_t n_stats)
{
    return count_prunable(adapter, sites) + n_stats * sizeof(pl_real) +
           adapter->n_maps * (2 * sizeof(size_t) + sizeof(struct pl_pruned)) +
           widest(sites, adapter->n_maps) * sizeof(struct pl_score);
}

enum prilora_status pl_pruner_new(struct pl_pruner **out, const struct pl_adapter *adapter,
                                  const struct pl_map_site *sites, const size_t *stats_offset,
                                  size_t n_stats, struct prilora_error *err)
{
    struct pl_pruner *p = pl_calloc(1, sizeof *p);
    size_t n = adapter->n_maps, next = 0;

    *out = NULL;
    if (!p)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for the pruning of %zu maps", n);
    p->adapter = adapter;
    p->sites = sites;
    p->n_prunable = count_prunable(adapter, sites);
    p->n_stats = n_stats;
    p->first = pl_calloc(n, sizeof *p->first);
    p->stats_offset = pl_calloc(n, sizeof *p->stats_offset);
    p->mask = pl_calloc(p->n_prunable, 1);
    p->stats = pl_calloc(n_stats, sizeof *p->stats);
    p->maps = pl_calloc(n, sizeof *p->maps);
    p->scratch = pl_calloc(widest(sites, n), sizeof *p->scratch);
    if (!p->first || !p->stats_offset || !p->mask || !p->stats || !p->maps || !p->scratch) {
        pl_pruner_free(p);
        return pl_fail(err, PRILORA_ENOMEM, "no memory for the pruning of %zu maps", n);
    }
    for (size_t i = 0; i < n; i++) {
        p->first[i] = next;
        p->stats_offset[i] = stats_offset[i];
        next += adapter->maps[i].rank * sites[i].in;
    }
    *out = p;
    return PRILORA_OK;
}

void pl_pruner_free(struct pl_pruner *pruner)
{
    if (!pruner)
        return;
    free(pruner->first);
    free(pruner->stats_offset);
    free(pruner->mask);
    free(pruner->stats);
    free(pruner->maps);
    free(pruner->scratch);
    free(pruner);
}

void pl_pruner_update(struct pl_pruner *pruner, const pl_real *squares, double decay)
{
    for (size_t j = 0; j < pruner->n_stats; j++) {
        double norm = sqrt((double)squares[j]);

        if (pruner->n_updates)
            norm = decay * (double)pruner->stats[j] + (1 - decay) * norm;
        pruner->stats[j] = (pl_real)norm;
    }
    pruner->n_updates++;
}

size_t pl_prune_count(double ratio, size_t in)
{
    /* 0.29 * 100 is 28.999999999999996 in binary; no ratio that anyone writes is this close below
     * a whole number by intention */
    return (size_t)floor(ratio * (double)in + 1e-9);
}

static bool goes_before(const struct pl_score *a, const struct pl_score *b)
{
    return a->score != b->score ? a->score < b->score : a->column < b->column;
}

static void swap(struct pl_score *a, struct pl_score *b)
{
    struct pl_score kept = *a;

    *a = *b;
    *b = kept;
}

/* Hoare's selection: the k that go first come to stand in s[0 .. k-1]. No two are equal. */
static void select_least(struct pl_score *s, size_t n, size_t k)
{
    size_t low = 0, high = n;

    while (high - low > 1) {
        size_t border = low;

        swap(&s[low + (high - low) / 2], &s[high - 1]);
        for (size_t i = low; i + 1 < high; i++) {
            if (goes_before(&s[i], &s[high - 1]))
                swap(&s[i], &s[border++]);
        }
        swap(&s[border], &s[high - 1]);
        if (border == k)
            return;
        if (border < k)
            low = border + 1;
        else
            high = border;
    }
}

/* scratch[0 .. count-1] become the entries of a row that are to be zero; mask as far as held. */
static void choose_in_row(struct pl_score *scratch, const pl_real *row, const pl_real *stats,
                          const uint8_t *held, size_t in, size_t count)
{
    for (size_t j = 0; j < in; j++) {
        pl_real magnitude = row[j] < 0 ? -row[j] : row[j];

        scratch[j].column = (uint32_t)j;
        scratch[j].score = held && held[j] ? -1 : magnitude * stats[j];
    }
    select_least(scratch, in, count);
}

static void prune_map(struct pl_pruner *p, size_t map, pl_real *params, pl_real *moments[2],
                      const struct pl_prune_options *options)
{
    const struct pl_lora *lora = &p->adapter->maps[map];
    size_t in = p->sites[map].in, count = pl_prune_count(options->ratio, in);
    struct pl_pruned *done = &p->maps[map];
    bool first = done->n_prunings == 0;

    *done = (struct pl_pruned){done->n_prunings + 1, options->step, lora->rank * count, 0, 0};
    for (size_t i = 0; i < lora->rank; i++) {
        size_t row = lora->a + i * in;
        uint8_t *mask = p->mask + p->first[map] + i * in;

        choose_in_row(p->scratch, params + row, p->stats + p->stats_offset[map],
                      options->hold ? mask : NULL, in, count);
        for (size_t k = 0; k < count; k++) {
            size_t j = p->scratch[k].column;

            done->n_changed += params[row + j] != 0;
            done->n_new += !first && !mask[j];
            params[row + j] = 0;
            for (int m = 0; m < 2 && moments[m]; m++)
                moments[m][row + j] = 0;
        }
        memset(mask, 0, in);
        for (size_t k = 0; k < count; k++)
            mask[p->scratch[k].column] = 1;
    }
}

void pl_prune(struct pl_pruner *pruner, pl_real *params, pl_real *first_moment,
              pl_real *second_moment, const struct pl_prune_options *options)
{
    pl_real *moments[2] = {first_moment, second_moment};

    for (size_t map = 0; map < pruner->adapter->n_maps; map++) {
        if (pruner->adapter->maps[map].rank)
            prune_map(pruner, map, params, moments, options);
    }
}

void pl_prune_copy(const struct pl_pruner *pruner, pl_real *params, double ratio, bool hold)
{
    if (!pruner->n_updates)
        return; /* nothing has been measured */
    for (size_t map = 0; map < pruner->adapter->n_maps; map++) {
        const struct pl_lora *lora = &pruner->adapter->maps[map];
        size_t in = pruner->sites[map].in, count = pl_prune_count(ratio, in);

        for (size_t i = 0; i < lora->rank; i++) {
            pl_real *row = params + lora->a + i * in;
            const uint8_t *mask = pruner->mask + pruner->first[map] + i * in;

            choose_in_row(pruner->scratch, row, pruner->stats + pruner->stats_offset[map],
                          hold ? mask : NULL, in, count);
            for (size_t k = 0; k < count; k++)
                row[pruner->scratch[k].column] = 0;
        }
    }
}

void pl_prune_hold(const struct pl_pruner *pruner, pl_real *params)
{
    for (size_t map = 0; map < pruner->adapter->n_maps; map++) {
        const uint8_t *mask = pruner->mask + pruner->first[map];
        pl_real *a = params + pruner->adapter->maps[map].a;
        size_t n = pruner->adapter->maps[map].rank * pruner->sites[map].in;

        for (size_t i = 0; i < n; i++) {
            if (mask[i])
                a[i] = 0;
        }
    }
}

size_t pl_prune_map_nonzero(const struct pl_pruner *pruner, const pl_real *params, size_t map)
{
    const pl_real *a = params + pruner->adapter->maps[map].a;
    size_t n = pruner->adapter->maps[map].rank * pruner->sites[map].in, count = 0;

    for (size_t i = 0; i < n; i++)
        count += a[i] != 0;
    return count;
}

size_t pl_prune_nonzero(const struct pl_pruner *pruner, const pl_real *params)
{
    size_t count = 0;

    for (size_t map = 0; map < pruner->adapter->n_maps; map++)
        count += pl_prune_map_nonzero(pruner, params, map);
    return count;
}
