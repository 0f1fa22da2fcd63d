/* test_tagging.c - token classification by the real daemon: files, jobs, predictions, downloads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/server.h"
#include "support/tagged.h"

struct finished {
    struct test_server *server;
    char train[64], valid[64], job[64], model[128];
};

static const char *upload(struct test_server *server, const char *name, size_t n, unsigned seed,
                          enum test_tagged_format format)
{
    char *text = test_tagged(n, seed, format);
    const char *id = test_upload(server, name, text);

    free(text);
    return id;
}

static void train_one(struct finished *f)
{
    char json[800];

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"validation_file\": "
             "\"%s\", \"seed\": 5, \"task\": {\"type\": \"token_classification\"}, \"method\": "
             "{\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": {\"n_epochs\": 3, "
             "\"batch_size\": 16, \"max_length\": 24, \"learning_rate\": 5e-3}}}}",
             f->train, f->valid);
    test_train(f->server, json, f->job, f->model);
}

static int open_group(void **state)
{
    static const char *const settings[] = {"--training.threads=1", "--predictions.threads=2", NULL};
    struct finished *f = calloc(1, sizeof *f);

    f->server = test_server_new(settings);
    *state = f;
    snprintf(f->train, sizeof f->train, "%s",
             upload(f->server, "train.jsonl", 120, 1, TEST_TAGGED_JSONL));
    snprintf(f->valid, sizeof f->valid, "%s",
             upload(f->server, "valid.conll", 30, 2, TEST_TAGGED_CONLL));
    train_one(f);
    return 0;
}

static int close_group(void **state)
{
    struct finished *f = *state;

    test_server_free(f->server);
    free(f);
    return 0;
}

static struct test_reply *predict(struct finished *f, const char *rest)
{
    return test_predict(f->server, f->model, rest);
}

static double number(const json_t *object, const char *path)
{
    return json_number_value(test_member(object, path));
}

static void a_job_learns_and_says_so(void **state)
{
    struct finished *f = *state;
    const json_t *job = test_get(f->server, "/v1/fine_tuning/jobs/%s", f->job)->json;
    double f1 = number(job, "result.metrics.f1");

    assert_string_equal(test_text(job, "task.type"), "token_classification");
    assert_string_equal(test_text(job, "task.metric"), "f1");
    assert_true(f1 > 0.5);
    assert_true(json_is_real(test_member(job, "result.metrics.precision")));
    assert_true(json_is_real(test_member(job, "result.metrics.recall")));
    assert_true(number(job, "result.metrics.accuracy") > 0.8);
    assert_true(json_is_null(test_member(job, "result.majority_baseline")));
    assert_int_equal(json_array_size(test_member(job, "result.labels")), 7);
    assert_non_null(strstr(test_get(f->server, "/v1/fine_tuning/jobs/%s/events", f->job)->body,
                           "tagged words, 0 more were cut off; 7 tags"));
}

static void a_text_gets_entities_and_a_tag_for_every_word(void **state)
{
    struct finished *f = *state;
    /* \u00fc is two bytes and one code point */
    struct test_reply *reply =
        predict(f, "\"input\": \"Gr\\u00fcn : Anna Smith lives in London .\"");
    const json_t *one = test_member(reply->json, "data.0"), *word, *entity;
    bool found = false;
    size_t i;

    assert_int_equal(reply->status, 200);
    assert_string_equal(test_text(one, "object"), "prediction");
    assert_int_equal(json_array_size(json_object_get(one, "words")), 8);
    assert_string_equal(test_text(one, "words.2.word"), "Anna");
    assert_int_equal(test_integer(one, "words.2.start"), 7);
    assert_int_equal(test_integer(one, "words.2.end"), 11);
    assert_string_equal(test_text(one, "words.6.word"), "London");
    json_array_foreach (json_object_get(one, "words"), i, word)
        assert_true(*test_text(word, "tag") && number(word, "score") > 0);
    json_array_foreach (json_object_get(one, "entities"), i, entity)
        found = found || (strcmp(test_text(entity, "label"), "LOC") == 0 &&
                          strcmp(test_text(entity, "text"), "London") == 0 &&
                          test_integer(entity, "start") == 27 && test_integer(entity, "end") == 33);
    assert_true(found);
    assert_true(json_is_false(json_object_get(one, "truncated")));
    assert_true(test_integer(reply->json, "usage.total_tokens") >= 10);
}

static void words_may_be_given_in_many_ways(void **state)
{
    static const char *const same[] = {
        "\"input\": {\"words\": [\"Anna\", \"Smith\"]}",
        "\"input\": [{\"words\": [\"Anna\", \"Smith\"]}]",
        "\"input\": [[\"Anna\", \"Smith\"]]",
        "\"input\": [{\"text\": \"Anna Smith\"}]",
        "\"input\": \"Anna Smith\"",
    };
    struct finished *f = *state;

    for (size_t i = 0; i < 5; i++) {
        struct test_reply *reply = predict(f, same[i]);

        assert_int_equal(reply->status, 200);
        assert_int_equal(json_array_size(test_member(reply->json, "data.0.words")), 2);
        assert_string_equal(test_text(reply->json, "data.0.words.1.word"), "Smith");
        assert_string_equal(test_text(reply->json, "data.0.words.1.tag"), "I-PER");
        assert_string_equal(test_text(reply->json, "data.0.entities.0.text"), "Anna Smith");
        assert_int_equal(test_integer(reply->json, "data.0.entities.0.end"), 10);
    }
}

static void long_texts_are_cut_and_say_so(void **state)
{
    struct finished *f = *state;
    char json[2000];
    int n = snprintf(json, sizeof json, "\"input\": [\"a\", \"");
    struct test_reply *reply;

    for (size_t i = 0; i < 60; i++)
        n += snprintf(json + n, sizeof json - (size_t)n, "London ");
    snprintf(json + n, sizeof json - (size_t)n, "\"]");
    reply = predict(f, json);
    assert_int_equal(reply->status, 200);
    assert_true(json_is_true(test_member(reply->json, "data.1.truncated")));
    assert_int_equal(json_array_size(test_member(reply->json, "data.1.words")), 60);
    assert_true(json_is_null(test_member(reply->json, "data.1.words.59.tag")));
    assert_true(json_is_null(test_member(reply->json, "data.1.words.59.score")));
    assert_int_equal(test_integer(reply->json, "data.1.index"), 1);
}

static void wrong_inputs_say_what_and_where(void **state)
{
    static const struct {
        const char *rest, *param, *message;
    } rows[] = {
        {"\"top_k\": 1", "input", "input is missing: it must be a text, {\"text\"}, {\"words\"}"},
        {"\"input\": [[]]", "input.0", "an empty list"},
        {"\"input\": [{\"words\": \"a\"}]", "input.0.words", "is a text"},
        {"\"input\": [{\"words\": [\"a\", 1]}]", "input.0.words.1", "is a number"},
        {"\"input\": {\"words\": [\"a\"], \"text\": \"b\"}", "input", "has both"},
        {"\"input\": {\"text\": \"a\", \"text_pair\": \"b\"}", "input.text_pair", "not known here"},
        {"\"input\": {\"word\": [\"a\"]}", "input.word", "did you mean \"words\"?"},
        {"\"input\": 5", "input", "is a number"},
    };
    struct finished *f = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct test_reply *reply = predict(f, rows[i].rest);

        if (reply->status != 400 ||
            !strstr(test_text(reply->json, "error.message"), rows[i].message) ||
            strcmp(test_text(reply->json, "error.param"), rows[i].param) != 0)
            fail_msg("%s: %ld %s", rows[i].rest, reply->status, reply->body);
    }
}

static void the_preview_shows_words_and_tags(void **state)
{
    struct finished *f = *state;
    const json_t *preview = test_get(f->server, "/v1/files/%s/preview?limit=1", f->valid)->json;

    assert_string_equal(test_text(preview, "task"), "token_classification");
    assert_string_equal(test_text(preview, "format"), "conll");
    assert_int_equal(test_integer(preview, "n_rows"), 30);
    assert_int_equal(json_array_size(test_member(preview, "labels")), 7);
    assert_true(json_array_size(test_member(preview, "rows.0.label")) > 2);
    assert_non_null(strchr(test_text(preview, "rows.0.text"), ' '));
    assert_int_equal(
        test_get(f->server, "/v1/files/%s/preview?task=token_classification", f->train)->status,
        200);
    assert_true(
        test_integer(test_get(f->server, "/v1/files/%s/preview?task=regression", f->train)->json,
                     "n_bad") == 120);
}

static void files_that_are_none_fail_with_line_and_reason(void **state)
{
    struct finished *f = *state;
    const char *file = test_upload(f->server, "bad.conll", "a O\nb X\n\nalone\n\nc\n");
    char json[400];
    const json_t *job;

    snprintf(json, sizeof json, "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\"}",
             file);
    job = test_wait_job(f->server, test_create_job(f->server, json), "failed");
    assert_string_equal(test_text(job, "status"), "failed");
    assert_non_null(strstr(test_text(job, "error.message"), "2 of 3 rows are wrong; line 4"));
}

static void the_adapter_goes_on_and_comes_merged(void **state)
{
    struct finished *f = *state;
    char json[500];
    const json_t *job;
    struct test_reply *reply;

    snprintf(json, sizeof json,
             "{\"model\": \"%s\", \"training_file\": \"%s\", \"method\": {\"type\": \"prilora\", "
             "\"prilora\": {\"hyperparameters\": {\"max_steps\": 2}}}}",
             f->model, f->train);
    job = test_wait_job(f->server, test_create_job(f->server, json), "succeeded");
    assert_string_equal(test_text(job, "status"), "succeeded");
    assert_string_equal(test_text(job, "task.type"), "token_classification");
    reply = test_get(f->server, "/v1/fine_tuning/jobs/%s/adapter?merged=true", f->job);
    assert_int_equal(reply->status, 200);
    assert_non_null(memmem(reply->body, reply->size, "DebertaV2ForTokenClassification", 31));
    reply = test_get(f->server, "/v1/fine_tuning/jobs/%s/adapter/adapter_config.json", f->job);
    assert_string_equal(test_text(reply->json, "task_type"), "TOKEN_CLS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_learns_and_says_so),
        cmocka_unit_test(a_text_gets_entities_and_a_tag_for_every_word),
        cmocka_unit_test(words_may_be_given_in_many_ways),
        cmocka_unit_test(long_texts_are_cut_and_say_so),
        cmocka_unit_test(wrong_inputs_say_what_and_where),
        cmocka_unit_test(the_preview_shows_words_and_tags),
        cmocka_unit_test(files_that_are_none_fail_with_line_and_reason),
        cmocka_unit_test(the_adapter_goes_on_and_comes_merged),
    };

    return cmocka_run_group_tests_name("tagging", tests, open_group, close_group);
}
