/* test_predict.c - a finished adapter opened to predict: against its evaluation, and its limits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <jansson.h>

#include "support/close.h"
#include "support/scratch.h"
#include "support/training.h"
#include "support/tree.h"

#define MAX_TEXTS 64

static char folder[600]; /* of the adapter that most tests use */

static void train_adapter(const struct prilora_dataset *train, const struct prilora_dataset *valid,
                          const char *name)
{
    struct prilora_spec *spec = test_training_spec("\"max_length\": 40, \"learning_rate\": 0.005");
    struct prilora_run_options options = {.n_threads = 2};
    struct prilora_error err;
    struct prilora_run *run;

    test_must(prilora_run_open(&run, test_training.base, spec, train, valid, &options, &err), &err);
    test_must(prilora_run_train(run, &err), &err);
    test_must(prilora_run_export(run, test_scratch_path(name), "base", NULL, &err), &err);
    prilora_run_close(run);
    prilora_spec_free(spec);
}

static struct prilora_team *team; /* of two */

static int open_group(void **state)
{
    if (test_training_open(state) != 0)
        return -1;
    if (prilora_team_new(&team, 2, NULL) != PRILORA_OK)
        return -1;
    train_adapter(test_training.train, test_training.valid, "adapter");
    snprintf(folder, sizeof folder, "%s", test_scratch_path("adapter"));
    return 0;
}

static int close_group(void **state)
{
    prilora_team_free(team);
    return test_training_close(state);
}

/* Computing with the caller's thread alone or with the team. */
static struct prilora_adapter *open_adapter(const char *path, size_t n_threads)
{
    struct prilora_adapter *adapter;
    struct prilora_error err;

    test_must(prilora_adapter_open(&adapter, test_training.base, path, n_threads > 1 ? team : NULL,
                                   &err),
              &err);
    return adapter;
}

static struct prilora_text text_of(const char *text)
{
    return (struct prilora_text){.text = text, .text_size = strlen(text)};
}

/* The rows of a JSONL file, as they are. */
static size_t read_rows(const char *name, json_t *rows[MAX_TEXTS])
{
    FILE *file = fopen(test_scratch_path(name), "r");
    size_t n = 0;

    assert_non_null(file);
    while (n < MAX_TEXTS && (rows[n] = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL)))
        n++;
    fclose(file);
    assert_true(n > 0);
    return n;
}

static size_t rows_to_texts(json_t *const *rows, size_t n, struct prilora_text *texts)
{
    for (size_t i = 0; i < n; i++)
        texts[i] = text_of(json_string_value(json_object_get(rows[i], "text")));
    return n;
}

static void free_rows(json_t **rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        json_decref(rows[i]);
}

static double evaluated(const char *path, const struct prilora_dataset *data, const char *metric)
{
    struct prilora_value values[PRILORA_MAX_VALUES];
    struct prilora_error err;
    size_t n;

    test_must(prilora_adapter_evaluate(test_training.base, path, data, 2, values, &n, &err), &err);
    for (size_t i = 0; i < n; i++)
        if (strcmp(values[i].name, metric) == 0)
            return values[i].value;
    fail_msg("no %s", metric);
    return 0;
}

/* Counted by label names from the file, not by the data set's numbers. */
static void right_answers_are_as_many_as_the_evaluation_counts(void **state)
{
    struct prilora_adapter *adapter = open_adapter(folder, 2);
    struct prilora_adapter_info info;
    struct prilora_text texts[MAX_TEXTS];
    json_t *rows[MAX_TEXTS];
    size_t n = read_rows("valid.jsonl", rows), n_right = 0;
    double values[MAX_TEXTS * 3];
    struct prilora_error err;

    (void)state;
    prilora_adapter_describe(adapter, &info);
    assert_int_equal(info.n_labels, 3);
    assert_int_equal(info.task, PRILORA_TASK_CLASSIFICATION);
    assert_int_equal(info.max_length, 40);
    rows_to_texts(rows, n, texts);
    test_must(prilora_adapter_predict(adapter, texts, n, NULL, NULL, values, &err), &err);
    for (size_t i = 0; i < n; i++) {
        const double *p = values + 3 * i;
        size_t best = p[1] > p[0] ? 1 : 0;

        best = p[2] > p[best] ? 2 : best;
        test_close(p[0] + p[1] + p[2], 1, 1e-12); /* three roundings in double */
        n_right += strcmp(prilora_adapter_label(adapter, best),
                          json_string_value(json_object_get(rows[i], "label"))) == 0;
    }
    assert_true(n_right > 0);
    assert_true((double)n_right / (double)n == evaluated(folder, test_training.valid, "accuracy"));
    free_rows(rows, n);
    prilora_adapter_close(adapter);
}

/* More than one batch holds, of lengths that repeat with another period than the batches. */
static void a_text_s_values_do_not_depend_on_the_others(void **state)
{
    enum { N = 1100, KINDS = 7 };
    static const char *const kinds[KINDS] = {"The ship",
                                             "",
                                             "My garden is very good, they said, and it was.",
                                             "x",
                                             "Their music came to the town in the evening.",
                                             "The ship was old. The ship was old.",
                                             "music"};
    struct prilora_adapter *adapter = open_adapter(folder, 2);
    struct prilora_text *texts = calloc(N, sizeof *texts);
    struct prilora_prediction *out = calloc(N, sizeof *out), one;
    double *values = calloc(N * 3, sizeof *values), alone[3];
    struct prilora_error err;

    (void)state;
    for (size_t i = 0; i < N; i++)
        texts[i] = text_of(kinds[i % KINDS]);
    test_must(prilora_adapter_predict(adapter, texts, N, NULL, out, values, &err), &err);
    for (size_t k = 0; k < KINDS; k++) {
        test_must(prilora_adapter_predict(adapter, &texts[k], 1, NULL, &one, alone, &err), &err);
        for (size_t i = k; i < N; i += KINDS) {
            assert_int_equal(out[i].n_tokens, one.n_tokens);
            /* float sums in another order: some 1e-6 of a logit */
            for (size_t c = 0; c < 3; c++)
                test_close(values[3 * i + c], alone[c], 1e-5);
        }
    }
    free(values);
    free(out);
    free(texts);
    prilora_adapter_close(adapter);
}

static void long_texts_are_cut_to_what_the_adapter_was_trained_with(void **state)
{
    struct prilora_adapter *adapter = open_adapter(folder, 1);
    char *words = calloc(1, 4001);
    struct prilora_text texts[2] = {{.text = words, .text_size = 4000}, text_of("The ship")};
    struct prilora_prediction out[2];
    struct prilora_error err;
    double values[6];

    (void)state;
    for (size_t i = 0; i < 4000; i += 5)
        memcpy(words + i, "ship ", 5);
    test_must(prilora_adapter_predict(adapter, texts, 2, NULL, out, values, &err), &err);
    assert_int_equal(out[0].n_tokens, 40);
    assert_true(out[0].truncated);
    assert_true(out[1].n_tokens < 10);
    assert_false(out[1].truncated);
    free(words);
    prilora_adapter_close(adapter);
}

static void a_text_that_is_too_large_is_named(void **state)
{
    struct prilora_adapter *adapter = open_adapter(folder, 1);
    char *bytes = calloc(1, PRILORA_MAX_TEXT_BYTES + 1);
    struct prilora_text texts[3] = {text_of("a"), text_of("b"), text_of("c")};
    struct prilora_error err;
    double values[9];

    (void)state;
    memset(bytes, 'a', PRILORA_MAX_TEXT_BYTES + 1);
    texts[2].pair = bytes;
    texts[2].pair_size = PRILORA_MAX_TEXT_BYTES + 1;
    assert_int_equal(prilora_adapter_predict(adapter, texts, 3, NULL, NULL, values, &err),
                     PRILORA_ELIMIT);
    assert_string_equal(err.where, "/2");
    assert_int_equal(prilora_adapter_predict(adapter, texts, 3, NULL, NULL, values, NULL),
                     PRILORA_ELIMIT);
    test_must(prilora_adapter_predict(adapter, texts, 2, NULL, NULL, values, &err), &err);
    free(bytes);
    prilora_adapter_close(adapter);
}

static void a_pair_is_not_its_first_text(void **state)
{
    struct prilora_adapter *adapter = open_adapter(folder, 1);
    struct prilora_text texts[2] = {text_of("The ship"), text_of("The ship")};
    struct prilora_prediction out[2];
    struct prilora_error err;
    double values[6];

    (void)state;
    texts[1].pair = "My garden";
    texts[1].pair_size = strlen(texts[1].pair);
    test_must(prilora_adapter_predict(adapter, texts, 2, NULL, out, values, &err), &err);
    assert_true(out[1].n_tokens > out[0].n_tokens);
    assert_true(fabs(values[0] - values[3]) > 1e-6);
    prilora_adapter_close(adapter);
}

static void a_raised_flag_stops_it(void **state)
{
    struct prilora_adapter *adapter = open_adapter(folder, 2);
    struct prilora_text text = text_of("The ship");
    struct prilora_error err;
    atomic_int stop;
    double values[3];

    (void)state;
    atomic_init(&stop, PRILORA_STOP);
    assert_int_equal(prilora_adapter_predict(adapter, &text, 1, &stop, NULL, values, &err),
                     PRILORA_ESTOPPED);
    atomic_store(&stop, PRILORA_GO);
    test_must(prilora_adapter_predict(adapter, &text, 1, &stop, NULL, values, &err), &err);
    prilora_adapter_close(adapter);
}

static void copy_folder(const char *name, const char *labels)
{
    static const char *const files[] = {"adapter_config.json", "adapter_model.safetensors"};
    char path[700], inner[100], *text;
    size_t size;

    test_tree_remove(test_scratch_path(name));
    assert_int_equal(mkdir(test_scratch_path(name), 0777), 0);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        text = test_file(path, &size);
        assert_non_null(text);
        snprintf(inner, sizeof inner, "%s/%s", name, files[i]);
        test_scratch_write(inner, text, size);
        free(text);
    }
    snprintf(inner, sizeof inner, "%s/labels.json", name);
    if (labels)
        test_scratch_write(inner, labels, strlen(labels));
}

static void the_folder_may_go_once_the_adapter_is_open(void **state)
{
    struct prilora_adapter *adapter, *kept = open_adapter(folder, 1);
    struct prilora_text text = text_of("The ship was old.");
    struct prilora_error err;
    double values[3], expected[3];

    (void)state;
    copy_folder("gone", NULL);
    adapter = open_adapter(test_scratch_path("gone"), 1);
    test_tree_remove(test_scratch_path("gone"));
    test_must(prilora_adapter_predict(adapter, &text, 1, NULL, NULL, values, &err), &err);
    test_must(prilora_adapter_predict(kept, &text, 1, NULL, NULL, expected, &err), &err);
    for (size_t k = 0; k < 3; k++)
        assert_true(fabs(values[k] - expected[k]) < 1e-6); /* BLAS rounds by where memory lies */
    assert_string_equal(prilora_adapter_label(adapter, 1), "LABEL_1");
    prilora_adapter_close(adapter);
    prilora_adapter_close(kept);
}

static void labels_that_are_wrong_are_refused(void **state)
{
    static const struct {
        const char *labels;
        enum prilora_status status;
        const char *message;
    } rows[] = {
        {"{\"base\": {\"fingerprint\": \"f00d\"}}", PRILORA_EMISMATCH, "another base"},
        {"{\"id2label\": {\"0\": \"a\", \"1\": \"b\"}}", PRILORA_EFORMAT, "but must be [2,"},
        {"{\"id2label\": {\"0\": \"a\", \"1\": \"b\", \"3\": \"c\"}}", PRILORA_EFORMAT,
         "\"2\" is none of them"},
        {"{\"id2label\": [1]}", PRILORA_EFORMAT, "an object of 1 to 1000 labels"},
        {"{\"id2label\": {\"0\": 5}}", PRILORA_EFORMAT, "none of them"},
        {"{\"task\": \"cooking\"}", PRILORA_EFORMAT, "\"cooking\" is no task"},
        {"{\"task\": 5}", PRILORA_EFORMAT, "is no task"},
        {"[", PRILORA_EFORMAT, "not JSON"},
        {"{\"specification\": {\"method\": {\"type\": \"lora\", \"lora\": {\"hyperparameters\": "
         "{\"max_length\": 1e9}}}}}",
         PRILORA_EFORMAT, "max_length must be an integer from 8 to 4096"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct prilora_adapter *adapter;
        struct prilora_error err;

        copy_folder("wrong", rows[i].labels);
        assert_int_equal(prilora_adapter_open(&adapter, test_training.base,
                                              test_scratch_path("wrong"), NULL, &err),
                         rows[i].status);
        assert_null(adapter);
        if (!strstr(err.message, rows[i].message))
            fail_msg("\"%s\" is not in \"%s\"", rows[i].message, err.message);
    }
}

/* ---- the other tasks ---- */

/* Rows whose label is `format` with numbers of them, read and trained on. */
static struct prilora_dataset *other_data(const char *name, const char *(*label)(size_t))
{
    struct prilora_dataset_options options = {.max_length = 40, .name = name};
    struct prilora_dataset *data;
    struct prilora_error err;
    char text[8192];
    size_t used = 0;

    for (size_t i = 0; i < 24; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "{\"text\": \"%s number %zu\", \"label\": %s}\n",
                                 i % 3 ? "The ship" : "My garden", i, label(i));
    test_must(prilora_dataset_read(&data, test_training.base, test_scratch_write(name, text, used),
                                   &options, &err),
              &err);
    return data;
}

static const char *real_label(size_t i)
{
    static const char *const labels[] = {"0.5", "3.25", "1.0", "2.75"};

    return labels[i * 7 % 4];
}

static const char *several_labels(size_t i)
{
    static const char *const labels[] = {"[\"a\", \"b\"]", "[\"b\"]", "[]", "[\"a\", \"c\"]"};

    return labels[i * 5 % 4];
}

static void predict_rows(const char *name, const char *path, json_t *rows[MAX_TEXTS], size_t *n,
                         double *values, struct prilora_adapter **adapter)
{
    struct prilora_text texts[MAX_TEXTS];
    struct prilora_error err;

    *n = read_rows(name, rows);
    rows_to_texts(rows, *n, texts);
    *adapter = open_adapter(path, 2);
    test_must(prilora_adapter_predict(*adapter, texts, *n, NULL, NULL, values, &err), &err);
}

/* Pearson's correlation by its definition, in double. */
static void a_regression_gives_the_numbers_that_were_evaluated(void **state)
{
    struct prilora_dataset *data = other_data("real.jsonl", real_label);
    struct prilora_adapter *adapter;
    struct prilora_adapter_info info;
    json_t *rows[MAX_TEXTS];
    double values[MAX_TEXTS], x = 0, y = 0, xx = 0, yy = 0, xy = 0;
    char path[600];
    size_t n;

    (void)state;
    snprintf(path, sizeof path, "%s", test_scratch_path("real"));
    train_adapter(data, data, "real");
    predict_rows("real.jsonl", path, rows, &n, values, &adapter);
    prilora_adapter_describe(adapter, &info);
    assert_int_equal(info.task, PRILORA_TASK_REGRESSION);
    assert_int_equal(info.n_labels, 1);
    for (size_t i = 0; i < n; i++) {
        double right = json_number_value(json_object_get(rows[i], "label"));

        x += values[i];
        y += right;
        xx += values[i] * values[i];
        yy += right * right;
        xy += values[i] * right;
    }
    x /= (double)n;
    y /= (double)n;
    /* from logits of other batches: float sums in another order */
    test_close((xy / (double)n - x * y) / sqrt((xx / (double)n - x * x) * (yy / (double)n - y * y)),
               evaluated(path, data, "pearson"), 1e-4);
    free_rows(rows, n);
    prilora_adapter_close(adapter);
    prilora_dataset_free(data);
}

/* Micro F1 over all labels, those above one half taken as given. */
static void several_labels_have_probabilities_of_their_own(void **state)
{
    struct prilora_dataset *data = other_data("several.jsonl", several_labels);
    struct prilora_adapter *adapter;
    struct prilora_adapter_info info;
    json_t *rows[MAX_TEXTS];
    double values[MAX_TEXTS * 3];
    size_t n, both = 0, given = 0, right = 0;
    char path[600];

    (void)state;
    snprintf(path, sizeof path, "%s", test_scratch_path("several"));
    train_adapter(data, data, "several");
    predict_rows("several.jsonl", path, rows, &n, values, &adapter);
    prilora_adapter_describe(adapter, &info);
    assert_int_equal(info.task, PRILORA_TASK_MULTI_LABEL);
    assert_int_equal(info.n_labels, 3);
    for (size_t i = 0; i < 3 * n; i++) {
        const char *name = prilora_adapter_label(adapter, i % 3);
        json_t *labels = json_object_get(rows[i / 3], "label"), *label;
        size_t k;
        bool is = false;

        json_array_foreach (labels, k, label)
            is = is || strcmp(json_string_value(label), name) == 0;
        assert_true(values[i] > 0 && values[i] < 1);
        given += values[i] > 0.5;
        right += is;
        both += is && values[i] > 0.5;
    }
    assert_true(given > 0);
    test_close(2 * (double)both / (double)(given + right), evaluated(path, data, "f1"), 1e-12);
    free_rows(rows, n);
    prilora_adapter_close(adapter);
    prilora_dataset_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_answers_are_as_many_as_the_evaluation_counts),
        cmocka_unit_test(a_text_s_values_do_not_depend_on_the_others),
        cmocka_unit_test(long_texts_are_cut_to_what_the_adapter_was_trained_with),
        cmocka_unit_test(a_text_that_is_too_large_is_named),
        cmocka_unit_test(a_pair_is_not_its_first_text),
        cmocka_unit_test(a_raised_flag_stops_it),
        cmocka_unit_test(the_folder_may_go_once_the_adapter_is_open),
        cmocka_unit_test(labels_that_are_wrong_are_refused),
        cmocka_unit_test(a_regression_gives_the_numbers_that_were_evaluated),
        cmocka_unit_test(several_labels_have_probabilities_of_their_own),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
