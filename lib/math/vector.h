/*
 * vector.h - elementwise passes over rows of numbers.
 *
 * Shapes   x, y [n, width] row-major without gaps, unless said otherwise
 * Errors   none          Memory  none          Threads  safe for disjoint outputs
 */
#ifndef PL_VECTOR_H
#define PL_VECTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/real.h"

/* Every row of y becomes `row` [width]; NULL: zeros. */
void pl_fill_rows(pl_real *y, const pl_real *row, size_t n, size_t width);

/* y += x, n numbers. */
void pl_add(pl_real *y, const pl_real *x, size_t n);

/* y += factor * x, n numbers. */
void pl_add_scaled(pl_real *y, const pl_real *x, size_t n, double factor);

/* y [n, width] += factor * the transpose of x [width, n]. */
void pl_add_transposed(pl_real *y, const pl_real *x, size_t n, size_t width, double factor);

/* Every row of y += `row` [width]. */
void pl_add_row(pl_real *y, const pl_real *row, size_t n, size_t width);

/* sums [width] += the columns of x. */
void pl_column_sums(pl_real *sums, const pl_real *x, size_t n, size_t width);

/* sums [width] += the squares of x, by column. */
void pl_column_squares(pl_real *sums, const pl_real *x, size_t n, size_t width);

/* Whether none of n numbers is infinite or NaN. */
bool pl_all_finite(const pl_real *x, size_t n);

#endif
