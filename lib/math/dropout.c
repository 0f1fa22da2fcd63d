/*
 * dropout.c - see dropout.h. Masks are drawn for BLOCKS Philox blocks at a time, each round as one
 * loop over the blocks, so that it becomes vector code; the numbers are those of
 * pl_random_block(), which a test compares.
 *
 * A block's four words are eight numbers of 16 bits, for eight elements. Elements are taken in
 * groups of GROUP, which LANES neighbouring blocks serve: number k of the group's block b is for
 * element LANES * k + b, so that a vector of one number from each block is for neighbours.
 */
#include "math/dropout.h"

#include <math.h>
#include <string.h>

#include "math/simd.h"
#include "math/vector.h"

#define LANES  ((size_t)16)
#define GROUP  (8 * LANES) /* elements */
#define BLOCKS (4 * LANES)
#define CHUNK  (8 * BLOCKS) /* elements */

/* Philox4x32-10, as in base/random.c. */
#define MULTIPLIER_0 0xD2511F53u
#define MULTIPLIER_1 0xCD9E8D57u
#define WEYL_0       0x9E3779B9u
#define WEYL_1       0xBB67AE85u
#define ROUNDS       10

struct pl_dropout pl_dropout_none(void)
{
    return (struct pl_dropout){.scale = 1};
}

struct pl_dropout pl_dropout_at(double p, uint64_t seed, uint64_t step, enum pl_site site,
                                size_t index)
{
    struct pl_dropout dropout = pl_dropout_none();

    dropout.random = pl_random_at(seed, step, site, index);
    dropout.threshold = (uint32_t)lround(p * 0x1p16);
    if (dropout.threshold)
        dropout.scale = (pl_real)(0x1p16 / (0x1p16 - dropout.threshold));
    return dropout;
}

bool pl_dropout_active(const struct pl_dropout *dropout)
{
    return dropout->threshold != 0;
}

/* Factors [8 n] of the elements that blocks `block` .. block + n - 1 serve: 0 or scale; both are
 * multiples of LANES, n <= BLOCKS. */
PL_CLONES static void draw(const struct pl_dropout *dropout, pl_real *restrict factors,
                           uint64_t block, size_t n)
{
    const uint32_t threshold = dropout->threshold;
    const pl_real scale = dropout->scale;
    uint32_t c[4][BLOCKS];
    uint32_t k0 = (uint32_t)dropout->random.seed;
    uint32_t k1 = (uint32_t)(dropout->random.seed >> 32) ^ (uint32_t)(dropout->random.step >> 32);

    for (size_t b = 0; b < n; b++) {
        c[0][b] = (uint32_t)(block + b);
        c[1][b] = (uint32_t)((block + b) >> 32);
        c[2][b] = (uint32_t)dropout->random.step;
        c[3][b] = dropout->random.site;
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t b = 0; b < n; b++) {
            const uint64_t p0 = (uint64_t)MULTIPLIER_0 * c[0][b];
            const uint64_t p1 = (uint64_t)MULTIPLIER_1 * c[2][b];

            c[0][b] = (uint32_t)(p1 >> 32) ^ c[1][b] ^ k0;
            c[1][b] = (uint32_t)p1;
            c[2][b] = (uint32_t)(p0 >> 32) ^ c[3][b] ^ k1;
            c[3][b] = (uint32_t)p0;
        }
        k0 += WEYL_0;
        k1 += WEYL_1;
    }
    for (size_t b = 0; b < n; b += LANES, factors += GROUP) {
        for (size_t word = 0; word < 4; word++) {
            const uint32_t *restrict from = c[word] + b;
            pl_real *restrict low = factors + 2 * word * LANES, *restrict high = low + LANES;

            for (size_t i = 0; i < LANES; i++) {
                low[i] = (from[i] & 0xffff) >= threshold ? scale : 0;
                high[i] = from[i] >> 16 >= threshold ? scale : 0;
            }
        }
    }
}

PL_CLONES static void multiply(pl_real *y, const pl_real *x, const pl_real *restrict factors,
                               size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * factors[i];
}

PL_CLONES static void multiply_add(pl_real *restrict y, const pl_real *restrict x,
                                   const pl_real *restrict factors, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i] * factors[i];
}

static void walk(const struct pl_dropout *dropout, pl_real *y, const pl_real *x, size_t n,
                 uint64_t element, bool add)
{
    pl_real factors[CHUNK];

    while (n) {
        const size_t skip = (size_t)(element % GROUP), room = CHUNK - skip;
        const size_t take = n < room ? n : room;

        draw(dropout, factors, element / GROUP * LANES, (skip + take + GROUP - 1) / GROUP * LANES);
        if (add)
            multiply_add(y, x, factors + skip, take);
        else
            multiply(y, x, factors + skip, take);
        x += take;
        y += take;
        element += take;
        n -= take;
    }
}

void pl_dropout_apply(const struct pl_dropout *dropout, pl_real *y, const pl_real *x, size_t n,
                      uint64_t element)
{
    if (pl_dropout_active(dropout))
        walk(dropout, y, x, n, element, false);
    else if (y != x)
        memcpy(y, x, n * sizeof *y);
}

PL_CLONES static void repeat(pl_real *y, const pl_real *x, const pl_real *dropped, pl_real scale,
                             size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = dropped[i] > 0 ? scale * x[i] : 0;
}

void pl_dropout_repeat(const struct pl_dropout *dropout, pl_real *y, const pl_real *x,
                       const pl_real *dropped, size_t n)
{
    repeat(y, x, dropped, dropout->scale, n);
}

void pl_dropout_add(const struct pl_dropout *dropout, pl_real *y, const pl_real *x, size_t n,
                    uint64_t element)
{
    if (pl_dropout_active(dropout))
        walk(dropout, y, x, n, element, true);
    else
        pl_add(y, x, n);
}

void pl_dropout_rows(const struct pl_dropout *dropout, const struct pl_rows *rows, pl_real *y,
                     const pl_real *x, size_t width)
{
    if (y == x && !pl_dropout_active(dropout))
        return;
    for (size_t k = 0; k < rows->n_runs; k++) {
        const size_t at = rows->starts[k] * width;

        pl_dropout_apply(dropout, y + at, x + at, rows->starts[k + 1] * width - at,
                         (uint64_t)rows->first[k] * width);
    }
}

void pl_dropout_rows_add(const struct pl_dropout *dropout, const struct pl_rows *rows, pl_real *y,
                         const pl_real *x, size_t width)
{
    for (size_t k = 0; k < rows->n_runs; k++) {
        const size_t at = rows->starts[k] * width;

        pl_dropout_add(dropout, y + at, x + at, rows->starts[k + 1] * width - at,
                       (uint64_t)rows->first[k] * width);
    }
}
