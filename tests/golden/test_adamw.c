/*
 * test_adamw.c - five steps of AdamW on each tiny model with adapters, against what transformers,
 * PEFT and torch.optim.AdamW compute: the loss before each step and after the last, and all values
 * then. Tolerances are golden.h's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "support/golden.h"
#include "train/optimizer.h"

enum { STEPS = 5 };

/* The reference decays everything, biases too. */
static struct pl_layout decay_everything(const struct pl_layout *layout)
{
    struct pl_layout copy = *layout;

    copy.params = calloc(layout->n, sizeof *copy.params);
    memcpy(copy.params, layout->params, layout->n * sizeof *copy.params);
    for (size_t i = 0; i < copy.n; i++)
        copy.params[i].decay = true;
    return copy;
}

static void follow(const char *model, size_t n_threads)
{
    const struct pl_adamw adamw = {0.9, 0.999, 1e-8, 0.01};
    struct test_golden golden;
    struct pl_layout layout;
    pl_real losses[STEPS + 1], *m, *v;

    test_golden_open(&golden, model, n_threads);
    layout = decay_everything(golden.engine->layout);
    m = pl_calloc_aligned(layout.size, sizeof *m);
    v = pl_calloc_aligned(layout.size, sizeof *v);
    for (uint64_t t = 0; t <= STEPS; t++) {
        pl_engine_step(golden.engine, &golden.batch, golden.params, 1, t);
        losses[t] = (pl_real)golden.engine->loss;
        if (t < STEPS)
            pl_adamw_update(&adamw, &layout, golden.params, golden.engine->total, m, v, 1e-3, 1,
                            t + 1);
    }
    test_golden_compare(&golden, "adam.", "loss", losses, STEPS + 1);
    for (size_t i = 0; i < layout.n; i++) {
        const struct pl_param *p = &layout.params[i];

        test_golden_compare(&golden, "adam.", p->name, golden.params + p->offset,
                            p->rows * p->cols);
    }
    free(m);
    free(v);
    free(layout.params);
    test_golden_close(&golden);
}

static void five_steps_follow_the_reference(void **state)
{
    (void)state;
    for (size_t k = 0; test_golden_models[k]; k++)
        follow(test_golden_models[k], 1);
}

static void three_threads_follow_it_too(void **state)
{
    (void)state;
    for (size_t k = 0; test_golden_models[k]; k++)
        follow(test_golden_models[k], 3);
}

static void sum_shares(const char *model)
{
    struct test_golden golden;

    test_golden_open(&golden, model, 2);
    pl_engine_step(golden.engine, &golden.batch, golden.params, 1, 0);
    assert_true(golden.engine->shares.n >= 4);
    for (size_t i = 0; i < golden.engine->layout->n; i++) {
        const struct pl_param *p = &golden.engine->layout->params[i];

        test_golden_compare(&golden, "grad.", p->name, golden.engine->total + p->offset,
                            p->rows * p->cols);
    }
    test_golden_close(&golden);
}

static void shares_sum_to_the_gradients_of_the_reference(void **state)
{
    (void)state;
    for (size_t k = 0; test_golden_models[k]; k++)
        sum_shares(test_golden_models[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_sum_to_the_gradients_of_the_reference),
        cmocka_unit_test(five_steps_follow_the_reference),
        cmocka_unit_test(three_threads_follow_it_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
