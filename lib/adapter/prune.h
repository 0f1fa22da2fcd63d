/*
 * prune.h - PRILoRA's input statistic, importance and pruning.
 *
 *     statistic    xbar_j <- decay * xbar_j + (1 - decay) * |X_j|     (the first step sets it)
 *     importance   S_ij = |A_ij| * xbar_j
 *     pruning      in each row of A the floor(ratio * in) entries of least importance become zero;
 *                  of equal ones the lower column goes first
 *
 * Source   Benedek & Wolf 2024, arXiv:2401.11316; as DESIGN.md defines it
 */
#ifndef PL_PRUNE_H
#define PL_PRUNE_H

#include <stdint.h>

#include "adapter/adapter.h"
#include "base/real.h"

/* What the prunings of one map have done so far. */
struct pl_pruned {
    uint64_t n_prunings, last_step;
    uint64_t n_zeroed;  /* entries that the last pruning chose */
    uint64_t n_changed; /* of these, not zero before it */
    uint64_t n_new;     /* of these, spared by the pruning before (0 at the first) */
};

/* The state of one run; everything in it goes into checkpoints. */
struct pl_pruner {
    const struct pl_adapter *adapter;
    const struct pl_map_site *sites;
    size_t n_prunable;    /* entries of all A */
    size_t *first;        /* [n_maps] a map's first entry in `mask` */
    size_t *stats_offset; /* [n_maps] its input's columns in `stats` */
    uint8_t *mask;        /* [n_prunable] 1: the last pruning chose this entry */
    pl_real *stats;       /* [n_stats] xbar of every distinct input */
    size_t n_stats;
    uint64_t n_updates;       /* of the statistic */
    struct pl_pruned *maps;   /* [n_maps] */
    struct pl_score *scratch; /* [widest input] */
};

struct pl_prune_options {
    double ratio;
    bool hold; /* entries that were pruned before go first: they are held at zero */
    uint64_t step;
};

/*
 * pl_pruner_new - stats_offset gives each site's first column in a block of n_stats statistics
 * (copied). The adapter and the sites must outlive it.
 */
enum prilora_status pl_pruner_new(struct pl_pruner **out, const struct pl_adapter *adapter,
                                  const struct pl_map_site *sites, const size_t *stats_offset,
                                  size_t n_stats, struct prilora_error *err);
void pl_pruner_free(struct pl_pruner *pruner);
size_t pl_pruner_bytes(const struct pl_adapter *adapter, const struct pl_map_site *sites,
                       size_t n_stats);

/* One step's statistic from the sums of squares of each column. [n_stats] */
void pl_pruner_update(struct pl_pruner *pruner, const pl_real *squares, double decay);

/* Numbers of a row that a pruning zeroes: floor(ratio * in), the ratio read as the decimal it was
 * written as. */
size_t pl_prune_count(double ratio, size_t in);

/*
 * pl_prune - prunes every map's A in the block `params` and remembers what it chose; with moments
 * given (NULL: left as they are) clears those of the chosen entries.
 */
void pl_prune(struct pl_pruner *pruner, pl_real *params, pl_real *first_moment,
              pl_real *second_moment, const struct pl_prune_options *options);

/* The same on a copy that is to be evaluated or exported: the pruner's state stays as it is. */
void pl_prune_copy(const struct pl_pruner *pruner, pl_real *params, double ratio, bool hold);

/* Entries that the last pruning chose become zero again: after every step where nothing regrows. */
void pl_prune_hold(const struct pl_pruner *pruner, pl_real *params);

/* Entries of all A, or of one map's, that are not zero. */
size_t pl_prune_nonzero(const struct pl_pruner *pruner, const pl_real *params);
size_t pl_prune_map_nonzero(const struct pl_pruner *pruner, const pl_real *params, size_t map);

#endif
