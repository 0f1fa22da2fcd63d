/*
 * significance.h - what repeated measurements say: mean and spread, and whether two methods differ.
 * Pure functions. Numbers that do not exist are NaN.
 */
#ifndef SIGNIFICANCE_H
#define SIGNIFICANCE_H

#include <stddef.h>

struct moments {
    size_t n;
    double mean; /* NaN: n = 0 */
    double sd;   /* of a sample, n - 1 below the line; NaN: n < 2 */
};
struct moments moments_of(const double *x, size_t n);

/*
 * significance_incomplete_beta - I_x(a, b), the regularised incomplete beta function, for a, b > 0
 * and x in [0, 1]; about 14 digits.
 *
 * Source   NIST Digital Library of Mathematical Functions, 8.17.22 (continued fraction) and 8.17.4
 */
double significance_incomplete_beta(double x, double a, double b);

/* P(|T| >= |t|) of Student's distribution with `df` degrees of freedom. */
double significance_student_p(double t, double df);

/*
 * significance_t_test - the paired t test of d = a - b, two-sided.
 *
 *     t = mean(d) / (sd(d) / sqrt(n))       n - 1 degrees of freedom
 *
 * t and p are NaN where n < 2 or all differences are the same.
 */
struct t_test {
    double t, p;
    size_t df;
};
struct t_test significance_t_test(const double *d, size_t n);

/*
 * significance_wilcoxon - Wilcoxon's signed-rank test of the same differences, two-sided. Zeros are
 * left out, equal sizes share their mean rank.
 *
 * w         the smaller of the sums of the ranks of positive and of negative differences
 * p         up to SIGNIFICANCE_MAX_EXACT differences exact, given these ranks: all 2^n choices of
 *           signs are equally probable; beyond, by the normal approximation with the correction
 *           for ties; NaN when no difference is left, and when memory is short
 * Source    Wilcoxon 1945, Biometrics Bulletin 1(6)
 */
#define SIGNIFICANCE_MAX_EXACT 200
struct wilcoxon {
    size_t n; /* differences that are not zero */
    double w, p;
};
struct wilcoxon significance_wilcoxon(const double *d, size_t n);

#endif
