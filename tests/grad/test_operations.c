/*
 * test_operations.c - the backward pass of each operation against central differences of its
 * forward pass, in double.
 *
 * For a function f of x and any weights c on its outputs, the gradient g of sum c f(x) in
 * direction v is (sum c f(x + h v) - sum c f(x - h v)) / 2h + O(h^2); h = 1e-5 leaves about 1e-10
 * of truncation and 1e-11 of rounding: 1e-7 relative is far above both.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "math/activation.h"
#include "math/norm.h"
#include "math/softmax.h"
#include "math/vector.h"
#include "model/attention.h"
#include "model/lora_linear.h"
#include "support/rig.h"

#define STEP      1e-5
#define TOLERANCE 1e-7

_Static_assert(sizeof(pl_real) == sizeof(double), "finite differences need double");

static double dot(const pl_real *x, const pl_real *y, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

/* Checks g [n] as the gradient with respect to x [n], along every axis of a small x and along
 * drawn directions of a large one. */
static void check(const char *name, double (*value)(void *), void *context, pl_real *x,
                  const pl_real *g, size_t n)
{
    enum { most = 4096 };
    static pl_real kept[most], v[most];
    const size_t directions = n <= 64 ? n : 8;

    assert_true(n <= most);
    memcpy(kept, x, n * sizeof *x);
    for (size_t k = 0; k < directions; k++) {
        double up, down, got, want;

        if (n <= 64) {
            memset(v, 0, n * sizeof *v);
            v[k] = 1;
        } else {
            test_fill(v, n, 1, 1000 + k);
        }
        for (size_t i = 0; i < n; i++)
            x[i] = kept[i] + STEP * v[i];
        up = value(context);
        for (size_t i = 0; i < n; i++)
            x[i] = kept[i] - STEP * v[i];
        down = value(context);
        memcpy(x, kept, n * sizeof *x);
        want = (up - down) / (2 * STEP);
        got = dot(g, v, n);
        if (!(fabs(got - want) <= TOLERANCE * (1 + fabs(want))))
            fail_msg("%s: direction %zu has slope %.12g, the gradient says %.12g", name, k, want,
                     got);
    }
}

/* ---- activations, norm, softmax ----------------------------------------------------------- */

enum { N = 5, WIDTH = 11, SIZE = N * WIDTH };

struct elementwise {
    const struct pl_activation_map *map;
    struct pl_norm norm;
    pl_real x[SIZE], c[SIZE], y[SIZE], u[SIZE], xhat[SIZE], rstd[N], residual[SIZE];
    pl_real weight[WIDTH], shift[WIDTH], bias[WIDTH];
};

static struct elementwise e;

static void fill_elementwise(void)
{
    test_fill(e.x, SIZE, 3, 1);
    test_fill(e.c, SIZE, 1, 2);
    test_fill(e.weight, WIDTH, 2, 3);
    test_fill(e.shift, WIDTH, 1, 4);
    test_fill(e.bias, WIDTH, 1, 5);
    test_fill(e.residual, SIZE, 1, 6);
    e.norm = (struct pl_norm){e.weight, e.shift, 1e-7};
}

static double activation_value(void *context)
{
    (void)context;
    memcpy(e.u, e.x, sizeof e.u);
    e.map->forward(e.y, e.u, e.bias, N, WIDTH);
    return dot(e.y, e.c, SIZE);
}

static void activations_go_back(void **state)
{
    const struct {
        const char *name;
        const struct pl_activation_map *map;
    } maps[] = {{"gelu", &pl_map_gelu},
                {"gelu_tanh", &pl_map_gelu_tanh},
                {"relu", &pl_map_relu},
                {"tanh", &pl_map_tanh},
                {"silu", &pl_map_silu}};
    pl_real d[SIZE];

    (void)state;
    for (size_t k = 0; k < sizeof maps / sizeof *maps; k++) {
        fill_elementwise();
        e.map = maps[k].map;
        activation_value(NULL);
        memcpy(d, e.c, sizeof d);
        e.map->backward(d, e.y, e.u, SIZE);
        check(maps[k].name, activation_value, NULL, e.x, d, SIZE);
    }
}

static double norm_value(void *context)
{
    (void)context;
    pl_norm_forward(e.y, e.xhat, e.rstd, e.x, e.bias, e.residual, &e.norm, N, WIDTH);
    return dot(e.y, e.c, SIZE);
}

static void layer_norm_goes_back(void **state)
{
    pl_real d[SIZE];

    (void)state;
    fill_elementwise();
    norm_value(NULL);
    memcpy(d, e.c, sizeof d);
    pl_norm_backward(d, e.xhat, e.rstd, &e.norm, N, WIDTH);
    check("norm of x", norm_value, NULL, e.x, d, SIZE);
    check("norm of residual", norm_value, NULL, e.residual, d, SIZE);
}

static double softmax_value(void *context)
{
    (void)context;
    memcpy(e.y, e.x, sizeof e.y);
    for (size_t i = 0; i < N; i++)
        pl_softmax(e.y + i * WIDTH, WIDTH, 0.7);
    return dot(e.y, e.c, SIZE);
}

static void softmax_goes_back(void **state)
{
    pl_real d[SIZE];

    (void)state;
    fill_elementwise();
    softmax_value(NULL);
    memcpy(d, e.c, sizeof d);
    for (size_t i = 0; i < N; i++)
        pl_softmax_backward(d + i * WIDTH, e.y + i * WIDTH, WIDTH, 0.7);
    check("softmax", softmax_value, NULL, e.x, d, SIZE);
}

/* ---- linear maps with adapters ------------------------------------------------------------ */

enum { IN = 7, OUT = 6, RANK = 3, TOKENS = 9 };

struct linear {
    struct pl_linear frozen;
    struct pl_map map;
    struct pl_rows rows;
    pl_real w[OUT * IN], bias[OUT], a[RANK * IN], b[OUT * RANK];
    pl_real x[TOKENS * IN], y[TOKENS * OUT], c[TOKENS * OUT], xa[TOKENS * RANK];
    pl_real dx[TOKENS * IN], da[RANK * IN], db[OUT * RANK], dxa[TOKENS * RANK];
    pl_real dropped[TOKENS * IN], transposed[RANK * OUT];
    struct pl_meter meter;
};

static struct linear l;
static const size_t starts[] = {0, 4, TOKENS}, first[] = {50, 3};

static double linear_value(void *context)
{
    (void)context;
    pl_map_forward(&l.map, &l.rows, l.y, l.xa, l.x, true);
    return dot(l.y, l.c, TOKENS * OUT);
}

static void go_back_through_linear(const struct pl_dropout *dropout)
{
    test_fill(l.w, OUT * IN, 1, 1);
    test_fill(l.bias, OUT, 1, 2);
    test_fill(l.a, RANK * IN, 1, 3);
    test_fill(l.b, OUT * RANK, 1, 4);
    test_fill(l.x, TOKENS * IN, 1, 5);
    test_fill(l.c, TOKENS * OUT, 1, 6);
    test_fill(l.dx, TOKENS * IN, 1, 7); /* must be overwritten */
    memset(l.da, 0, sizeof l.da);
    memset(l.db, 0, sizeof l.db);
    l.frozen = (struct pl_linear){.weight = l.w, .bias = l.bias, .in = IN, .out = OUT};
    l.map = (struct pl_map){.linear = &l.frozen,
                            .rank = RANK,
                            .scale = 1.7,
                            .a = l.a,
                            .b = l.b,
                            .da = l.da,
                            .db = l.db,
                            .dropout = *dropout,
                            .scratch = {l.dropped, l.transposed},
                            .meter = &l.meter};
    l.rows = (struct pl_rows){TOKENS, 2, starts, first};
    linear_value(NULL);
    pl_map_backward_input(&l.map, &l.rows, l.dx, false, l.dxa, l.c);
    pl_map_backward_weights(&l.map, &l.rows, l.x, l.xa, l.dxa, l.c);
    check("linear x", linear_value, NULL, l.x, l.dx, TOKENS * IN);
    check("linear A", linear_value, NULL, l.a, l.da, RANK * IN);
    check("linear B", linear_value, NULL, l.b, l.db, OUT * RANK);
}

static void linear_maps_with_adapters_go_back(void **state)
{
    const struct pl_dropout none = pl_dropout_none();
    const struct pl_dropout half = pl_dropout_at(0.5, 1, 2, PL_SITE_LORA_DROPOUT, 3);

    (void)state;
    go_back_through_linear(&none);
    go_back_through_linear(&half);
}

static void input_gradients_add_up(void **state)
{
    const struct pl_dropout half = pl_dropout_at(0.5, 1, 2, PL_SITE_LORA_DROPOUT, 3);
    pl_real once[TOKENS * IN];

    (void)state;
    go_back_through_linear(&half);
    memcpy(once, l.dx, sizeof once);
    pl_map_backward_input(&l.map, &l.rows, l.dx, true, l.dxa, l.c);
    for (size_t i = 0; i < TOKENS * IN; i++)
        assert_true(fabs(l.dx[i] - 2 * once[i]) < 1e-12); /* rounding of numbers below 20 */
}

/* ---- attention ---------------------------------------------------------------------------- */

/* longer than a strip, so that there are two; 39 distances share 32 buckets, so that places meet */
enum { HIDDEN = 6, HEADS = 2, LONGEST = 40, ROWS = 64, SHORT = 4, PACKED = SHORT + LONGEST };
enum { BUCKETS = 32, MAX_POSITION = 64 };

_Static_assert((size_t)LONGEST > PL_STRIP, "two strips");
static const size_t packed_starts[] = {0, SHORT, PACKED};

struct attention {
    struct pl_attention a;
    struct pl_positions positions;
    struct pl_table table;
    struct pl_rows rows;
    pl_real q[PACKED * HIDDEN], k[PACKED * HIDDEN], v[PACKED * HIDDEN], c[PACKED * HIDDEN];
    pl_real context[PACKED * HIDDEN], p[HEADS * PACKED * LONGEST];
    pl_real pk[ROWS * HIDDEN], pq[ROWS * HIDDEN];
    pl_real dq[PACKED * HIDDEN], dk[PACKED * HIDDEN], dv[PACKED * HIDDEN];
    pl_real dpk[ROWS * HIDDEN], dpq[ROWS * HIDDEN];
    pl_real square[LONGEST * LONGEST], dropped[LONGEST * LONGEST];
    pl_real terms[PL_STRIP * ROWS];
};

static struct attention t;

static double attention_value(void *context)
{
    (void)context;
    pl_attention_forward(&t.a, &t.rows, t.context, t.p, true, t.q, t.k, t.v);
    return dot(t.context, t.c, PACKED * HIDDEN);
}

static void fill_attention(bool c2p, bool p2c, double dropout)
{
    static const struct pl_config config = {.relative_attention = true,
                                            .pos_c2p = true,
                                            .position_buckets = BUCKETS,
                                            .max_position_embeddings = MAX_POSITION};
    struct prilora_error err;

    memset(&t, 0, sizeof t);
    assert_int_equal(pl_positions_new(&t.positions, &config, LONGEST, &err), PRILORA_OK);
    assert_true(t.positions.n[LONGEST] < 2 * LONGEST - 1);
    assert_true(t.positions.n[LONGEST] <= ROWS);
    test_fill(t.q, PACKED * HIDDEN, 1, 1);
    test_fill(t.k, PACKED * HIDDEN, 1, 2);
    test_fill(t.v, PACKED * HIDDEN, 1, 3);
    test_fill(t.c, PACKED * HIDDEN, 1, 4);
    test_fill(t.pk, ROWS * HIDDEN, 1, 5);
    test_fill(t.pq, ROWS * HIDDEN, 1, 6);
    t.table = (struct pl_table){.first = t.positions.first[LONGEST],
                                .n = t.positions.n[LONGEST],
                                .key = c2p ? t.pk : NULL,
                                .query = p2c ? t.pq : NULL};
    t.rows = (struct pl_rows){PACKED, 2, packed_starts, first};
    t.a = (struct pl_attention){.hidden = HIDDEN,
                                .heads = HEADS,
                                .scale = 0.8,
                                .positions = &t.positions,
                                .table = &t.table,
                                .scratch = {t.square, t.dropped, t.terms}};
    t.a.dropout = dropout > 0 ? pl_dropout_at(dropout, 1, 2, PL_SITE_ATTENTION_DROPOUT, 3)
                              : pl_dropout_none();
}

static void go_back_through_attention(bool c2p, bool p2c, double dropout)
{
    struct pl_attention_gradients to = {.query = t.dq, .key = t.dk, .value = t.dv};

    fill_attention(c2p, p2c, dropout);
    to.table_key = c2p ? t.dpk : NULL;
    to.table_query = p2c ? t.dpq : NULL;
    to.table_first = t.table.first;
    attention_value(NULL);
    pl_attention_backward(&t.a, &t.rows, &to, t.c, t.p, t.q, t.k, t.v);
    check("attention query", attention_value, NULL, t.q, t.dq, PACKED * HIDDEN);
    check("attention key", attention_value, NULL, t.k, t.dk, PACKED * HIDDEN);
    check("attention value", attention_value, NULL, t.v, t.dv, PACKED * HIDDEN);
    if (c2p)
        check("attention table key", attention_value, NULL, t.pk, t.dpk, ROWS * HIDDEN);
    if (p2c)
        check("attention table query", attention_value, NULL, t.pq, t.dpq, ROWS * HIDDEN);
    pl_positions_free(&t.positions);
}

static void plain_attention_goes_back(void **state)
{
    (void)state;
    go_back_through_attention(false, false, 0);
    go_back_through_attention(false, false, 0.3);
}

static void content_to_position_goes_back(void **state)
{
    (void)state;
    go_back_through_attention(true, false, 0);
    go_back_through_attention(true, false, 0.3);
}

static void position_to_content_goes_back(void **state)
{
    (void)state;
    go_back_through_attention(false, true, 0);
    go_back_through_attention(false, true, 0.3);
}

static void both_position_terms_go_back(void **state)
{
    (void)state;
    go_back_through_attention(true, true, 0);
    go_back_through_attention(true, true, 0.3);
}

/* The scores by their definition, distance by distance. */
static void attention_is_that_of_the_definition(void **state)
{
    const size_t width = HIDDEN / HEADS;

    (void)state;
    fill_attention(true, true, 0);
    attention_value(NULL);
    for (size_t s = 0; s < 2; s++) {
        for (size_t h = 0; h < HEADS; h++) {
            for (size_t i = packed_starts[s]; i < packed_starts[s + 1]; i++) {
                double p[PACKED], sum = 0;

                for (size_t j = packed_starts[s]; j < packed_starts[s + 1]; j++) {
                    const long row =
                        pl_position_bucket((long)i - (long)j, BUCKETS, MAX_POSITION) + BUCKETS;
                    const size_t at = ((size_t)row - t.table.first) * HIDDEN + h * width;
                    const pl_real *q = t.q + i * HIDDEN + h * width;
                    const pl_real *k = t.k + j * HIDDEN + h * width;

                    p[j] = exp(0.8 * (dot(q, k, width) + dot(q, t.pk + at, width) +
                                      dot(k, t.pq + at, width)));
                    sum += p[j];
                }
                for (size_t m = 0; m < width; m++) {
                    double want = 0;

                    for (size_t j = packed_starts[s]; j < packed_starts[s + 1]; j++)
                        want += p[j] / sum * t.v[j * HIDDEN + h * width + m];
                    assert_true(fabs(t.context[i * HIDDEN + h * width + m] - want) < 1e-12);
                }
            }
        }
    }
    pl_positions_free(&t.positions);
}

/* ---- losses ------------------------------------------------------------------------------- */

struct loss {
    enum prilora_task task;
    size_t rows;
    pl_real z[6]; /* [rows, n] */
    float label[4];
    size_t n;
};

static double loss_value(void *context)
{
    const struct loss *loss = context;

    return pl_loss(loss->task, loss->z, loss->label, loss->rows, loss->n, 0.3, NULL);
}

static void losses_go_back(void **state)
{
    struct loss losses[] = {
        {PRILORA_TASK_CLASSIFICATION, 1, {1, -2, 0.5, 3}, {2}, 4},
        {PRILORA_TASK_REGRESSION, 1, {1, -2, 0.5, 3}, {0.2F, 0.1F, -4, 3.5F}, 4},
        {PRILORA_TASK_MULTI_LABEL, 1, {1, -2, 0.5, 3}, {0, 1, 1, 0}, 4},
        {PRILORA_TASK_TOKEN_CLASSIFICATION, 1, {1, -2, 0.5, 3}, {3}, 4},
        {PRILORA_TASK_QUESTION_ANSWERING, 3, {1, -2, 0.5, 3, -0.7, 1.5}, {0, 2}, 2},
        {PRILORA_TASK_QUESTION_ANSWERING, 1, {1, -2}, {0, 0}, 2},
    };

    (void)state;
    for (size_t k = 0; k < sizeof losses / sizeof *losses; k++) {
        struct loss *one = &losses[k];
        pl_real d[6];

        pl_loss(one->task, one->z, one->label, one->rows, one->n, 0.3, d);
        check("loss", loss_value, one, one->z, d, one->rows * one->n);
    }
}

static void losses_are_those_of_their_definitions(void **state)
{
    const pl_real z[2] = {2, -1};
    const pl_real rows[6] = {2, -1, 0, 1, 1, 3}; /* of three tokens: start, end */
    const float class = 1, values[2] = {1, -3}, marks[2] = {1, 0}, ends[2] = {0, 2};
    double want;

    (void)state;
    want = -log(exp(-1) / (exp(2) + exp(-1)));
    assert_true(fabs(pl_loss(PRILORA_TASK_CLASSIFICATION, z, &class, 1, 2, 1, NULL) - want) <
                1e-14);
    want = (1 + 4) / 2.0;
    assert_true(fabs(pl_loss(PRILORA_TASK_REGRESSION, z, values, 1, 2, 1, NULL) - want) < 1e-14);
    want = (-log(1 / (1 + exp(-2))) - log(1 - 1 / (1 + exp(1)))) / 2;
    assert_true(fabs(pl_loss(PRILORA_TASK_MULTI_LABEL, z, marks, 1, 2, 1, NULL) - want) < 1e-14);
    want = -log(exp(2) / (exp(2) + exp(0) + exp(1)));
    want = (want - log(exp(3) / (exp(-1) + exp(1) + exp(3)))) / 2;
    assert_true(fabs(pl_loss(PRILORA_TASK_QUESTION_ANSWERING, rows, ends, 3, 2, 1, NULL) - want) <
                1e-14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_go_back),
        cmocka_unit_test(layer_norm_goes_back),
        cmocka_unit_test(softmax_goes_back),
        cmocka_unit_test(linear_maps_with_adapters_go_back),
        cmocka_unit_test(input_gradients_add_up),
        cmocka_unit_test(plain_attention_goes_back),
        cmocka_unit_test(content_to_position_goes_back),
        cmocka_unit_test(position_to_content_goes_back),
        cmocka_unit_test(both_position_terms_go_back),
        cmocka_unit_test(attention_is_that_of_the_definition),
        cmocka_unit_test(losses_go_back),
        cmocka_unit_test(losses_are_those_of_their_definitions),
    };

    return cmocka_run_group_tests_name("operations", tests, NULL, NULL);
}
