/*
 * norm.h - layer normalisation of a sum, whose weights are frozen.
 *
 *     z = x + bias + residual     xhat = (z - mean z) * rstd     y = xhat * weight + shift
 *     rstd = 1 / sqrt(var z + eps), the variance over the row, divided by its width
 *
 * Source   Ba et al. 2016, arXiv:1607.06450
 */
#ifndef PL_NORM_H
#define PL_NORM_H

#include <stddef.h>

#include "base/real.h"

struct pl_norm {
    const pl_real *weight, *shift; /* [width] */
    double eps;
};

/*
 * pl_norm_forward
 *
 * Shapes   x, residual, y, xhat [n,width]; bias [width]; rstd [n]. bias and residual may be NULL;
 *          xhat and rstd may both be NULL when there is no backward pass
 * Memory   y may be x or residual; xhat may not overlap them
 */
void pl_norm_forward(pl_real *y, pl_real *xhat, pl_real *rstd, const pl_real *x,
                     const pl_real *bias, const pl_real *residual, const struct pl_norm *norm,
                     size_t n, size_t width);

/* y [n,width] once more, from xhat: the same bits. */
void pl_norm_again(pl_real *y, const pl_real *xhat, const struct pl_norm *norm, size_t n,
                   size_t width);

/* d [n,width]: gradient of y in, of z out. */
void pl_norm_backward(pl_real *d, const pl_real *xhat, const pl_real *rstd,
                      const struct pl_norm *norm, size_t n, size_t width);

#endif
