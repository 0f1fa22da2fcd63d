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
