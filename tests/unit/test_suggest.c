/*
 * test_suggest.c - the rule by which ranks are suggested: spectra made up here, for which the best
 * choice is known. Each layer has two maps of [24, 40], so that a rank costs 128 parameters.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/close.h"
#include "train/spectra.h"

enum { MAPS = 2, COST = MAPS * (24 + 40), MAX_LAYERS = 12, MAX_VALUES = 64 };

struct made {
    struct prilora_spectra spectra;
    struct prilora_map_spectrum maps[MAPS * MAX_LAYERS];
    double values[MAPS * MAX_LAYERS][2][MAX_VALUES];
};

static void made_open(struct made *m, size_t n_layers)
{
    *m = (struct made){.spectra = {.maps = m->maps, .n_layers = n_layers}};
}

/* Both maps of the next layer have the singular values first * fall^k. */
static void add_layer(struct made *m, size_t rank, double first, double fall)
{
    size_t layer = m->spectra.n_maps / MAPS;

    assert_true(rank <= MAX_VALUES && layer < MAX_LAYERS);
    for (size_t i = 0; i < MAPS; i++) {
        struct prilora_map_spectrum *map = &m->maps[m->spectra.n_maps];
        double(*values)[MAX_VALUES] = m->values[m->spectra.n_maps++];

        map->layer = layer;
        map->rank = rank;
        map->in_features = 40;
        map->out_features = 24;
        map->has_inputs = true;
        for (size_t k = 0; k < rank; k++)
            values[0][k] = values[1][k] = first * pow(fall, (double)k);
        pl_spectrum_describe(&map->update, values[0], rank, 1);
        pl_spectrum_describe(&map->output, values[1], rank, 1);
    }
}

static void suggest(struct prilora_suggestion *out, const struct made *m, size_t budget,
                    double energy)
{
    const struct prilora_suggest_options options = {budget, energy};
    struct prilora_error err;
    size_t spent = 0;

    if (prilora_spectra_suggest(out, &m->spectra, &options, &err) != PRILORA_OK)
        fail_msg("%s: %s", err.where, err.message);
    for (size_t l = 0; l < out->n_layers; l++) {
        const struct prilora_layer_advice *a = &out->layers[l];

        assert_in_range(a->rank, a->least, a->most);
        assert_true(a->held >= 0 && a->held <= 1 && a->energy >= 0 && a->energy <= 1);
        assert_true(a->reason[0] && strlen(a->reason) + 1 < sizeof a->reason);
        spent += a->before ? a->rank * COST : 0;
    }
    assert_int_equal(out->n_after, spent);
    assert_true(spent <= out->budget);
    assert_true(out->reason[0] && strlen(out->reason) + 1 < sizeof out->reason);
}

static void layers_alike_stay_alike(void **state)
{
    static const double falls[] = {1, 0.9, 0.5};
    struct prilora_suggestion s;
    struct made m;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        made_open(&m, 5);
        for (size_t l = 0; l < 5; l++)
            add_layer(&m, 6, 3, falls[i]);
        suggest(&s, &m, 0, 0);
        assert_int_equal(s.budget, 5 * 6 * COST);
        assert_int_equal(s.n_before, s.budget);
        assert_int_equal(s.n_after, s.budget);
        for (size_t l = 0; l < 5; l++)
            assert_int_equal(s.layers[l].rank, 6);
        test_close(s.held, 1, 1e-12);
        suggest(&s, &m, 5 * 9 * COST, 0); /* half as much again */
        for (size_t l = 0; l < 5; l++)
            assert_int_equal(s.layers[l].rank, 9);
        suggest(&s, &m, 5 * 4 * COST, 0);
        for (size_t l = 0; l < 5; l++)
            assert_int_equal(s.layers[l].rank, 4);
    }
}

/* Rounding noise of a flat spectrum is no evidence. */
static void a_millionth_more_is_no_more(void **state)
{
    struct prilora_suggestion s;
    struct made m;

    (void)state;
    made_open(&m, 4);
    for (size_t l = 0; l < 4; l++)
        add_layer(&m, 4, 1 + 1e-6 * (double)l, 1);
    suggest(&s, &m, 0, 0);
    for (size_t l = 0; l < 4; l++)
        assert_int_equal(s.layers[l].rank, 4);
}

/*
 * Singular values 1, 1/2, 1/4, ... against 1, 0.98, 0.96, ...: by energy for each parameter the
 * second layer's next direction is always worth more, up to its upper bound; the first is left at
 * its lower one.
 */
static void a_saturated_layer_takes_from_one_that_is_not(void **state)
{
    struct prilora_suggestion s;
    struct made m;

    (void)state;
    made_open(&m, 2);
    add_layer(&m, 4, 1, 0.5);
    add_layer(&m, 4, 1, 0.98);
    suggest(&s, &m, 0, 0);
    assert_int_equal(s.layers[0].rank, 2);
    assert_int_equal(s.layers[1].rank, 6);
    assert_non_null(strstr(s.layers[0].reason, "4 -> 2"));
    assert_non_null(strstr(s.layers[1].reason, "4 -> 6"));
    /* 1 and 1/4 of 1 + 1/4 + 1/16 + 1/64 */
    test_close(s.layers[0].held, 1.25 / 1.328125, 1e-12);
    test_close(s.layers[0].lower_share, (1.0 / 16 + 1.0 / 64) / 1.328125, 1e-12);
    test_close(s.layers[1].held, 1, 1e-12);
}

/* Every way to give two layers the budget, by brute force, for spectra that need no guess. */
static void nothing_else_within_the_budget_keeps_more(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed < 40; seed++) {
        double first[3], fall[3], best = 0, total = 0;
        struct prilora_suggestion s;
        struct made m;

        made_open(&m, 3);
        for (size_t l = 0; l < 3; l++) {
            first[l] = 1 + (double)(seed * 7 % (5 + l)) / 3;
            fall[l] = 0.3 + 0.6 * (double)(seed * 13 % (7 + l)) / (double)(7 + l);
            add_layer(&m, 8, first[l], fall[l]);
            for (size_t k = 0; k < 8; k++)
                total += pow(first[l] * pow(fall[l], (double)k), 2);
        }
        suggest(&s, &m, 12 * COST, 0); /* bounds 2 and 8 */
        for (size_t a = 2; a <= 8; a++) {
            for (size_t b = 2; a + b <= 10; b++) {
                size_t ranks[3] = {a, b, 12 - a - b};
                double kept = 0;

                for (size_t l = 0; l < 3 && ranks[2] <= 8; l++)
                    for (size_t k = 0; k < ranks[l]; k++)
                        kept += pow(first[l] * pow(fall[l], (double)k), 2);
                best = kept > best ? kept : best;
            }
        }
        /* worths within a thousandth of a power of two are equal: one direction may differ so much
         */
        test_close(s.held, best / total, 1e-3);
    }
}

static void more_evidence_never_costs_a_layer_rank(void **state)
{
    (void)state;
    for (size_t grown = 0; grown < 4; grown++) {
        size_t last = 0;

        for (double factor = 0.1; factor < 20; factor *= 1.3) {
            struct prilora_suggestion s;
            struct made m;

            made_open(&m, 4);
            for (size_t l = 0; l < 4; l++)
                add_layer(&m, 3 + l, l == grown ? factor : 1 + 0.1 * (double)l, 0.8);
            suggest(&s, &m, 0, 0);
            assert_true(s.layers[grown].rank >= last);
            last = s.layers[grown].rank;
        }
        assert_int_equal(last, 2 * (3 + grown)); /* the bound */
    }
}

static void the_same_spectra_give_the_same_words(void **state)
{
    struct prilora_suggestion *a = malloc(sizeof *a), *b = malloc(sizeof *b);
    struct made m;

    (void)state;
    made_open(&m, 6);
    for (size_t l = 0; l < 6; l++)
        add_layer(&m, 4 + l, 1.0 / (double)(1 + l), 0.7 + 0.04 * (double)l);
    memset(a, 1, sizeof *a);
    memset(b, 2, sizeof *b);
    suggest(a, &m, 0, 0);
    suggest(b, &m, 0, 0);
    for (size_t l = 0; l < 6; l++) {
        assert_int_equal(a->layers[l].rank, b->layers[l].rank);
        assert_string_equal(a->layers[l].reason, b->layers[l].reason);
    }
    assert_string_equal(a->reason, b->reason);
    free(a);
    free(b);
}

/* A share of the energy ends it before the budget does: 1 + 1/4 + 1/16 of 1.328125 is 98.8 %. */
static void energy_is_where_it_stops(void **state)
{
    struct prilora_suggestion s;
    struct made m;

    (void)state;
    made_open(&m, 3);
    for (size_t l = 0; l < 3; l++)
        add_layer(&m, 4, 1, 0.5);
    suggest(&s, &m, 0, 0.98);
    for (size_t l = 0; l < 3; l++)
        assert_int_equal(s.layers[l].rank, 3);
    assert_true(s.held >= 0.98);
    suggest(&s, &m, 0, 0.5); /* less than the lower bounds hold */
    for (size_t l = 0; l < 3; l++)
        assert_int_equal(s.layers[l].rank, 2);
    suggest(&s, &m, 0, 1);
    for (size_t l = 0; l < 3; l++)
        assert_int_equal(s.layers[l].rank, 4);
}

static void inputs_count_only_where_all_maps_have_them(void **state)
{
    struct prilora_suggestion s;
    struct made m;

    (void)state;
    made_open(&m, 2);
    add_layer(&m, 4, 1, 0.9);
    add_layer(&m, 4, 1, 0.9);
    for (size_t i = 0; i < MAPS; i++) { /* with its inputs the first layer does almost nothing */
        for (size_t k = 0; k < 4; k++)
            m.values[i][1][k] *= 1e-3;
        pl_spectrum_describe(&m.maps[i].output, m.values[i][1], 4, 1);
    }
    suggest(&s, &m, 0, 0);
    assert_true(s.uses_inputs);
    assert_int_equal(s.layers[0].rank, 2);
    assert_int_equal(s.layers[1].rank, 6);
    m.maps[3].has_inputs = false;
    suggest(&s, &m, 0, 0);
    assert_false(s.uses_inputs);
    assert_int_equal(s.layers[0].rank, 4);
    assert_int_equal(s.layers[1].rank, 4);
}

static void layers_without_update_or_maps_have_little(void **state)
{
    struct prilora_suggestion s;
    struct made m;

    (void)state;
    made_open(&m, 4); /* the last one has no maps */
    add_layer(&m, 6, 0, 1);
    add_layer(&m, 6, 1, 1);
    add_layer(&m, 1, 1, 1);
    suggest(&s, &m, 0, 0);
    assert_int_equal(s.layers[0].rank, 3);
    assert_int_equal(s.layers[1].rank, 9); /* all that the first is not left with */
    assert_int_equal(s.layers[2].rank, 1); /* the second direction is guessed to be half of one */
    assert_int_equal(s.layers[3].rank, 1);
    assert_int_equal(s.layers[3].before, 0);
    assert_non_null(strstr(s.layers[0].reason, "zero"));
    assert_non_null(strstr(s.layers[3].reason, "no map"));
}

static void refuses(const struct made *m, size_t budget, double energy, enum prilora_status status,
                    const char *where)
{
    const struct prilora_suggest_options options = {budget, energy};
    struct prilora_suggestion s;
    struct prilora_error err;

    assert_int_equal(prilora_spectra_suggest(&s, &m->spectra, &options, &err), status);
    assert_string_equal(err.where, where);
    assert_int_equal(prilora_spectra_suggest(&s, &m->spectra, &options, NULL), status);
}

static void what_cannot_be_is_refused(void **state)
{
    struct prilora_suggestion s;
    struct made m;

    (void)state;
    made_open(&m, 3);
    for (size_t l = 0; l < 3; l++)
        add_layer(&m, 4, 1, 0.5);
    refuses(&m, 3 * COST - 1, 0, PRILORA_EINVAL, "budget");
    suggest(&s, &m, 3 * COST, 0);
    for (size_t l = 0; l < 3; l++)
        assert_int_equal(s.layers[l].rank, 1);
    suggest(&s, &m, SIZE_MAX, 0); /* nothing more than the shapes can use, and no more than that */
    for (size_t l = 0; l < 3; l++)
        assert_int_equal(s.layers[l].rank, 24);
    refuses(&m, 0, 1.01, PRILORA_EINVAL, "energy");
    refuses(&m, 0, -0.1, PRILORA_EINVAL, "energy");
    refuses(&m, 0, (double)NAN, PRILORA_EINVAL, "energy");
    made_open(&m, 2);
    add_layer(&m, 4, 0, 1);
    add_layer(&m, 4, 0, 1);
    refuses(&m, 0, 0, PRILORA_EMISMATCH, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_alike_stay_alike),
        cmocka_unit_test(a_millionth_more_is_no_more),
        cmocka_unit_test(a_saturated_layer_takes_from_one_that_is_not),
        cmocka_unit_test(nothing_else_within_the_budget_keeps_more),
        cmocka_unit_test(more_evidence_never_costs_a_layer_rank),
        cmocka_unit_test(the_same_spectra_give_the_same_words),
        cmocka_unit_test(energy_is_where_it_stops),
        cmocka_unit_test(inputs_count_only_where_all_maps_have_them),
        cmocka_unit_test(layers_without_update_or_maps_have_little),
        cmocka_unit_test(what_cannot_be_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
