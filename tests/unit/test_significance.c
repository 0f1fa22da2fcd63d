/*
 * test_significance.c - means, t tests and signed ranks against published tables, closed forms and
 * counting by hand.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/significance.h"

#define N_OF(array) (sizeof(array) / sizeof *(array))

static void close_to(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.17g is not %.17g", value, expected);
}

static void mean_and_deviation_of_a_sample(void **state)
{
    const double x[] = {2, 4, 4, 4, 5, 5, 7, 9}; /* squares of the distances from 5: 32 in all */
    struct moments m = moments_of(x, N_OF(x));

    (void)state;
    close_to(m.mean, 5, 0);
    close_to(m.sd, sqrt(32.0 / 7), 1e-15);
    assert_true(isnan(moments_of(x, 1).sd));
    close_to(moments_of(x, 1).mean, 2, 0);
    assert_true(isnan(moments_of(x, 0).mean));
}

/* I_x(a, 1) = x^a, I_x(1, b) = 1 - (1-x)^b, I_x(1/2, 1/2) = 2/pi asin(sqrt x), and for whole a, b
 * the tail of a binomial distribution. */
static void the_incomplete_beta_function_has_its_closed_forms(void **state)
{
    (void)state;
    for (int i = 0; i <= 100; i++) {
        double x = i / 100.0;

        for (int k = 1; k < 60; k += 7) {
            close_to(significance_incomplete_beta(x, k, 1), pow(x, k), 1e-13);
            close_to(significance_incomplete_beta(x, 1, k), 1 - pow(1 - x, k), 1e-13);
        }
        close_to(significance_incomplete_beta(x, 0.5, 0.5), 2 / M_PI * asin(sqrt(x)), 1e-13);
        close_to(significance_incomplete_beta(x, 2, 3), x * x * (6 - 8 * x + 3 * x * x),
                 1e-13); /* 6x²(1-x)² + 4x³(1-x) + x⁴ */
    }
    close_to(significance_incomplete_beta(0.5, 1e4, 1e4), 0.5, 1e-9);
}

/* The table of Student's distribution that stands in every textbook: two-sided 5 and 1 %. */
static void t_has_its_published_percentage_points(void **state)
{
    static const struct {
        double df, five, one;
    } table[] = {
        {1, 12.706, 63.657}, {2, 4.303, 9.925},  {3, 3.182, 5.841},   {4, 2.776, 4.604},
        {5, 2.571, 4.032},   {9, 2.262, 3.250},  {10, 2.228, 3.169},  {24, 2.064, 2.797},
        {30, 2.042, 2.750},  {60, 2.000, 2.660}, {120, 1.980, 2.617},
    };

    (void)state;
    for (size_t i = 0; i < N_OF(table); i++) {
        /* the table is rounded to three places */
        assert_true(significance_student_p(table[i].five - 0.0005, table[i].df) > 0.05 - 1e-6);
        assert_true(significance_student_p(table[i].five + 0.0005, table[i].df) < 0.05 + 1e-6);
        assert_true(significance_student_p(table[i].one - 0.0005, table[i].df) > 0.01 - 1e-6);
        assert_true(significance_student_p(table[i].one + 0.0005, table[i].df) < 0.01 + 1e-6);
    }
}

/* For 1, 2 and 4 degrees of freedom the distribution is an algebraic or an arc tangent. */
static void t_has_its_closed_forms(void **state)
{
    (void)state;
    for (double t = -50; t <= 50; t += 0.37) {
        double u = t * t, s = fabs(t);

        close_to(significance_student_p(t, 1), 1 - 2 / M_PI * atan(s), 1e-13);
        close_to(significance_student_p(t, 2), 1 - s / sqrt(2 + u), 1e-13);
        close_to(significance_student_p(t, 4), 1 - s * (6 + u) / pow(4 + u, 1.5), 1e-13);
    }
}

/* Student 1908, Biometrika 6(1): hours of sleep gained by ten patients with two drugs; he gives a
 * mean difference of 1.58. R's help of `sleep` gives t = -4.0621, df = 9, p = 0.002833. */
static void student_s_own_example(void **state)
{
    const double first[] = {0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0};
    const double second[] = {1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4};
    double d[10];
    struct t_test test;

    (void)state;
    for (size_t i = 0; i < 10; i++)
        d[i] = first[i] - second[i];
    close_to(moments_of(d, 10).mean, -1.58, 1e-12);
    test = significance_t_test(d, 10);
    assert_int_equal(test.df, 9);
    close_to(test.t, -4.0621, 5e-5);
    close_to(test.p, 0.002833, 5e-7);
}

static void no_spread_is_no_t_test(void **state)
{
    const double same[] = {0.3 - 0.1, 0.2, 0.2}, one[] = {1}, zeros[] = {0, 0, 0, 0};

    (void)state;
    assert_true(isnan(significance_t_test(same, 3).p));
    assert_true(isnan(significance_t_test(one, 1).p));
    assert_true(isnan(significance_t_test(zeros, 4).t));
    assert_true(isnan(significance_wilcoxon(zeros, 4).p));
    assert_int_equal(significance_wilcoxon(zeros, 4).n, 0);
    assert_true(isnan(significance_t_test(one, 0).p));
    assert_true(isnan(significance_wilcoxon(one, 0).p));
}

/* Darwin's maize, Fisher 1935, The Design of Experiments: differences in eighths of an inch of
 * crossed and self-fertilised plants. He finds t = 2.148 with 14 degrees of freedom; the ranks of
 * the negative ones, 14 and 10, add up to 24, and by counting, 676 of the 32768 choices of signs
 * have no more; SciPy's manual gives p = 0.041259765625 for the same numbers. */
static void darwin_s_maize(void **state)
{
    const double d[] = {49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48};
    struct t_test t = significance_t_test(d, N_OF(d));
    struct wilcoxon w = significance_wilcoxon(d, N_OF(d));

    (void)state;
    close_to(t.t, 2.148, 5e-4);
    close_to(t.p, 0.0497, 5e-5);
    close_to(w.w, 24, 0);
    close_to(w.p, 0.041259765625, 1e-15);
}

/* The published limits of W for a two-sided 5 %: the largest one that is still within, as in
 * Wilcoxon's and Wilcox' tables of 1964. */
static void signed_ranks_have_their_published_limits(void **state)
{
    static const struct {
        size_t n, limit;
    } table[] = {{6, 0}, {7, 2}, {8, 3}, {9, 5}, {10, 8}, {12, 13}, {15, 25}, {20, 52}, {25, 89}};

    (void)state;
    for (size_t i = 0; i < N_OF(table); i++) {
        size_t n = table[i].n;
        double d[32];

        for (size_t extra = 0; extra < 2; extra++) {
            size_t left =
                table[i].limit + extra; /* ranks of the negative ones, from the top down */

            for (size_t k = n; k > 0; k--) {
                d[k - 1] = (double)k;
                if (k <= left) {
                    d[k - 1] = -d[k - 1];
                    left -= k;
                }
            }
            assert_true(extra ? significance_wilcoxon(d, n).p > 0.05
                              : significance_wilcoxon(d, n).p <= 0.05);
            close_to(significance_wilcoxon(d, n).w, (double)(table[i].limit + extra), 0);
        }
    }
}

/* All signs tried, ties and a zero among them. */
static void signed_ranks_are_exact_with_ties(void **state)
{
    const double d[] = {3, -1, 1, 0, 2, 2, -2, 5, 1};
    /* sizes 1 1 1 2 2 2 3 5: ranks 2 2 2 5 5 5 7 8; negative: one 1, one 2: 7 */
    const double ranks[] = {2, 2, 2, 5, 5, 5, 7, 8};
    struct wilcoxon w = significance_wilcoxon(d, N_OF(d));
    size_t within = 0;

    (void)state;
    for (unsigned signs = 0; signs < 256; signs++) {
        double minus = 0;

        for (size_t i = 0; i < 8; i++)
            minus += signs >> i & 1 ? ranks[i] : 0;
        within += minus <= 7;
    }
    assert_int_equal(w.n, 8);
    close_to(w.w, 7, 0);
    close_to(w.p, 2.0 * (double)within / 256, 1e-15);
}

static void five_seeds_alone_never_reach_five_percent(void **state)
{
    const double d[] = {0.01, 0.02, 0.03, 0.04, 0.05};

    (void)state;
    close_to(significance_wilcoxon(d, 5).p, 2.0 / 32, 1e-15);
    close_to(significance_wilcoxon(d, 1).p, 1, 0);
}

/* Beyond the exact ones: all sums of ranks 1 to n counted here, as shares of 2^n. */
static void many_differences_are_approximated(void **state)
{
    enum { N = SIGNIFICANCE_MAX_EXACT + 1, SUMS = N * (N + 1) / 2 + 1 };
    static long double share[SUMS];
    double d[N];
    struct wilcoxon w;
    long double within = 0;

    (void)state;
    for (size_t i = 0; i < N; i++)
        d[i] = (double)(i + 1) * (i % 5 < 2 ? -1 : 1);
    w = significance_wilcoxon(d, N);
    share[0] = 1;
    for (size_t r = 1; r <= N; r++)
        for (size_t s = SUMS; s-- > 0;)
            share[s] = (share[s] + (s >= r ? share[s - r] : 0)) / 2;
    for (size_t s = 0; (double)s <= w.w; s++)
        within += share[s];
    assert_true(within > 0.001L && within < 0.05L);
    close_to(w.p / (double)(2 * within), 1, 0.02); /* no correction for continuity */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mean_and_deviation_of_a_sample),
        cmocka_unit_test(the_incomplete_beta_function_has_its_closed_forms),
        cmocka_unit_test(t_has_its_published_percentage_points),
        cmocka_unit_test(t_has_its_closed_forms),
        cmocka_unit_test(student_s_own_example),
        cmocka_unit_test(no_spread_is_no_t_test),
        cmocka_unit_test(darwin_s_maize),
        cmocka_unit_test(signed_ranks_have_their_published_limits),
        cmocka_unit_test(signed_ranks_are_exact_with_ties),
        cmocka_unit_test(five_seeds_alone_never_reach_five_percent),
        cmocka_unit_test(many_differences_are_approximated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
