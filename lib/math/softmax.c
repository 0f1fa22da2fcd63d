/* softmax.c - see softmax.h. */
#include "math/softmax.h"

#include "math/elementary.h"

PL_CLONES static void softmax(pl_real *s, size_t n, double scale)
{
    const pl_real k = (pl_real)scale;
    pl_real top, sum = 0;

    if (!n)
        return;
    top = s[0];
#pragma omp simd reduction(max : top)
    for (size_t j = 0; j < n; j++)
        top = s[j] > top ? s[j] : top;
#pragma omp simd reduction(+ : sum)
    for (size_t j = 0; j < n; j++) {
        s[j] = pl_exp(k * (s[j] - top));
        sum += s[j];
    }
    sum = 1 / sum;
#pragma omp simd
    for (size_t j = 0; j < n; j++)
        s[j] *= sum;
}

void pl_softmax(pl_real *s, size_t n, double scale)
{
    softmax(s, n, scale);
}

PL_CLONES static void softmax_backward(pl_real *d, const pl_real *p, size_t n, double scale)
{
    const pl_real k = (pl_real)scale;
    pl_real dot = 0;

#pragma omp simd reduction(+ : dot)
    for (size_t j = 0; j < n; j++)
        dot += d[j] * p[j];
#pragma omp simd
    for (size_t j = 0; j < n; j++)
        d[j] = k * p[j] * (d[j] - dot);
}

void pl_softmax_backward(pl_real *d, const pl_real *p, size_t n, double scale)
{
    softmax_backward(d, p, n, scale);
}
