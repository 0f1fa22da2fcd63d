/*
 * merges.h - byte pair encoding: which two tokens join to which third, in which order.
 *
 * Source  Sennrich et al. 2016, arXiv:1508.07909
 */
#ifndef PL_MERGES_H
#define PL_MERGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tok/tokenizer.h"

struct pl_merge {
    int32_t left, right; /* left -1: a free place */
    int32_t joined;
    uint32_t rank;
};

struct pl_merges {
    struct pl_merge *places; /* [mask + 1] open addressing */
    size_t n, mask;
    uint64_t factor;
};

bool pl_merges_open(struct pl_merges *merges, size_t most); /* room for so many */
void pl_merges_close(struct pl_merges *merges);
/* Of the same pair given twice, the last rank counts, as in Hugging Face. */
void pl_merges_add(struct pl_merges *merges, struct pl_merge merge);
const struct pl_merge *pl_merges_find(const struct pl_merges *merges, int32_t left, int32_t right);

/* What joining needs beside the ids; start with {0}, release with pl_joiner_free. */
struct pl_joiner {
    int32_t *next, *previous; /* [room] neighbours of a symbol; -1: none */
    uint64_t *heap;           /* [2 room] rank << 32 | position: the first merge on top */
    size_t n_heap, room;
};
void pl_joiner_free(struct pl_joiner *joiner);

/*
 * pl_merges_apply - joins the n ids until no merge is left: always the pair of the lowest rank,
 * of equal ones the leftmost. Negative ids join with nothing.
 *
 * spans    [n] set to which of the given ids each one that is left was made of; NULL: not wanted
 * Returns  the number of ids that are left, in ids[0..]; SIZE_MAX: out of memory
 * Time     O(n log n)
 */
size_t pl_merges_apply(const struct pl_merges *merges, struct pl_joiner *joiner, int32_t *ids,
                       size_t n, struct pl_span *spans);

#endif
