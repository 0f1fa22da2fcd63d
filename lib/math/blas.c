/* blas.c - see blas.h. */
#include "math/blas.h"

#include <assert.h>
#include <cblas.h>
#include <limits.h>
#include <stdatomic.h>

#include "math/tiles.h"
#include "math/vector.h"

#ifdef PL_DOUBLE
#define GEMM cblas_dgemm
#else
#define GEMM cblas_sgemm
#endif

static atomic_bool blas_only;

static bool use_tiles(void)
{
    return pl_tiles_supported() && !atomic_load_explicit(&blas_only, memory_order_relaxed);
}

static void blas(pl_real *c, size_t ldc, size_t m, size_t n, const struct pl_term *term, bool add)
{
    const struct pl_matrix *a = &term->a, *b = &term->b;

    assert(m <= INT_MAX && n <= INT_MAX && term->k <= INT_MAX);
    assert(a->ld <= INT_MAX && b->ld <= INT_MAX && ldc <= INT_MAX && !term->a_half &&
           !term->b_half);
    GEMM(CblasRowMajor, a->transposed ? CblasTrans : CblasNoTrans,
         b->transposed ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)term->k,
         (pl_real)term->alpha, a->data, (int)a->ld, b->data, (int)b->ld, (pl_real)add, c, (int)ldc);
}

void pl_products(pl_real *c, size_t ldc, size_t m, size_t n, const struct pl_term *terms,
                 size_t n_terms, const pl_real *bias, bool add)
{
    assert(!bias || (!add && ldc == n));
    if (!m || !n)
        return;
    if (use_tiles()) {
        pl_tiles_products(c, ldc, m, n, terms, n_terms, bias, add);
        return;
    }
    if (bias)
        pl_fill_rows(c, bias, m, n);
    for (size_t k = 0; k < n_terms; k++)
        blas(c, ldc, m, n, &terms[k], bias || add || k);
}

void pl_gemm(pl_real *c, size_t ldc, struct pl_matrix a, struct pl_matrix b, size_t m, size_t n,
             size_t k, double alpha, bool add)
{
    const struct pl_term term = {a, b, k, alpha, NULL, NULL};

    pl_products(c, ldc, m, n, &term, 1, NULL, add);
}

bool pl_half_supported(void)
{
    return use_tiles() && pl_tiles_half_supported();
}

void pl_blas_single_thread(void)
{
    openblas_set_num_threads(1);
}

void pl_blas_only(bool only)
{
    atomic_store_explicit(&blas_only, only, memory_order_relaxed);
}
