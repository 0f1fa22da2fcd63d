/* norm.c - see norm.h. */
#include "math/norm.h"

#include "math/elementary.h"

/* z into y; mean of z. */
PL_INLINE pl_real gather(pl_real *y, const pl_real *x, const pl_real *bias, const pl_real *residual,
                         size_t width)
{
    pl_real sum = 0;

    if (bias && residual) {
#pragma omp simd reduction(+ : sum)
        for (size_t j = 0; j < width; j++) {
            y[j] = x[j] + bias[j] + residual[j];
            sum += y[j];
        }
    } else if (bias || residual) {
        const pl_real *other = bias ? bias : residual;

#pragma omp simd reduction(+ : sum)
        for (size_t j = 0; j < width; j++) {
            y[j] = x[j] + other[j];
            sum += y[j];
        }
    } else {
#pragma omp simd reduction(+ : sum)
        for (size_t j = 0; j < width; j++) {
            y[j] = x[j];
            sum += y[j];
        }
    }
    return sum / (pl_real)width;
}

PL_CLONES static void forward(pl_real *y, pl_real *xhat, pl_real *rstd, const pl_real *x,
                              const pl_real *bias, const pl_real *residual,
                              const struct pl_norm *norm, size_t n, size_t width)
{
    const pl_real *weight = norm->weight, *shift = norm->shift;

    for (size_t i = 0; i < n; i++) {
        pl_real *row = y + i * width, *kept = xhat ? xhat + i * width : row;
        pl_real mean, squares = 0, r;

        mean = gather(row, x + i * width, bias, residual ? residual + i * width : NULL, width);
#pragma omp simd reduction(+ : squares)
        for (size_t j = 0; j < width; j++)
            squares += (row[j] - mean) * (row[j] - mean);
        r = 1 / pl_sqrt(squares / (pl_real)width + (pl_real)norm->eps);
#pragma omp simd
        for (size_t j = 0; j < width; j++) {
            const pl_real h = (row[j] - mean) * r;

            kept[j] = h;
            row[j] = h * weight[j] + shift[j];
        }
        if (rstd)
            rstd[i] = r;
    }
}

void pl_norm_forward(pl_real *y, pl_real *xhat, pl_real *rstd, const pl_real *x,
                     const pl_real *bias, const pl_real *residual, const struct pl_norm *norm,
                     size_t n, size_t width)
{
    forward(y, xhat, rstd, x, bias, residual, norm, n, width);
}

PL_CLONES static void again(pl_real *y, const pl_real *xhat, const struct pl_norm *norm, size_t n,
                            size_t width)
{
    const pl_real *weight = norm->weight, *shift = norm->shift;

    for (size_t i = 0; i < n; i++) {
        pl_real *row = y + i * width;
        const pl_real *h = xhat + i * width;

#pragma omp simd
        for (size_t j = 0; j < width; j++)
            row[j] = h[j] * weight[j] + shift[j];
    }
}

void pl_norm_again(pl_real *y, const pl_real *xhat, const struct pl_norm *norm, size_t n,
                   size_t width)
{
    again(y, xhat, norm, n, width);
}

PL_CLONES static void backward(pl_real *d, const pl_real *xhat, const pl_real *rstd,
                               const struct pl_norm *norm, size_t n, size_t width)
{
    const pl_real *weight = norm->weight;

    for (size_t i = 0; i < n; i++) {
        pl_real *row = d + i * width;
        const pl_real *h = xhat + i * width, r = rstd[i];
        pl_real sum = 0, dot = 0;

#pragma omp simd reduction(+ : sum, dot)
        for (size_t j = 0; j < width; j++) {
            const pl_real g = row[j] * weight[j];

            sum += g;
            dot += g * h[j];
        }
        sum /= (pl_real)width;
        dot /= (pl_real)width;
#pragma omp simd
        for (size_t j = 0; j < width; j++)
            row[j] = r * (row[j] * weight[j] - sum - h[j] * dot);
    }
}

void pl_norm_backward(pl_real *d, const pl_real *xhat, const pl_real *rstd,
                      const struct pl_norm *norm, size_t n, size_t width)
{
    backward(d, xhat, rstd, norm, n, width);
}
