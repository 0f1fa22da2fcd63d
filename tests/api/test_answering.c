/* test_answering.c - question answering by the real daemon: files, jobs, predictions, downloads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/asked.h"
#include "support/server.h"

#define N_TRAIN 144
#define N_VALID 40

/* "Grün" is four code points and five bytes. */
#define CONTEXT "Gr\\u00fcn. Peter put the cup in the car."

struct finished {
    struct test_server *server;
    char train[64], valid[64], job[64], model[128];
};

/* A fourth of the questions has no answer. */
static const char *upload(struct test_server *server, const char *name, size_t n, unsigned seed,
                          enum test_asked_format format)
{
    char *text = test_asked(&(struct test_asked){n, seed, 2, true, format});
    const char *id = test_upload(server, name, text);

    free(text);
    return id;
}

static double number(const json_t *object, const char *path)
{
    return json_number_value(test_member(object, path));
}

/* The task is told from the file. */
static void train_one(struct finished *f)
{
    char json[800];

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"validation_file\": "
             "\"%s\", \"seed\": 5, \"method\": {\"type\": \"prilora\", \"prilora\": "
             "{\"hyperparameters\": {\"n_epochs\": 8, \"batch_size\": 16, \"max_length\": 32, "
             "\"learning_rate\": 5e-3}}}}",
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
             upload(f->server, "train.json", N_TRAIN, 1, TEST_ASKED_SQUAD));
    snprintf(f->valid, sizeof f->valid, "%s",
             upload(f->server, "valid.jsonl", N_VALID, 2, TEST_ASKED_JSONL));
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

static void a_job_learns_and_says_so(void **state)
{
    struct finished *f = *state;
    const json_t *job = test_get(f->server, "/v1/fine_tuning/jobs/%s", f->job)->json;

    assert_string_equal(test_text(job, "task.type"), "question_answering");
    assert_string_equal(test_text(job, "task.metric"), "f1");
    /* 32 tokens less 3 special ones are 29, at least a quarter of which, 8, is the context's */
    assert_int_equal(test_integer(job, "task.doc_stride"), 4);
    assert_int_equal(test_integer(job, "task.max_answer_length"), 30);
    assert_true(number(job, "result.metrics.f1") > 0.7);
    assert_true(number(job, "result.metrics.exact_match") > 0.5);
    assert_true(number(job, "result.metrics.exact_match") <= number(job, "result.metrics.f1"));
    assert_true(json_is_null(test_member(job, "result.majority_baseline")));
    assert_non_null(
        strstr(test_get(f->server, "/v1/fine_tuning/jobs/%s/events?order=asc", f->job)->body,
               "the examples are windows on the contexts of 144 questions"));
}

static void a_question_gets_a_piece_of_its_context(void **state)
{
    static const struct {
        const char *question, *answer;
        json_int_t start, end;
    } rows[] = {
        {"Who put it there?", "Peter", 6, 11},
        {"What was put there?", "the cup", 16, 23},
        {"Where is it now?", "in the car", 24, 34},
    };
    struct finished *f = *state;

    for (size_t i = 0; i < 3; i++) {
        char json[300];
        struct test_reply *reply;
        const json_t *one;

        snprintf(json, sizeof json,
                 "\"input\": {\"question\": \"%s\", \"context\": \"" CONTEXT "\"}",
                 rows[i].question);
        reply = predict(f, json);
        one = test_member(reply->json, "data.0");
        assert_int_equal(reply->status, 200);
        assert_string_equal(test_text(one, "object"), "prediction");
        assert_string_equal(test_text(one, "answer"), rows[i].answer);
        assert_int_equal(test_integer(one, "start"), rows[i].start);
        assert_int_equal(test_integer(one, "end"), rows[i].end);
        assert_true(number(one, "score") > 0 && number(one, "score") <= 1);
        assert_int_equal(json_array_size(test_member(one, "answers")), 1);
        assert_int_equal(test_integer(one, "n_windows"), 1);
        assert_true(json_is_false(test_member(one, "truncated")));
        assert_true(test_integer(reply->json, "usage.total_tokens") > 10);
    }
}

static void what_is_not_said_has_no_answer(void **state)
{
    struct finished *f = *state;
    const json_t *one =
        test_member(predict(f, "\"top_k\": 3, \"input\": {\"question\": \"Why was it "
                               "done?\", \"context\": \"" CONTEXT "\"}")
                        ->json,
                    "data.0");

    assert_string_equal(test_text(one, "answer"), "");
    assert_int_equal(test_integer(one, "start"), 0);
    assert_int_equal(test_integer(one, "end"), 0);
    assert_true(number(one, "score") > 0.5);
    assert_int_equal(json_array_size(test_member(one, "answers")), 3);
    assert_true(*test_text(one, "answers.1.answer"));
}

static void answers_come_best_first_and_questions_in_order(void **state)
{
    struct finished *f = *state;
    struct test_reply *reply =
        predict(f, "\"top_k\": 20, \"input\": [{\"question\": \"Where is it now?\", \"context\": "
                   "\"" CONTEXT "\"}, {\"context\": \"Anna put the lamp on the roof.\", "
                   "\"question\": \"Who put it there?\"}]");
    const json_t *answers = test_member(reply->json, "data.0.answers"), *answer;
    double last = 1, sum = 0;
    size_t i;

    assert_int_equal(reply->status, 200);
    assert_int_equal(json_array_size(test_member(reply->json, "data")), 2);
    assert_int_equal(test_integer(reply->json, "data.1.index"), 1);
    assert_string_equal(test_text(reply->json, "data.1.answer"), "Anna");
    assert_int_equal(json_array_size(answers), 20);
    assert_string_equal(test_text(reply->json, "data.0.answers.0.answer"),
                        test_text(reply->json, "data.0.answer"));
    json_array_foreach (answers, i, answer) {
        assert_true(number(answer, "score") <= last);
        last = number(answer, "score");
        sum += last;
    }
    assert_true(fabs(sum - 1) < 1e-6); /* shares of 20, told in nine digits */
}

/* A thousand words around what was asked for. */
static void a_long_context_is_read_in_windows(void **state)
{
    enum { SENTENCES = 400 };
    struct finished *f = *state;
    char *json = NULL;
    size_t size;
    FILE *out = open_memstream(&json, &size);
    const json_t *one;

    fputs("\"input\": {\"question\": \"Where is it now?\", \"context\": \"", out);
    for (size_t i = 0; i < SENTENCES; i++)
        fputs(i == SENTENCES / 2 ? "Peter put the cup in the car. " : "It rained. ", out);
    fputs("\"}", out);
    fclose(out);
    one = test_member(predict(f, json)->json, "data.0");
    free(json);
    assert_true(test_integer(one, "n_windows") > 50);
    assert_int_equal(test_integer(one, "end") - test_integer(one, "start"),
                     (json_int_t)strlen(test_text(one, "answer")));
    assert_true(json_is_false(test_member(one, "truncated")));
}

/* At max_length 32 a thousand windows are not enough for this many words. */
static void a_context_that_is_too_long_is_refused(void **state)
{
    enum { WORDS = 40000 };
    struct finished *f = *state;
    char *json = NULL;
    size_t size;
    FILE *out = open_memstream(&json, &size);
    struct test_reply *reply;

    fprintf(out,
            "{\"model\": \"%s\", \"input\": [{\"question\": \"Who?\", \"context\": \"Anna\"}, "
            "{\"question\": \"Who?\", \"context\": \"",
            f->model);
    for (size_t i = 0; i < WORDS; i++)
        fputs("rain ", out);
    fputs("\"}]}", out);
    fclose(out);
    reply = test_post(f->server, "/v1/predictions", json);
    free(json);
    assert_int_equal(reply->status, 400);
    assert_string_equal(test_text(reply->json, "error.code"), "context_too_long");
    assert_string_equal(test_text(reply->json, "error.param"), "input.1.context");
    assert_non_null(
        strstr(test_text(reply->json, "error.message"), "windows of 32 tokens, but at most"));
}

static void wrong_inputs_say_what_and_where(void **state)
{
    static const struct {
        const char *rest, *param, *message;
    } rows[] = {
        {"\"top_k\": 1", "input", "input is missing: it must be {\"question\", \"context\"}"},
        {"\"input\": \"Who?\"", "input", "is a text, but must be {\"question\", \"context\"}"},
        {"\"input\": [\"Who?\", \"Anna.\"]", "input.0", "is a text"},
        {"\"input\": [[\"Who?\", \"Anna.\"]]", "input.0", "is a list"},
        {"\"input\": {\"question\": \"Who?\"}", "input.context", "is absent"},
        {"\"input\": {\"context\": \"Anna.\"}", "input.question", "is absent"},
        {"\"input\": [{\"question\": 1, \"context\": \"a\"}]", "input.0.question", "is a number"},
        {"\"input\": {\"question\": \"a\", \"context\": \"b\", \"contxt\": \"\"}", "input.contxt",
         "did you mean \"context\"?"},
        {"\"input\": {\"text\": \"a\", \"text_pair\": \"b\"}", "input.text", "not known here"},
        {"\"input\": []", "input", "a list of 0"},
        {"\"top_k\": 21, \"input\": {\"question\": \"a\", \"context\": \"b\"}", "top_k",
         "21, but must be an integer from 1 to 20"},
        {"\"top_k\": 0, \"input\": {\"question\": \"a\", \"context\": \"b\"}", "top_k",
         "0, but must be"},
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

static void texts_without_anything_to_find_are_answered(void **state)
{
    static const char *const contexts[] = {"", " \\n ", "."};
    struct finished *f = *state;

    for (size_t i = 0; i < 3; i++) {
        char json[200];
        struct test_reply *reply;

        snprintf(json, sizeof json, "\"input\": {\"question\": \"\", \"context\": \"%s\"}",
                 contexts[i]);
        reply = predict(f, json);
        assert_int_equal(reply->status, 200);
        assert_true(json_is_string(test_member(reply->json, "data.0.answer")));
    }
}

static void the_preview_shows_questions_contexts_and_answers(void **state)
{
    struct finished *f = *state;
    const json_t *preview = test_get(f->server, "/v1/files/%s/preview?limit=20", f->train)->json,
                 *row;
    size_t i, n_told = 0;

    assert_string_equal(test_text(preview, "task"), "question_answering");
    assert_string_equal(test_text(preview, "format"), "json");
    assert_int_equal(test_integer(preview, "n_rows"), N_TRAIN);
    assert_int_equal(test_integer(preview, "n_bad"), 0);
    json_array_foreach (test_member(preview, "rows"), i, row) {
        bool told = json_array_size(test_member(row, "label")) > 0;

        assert_true(told == (strcmp(test_text(row, "text"), "Why was it done?") != 0));
        assert_true(!told || strstr(test_text(row, "text_pair"), test_text(row, "label.0")));
        n_told += told;
    }
    assert_in_range(n_told, 1, 19);
    preview = test_get(f->server, "/v1/files/%s/preview?task=question_answering", f->valid)->json;
    assert_int_equal(test_integer(preview, "n_rows"), N_VALID);
    assert_true(
        test_integer(test_get(f->server, "/v1/files/%s/preview?task=regression", f->valid)->json,
                     "n_bad") == N_VALID);
    assert_non_null(strstr(test_get(f->server, "/v1/files/%s/preview?task=answers", f->valid)->body,
                           "question_answering or the name of a GLUE task"));
}

static void files_with_wrong_rows_fail_with_line_and_reason(void **state)
{
    struct finished *f = *state;
    const char *file = test_upload(
        f->server, "bad.jsonl",
        "{\"question\": \"Who?\", \"context\": \"Anna.\", \"answers\": {\"text\": [\"Anna\"], "
        "\"answer_start\": [0]}}\n"
        "{\"question\": \"Who?\", \"context\": \"Anna.\", \"answers\": {\"text\": [\"Peter\"], "
        "\"answer_start\": [0]}}\n");
    char json[400];
    const json_t *job;

    snprintf(json, sizeof json, "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\"}",
             file);
    job = test_wait_job(f->server, test_create_job(f->server, json), "failed");
    assert_string_equal(test_text(job, "status"), "failed");
    assert_string_equal(test_text(job, "error.code"), "invalid_training_file");
    assert_non_null(strstr(test_text(job, "error.message"), "1 of 2 rows is wrong; line 2"));
    assert_non_null(
        strstr(test_get(f->server, "/v1/fine_tuning/jobs/%s/events", test_text(job, "id"))->body,
               "does not stand at 0 in the context"));
}

/* Posts a job with this task; its answer. */
static struct test_reply *post_job(struct finished *f, const char *path, const char *task)
{
    char json[600];

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"task\": %s}", f->train,
             task);
    return test_post(f->server, path, json);
}

static void settings_of_the_task_are_checked_where_they_stand(void **state)
{
    static const struct {
        const char *task, *param;
    } rows[] = {
        {"{\"type\": \"question_answering\", \"doc_stride\": 5000}", "task.doc_stride"},
        {"{\"type\": \"question_answering\", \"doc_stride\": \"much\"}", "task.doc_stride"},
        {"{\"type\": \"question_answering\", \"max_answer_length\": 0}", "task.max_answer_length"},
        {"{\"type\": \"question_answering\", \"metric\": \"matthews\"}", "task.metric"},
        {"{\"type\": \"classification\", \"doc_stride\": 8}", "task.doc_stride"},
        {"{\"type\": \"classification\", \"max_answer_length\": 8}", "task.max_answer_length"},
    };
    struct finished *f = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct test_reply *reply = post_job(f, "/v1/fine_tuning/jobs", rows[i].task);

        if (reply->status != 400 || strcmp(test_text(reply->json, "error.param"), rows[i].param))
            fail_msg("%s: %ld %s", rows[i].task, reply->status, reply->body);
    }
}

/* A tenth of the questions, not of the windows, is held out. */
static void a_forecast_counts_questions_and_windows(void **state)
{
    struct finished *f = *state;
    char json[600];
    const json_t *forecast;

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"task\": {\"type\": "
             "\"question_answering\", \"doc_stride\": 2}, \"method\": {\"type\": \"lora\", "
             "\"lora\": {\"hyperparameters\": {\"max_length\": 16}}}}",
             f->train);
    forecast = test_post(f->server, "/v1/fine_tuning/forecasts", json)->json;
    assert_string_equal(test_text(forecast, "task"), "question_answering");
    assert_int_equal(test_integer(forecast, "training.n_questions"), N_TRAIN - N_TRAIN / 10);
    assert_int_equal(test_integer(forecast, "validation.n_questions"), N_TRAIN / 10);
    assert_true(test_integer(forecast, "training.n_examples") >
                test_integer(forecast, "training.n_questions"));
    assert_true(test_integer(forecast, "training.longest") <= 16);
}

static void the_adapter_is_downloaded_goes_on_and_comes_merged(void **state)
{
    struct finished *f = *state;
    char json[500];
    const json_t *job;
    struct test_reply *reply =
        test_get(f->server, "/v1/fine_tuning/jobs/%s/adapter/adapter_config.json", f->job);

    assert_string_equal(test_text(reply->json, "task_type"), "QUESTION_ANS");
    assert_string_equal(test_text(reply->json, "modules_to_save.0"), "qa_outputs");
    reply = test_get(f->server, "/v1/fine_tuning/jobs/%s/adapter/labels.json", f->job);
    assert_string_equal(test_text(reply->json, "task"), "question_answering");
    assert_true(json_is_true(test_member(reply->json, "null_answers")));
    reply = test_get(f->server, "/v1/fine_tuning/jobs/%s/adapter?merged=true", f->job);
    assert_int_equal(reply->status, 200);
    assert_non_null(memmem(reply->body, reply->size, "DebertaV2ForQuestionAnswering", 29));
    snprintf(json, sizeof json,
             "{\"model\": \"%s\", \"training_file\": \"%s\", \"method\": {\"type\": \"prilora\", "
             "\"prilora\": {\"hyperparameters\": {\"max_steps\": 2}}}}",
             f->model, f->train);
    job = test_wait_job(f->server, test_create_job(f->server, json), "succeeded");
    assert_string_equal(test_text(job, "status"), "succeeded");
    assert_string_equal(test_text(job, "task.type"), "question_answering");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_learns_and_says_so),
        cmocka_unit_test(a_question_gets_a_piece_of_its_context),
        cmocka_unit_test(what_is_not_said_has_no_answer),
        cmocka_unit_test(answers_come_best_first_and_questions_in_order),
        cmocka_unit_test(a_long_context_is_read_in_windows),
        cmocka_unit_test(a_context_that_is_too_long_is_refused),
        cmocka_unit_test(wrong_inputs_say_what_and_where),
        cmocka_unit_test(texts_without_anything_to_find_are_answered),
        cmocka_unit_test(the_preview_shows_questions_contexts_and_answers),
        cmocka_unit_test(files_with_wrong_rows_fail_with_line_and_reason),
        cmocka_unit_test(settings_of_the_task_are_checked_where_they_stand),
        cmocka_unit_test(a_forecast_counts_questions_and_windows),
        cmocka_unit_test(the_adapter_is_downloaded_goes_on_and_comes_merged),
    };

    return cmocka_run_group_tests_name("answering", tests, open_group, close_group);
}
