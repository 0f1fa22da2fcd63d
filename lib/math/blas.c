/* blas.c - see blas.h. */
#include "math/blas.h"

#include <assert.h>
#include <cblas.h>
#include <limits.h>

#ifdef PL_DOUBLE
#define GEMM cblas_dgemm
#else
#define GEMM cblas_sgemm
#endif

void pl_gemm(pl_real *c, size_t ldc, struct pl_matrix a, struct pl_matrix b, size_t m, size_t n,
             size_t k, double alpha, double beta)
{
    assert(m <= INT_MAX && n <= INT_MAX && k <= INT_MAX);
    assert(a.ld <= INT_MAX && b.ld <= INT_MAX && ldc <= INT_MAX);
    if (!m || !n)
        return;
    GEMM(CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans,
         b.transposed ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, (pl_real)alpha, a.data,
         (int)a.ld, b.data, (int)b.ld, (pl_real)beta, c, (int)ldc);
}

void pl_blas_single_thread(void)
{
    openblas_set_num_threads(1);
}
