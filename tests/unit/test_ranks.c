/* test_ranks.c - rank schedules, and the plan of adapted maps that follows from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapter/adapter.h"
#include "adapter/ranks.h"
#include "support/close.h"

static struct prilora_spec *spec_of(const char *hyperparameters)
{
    struct prilora_spec *spec;
    struct prilora_error err;
    char json[1024];

    snprintf(json, sizeof json,
             "{\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": {%s}}}}",
             hyperparameters);
    if (prilora_spec_parse(&spec, json, strlen(json), &err) != PRILORA_OK)
        fail_msg("%s %s", err.where, err.message);
    return spec;
}

static void check_ranks(const char *hyperparameters, const size_t *expected, size_t n)
{
    struct prilora_spec *spec = spec_of(hyperparameters);
    size_t ranks[PRILORA_MAX_LAYERS];

    assert_int_equal(prilora_spec_ranks(spec, n, ranks, NULL), PRILORA_OK);
    for (size_t l = 0; l < n; l++)
        assert_int_equal(ranks[l], expected[l]);
    prilora_spec_free(spec);
}

/* DESIGN.md's own row. */
static void twelve_layers_go_from_4_to_12(void **state)
{
    const size_t expected[] = {4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11, 12};

    (void)state;
    check_ranks("", expected, 12);
}

/* 4 + 8 l / 23 rounded, worked out by hand: 4, 4.35, 4.70, 5.04, ... */
static void twenty_four_layers_go_from_4_to_12(void **state)
{
    const size_t expected[] = {4, 4, 5, 5, 5,  6,  6,  6,  7,  7,  7,  8,
                               8, 9, 9, 9, 10, 10, 10, 11, 11, 11, 12, 12};

    (void)state;
    check_ranks("", expected, 24);
}

static void halves_round_away_from_zero(void **state)
{
    const size_t three[] = {1, 3, 4}, one[] = {9}; /* 2.5 and 8.5 */

    (void)state;
    check_ranks("\"rank_start\": 1, \"rank_end\": 4", three, 3);
    check_ranks("\"rank_start\": 5, \"rank_end\": 12", one, 1);
}

static void one_layer_takes_the_mean(void **state)
{
    const size_t expected[] = {8};

    (void)state;
    check_ranks("", expected, 1);
}

static void decreasing_is_linear_from_the_other_end(void **state)
{
    const size_t expected[] = {12, 11, 11, 10, 9, 8, 8, 7, 6, 5, 5, 4};

    (void)state;
    check_ranks("\"rank_schedule\": \"decreasing\"", expected, 12);
    check_ranks("\"rank_schedule\": \"decreasing\", \"rank_start\": 12, \"rank_end\": 4", expected,
                12);
}

static void uniform_is_one_rank(void **state)
{
    const size_t eight[] = {8, 8, 8}, three[] = {3, 3, 3};

    (void)state;
    check_ranks("\"rank_schedule\": \"uniform\"", eight, 3);
    check_ranks("\"rank_schedule\": \"uniform\", \"r\": 3", three, 3);
    check_ranks("\"r\": 3", three, 3);
}

static void a_list_is_taken_as_it_is(void **state)
{
    const size_t expected[] = {2, 7, 1};

    (void)state;
    check_ranks("\"ranks\": [2, 7, 1]", expected, 3);
}

static void a_list_of_another_length_is_refused(void **state)
{
    struct prilora_spec *spec = spec_of("\"ranks\": [2, 7, 1]");
    size_t ranks[PRILORA_MAX_LAYERS];
    struct prilora_error err;

    (void)state;
    assert_int_equal(prilora_spec_ranks(spec, 4, ranks, &err), PRILORA_EINVAL);
    assert_string_equal(err.where, "/method/prilora/hyperparameters/ranks");
    assert_string_equal(err.message, "ranks: 3 given, but the model has 4 layers");
    prilora_spec_free(spec);
}

/* ---- plans ------------------------------------------------------------------------------------
 */

#define MAPS 6

/* An encoder's maps, named as DeBERTa's. */
struct encoder {
    struct pl_map_site sites[24 * MAPS];
    char paths[24 * MAPS][80];
    size_t n, n_layers;
};

static struct encoder *make_encoder(size_t n_layers, size_t hidden, size_t inner)
{
    static const char *const paths[MAPS] = {
        "attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj",
        "attention.output.dense",    "intermediate.dense",      "output.dense",
    };
    struct encoder *e = calloc(1, sizeof *e);

    e->n_layers = n_layers;
    for (size_t l = 0; l < n_layers; l++) {
        for (size_t m = 0; m < MAPS; m++, e->n++) {
            snprintf(e->paths[e->n], sizeof *e->paths, "deberta.encoder.layer.%zu.%s", l, paths[m]);
            e->sites[e->n] = (struct pl_map_site){
                .path = e->paths[e->n],
                .kind = "map",
                .layer = l,
                .in = m == 5 ? inner : hidden,
                .out = m == 4 ? inner : hidden,
            };
        }
    }
    return e;
}

struct plan {
    struct pl_adapter adapter;
    struct pl_layout layout;
};

static enum prilora_status make_plan(struct plan *plan, const struct encoder *e,
                                     const char *hyperparameters, struct prilora_error *err)
{
    struct prilora_spec *spec = spec_of(hyperparameters);
    enum prilora_status rc;

    *plan = (struct plan){0};
    rc = pl_adapter_plan(&plan->adapter, &plan->layout, e->sites, e->n, e->n_layers, spec, err);
    prilora_spec_free(spec);
    return rc;
}

static void free_plan(struct plan *plan)
{
    pl_adapter_free(&plan->adapter);
    pl_layout_free(&plan->layout);
}

/* The paper's parameter count, as DESIGN.md gives it; the same as LoRA with r = 8. */
static void deberta_v3_base_has_1327104_adapter_parameters(void **state)
{
    struct encoder *e = make_encoder(12, 768, 3072);
    struct plan linear, uniform;

    (void)state;
    assert_int_equal(make_plan(&linear, e, "", NULL), PRILORA_OK);
    assert_int_equal(make_plan(&uniform, e, "\"r\": 8", NULL), PRILORA_OK);
    assert_int_equal(linear.adapter.n_parameters, 1327104);
    assert_int_equal(uniform.adapter.n_parameters, 1327104);
    assert_int_equal(linear.layout.n_parameters, 1327104);
    assert_int_equal(linear.adapter.n_adapted, 72);
    free_plan(&linear);
    free_plan(&uniform);
    free(e);
}

static void tensors_of_a_block_do_not_overlap_and_are_aligned(void **state)
{
    struct encoder *e = make_encoder(3, 20, 36);
    struct plan plan;
    size_t end = 0;

    (void)state;
    assert_int_equal(make_plan(&plan, e, "", NULL), PRILORA_OK);
    for (size_t i = 0; i < plan.layout.n; i++) {
        const struct pl_param *param = &plan.layout.params[i];

        assert_true(param->offset >= end);
        assert_int_equal(param->offset * sizeof(float) % 64, 0);
        end = param->offset + param->rows * param->cols;
    }
    assert_true(plan.layout.size >= end);
    free_plan(&plan);
    free(e);
}

static void scale_is_alpha_over_the_layers_own_rank(void **state)
{
    struct encoder *e = make_encoder(3, 16, 32);
    struct plan plan;

    (void)state;
    assert_int_equal(make_plan(&plan, e, "\"ranks\": [2, 4, 8], \"lora_alpha\": 16", NULL),
                     PRILORA_OK);
    test_close(plan.adapter.maps[0].scale, 8, 0);
    test_close(plan.adapter.maps[MAPS].scale, 4, 0);
    test_close(plan.adapter.maps[2 * MAPS].scale, 2, 0);
    test_close(plan.adapter.maps[0].alpha, 16, 0);
    free_plan(&plan);
    free(e);
}

/* The mean rank is 4, so s = 16 / 4; PEFT divides alpha by the rank, so alpha = s r. */
static void a_common_scale_is_written_so_that_peft_finds_it(void **state)
{
    struct encoder *e = make_encoder(3, 16, 32);
    struct plan plan;

    (void)state;
    assert_int_equal(make_plan(&plan, e, "\"ranks\": [2, 2, 8], \"scaling\": \"common\"", NULL),
                     PRILORA_OK);
    for (size_t i = 0; i < e->n; i++)
        test_close(plan.adapter.maps[i].scale, 4, 0);
    test_close(plan.adapter.maps[0].alpha, 8, 0);
    test_close(plan.adapter.maps[2 * MAPS].alpha, 32, 0);
    free_plan(&plan);
    free(e);
}

static void check_adapted(const char *targets, size_t expected)
{
    struct encoder *e = make_encoder(12, 16, 32);
    struct prilora_error err = {0};
    struct plan plan;
    char settings[256];

    snprintf(settings, sizeof settings, "\"target_modules\": %s", targets);
    if (make_plan(&plan, e, settings, &err) != PRILORA_OK)
        fail_msg("%s: %s", targets, err.message);
    assert_int_equal(plan.adapter.n_adapted, expected);
    free_plan(&plan);
    free(e);
}

static void a_list_matches_whole_paths_and_dotted_ends(void **state)
{
    (void)state;
    check_adapted("\"all-linear\"", 72);
    check_adapted("[\"query_proj\", \"value_proj\"]", 24);
    check_adapted("[\"dense\"]", 36);
    check_adapted("[\"output.dense\"]", 24); /* also attention.output.dense */
    check_adapted("[\"deberta.encoder.layer.3.intermediate.dense\"]", 1);
    check_adapted("[\"roj\", \"key_proj\"]", 12); /* no part of a name */
}

static void a_string_is_a_pattern_for_the_whole_path(void **state)
{
    (void)state;
    check_adapted("\".*query_proj\"", 12);
    check_adapted("\"deberta\\\\.encoder\\\\.layer\\\\.\\\\d\\\\..*\"", 60);
    check_adapted("\".*\\\\.layer\\\\.(10|11)\\\\.(inter.*|output.dense)\"", 4);
}

static void check_refused(const char *targets, const char *message)
{
    struct encoder *e = make_encoder(2, 16, 32);
    struct prilora_error err;
    struct plan plan;
    char settings[256];

    snprintf(settings, sizeof settings, "\"target_modules\": %s", targets);
    assert_int_equal(make_plan(&plan, e, settings, &err), PRILORA_EINVAL);
    assert_string_equal(err.where, "/method/prilora/hyperparameters/target_modules");
    if (!strstr(err.message, message))
        fail_msg("\"%s\" is not in \"%s\"", message, err.message);
    free_plan(&plan);
    free(e);
}

static void targets_that_match_nothing_are_refused(void **state)
{
    (void)state;
    check_refused("[\"q_proj\"]", "\"q_proj\" matches none of the model's linear maps");
    check_refused("\"query_proj\"", "matches none"); /* a pattern must match whole paths */
    check_refused("\"(\"", "not a regular expression: missing closing parenthesis at byte 1");
}

static void a_pattern_cannot_run_for_long(void **state)
{
    (void)state;
    check_refused("\"(([a-z._0-9]+)*)*(!|[?])\"", "too many steps");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twelve_layers_go_from_4_to_12),
        cmocka_unit_test(twenty_four_layers_go_from_4_to_12),
        cmocka_unit_test(halves_round_away_from_zero),
        cmocka_unit_test(one_layer_takes_the_mean),
        cmocka_unit_test(decreasing_is_linear_from_the_other_end),
        cmocka_unit_test(uniform_is_one_rank),
        cmocka_unit_test(a_list_is_taken_as_it_is),
        cmocka_unit_test(a_list_of_another_length_is_refused),
        cmocka_unit_test(deberta_v3_base_has_1327104_adapter_parameters),
        cmocka_unit_test(tensors_of_a_block_do_not_overlap_and_are_aligned),
        cmocka_unit_test(scale_is_alpha_over_the_layers_own_rank),
        cmocka_unit_test(a_common_scale_is_written_so_that_peft_finds_it),
        cmocka_unit_test(a_list_matches_whole_paths_and_dotted_ends),
        cmocka_unit_test(a_string_is_a_pattern_for_the_whole_path),
        cmocka_unit_test(targets_that_match_nothing_are_refused),
        cmocka_unit_test(a_pattern_cannot_run_for_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
