/* test_bases.c - jobs on a tiny BERT with WordPiece and a tiny RoBERTa with byte-level BPE, through
 * the real daemon: listed, trained on, predicted with, merged; and what is not supported. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "support/scratch.h"
#include "support/server.h"
#include "support/tiny.h"

#define JOBS "/v1/fine_tuning/jobs"

struct bases {
    struct test_server *server;
    char models[600], train[64];
};

static int open_group(void **state)
{
    static const char albert[] = "{\"model_type\": \"albert\", \"num_hidden_groups\": 1}";
    static struct bases kept;
    struct bases *b = &kept;
    const char *settings[] = {"--training.threads=1", b->models, NULL};
    char *rows;

    if (test_scratch_open(state) != 0)
        return -1;
    mkdir(test_scratch_path("models"), 0700);
    test_tiny_write_base("models/tiny-bert", &(struct test_tiny){.type = "bert", .pooler = true});
    test_tiny_write_base("models/tiny-roberta", &(struct test_tiny){.type = "roberta"});
    mkdir(test_scratch_path("models/tiny-albert"), 0700);
    test_scratch_write("models/tiny-albert/config.json", albert, sizeof albert - 1);
    snprintf(b->models, sizeof b->models, "--storage.models_dirs=%s", test_scratch_path("models"));
    b->server = test_server_new(settings);
    rows = test_sentences(48, 1);
    snprintf(b->train, sizeof b->train, "%s", test_upload(b->server, "train.jsonl", rows));
    free(rows);
    *state = b;
    return 0;
}

static int close_group(void **state)
{
    struct bases *b = *state;

    test_server_free(b->server);
    return test_scratch_close(state);
}

static const char *create(const struct bases *b, const char *model)
{
    char json[600];

    snprintf(
        json, sizeof json,
        "{\"model\": \"%s\", \"training_file\": \"%s\", \"validation_file\": \"%s\", "
        "\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": {\"n_epochs\": "
        "2, \"batch_size\": 8, \"learning_rate\": 5e-3, \"prune_interval\": 4, "
        "\"target_modules\": [\"query\", \"value\"]}}}}",
        model, b->train, b->train);
    return test_create_job(b->server, json);
}

static void check_predictions(const struct bases *b, const char *adapter)
{
    struct test_reply *reply;
    char json[300];

    snprintf(json, sizeof json, "{\"model\": \"%s\", \"input\": [\"rain in the morning\", \"\"]}",
             adapter);
    reply = test_post(b->server, "/v1/predictions", json);
    if (reply->status != 200)
        fail_msg("%s", reply->body);
    assert_int_equal(json_array_size(json_object_get(reply->json, "data")), 2);
    assert_true(*test_text(reply->json, "data.0.label"));
}

static void go_the_whole_way(const struct bases *b, const char *model, const char *path,
                             const char *class_name)
{
    struct test_reply *reply;
    char id[64], adapter[128];
    const json_t *job;

    snprintf(id, sizeof id, "%s", create(b, model));
    job = test_wait_job(b->server, id, "succeeded");
    assert_string_equal(test_text(job, "status"), "succeeded");
    snprintf(adapter, sizeof adapter, "%s", test_text(job, "fine_tuned_model"));
    reply = test_get(b->server, JOBS "/%s/layers", id);
    assert_int_equal(reply->status, 200);
    assert_non_null(strstr(reply->body, path));
    reply = test_get(b->server, JOBS "/%s/adapter/adapter_config.json", id);
    assert_int_equal(reply->status, 200);
    assert_non_null(strstr(reply->body, path));
    check_predictions(b, adapter);
    reply = test_get(b->server, JOBS "/%s/adapter?merged=true", id);
    assert_int_equal(reply->status, 200);
    assert_non_null(memmem(reply->body, reply->size, class_name, strlen(class_name)));
    assert_int_equal(test_get(b->server, JOBS "/%s/adapter?rank=uniform", id)->status, 200);
}

static void bert_with_wordpiece_goes_the_whole_way(void **state)
{
    go_the_whole_way(*state, "tiny-bert", "bert.encoder.layer.1.attention.self.query",
                     "BertForSequenceClassification");
}

static void roberta_with_byte_level_bpe_goes_the_whole_way(void **state)
{
    go_the_whole_way(*state, "tiny-roberta", "roberta.encoder.layer.1.attention.self.value",
                     "RobertaForSequenceClassification");
}

static void the_bases_are_listed(void **state)
{
    const struct bases *b = *state;
    struct test_reply *reply = test_get(b->server, "/v1/models");

    assert_int_equal(reply->status, 200);
    assert_non_null(strstr(reply->body, "\"tiny-bert\""));
    assert_non_null(strstr(reply->body, "\"tiny-roberta\""));
}

static void what_is_not_supported_is_said_with_what_is(void **state)
{
    const struct bases *b = *state;
    char json[300];
    struct test_reply *reply;
    const char *message;

    snprintf(json, sizeof json, "{\"model\": \"tiny-albert\", \"training_file\": \"%s\"}",
             b->train);
    reply = test_post(b->server, JOBS, json);
    message = reply->status == 200
                  ? test_text(test_wait_job(b->server, test_text(reply->json, "id"), "failed"),
                              "error.message")
                  : test_text(reply->json, "error.message");
    if (!strstr(message, "model_type is 'albert', whose layers share one set of weights") ||
        !strstr(message, "supported: deberta-v2, bert, distilbert, electra, roberta"))
        fail_msg("%s", message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bert_with_wordpiece_goes_the_whole_way),
        cmocka_unit_test(roberta_with_byte_level_bpe_goes_the_whole_way),
        cmocka_unit_test(the_bases_are_listed),
        cmocka_unit_test(what_is_not_supported_is_said_with_what_is),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
