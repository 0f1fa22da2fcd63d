/* test_model.c - opening checkpoints: what is refused with which words, what is accepted, what is
 * left unused; and nets made from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "model/model.h"
#include "model/position.h"
#include "model/precision.h"
#include "support/rig.h"
#include "support/scratch.h"
#include "support/tiny.h"

#define MINI "examples/prilora-mini-en"

static void refused(const struct test_tiny *tiny, const char *message)
{
    struct prilora_error err = {0};
    struct pl_model *model = NULL;

    assert_int_equal(pl_model_open(&model, test_tiny_write("refused", tiny), &err),
                     PRILORA_EFORMAT);
    assert_string_equal(err.message, message);
    assert_null(model);
}

static struct pl_model *opened(const struct test_tiny *tiny)
{
    struct prilora_error err = {0};
    struct pl_model *model;

    if (pl_model_open(&model, test_tiny_write("model", tiny), &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    return model;
}

#define V3_TINY .pos_att_type = "p2c|c2p", .buckets = 6, .norm_rel = true

static void a_missing_tensor_is_named_with_its_shape(void **state)
{
    (void)state;
    refused(&(struct test_tiny){V3_TINY, .omit = "deberta.encoder.layer.1.output.dense.weight"},
            "tensor 'deberta.encoder.layer.1.output.dense.weight' is missing from the checkpoint; "
            "config.json asks for shape [16, 24]");
    refused(&(struct test_tiny){V3_TINY, .bare = true, .omit = "encoder.rel_embeddings.weight"},
            "tensor 'encoder.rel_embeddings.weight' is missing from the checkpoint; config.json "
            "asks for shape [12, 16]");
    refused(&(struct test_tiny){V3_TINY, .omit = "deberta.embeddings.word_embeddings.weight"},
            "tensor 'deberta.embeddings.word_embeddings.weight' is missing from the checkpoint; "
            "config.json asks for shape [30, 16]");
}

static void a_wrong_shape_is_named_with_both(void **state)
{
    (void)state;
    refused(&(struct test_tiny){V3_TINY, .widen = "deberta.embeddings.word_embeddings.weight"},
            "tensor 'deberta.embeddings.word_embeddings.weight' has shape [31, 16], but "
            "config.json asks for [30, 16]");
    refused(&(struct test_tiny){V3_TINY, .conv_kernel = 3,
                                .widen = "deberta.encoder.conv.conv.weight"},
            "tensor 'deberta.encoder.conv.conv.weight' has shape [17, 16, 3], but config.json "
            "asks for [16, 16, 3]");
    refused(&(struct test_tiny){V3_TINY, .widen = "deberta.encoder.LayerNorm.bias"},
            "tensor 'deberta.encoder.LayerNorm.bias' has shape [17], but config.json asks for "
            "[16]");
}

static void names_may_lack_the_prefix(void **state)
{
    struct pl_model *bare = opened(&(struct test_tiny){V3_TINY, .bare = true});

    (void)state;
    assert_int_equal(bare->n_unused, 0);
    /* module paths have it all the same: they are those of the task model */
    assert_string_equal(bare->sites[7].path, "deberta.encoder.layer.1.attention.self.key_proj");
    assert_string_equal(bare->sites[7].kind, "key");
    assert_int_equal(bare->sites[7].layer, 1);
    pl_model_close(bare);
}

static void sites_stand_in_order_and_share_inputs(void **state)
{
    static const char *const kinds[] = {"query",        "key",   "value", "attention_output",
                                        "intermediate", "output"};
    static const size_t inputs[] = {0, 0, 0, 1, 2, 3};
    struct pl_model *model = opened(&(struct test_tiny){V3_TINY});

    (void)state;
    assert_int_equal(model->n_sites, 12);
    assert_int_equal(model->n_inputs, 8);
    for (size_t i = 0; i < 12; i++) {
        assert_string_equal(model->sites[i].kind, kinds[i % 6]);
        assert_int_equal(model->sites[i].input, 4 * (i / 6) + inputs[i % 6]);
        assert_int_equal(model->sites[i].in, i % 6 == 5 ? 24 : 16);
        assert_int_equal(model->sites[i].out, i % 6 == 4 ? 24 : 16);
    }
    pl_model_close(model);
}

static void what_no_task_uses_is_listed(void **state)
{
    struct pl_model *model =
        opened(&(struct test_tiny){V3_TINY, .extra = "lm_predictions.lm_head.bias"});

    (void)state;
    assert_int_equal(model->n_unused, 1);
    assert_string_equal(model->unused[0], "lm_predictions.lm_head.bias");
    pl_model_close(model);
    /* a position table that the configuration does not ask for */
    model = opened(
        &(struct test_tiny){V3_TINY, .extra = "deberta.embeddings.position_embeddings.weight"});
    assert_int_equal(model->n_unused, 1);
    pl_model_close(model);
}

static void a_head_is_used_or_listed(void **state)
{
    struct pl_model *model = opened(&(struct test_tiny){V3_TINY, .labels = 3});

    (void)state;
    assert_int_equal(model->n_unused, 0);
    assert_non_null(model->head.dense_weight);
    assert_non_null(model->head.weight);
    pl_model_close(model);
    model = opened(&(struct test_tiny){V3_TINY, .labels = 3, .omit = "classifier.bias"});
    assert_null(model->head.weight);
    assert_int_equal(model->n_unused, 1);
    assert_string_equal(model->unused[0], "classifier.weight");
    pl_model_close(model);
    model = opened(&(struct test_tiny){V3_TINY, .labels = 3, .widen = "pooler.dense.weight"});
    assert_null(model->head.dense_weight);
    assert_int_equal(model->n_unused, 2);
    pl_model_close(model);
}

/* The head that a net for answers begins with, if its two outputs are there, and no other does. */
static void a_head_for_answers_is_taken_if_it_fits(void **state)
{
    static const struct test_tiny with = {V3_TINY, .answers = 2, .labels = 3};
    const struct pl_net_options options = {.task = PRILORA_TASK_QUESTION_ANSWERING,
                                           .n_outputs = 2,
                                           .max_tokens = 8,
                                           .max_sequences = 2,
                                           .max_length = 4};
    static const long ranks[] = {2, 2};
    const struct pl_param *param;
    struct test_rig rig;
    pl_real first[2 * 16];
    struct pl_model *model;
    bool known = false;

    (void)state;
    test_rig_open(&rig, test_tiny_write("answers", &with), ranks, 2, NULL, 0, &options);
    assert_int_equal(rig.model->n_unused, 0);
    pl_net_init(rig.net, rig.params, 1, &known);
    assert_true(known);
    param = pl_layout_find(pl_net_layout(rig.net), "qa_outputs.weight");
    assert_non_null(param);
    pl_tensors_read(rig.model->tensors, rig.model->head.answers_weight, first, 0, 2 * 16);
    assert_memory_equal(rig.params + param->offset, first, sizeof first);
    assert_null(pl_layout_find(pl_net_layout(rig.net), "classifier.weight"));
    test_rig_close(&rig);
    test_rig_open(&rig, test_tiny_write("none", &(struct test_tiny){V3_TINY, .labels = 2}), ranks,
                  2, NULL, 0, &options);
    pl_net_init(rig.net, rig.params, 1, &known);
    assert_false(known);
    test_rig_close(&rig);
    model = opened(&(struct test_tiny){V3_TINY, .answers = 3});
    assert_null(model->head.answers_weight);
    assert_int_equal(model->n_unused, 2);
    pl_model_close(model);
    model = opened(&(struct test_tiny){V3_TINY, .answers = 2, .omit = "qa_outputs.bias"});
    assert_null(model->head.answers_weight);
    assert_int_equal(model->n_unused, 1);
    pl_model_close(model);
}

/* F32 in the library's own type stays in the map: only the table of positions is made. */
static void single_precision_weights_stay_in_the_file(void **state)
{
    struct pl_model *model = opened(&(struct test_tiny){V3_TINY});

    (void)state;
    assert_null(model->widened);
    assert_true(model->mapped_bytes > model->n_parameters * sizeof(float));
    assert_true(model->resident_bytes < model->mapped_bytes);
    pl_model_close(model);
}

static void half_precision_weights_are_widened_once(void **state)
{
    struct prilora_error err = {0};
    struct pl_model *model;
    const pl_real *first;
    size_t maps = 0;

    (void)state;
    if (pl_model_open(&model, MINI, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    /* its README: 2.24 million parameters, 8064 x 128 of them words */
    assert_in_range(model->n_parameters, 2235000, 2245000);
    assert_int_equal(model->n_unused, 0);
    for (size_t i = 0; i < model->n_sites; i++)
        maps += model->maps[i].in * model->maps[i].out;
    /* all but the table of words, which stays as it is, and the maps, which wait for a run */
    assert_true(model->resident_bytes >=
                (model->n_parameters - maps - 8064 * 128) * sizeof(pl_real));
    assert_true(model->resident_bytes < (model->n_parameters - maps) * sizeof(pl_real));
    assert_non_null(model->widened);
    assert_null(model->maps[0].weight);
    assert_true(pl_model_maps_bytes(model, false) >= maps * sizeof(pl_real));
    assert_int_equal(pl_model_use(model, false, &err), PRILORA_OK);
    first = model->maps[0].weight;
    assert_non_null(first);
    assert_int_equal(pl_model_use(model, false, &err), PRILORA_OK);
    assert_ptr_equal(model->maps[0].weight, first);
    pl_model_close(model);
}

static void fingerprints_tell_models_apart(void **state)
{
    const struct test_tiny tinies[] = {
        {V3_TINY}, {V3_TINY, .dropout = 0.1}, {V3_TINY, .layers = 3}, {V3_TINY, .bare = true}};
    char seen[4][65];
    struct pl_model *model;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        model = opened(&tinies[i]);
        assert_int_equal(strlen(model->fingerprint), 64);
        memcpy(seen[i], model->fingerprint, 65);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(seen[i], seen[j]);
        pl_model_close(model);
    }
    for (size_t i = 0; i < 2; i++) { /* positions begin elsewhere */
        model =
            opened(&(struct test_tiny){.type = "roberta", .padding = 1 + (long)i, .positions = 20});
        memcpy(seen[i + 1], model->fingerprint, 65);
        pl_model_close(model);
    }
    assert_string_not_equal(seen[1], seen[2]);
    /* what no task uses does not count */
    model = opened(&(struct test_tiny){V3_TINY, .extra = "lm_predictions.lm_head.bias"});
    assert_string_equal(model->fingerprint, seen[0]);
    pl_model_close(model);
}

/* ---- positions ---------------------------------------------------------------------------- */

/* Distances below half the buckets are their own bucket; at the largest distance the last is
 * reached: log(size / mid) / log((max - 1) / mid) is then 1. Some in between by hand for 256
 * buckets and 512 positions: 128 + ceil(127 log2(d / 128) / log2(511 / 128)). */
static void buckets_are_those_of_the_formula(void **state)
{
    static const long cases[][2] = {{0, 0},     {1, 1},     {127, 127}, {128, 128},
                                    {129, 129}, {181, 160}, {256, 192}, {511, 255}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(pl_position_bucket(cases[i][0], 256, 512), cases[i][1]);
        assert_int_equal(pl_position_bucket(-cases[i][0], 256, 512), -cases[i][1]);
    }
    assert_int_equal(pl_position_bucket(300, -1, 512), 300);
}

static void hostile_buckets_stay_in_the_table(void **state)
{
    static const long settings[][2] = {{2, 1}, {2, 2}, {3, 2}, {4, 3}, {1, 5}, {6, 2}, {64, 20}};
    struct prilora_error err;

    (void)state;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const struct pl_config config = {.relative_attention = true,
                                         .pos_c2p = true,
                                         .position_buckets = settings[i][0],
                                         .max_relative_positions = settings[i][1],
                                         .max_position_embeddings = 8};
        struct pl_positions p;

        assert_int_equal(pl_positions_new(&p, &config, 100, &err), PRILORA_OK);
        for (size_t n = 1; n <= 100; n++) {
            assert_true(p.first[n] + p.n[n] <= 2 * p.span);
            for (size_t k = 0; k < n; k++) {
                for (size_t j = 0; j < n; j++) {
                    const size_t row = (size_t)pl_position_row(&p, n, k)[j];

                    if (row < p.first[n] || row >= p.first[n] + p.n[n])
                        fail_msg("%ld buckets: row %zu of %zu tokens", settings[i][0], row, n);
                }
            }
        }
        pl_positions_free(&p);
    }
}

/* ---- nets --------------------------------------------------------------------------------- */

static const struct pl_net_options options = {.task = PRILORA_TASK_CLASSIFICATION,
                                              .n_outputs = 3,
                                              .hidden_dropout = -1,
                                              .attention_dropout = -1,
                                              .classifier_dropout = -1,
                                              .max_tokens = 32,
                                              .max_sequences = 4,
                                              .max_length = 12};
static const long ranks[] = {3, 2, 4};
static const size_t lengths[] = {5, 1, 12, 3};

static void a_longer_text_than_the_model_has_positions_for_is_refused(void **state)
{
    struct pl_model *model = opened(&(struct test_tiny){.biased = true, .positions = 11});
    struct prilora_spec spec = {.rank_schedule = PRILORA_RANK_LIST, .ranks = {1, 1}, .n_ranks = 2};
    struct prilora_error err = {0};
    struct pl_net *net;

    (void)state;
    spec.lora_alpha = 16;
    assert_int_equal(pl_net_new(&net, model, &spec, &options, &err), PRILORA_EINVAL);
    assert_string_equal(err.message, "max_length is 12, but the model has positions for 11 tokens");
    pl_model_close(model);
}

static void a_fresh_net_starts_as_the_method_says(void **state)
{
    struct test_rig rig;
    const struct pl_layout *layout;
    bool from_checkpoint = true;

    (void)state;
    test_rig_open(&rig, test_tiny_write("model", &(struct test_tiny){V3_TINY}), ranks, 2, NULL, 0,
                  &options);
    layout = pl_net_layout(rig.net);
    test_fill(rig.params, layout->size, 9, 1);
    pl_net_init(rig.net, rig.params, 5, &from_checkpoint);
    assert_false(from_checkpoint);
    for (size_t p = 0; p < layout->n; p++) {
        const struct pl_param *param = &layout->params[p];
        const size_t n = param->rows * param->cols;
        double top = 0, sum = 0;

        for (size_t i = 0; i < n; i++) {
            top = fmax(top, fabs((double)rig.params[param->offset + i]));
            sum += (double)rig.params[param->offset + i] * (double)rig.params[param->offset + i];
        }
        if (param->kind == PL_PARAM_LORA_A) {
            const double bound = 1 / sqrt((double)param->cols);

            assert_true(top <= bound && top > 0.8 * bound); /* of at least 32 draws */
        } else if (param->kind == PL_PARAM_LORA_B || param->n_dims == 1) {
            assert_true(top == 0);
        } else {
            /* deviation 0.5 (initializer_range), from 48 numbers or more: within 40 % */
            assert_true(fabs(sqrt(sum / (double)n) - 0.5) < 0.2);
        }
    }
    test_rig_close(&rig);
}

static void a_head_of_as_many_labels_comes_from_the_checkpoint(void **state)
{
    struct pl_net_options other = options;
    const struct pl_param *weight;
    struct test_rig rig;
    bool from_checkpoint = false;
    pl_real first;

    (void)state;
    test_rig_open(&rig, test_tiny_write("model", &(struct test_tiny){V3_TINY, .labels = 3}), ranks,
                  2, NULL, 0, &options);
    pl_net_init(rig.net, rig.params, 5, &from_checkpoint);
    assert_true(from_checkpoint);
    weight = pl_layout_find(pl_net_layout(rig.net), "classifier.weight");
    pl_tensor_read(rig.model->head.weight, &first, 0, 1);
    assert_true(rig.params[weight->offset] == first);
    test_rig_close(&rig);

    other.n_outputs = 2;
    test_rig_open(&rig, test_tiny_write("model", &(struct test_tiny){V3_TINY, .labels = 3}), ranks,
                  2, NULL, 0, &other);
    pl_net_init(rig.net, rig.params, 5, &from_checkpoint);
    assert_false(from_checkpoint);
    test_rig_close(&rig);
}

/* With B zero elsewhere, adapting only upper maps is the same function of them: what the shortcut
 * below the lowest of them leaves out must not show. */
static void leaving_out_what_lies_below_changes_no_gradient(void **state)
{
    static const char *const upper[] = {"2.attention.output.dense", "2.output.dense"};
    const struct test_tiny tiny = {V3_TINY, .layers = 3, .dropout = 0.1};
    const struct pl_layout *few, *all;
    struct test_rig part, whole;

    (void)state;
    test_rig_open(&part, test_tiny_write("model", &tiny), ranks, 3, upper, 2, &options);
    test_rig_open(&whole, test_tiny_write("model", &tiny), ranks, 3, NULL, 0, &options);
    few = pl_net_layout(part.net);
    all = pl_net_layout(whole.net);
    pl_net_init(whole.net, whole.params, 5, NULL);
    for (size_t p = 0; p < few->n; p++) {
        const struct pl_param *to = pl_layout_find(all, few->params[p].name);
        const size_t n = to->rows * to->cols;

        test_fill(whole.params + to->offset, n, 0.3, p);
        memcpy(part.params + few->params[p].offset, whole.params + to->offset, n * sizeof(pl_real));
    }
    test_rig_batch(&part, lengths, 4);
    test_rig_batch(&whole, lengths, 4);
    assert_true(test_rig_loss(&part) == test_rig_loss(&whole));
    for (size_t p = 0; p < few->n; p++) {
        const struct pl_param *to = pl_layout_find(all, few->params[p].name);

        /* the same sums, perhaps in other blocks of the product: a few last places */
        assert_true(test_distance(part.grads + few->params[p].offset, whole.grads + to->offset,
                                  to->rows * to->cols) < 1e-6);
    }
    assert_true(pl_workspace_bytes(part.net, true, NULL) <
                pl_workspace_bytes(whole.net, true, NULL));
    test_rig_close(&part);
    test_rig_close(&whole);
}

static void evaluation_and_training_without_dropout_agree(void **state)
{
    struct pl_net_options none = options;
    struct test_rig rig;
    double loss;

    (void)state;
    none.hidden_dropout = none.attention_dropout = none.classifier_dropout = 0;
    test_rig_open(&rig, test_tiny_write("model", &(struct test_tiny){V3_TINY, .dropout = 0.5}),
                  ranks, 2, NULL, 0, &none);
    test_rig_batch(&rig, lengths, 4);
    test_fill(rig.params, pl_net_layout(rig.net)->size, 0.3, 1);
    loss = test_rig_loss(&rig);
    rig.train = false;
    assert_true(test_rig_loss(&rig) == loss);
    test_rig_close(&rig);
}

static void operations_grow_with_tokens_and_training(void **state)
{
    struct test_rig rig;

    (void)state;
    test_rig_open(&rig, test_tiny_write("model", &(struct test_tiny){V3_TINY}), ranks, 2, NULL, 0,
                  &options);
    /* the six maps alone: 2 layers x 2 x 8 tokens x (4 x 16 x 16 + 2 x 16 x 24) */
    assert_true(pl_net_operations(rig.net, 8, false) > 2 * 2 * 8 * (4 * 256 + 2 * 384));
    assert_true(pl_net_operations(rig.net, 8, true) > 2 * pl_net_operations(rig.net, 8, false));
    assert_true(pl_net_operations(rig.net, 9, true) > pl_net_operations(rig.net, 8, true));
    test_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_tensor_is_named_with_its_shape),
        cmocka_unit_test(a_wrong_shape_is_named_with_both),
        cmocka_unit_test(names_may_lack_the_prefix),
        cmocka_unit_test(sites_stand_in_order_and_share_inputs),
        cmocka_unit_test(what_no_task_uses_is_listed),
        cmocka_unit_test(a_head_is_used_or_listed),
        cmocka_unit_test(a_head_for_answers_is_taken_if_it_fits),
        cmocka_unit_test(single_precision_weights_stay_in_the_file),
        cmocka_unit_test(half_precision_weights_are_widened_once),
        cmocka_unit_test(fingerprints_tell_models_apart),
        cmocka_unit_test(buckets_are_those_of_the_formula),
        cmocka_unit_test(hostile_buckets_stay_in_the_table),
        cmocka_unit_test(a_longer_text_than_the_model_has_positions_for_is_refused),
        cmocka_unit_test(a_fresh_net_starts_as_the_method_says),
        cmocka_unit_test(a_head_of_as_many_labels_comes_from_the_checkpoint),
        cmocka_unit_test(leaving_out_what_lies_below_changes_no_gradient),
        cmocka_unit_test(evaluation_and_training_without_dropout_agree),
        cmocka_unit_test(operations_grow_with_tokens_and_training),
    };

    return cmocka_run_group_tests_name("model", tests, test_scratch_open, test_scratch_close);
}
