/*
 * activation.c - see activation.h. Each function is given once, as value and slope of an element;
 * MAP makes its two loops.
 *
 * Source   Hendrycks & Gimpel 2016, arXiv:1606.08415 (GELU and both its forms, SiLU)
 */
#include "math/activation.h"

#include "math/elementary.h"

#define ROOT_2_OVER_PI 0.79788456080286535588
#define CUBIC          0.044715

PL_INLINE pl_real gelu(pl_real u, pl_real *slope)
{
    pl_real density, p = pl_normal(u, &density);

    *slope = p + u * density;
    return u * p;
}

PL_INLINE pl_real gelu_tanh(pl_real u, pl_real *slope)
{
    const pl_real k = (pl_real)ROOT_2_OVER_PI, c = (pl_real)CUBIC, half = (pl_real)0.5;
    const pl_real t = pl_tanh(k * (u + c * u * u * u));

    *slope = half * (1 + t) + half * u * (1 - t * t) * k * (1 + 3 * c * u * u);
    return half * u * (1 + t);
}

PL_INLINE pl_real relu(pl_real u, pl_real *slope)
{
    *slope = u > 0 ? (pl_real)1 : (pl_real)0;
    return u > 0 ? u : 0;
}

PL_INLINE pl_real hyperbolic(pl_real u, pl_real *slope)
{
    const pl_real t = pl_tanh(u);

    *slope = 1 - t * t;
    return t;
}

PL_INLINE pl_real silu(pl_real u, pl_real *slope)
{
    const pl_real s = 1 / (1 + pl_exp(-u));

    *slope = s * (1 + u * (1 - s));
    return u * s;
}

#define MAP(name, function)                                                                        \
    PL_CLONES static void function##_forward(pl_real *a, pl_real *u, const pl_real *bias,          \
                                             size_t n, size_t width)                               \
    {                                                                                              \
        for (size_t i = 0; i < n; i++, a += width, u += width) {                                   \
            for (size_t j = 0; bias && j < width; j++)                                             \
                u[j] += bias[j];                                                                   \
            _Pragma("omp simd") for (size_t j = 0; j < width; j++)                                 \
            {                                                                                      \
                pl_real slope;                                                                     \
                                                                                                   \
                a[j] = function(u[j], &slope);                                                     \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    PL_CLONES static void function##_backward(pl_real *d, pl_real *a, const pl_real *u, size_t n)  \
    {                                                                                              \
        _Pragma("omp simd") for (size_t i = 0; i < n; i++)                                         \
        {                                                                                          \
            pl_real slope;                                                                         \
                                                                                                   \
            a[i] = function(u[i], &slope);                                                         \
            d[i] *= slope;                                                                         \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    const struct pl_activation_map name = {function##_forward, function##_backward};

MAP(pl_map_gelu, gelu)
MAP(pl_map_gelu_tanh, gelu_tanh)
MAP(pl_map_relu, relu)
MAP(pl_map_tanh, hyperbolic)
MAP(pl_map_silu, silu)
