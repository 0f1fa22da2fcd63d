/* softmax.h - the softmax of rows, and back. */
#ifndef PL_SOFTMAX_H
#define PL_SOFTMAX_H

#include <stddef.h>

#include "base/real.h"

/* Row s [n] becomes e^(scale s_j) / sum e^(scale s_k), the largest subtracted first; scale > 0. */
void pl_softmax(pl_real *s, size_t n, double scale);

/* d [n]: gradient of the probabilities p in, of the scores before scaling out. */
void pl_softmax_backward(pl_real *d, const pl_real *p, size_t n, double scale);

#endif
