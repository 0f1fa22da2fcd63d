/*
 * test_tagging.c - token classification through the library: reading words with tags, training on
 * the bundled base, evaluating, exporting, going on, tagging texts.
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
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "model/task.h"
#include "support/close.h"
#include "support/scratch.h"
#include "support/tagged.h"
#include "support/training.h"
#include "tok/tokenizer.h"
#include "train/base.h"
#include "train/dataset.h"

#define N_TRAIN 160
#define N_VALID 40

static struct prilora_base *base;
static struct prilora_dataset *train, *valid;
static char adapter[600]; /* folder of the one that most tests use */
static struct prilora_result result;

/* ---- reading ---- */

static enum prilora_status parse(struct prilora_dataset **out, const char *name, const char *text,
                                 size_t max_length, struct prilora_error *err)
{
    const struct prilora_dataset_options options = {.max_length = max_length, .name = name};

    return pl_dataset_parse(out, base->tokenizer, text, strlen(text), &options, err);
}

static struct prilora_dataset *parse_well(const char *name, const char *text, size_t max_length)
{
    struct prilora_dataset *d;
    struct prilora_error err;

    test_must(parse(&d, name, text, max_length, &err), &err);
    return d;
}

/* "B-PER I-PER - O": the label of each token between the special ones, "-" where it is ignored. */
static const char *targets_of(const struct prilora_dataset *d, size_t example)
{
    static char text[1000];
    size_t used = 0;

    text[0] = '\0';
    assert_true(d->targets[d->starts[example]] == PL_LABEL_IGNORED);
    assert_true(d->targets[d->starts[example + 1] - 1] == PL_LABEL_IGNORED);
    for (size_t i = d->starts[example] + 1; i + 1 < d->starts[example + 1]; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used ? " " : "",
                                 d->targets[i] < 0 ? "-" : d->labels[(size_t)d->targets[i]]);
    return text;
}

/* Tokens of a text alone, special ones not counted. */
static size_t n_tokens(const char *word)
{
    struct pl_ids ids = {0};
    struct prilora_error err;
    size_t n;

    test_must(pl_tokenizer_encode(base->tokenizer, &ids, word, strlen(word), NULL, 0, 0, NULL,
                                  &err),
              &err);
    n = ids.n - 2;
    pl_ids_free(&ids);
    return n;
}

static void the_first_token_of_a_word_has_its_tag(void **state)
{
    static const char *const words[] = {"Unbelievably", "Anna", "xylophonist's", "."};
    static const char *const tags[] = {"O", "B-PER", "I-PER", "O"};
    struct prilora_dataset *d =
        parse_well("a.jsonl",
                   "{\"id\": 7, \"tokens\": [\"Unbelievably\", \"Anna\", \"xylophonist's\", \".\"],"
                   " \"ner_tags\": [\"O\", \"B-PER\", \"I-PER\", \"O\"]}\n",
                   64);
    char want[400] = "";
    size_t used = 0, total = 0;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        size_t n = n_tokens(words[i]);

        total += n;
        used += (size_t)snprintf(want + used, sizeof want - used, "%s%s", i ? " " : "", tags[i]);
        for (size_t k = 1; k < n; k++)
            used += (size_t)snprintf(want + used, sizeof want - used, " -");
    }
    assert_true(total > 4); /* some word has several */
    assert_int_equal(d->task, PRILORA_TASK_TOKEN_CLASSIFICATION);
    assert_string_equal(targets_of(d, 0), want);
    assert_int_equal(d->n_labels, 3);
    assert_string_equal(d->labels[0], "B-PER"); /* sorted */
    prilora_dataset_free(d);
}

/* Every word is tokenized by itself, which for SentencePiece is as if they stood in one text. */
static void words_have_the_tokens_of_their_text(void **state)
{
    struct prilora_dataset *d =
        parse_well("a.jsonl",
                   "{\"tokens\": [\"Anna\", \"lives\", \"there\"], \"tags\": [1, 0, 0]}\n", 64);
    struct pl_ids ids = {0};
    struct prilora_error err;

    (void)state;
    test_must(pl_tokenizer_encode(base->tokenizer, &ids, "Anna lives there", 16, NULL, 0, 0, NULL,
                                  &err),
              &err);
    assert_int_equal(d->starts[1], ids.n);
    assert_memory_equal(d->ids, ids.ids, ids.n * sizeof *ids.ids);
    assert_string_equal(d->labels[1], "1");
    pl_ids_free(&ids);
    prilora_dataset_free(d);
}

static void a_conll_file_says_the_same_as_json(void **state)
{
    static const char conll[] =
        "-DOCSTART- -X- -X- O\n\nAnna NNP B-NP B-PER\nSmith\tNNP\tI-NP\tI-PER\n"
        "slept VBD B-VP O\r\n\r\n\n-DOCSTART- -X- O O\nRome NNP B-NP B-LOC";
    static const char json[] =
        "{\"tokens\": [\"Anna\", \"Smith\", \"slept\"], \"labels\": [\"B-PER\", \"I-PER\", "
        "\"O\"]}\n"
        "{\"words\": [\"Rome\"], \"tags\": [\"B-LOC\"]}\n{\"tokens\": [], \"ner_tags\": []}\n";
    static const char *const endings[] = {"a.conll", "a.bio", "a.TXT"};
    struct prilora_dataset *from_json = parse_well("a.jsonl", json, 64);

    (void)state;
    assert_int_equal(from_json->n, 2);
    assert_int_equal(from_json->n_skipped, 1); /* no words */
    from_json->n_skipped = 0;
    assert_int_equal(pl_dataset_finish(from_json, NULL), PRILORA_OK);
    for (size_t i = 0; i < 3; i++) {
        struct prilora_dataset *d = parse_well(endings[i], conll, 64);

        assert_string_equal(d->fingerprint, from_json->fingerprint);
        prilora_dataset_free(d);
    }
    prilora_dataset_free(from_json);
}

static void long_texts_lose_their_last_words(void **state)
{
    static const char text[] = "a O\nb O\nc O\nd B-X\ne O\nf O\ng O\nh O\ni O\nj O\n";
    struct prilora_dataset *d = parse_well("a.conll", text, 8);
    struct prilora_dataset_info info;

    (void)state;
    prilora_dataset_describe(d, &info);
    assert_int_equal(info.n_truncated, 1);
    assert_int_equal(d->starts[1], 8);
    assert_int_equal(info.n_words + info.n_cut, 10);
    assert_true(info.n_words >= 3 && info.n_words <= 6);
    assert_true(strncmp(targets_of(d, 0), "O", 1) == 0);
    assert_int_equal(info.n_labels, 2); /* whether or not its words are left */
    prilora_dataset_free(d);
}

static void wrong_rows_say_what_is_wrong(void **state)
{
    static const struct {
        const char *name, *text, *where, *message;
    } rows[] = {
        {"a.jsonl", "{\"tokens\": [\"a\", \"b\"], \"ner_tags\": [\"O\"]}", "a.jsonl:1",
         "2 words, but 1 tags"},
        {"a.jsonl", "{\"tokens\": [\"a\"]}", "a.jsonl:1", "no tags: \"ner_tags\" is expected"},
        {"a.jsonl", "{\"tokens\": [\"a\"], \"tags\": \"O\"}", "a.jsonl:1", "a list is expected"},
        {"a.jsonl", "{\"tokens\": [\"a\", 5], \"tags\": [\"O\", \"O\"]}", "a.jsonl:1",
         "word 2 is a number"},
        {"a.jsonl", "{\"tokens\": [\"a\"], \"tags\": [0.5]}", "a.jsonl:1", "the tag of word 1 is"},
        {"a.jsonl", "{\"tokens\": [\"a\"], \"tags\": [null]}", "a.jsonl:1", "is null"},
        {"a.jsonl", "{\"tokens\": [\"a\"], \"tags\": [\"\"]}", "a.jsonl:1", "the label is empty"},
        {"a.jsonl",
         "{\"tokens\": [\"a\", \"b\"], \"tags\": [\"O\", \"X\"]}\n"
         "{\"tokens\": [\"a\", \"b\"], \"tags\": [\"O\", \"X\"]}\n"
         "{\"text\": \"a\", \"label\": \"O\"}",
         "a.jsonl:3", "the row is a text, but the task is token_classification"},
        {"a.jsonl",
         "{\"text\": \"a\", \"label\": \"O\"}\n{\"text\": \"a\", \"label\": \"X\"}\n"
         "{\"tokens\": [\"a\"], \"tags\": [\"O\"]}",
         "a.jsonl:3", "a list of words with tags, but the task is classification"},
        {"a.jsonl", "{\"tokens\": [\"a\"], \"tags\": [\"O\"]}", "a.jsonl",
         "all 1 words have the label \"O\""},
        {"a.conll", "a O\nb X\n\nalone\nc O\n\nd O\n", "a.conll:4",
         "the word \"alone\" has no tag beside it"},
        {"a.conll", "a O\n\xff O\n", "a.conll:2", "not UTF-8"},
        {"a.conll", "\n\n-DOCSTART- O\n\n", "a.conll", "no rows"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct prilora_dataset *d = NULL;
        struct prilora_error err = {0};

        if (parse(&d, rows[i].name, rows[i].text, 64, &err) != PRILORA_EDATA ||
            strcmp(err.where, rows[i].where) != 0 || !strstr(err.message, rows[i].message))
            fail_msg("%s: at %s: %s", rows[i].text, err.where, err.message);
        assert_null(d);
    }
}

static void what_is_saved_is_what_is_loaded(void **state)
{
    struct prilora_dataset *loaded, *held_out,
        *whole = parse_well("a.conll", "a O\nb X\n\nc O\n", 9);
    char *path = strdup(test_scratch_path("tokens"));
    struct prilora_error err;

    (void)state;
    test_must(prilora_dataset_save(whole, path, &err), &err);
    test_must(prilora_dataset_load(&loaded, path, &err), &err);
    assert_string_equal(loaded->fingerprint, whole->fingerprint);
    assert_string_equal(targets_of(loaded, 0), targets_of(whole, 0));
    test_must(prilora_dataset_split(loaded, &held_out, 0.5, 1, &err), &err);
    assert_int_equal(held_out->n + loaded->n, 2);
    assert_int_equal(pl_dataset_counted(held_out) + pl_dataset_counted(loaded), 3);
    prilora_dataset_free(held_out);
    prilora_dataset_free(loaded);
    prilora_dataset_free(whole);
    free(path);
}

/* ---- training ---- */

static struct prilora_spec *spec_of(const char *method, const char *hyperparameters)
{
    struct prilora_spec *spec;
    struct prilora_error err;
    char json[600];

    snprintf(json, sizeof json,
             "{\"seed\": 5, \"method\": {\"type\": \"%s\", \"%s\": {\"hyperparameters\": "
             "{\"batch_size\": 16, \"n_epochs\": 2, \"learning_rate\": 5e-3%s%s}}}}",
             method, method, *hyperparameters ? ", " : "", hyperparameters);
    test_must(prilora_spec_parse(&spec, json, strlen(json), &err), &err);
    return spec;
}

static struct prilora_run *open_run(const struct prilora_spec *spec,
                                    const struct prilora_run_options *options)
{
    struct prilora_run *run;
    struct prilora_error err;

    test_must(prilora_run_open(&run, base, spec, train, valid, options, &err), &err);
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

static struct prilora_dataset *read_tagged(const char *name, size_t n, unsigned seed,
                                           const struct prilora_dataset *like)
{
    const struct prilora_dataset_options options = {.max_length = 48, .train = like, .name = name};
    char *text =
        test_tagged(n, seed, strstr(name, ".conll") ? TEST_TAGGED_CONLL : TEST_TAGGED_JSONL);
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
    test_must(prilora_base_open(&base, "examples/prilora-mini-en", &err), &err);
    train = read_tagged("train.jsonl", N_TRAIN, 1, NULL);
    valid = read_tagged("valid.conll", N_VALID, 2, train);
    spec = spec_of("prilora", "\"max_length\": 48");
    run = open_run(spec, &options);
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

/* Names that were never seen together; an untrained head finds hardly any. */
static void a_small_model_learns_names(void **state)
{
    double f1 = test_value(result.values, result.n_values, "f1");
    double precision = test_value(result.values, result.n_values, "precision");
    double recall = test_value(result.values, result.n_values, "recall");

    (void)state;
    print_message("f1 %.4f, precision %.4f, recall %.4f, accuracy %.4f\n", f1, precision, recall,
                  test_value(result.values, result.n_values, "accuracy"));
    assert_true(f1 > 0.6); /* 0.81 as measured */
    test_close(f1, 2 * precision * recall / (precision + recall), 1e-12);
    assert_true(test_value(result.values, result.n_values, "loss") > 0);
    assert_true(result.n_nonzero < result.n_prunable); /* it was pruned */
}

static void lora_trains_too(void **state)
{
    struct prilora_spec *spec = spec_of("lora", "\"max_steps\": 30");
    struct prilora_run_options options = {.n_threads = 1};
    struct prilora_run *run = open_run(spec, &options);
    struct prilora_result lora;
    struct prilora_error err;
    size_t size;

    (void)state;
    test_must(prilora_run_train(run, &err), &err);
    free(export(run, "lora", &size, &lora));
    assert_true(test_value(lora.values, lora.n_values, "f1") > 0.5);
    prilora_run_close(run);
    prilora_spec_free(spec);
}

static void stop_at_step(void *context, const struct prilora_event *event)
{
    atomic_int *stop = context;

    if (event->type == PRILORA_EVENT_STEP && event->step == 7)
        atomic_store(stop, PRILORA_STOP);
}

/* Stopped and gone on with, on another number of threads, and in shares of one layer at a time. */
static void a_resumed_run_ends_with_the_same_bits(void **state)
{
    struct prilora_spec *spec = spec_of("prilora", "\"max_steps\": 14, \"prune_interval\": 5");
    char *folder = strdup(test_scratch_path("run"));
    struct prilora_run_options one = {.n_threads = 1}, two = {.n_threads = 2, .folder = folder};
    atomic_int stop = PRILORA_GO;
    struct prilora_error err;
    struct prilora_run *run = open_run(spec, &one);
    size_t n_whole, n_resumed;
    char *whole, *resumed;

    (void)state;
    test_must(prilora_run_train(run, &err), &err);
    whole = export(run, "whole", &n_whole, NULL);
    prilora_run_close(run);
    two.on_event = stop_at_step;
    two.context = &stop;
    two.stop = &stop;
    run = open_run(spec, &two);
    assert_int_equal(prilora_run_train(run, &err), PRILORA_ESTOPPED);
    prilora_run_close(run);
    two.on_event = NULL;
    two.stop = NULL;
    run = open_run(spec, &two);
    assert_int_equal(prilora_run_step(run), 7);
    test_must(prilora_run_train(run, &err), &err);
    resumed = export(run, "resumed", &n_resumed, NULL);
    prilora_run_close(run);
    assert_int_equal(n_whole, n_resumed);
    assert_memory_equal(whole, resumed, n_whole);
    prilora_spec_free(spec);
    spec = spec_of("prilora", "\"max_steps\": 14, \"prune_interval\": 5, \"recompute\": true");
    free(resumed);
    run = open_run(spec, &one);
    test_must(prilora_run_train(run, &err), &err);
    resumed = export(run, "recomputed", &n_resumed, NULL);
    assert_memory_equal(whole, resumed, n_whole);
    prilora_run_close(run);
    prilora_spec_free(spec);
    free(whole);
    free(resumed);
    free(folder);
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

static void the_folder_is_one_of_token_classification(void **state)
{
    json_t *config = read_json(adapter, "adapter_config.json");
    json_t *labels = read_json(adapter, "labels.json");
    const json_t *saved = json_object_get(config, "modules_to_save");
    char path[800], *card;
    size_t size;

    (void)state;
    assert_string_equal(text_of(config, "task_type"), "TOKEN_CLS");
    assert_int_equal(json_array_size(saved), 1);
    assert_string_equal(json_string_value(json_array_get(saved, 0)), "classifier");
    assert_string_equal(text_of(labels, "task"), "token_classification");
    assert_string_equal(text_of(json_object_get(labels, "id2label"), "0"), "B-LOC");
    snprintf(path, sizeof path, "%s/README.md", adapter);
    card = test_file(path, &size);
    assert_non_null(memmem(card, size, "pipeline_tag: token-classification", 34));
    assert_non_null(memmem(card, size, "AutoModelForTokenClassification.from_pretrained", 47));
    assert_non_null(memmem(card, size, "is_split_into_words=True", 24));
    free(card);
    json_decref(config);
    json_decref(labels);
}

static void its_evaluation_is_the_one_that_was_reported(void **state)
{
    struct prilora_value values[PRILORA_MAX_VALUES];
    struct prilora_error err;
    size_t n;

    (void)state;
    test_must(prilora_adapter_evaluate(base, adapter, valid, 2, values, &n, &err), &err);
    assert_int_equal(n, result.n_values);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(values[i].name, result.values[i].name);
        test_close(values[i].value, result.values[i].value, 1e-6); /* float sums in another order */
    }
}

/* As PEFT itself would leave it: its task_type tells the task, and labels are numbers. */
static void a_folder_of_peft_s_own_is_known_by_its_task_type(void **state)
{
    char *folder = strdup(test_scratch_path("peft")), from[800], to[800];
    static const char *const files[] = {"adapter_config.json", "adapter_model.safetensors"};
    struct prilora_adapter_info info;
    struct prilora_adapter *a;
    struct prilora_error err;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char *bytes;
        size_t size;

        snprintf(from, sizeof from, "%s/%s", adapter, files[i]);
        snprintf(to, sizeof to, "peft/%s", files[i]);
        bytes = test_file(from, &size);
        if (i == 0)
            assert_int_equal(mkdir(folder, 0700), 0);
        test_scratch_write(to, bytes, size);
        free(bytes);
    }
    test_must(prilora_adapter_open(&a, base, folder, NULL, &err), &err);
    prilora_adapter_describe(a, &info);
    assert_int_equal(info.task, PRILORA_TASK_TOKEN_CLASSIFICATION);
    assert_int_equal(info.n_labels, 7);
    assert_string_equal(prilora_adapter_label(a, 6), "LABEL_6");
    prilora_adapter_close(a);
    free(folder);
}

static void merged_it_is_a_model_for_token_classification(void **state)
{
    struct prilora_form *form;
    struct prilora_error err;
    char *text = NULL;
    json_t *config;

    (void)state;
    test_must(prilora_form_merged(&form, base, "examples/prilora-mini-en", adapter, &err), &err);
    for (size_t i = 0; i < prilora_form_count(form); i++) {
        size_t size = (size_t)prilora_form_size(form, i);
        const char *name = prilora_form_name(form, i);

        if (strcmp(name, "config.json") != 0 && strcmp(name, "model.safetensors") != 0)
            continue;
        text = calloc(size + 1, 1);
        test_must(prilora_form_read(form, i, 0, text, size, &err), &err);
        if (strcmp(name, "config.json") == 0) {
            config = json_loads(text, 0, NULL);
            assert_string_equal(json_string_value(
                                    json_array_get(json_object_get(config, "architectures"), 0)),
                                "DebertaV2ForTokenClassification");
            assert_null(json_object_get(config, "problem_type"));
            json_decref(config);
        } else {
            assert_non_null(strstr(text + 8, "\"classifier.weight\"")); /* of the header */
            assert_null(strstr(text + 8, "\"pooler.dense.weight\""));
        }
        free(text);
    }
    prilora_form_close(form);
}

static void another_run_goes_on_from_it(void **state)
{
    const char json[] = "{\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
                        "{\"max_steps\": 2, \"learning_rate\": 1e-6}}}}";
    const char wrong[] = "{\"task\": {\"type\": \"classification\"}}";
    struct prilora_run_options options = {.n_threads = 1, .start_from = adapter};
    struct prilora_result more;
    struct prilora_spec *spec;
    struct prilora_error err;
    struct prilora_run *run;
    size_t size;

    (void)state;
    test_must(prilora_spec_continue(&spec, json, strlen(json), base, adapter, &err), &err);
    assert_int_equal(spec->task, PRILORA_TASK_TOKEN_CLASSIFICATION);
    run = open_run(spec, &options);
    test_must(prilora_run_train(run, &err), &err);
    free(export(run, "more", &size, &more));
    /* two steps of next to nothing */
    test_close(test_value(more.values, more.n_values, "accuracy"),
               test_value(result.values, result.n_values, "accuracy"), 0.05);
    prilora_run_close(run);
    prilora_spec_free(spec);
    assert_int_equal(prilora_spec_continue(&spec, wrong, strlen(wrong), base, adapter, &err),
                     PRILORA_EMISMATCH);
    assert_non_null(strstr(err.message, "token_classification"));
}

/* ---- tagging ---- */

static struct prilora_adapter *open_adapter(void)
{
    struct prilora_adapter *a;
    struct prilora_error err;

    test_must(prilora_adapter_open(&a, base, adapter, NULL, &err), &err);
    return a;
}

/* By names from the file, not by the data set's numbers. */
static void words_that_are_right_are_as_many_as_the_evaluation_counts(void **state)
{
    char *text = test_tagged(N_VALID, 2, TEST_TAGGED_JSONL), *rest = text, *line;
    struct prilora_adapter *a = open_adapter();
    size_t n_words = 0, n_right = 0;
    struct prilora_error err;

    (void)state;
    while ((line = strsep(&rest, "\n")) && *line) {
        json_t *row = json_loads(line, 0, NULL), *tokens = json_object_get(row, "tokens");
        json_t *tags = json_object_get(row, "ner_tags");
        size_t n = json_array_size(tokens);
        struct prilora_word words[64];
        struct prilora_text one = {.words = words, .n_words = n};
        struct prilora_tagging out;

        for (size_t i = 0; i < n; i++)
            words[i] = (struct prilora_word){json_string_value(json_array_get(tokens, i)),
                                             json_string_length(json_array_get(tokens, i))};
        test_must(prilora_adapter_tag(a, &one, 1, NULL, &out, &err), &err);
        assert_int_equal(out.n_words, n);
        for (size_t i = 0; i < n; i++) {
            const char *tag = prilora_adapter_label(a, out.words[i].label);

            assert_true(out.words[i].score > 0 && out.words[i].score <= 1);
            n_right += strcmp(tag, json_string_value(json_array_get(tags, i))) == 0;
        }
        n_words += n;
        prilora_tagging_clear(&out);
        json_decref(row);
    }
    test_close((double)n_right / (double)n_words,
               test_value(result.values, result.n_values, "accuracy"), 1e-12);
    free(text);
    prilora_adapter_close(a);
}

static void offsets_count_code_points(void **state)
{
    /* an umlaut, a face outside the first plane, a wide space, a tab and spaces at both ends */
    static const char text[] = "  Yesterday Anna M\xC3\xBCller \xF0\x9F\x98\x80\xE3\x80\x80"
                               "came\tto London . ";
    static const struct {
        const char *word;
        size_t start, end;
    } want[] = {{"Yesterday", 2, 11},         {"Anna", 12, 16}, {"M\xC3\xBCller", 17, 23},
                {"\xF0\x9F\x98\x80", 24, 25}, {"came", 26, 30}, {"to", 31, 33},
                {"London", 34, 40},           {".", 41, 42}};
    const struct prilora_text one = {.text = text, .text_size = strlen(text)};
    struct prilora_adapter *a = open_adapter();
    struct prilora_tagging out;
    struct prilora_error err;
    bool found = false;

    (void)state;
    test_must(prilora_adapter_tag(a, &one, 1, NULL, &out, &err), &err);
    assert_int_equal(out.n_words, 8);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(out.words[i].size, strlen(want[i].word));
        assert_memory_equal(text + out.words[i].byte, want[i].word, out.words[i].size);
        assert_int_equal(out.words[i].start, want[i].start);
        assert_int_equal(out.words[i].end, want[i].end);
    }
    for (size_t i = 0; i < out.n_entities; i++) {
        const struct prilora_entity *e = &out.entities[i];

        assert_int_equal(e->start, out.words[e->first].start);
        assert_int_equal(e->end_of_text, out.words[e->end - 1].end);
        found = found || (strcmp(e->type, "LOC") == 0 && e->start == 34 && e->end_of_text == 40);
    }
    assert_true(found);
    prilora_tagging_clear(&out);
    prilora_adapter_close(a);
}

static void given_words_are_counted_with_a_space_between(void **state)
{
    const struct prilora_word words[] = {{"P\xC3\xA9ter", 6}, {"", 0}, {"lives", 5}};
    const struct prilora_text one = {.words = words, .n_words = 3};
    struct prilora_adapter *a = open_adapter();
    struct prilora_tagging out;
    struct prilora_error err;

    (void)state;
    test_must(prilora_adapter_tag(a, &one, 1, NULL, &out, &err), &err);
    assert_int_equal(out.words[0].end, 5);
    assert_int_equal(out.words[1].label, SIZE_MAX); /* no tokens, no tag */
    assert_int_equal(out.words[1].start, 6);
    assert_int_equal(out.words[2].start, 7);
    assert_int_equal(out.words[2].end, 12);
    assert_true(out.words[2].label != SIZE_MAX);
    prilora_tagging_clear(&out);
    prilora_adapter_close(a);
}

/* More texts than are computed together, each as if it were alone; long ones are cut. */
static void any_number_of_texts_is_tagged(void **state)
{
    enum { N = 1500 };
    static const char *const kinds[] = {
        "Anna Smith lives in London .", "", "It rained in Rome .",
        "a b c d e f g h i j k l m n o p q r s t u v w x y z 1 2 3 4 "
        "5 6 7 8 9 a b c d e f g h i j k l m n o p q r s t u v w x"};
    struct prilora_text *texts = calloc(N, sizeof *texts);
    struct prilora_tagging *out = calloc(N, sizeof *out);
    struct prilora_adapter *a = open_adapter();
    struct prilora_error err;

    (void)state;
    for (size_t i = 0; i < N; i++)
        texts[i] = (struct prilora_text){.text = kinds[i % 4], .text_size = strlen(kinds[i % 4])};
    test_must(prilora_adapter_tag(a, texts, N, NULL, out, &err), &err);
    for (size_t i = 4; i < N; i++) {
        const struct prilora_tagging *x = &out[i], *y = &out[i % 4];

        assert_int_equal(x->n_words, y->n_words);
        assert_int_equal(x->truncated, i % 4 == 3);
        for (size_t k = 0; k < x->n_words; k++)
            assert_int_equal(x->words[k].label, y->words[k].label);
    }
    assert_int_equal(out[1].n_words, 0);
    assert_int_equal(out[3].words[0].label != SIZE_MAX, 1);
    assert_int_equal(out[3].words[out[3].n_words - 1].label, SIZE_MAX); /* cut off */
    for (size_t i = 0; i < N; i++)
        prilora_tagging_clear(&out[i]);
    prilora_adapter_close(a);
    free(texts);
    free(out);
}

static void each_task_has_its_own_way_to_predict(void **state)
{
    const struct prilora_text one = {.text = "a", .text_size = 1};
    const atomic_int stop = PRILORA_STOP;
    struct prilora_adapter *a = open_adapter();
    struct prilora_tagging out;
    struct prilora_error err;
    char *large = calloc(1, PRILORA_MAX_TEXT_BYTES + 2);
    struct prilora_text texts[2] = {one, {.text = large, .text_size = PRILORA_MAX_TEXT_BYTES + 1}};
    struct prilora_tagging two[2];
    double values[7];

    (void)state;
    assert_int_equal(prilora_adapter_predict(a, &one, 1, NULL, NULL, values, &err), PRILORA_EINVAL);
    assert_int_equal(prilora_adapter_tag(a, &one, 1, &stop, &out, &err), PRILORA_ESTOPPED);
    memset(large, 'a', PRILORA_MAX_TEXT_BYTES + 1);
    assert_int_equal(prilora_adapter_tag(a, texts, 2, NULL, two, &err), PRILORA_ELIMIT);
    assert_string_equal(err.where, "/1");
    prilora_adapter_close(a);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_token_of_a_word_has_its_tag),
        cmocka_unit_test(words_have_the_tokens_of_their_text),
        cmocka_unit_test(a_conll_file_says_the_same_as_json),
        cmocka_unit_test(long_texts_lose_their_last_words),
        cmocka_unit_test(wrong_rows_say_what_is_wrong),
        cmocka_unit_test(what_is_saved_is_what_is_loaded),
        cmocka_unit_test(a_small_model_learns_names),
        cmocka_unit_test(lora_trains_too),
        cmocka_unit_test(a_resumed_run_ends_with_the_same_bits),
        cmocka_unit_test(the_folder_is_one_of_token_classification),
        cmocka_unit_test(its_evaluation_is_the_one_that_was_reported),
        cmocka_unit_test(a_folder_of_peft_s_own_is_known_by_its_task_type),
        cmocka_unit_test(merged_it_is_a_model_for_token_classification),
        cmocka_unit_test(another_run_goes_on_from_it),
        cmocka_unit_test(words_that_are_right_are_as_many_as_the_evaluation_counts),
        cmocka_unit_test(offsets_count_code_points),
        cmocka_unit_test(given_words_are_counted_with_a_space_between),
        cmocka_unit_test(any_number_of_texts_is_tagged),
        cmocka_unit_test(each_task_has_its_own_way_to_predict),
    };

    return cmocka_run_group_tests_name("tagging", tests, open_group, close_group);
}
