/* test_shares.c - how a step is cut: complete, within budget, balanced, and the same every time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "train/shares.h"

#define MOST    300
#define LONGEST 600

struct batch {
    size_t starts[MOST + 1], n, longest;
    double cost[LONGEST + 1];
};

/* n sequences of lengths drawn from [low, high]; cost as attention's: linear and square parts. */
static struct batch draw(size_t n, size_t low, size_t high, uint64_t seed)
{
    struct pl_random random = pl_random_at(seed, 0, PL_SITE_SPLIT, 0);
    struct batch b = {.n = n};

    for (size_t i = 0; i < n; i++) {
        size_t length = low + (size_t)(pl_random_uniform(&random, i) * (double)(high - low + 1));

        b.starts[i + 1] = b.starts[i] + length;
        b.longest = length > b.longest ? length : b.longest;
    }
    for (size_t k = 0; k <= LONGEST; k++)
        b.cost[k] = (double)(k * (300 + k));
    return b;
}

static double share_cost(const struct batch *b, const struct pl_share *share)
{
    double sum = 0;

    for (size_t i = 0; i < share->n_sequences; i++)
        sum += b->cost[b->starts[share->sequences[i] + 1] - b->starts[share->sequences[i]]];
    return sum;
}

/* Every sequence exactly once, token counts right, none above the budget. */
static void check_complete(const struct batch *b, const struct pl_shares *s, size_t budget)
{
    unsigned char seen[MOST] = {0};

    for (size_t k = 0; k < s->n; k++) {
        size_t tokens = 0;

        assert_true(s->shares[k].n_sequences > 0);
        for (size_t i = 0; i < s->shares[k].n_sequences; i++) {
            size_t one = s->shares[k].sequences[i];

            assert_int_equal(seen[one]++, 0);
            tokens += b->starts[one + 1] - b->starts[one];
        }
        assert_int_equal(tokens, s->shares[k].n_tokens);
        assert_true(tokens <= budget);
    }
    for (size_t i = 0; i < b->n; i++)
        assert_int_equal(seen[i], 1);
}

static void every_sequence_is_in_one_share_within_the_budget(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct batch b = draw(1 + seed * 5 % MOST, 2, seed % 2 ? 60 : 512, seed);
        struct pl_shares s;

        assert_int_equal(pl_shares_new(&s, MOST, NULL), PRILORA_OK);
        pl_shares_cut(&s, b.starts, b.n, b.cost, 512);
        check_complete(&b, &s, 512);
        pl_shares_fill(&s, b.starts, b.n, 512);
        check_complete(&b, &s, 512);
        pl_shares_free(&s);
    }
}

static void there_are_four_shares_if_there_are_four_sequences(void **state)
{
    struct pl_shares s;

    (void)state;
    assert_int_equal(pl_shares_new(&s, MOST, NULL), PRILORA_OK);
    for (size_t n = 1; n < 12; n++) {
        struct batch b = draw(n, 3, 20, n);

        pl_shares_cut(&s, b.starts, b.n, b.cost, 512);
        assert_int_equal(s.n, n < 4 ? n : 4);
    }
    pl_shares_free(&s);
}

/* Graham 1969: longest first is within 4/3 - 1/(3m) of the best, and the best is at least the mean
 * (no budget in the way here). */
static void shares_cost_about_the_same(void **state)
{
    struct pl_shares s;

    (void)state;
    assert_int_equal(pl_shares_new(&s, MOST, NULL), PRILORA_OK);
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct batch b = draw(32, 4, 40, seed);
        double mean = 0, most = 0;

        pl_shares_cut(&s, b.starts, b.n, b.cost, 4096);
        for (size_t k = 0; k < s.n; k++) {
            double cost = share_cost(&b, &s.shares[k]);

            mean += cost / (double)s.n;
            most = cost > most ? cost : most;
        }
        assert_true(most <= mean * (4.0 / 3 - 1.0 / 12));
    }
    pl_shares_free(&s);
}

static void one_long_sequence_is_a_share_of_its_own(void **state)
{
    struct batch b = draw(3, 600, 600, 1);
    struct pl_shares s;

    (void)state;
    assert_int_equal(pl_shares_new(&s, MOST, NULL), PRILORA_OK);
    pl_shares_cut(&s, b.starts, b.n, b.cost, 600);
    assert_int_equal(s.n, 3);
    check_complete(&b, &s, 600);
    pl_shares_free(&s);
}

/* Five sequences of costs 7 6 5 4 3 units, two shares' worth of budget each: by hand, longest first
 * gives {0}, {1}, {2}, {3, 4} for four shares. */
static void dealing_is_longest_first(void **state)
{
    const size_t starts[] = {0, 7, 13, 18, 22, 25};
    const size_t expected[4][3] = {{1, 0}, {1, 1}, {1, 2}, {2, 3, 4}};
    double cost[8];
    struct pl_shares s;

    (void)state;
    for (size_t k = 0; k < 8; k++)
        cost[k] = (double)k;
    assert_int_equal(pl_shares_new(&s, 5, NULL), PRILORA_OK);
    pl_shares_cut(&s, starts, 5, cost, 10);
    assert_int_equal(s.n, 4);
    for (size_t k = 0; k < 4; k++) {
        assert_int_equal(s.shares[k].n_sequences, expected[k][0]);
        for (size_t i = 0; i < expected[k][0]; i++)
            assert_int_equal(s.shares[k].sequences[i], expected[k][i + 1]);
    }
    pl_shares_free(&s);
}

static void neighbours_fill_shares_in_order(void **state)
{
    const size_t starts[] = {0, 4, 8, 12, 13, 20};
    struct pl_shares s;

    (void)state;
    assert_int_equal(pl_shares_new(&s, 5, NULL), PRILORA_OK);
    pl_shares_fill(&s, starts, 5, 9); /* 4 4 | 4 1 | 7 */
    assert_int_equal(s.n, 3);
    assert_int_equal(s.shares[0].n_tokens, 8);
    assert_int_equal(s.shares[1].n_tokens, 5);
    assert_int_equal(s.shares[2].n_tokens, 7);
    pl_shares_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sequence_is_in_one_share_within_the_budget),
        cmocka_unit_test(there_are_four_shares_if_there_are_four_sequences),
        cmocka_unit_test(shares_cost_about_the_same),
        cmocka_unit_test(one_long_sequence_is_a_share_of_its_own),
        cmocka_unit_test(dealing_is_longest_first),
        cmocka_unit_test(neighbours_fill_shares_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
