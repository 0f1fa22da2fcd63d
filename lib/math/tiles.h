/*
 * tiles.h - sums of matrix products on processors with AVX-512, by tiles that stay in registers.
 * Reached through blas.h, which falls back on BLAS elsewhere.
 */
#ifndef PL_TILES_H
#define PL_TILES_H

#include "math/blas.h"

bool pl_tiles_supported(void);      /* single precision: AVX-512 */
bool pl_tiles_half_supported(void); /* bfloat16 as well: AVX512-BF16 */

/* As pl_products(); takes 440 KB of the stack. */
void pl_tiles_products(pl_real *c, size_t ldc, size_t m, size_t n, const struct pl_term *terms,
                       size_t n_terms, const pl_real *bias, bool add);

#endif
