/* test_math.c - the numerical building blocks against the C library in double and plain loops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "math/activation.h"
#include "math/dropout.h"
#include "math/elementary.h"
#include "math/norm.h"
#include "math/softmax.h"
#include "math/vector.h"

static double worst; /* of the errors seen since it was set to 0 */

static void note(double got, double want, double unit)
{
    double error = fabs(got - want) / unit;

    if (!(error <= worst)) /* also when it is not a number */
        worst = error;
}

/* Numbers in (-range, range), the same every time. */
static void fill(pl_real *x, size_t n, double range, unsigned seed)
{
    struct pl_random r = pl_random_at(seed, 0, PL_SITE_INIT_A, 0);

    for (size_t i = 0; i < n; i++)
        x[i] = (pl_real)(range * (2 * pl_random_uniform(&r, i) - 1));
}

static void exp_is_within_its_bound(void **state)
{
    (void)state;
    worst = 0;
    for (double x = -87.2; x < 88.2; x += 1.0 / 1024 + 1e-6)
        note(pl_exp((pl_real)x), exp((pl_real)x), exp((pl_real)x));
    assert_true(worst < 2e-7); /* the bound that elementary.h gives */
    assert_true(pl_exp(0) == 1);
    assert_true(pl_exp(-88) == 0 && pl_exp((pl_real)-INFINITY) == 0);
    assert_true(pl_exp(1000) > 2e38f && pl_exp(1000) < INFINITY);
    assert_true(isnan(pl_exp((pl_real)NAN)));
}

static void tanh_is_within_its_bound(void **state)
{
    (void)state;
    worst = 0;
    for (double x = 1e-6; x < 25; x *= 1.0003) {
        note(pl_tanh((pl_real)x), tanh((pl_real)x), tanh((pl_real)x));
        note(pl_tanh((pl_real)-x), -tanh((pl_real)x), tanh((pl_real)x));
    }
    assert_true(worst < 4e-7); /* the bound that elementary.h gives */
    assert_true(pl_tanh(0) == 0);
    assert_true(pl_tanh((pl_real)INFINITY) == 1);
}

static void the_normal_distribution_is_within_its_bound(void **state)
{
    double far = 0;

    (void)state;
    worst = 0;
    for (double at = -12; at < 12; at += 1.0 / 2048 + 1e-7) {
        const double x = (pl_real)at, lower = 0.5 * erfc(fabs(x) * PL_SQRT_HALF);
        pl_real density;
        double p = pl_normal((pl_real)x, &density);

        if (x > 0) {
            note(p, 1 - lower, 1); /* near 1 only the rounding of 1 remains */
        } else if (x > -5) {
            note(p, lower, lower);
        } else {
            far = fmax(far, fabs(p - lower) / lower / (x * x));
        }
        if (fabs(x) < 5)
            note(density, exp(-0.5 * x * x) / sqrt(2 * acos(-1)), exp(-0.5 * x * x));
    }
    /* The bounds that elementary.h gives; |x| = 5 has 4e-8 * 25 = 1e-6 from the square's rounding
     */
    assert_true(worst < 1e-6);
    assert_true(far < 6e-8);
}

/* Values from the definitions, in double. */
static double gelu(double x)
{
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static double gelu_tanh(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}

static double relu(double x)
{
    return x > 0 ? x : 0;
}

static double silu(double x)
{
    return x / (1 + exp(-x));
}

static const struct {
    const struct pl_activation_map *map;
    double (*value)(double);
} activations[] = {{&pl_map_gelu, gelu},
                   {&pl_map_gelu_tanh, gelu_tanh},
                   {&pl_map_relu, relu},
                   {&pl_map_tanh, tanh},
                   {&pl_map_silu, silu}};

static void activations_have_the_values_of_their_definitions(void **state)
{
    enum { n = 1001 };
    static pl_real u[n], kept[n], a[n], again[n], d[n], bias[n];

    (void)state;
    for (size_t k = 0; k < sizeof activations / sizeof *activations; k++) {
        fill(u, n, 8, 3);
        fill(bias, n, 2, 4);
        memcpy(kept, u, sizeof u);
        activations[k].map->forward(a, u, bias, 1, n);
        worst = 0;
        for (size_t i = 0; i < n; i++) {
            assert_true(u[i] == kept[i] + bias[i]);
            note(a[i], activations[k].value(u[i]), 1 + fabs((double)u[i]));
        }
        assert_true(worst < 3e-7); /* a few units of float's last place, 6e-8 */
        pl_fill_rows(d, NULL, 1, n);
        activations[k].map->backward(d, again, u, n);
        assert_memory_equal(a, again, sizeof a);
    }
}

static void column_sums_add_to_what_is_there(void **state)
{
    pl_real x[3 * 2] = {1, 2, 3, 4, -5, 6}, sums[2] = {10, 20}, squares[2] = {1, 1};

    (void)state;
    pl_column_sums(sums, x, 3, 2);
    pl_column_squares(squares, x, 3, 2);
    assert_true(sums[0] == 9 && sums[1] == 32);
    assert_true(squares[0] == 36 && squares[1] == 57);
    pl_add_row(x, sums, 3, 2);
    assert_true(x[0] == 10 && x[1] == 34 && x[4] == 4 && x[5] == 38);
    pl_fill_rows(x, squares, 3, 2);
    assert_true(x[4] == 36 && x[5] == 57);
}

static void layer_norm_is_that_of_the_definition(void **state)
{
    enum { n = 3, w = 37 };
    pl_real x[n * w], residual[n * w], y[n * w], xhat[n * w], rstd[n], bias[w], weight[w], shift[w];
    const struct pl_norm norm = {weight, shift, 1e-5};

    (void)state;
    fill(x, n * w, 3, 1);
    fill(residual, n * w, 3, 2);
    fill(bias, w, 1, 3);
    fill(weight, w, 2, 4);
    fill(shift, w, 1, 5);
    pl_norm_forward(y, xhat, rstd, x, bias, residual, &norm, n, w);
    worst = 0;
    for (size_t i = 0; i < n; i++) {
        double z[w], mean = 0, variance = 0;

        for (size_t j = 0; j < w; j++) {
            z[j] = (double)x[i * w + j] + (double)bias[j] + (double)residual[i * w + j];
            mean += z[j] / w;
        }
        for (size_t j = 0; j < w; j++)
            variance += (z[j] - mean) * (z[j] - mean) / w;
        for (size_t j = 0; j < w; j++) {
            const double h = (z[j] - mean) / sqrt(variance + 1e-5);

            note(xhat[i * w + j], h, 1);
            note(y[i * w + j], h * (double)weight[j] + (double)shift[j], 1);
        }
    }
    assert_true(worst < 2e-6); /* values up to 6, sums of 37: some units of 6e-8 times these */
    /* in place and without what backward needs: the same numbers */
    pl_norm_forward(x, NULL, NULL, x, bias, residual, &norm, n, w);
    assert_memory_equal(x, y, sizeof y);
    /* and once more from what was kept */
    memset(x, 0, sizeof x);
    pl_norm_again(x, xhat, &norm, n, w);
    assert_memory_equal(x, y, sizeof y);
}

static void softmax_is_that_of_the_definition(void **state)
{
    enum { n = 45 };
    pl_real s[n], kept[n], p[n], d[n];
    double sum = 0, dot = 0;

    (void)state;
    fill(s, n, 50, 1);
    s[7] = 49;
    memcpy(kept, s, sizeof s);
    pl_softmax(s, n, 0.25);
    for (size_t j = 0; j < n; j++)
        sum += exp(0.25 * (double)kept[j]);
    worst = 0;
    for (size_t j = 0; j < n; j++)
        note(s[j], exp(0.25 * (double)kept[j]) / sum, 1);
    assert_true(worst < 1e-6); /* the score's rounding, 25 * 6e-8, passes through exp */
    fill(d, n, 1, 2);
    memcpy(p, d, sizeof p);
    pl_softmax_backward(d, s, n, 0.25);
    for (size_t j = 0; j < n; j++)
        dot += (double)s[j] * (double)p[j];
    worst = 0;
    for (size_t j = 0; j < n; j++)
        note(d[j], 0.25 * (double)s[j] * ((double)p[j] - dot), 1);
    assert_true(worst < 1e-6);
}

static void huge_scores_do_not_overflow(void **state)
{
    pl_real s[3] = {3e30f, -3e30f, 3e30f};

    (void)state;
    pl_softmax(s, 3, 1);
    assert_true(s[0] == (pl_real)0.5 && s[2] == (pl_real)0.5 && s[1] < 1e-30f);
}

static void dropout_draws_the_numbers_of_the_generator(void **state)
{
    enum { n = 1500 };
    static pl_real x[n], y[n];
    const double p = 0.3;
    const uint64_t from = 4294967296u * 8 - 701; /* block numbers cross 2^32 */
    struct pl_dropout drop = pl_dropout_at(p, 77u << 20, 5, PL_SITE_LORA_DROPOUT, 9);
    size_t kept = 0;

    (void)state;
    fill(x, n, 1, 1);
    pl_dropout_apply(&drop, y, x, n, from);
    for (size_t i = 0; i < n; i++) {
        const uint64_t element = from + i, group = element / 128;
        const size_t k = (size_t)(element % 128 / 16); /* which 16 bits of the block */
        uint32_t words[4];
        bool keep;

        pl_random_block(&drop.random, 16 * group + element % 16, words);
        keep = (words[k / 2] >> 16 * (k % 2) & 0xffff) >= 19661; /* 0.3 of 2^16 */
        assert_true(y[i] == (keep ? x[i] * (pl_real)(65536.0 / (65536 - 19661)) : 0));
        kept += keep;
    }
    /* 1050 expected, standard deviation 17.7: five of them */
    assert_in_range(kept, 1050 - 89, 1050 + 89);
}

static void dropout_does_not_depend_on_the_cut(void **state)
{
    enum { n = 700 };
    static pl_real x[n], whole[n], parts[n], sum[n];
    struct pl_dropout drop = pl_dropout_at(0.5, 1, 2, PL_SITE_FFN_DROPOUT, 3);
    size_t cuts[] = {0, 1, 3, 70, 333, 699, n};

    (void)state;
    fill(x, n, 1, 1);
    pl_dropout_apply(&drop, whole, x, n, 13);
    for (size_t k = 0; k + 1 < sizeof cuts / sizeof *cuts; k++)
        pl_dropout_apply(&drop, parts + cuts[k], x + cuts[k], cuts[k + 1] - cuts[k], 13 + cuts[k]);
    assert_memory_equal(whole, parts, sizeof whole);
    pl_dropout_add(&drop, sum, x, n, 13);
    for (size_t i = 0; i < n; i++)
        assert_true(sum[i] == whole[i]); /* 0 and -0 are equal */
    pl_dropout_apply(&drop, x, x, n, 13);
    assert_memory_equal(whole, x, sizeof whole);
}

static void rows_are_numbered_by_their_runs(void **state)
{
    enum { w = 10 };
    static pl_real x[7 * w], y[7 * w], want[w];
    const size_t starts[] = {0, 3, 7}, first[] = {100, 40};
    const struct pl_rows rows = {7, 2, starts, first};
    struct pl_dropout drop = pl_dropout_at(0.5, 1, 2, PL_SITE_FFN_DROPOUT, 3);
    struct pl_dropout none = pl_dropout_none();

    (void)state;
    fill(x, 7 * w, 1, 1);
    pl_dropout_rows(&drop, &rows, y, x, w);
    pl_dropout_apply(&drop, want, x + 2 * w, w, 102 * w);
    assert_memory_equal(y + 2 * w, want, sizeof want);
    pl_dropout_apply(&drop, want, x + 6 * w, w, 43 * w);
    assert_memory_equal(y + 6 * w, want, sizeof want);
    pl_dropout_rows(&none, &rows, y, x, w);
    assert_memory_equal(y, x, sizeof x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_its_bound),
        cmocka_unit_test(tanh_is_within_its_bound),
        cmocka_unit_test(the_normal_distribution_is_within_its_bound),
        cmocka_unit_test(activations_have_the_values_of_their_definitions),
        cmocka_unit_test(column_sums_add_to_what_is_there),
        cmocka_unit_test(layer_norm_is_that_of_the_definition),
        cmocka_unit_test(softmax_is_that_of_the_definition),
        cmocka_unit_test(huge_scores_do_not_overflow),
        cmocka_unit_test(dropout_draws_the_numbers_of_the_generator),
        cmocka_unit_test(dropout_does_not_depend_on_the_cut),
        cmocka_unit_test(rows_are_numbered_by_their_runs),
    };

    return cmocka_run_group_tests_name("math", tests, NULL, NULL);
}
