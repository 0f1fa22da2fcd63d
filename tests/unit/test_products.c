/*
 * test_products.c - sums of matrix products against the definition in double: by BLAS, by our
 * tiles, and with a bfloat16 factor, over sizes around every border that the tiles have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "math/blas.h"
#include "math/half.h"

#define GAP 3 /* numbers between rows that are no matrix's */

struct factor {
    pl_real *data;
    size_t rows, cols, ld;
    bool transposed;
};

static struct factor make(size_t rows, size_t cols, bool transposed, size_t gap, unsigned seed)
{
    struct factor f = {.rows = transposed ? cols : rows,
                       .cols = transposed ? rows : cols,
                       .transposed = transposed};
    struct pl_random r = pl_random_at(seed, 0, PL_SITE_INIT_A, 0);

    f.ld = f.cols + gap;
    f.data = pl_calloc(f.rows * f.ld + 1, sizeof *f.data);
    assert_non_null(f.data);
    for (size_t i = 0; i < f.rows * f.ld; i++)
        f.data[i] = (pl_real)(2 * pl_random_uniform(&r, i) - 1);
    return f;
}

static struct pl_matrix matrix(const struct factor *f)
{
    return (struct pl_matrix){f->data, f->ld, f->transposed};
}

static double at(const struct factor *f, size_t i, size_t j)
{
    return (double)(f->transposed ? f->data[j * f->ld + i] : f->data[i * f->ld + j]);
}

static double sum_of(const struct factor *a, const struct factor *b, size_t k, size_t i, size_t j)
{
    double sum = 0;

    for (size_t l = 0; l < k; l++)
        sum += at(a, i, l) * at(b, l, j);
    return sum;
}

/* The factor rounded to bfloat16, as numbers and as what they became. */
static uint16_t *round_factor(struct factor *f)
{
    uint16_t *half = pl_calloc(f->rows * f->ld + 1, sizeof *half);

    assert_non_null(half);
    pl_half_from(half, f->data, f->rows * f->ld);
    for (size_t i = 0; i < f->rows * f->ld; i++) {
        const uint32_t bits = (uint32_t)half[i] << 16;
        float x;

        memcpy(&x, &bits, sizeof x);
        f->data[i] = x;
    }
    return half;
}

/* c (+)= bias + 1.5 a b + 0.5 d e, all of it compared, and what lies around c as well. */
static void compare(size_t m, size_t n, size_t k, size_t r, int form, bool half)
{
    const bool add = form & 4, with_bias = (form & 8) && !add;
    const size_t ld = with_bias ? n : n + GAP;
    const double alpha = half || (form & 16) ? 1 : 1.5;
    const bool turned = form & 1;
    struct factor a = make(m, k, turned, half ? (turned ? 0 : 2) : GAP, 1),
                  b = make(k, n, form & 2, (form & 2 ? k : n) % 2 || !half ? GAP : 2, 2),
                  d = make(m, r, false, 0, 3), e = make(r, n, true, 0, 4),
                  bias = make(1, n, 0, 0, 5), c = make(m, ld, false, 0, 6),
                  before = make(m, ld, false, 0, 6);
    uint16_t *b_half = half ? round_factor(&b) : NULL, *a_half = half ? round_factor(&a) : NULL,
             *pairs = pl_calloc(m * (k + 1) * 2, sizeof *pairs);
    const struct pl_term terms[] = {
        {matrix(&a), matrix(&b), k, alpha, half && turned ? pairs : a_half, b_half},
        {matrix(&d), matrix(&e), r, 0.5, NULL, NULL},
    };
    double worst = 0;

    if (half && turned)
        pl_half_pairs(pairs, a.data, k, m);
    pl_products(c.data, ld, m, n, terms, r ? 2 : 1, with_bias ? bias.data : NULL, add);
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < ld; j++) {
            double want = at(&before, i, j);

            if (j < n)
                want = (add ? want : 0) + (with_bias ? at(&bias, 0, j) : 0) +
                       alpha * sum_of(&a, &b, k, i, j) + (r ? 0.5 * sum_of(&d, &e, r, i, j) : 0);
            worst = fmax(worst, fabs(at(&c, i, j) - want));
        }
    }
    if (!(worst < 2e-6 * sqrt((double)(k + r + 16))))
        print_error("%zu x %zu x %zu + %zu, form %d%s: off by %g\n", m, n, k, r, form,
                    half ? ", bfloat16" : "", worst);
    assert_true(worst < 2e-6 * sqrt((double)(k + r + 16)));
    free(a.data), free(b.data), free(d.data), free(e.data), free(bias.data), free(c.data);
    free(before.data), free(b_half), free(a_half), free(pairs);
}

static const size_t rows[] = {1, 2, 6, 7, 11, 12, 13, 37},
                    columns[] = {1, 16, 33, 64, 65, 112, 200}, depths[] = {1, 15, 64, 530},
                    ranks[] = {0, 5, 20};

#define EACH(i, list) for (size_t i = 0; i < sizeof(list) / sizeof *(list); i++)

static void sweep(bool half)
{
    int form = 0;

    EACH(i, rows)
    EACH(j, columns)
    EACH(l, depths)
    EACH(r, ranks)
    compare(rows[i], columns[j], half ? 2 * depths[l] : depths[l], ranks[r], form++ % 32, half);
}

static void blas_gives_the_sums(void **state)
{
    (void)state;
    pl_blas_only(true);
    sweep(false);
    pl_blas_only(false);
}

static void tiles_give_the_sums(void **state)
{
    (void)state;
    sweep(false);
}

static void bfloat16_products_are_exact_for_bfloat16_numbers(void **state)
{
    (void)state;
    if (!pl_half_supported())
        skip();
    sweep(true);
}

static void bfloat16_numbers_are_the_nearest(void **state)
{
    const pl_real in[] = {0, 1, -1.00390625f, 1.01171875f, 1.0039064f, 3.4e38f, INFINITY, NAN};
    const uint16_t want[] = {0, 0x3f80, 0xbf80, 0x3f82, 0x3f81, 0x7f80, 0x7f80};
    uint16_t got[8];

    (void)state;
    pl_half_from(got, in, 8);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(got[i], want[i]);
    assert_true((got[7] & 0x7f80) == 0x7f80 && (got[7] & 0x7f));
}

/* Both layouts of [rows, width], number by number. */
static void bfloat16_rows_and_pairs_end_with_zeros(void **state)
{
    const pl_real x[3 * 3] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    uint16_t rows_of_three[3 * 4], pairs[2 * 3 * 2], one[9];

    (void)state;
    pl_half_from(one, x, 9);
    pl_half_rows(rows_of_three, x, 3, 3);
    pl_half_pairs(pairs, x, 3, 3);
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 3; j++) {
            assert_int_equal(rows_of_three[4 * i + j], one[3 * i + j]);
            assert_int_equal(pairs[(i / 2 * 3 + j) * 2 + i % 2], one[3 * i + j]);
        }
        assert_int_equal(rows_of_three[4 * i + 3], 0);
        assert_int_equal(pairs[(3 + i) * 2 + 1], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blas_gives_the_sums),
        cmocka_unit_test(tiles_give_the_sums),
        cmocka_unit_test(bfloat16_products_are_exact_for_bfloat16_numbers),
        cmocka_unit_test(bfloat16_numbers_are_the_nearest),
        cmocka_unit_test(bfloat16_rows_and_pairs_end_with_zeros),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
