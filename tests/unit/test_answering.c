/*
 * test_answering.c - question answering through the library: training on the bundled base,
 * evaluating, exporting, going on, merging, answering questions.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <jansson.h>

#include "support/asked.h"
#include "support/close.h"
#include "support/scratch.h"
#include "support/training.h"
#include "train/base.h"
#include "train/dataset.h"
#include "train/questions.h"

#define BASE       "examples/prilora-mini-en"
#define MAX_LENGTH 32

static struct prilora_base *base;
static struct prilora_dataset *train, *valid;
static char adapter[600]; /* folder of the one that most tests use */
static struct prilora_result result;

static struct prilora_spec *spec_of(const char *task, const char *hyperparameters)
{
    struct prilora_spec *spec;
    struct prilora_error err;
    char json[600];

    snprintf(json, sizeof json,
             "{\"seed\": 5, %s \"method\": {\"type\": \"prilora\", \"prilora\": "
             "{\"hyperparameters\": {\"batch_size\": 8, \"max_length\": %d, \"learning_rate\": "
             "6e-3, %s}}}}",
             task, MAX_LENGTH, hyperparameters);
    test_must(prilora_spec_parse(&spec, json, strlen(json), &err), &err);
    return spec;
}

static struct prilora_run *open_run(struct prilora_base *on, const struct prilora_spec *spec,
                                    const struct prilora_run_options *options)
{
    struct prilora_run *run;
    struct prilora_error err;

    test_must(prilora_run_open(&run, on, spec, train, valid, options, &err), &err);
    return run;
}

static char *export(struct prilora_run *run, const char *name, size_t *size,
                    struct prilora_result *out)
{
    struct prilora_error err;
    char path[700];

    test_must(prilora_run_export(run, test_scratch_path(name), "base", out, &err), &err);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", test_scratch_path(name));
    return test_file(path, size);
}

static struct prilora_dataset *read_asked(const struct test_asked *asked,
                                          const struct prilora_dataset *like)
{
    const char *name = asked->format == TEST_ASKED_SQUAD ? "asked.json" : "asked.jsonl";
    const struct prilora_dataset_options options = {.max_length = MAX_LENGTH,
                                                    .train = like,
                                                    .name = name};
    char *text = test_asked(asked);
    struct prilora_dataset *d;
    struct prilora_error err;

    test_must(prilora_dataset_read(&d, base, test_scratch_write(name, text, strlen(text)), &options,
                                   &err),
              &err);
    free(text);
    return d;
}

static int open_group(void **state)
{
    struct prilora_run_options options = {.n_threads = 2};
    struct prilora_error err;
    struct prilora_spec *spec;
    struct prilora_run *run;
    size_t size;

    if (test_scratch_open(state) != 0)
        return -1;
    test_must(prilora_base_open(&base, BASE, &err), &err);
    train = read_asked(&(struct test_asked){160, 1, 2, true, TEST_ASKED_JSONL}, NULL);
    valid = read_asked(&(struct test_asked){24, 2, 4, true, TEST_ASKED_SQUAD}, train);
    spec = spec_of("", "\"n_epochs\": 3");
    run = open_run(base, spec, &options);
    test_must(prilora_run_train(run, &err), &err);
    free(export(run, "adapter", &size, &result));
    prilora_run_close(run);
    prilora_spec_free(spec);
    snprintf(adapter, sizeof adapter, "%s", test_scratch_path("adapter"));
    return 0;
}

static int close_group(void **state)
{
    prilora_dataset_free(train);
    prilora_dataset_free(valid);
    prilora_base_close(base);
    return test_scratch_close(state);
}

/* ---- training ---- */

/* Contexts of two windows or more, of lengths that training has not seen. */
static void a_small_model_learns_to_answer(void **state)
{
    const double f1 = test_value(result.values, result.n_values, "f1");
    const double exact = test_value(result.values, result.n_values, "exact_match");

    (void)state;
    print_message("f1 %.4f, exact match %.4f, loss %.4f\n", f1, exact,
                  test_value(result.values, result.n_values, "loss"));
    assert_true(valid->n > valid->questions->n);
    assert_true(f1 > 0.9); /* 1 as measured; an untrained head has next to none */
    assert_true(exact <= f1);
    assert_true(result.n_nonzero < result.n_prunable); /* it was pruned */
}

static void stop_at_step(void *context, const struct prilora_event *event)
{
    atomic_int *stop = context;

    if (event->type == PRILORA_EVENT_STEP && event->step == 3)
        atomic_store(stop, PRILORA_STOP);
}

static char *train_to_end(const char *task, const char *settings, size_t n_threads,
                          const char *name, size_t *size)
{
    struct prilora_spec *spec = spec_of(task, settings);
    const struct prilora_run_options options = {.n_threads = n_threads};
    struct prilora_run *run = open_run(base, spec, &options);
    struct prilora_error err;
    char *bytes;

    test_must(prilora_run_train(run, &err), &err);
    bytes = export(run, name, size, NULL);
    prilora_run_close(run);
    prilora_spec_free(spec);
    return bytes;
}

#define SHORT "\"max_steps\": 6, \"prune_interval\": 4"

/* Stopped and gone on with; on one thread and on three; in shares of one layer at a time. */
static void the_bits_are_the_same_however_it_is_computed(void **state)
{
    struct prilora_spec *spec = spec_of("", SHORT);
    char *folder = strdup(test_scratch_path("run"));
    struct prilora_run_options options = {.n_threads = 2, .folder = folder};
    atomic_int stop = PRILORA_GO;
    struct prilora_error err;
    struct prilora_run *run;
    size_t n_whole, n;
    char *whole = train_to_end("", SHORT, 1, "whole", &n_whole), *other;

    (void)state;
    options.on_event = stop_at_step;
    options.context = &stop;
    options.stop = &stop;
    run = open_run(base, spec, &options);
    assert_int_equal(prilora_run_train(run, &err), PRILORA_ESTOPPED);
    prilora_run_close(run);
    options.on_event = NULL;
    options.stop = NULL;
    run = open_run(base, spec, &options);
    assert_int_equal(prilora_run_step(run), 3);
    test_must(prilora_run_train(run, &err), &err);
    other = export(run, "resumed", &n, NULL);
    assert_int_equal(n, n_whole);
    assert_memory_equal(other, whole, n);
    prilora_run_close(run);
    prilora_spec_free(spec);
    free(other);
    other = train_to_end("", SHORT, 3, "threads", &n);
    assert_memory_equal(other, whole, n_whole);
    free(other);
    other = train_to_end("", SHORT ", \"recompute\": true", 1, "recomputed", &n);
    assert_memory_equal(other, whole, n_whole);
    free(other);
    free(whole);
    free(folder);
}

static void a_metric_may_be_chosen(void **state)
{
    struct prilora_spec *spec =
        spec_of("\"task\": {\"type\": \"question_answering\", \"metric\": \"exact_match\", "
                "\"doc_stride\": 7, \"max_answer_length\": 3},",
                "\"max_steps\": 1");
    const struct prilora_run_options options = {.n_threads = 1};
    struct prilora_run *run = open_run(base, spec, &options);
    const struct prilora_spec *became = prilora_run_spec(run);

    (void)state;
    assert_int_equal(became->metric, PRILORA_METRIC_EXACT_MATCH);
    assert_int_equal(became->doc_stride, 7);
    prilora_run_close(run);
    prilora_spec_free(spec);
    spec = spec_of("", "\"max_steps\": 1");
    run = open_run(base, spec, &options);
    became = prilora_run_spec(run);
    assert_int_equal(became->metric, PRILORA_METRIC_F1);
    /* 29 tokens beside the special ones, of which the longest question leaves 8 */
    assert_int_equal(became->doc_stride, 4);
    prilora_run_close(run);
    prilora_spec_free(spec);
}

/* ---- the adapter ---- */

static json_t *read_json(const char *folder, const char *name)
{
    char path[800];
    json_t *object;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    object = json_load_file(path, 0, NULL);
    assert_non_null(object);
    return object;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text ? text : "";
}

static long number_of(const json_t *object, const char *name)
{
    return (long)json_integer_value(json_object_get(object, name));
}

static void the_folder_is_one_of_question_answering(void **state)
{
    json_t *config = read_json(adapter, "adapter_config.json");
    json_t *labels = read_json(adapter, "labels.json");
    const json_t *saved = json_object_get(config, "modules_to_save");
    const json_t *names = json_object_get(labels, "labels");
    char path[800], *card;
    size_t size;

    (void)state;
    assert_string_equal(text_of(config, "task_type"), "QUESTION_ANS");
    assert_int_equal(json_array_size(saved), 1);
    assert_string_equal(json_string_value(json_array_get(saved, 0)), "qa_outputs");
    assert_string_equal(text_of(labels, "task"), "question_answering");
    assert_int_equal(json_array_size(names), 2);
    assert_string_equal(json_string_value(json_array_get(names, 0)), "start");
    assert_string_equal(text_of(json_object_get(labels, "id2label"), "1"), "end");
    assert_int_equal(number_of(labels, "max_length"), MAX_LENGTH);
    assert_int_equal(number_of(labels, "doc_stride"), 4);
    assert_int_equal(number_of(labels, "max_answer_length"), 30);
    assert_true(json_is_true(json_object_get(labels, "null_answers")));
    snprintf(path, sizeof path, "%s/README.md", adapter);
    card = test_file(path, &size);
    assert_non_null(strstr(card, "pipeline_tag: question-answering"));
    assert_non_null(strstr(card, "AutoModelForQuestionAnswering.from_pretrained"));
    assert_non_null(strstr(card, "doc_stride = 4\nmax_answer_length = 30\n"));
    free(card);
    json_decref(config);
    json_decref(labels);
}

static void assert_same_values(const struct prilora_value *values, size_t n)
{
    assert_int_equal(n, result.n_values);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(values[i].name, result.values[i].name);
        test_close(values[i].value, result.values[i].value, 1e-6); /* float sums in another order */
    }
}

static void its_evaluation_is_the_one_that_was_reported(void **state)
{
    struct prilora_value values[PRILORA_MAX_VALUES];
    struct prilora_error err;
    size_t n;

    (void)state;
    test_must(prilora_adapter_evaluate(base, adapter, valid, 2, values, &n, &err), &err);
    assert_same_values(values, n);
}

/* As PEFT itself would leave it: its task_type tells the task. */
static void copy_as_peft_s_own(const char *name)
{
    static const char *const files[] = {"adapter_config.json", "adapter_model.safetensors"};
    char from[800], to[800];

    assert_int_equal(mkdir(test_scratch_path(name), 0700), 0);
    for (size_t i = 0; i < 2; i++) {
        char *bytes;
        size_t size;

        snprintf(from, sizeof from, "%s/%s", adapter, files[i]);
        snprintf(to, sizeof to, "%s/%s", name, files[i]);
        bytes = test_file(from, &size);
        test_scratch_write(to, bytes, size);
        free(bytes);
    }
}

static void a_folder_of_peft_s_own_is_known_by_its_task_type(void **state)
{
    struct prilora_value values[PRILORA_MAX_VALUES];
    struct prilora_adapter_info info;
    struct prilora_adapter *a;
    struct prilora_error err;
    char *folder = strdup(test_scratch_path("peft"));
    size_t n;

    (void)state;
    copy_as_peft_s_own("peft");
    test_must(prilora_adapter_open(&a, base, folder, NULL, &err), &err);
    prilora_adapter_describe(a, &info);
    assert_int_equal(info.task, PRILORA_TASK_QUESTION_ANSWERING);
    assert_int_equal(info.n_labels, 2);
    prilora_adapter_close(a);
    test_must(prilora_adapter_evaluate(base, folder, valid, 1, values, &n, &err), &err);
    assert_same_values(values, n);
    free(folder);
}

static void write_form(struct prilora_form *form, const char *folder)
{
    struct prilora_error err;

    assert_int_equal(mkdir(test_scratch_path(folder), 0700), 0);
    for (size_t i = 0; i < prilora_form_count(form); i++) {
        const size_t size = (size_t)prilora_form_size(form, i);
        char *bytes = malloc(size + 1), name[300];

        test_must(prilora_form_read(form, i, 0, bytes, size, &err), &err);
        snprintf(name, sizeof name, "%s/%s", folder, prilora_form_name(form, i));
        test_scratch_write(name, bytes, size);
        free(bytes);
    }
}

/* Merged, it is a base with a head of its own: before its first step a run on it is as good. */
static void merged_it_is_a_base_whose_head_is_used(void **state)
{
    struct prilora_spec *spec =
        spec_of("", "\"max_steps\": 1, \"prune_ratio\": 0, \"warmup_steps\": 1");
    const struct prilora_run_options options = {.n_threads = 1};
    struct prilora_result untrained;
    struct prilora_base_info info;
    struct prilora_base *merged;
    struct prilora_form *form;
    struct prilora_error err;
    struct prilora_run *run;
    json_t *config;
    size_t size;

    (void)state;
    test_must(prilora_form_merged(&form, base, BASE, adapter, &err), &err);
    write_form(form, "merged");
    prilora_form_close(form);
    config = read_json(test_scratch_path("merged"), "config.json");
    assert_string_equal(json_string_value(
                            json_array_get(json_object_get(config, "architectures"), 0)),
                        "DebertaV2ForQuestionAnswering");
    assert_int_equal(number_of(config, "num_labels"), 2);
    json_decref(config);
    test_must(prilora_base_open(&merged, test_scratch_path("merged"), &err), &err);
    prilora_base_describe(merged, &info);
    for (size_t i = 0; i < info.n_unused; i++)
        assert_null(strstr(prilora_base_unused(merged, i), "qa_outputs"));
    run = open_run(merged, spec, &options); /* the first step's rate is 0 */
    test_must(prilora_run_train(run, &err), &err);
    free(export(run, "of-merged", &size, &untrained));
    for (size_t i = 0; i < untrained.n_values; i++)
        test_close(untrained.values[i].value, result.values[i].value, 1e-3); /* W + s B A rounded */
    prilora_run_close(run);
    prilora_spec_free(spec);
    prilora_base_close(merged);
}

static void labels_that_are_wrong_are_refused(void **state)
{
    static const struct {
        const char *name;
        long value;
    } rows[] = {{"doc_stride", 4097},
                {"doc_stride", -1},
                {"max_answer_length", 0},
                {"max_answer_length", 513}};
    char *folder = strdup(test_scratch_path("wrong"));
    struct prilora_adapter *a;
    struct prilora_error err;

    (void)state;
    copy_as_peft_s_own("wrong");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *labels = read_json(adapter, "labels.json");
        char *text;

        json_object_set_new(labels, rows[i].name, json_integer(rows[i].value));
        text = json_dumps(labels, 0);
        test_scratch_write("wrong/labels.json", text, strlen(text));
        assert_int_equal(prilora_adapter_open(&a, base, folder, NULL, &err), PRILORA_EFORMAT);
        assert_non_null(strstr(err.message, rows[i].name));
        free(text);
        json_decref(labels);
    }
    free(folder);
}

static void another_run_goes_on_from_it(void **state)
{
    const char json[] =
        "{\"task\": {\"type\": \"question_answering\", \"max_answer_length\": 9}, \"method\": "
        "{\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": {\"max_steps\": 2, "
        "\"max_length\": 32, \"learning_rate\": 1e-7}}}}";
    const char open[] = "{}", wrong[] = "{\"task\": {\"type\": \"classification\"}}";
    struct prilora_run_options options = {.n_threads = 1, .start_from = adapter};
    struct prilora_result more;
    struct prilora_spec *spec;
    struct prilora_error err;
    struct prilora_run *run;
    size_t size;

    (void)state;
    test_must(prilora_spec_continue(&spec, open, strlen(open), base, adapter, &err), &err);
    assert_int_equal(spec->task, PRILORA_TASK_QUESTION_ANSWERING);
    assert_int_equal(spec->doc_stride, 4);
    assert_int_equal(spec->max_answer_length, 30);
    prilora_spec_free(spec);
    test_must(prilora_spec_continue(&spec, json, strlen(json), base, adapter, &err), &err);
    assert_int_equal(spec->doc_stride, 4);
    assert_int_equal(spec->max_answer_length, 9);
    run = open_run(base, spec, &options);
    test_must(prilora_run_train(run, &err), &err);
    free(export(run, "more", &size, &more));
    /* two steps of next to nothing */
    test_close(test_value(more.values, more.n_values, "f1"),
               test_value(result.values, result.n_values, "f1"), 0.05);
    prilora_run_close(run);
    prilora_spec_free(spec);
    assert_int_equal(prilora_spec_continue(&spec, wrong, strlen(wrong), base, adapter, &err),
                     PRILORA_EMISMATCH);
    assert_non_null(strstr(err.message, "question_answering"));
}

/* ---- answering ---- */

static struct prilora_adapter *open_adapter(void)
{
    struct prilora_adapter *a;
    struct prilora_error err;

    test_must(prilora_adapter_open(&a, base, adapter, NULL, &err), &err);
    return a;
}

static struct prilora_text text_to(const char *question, const char *context)
{
    return (struct prilora_text){.text = question,
                                 .pair = context,
                                 .text_size = strlen(question),
                                 .pair_size = strlen(context)};
}

/* Right ones, word for word, are as many as the evaluation counts, and windows as many as there. */
static void answers_are_those_of_the_evaluation(void **state)
{
    char *text = test_asked(&(struct test_asked){24, 2, 4, true, TEST_ASKED_SQUAD});
    json_t *root = json_loads(text, 0, NULL), *paragraphs, *paragraph, *question;
    struct prilora_adapter *a = open_adapter();
    size_t i, k, n = 0, n_right = 0, n_windows = 0, n_tokens = 0;
    struct prilora_error err;

    (void)state;
    paragraphs = json_object_get(json_array_get(json_object_get(root, "data"), 0), "paragraphs");
    json_array_foreach (paragraphs, i, paragraph) {
        json_array_foreach (json_object_get(paragraph, "qas"), k, question) {
            const char *context = text_of(paragraph, "context");
            const struct prilora_text one = text_to(text_of(question, "question"), context);
            const char *right =
                text_of(json_array_get(json_object_get(question, "answers"), 0), "text");
            struct prilora_answering out;

            test_must(prilora_adapter_answer(a, &one, 1, 1, NULL, &out, &err), &err);
            assert_int_equal(out.n_answers, 1);
            assert_int_equal(out.n_windows, valid->questions->list[n++].n_windows);
            n_windows += out.n_windows;
            n_tokens += out.n_tokens;
            n_right += out.answers[0].size == strlen(right) &&
                       memcmp(context + out.answers[0].byte, right, strlen(right)) == 0;
            prilora_answering_clear(&out);
        }
    }
    assert_int_equal(n_windows, valid->n);
    assert_int_equal(n_tokens, valid->starts[valid->n]);
    test_close((double)n_right / (double)n,
               test_value(result.values, result.n_values, "exact_match"), 1e-12);
    json_decref(root);
    free(text);
    prilora_adapter_close(a);
}

static void answers_come_with_places_and_shares(void **state)
{
    /* an umlaut and a face outside the first plane before the answer */
    static const char context[] = "Frau M\xC3\xBCller \xF0\x9F\x98\x80 said no. Anna put the lamp "
                                  "under the bed.";
    const struct prilora_text one = text_to("Where is it now?", context);
    struct prilora_adapter *a = open_adapter();
    struct prilora_answering out;
    struct prilora_error err;
    double sum = 0;

    (void)state;
    test_must(prilora_adapter_answer(a, &one, 1, 20, NULL, &out, &err), &err);
    assert_int_equal(out.n_answers, 20);
    assert_false(out.truncated);
    assert_int_equal(out.answers[0].size, strlen("under the bed"));
    assert_memory_equal(context + out.answers[0].byte, "under the bed", out.answers[0].size);
    assert_int_equal(out.answers[0].start, 41);
    assert_int_equal(out.answers[0].end, 54);
    for (size_t i = 0; i < 20; i++) {
        const struct prilora_answer *x = &out.answers[i];

        sum += x->score;
        assert_true(x->byte + x->size <= strlen(context));
        assert_true(x->size ? x->end > x->start : x->end == 0 && x->byte == 0);
        for (size_t k = 0; k < i; k++)
            assert_true(x->score <= out.answers[k].score &&
                        (x->byte != out.answers[k].byte || x->size != out.answers[k].size));
    }
    test_close(sum, 1, 1e-12);
    prilora_answering_clear(&out);
    test_must(prilora_adapter_answer(a, &one, 1, 2, NULL, &out, &err), &err);
    assert_int_equal(out.n_answers, 2);
    assert_true(out.answers[0].score + out.answers[1].score < 1); /* still of twenty */
    prilora_answering_clear(&out);
    prilora_adapter_close(a);
}

/* Nobody can tell: the training data had questions of which that was so. */
static void a_question_may_have_no_answer(void **state)
{
    const struct prilora_text one =
        text_to("Why was it done?", "It rained all day. Peter put the cup on the table.");
    struct prilora_adapter *a = open_adapter();
    struct prilora_answering out;
    struct prilora_error err;

    (void)state;
    test_must(prilora_adapter_answer(a, &one, 1, 1, NULL, &out, &err), &err);
    assert_int_equal(out.n_answers, 1);
    assert_int_equal(out.answers[0].size, 0);
    assert_int_equal(out.answers[0].end, 0);
    assert_true(out.answers[0].score > 0.3);
    prilora_answering_clear(&out);
    prilora_adapter_close(a);
}

/* n sentences of nothing, the fact in the midst. */
static char *long_context(size_t n)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    for (size_t i = 0; i < n; i++)
        fputs(i == n / 2 ? "Maria put a letter behind the house. " : "Nobody said a word. ", out);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* More windows than are computed together, questions before and behind, and the same alone. */
static void a_long_context_is_read_to_its_end(void **state)
{
    char *context = long_context(1000);
    const struct prilora_text texts[] = {
        text_to("Who put it there?", "It rained. John put the ball in the car."),
        text_to("Where is it now?", context),
        text_to("What was put there?", "It rained. John put the ball in the car."),
        text_to("Who put it there?", "")};
    struct prilora_answering out[4], alone;
    struct prilora_adapter *a = open_adapter();
    struct prilora_error err;

    (void)state;
    test_must(prilora_adapter_answer(a, texts, 4, 3, NULL, out, &err), &err);
    assert_true(out[1].n_tokens > 8192 && out[1].n_windows > 256);
    assert_int_equal(out[1].answers[0].size, strlen("behind the house"));
    assert_memory_equal(context + out[1].answers[0].byte, "behind the house", 16);
    assert_true(out[1].answers[0].byte > strlen(context) / 3);
    for (size_t i = 0; i < 3; i++) {
        test_must(prilora_adapter_answer(a, &texts[i], 1, 3, NULL, &alone, &err), &err);
        assert_int_equal(alone.n_windows, out[i].n_windows);
        assert_int_equal(alone.n_tokens, out[i].n_tokens);
        assert_int_equal(alone.answers[0].byte, out[i].answers[0].byte);
        assert_int_equal(alone.answers[0].size, out[i].answers[0].size);
        test_close(alone.answers[0].score, out[i].answers[0].score, 1e-4);
        prilora_answering_clear(&alone);
    }
    assert_int_equal(out[3].n_answers, 1); /* none */
    assert_int_equal(out[3].answers[0].size, 0);
    for (size_t i = 0; i < 4; i++)
        prilora_answering_clear(&out[i]);
    free(context);
    prilora_adapter_close(a);
}

static void what_cannot_be_answered_is_refused(void **state)
{
    const struct prilora_text one = text_to("Who?", "Anna."),
                              alone = {.text = "Who?", .text_size = 4};
    const atomic_int stop = PRILORA_STOP;
    struct prilora_adapter *a = open_adapter();
    char *large = calloc(1, PRILORA_MAX_TEXT_BYTES + 2), *context = long_context(20000);
    struct prilora_text texts[2] = {one, one};
    struct prilora_answering out[2];
    struct prilora_tagging tagging;
    struct prilora_error err;
    double values[2];

    (void)state;
    assert_int_equal(prilora_adapter_predict(a, &one, 1, NULL, NULL, values, &err), PRILORA_EINVAL);
    assert_non_null(strstr(err.message, "it answers questions"));
    assert_int_equal(prilora_adapter_tag(a, &one, 1, NULL, &tagging, &err), PRILORA_EINVAL);
    assert_int_equal(prilora_adapter_answer(a, &one, 1, 0, NULL, out, &err), PRILORA_EINVAL);
    assert_int_equal(prilora_adapter_answer(a, &one, 1, 21, NULL, out, &err), PRILORA_EINVAL);
    assert_int_equal(prilora_adapter_answer(a, &one, 1, 1, &stop, out, &err), PRILORA_ESTOPPED);
    texts[1] = alone;
    assert_int_equal(prilora_adapter_answer(a, texts, 2, 1, NULL, out, &err), PRILORA_EINVAL);
    assert_string_equal(err.where, "/1");
    memset(large, 'a', PRILORA_MAX_TEXT_BYTES + 1);
    texts[1] = text_to("Who?", large);
    assert_int_equal(prilora_adapter_answer(a, texts, 2, 1, NULL, out, &err), PRILORA_ELIMIT);
    assert_string_equal(err.where, "/1");
    texts[1] = text_to("Who?", context);
    assert_int_equal(prilora_adapter_answer(a, texts, 2, 1, NULL, out, &err), PRILORA_ELIMIT);
    assert_string_equal(err.where, "/1");
    assert_non_null(strstr(err.message, "windows of 32 tokens, but at most 1024 are read"));
    assert_null(out[0].answers);
    free(context);
    free(large);
    prilora_adapter_close(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_model_learns_to_answer),
        cmocka_unit_test(the_bits_are_the_same_however_it_is_computed),
        cmocka_unit_test(a_metric_may_be_chosen),
        cmocka_unit_test(the_folder_is_one_of_question_answering),
        cmocka_unit_test(its_evaluation_is_the_one_that_was_reported),
        cmocka_unit_test(a_folder_of_peft_s_own_is_known_by_its_task_type),
        cmocka_unit_test(merged_it_is_a_base_whose_head_is_used),
        cmocka_unit_test(labels_that_are_wrong_are_refused),
        cmocka_unit_test(another_run_goes_on_from_it),
        cmocka_unit_test(answers_are_those_of_the_evaluation),
        cmocka_unit_test(answers_come_with_places_and_shares),
        cmocka_unit_test(a_question_may_have_no_answer),
        cmocka_unit_test(a_long_context_is_read_to_its_end),
        cmocka_unit_test(what_cannot_be_answered_is_refused),
    };

    return cmocka_run_group_tests_name("answering", tests, open_group, close_group);
}
