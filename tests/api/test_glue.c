/* test_glue.c - jobs for GLUE tasks by name, and the head alone, through the daemon. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/server.h"

#define JOBS     "/v1/fine_tuning/jobs"
#define COLA     "../shared/data/glue/CoLA/"
#define QUICK    "\"n_epochs\": 1, \"batch_size\": 8, \"max_length\": 16"
#define MNLI_ROW "%zu\t%zu\t%zun\tfiction\tp\th\tP\tH\t%s\t%s\t%s\t%s\n"

static struct test_server *server;

static int open_group(void **state)
{
    (void)state;
    server = test_server_new(NULL);
    return 0;
}

static int close_group(void **state)
{
    (void)state;
    test_server_free(server);
    return 0;
}

/* ---- data ---- */

/* The first n lines of a file; free it. */
static char *first_lines(const char *path, size_t n)
{
    char *text = calloc(1, 65536), *at = text;
    FILE *file = fopen(path, "rb");

    assert_non_null(file);
    assert_non_null(text);
    while (n-- > 0 && fgets(at, (int)(65536 - (at - text)), file))
        at += strlen(at);
    fclose(file);
    return text;
}

/* MNLI as published for training: n rows of 12 columns, their labels in turn from `first` on. */
static char *mnli_rows(size_t n, size_t first)
{
    static const char *const labels[] = {"entailment", "neutral", "contradiction"};
    static const char *const hypotheses[] = {"He moved fast.", "It was raining.", "He lay still."};
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    assert_non_null(stream);
    fputs("index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\t"
          "sentence1_parse\tsentence2_parse\tsentence1\tsentence2\tlabel1\tgold_label\n",
          stream);
    for (size_t i = 0; i < n; i++) {
        size_t k = (first + i) % 3;

        fprintf(stream, MNLI_ROW, i, i, i, "The man ran to the station.", hypotheses[k], labels[k],
                labels[k]);
    }
    fclose(stream);
    return text;
}

static const char *upload_rows(const char *name, size_t n, size_t first)
{
    char *text = mnli_rows(n, first);
    const char *id = test_upload(server, name, text);

    free(text);
    return id;
}

static const char cola_rows[] = "{\"sentence\": \"The ship sank.\", \"label\": 1, \"idx\": 0}\n"
                                "{\"sentence\": \"Sank ship the.\", \"label\": 0, \"idx\": 1}\n"
                                "{\"sentence\": \"The dog barked.\", \"label\": 1, \"idx\": 2}\n"
                                "{\"sentence\": \"Barked dog.\", \"label\": 0, \"idx\": 3}\n";

/* ---- tasks ---- */

static void cola_as_published_is_trained_by_its_name(void **state)
{
    char json[600], id[64], train[64], *text;
    const json_t *job;
    struct test_reply *reply;

    (void)state;
    if (access(COLA, R_OK) != 0)
        skip(); /* the published data is not part of the project */
    text = first_lines(COLA "train.tsv", 160);
    snprintf(train, sizeof train, "%s", test_upload(server, "train.tsv", text));
    free(text);
    text = first_lines(COLA "dev.tsv", 80);
    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"validation_file\": "
             "\"%s\", \"seed\": 1, \"task\": \"cola\", \"hyperparameters\": {\"n_epochs\": 1}}",
             train, test_upload(server, "dev.tsv", text));
    free(text);
    snprintf(id, sizeof id, "%s", test_create_job(server, json));
    job = test_wait_job(server, id, "succeeded");
    assert_string_equal(test_text(job, "task.name"), "cola");
    assert_string_equal(test_text(job, "task.type"), "classification");
    assert_string_equal(test_text(job, "task.metric"), "matthews");
    assert_true(json_is_real(test_member(job, "result.metrics.matthews")));
    assert_null(test_member(job, "result.metrics.f1"));
    assert_string_equal(test_text(job, "result.labels.0"), "unacceptable");
    assert_string_equal(test_text(job, "result.labels.1"), "acceptable");
    reply = test_get(server, JOBS "/%s/adapter/labels.json", id);
    assert_int_equal(reply->status, 200);
    assert_string_equal(test_text(reply->json, "id2label.1"), "acceptable");
    assert_string_equal(test_text(reply->json, "specification.task.name"), "cola");
}

/* What the finished adapter says of the rows of mnli_rows(n, first): the share that is right. */
static double accuracy_of(const char *model, size_t n, size_t first)
{
    char *rows = mnli_rows(n, first), *line = strchr(rows, '\n') + 1;
    size_t right = 0;

    for (size_t i = 0; i < n; i++, line = strchr(line, '\n') + 1) {
        char premise[80], hypothesis[80], label[40], json[500];
        struct test_reply *reply;

        assert_int_equal(sscanf(line, "%*s %*s %*s %*s %*s %*s %*s %*s %79[^\t] %79[^\t] %39s",
                                premise, hypothesis, label),
                         3);
        snprintf(json, sizeof json,
                 "{\"model\": \"%s\", \"input\": [{\"text\": \"%s\", \"text_pair\": \"%s\"}]}",
                 model, premise, hypothesis);
        reply = test_post(server, "/v1/predictions", json);
        assert_int_equal(reply->status, 200);
        right += strcmp(test_text(reply->json, "data.0.label"), label) == 0;
    }
    free(rows);
    return (double)right / (double)n;
}

static void mnli_is_measured_on_both_validation_files(void **state)
{
    char json[700], id[64], train[64], matched[64], mismatched[64], model[128];
    const json_t *job;
    double accuracy, other;

    (void)state;
    snprintf(train, sizeof train, "%s", upload_rows("train.tsv", 48, 0));
    snprintf(matched, sizeof matched, "%s", upload_rows("dev_matched.tsv", 9, 0));
    snprintf(mismatched, sizeof mismatched, "%s", upload_rows("dev_mismatched.tsv", 7, 2));
    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"validation_file\": "
             "\"%s\", \"seed\": 1, \"task\": {\"name\": \"mnli\", \"mismatched_file\": \"%s\"}, "
             "\"method\": {\"type\": \"lora\", \"lora\": {\"hyperparameters\": {" QUICK
             ", \"learning_rate\": 3e-3}}}}",
             train, matched, mismatched);
    snprintf(id, sizeof id, "%s", test_create_job(server, json));
    job = test_wait_job(server, id, "succeeded");
    assert_string_equal(test_text(job, "task.mismatched_file"), mismatched);
    snprintf(model, sizeof model, "%s", test_text(job, "fine_tuned_model"));
    accuracy = json_number_value(test_member(job, "result.metrics.accuracy"));
    other = json_number_value(test_member(job, "result.metrics.accuracy_mismatched"));
    assert_true(fabs(accuracy - accuracy_of(model, 9, 0)) < 1e-8); /* told with nine digits */
    assert_true(fabs(other - accuracy_of(model, 7, 2)) < 1e-8);
}

/* A paused job is not over, however slow or fast the machine is. */
static void the_mismatched_file_is_kept_as_long_as_a_job_needs_it(void **state)
{
    char json[500], id[64], path[128], train[64], mismatched[64];
    struct test_request drop = {.method = "DELETE", .path = path};

    (void)state;
    snprintf(train, sizeof train, "%s", upload_rows("train.tsv", 60, 0));
    snprintf(mismatched, sizeof mismatched, "%s", upload_rows("dev_mismatched.tsv", 7, 2));
    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"task\": {\"name\": "
             "\"mnli\", \"mismatched_file\": \"%s\"}, \"hyperparameters\": {\"n_epochs\": 10000}}",
             train, mismatched);
    snprintf(id, sizeof id, "%s", test_create_job(server, json));
    snprintf(path, sizeof path, JOBS "/%s/pause", id);
    assert_int_equal(test_post(server, path, NULL)->status, 200);
    test_wait_job(server, id, "paused");
    snprintf(path, sizeof path, "/v1/files/%s", mismatched);
    assert_int_equal(test_send(server, &drop)->status, 409);
    snprintf(path, sizeof path, JOBS "/%s/cancel", id);
    assert_int_equal(test_post(server, path, NULL)->status, 200);
    test_wait_job(server, id, "cancelled");
    snprintf(path, sizeof path, "/v1/files/%s", mismatched);
    assert_int_equal(test_send(server, &drop)->status, 200);
}

static void bad_tasks_are_refused_where_they_are_wrong(void **state)
{
    static const struct {
        const char *task, *param, *code;
    } bad[] = {
        {"\"kola\"", "task", "invalid_value"},
        {"{\"name\": \"kola\"}", "task.name", "invalid_value"},
        {"{\"name\": [\"cola\"]}", "task.name", "invalid_value"},
        {"{\"name\": \"rte\", \"mismatched_file\": \"file-1\"}", "task.mismatched_file",
         "invalid_value"},
        {"{\"name\": \"mnli\", \"mismatched_file\": 1e99}", "task.mismatched_file",
         "invalid_value"},
        {"{\"name\": \"mnli\", \"mismatched_file\": \"file-1\"}", "task.mismatched_file",
         "file_not_found"},
        {"{\"name\": \"mnli\", \"mismatched_file\": \"../../etc/passwd\"}", "task.mismatched_file",
         "file_not_found"},
    };
    char file[64];

    (void)state;
    snprintf(file, sizeof file, "%s", test_upload(server, "cola.jsonl", cola_rows));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct test_reply *reply;
        char json[400];

        snprintf(json, sizeof json,
                 "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"task\": %s}", file,
                 bad[i].task);
        reply = test_post(server, JOBS, json);
        assert_int_equal(reply->status, 400);
        assert_string_equal(test_text(reply->json, "error.param"), bad[i].param);
        assert_string_equal(test_text(reply->json, "error.code"), bad[i].code);
    }
}

static const json_t *failed_job(const char *json)
{
    char id[64];

    snprintf(id, sizeof id, "%s", test_create_job(server, json));
    return test_wait_job(server, id, "failed");
}

static void a_file_of_another_task_fails_the_job_and_is_named(void **state)
{
    char json[500], cola[64], train[64];
    const json_t *job;

    (void)state;
    snprintf(cola, sizeof cola, "%s", test_upload(server, "cola.jsonl", cola_rows));
    snprintf(train, sizeof train, "%s", upload_rows("train.tsv", 6, 0));
    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"task\": \"rte\"}",
             cola);
    job = failed_job(json);
    assert_string_equal(test_text(job, "error.code"), "invalid_training_file");
    assert_non_null(strstr(test_text(job, "error.message"), "cola.jsonl:1"));
    assert_non_null(strstr(test_text(job, "error.message"), "not what RTE has: \"sentence1\""));
    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"task\": {\"name\": "
             "\"mnli\", \"mismatched_file\": \"%s\"}}",
             train, cola);
    job = failed_job(json);
    assert_string_equal(test_text(job, "error.code"), "invalid_validation_file");
    assert_string_equal(test_text(job, "error.param"), "task.mismatched_file");
}

static void a_preview_may_be_of_a_task(void **state)
{
    struct test_reply *reply;
    char file[64];

    (void)state;
    snprintf(file, sizeof file, "%s", test_upload(server, "cola.jsonl", cola_rows));
    reply = test_get(server, "/v1/files/%s/preview?task=cola", file);
    assert_int_equal(reply->status, 200);
    assert_string_equal(test_text(reply->json, "labels.0.label"), "unacceptable");
    assert_int_equal(test_integer(reply->json, "labels.1.count"), 2);
    reply = test_get(server, "/v1/files/%s/preview?task=rte", file);
    assert_int_equal(test_integer(reply->json, "n_bad"), 4);
    assert_int_equal(test_get(server, "/v1/files/%s/preview?task=kola", file)->status, 400);
}

/* Numbers of arXiv:2303.10512's script for CoLA; one is given. */
static void a_preset_shows_in_the_job_what_it_became(void **state)
{
    char json[500], id[64];
    const json_t *job;

    (void)state;
    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"task\": \"cola\", "
             "\"method\": {\"type\": \"lora\", \"lora\": {\"hyperparameters\": {\"preset\": "
             "\"adalora\", \"n_epochs\": 2}}}}",
             test_upload(server, "cola.jsonl", cola_rows));
    snprintf(id, sizeof id, "%s", test_create_job(server, json));
    job = test_wait_job(server, id, "succeeded");
    assert_string_equal(test_text(job, "method.lora.hyperparameters.preset"), "adalora");
    assert_int_equal(test_integer(job, "method.lora.hyperparameters.n_epochs"), 2);
    assert_int_equal(test_integer(job, "method.lora.hyperparameters.max_length"), 64);
    assert_int_equal(test_integer(job, "method.lora.hyperparameters.warmup_steps"), 100);
    assert_true(json_number_value(test_member(job, "method.lora.hyperparameters.lora_alpha")) ==
                32);
    assert_true(json_number_value(
                    test_member(job, "method.lora.hyperparameters.classifier_dropout")) == 0.1);
}

/* ---- the head alone ---- */

static void the_head_alone_goes_all_the_way(void **state)
{
    char json[500], id[64], file[64], model[128];
    struct test_reply *reply;
    const json_t *job;

    (void)state;
    snprintf(file, sizeof file, "%s", test_upload(server, "cola.jsonl", cola_rows));
    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"task\": \"cola\", "
             "\"method\": {\"type\": \"head\", \"head\": {\"hyperparameters\": {" QUICK "}}}}",
             file);
    reply = test_post(server, "/v1/fine_tuning/forecasts", json);
    assert_int_equal(reply->status, 200);
    assert_int_equal(test_integer(reply->json, "n_adapter"), 0);
    assert_int_equal(json_array_size(test_member(reply->json, "ranks")), 0);
    snprintf(id, sizeof id, "%s", test_create_job(server, json));
    job = test_wait_job(server, id, "succeeded");
    assert_string_equal(test_text(job, "method.type"), "head");
    assert_null(test_member(job, "method.head.hyperparameters.lora_alpha"));
    assert_int_equal(test_integer(job, "result.n_prunable"), 0);
    snprintf(model, sizeof model, "%s", test_text(job, "fine_tuned_model"));

    reply = test_get(server, JOBS "/%s/layers", id);
    assert_int_equal(reply->status, 200);
    assert_int_equal(json_array_size(test_member(reply->json, "data")), 0);
    reply = test_get(server, JOBS "/%s/layers?history=1", id);
    assert_int_equal(json_array_size(test_member(reply->json, "data")), 0);
    assert_int_equal(test_get(server, JOBS "/%s/adapter", id)->status, 200);
    assert_int_equal(test_get(server, JOBS "/%s/adapter?merged=true", id)->status, 200);
    assert_int_equal(test_get(server, JOBS "/%s/adapter?rank=uniform", id)->status, 200);
    reply = test_get(server, JOBS "/%s/events?stream=true", id);
    assert_non_null(strstr(reply->body, "event: end"));
    assert_null(strstr(reply->body, "event: layers"));

    snprintf(json, sizeof json, "{\"model\": \"%s\", \"input\": \"The cat slept.\"}", model);
    reply = test_post(server, "/v1/predictions", json);
    assert_int_equal(reply->status, 200);
    assert_non_null(strstr(test_text(reply->json, "data.0.label"), "acceptable"));

    snprintf(json, sizeof json,
             "{\"model\": \"%s\", \"training_file\": \"%s\", \"task\": \"cola\", "
             "\"hyperparameters\": {\"n_epochs\": 1}}",
             model, file);
    snprintf(id, sizeof id, "%s", test_create_job(server, json));
    job = test_wait_job(server, id, "succeeded");
    assert_string_equal(test_text(job, "method.type"), "head");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cola_as_published_is_trained_by_its_name),
        cmocka_unit_test(mnli_is_measured_on_both_validation_files),
        cmocka_unit_test(the_mismatched_file_is_kept_as_long_as_a_job_needs_it),
        cmocka_unit_test(bad_tasks_are_refused_where_they_are_wrong),
        cmocka_unit_test(a_file_of_another_task_fails_the_job_and_is_named),
        cmocka_unit_test(a_preview_may_be_of_a_task),
        cmocka_unit_test(a_preset_shows_in_the_job_what_it_became),
        cmocka_unit_test(the_head_alone_goes_all_the_way),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
