/*
 * random.h - random numbers as a function, not a state.
 *
 * Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", SC'11): the
 * numbers of (seed, step, site, element) are the same whoever asks, in whatever order. Dropout
 * masks are drawn again instead of stored, and a resumed run draws what the first would have.
 *
 * Threads: all functions are pure.
 */
#ifndef PL_RANDOM_H
#define PL_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* What numbers are drawn for. A site is one of these plus the layer or map number (< 2^24). */
enum pl_site {
    PL_SITE_INIT_A = 1, /* + map */
    PL_SITE_INIT_HEAD,  /* + tensor */
    PL_SITE_SHUFFLE,    /* step = epoch */
    PL_SITE_SPLIT,
    PL_SITE_EMBEDDING_DROPOUT,
    PL_SITE_POSITION_DROPOUT,   /* + layer: the relative-position table */
    PL_SITE_ATTENTION_DROPOUT,  /* + layer */
    PL_SITE_OUTPUT_DROPOUT,     /* + layer: after the attention output map */
    PL_SITE_FFN_DROPOUT,        /* + layer: after the second feed-forward map */
    PL_SITE_LORA_DROPOUT,       /* + map */
    PL_SITE_LORA_TABLE_DROPOUT, /* + map: the same map, its relative-position rows */
    PL_SITE_CONV_DROPOUT,
    PL_SITE_POOLER_DROPOUT,
    PL_SITE_HEAD_DROPOUT,
};

/* The key of one stream of numbers. */
struct pl_random {
    uint64_t seed, step;
    uint32_t site;
};

struct pl_random pl_random_at(uint64_t seed, uint64_t step, enum pl_site site, size_t index);

/* The four 32-bit numbers of block `block`: elements 4*block .. 4*block + 3. */
void pl_random_block(const struct pl_random *r, uint64_t block, uint32_t out[4]);

/* Element `element` alone. */
uint32_t pl_random_u32(const struct pl_random *r, uint64_t element);

/* Uniform in [0, 1), 24 bits. */
double pl_random_uniform(const struct pl_random *r, uint64_t element);

/* Standard normal (Box-Muller on two uniforms); element e uses numbers 2e and 2e + 1. */
double pl_random_normal(const struct pl_random *r, uint64_t element);

/* order[0..n) becomes a permutation of 0..n-1 (Fisher-Yates). */
void pl_random_permute(const struct pl_random *r, size_t *order, size_t n);

#endif
