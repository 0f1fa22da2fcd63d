/* half.c - see half.h. */
#include "math/half.h"

#include <string.h>

#include "math/simd.h"

PL_INLINE uint16_t rounded(pl_real number)
{
    const float x = (float)number;
    uint32_t bits, up;

    memcpy(&bits, &x, sizeof bits);
    up = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    /* of a NaN the upper half alone might be an infinity */
    return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 0x40 : up);
}

PL_CLONES static void round_all(uint16_t *restrict to, const pl_real *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = rounded(from[i]);
}

void pl_half_from(uint16_t *to, const pl_real *from, size_t n)
{
    round_all(to, from, n);
}

void pl_half_rows(uint16_t *to, const pl_real *from, size_t rows, size_t width)
{
    const size_t even = width + width % 2;

    if (even == width) {
        round_all(to, from, rows * width);
        return;
    }
    for (size_t i = 0; i < rows; i++, to += even, from += width) {
        round_all(to, from, width);
        to[width] = 0;
    }
}

PL_CLONES static void pair_rows(uint16_t *restrict to, const pl_real *restrict one,
                                const pl_real *restrict other, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[2 * i] = rounded(one[i]);
        to[2 * i + 1] = rounded(other[i]);
    }
}

void pl_half_pairs(uint16_t *to, const pl_real *from, size_t rows, size_t width)
{
    size_t i = 0;

    for (; i + 1 < rows; i += 2, to += 2 * width)
        pair_rows(to, from + i * width, from + (i + 1) * width, width);
    for (size_t j = 0; i < rows && j < width; j++) {
        to[2 * j] = rounded(from[i * width + j]);
        to[2 * j + 1] = 0;
    }
}
