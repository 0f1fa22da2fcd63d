/* significance.c - see significance.h. */
#include "daemon/significance.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#define MAX_TERMS 10000

struct moments moments_of(const double *x, size_t n)
{
    struct moments m = {n, (double)NAN, (double)NAN};
    double sum = 0, squares = 0;

    for (size_t i = 0; i < n; i++)
        sum += x[i];
    if (n > 0)
        m.mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (x[i] - m.mean) * (x[i] - m.mean);
    if (n > 1)
        m.sd = sqrt(squares / (double)(n - 1));
    return m;
}

/* ---- Student's distribution ---- */

/* The k-th coefficient of the continued fraction, k from 1. */
static double coefficient(size_t k, double x, double a, double b)
{
    const size_t half = k / 2;
    const double m = (double)half;

    if (k % 2)
        return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
}

static double not_zero(double value)
{
    return fabs(value) < DBL_MIN ? DBL_MIN : value;
}

/* 1 + d1 / (1 + d2 / (1 + ...)) by Lentz's method: quick where x is below (a + 1) / (a + b + 2). */
static double fraction(double x, double a, double b)
{
    double f = 1, up = 1, down = 0, change = 0;

    for (size_t k = 1; k <= MAX_TERMS && fabs(change - 1) > DBL_EPSILON; k++) {
        double d = coefficient(k, x, a, b);

        up = not_zero(1 + d / up);
        down = 1 / not_zero(1 + d * down);
        change = up * down;
        f *= change;
    }
    return f;
}

double significance_incomplete_beta(double x, double a, double b)
{
    if (!(x > 0))
        return 0;
    if (!(x < 1))
        return 1;
    if (x > (a + 1) / (a + b + 2))
        return 1 - significance_incomplete_beta(1 - x, b, a);
    return exp(a * log(x) + b * log1p(-x) + lgamma(a + b) - lgamma(a) - lgamma(b)) /
           (a * fraction(x, a, b));
}

double significance_student_p(double t, double df)
{
    return significance_incomplete_beta(df / (df + t * t), df / 2, 0.5);
}

/* What is left of equal differences by rounding is no spread. */
static int are_the_same(const double *d, size_t n)
{
    double low = d[0], high = d[0];

    for (size_t i = 1; i < n; i++) {
        low = fmin(low, d[i]);
        high = fmax(high, d[i]);
    }
    return high - low <= 8 * DBL_EPSILON * fmax(fabs(low), fabs(high));
}

struct t_test significance_t_test(const double *d, size_t n)
{
    struct t_test test = {(double)NAN, (double)NAN, n > 1 ? n - 1 : 0};
    struct moments m = moments_of(d, n);

    if (n < 2 || are_the_same(d, n))
        return test;
    test.t = m.mean / (m.sd / sqrt((double)n));
    test.p = significance_student_p(test.t, (double)test.df);
    return test;
}

/* ---- signed ranks ---- */

static int by_size(const void *a, const void *b)
{
    double x = fabs(*(const double *)a), y = fabs(*(const double *)b);

    return (x > y) - (x < y);
}

/* Twice each rank, so that shared ones are whole; d is sorted by size. Returns the correction for
 * ties, the sum of t^3 - t. */
static double rank(const double *d, size_t n, size_t *twice)
{
    double ties = 0;

    for (size_t i = 0; i < n;) {
        size_t k = i;

        while (k < n && fabs(d[k]) - fabs(d[i]) <= 1e-12 * fabs(d[i])) /* but for rounding */
            k++;
        ties += pow((double)(k - i), 3) - (double)(k - i);
        for (size_t j = i; j < k; j++)
            twice[j] = i + 1 + k; /* ranks i+1 ... k */
        i = k;
    }
    return ties;
}

/* P(twice the sum of the ranks with one sign <= limit) where each sign is a coin's. */
static double chance(const size_t *twice, size_t n, size_t limit)
{
    double *p = calloc(limit + 1, sizeof *p), sum = 0;

    if (!p)
        return (double)NAN;
    p[0] = 1;
    for (size_t i = 0; i < n; i++)
        for (size_t s = limit + 1; s-- > 0;)
            p[s] = 0.5 * (p[s] + (s >= twice[i] ? p[s - twice[i]] : 0));
    for (size_t s = 0; s <= limit; s++)
        sum += p[s];
    free(p);
    return sum;
}

static double approximate(size_t n, double w, double ties)
{
    double count = (double)n, mean = count * (count + 1) / 4;
    double variance = count * (count + 1) * (2 * count + 1) / 24 - ties / 48;

    return erfc((mean - w) / sqrt(2 * variance));
}

/* `d` without zeros, sorted by size. */
static struct wilcoxon test_sorted(const double *d, size_t n, size_t *twice)
{
    struct wilcoxon test = {n, 0, (double)NAN};
    double ties = rank(d, n, twice);
    size_t plus = 0, all = n * (n + 1), least;

    for (size_t i = 0; i < n; i++)
        plus += d[i] > 0 ? twice[i] : 0;
    least = plus < all - plus ? plus : all - plus;
    test.w = (double)least / 2;
    test.p =
        n <= SIGNIFICANCE_MAX_EXACT ? 2 * chance(twice, n, least) : approximate(n, test.w, ties);
    test.p = test.p > 1 ? 1 : test.p;
    return test;
}

struct wilcoxon significance_wilcoxon(const double *d, size_t n)
{
    struct wilcoxon test = {0, (double)NAN, (double)NAN};
    double *sorted = malloc((n ? n : 1) * sizeof *sorted);
    size_t *twice = malloc((n ? n : 1) * sizeof *twice);
    size_t k = 0;

    for (size_t i = 0; sorted && i < n; i++)
        if (d[i] != 0)
            sorted[k++] = d[i];
    if (sorted && twice && k > 0) {
        qsort(sorted, k, sizeof *sorted, by_size);
        test = test_sorted(sorted, k, twice);
    }
    free(sorted);
    free(twice);
    return test;
}
