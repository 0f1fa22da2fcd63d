/*
 * dropout.h - inverted dropout whose mask is a function of (seed, step, site, element): drawn again
 * wherever it is needed, never stored. An element survives with probability 1 - p and is then
 * divided by 1 - p; p is taken to the nearest multiple of 2^-16.
 */
#ifndef PL_DROPOUT_H
#define PL_DROPOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/random.h"
#include "base/real.h"

struct pl_dropout {
    struct pl_random random;
    uint32_t threshold; /* 16-bit numbers below it drop the element; 0: nothing is dropped */
    pl_real scale;
};

/* 0 <= p < 1. */
struct pl_dropout pl_dropout_at(double p, uint64_t seed, uint64_t step, enum pl_site site,
                                size_t index);
struct pl_dropout pl_dropout_none(void);
bool pl_dropout_active(const struct pl_dropout *dropout);

/* y [n] = mask * x, the elements numbered from `element` on; y may be x. */
void pl_dropout_apply(const struct pl_dropout *dropout, pl_real *y, const pl_real *x, size_t n,
                      uint64_t element);
/* y [n] = mask * x, the mask read off from dropped [n] = mask * (numbers above 0); y may be x. */
void pl_dropout_repeat(const struct pl_dropout *dropout, pl_real *y, const pl_real *x,
                       const pl_real *dropped, size_t n);
/* y [n] += mask * x. */
void pl_dropout_add(const struct pl_dropout *dropout, pl_real *y, const pl_real *x, size_t n,
                    uint64_t element);

/*
 * Rows of a packed matrix in runs: rows starts[k] .. starts[k+1]-1 are numbered first[k] and on.
 * So a token has the same number, and the same mask, whatever share it is computed in.
 */
struct pl_rows {
    size_t n, n_runs;
    const size_t *starts; /* [n_runs + 1], from 0 to n */
    const size_t *first;  /* [n_runs] */
};

/* The same for rows [rows->n, width]: element = row number * width + column. */
void pl_dropout_rows(const struct pl_dropout *dropout, const struct pl_rows *rows, pl_real *y,
                     const pl_real *x, size_t width);
void pl_dropout_rows_add(const struct pl_dropout *dropout, const struct pl_rows *rows, pl_real *y,
                         const pl_real *x, size_t width);

#endif
