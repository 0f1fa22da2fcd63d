/* half.c - see half.h. */
#include "math/half.h"

#include <math.h>
#include <string.h>

static uint16_t rounded(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    if (isnan(x))
        return (uint16_t)(bits >> 16 | 0x40); /* quiet: its payload may have been below */
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void pl_half_from(uint16_t *to, const pl_real *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = rounded((float)from[i]);
}
