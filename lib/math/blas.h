/*
 * blas.h - matrix products. They go to BLAS, which blas.c alone calls, or to our own tiles where
 * the processor has the vectors for them and they are faster.
 */
#ifndef PL_BLAS_H
#define PL_BLAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/real.h"

/* Row-major matrix with `ld` numbers from one row to the next. */
struct pl_matrix {
    const pl_real *data;
    size_t ld;
    bool transposed; /* enters the product as its transpose */
};

/* alpha * a b, of a [m,k] (or [k,m] transposed) and b [k,n] (or [n,k] transposed). */
struct pl_term {
    struct pl_matrix a, b;
    size_t k;
    double alpha;
    const uint16_t *a_half, *b_half; /* their numbers in bfloat16, in place of data; or NULL */
};

/*
 * pl_products - c = bias + the sum of the terms, or c += that sum.
 *
 * Shapes   c [m,n]; bias [n] or NULL, not together with `add`; at most two terms; no size above
 *          2^31 - 1, empty ones are fine; c may not overlap a factor
 * Half     only in the first term, in both its factors, and only where pl_half_supported(): then
 *          its alpha is 1, k is even, and so is ld; but a transposed a comes as pl_half_pairs lays
 *          it out, ld pairs a row; sums are in single precision
 * Memory   none allocated; half a megabyte of buffers per thread that ever calls it
 */
void pl_products(pl_real *c, size_t ldc, size_t m, size_t n, const struct pl_term *terms,
                 size_t n_terms, const pl_real *bias, bool add);

/* c = alpha * a b, or c += that. */
void pl_gemm(pl_real *c, size_t ldc, struct pl_matrix a, struct pl_matrix b, size_t m, size_t n,
             size_t k, double alpha, bool add);

/* Can this processor multiply in bfloat16? */
bool pl_half_supported(void);

/* Puts BLAS on the calling thread alone, for the whole process. */
void pl_blas_single_thread(void);

/* For tests and measurements: everything to BLAS, or (false, as at first) what suits. */
void pl_blas_only(bool only);

#endif
