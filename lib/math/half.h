/* half.h - bfloat16: the upper half of a single-precision number, rounded to nearest even. */
#ifndef PL_HALF_H
#define PL_HALF_H

#include <stddef.h>
#include <stdint.h>

#include "base/real.h"

void pl_half_from(uint16_t *to, const pl_real *from, size_t n);

/* to [rows, even] = from [rows, width], each row ended by a zero if width is odd. */
void pl_half_rows(uint16_t *to, const pl_real *from, size_t rows, size_t width);

/* to [(rows + 1) / 2, width] of pairs: two rows of from [rows, width] side by side, number by
 * number; the last row of an odd number stands beside zeros. */
void pl_half_pairs(uint16_t *to, const pl_real *from, size_t rows, size_t width);

#endif
