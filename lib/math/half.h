/* half.h - bfloat16: the upper half of a single-precision number, rounded to nearest even. */
#ifndef PL_HALF_H
#define PL_HALF_H

#include <stddef.h>
#include <stdint.h>

#include "base/real.h"

void pl_half_from(uint16_t *to, const pl_real *from, size_t n);

#endif
