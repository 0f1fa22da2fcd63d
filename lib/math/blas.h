/* blas.h - matrix products. blas.c is the only file that calls BLAS. */
#ifndef PL_BLAS_H
#define PL_BLAS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/real.h"

/* Row-major matrix with `ld` numbers from one row to the next. */
struct pl_matrix {
    const pl_real *data;
    size_t ld;
    bool transposed; /* enters the product as its transpose */
};

/*
 * pl_gemm - c = alpha * a b + beta * c.
 *
 * Shapes   a [m,k] (or [k,m] transposed), b [k,n] (or [n,k] transposed), c [m,n]; none above
 *          2^31 - 1; empty ones are fine. c may not overlap a or b.
 */
void pl_gemm(pl_real *c, size_t ldc, struct pl_matrix a, struct pl_matrix b, size_t m, size_t n,
             size_t k, double alpha, double beta);

/* Puts BLAS on the calling thread alone, for the whole process. */
void pl_blas_single_thread(void);

#endif
