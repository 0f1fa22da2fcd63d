/* test_spec.c - specifications: defaults, the three methods, round trips, and every refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/close.h"
#include "train/settings.h"
#include "train/spec.h"

static struct prilora_spec *parse(const char *json)
{
    struct prilora_spec *spec;
    struct prilora_error err;

    if (prilora_spec_parse(&spec, json, strlen(json), &err) != PRILORA_OK)
        fail_msg("%s: %s", err.where, err.message);
    return spec;
}

static struct prilora_spec *parse_method(const char *type, const char *settings)
{
    char json[1024];

    snprintf(json, sizeof json,
             "{\"method\": {\"type\": \"%s\", \"%s\": {\"hyperparameters\": {%s}}}}", type, type,
             settings);
    return parse(json);
}

static void nothing_given_is_the_defaults(void **state)
{
    struct prilora_spec *spec = parse("{}");

    (void)state;
    assert_int_equal(spec->method, PRILORA_METHOD_PRILORA);
    assert_int_equal(spec->task, PRILORA_TASK_AUTO);
    assert_int_equal(spec->n_epochs, 3);
    assert_int_equal(spec->batch_size, 32);
    assert_int_equal(spec->max_length, 128);
    test_close(spec->learning_rate, 8e-4, 0);
    test_close(spec->warmup_ratio, 0.06, 0);
    test_close(spec->weight_decay, 0.01, 0);
    test_close(spec->max_grad_norm, 1, 0);
    assert_int_equal(spec->rank_schedule, PRILORA_RANK_LINEAR);
    assert_int_equal(spec->rank_start, 4);
    assert_int_equal(spec->rank_end, 12);
    test_close(spec->lora_alpha, 16, 0);
    assert_int_equal(spec->n_targets, 0);
    test_close(spec->prune_ratio, 0.5, 0);
    assert_int_equal(spec->prune_interval, 40);
    test_close(spec->prune_decay, 0.9, 0);
    assert_true(spec->prune_regrow);
    assert_false(spec->prune_reset_moments);
    assert_false(spec->recompute);
    assert_true(spec->hidden_dropout < 0);
    prilora_spec_free(spec);
}

static void lora_is_uniform_and_never_pruned(void **state)
{
    struct prilora_spec *spec = parse_method("lora", "");

    (void)state;
    assert_int_equal(spec->method, PRILORA_METHOD_LORA);
    assert_int_equal(spec->rank_schedule, PRILORA_RANK_UNIFORM);
    assert_int_equal(spec->rank_start, 8);
    assert_int_equal(spec->rank_end, 8);
    test_close(spec->prune_ratio, 0, 0);
    prilora_spec_free(spec);
    spec = parse_method("lora", "\"r\": 3, \"target_modules\": [\"query\", \"value\"]");
    assert_int_equal(spec->rank_end, 3);
    assert_int_equal(spec->n_targets, 2);
    assert_string_equal(spec->targets[1], "value");
    prilora_spec_free(spec);
}

static void openai_s_three_settings_run_prilora(void **state)
{
    const char *const three =
        "\"n_epochs\": 2, \"batch_size\": \"auto\", \"learning_rate_multiplier\": 0.5";
    char older[256];
    struct prilora_spec *a = parse_method("supervised", three), *b;

    (void)state;
    snprintf(older, sizeof older, "{\"hyperparameters\": {%s}}", three);
    b = parse(older);
    for (int i = 0; i < 2; i++) {
        struct prilora_spec *spec = i ? b : a;

        assert_int_equal(spec->method, PRILORA_METHOD_PRILORA);
        assert_int_equal(spec->n_epochs, 2);
        assert_int_equal(spec->batch_size, 32);
        test_close(pl_spec_learning_rate(spec, 6, 100), 4e-4, 1e-12);
        assert_int_equal(spec->rank_end, 12);
    }
    prilora_spec_free(a);
    prilora_spec_free(b);
}

static void auto_is_the_default_everywhere(void **state)
{
    for (size_t i = 0; i < pl_n_settings; i++) {
        char setting[128], *got, *expected;
        struct prilora_spec *spec, *plain = parse("{}");

        (void)state;
        if (!(pl_settings[i].methods & PL_IN_PRILORA))
            continue;
        snprintf(setting, sizeof setting, "\"%s\": \"auto\"", pl_settings[i].name);
        spec = parse_method("prilora", setting);
        got = prilora_spec_dump(spec);
        expected = prilora_spec_dump(plain);
        assert_string_equal(got, expected);
        free(got);
        free(expected);
        prilora_spec_free(spec);
        prilora_spec_free(plain);
    }
}

static void null_members_are_absent_ones(void **state)
{
    (void)state;
    prilora_spec_free(parse("{\"seed\": null, \"method\": null, \"task\": null}"));
}

static void a_dump_parses_back_to_the_same(void **state)
{
    static const char *const specs[] = {
        "{}",
        "{\"seed\": 9007199254740991, \"task\": {\"type\": \"cola\"}}",
        "{\"task\": {\"type\": \"multi_label\", \"metric\": \"f1\"}}",
        "{\"method\": {\"type\": \"lora\", \"lora\": {\"hyperparameters\": {\"r\": 5}}}}",
        "{\"method\": {\"type\": \"head\", \"head\": {\"hyperparameters\": {\"n_epochs\": 5}}}}",
        "{\"task\": {\"name\": \"mnli\", \"mismatched_file\": \"file-1\"}}",
        "{\"task\": \"question_answering\"}",
        "{\"task\": {\"type\": \"question_answering\", \"metric\": \"exact_match\", "
        "\"doc_stride\": 64, \"max_answer_length\": 7}}",
        "{\"task\": {\"name\": \"mrpc\", \"metric\": \"f1\"}, \"method\": {\"type\": \"prilora\", "
        "\"prilora\": {\"hyperparameters\": {\"preset\": \"adalora\", \"n_epochs\": 1}}}}",
        "{\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
        "{\"ranks\": [1, 2, 3], \"learning_rate\": 0.1234567890123456, \"prune_regrow\": false, "
        "\"target_modules\": \".*query\", \"hidden_dropout\": 0.25, \"scaling\": \"common\"}}}}",
        "{\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
        "{\"rank_schedule\": \"uniform\", \"target_modules\": [\"a\\u00e9\", \"b.c\"], "
        "\"lr_scheduler_type\": \"cosine\", \"prune_ratio\": 0, \"recompute\": true}}}}",
        "{\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
        "{\"rank_schedule\": \"decreasing\", \"rank_start\": 9, \"rank_end\": 2}}}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        struct prilora_spec *one = parse(specs[i]), *copy = prilora_spec_copy(one), *two;
        char *first = prilora_spec_dump(copy), *second;

        two = parse(first);
        second = prilora_spec_dump(two);
        assert_string_equal(first, second);
        assert_int_equal(one->n_targets, two->n_targets);
        for (size_t k = 0; k < one->n_targets; k++)
            assert_string_equal(one->targets[k], two->targets[k]);
        assert_true(one->learning_rate == two->learning_rate);
        assert_true(one->hidden_dropout == two->hidden_dropout);
        assert_int_equal(one->rank_schedule, two->rank_schedule);
        assert_int_equal(one->recompute, two->recompute);
        assert_memory_equal(one->ranks, two->ranks, sizeof one->ranks);
        assert_true(one->seed == two->seed);
        assert_int_equal(one->doc_stride, two->doc_stride);
        assert_int_equal(one->max_answer_length, two->max_answer_length);
        free(first);
        free(second);
        prilora_spec_free(one);
        prilora_spec_free(two);
        prilora_spec_free(copy);
    }
}

static void a_glue_name_is_a_task_with_its_metric(void **state)
{
    struct prilora_spec *spec = parse("{\"task\": {\"type\": \"STS-B\"}}");

    (void)state;
    assert_int_equal(spec->task, PRILORA_TASK_REGRESSION);
    assert_int_equal(spec->metric, PRILORA_METRIC_PEARSON);
    prilora_spec_free(spec);
    spec = parse("{\"task\": {\"name\": \"mrpc\", \"metric\": \"f1\"}}");
    assert_int_equal(spec->task, PRILORA_TASK_CLASSIFICATION);
    assert_int_equal(spec->metric, PRILORA_METRIC_F1);
    assert_int_equal(spec->glue, PRILORA_GLUE_MRPC);
    prilora_spec_free(spec);
    spec = parse("{\"task\": \"cola\"}");
    assert_int_equal(spec->glue, PRILORA_GLUE_COLA);
    assert_int_equal(spec->metric, PRILORA_METRIC_MATTHEWS);
    prilora_spec_free(spec);
    spec = parse("{\"task\": \"regression\"}");
    assert_int_equal(spec->glue, PRILORA_GLUE_NONE);
    assert_int_equal(spec->task, PRILORA_TASK_REGRESSION);
    prilora_spec_free(spec);
    spec = parse("{\"task\": {\"name\": \"MNLI\", \"mismatched_file\": \"file-1\"}}");
    assert_string_equal(spec->mismatched_file, "file-1");
    prilora_spec_free(spec);
}

/* No other task knows of windows, and none that is to be told from the data. */
static void question_answering_has_settings_of_its_own(void **state)
{
    struct prilora_spec *spec =
        parse("{\"task\": {\"type\": \"question_answering\", \"doc_stride\": \"auto\"}}");
    char *text = prilora_spec_dump(spec);

    (void)state;
    assert_int_equal(spec->task, PRILORA_TASK_QUESTION_ANSWERING);
    assert_true(spec->doc_stride < 0);
    assert_int_equal(spec->max_answer_length, 30);
    assert_non_null(strstr(text, "\"doc_stride\": \"auto\""));
    assert_non_null(strstr(text, "\"max_answer_length\": 30"));
    free(text);
    prilora_spec_free(spec);
    spec = parse("{\"task\": {\"doc_stride\": 0, \"max_answer_length\": 512, \"type\": "
                 "\"question_answering\", \"metric\": \"f1\"}}");
    assert_int_equal(spec->doc_stride, 0);
    assert_int_equal(spec->max_answer_length, 512);
    prilora_spec_free(spec);
    spec = parse("{\"task\": \"classification\"}");
    text = prilora_spec_dump(spec);
    assert_null(strstr(text, "doc_stride"));
    assert_null(strstr(text, "max_answer_length"));
    free(text);
    prilora_spec_free(spec);
}

static void every_glue_task_is_found_by_its_name(void **state)
{
    const char *name;
    int n = 0;

    (void)state;
    for (int i = PRILORA_GLUE_NONE + 1; (name = prilora_glue_name((enum prilora_glue)i)); i++, n++)
        assert_int_equal(prilora_glue_find(name), i);
    assert_int_equal(n, 9);
    assert_int_equal(prilora_glue_find("ax"), PRILORA_GLUE_NONE);
    assert_int_equal(prilora_glue_find(""), PRILORA_GLUE_NONE);
    assert_int_equal(prilora_glue_find(NULL), PRILORA_GLUE_NONE);
    assert_null(prilora_glue_name(PRILORA_GLUE_NONE));
}

/* Published: arXiv:2303.10512 and the scripts beside it. */
static void a_preset_is_what_was_published(void **state)
{
    static const struct {
        const char *task;
        double rate;
        long epochs, warmup, length;
        double dropout, decay, alpha;
    } rows[] = {
        {"mnli", 5e-4, 7, 1000, 256, 0.15, 0, 16},   {"sst2", 8e-4, 24, 1000, 128, 0, 0.01, 16},
        {"cola", 8e-4, 25, 100, 64, 0.10, 0, 32},    {"qqp", 8e-4, 5, 2000, 320, 0.15, 0.01, 16},
        {"qnli", 5e-4, 5, 500, 512, 0.10, 0.01, 32}, {"rte", 1.2e-3, 50, 200, 320, 0.2, 0.01, 32},
        {"mrpc", 1e-3, 30, 0, 320, 0, 0.01, 32},     {"stsb", 2.2e-3, 25, 100, 128, 0.2, 0.1, 32},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct prilora_spec *spec;
        char json[256];

        snprintf(json, sizeof json,
                 "{\"task\": \"%s\", \"method\": {\"type\": \"lora\", \"lora\": "
                 "{\"hyperparameters\": {\"preset\": \"adalora\"}}}}",
                 rows[i].task);
        spec = parse(json);
        test_close(spec->learning_rate, rows[i].rate, 0);
        assert_int_equal(spec->n_epochs, rows[i].epochs);
        assert_int_equal(spec->batch_size, 32);
        assert_int_equal(spec->warmup_steps, rows[i].warmup);
        test_close(spec->warmup_ratio, i == 6 ? 0.1 : 0.06, 0);
        assert_int_equal(spec->max_length, rows[i].length);
        test_close(spec->classifier_dropout, rows[i].dropout, 0);
        test_close(spec->weight_decay, rows[i].decay, 0);
        test_close(spec->lora_alpha, rows[i].alpha, 0);
        prilora_spec_free(spec);
    }
}

#define COLA_PRESET(settings)                                                                      \
    "{\"task\": \"cola\", \"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": " \
    "{\"preset\": \"adalora\"" settings "}}}}"

static void what_is_given_wins_over_a_preset(void **state)
{
    struct prilora_spec *spec = parse(COLA_PRESET(", \"n_epochs\": 2, \"lora_alpha\": 16"));

    (void)state;
    assert_int_equal(spec->n_epochs, 2);
    test_close(spec->lora_alpha, 16, 0);
    assert_int_equal(spec->max_length, 64);
    prilora_spec_free(spec);
    /* the two ways to say the warm-up are one setting: the preset's steps would win over a ratio */
    spec = parse(COLA_PRESET(", \"warmup_ratio\": 0.2"));
    assert_int_equal(spec->warmup_steps, 0);
    test_close(spec->warmup_ratio, 0.2, 0);
    prilora_spec_free(spec);
    spec = parse(COLA_PRESET(", \"n_epochs\": \"auto\""));
    assert_int_equal(spec->n_epochs, 25);
    prilora_spec_free(spec);
    spec = parse("{\"task\": \"cola\", \"method\": {\"type\": \"lora\", \"lora\": "
                 "{\"hyperparameters\": {\"preset\": \"none\"}}}}");
    assert_int_equal(spec->n_epochs, 3);
    prilora_spec_free(spec);
}

static void head_has_the_settings_of_training_alone(void **state)
{
    struct prilora_spec *spec = parse_method("head", "\"n_epochs\": 4");
    char *dump = prilora_spec_dump(spec);

    (void)state;
    assert_int_equal(spec->method, PRILORA_METHOD_HEAD);
    test_close(spec->prune_ratio, 0, 0);
    assert_non_null(strstr(dump, "\"n_epochs\": 4"));
    assert_null(strstr(dump, "lora_alpha"));
    assert_null(strstr(dump, "prune_ratio"));
    free(dump);
    prilora_spec_free(spec);
}

#define SETTINGS(settings)                                                                         \
    "{\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": {" settings "}}}}"
#define HERE "/method/prilora/hyperparameters/"

static void bad_specifications_are_refused_where_they_are_wrong(void **state)
{
    static const struct {
        const char *json, *where, *message;
    } bad[] = {
        {"{\"seed\": -1}", "/seed", "seed: -1, but must be an integer from 0 to"},
        {"{\"seed\": 1.5}", "/seed", "seed: 1.5"},
        {"{\"sead\": 1}", "/sead", "\"sead\" is not known here; did you mean \"seed\"?"},
        {"{\"colour\": 1}", "/colour", "\"colour\" is not known here"},
        {"{\"a/b~c\": 1}", "/a~1b~0c", "not known"},
        {"[]", "", "must be an object"},
        {"{", "", "not JSON: line 1"},
        {"{\"seed\": 1, \"seed\": 2}", "", "duplicate"},
        {"{\"task\": \"kola\"}", "/task", "must be \"auto\", \"class"},
        {"{\"task\": 3}", "/task", "must be a name or an object"},
        {"{\"task\": {\"name\": \"ax\"}}", "/task/name", "must be \"cola\", \"sst2\", "},
        {"{\"task\": {\"name\": 7}}", "/task/name", "name: 7, but must be"},
        {"{\"task\": {\"name\": \"rte\", \"type\": \"mnli\"}}", "/task/name", "as mnli and as rte"},
        {"{\"task\": {\"name\": \"rte\", \"type\": \"regression\"}}", "/task/type",
         "but rte is a classification task"},
        {"{\"task\": {\"name\": \"stsb\", \"metric\": \"f1\"}}", "/task/metric",
         "a regression task has no metric"},
        {"{\"task\": {\"name\": \"rte\", \"mismatched_file\": \"file-1\"}}",
         "/task/mismatched_file", "only the task mnli"},
        {"{\"task\": {\"name\": \"mnli\", \"mismatched_file\": \"\"}}", "/task/mismatched_file",
         "must be the id"},
        {"{\"task\": {\"name\": \"mnli\", \"mismatched_file\": [\"f\"]}}", "/task/mismatched_file",
         "must be the id"},
        {"{\"task\": {\"nam\": \"mnli\"}}", "/task/nam", "did you mean \"name\"?"},
        {SETTINGS("\"preset\": \"adalora\""), HERE "preset", "the job's task is none of these"},
        {SETTINGS("\"preset\": \"ada\""), HERE "preset", "must be \"none\" or \"adalora\""},
        {"{\"task\": \"wnli\", \"method\": {\"type\": \"head\", \"head\": {\"hyperparameters\": "
         "{\"preset\": \"adalora\"}}}}",
         "/method/head/hyperparameters/preset", "the task is wnli"},
        {"{\"method\": {\"type\": \"head\", \"head\": {\"hyperparameters\": {\"r\": 8}}}}",
         "/method/head/hyperparameters/r", "not a setting of method \"head\""},
        {"{\"task\": {\"type\": \"clasification\"}}", "/task/type", "must be \"auto\", \"class"},
        {"{\"task\": {\"metrics\": 1}}", "/task/metrics", "did you mean \"metric\"?"},
        {"{\"task\": {\"type\": \"regression\", \"metric\": \"f1\"}}", "/task/metric",
         "a regression task has no metric \"f1\""},
        {"{\"task\": {\"type\": \"question_answering\", \"metric\": \"accuracy\"}}", "/task/metric",
         "a question_answering task has no metric \"accuracy\""},
        {"{\"task\": {\"type\": \"classification\", \"metric\": \"exact_match\"}}", "/task/metric",
         "has no metric \"exact_match\""},
        {"{\"task\": {\"type\": \"classification\", \"doc_stride\": 8}}", "/task/doc_stride",
         "is only for question_answering"},
        {"{\"task\": {\"max_answer_length\": 8}}", "/task/max_answer_length",
         "is only for question_answering"},
        {"{\"task\": {\"type\": \"question_answering\", \"doc_stride\": 4097}}", "/task/doc_stride",
         "doc_stride: 4097, but must be an integer from 0 to 4096"},
        {"{\"task\": {\"type\": \"question_answering\", \"doc_stride\": -1}}", "/task/doc_stride",
         "doc_stride: -1"},
        {"{\"task\": {\"type\": \"question_answering\", \"max_answer_length\": 0}}",
         "/task/max_answer_length", "max_answer_length: 0, but must be an integer from 1 to 512"},
        {"{\"task\": {\"type\": \"question_answering\", \"max_answer_length\": 1.5}}",
         "/task/max_answer_length", "must be an integer"},
        {"{\"task\": {\"type\": \"question_answering\", \"stride\": 5}}", "/task/stride",
         "\"stride\" is not known here"},
        {"{\"method\": 3}", "/method", "must be an object"},
        {"{\"method\": {}}", "/method/type", "type: absent"},
        {"{\"method\": {\"type\": \"dpo\"}}", "/method/type", "\"prilora\", \"lora\", \"head\" or"},
        {"{\"method\": {\"type\": \"lora\", \"prilora\": {}}}", "/method/prilora", "not known"},
        {"{\"method\": {\"type\": \"lora\", \"lora\": 1}}", "/method/lora", "must be an object"},
        {"{\"method\": {\"type\": \"lora\", \"lora\": {\"hyperparameter\": {}}}}",
         "/method/lora/hyperparameter", "did you mean \"hyperparameters\"?"},
        {"{\"method\": {\"type\": \"lora\", \"lora\": {\"hyperparameters\": []}}}",
         "/method/lora/hyperparameters", "must be an object"},
        {"{\"method\": {\"type\": \"lora\", \"lora\": {\"hyperparameters\": {\"prune_ratio\": "
         "0.5}}}}",
         "/method/lora/hyperparameters/prune_ratio", "not a setting of method \"lora\""},
        {"{\"method\": {\"type\": \"supervised\", \"supervised\": {\"hyperparameters\": {\"r\": "
         "4}}}}",
         "/method/supervised/hyperparameters/r", "not a setting of method \"supervised\""},
        {"{\"hyperparameters\": {\"n_epochs\": 0}}", "/hyperparameters/n_epochs",
         "n_epochs: 0, but must be an integer from 1 to 10000"},
        {"{\"hyperparameters\": {\"n_epoch\": 1}}", "/hyperparameters/n_epoch",
         "did you mean \"n_epochs\"?"},
        {"{\"method\": {\"type\": \"supervised\", \"supervised\": {\"hyperparameters\": "
         "{\"n_epochs\": 1}}}, \"hyperparameters\": {\"n_epochs\": 2}}",
         "/hyperparameters/n_epochs", "given here and in the method's"},
        {SETTINGS("\"learning_rate\": \"fast\""), HERE "learning_rate",
         "learning_rate: \"fast\", but must be a number from 1e-09 to 10"},
        {SETTINGS("\"learning_rat\": 1"), HERE "learning_rat", "did you mean \"learning_rate\"?"},
        {SETTINGS("\"learning_rate\": 0"), HERE "learning_rate", "learning_rate: 0"},
        {SETTINGS("\"batch_size\": 8.0"), HERE "batch_size", "must be an integer"},
        {SETTINGS("\"batch_size\": 99999999999999"), HERE "batch_size", "from 1 to 4096"},
        {SETTINGS("\"batch_size\": null"), HERE "batch_size", "batch_size: null"},
        {SETTINGS("\"prune_regrow\": 1"), HERE "prune_regrow", "must be true or false"},
        {SETTINGS("\"prune_ratio\": 1"), HERE "prune_ratio", "from 0 to 0.99"},
        {SETTINGS("\"hidden_dropout\": -1"), HERE "hidden_dropout", "from 0 to 0.9"},
        {SETTINGS("\"lr_scheduler_type\": \"linar\""), HERE "lr_scheduler_type",
         "must be \"linear\", \"cosine\" or \"constant\""},
        {SETTINGS("\"ranks\": []"), HERE "ranks", "a list of 1 to 128 integers"},
        {SETTINGS("\"ranks\": [4, 0]"), HERE "ranks/1", "an integer from 1 to 1024"},
        {SETTINGS("\"ranks\": [4], \"rank_schedule\": \"linear\""), HERE "ranks",
         "does not go with a rank_schedule of \"linear\""},
        {SETTINGS("\"rank_schedule\": \"list\""), HERE "ranks", "must be given"},
        {SETTINGS("\"r\": 4, \"rank_end\": 8"), HERE "rank_end",
         "does not go with a rank_schedule of \"uniform\""},
        {SETTINGS("\"rank_schedule\": \"uniform\", \"rank_start\": 8"), HERE "rank_start",
         "does not go"},
        {SETTINGS("\"target_modules\": []"), HERE "target_modules", "1 to 64 names"},
        {SETTINGS("\"target_modules\": [3]"), HERE "target_modules", "a string of 1 to 512"},
        {SETTINGS("\"target_modules\": \"\""), HERE "target_modules", "a string of 1 to 4096"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct prilora_spec *spec;
        struct prilora_error err = {0};

        if (prilora_spec_parse(&spec, bad[i].json, strlen(bad[i].json), &err) == PRILORA_OK)
            fail_msg("accepted: %s", bad[i].json);
        assert_null(spec);
        assert_int_equal(err.status, PRILORA_EINVAL);
        if (strcmp(err.where, bad[i].where) != 0 || !strstr(err.message, bad[i].message))
            fail_msg("%s: got \"%s\": %s", bad[i].json, err.where, err.message);
    }
}

/* transformers' get_linear_schedule_with_warmup with 4 of 10 steps, rate 1, worked out by hand. */
static void the_linear_schedule_is_transformers(void **state)
{
    const double expected[] = {0, 0.25, 0.5, 0.75, 1, 5 / 6., 4 / 6., 3 / 6., 2 / 6., 1 / 6.};
    struct prilora_spec *spec =
        parse_method("prilora", "\"learning_rate\": 1, \"warmup_steps\": 4");

    (void)state;
    for (size_t t = 0; t < 10; t++) /* both sides round a few times at 2^-53 */
        test_close(pl_spec_learning_rate(spec, t, 10), expected[t], 1e-15);
    test_close(pl_spec_learning_rate(spec, 10, 10), 0, 0);
    prilora_spec_free(spec);
}

static void cosine_and_constant_are_transformers(void **state)
{
    struct prilora_spec *spec = parse_method(
        "prilora", "\"learning_rate\": 1, \"warmup_steps\": 2, \"lr_scheduler_type\": \"cosine\"");

    (void)state;
    test_close(pl_spec_learning_rate(spec, 1, 10), 0.5, 0);
    test_close(pl_spec_learning_rate(spec, 2, 10), 1, 0);
    test_close(pl_spec_learning_rate(spec, 4, 10), 0.8535533905932737, 1e-15);
    test_close(pl_spec_learning_rate(spec, 6, 10), 0.5, 1e-15);
    spec->lr_scheduler_type = PRILORA_LR_CONSTANT;
    test_close(pl_spec_learning_rate(spec, 9, 10), 1, 0);
    spec->warmup_steps = 0;
    spec->warmup_ratio = 0.15; /* of 10 steps: 2, rounded up as transformers does */
    test_close(pl_spec_learning_rate(spec, 1, 10), 0.5, 0);
    prilora_spec_free(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_given_is_the_defaults),
        cmocka_unit_test(lora_is_uniform_and_never_pruned),
        cmocka_unit_test(openai_s_three_settings_run_prilora),
        cmocka_unit_test(auto_is_the_default_everywhere),
        cmocka_unit_test(null_members_are_absent_ones),
        cmocka_unit_test(a_dump_parses_back_to_the_same),
        cmocka_unit_test(a_glue_name_is_a_task_with_its_metric),
        cmocka_unit_test(question_answering_has_settings_of_its_own),
        cmocka_unit_test(every_glue_task_is_found_by_its_name),
        cmocka_unit_test(a_preset_is_what_was_published),
        cmocka_unit_test(what_is_given_wins_over_a_preset),
        cmocka_unit_test(head_has_the_settings_of_training_alone),
        cmocka_unit_test(bad_specifications_are_refused_where_they_are_wrong),
        cmocka_unit_test(the_linear_schedule_is_transformers),
        cmocka_unit_test(cosine_and_constant_are_transformers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
