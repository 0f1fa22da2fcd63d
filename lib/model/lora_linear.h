/*
 * lora_linear.h - a frozen linear map with its low-rank update.
 *
 *     y = W x + bias + scale * B A drop(x)
 *
 * Backward, for dy:   dxa = scale * B^T dy      dx = W^T dy + mask (A^T dxa)
 *                     dB += scale * dy xa^T     dA += dxa drop(x)^T
 *
 * Shapes   x, dx [n,in]  y, dy [n,out]  xa, dxa [n,rank]  W [out,in]  A [rank,in]  B [out,rank]
 * Memory   none allocated, nothing may overlap
 * Source   Hu et al. 2021, arXiv:2106.09685, section 4.1; the dropout on x is PEFT's
 */
#ifndef PL_LORA_LINEAR_H
#define PL_LORA_LINEAR_H

#include "math/dropout.h"
#include "model/flow.h"

/* One map as a share sees it. */
struct pl_map {
    const struct pl_linear *linear;
    const uint16_t *half; /* the weights in bfloat16, if the net computes so; else NULL */
    size_t rank;          /* 0: only the frozen map */
    double scale;
    const pl_real *a, *b;
    pl_real *da, *db; /* added to; NULL: no gradients */
    struct pl_dropout dropout;
    struct pl_map_scratch scratch;
    struct pl_meter *meter;
};

/* Map `index` of the net; `site` keys its dropout. */
struct pl_map pl_map_of(const struct pl_flow *f, size_t index, enum pl_site site);
/* A frozen map that is not among the net's. */
struct pl_map pl_map_frozen(const struct pl_flow *f, const struct pl_linear *linear);

/* y with its bias if `bias`; xa is kept for backward. */
void pl_map_forward(const struct pl_map *map, const struct pl_rows *rows, pl_real *y, pl_real *xa,
                    const pl_real *x, bool bias);

/* Fills dxa. dx = (or += if `add`) the gradient of x; NULL: not wanted. */
void pl_map_backward_input(const struct pl_map *map, const struct pl_rows *rows, pl_real *dx,
                           bool add, pl_real *dxa, const pl_real *dy);

/* Adds to da and db, given dxa. */
void pl_map_backward_weights(const struct pl_map *map, const struct pl_rows *rows, const pl_real *x,
                             const pl_real *xa, const pl_real *dxa, const pl_real *dy);

#endif
