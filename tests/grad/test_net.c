/*
 * test_net.c - the gradient of the whole net, dropout on, against central differences of its loss
 * in double, for every variant of the architecture.
 *
 * For each tensor of the block, along drawn directions v: (L(p + h v) - L(p - h v)) / 2h. With
 * h = 3e-6 and losses near 1, rounding leaves some 1e-10 of the slope and truncation, which is
 * largest where scores are, 2e-7 of it; slopes are around 0.01 to 10, so 1e-6 relative to
 * 1e-2 + |slope| is above both, and far below any term that could be missing.
 */
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
#include "model/task.h"
#include "support/rig.h"
#include "support/scratch.h"
#include "support/tiny.h"

#define STEP      3e-6
#define TOLERANCE 1e-6

_Static_assert(sizeof(pl_real) == sizeof(double), "finite differences need double");

static const struct pl_net_options everything = {
    .task = PRILORA_TASK_CLASSIFICATION,
    .n_outputs = 3,
    .hidden_dropout = -1,
    .attention_dropout = -1,
    .classifier_dropout = -1,
    .lora_dropout = 0.2,
    .max_tokens = 32,
    .max_sequences = 4,
    .max_length = 14}; /* above the longest: tables have rows that no batch here reaches */

static const size_t lengths[] = {5, 1, 12, 3};

static struct test_rig rig;

static void open_rig(const struct test_tiny *tiny, const char *const *targets, size_t n_targets,
                     const struct pl_net_options *options)
{
    static const long ranks[] = {3, 2, 4};
    const char *folder = test_tiny_write("model", tiny);

    test_rig_open(&rig, folder, ranks, tiny->layers ? tiny->layers : 2, targets, n_targets,
                  options);
    test_rig_batch(&rig, lengths, 4);
    for (size_t k = 0; k < 4 * options->n_outputs; k++)
        rig.labels[k] = (float)(k * 7 % 3 % (options->task == PRILORA_TASK_MULTI_LABEL ? 2 : 3));
    test_fill(rig.params, pl_net_layout(rig.net)->size, 0.3, 99);
    rig.seed = 11;
    rig.step = 3;
}

static double slope_along(pl_real *x, const pl_real *kept, const pl_real *v, size_t n)
{
    double up, down;

    for (size_t i = 0; i < n; i++)
        x[i] = kept[i] + STEP * v[i];
    up = test_rig_loss(&rig);
    for (size_t i = 0; i < n; i++)
        x[i] = kept[i] - STEP * v[i];
    down = test_rig_loss(&rig);
    memcpy(x, kept, n * sizeof *x);
    return (up - down) / (2 * STEP);
}

/* Every tensor of the block along two directions; the gradient is rig.grads. */
static void check_gradients(void)
{
    const struct pl_layout *layout = pl_net_layout(rig.net);
    pl_real *g = pl_calloc(layout->size, sizeof *g), *v = pl_calloc(layout->size, sizeof *v);
    pl_real *kept = pl_calloc(layout->size, sizeof *kept);

    memcpy(g, rig.grads, layout->size * sizeof *g);
    for (size_t p = 0; p < layout->n; p++) {
        const struct pl_param *param = &layout->params[p];
        pl_real *x = rig.params + param->offset;
        const size_t n = param->rows * param->cols;

        memcpy(kept, x, n * sizeof *x);
        for (size_t k = 0; k < 2; k++) {
            double want, got = 0;

            test_fill(v, n, 1, 100 * p + k);
            want = slope_along(x, kept, v, n);
            for (size_t i = 0; i < n; i++)
                got += g[param->offset + i] * v[i];
            if (!(fabs(got - want) <= TOLERANCE * (1e-2 + fabs(want))))
                fail_msg("%s has slope %.10g, the gradient says %.10g", param->name, want, got);
        }
    }
    free(g);
    free(v);
    free(kept);
}

static void check_variant(const struct test_tiny *tiny)
{
    open_rig(tiny, NULL, 0, &everything);
    test_rig_loss(&rig);
    check_gradients();
    test_rig_close(&rig);
}

#define V3_TINY .pos_att_type = "p2c|c2p", .buckets = 6, .norm_rel = true, .dropout = 0.1

static void version_three_goes_back(void **state)
{
    (void)state;
    check_variant(&(struct test_tiny){V3_TINY});
}

static void version_two_with_its_convolution_goes_back(void **state)
{
    (void)state;
    check_variant(&(struct test_tiny){V3_TINY, .conv_kernel = 3, .conv_act = "gelu"});
    check_variant(&(struct test_tiny){V3_TINY, .conv_kernel = 5, .conv_groups = 4});
}

static void separate_position_projections_go_back(void **state)
{
    (void)state;
    check_variant(&(struct test_tiny){V3_TINY, .separate = true});
}

static void one_position_term_goes_back(void **state)
{
    (void)state;
    check_variant(&(struct test_tiny){.pos_att_type = "c2p", .dropout = 0.1, .buckets = 6});
    check_variant(&(struct test_tiny){.pos_att_type = "p2c", .dropout = 0.1, .buckets = 6});
    check_variant(&(struct test_tiny){.pos_att_type = "p2c", .dropout = 0.1, .separate = true});
}

static void a_table_without_buckets_goes_back(void **state)
{
    (void)state;
    check_variant(&(struct test_tiny){.pos_att_type = "p2c|c2p", .dropout = 0.1});
    /* shorter than the longest sequence: distances are clamped */
    check_variant(&(struct test_tiny){.pos_att_type = "p2c|c2p", .max_relative = 5});
}

static void plain_attention_with_all_embeddings_goes_back(void **state)
{
    (void)state;
    check_variant(&(struct test_tiny){.dropout = 0.1, .biased = true, .types = 2});
}

static void narrow_embeddings_go_back(void **state)
{
    (void)state;
    check_variant(&(struct test_tiny){V3_TINY, .embedding = 10, .biased = true, .types = 1});
}

static void other_activations_go_back(void **state)
{
    (void)state;
    check_variant(&(struct test_tiny){V3_TINY, .hidden_act = "gelu_new", .pooler_act = "tanh"});
    check_variant(&(struct test_tiny){V3_TINY, .hidden_act = "silu", .pooler_dropout = 0.3});
}

static void bert_goes_back(void **state)
{
    (void)state;
    check_variant(&(struct test_tiny){.type = "bert", .dropout = 0.1, .pooler = true});
    check_variant(&(struct test_tiny){.type = "bert", .dropout = 0.1, .classifier_dropout = 0.3});
}

static void distilbert_goes_back(void **state)
{
    (void)state;
    check_variant(&(struct test_tiny){.type = "distilbert", .dropout = 0.1});
    check_variant(&(struct test_tiny){.type = "distilbert", .hidden_act = "relu"});
}

static void electra_goes_back(void **state)
{
    (void)state;
    check_variant(&(struct test_tiny){.type = "electra", .dropout = 0.1});
    check_variant(&(struct test_tiny){.type = "electra", .dropout = 0.1, .embedding = 10});
    check_variant(&(struct test_tiny){.type = "electra", .dropout = 0.1, .embedding = 20});
}

static void roberta_and_its_kin_go_back(void **state)
{
    (void)state;
    check_variant(&(struct test_tiny){.type = "roberta", .dropout = 0.1});
    check_variant(&(struct test_tiny){.type = "xlm-roberta", .dropout = 0.1, .padding = 3});
    check_variant(&(struct test_tiny){.type = "camembert", .classifier_dropout = 0.2});
}

static void without_dropout_it_goes_back(void **state)
{
    struct pl_net_options none = everything;

    (void)state;
    none.lora_dropout = none.hidden_dropout = none.attention_dropout = 0;
    none.classifier_dropout = 0;
    open_rig(&(struct test_tiny){V3_TINY}, NULL, 0, &none);
    test_rig_loss(&rig);
    check_gradients();
    test_rig_close(&rig);
}

static void every_task_goes_back(void **state)
{
    static const enum prilora_task tasks[] = {PRILORA_TASK_REGRESSION, PRILORA_TASK_MULTI_LABEL};
    struct pl_net_options options = everything;

    (void)state;
    for (size_t k = 0; k < 2; k++) {
        options.task = tasks[k];
        options.n_outputs = tasks[k] == PRILORA_TASK_REGRESSION ? 1 : 3;
        open_rig(&(struct test_tiny){V3_TINY}, NULL, 0, &options);
        test_rig_loss(&rig);
        check_gradients();
        test_rig_close(&rig);
    }
}

/* Labels on some tokens of each sequence, the mean being over these. */
static void label_tokens(void)
{
    rig.batch.n_counted = 0;
    for (size_t i = 0; i < rig.batch.n_tokens; i++) {
        rig.labels[i] = i % 3 == 1 ? PL_LABEL_IGNORED : (float)(i * 5 % 3);
        rig.batch.n_counted += i % 3 != 1;
    }
}

static void a_label_for_each_token_goes_back(void **state)
{
    static const struct test_tiny models[] = {
        {V3_TINY}, {V3_TINY, .conv_kernel = 3}, {V3_TINY, .layers = 1}, {.biased = true}};
    static const char *const last[] = {"2.output.dense"}, *const query[] = {
                                                              "1.attention.self.query_proj"};
    struct pl_net_options options = everything;

    (void)state;
    options.task = PRILORA_TASK_TOKEN_CLASSIFICATION;
    for (size_t k = 0; k < sizeof models / sizeof *models; k++) {
        options.classifier_dropout = k % 2 ? 0.2 : 0;
        options.recompute = k == 1;
        open_rig(&models[k], NULL, 0, &options);
        label_tokens();
        test_rig_loss(&rig);
        check_gradients();
        test_rig_close(&rig);
    }
    for (size_t k = 0; test_tiny_types[k]; k++) {
        open_rig(&(struct test_tiny){.type = test_tiny_types[k], .dropout = 0.1}, NULL, 0,
                 &options);
        label_tokens();
        test_rig_loss(&rig);
        check_gradients();
        test_rig_close(&rig);
    }
    for (size_t k = 0; k < 2; k++) {
        open_rig(&(struct test_tiny){V3_TINY, .layers = 3}, k ? query : last, 1, &options);
        label_tokens();
        test_rig_loss(&rig);
        check_gradients();
        test_rig_close(&rig);
    }
}

/* By hand from the logits: the mean over the tokens that have a label. */
static void the_loss_of_tokens_is_the_mean_of_those_with_labels(void **state)
{
    struct pl_net_options options = everything;
    double want = 0, loss;

    (void)state;
    options.task = PRILORA_TASK_TOKEN_CLASSIFICATION;
    open_rig(&(struct test_tiny){V3_TINY}, NULL, 0, &options);
    label_tokens();
    loss = test_rig_loss(&rig);
    for (size_t i = 0; i < rig.batch.n_tokens; i++) {
        const pl_real *z = rig.logits + 3 * i;

        if (rig.labels[i] >= 0)
            want += log(exp(z[0]) + exp(z[1]) + exp(z[2])) - z[(size_t)rig.labels[i]];
    }
    want /= (double)rig.batch.n_counted;
    assert_true(fabs(loss - want) < 1e-12);
    /* a batch in which no token has one has no loss and no gradient */
    for (size_t i = 0; i < rig.batch.n_tokens; i++)
        rig.labels[i] = PL_LABEL_IGNORED;
    rig.batch.n_counted = 0;
    assert_true(test_rig_loss(&rig) == 0);
    for (size_t i = 0; i < pl_net_layout(rig.net)->size; i++)
        assert_true(rig.grads[i] == 0);
    test_rig_close(&rig);
}

/* First and last token of an answer in each sequence; of one they are the first token twice. */
static void label_answers(void)
{
    for (size_t k = 0; k < rig.batch.n_sequences; k++) {
        const size_t n = rig.starts[k + 1] - rig.starts[k];

        rig.labels[2 * k] = (float)(n / 3);
        rig.labels[2 * k + 1] = (float)(n * 2 / 3);
    }
}

static void check_answers(const struct test_tiny *model, const char *const *targets,
                          size_t n_targets, const struct pl_net_options *options)
{
    open_rig(model, targets, n_targets, options);
    label_answers();
    test_rig_loss(&rig);
    check_gradients();
    test_rig_close(&rig);
}

static void first_and_last_tokens_of_answers_go_back(void **state)
{
    static const struct test_tiny models[] = {
        {V3_TINY}, {V3_TINY, .conv_kernel = 3}, {V3_TINY, .layers = 1}, {.biased = true}};
    static const char *const last[] = {"2.output.dense"};
    struct pl_net_options options = everything;

    (void)state;
    options.task = PRILORA_TASK_QUESTION_ANSWERING;
    options.n_outputs = 2;
    for (size_t k = 0; k < sizeof models / sizeof *models; k++) {
        options.classifier_dropout = k % 2 ? 0.2 : -1;
        options.recompute = k == 1;
        check_answers(&models[k], NULL, 0, &options);
    }
    options.classifier_dropout = -1;
    for (size_t k = 0; test_tiny_types[k]; k++)
        check_answers(&(struct test_tiny){.type = test_tiny_types[k], .dropout = 0.1}, NULL, 0,
                      &options);
    check_answers(&(struct test_tiny){V3_TINY, .layers = 3}, last, 1, &options);
    options.lora_dropout = options.hidden_dropout = options.attention_dropout = 0;
    options.classifier_dropout = 0;
    check_answers(&(struct test_tiny){V3_TINY}, NULL, 0, &options);
}

/* By hand from the logits: the mean over the sequences of that of both ends. */
static void the_loss_of_answers_is_the_mean_of_both_ends(void **state)
{
    struct pl_net_options options = everything;
    double want = 0, loss;

    (void)state;
    options.task = PRILORA_TASK_QUESTION_ANSWERING;
    options.n_outputs = 2;
    open_rig(&(struct test_tiny){V3_TINY}, NULL, 0, &options);
    label_answers();
    loss = test_rig_loss(&rig);
    for (size_t k = 0; k < 4; k++) {
        for (size_t end = 0; end < 2; end++) {
            const size_t first = rig.starts[k], right = (size_t)rig.labels[2 * k + end];
            double sum = exp(rig.logits[2 * first + end]);

            for (size_t i = first + 1; i < rig.starts[k + 1]; i++)
                sum += exp(rig.logits[2 * i + end]);
            want += (log(sum) - rig.logits[2 * (first + right) + end]) / 8;
        }
    }
    assert_true(fabs(loss - want) < 1e-12);
    test_rig_close(&rig);
}

/* As in Hugging Face's classes: of all types only DistilBERT's has dropout before the head. */
static void answers_have_the_dropout_of_their_class(void **state)
{
    struct pl_net_options options = everything;

    (void)state;
    options.task = PRILORA_TASK_QUESTION_ANSWERING;
    options.n_outputs = 2;
    for (size_t k = 0; test_tiny_types[k]; k++) {
        const double want = strcmp(test_tiny_types[k], "distilbert") == 0 ? 0.1 : 0;

        open_rig(&(struct test_tiny){.type = test_tiny_types[k], .dropout = 0.3}, NULL, 0,
                 &options);
        assert_true(pl_net_options(rig.net)->classifier_dropout == want);
        test_rig_close(&rig);
    }
}

static void any_choice_of_maps_goes_back(void **state)
{
    static const struct {
        const char *targets[3];
        size_t n;
    } choices[] = {
        {{"query_proj"}, 1},
        {{"key_proj"}, 1},
        {{"value_proj"}, 1},
        {{"query_proj", "value_proj"}, 2},
        {{"attention.output.dense"}, 1},
        {{"intermediate.dense"}, 1},
        {{"1.output.dense"}, 1},
        {{"1.attention.output.dense", "1.intermediate.dense"}, 2},
        {{"2.attention.self.key_proj", "2.output.dense"}, 2},
    };

    (void)state;
    for (size_t k = 0; k < sizeof choices / sizeof *choices; k++) {
        open_rig(&(struct test_tiny){V3_TINY, .layers = 3}, choices[k].targets, choices[k].n,
                 &everything);
        test_rig_loss(&rig);
        check_gradients();
        test_rig_close(&rig);
    }
}

/* Only rounding may differ: sums of about a thousand numbers near 1, in double. */
static void shares_do_not_change_what_dropout_drops(void **state)
{
    static const size_t cuts[][4] = {{1, 1, 1, 1}, {3, 1}, {1, 3}};
    const size_t size[] = {4, 2, 2};
    double loss;
    pl_real *grads, *stats;
    size_t n, n_stats;

    (void)state;
    open_rig(&(struct test_tiny){V3_TINY, .conv_kernel = 3}, NULL, 0, &everything);
    n = pl_net_layout(rig.net)->size;
    n_stats = pl_net_stats_size(rig.net);
    grads = pl_calloc(n, sizeof *grads);
    stats = pl_calloc(n_stats, sizeof *stats);
    loss = test_rig_loss(&rig);
    memcpy(grads, rig.grads, n * sizeof *grads);
    memcpy(stats, rig.stats, n_stats * sizeof *stats);
    for (size_t k = 0; k < 3; k++) {
        test_rig_step(&rig, cuts[k], size[k]);
        assert_true(fabs(rig.loss - loss) < 1e-12);
        assert_true(test_distance(rig.grads, grads, n) < 1e-12);
        assert_true(test_distance(rig.stats, stats, n_stats) < 1e-12);
    }
    rig.step++;
    test_rig_loss(&rig);
    assert_true(test_distance(rig.grads, grads, n) > 0.1); /* another step drops others */
    free(grads);
    free(stats);
    test_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_three_goes_back),
        cmocka_unit_test(version_two_with_its_convolution_goes_back),
        cmocka_unit_test(separate_position_projections_go_back),
        cmocka_unit_test(one_position_term_goes_back),
        cmocka_unit_test(a_table_without_buckets_goes_back),
        cmocka_unit_test(plain_attention_with_all_embeddings_goes_back),
        cmocka_unit_test(narrow_embeddings_go_back),
        cmocka_unit_test(other_activations_go_back),
        cmocka_unit_test(bert_goes_back),
        cmocka_unit_test(distilbert_goes_back),
        cmocka_unit_test(electra_goes_back),
        cmocka_unit_test(roberta_and_its_kin_go_back),
        cmocka_unit_test(without_dropout_it_goes_back),
        cmocka_unit_test(every_task_goes_back),
        cmocka_unit_test(a_label_for_each_token_goes_back),
        cmocka_unit_test(the_loss_of_tokens_is_the_mean_of_those_with_labels),
        cmocka_unit_test(first_and_last_tokens_of_answers_go_back),
        cmocka_unit_test(the_loss_of_answers_is_the_mean_of_both_ends),
        cmocka_unit_test(answers_have_the_dropout_of_their_class),
        cmocka_unit_test(any_choice_of_maps_goes_back),
        cmocka_unit_test(shares_do_not_change_what_dropout_drops),
    };

    return cmocka_run_group_tests_name("net", tests, test_scratch_open, test_scratch_close);
}
