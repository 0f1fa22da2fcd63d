/*
 * activation.h - the nonlinearities of feed-forward layers and poolers, fused with the bias before
 * them.
 */
#ifndef PL_ACTIVATION_H
#define PL_ACTIVATION_H

#include <stddef.h>

#include "base/real.h"

/*
 * forward    u [n,width] += bias [width] (may be NULL), then a = f(u)
 * backward   d [n]: gradient of a in, of u out; a [n] becomes f(u) once more, so that it need not
 *            be kept
 *
 * Memory     a may be u in forward (when no backward follows); nothing else may overlap
 */
struct pl_activation_map {
    void (*forward)(pl_real *a, pl_real *u, const pl_real *bias, size_t n, size_t width);
    void (*backward)(pl_real *d, pl_real *a, const pl_real *u, size_t n);
};

extern const struct pl_activation_map pl_map_gelu;      /* x Phi(x) */
extern const struct pl_activation_map pl_map_gelu_tanh; /* its approximation with tanh */
extern const struct pl_activation_map pl_map_relu;
extern const struct pl_activation_map pl_map_tanh;
extern const struct pl_activation_map pl_map_silu; /* x / (1 + e^-x) */

#endif
