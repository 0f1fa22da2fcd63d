/*
 * test_prune.c - the input statistic, importance and pruning, against a plain reference that is
 * written here from the definition: rank each entry of a row by counting who goes before it.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapter/prune.h"
#include "base/random.h"

#define IN   37
#define RANK 5
#define MAPS 3

/* Two maps on one input, a map that is not adapted, and one on another input. */
struct bench {
    struct pl_map_site sites[MAPS + 1];
    struct pl_lora maps[MAPS + 1];
    struct pl_adapter adapter;
    size_t offsets[MAPS + 1];
    struct pl_pruner *pruner;
    pl_real params[2048], m[2048], v[2048], squares[2 * IN];
};

static struct bench *make_bench(void)
{
    struct bench *b = calloc(1, sizeof *b);
    struct pl_random random = pl_random_at(7, 0, PL_SITE_INIT_A, 0);

    for (size_t i = 0; i <= MAPS; i++) {
        b->sites[i] = (struct pl_map_site){.path = "m", .kind = "k", .in = IN, .out = 8};
        b->sites[i].input = i == MAPS;
        b->offsets[i] = i == MAPS ? IN : 0;
        b->maps[i] =
            (struct pl_lora){.rank = i == 1 ? 0 : RANK, .a = 16 + 400 * i, .b = 300 + 400 * i};
    }
    b->adapter = (struct pl_adapter){b->maps, MAPS + 1, MAPS, 0};
    for (size_t i = 0; i < 2048; i++) {
        b->params[i] = (pl_real)(pl_random_uniform(&random, i) - 0.5);
        b->m[i] = b->v[i] = 1;
    }
    for (size_t j = 0; j < 2 * IN; j++)
        b->squares[j] = (pl_real)(1 + 50 * pl_random_uniform(&random, 5000 + j));
    assert_int_equal(pl_pruner_new(&b->pruner, &b->adapter, b->sites, b->offsets, 2 * IN, NULL),
                     PRILORA_OK);
    return b;
}

static void free_bench(struct bench *b)
{
    pl_pruner_free(b->pruner);
    free(b);
}

/* How many of a row go before entry j: lower importance, or the same and a lower column. */
static size_t place_in_row(const pl_real *row, const pl_real *stats, size_t j)
{
    size_t before = 0;

    for (size_t k = 0; k < IN; k++) {
        pl_real mine = (pl_real)fabs((double)row[j]) * stats[j];
        pl_real other = (pl_real)fabs((double)row[k]) * stats[k];

        before += other < mine || (other == mine && k < j);
    }
    return before;
}

/* What a block must be after a pruning. */
static void prune_plainly(const struct bench *b, pl_real *expected, size_t count)
{
    memcpy(expected, b->params, sizeof b->params);
    for (size_t i = 0; i <= MAPS; i++) {
        for (size_t r = 0; r < b->maps[i].rank; r++) {
            size_t at = b->maps[i].a + r * IN;

            for (size_t j = 0; j < IN; j++) {
                if (place_in_row(b->params + at, b->pruner->stats + b->offsets[i], j) < count)
                    expected[at + j] = 0;
            }
        }
    }
}

static void the_first_step_sets_the_statistic_and_later_ones_decay(void **state)
{
    struct bench *b = make_bench();
    pl_real next[2 * IN];

    (void)state;
    pl_pruner_update(b->pruner, b->squares, 0.9);
    for (size_t j = 0; j < 2 * IN; j++)
        assert_true(b->pruner->stats[j] == (pl_real)sqrt((double)b->squares[j]));
    for (size_t j = 0; j < 2 * IN; j++)
        next[j] = 4;
    pl_pruner_update(b->pruner, next, 0.9);
    /* one rounding to float each way: 2^-24 relative, and a factor for luck */
    for (size_t j = 0; j < 2 * IN; j++)
        assert_true(fabs((double)b->pruner->stats[j] -
                         (0.9 * sqrt((double)b->squares[j]) + 0.1 * 2)) < 4e-7 * 8);
    free_bench(b);
}

static void each_row_loses_its_least_important_entries(void **state)
{
    const double ratios[] = {0, 0.1, 0.5, 0.73, 0.99};
    const size_t counts[] = {0, 3, 18, 27, 36}; /* of 37 */

    (void)state;
    for (size_t k = 0; k < 5; k++) {
        struct bench *b = make_bench();
        struct pl_prune_options options = {ratios[k], false, 40};
        pl_real expected[2048];

        pl_pruner_update(b->pruner, b->squares, 0.9);
        prune_plainly(b, expected, counts[k]);
        pl_prune(b->pruner, b->params, NULL, NULL, &options);
        assert_memory_equal(b->params, expected, sizeof expected);
        assert_int_equal(pl_prune_nonzero(b->pruner, b->params), MAPS * RANK * (IN - counts[k]));
        free_bench(b);
    }
}

static void equal_importance_goes_by_the_lower_column(void **state)
{
    struct bench *b = make_bench();
    struct pl_prune_options options = {0.5, false, 1};

    (void)state;
    for (size_t j = 0; j < 2 * IN; j++)
        b->squares[j] = 9;
    for (size_t j = 0; j < RANK * IN; j++)
        b->params[b->maps[0].a + j] = j % 2 ? (pl_real)0.25 : (pl_real)-0.25;
    pl_pruner_update(b->pruner, b->squares, 0.9);
    pl_prune(b->pruner, b->params, NULL, NULL, &options);
    for (size_t j = 0; j < IN; j++)
        assert_int_equal(b->params[b->maps[0].a + j] == 0, j < 18);
    free_bench(b);
}

static void a_ratio_means_the_decimal_that_was_written(void **state)
{
    (void)state;
    assert_int_equal(pl_prune_count(0.29, 100), 29); /* 28.999999999999996 in binary */
    assert_int_equal(pl_prune_count(0.5, 7), 3);
    assert_int_equal(pl_prune_count(0.1, 768), 76);
    assert_int_equal(pl_prune_count(0, 768), 0);
}

static void moments_stay_unless_they_are_to_be_cleared(void **state)
{
    struct bench *b = make_bench();
    struct pl_prune_options options = {0.5, false, 40};
    size_t cleared = 0;

    (void)state;
    pl_pruner_update(b->pruner, b->squares, 0.9);
    pl_prune(b->pruner, b->params, NULL, NULL, &options);
    for (size_t i = 0; i < 2048; i++)
        assert_true(b->m[i] == 1 && b->v[i] == 1);
    pl_prune(b->pruner, b->params, b->m, b->v, &options);
    for (size_t i = 0; i < 2048; i++) {
        assert_true(b->m[i] == b->v[i]);
        assert_true(b->m[i] == 1 || b->params[i] == 0);
        cleared += b->m[i] == 0;
    }
    assert_int_equal(cleared, MAPS * RANK * 18);
    free_bench(b);
}

static void counts_tell_what_changed_and_what_is_new(void **state)
{
    struct bench *b = make_bench();
    struct pl_prune_options options = {0.5, false, 40};
    struct pl_pruned *done = &b->pruner->maps[0];
    pl_real *row = b->params + b->maps[0].a;
    size_t zeroed = 0, spared = 0;

    (void)state;
    pl_pruner_update(b->pruner, b->squares, 0.9);
    pl_prune(b->pruner, b->params, NULL, NULL, &options);
    assert_int_equal(done->n_zeroed, RANK * 18);
    assert_int_equal(done->n_changed, RANK * 18);
    assert_int_equal(done->n_new, 0); /* no pruning came before */

    while (row[zeroed] != 0)
        zeroed++;
    while (row[spared] == 0)
        spared++;
    row[zeroed] = 100;           /* grew back above all others */
    row[spared] = (pl_real)1e-7; /* and this one takes its place */
    options.step = 80;
    pl_prune(b->pruner, b->params, NULL, NULL, &options);
    assert_int_equal(done->n_prunings, 2);
    assert_int_equal(done->last_step, 80);
    assert_int_equal(done->n_changed, 1);
    assert_int_equal(done->n_new, 1);
    assert_true(row[spared] == 0 && row[zeroed] == 100);
    free_bench(b);
}

static void held_entries_stay_zero_and_go_first_again(void **state)
{
    struct bench *b = make_bench();
    struct pl_prune_options options = {0.5, true, 40};
    pl_real first[2048];

    (void)state;
    pl_pruner_update(b->pruner, b->squares, 0.9);
    pl_prune(b->pruner, b->params, NULL, NULL, &options);
    memcpy(first, b->params, sizeof first);
    for (size_t i = 0; i < RANK * IN; i++)
        b->params[b->maps[0].a + i] += 3; /* as a step of the optimiser would */
    pl_prune_hold(b->pruner, b->params);
    for (size_t i = 0; i < RANK * IN; i++)
        assert_int_equal(b->params[b->maps[0].a + i] == 0, first[b->maps[0].a + i] == 0);
    /* an entry that is zero by accident does not take the place of a held one */
    for (size_t j = 0; j < IN; j++) {
        if (first[b->maps[0].a + j] != 0)
            b->params[b->maps[0].a + j] = 0;
    }
    pl_prune(b->pruner, b->params, NULL, NULL, &options);
    assert_int_equal(b->pruner->maps[0].n_new, 0);
    free_bench(b);
}

static void a_copy_is_pruned_alike_and_leaves_the_state_alone(void **state)
{
    struct bench *b = make_bench();
    pl_real expected[2048], copy[2048];

    (void)state;
    memcpy(copy, b->params, sizeof copy);
    pl_prune_copy(b->pruner, copy, 0.5, false);
    assert_memory_equal(copy, b->params, sizeof copy); /* nothing was measured yet */
    pl_pruner_update(b->pruner, b->squares, 0.9);
    prune_plainly(b, expected, 18);
    pl_prune_copy(b->pruner, copy, 0.5, false);
    assert_memory_equal(copy, expected, sizeof expected);
    assert_int_equal(b->pruner->maps[0].n_prunings, 0);
    assert_int_equal(b->pruner->mask[0], 0);
    free_bench(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_step_sets_the_statistic_and_later_ones_decay),
        cmocka_unit_test(each_row_loses_its_least_important_entries),
        cmocka_unit_test(equal_importance_goes_by_the_lower_column),
        cmocka_unit_test(a_ratio_means_the_decimal_that_was_written),
        cmocka_unit_test(moments_stay_unless_they_are_to_be_cleared),
        cmocka_unit_test(counts_tell_what_changed_and_what_is_new),
        cmocka_unit_test(held_entries_stay_zero_and_go_first_again),
        cmocka_unit_test(a_copy_is_pruned_alike_and_leaves_the_state_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
