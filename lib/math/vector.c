/* vector.c - see vector.h. */
#include "math/vector.h"

#include <string.h>

#include "math/simd.h"

void pl_fill_rows(pl_real *y, const pl_real *row, size_t n, size_t width)
{
    if (!row) {
        memset(y, 0, n * width * sizeof *y);
        return;
    }
    for (size_t i = 0; i < n; i++)
        memcpy(y + i * width, row, width * sizeof *y);
}

PL_CLONES static void add(pl_real *restrict y, const pl_real *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

void pl_add(pl_real *y, const pl_real *x, size_t n)
{
    add(y, x, n);
}

PL_CLONES static void add_scaled(pl_real *restrict y, const pl_real *restrict x, size_t n,
                                 pl_real factor)
{
    for (size_t i = 0; i < n; i++)
        y[i] += factor * x[i];
}

void pl_add_scaled(pl_real *y, const pl_real *x, size_t n, double factor)
{
    add_scaled(y, x, n, (pl_real)factor);
}

void pl_add_transposed(pl_real *y, const pl_real *x, size_t n, size_t width, double factor)
{
    const pl_real f = (pl_real)factor;

    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < width; j++)
            y[i * width + j] += f * x[j * n + i];
}

PL_CLONES static void add_row(pl_real *restrict y, const pl_real *restrict row, size_t n,
                              size_t width)
{
    for (size_t i = 0; i < n; i++) {
        pl_real *restrict to = y + i * width;

        for (size_t j = 0; j < width; j++)
            to[j] += row[j];
    }
}

void pl_add_row(pl_real *y, const pl_real *row, size_t n, size_t width)
{
    add_row(y, row, n, width);
}

PL_CLONES static void column_sums(pl_real *restrict sums, const pl_real *restrict x, size_t n,
                                  size_t width)
{
    for (size_t i = 0; i < n; i++) {
        const pl_real *restrict from = x + i * width;

        for (size_t j = 0; j < width; j++)
            sums[j] += from[j];
    }
}

void pl_column_sums(pl_real *sums, const pl_real *x, size_t n, size_t width)
{
    column_sums(sums, x, n, width);
}

PL_CLONES static void column_squares(pl_real *restrict sums, const pl_real *restrict x, size_t n,
                                     size_t width)
{
    for (size_t i = 0; i < n; i++) {
        const pl_real *restrict from = x + i * width;

        for (size_t j = 0; j < width; j++)
            sums[j] += from[j] * from[j];
    }
}

void pl_column_squares(pl_real *sums, const pl_real *x, size_t n, size_t width)
{
    column_squares(sums, x, n, width);
}

/* x * 0 is 0 for what is finite, NaN for the rest: a sum that vectorises, where a test would not.
 */
PL_CLONES static pl_real sum_of_nothing(const pl_real *x, size_t n)
{
    pl_real sum = 0;

#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++)
        sum += x[i] * 0;
    return sum;
}

bool pl_all_finite(const pl_real *x, size_t n)
{
    return sum_of_nothing(x, n) == 0;
}
