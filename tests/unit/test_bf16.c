/*
 * test_bf16.c - a step computed in bfloat16 against the same step in single precision.
 *
 * Eight bits of mantissa round at 2^-9 of a number. A layer multiplies rounded numbers a few times
 * one after the other, and errors of single numbers average out in sums: whole gradients lie
 * within a few times that of those in single precision, but never on them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>

#include <cmocka.h>

#include "math/blas.h"
#include "model/precision.h"
#include "support/rig.h"

#define ROUNDING 0x1p-9

/* more than a strip of attention, odd lengths inside and at the end, the shortest there are */
static const size_t lengths[] = {33, 2, 60, 1, 5};
enum { SEQUENCES = 5, TOKENS = 33 + 2 + 60 + 1 + 5 };

#define MINI "examples/prilora-mini-en"

static void open_base(struct test_rig *rig, const char *folder, size_t n_layers, bool half)
{
    static const long ranks[] = {4, 6, 7, 9, 10, 12};
    const struct pl_net_options options = {.task = PRILORA_TASK_CLASSIFICATION,
                                           .n_outputs = 3,
                                           .hidden_dropout = -1,
                                           .attention_dropout = -1,
                                           .classifier_dropout = -1,
                                           .half = half,
                                           .max_tokens = TOKENS,
                                           .max_sequences = SEQUENCES,
                                           .max_length = 60};

    test_rig_open(rig, folder, ranks, n_layers, NULL, 0, &options);
    assert_true(pl_net_options(rig->net)->half == half);
    pl_net_init(rig->net, rig->params, 5, NULL);
    for (size_t i = 0; i < pl_net_layout(rig->net)->n; i++) {
        const struct pl_param *p = &pl_net_layout(rig->net)->params[i];

        if (p->kind == PL_PARAM_LORA_B)
            test_fill(rig->params + p->offset, p->rows * p->cols, 0.2, i);
    }
    test_rig_batch(rig, lengths, SEQUENCES);
    rig->seed = 3;
}

static void open_rig(struct test_rig *rig, bool half)
{
    open_base(rig, MINI, 6, half);
}

static void compare(const char *folder, size_t n_layers)
{
    const struct pl_layout *layout;
    struct test_rig single, half;

    open_base(&single, folder, n_layers, false);
    open_base(&half, folder, n_layers, true);
    assert_true(fabs(test_rig_loss(&half) - test_rig_loss(&single)) < 4 * ROUNDING);
    layout = pl_net_layout(half.net);
    for (size_t i = 0; i < layout->n; i++) {
        const struct pl_param *p = &layout->params[i];
        const double distance =
            test_distance(half.grads + p->offset, single.grads + p->offset, p->rows * p->cols);

        if (!(distance < 12 * ROUNDING && distance > 0))
            print_error("%s: %g of its length away\n", p->name, distance);
        assert_true(distance < 12 * ROUNDING && distance > 0);
    }
    test_rig_close(&single);
    test_rig_close(&half);
}

static void gradients_lie_around_those_in_single_precision(void **state)
{
    (void)state;
    if (!pl_half_supported())
        skip();
    compare(MINI, 6);
}

static void without_relative_positions_they_do_too(void **state)
{
    (void)state;
    if (!pl_half_supported())
        skip();
    compare("tests/golden/models/tiny-bert", 3);
}

/* The same sums in another order: far less than the rounding of factors. */
static void the_cut_into_shares_does_not_matter(void **state)
{
    const struct pl_layout *layout;
    struct test_rig one, three;

    (void)state;
    if (!pl_half_supported())
        skip();
    open_rig(&one, true);
    open_rig(&three, true);
    test_rig_loss(&one);
    test_rig_step(&three, (const size_t[]){1, 3, 1}, 3);
    layout = pl_net_layout(one.net);
    assert_true(test_distance(three.logits, one.logits, SEQUENCES * 3) < 1e-4);
    for (size_t i = 0; i < layout->n; i++) {
        const struct pl_param *p = &layout->params[i];

        assert_true(test_distance(three.grads + p->offset, one.grads + p->offset,
                                  p->rows * p->cols) < 1e-3);
    }
    test_rig_close(&one);
    test_rig_close(&three);
}

static void where_it_cannot_be_single_precision_is_used(void **state)
{
    struct test_rig rig;

    (void)state;
    pl_blas_only(true);
    open_rig(&rig, false);
    assert_false(pl_model_half_possible(rig.model));
    test_rig_close(&rig);
    pl_blas_only(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_lie_around_those_in_single_precision),
        cmocka_unit_test(without_relative_positions_they_do_too),
        cmocka_unit_test(the_cut_into_shares_does_not_matter),
        cmocka_unit_test(where_it_cannot_be_single_precision_is_used),
    };

    return cmocka_run_group_tests_name("bf16", tests, NULL, NULL);
}
