/* svd.h - singular values of a low-rank product, by LAPACK, which OpenBLAS brings. */
#ifndef PL_SVD_H
#define PL_SVD_H

#include <stddef.h>

#include "base/error.h"
#include "base/real.h"

/* scale * B A diag(columns) */
struct pl_low_rank {
    const pl_real *a, *b;  /* A [rank, in], B [out, rank] */
    const double *columns; /* [in], or NULL: all 1 */
    size_t rank, in, out;
    double scale;
};

/*
 * pl_svd_low_rank - the singular values of the product, largest first; those beyond the smaller of
 * in and out are zero. The product is never made:
 *
 *     B = Q S    (A diag(columns))^T = P T    values = |scale| * svd(S T^T)
 *
 * with Q and P orthogonal, S [out, rank] and T [in, rank] triangular; in double throughout.
 *
 * Shapes   values f64[rank]
 * Errors   ENUMERIC: a factor or the result is not finite, or LAPACK gave up; ENOMEM
 * Memory   about 8 (in + out + rank) rank bytes, until it returns
 */
enum prilora_status pl_svd_low_rank(double *values, const struct pl_low_rank *product,
                                    struct prilora_error *err);

#endif
