/*
 * elementary.h - exp, expm1, tanh and the normal distribution, one element at a time, written so
 * that a loop over them becomes vector code: no branch, no table, no call.
 *
 * In float each is a polynomial after range reduction; tests/unit/test_math.c holds them to the
 * bounds given here against the C library in double. In double they are the C library.
 */
#ifndef PL_ELEMENTARY_H
#define PL_ELEMENTARY_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/real.h"
#include "math/simd.h"

#define PL_SQRT_HALF   0.70710678118654752440
#define PL_INV_SQRT_PI 0.56418958354775628695 /* 1 / sqrt(pi) */

#ifdef PL_DOUBLE

PL_INLINE double pl_exp(double x)
{
    return exp(x);
}

PL_INLINE double pl_tanh(double x)
{
    return tanh(x);
}

/* The distribution function of the standard normal, and its density. */
PL_INLINE double pl_normal(double x, double *density)
{
    *density = exp(-0.5 * x * x) * (PL_INV_SQRT_PI * PL_SQRT_HALF);
    return 0.5 * erfc(-x * PL_SQRT_HALF);
}

PL_INLINE double pl_sqrt(double x)
{
    return sqrt(x);
}

PL_INLINE double pl_abs(double x)
{
    return fabs(x);
}

#else

/*
 * x = n ln 2 + r with |r| <= ln 2 / 2. Gives e^r - 1 by its Taylor polynomial of degree 7 (the
 * next term is below 6e-9) and 2^n. x must lie in [-87.3, 88.3].
 */
PL_INLINE float pl_reduce(float x, float *power)
{
    const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    const float shifted = x * 1.44269504f + shift;
    const float n = shifted - shift;
    /* ln 2 in two parts, the upper with zeros enough for n times it to be exact */
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    int32_t bits;

    memcpy(&bits, &shifted, sizeof bits);
    bits = (int32_t)((uint32_t)(bits + 127) << 23);
    memcpy(power, &bits, sizeof bits);
    return r + r * r *
                   (0.5f +
                    r * (1.0f / 6 + r * (1.0f / 24 +
                                         r * (1.0f / 120 + r * (1.0f / 720 + r * (1.0f / 5040))))));
}

/* Relative error below 2e-7 for x in [-87.3, 88.3]; 0 below, the value at 88.3 above. */
PL_INLINE float pl_exp(float x)
{
    float power, r, y = x < -87.3f ? -87.3f : x;

    y = y > 88.3f ? 88.3f : y;
    r = pl_reduce(y, &power);
    return x < -87.3f ? 0 : power + power * r;
}

/* Relative error below 4e-7. tanh |x| = e / (e + 2) with e = exp(2|x|) - 1. */
PL_INLINE float pl_tanh(float x)
{
    float size = x < 0 ? -x : x, power, e;

    size = size > 20.0f ? 20.0f : size;
    e = pl_reduce(2 * size, &power);
    e = power * e + (power - 1);
    e = e / (e + 2);
    return x < 0 ? -e : e;
}

/*
 * The distribution function of the standard normal, and its density.
 *
 * For z = |x| / sqrt 2: erfc(z) = e^(-z^2) t Q(t), t = 1 / (1 + 0.3 z), where Q interpolates
 * erfcx(z) / t at nine Chebyshev points (relative error of the polynomial 2.5e-8 for z <= 10).
 * Error below 3e-7 of the smaller of Phi and 1 - Phi for |x| <= 5; beyond that the rounding of
 * x^2 shows in e^(-z^2), as a relative 4e-8 x^2.
 */
PL_INLINE float pl_normal(float x, float *density)
{
    const float z = (x < 0 ? -x : x) * (float)PL_SQRT_HALF;
    const float t = 1 / (1 + 0.3f * z);
    const float e = pl_exp(-0.5f * x * x);
    float q = -0.13077087726853567f;

    q = q * t + 0.49193427055715194f;
    q = q * t - 0.5261516628242922f;
    q = q * t + 0.5645142421510231f;
    q = q * t - 0.10698336247742517f;
    q = q * t + 0.2205391691053022f;
    q = q * t + 0.14679602218624332f;
    q = q * t + 0.17094911994808726f;
    q = q * t + 0.16917305765161686f;
    q = 0.5f * q * t * e;
    *density = e * (float)(PL_INV_SQRT_PI * PL_SQRT_HALF);
    return x < 0 ? q : 1 - q;
}

PL_INLINE float pl_sqrt(float x)
{
    return sqrtf(x);
}

PL_INLINE float pl_abs(float x)
{
    return fabsf(x);
}

#endif

#endif
