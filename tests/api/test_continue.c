/*
 * test_continue.c - jobs that go on from a finished adapter, and what becomes of them when that
 * adapter's job is deleted; and deleting jobs at all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/server.h"

#define JOBS "/v1/fine_tuning/jobs"

struct parent {
    struct test_server *server;
    char train[64], valid[64], job[64], model[128];
    char *adapter; /* adapter_model.safetensors */
    size_t size;
    double accuracy, loss;
};

static double number(const json_t *object, const char *path)
{
    const json_t *value = test_member(object, path);

    assert_true(json_is_number(value));
    return json_number_value(value);
}

static int open_group(void **state)
{
    struct parent *p = calloc(1, sizeof *p);
    char json[900], *train = test_sentences(64, 1), *valid = test_sentences(24, 900);
    struct test_reply *reply;
    const json_t *job;

    p->server = test_server_new(NULL);
    snprintf(p->train, sizeof p->train, "%s", test_upload(p->server, "train.jsonl", train));
    snprintf(p->valid, sizeof p->valid, "%s", test_upload(p->server, "valid.jsonl", valid));
    free(train);
    free(valid);
    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"validation_file\": "
             "\"%s\", \"seed\": 5, \"suffix\": \"one\", \"method\": {\"type\": \"prilora\", "
             "\"prilora\": {\"hyperparameters\": {\"n_epochs\": 2, \"batch_size\": 8, "
             "\"max_length\": 16, \"rank_start\": 2, \"rank_end\": 7, \"lora_alpha\": 10, "
             "\"scaling\": \"common\", \"prune_interval\": 4, \"learning_rate\": 3e-3, "
             "\"target_modules\": [\"query_proj\", \"value_proj\"]}}}}",
             p->train, p->valid);
    snprintf(p->job, sizeof p->job, "%s", test_create_job(p->server, json));
    job = test_wait_job(p->server, p->job, "succeeded");
    snprintf(p->model, sizeof p->model, "%s", test_text(job, "fine_tuned_model"));
    p->accuracy = number(job, "result.metrics.accuracy");
    p->loss = number(job, "result.metrics.valid_loss");
    reply = test_get(p->server, JOBS "/%s/adapter/adapter_model.safetensors", p->job);
    assert_int_equal(reply->status, 200);
    p->adapter = malloc(reply->size);
    p->size = reply->size;
    memcpy(p->adapter, reply->body, reply->size);
    *state = p;
    return 0;
}

static int close_group(void **state)
{
    struct parent *p = *state;

    test_server_free(p->server);
    free(p->adapter);
    free(p);
    return 0;
}

/* {"model": <model>, <the parent's data>, <more>} */
static struct test_reply *create(const struct parent *p, const char *model, const char *more)
{
    char json[1200];

    snprintf(
        json, sizeof json,
        "{\"model\": \"%s\", \"training_file\": \"%s\", \"validation_file\": \"%s\", \"seed\": "
        "9, %s}",
        model, p->train, p->valid, more);
    return test_post(p->server, JOBS, json);
}

static void continue_job(const struct parent *p, const char *more, char id[64])
{
    struct test_reply *reply = create(p, p->model, more);

    if (reply->status != 200)
        fail_msg("%ld %s", reply->status, reply->body);
    snprintf(id, 64, "%s", test_text(reply->json, "id"));
}

#define SETTINGS(settings)                                                                         \
    "\"suffix\": \"two\", \"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": " \
    "{\"batch_size\": 8, \"max_length\": 16, " settings "}}}"

/* The warm-up's first step has a rate of zero, so one step changes nothing; and what the parent's
 * export has pruned is what the first pruning here finds least important. */
static void a_job_without_training_is_its_parent(void **state)
{
    const struct parent *p = *state;
    char id[64], base[] = "ft:prilora-mini-en:two:";
    const json_t *job;
    struct test_reply *reply;

    continue_job(p, SETTINGS("\"max_steps\": 1"), id);
    job = test_wait_job(p->server, id, "succeeded");
    assert_string_equal(test_text(job, "status"), "succeeded");
    assert_string_equal(test_text(job, "model"), p->model);
    assert_string_equal(test_text(job, "base_model"), "prilora-mini-en");
    assert_memory_equal(test_text(job, "fine_tuned_model"), base, strlen(base));
    assert_true(number(job, "result.metrics.accuracy") == p->accuracy);
    assert_true(number(job, "result.metrics.valid_loss") == p->loss);
    assert_int_equal(test_integer(job, "method.prilora.hyperparameters.rank_start"), 2);
    assert_int_equal(test_integer(job, "method.prilora.hyperparameters.rank_end"), 7);
    assert_true(number(job, "method.prilora.hyperparameters.lora_alpha") == 10);
    assert_string_equal(test_text(job, "method.prilora.hyperparameters.scaling"), "common");
    assert_string_equal(test_text(job, "method.prilora.hyperparameters.target_modules.1"),
                        "value_proj");
    reply = test_get(p->server, JOBS "/%s/adapter/adapter_model.safetensors", id);
    assert_int_equal(reply->size, p->size);
    assert_memory_equal(reply->body, p->adapter, p->size);
    reply = test_get(p->server, "/v1/models/%s", p->model);
    assert_string_equal(test_text(reply->json, "base_model"), "prilora-mini-en");
}

static char *adapter_of(const struct parent *p, const char *id, size_t *size)
{
    const json_t *job = test_wait_job(p->server, id, "succeeded");
    struct test_reply *reply;
    char *copy;

    assert_string_equal(test_text(job, "status"), "succeeded");
    reply = test_get(p->server, JOBS "/%s/adapter/adapter_model.safetensors", id);
    copy = malloc(reply->size);
    memcpy(copy, reply->body, reply->size);
    *size = reply->size;
    return copy;
}

#define TRAINED                                                                                    \
    SETTINGS("\"n_epochs\": 2, \"checkpoint_steps\": 3, \"prune_interval\": 4, "                   \
             "\"hidden_dropout\": 0.1")

/* The same settings and data from the base: other bytes. Twice from the adapter: the same, even
 * when one of the two is paused and its daemon killed. */
static void a_continued_job_resumes_to_the_same_bytes_and_is_not_a_fresh_one(void **state)
{
    const struct parent *p = *state;
    char first[64], second[64], fresh[64], path[128], *bytes[3];
    size_t sizes[3];

    continue_job(p, TRAINED, first);
    bytes[0] = adapter_of(p, first, &sizes[0]);
    continue_job(p, TRAINED, second);
    while (strcmp(test_text(test_wait_job(p->server, second, "running"), "status"), "running") ==
               0 &&
           test_integer(test_get(p->server, JOBS "/%s", second)->json, "progress.step") < 4)
        ;
    snprintf(path, sizeof path, JOBS "/%s/pause", second);
    assert_int_equal(test_post(p->server, path, NULL)->status, 200);
    test_wait_job(p->server, second, "paused");
    test_server_kill(p->server);
    test_server_start(p->server);
    snprintf(path, sizeof path, JOBS "/%s/resume", second);
    assert_int_equal(test_post(p->server, path, NULL)->status, 200);
    bytes[1] = adapter_of(p, second, &sizes[1]);
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    snprintf(fresh, sizeof fresh, "%s",
             test_text(create(p, "prilora-mini-en",
                              SETTINGS("\"n_epochs\": 2, \"prune_interval\": 4, "
                                       "\"hidden_dropout\": 0.1, \"rank_start\": 2, \"rank_end\": "
                                       "7, \"lora_alpha\": 10, \"scaling\": \"common\", "
                                       "\"target_modules\": [\"query_proj\", \"value_proj\"]"))
                           ->json,
                       "id"));
    bytes[2] = adapter_of(p, fresh, &sizes[2]);
    assert_int_equal(sizes[0], sizes[2]); /* the same shapes */
    assert_true(memcmp(bytes[0], bytes[2], sizes[0]) != 0);
    for (int i = 0; i < 3; i++)
        free(bytes[i]);
}

static void a_setting_that_contradicts_the_adapter_is_refused(void **state)
{
    static const struct {
        const char *more, *param, *part;
    } cases[] = {
        {SETTINGS("\"rank_end\": 9"), "method.prilora.hyperparameters.rank_end",
         "rank 9, but the adapter that the run starts from has 7 there"},
        {SETTINGS("\"rank_start\": 3"), "method.prilora.hyperparameters.rank_start",
         "rank 3, but the adapter that the run starts from has 2 there"},
        {SETTINGS("\"r\": 4"), "method.prilora.hyperparameters.r",
         "rank 4, but the adapter that the run starts from has 2 there"},
        {SETTINGS("\"scaling\": \"layer\""), "method.prilora.hyperparameters.lora_alpha",
         "alpha 10, but the adapter that the run starts from has 4.44444444 there"},
        {SETTINGS("\"target_modules\": [\"query_proj\"]"),
         "method.prilora.hyperparameters.target_modules",
         "value_proj is adapted by the adapter that the run starts from, but not by the settings"},
        {SETTINGS("\"target_modules\": \"all-linear\""),
         "method.prilora.hyperparameters.target_modules",
         "key_proj is adapted by the settings, but not by the adapter"},
        {"\"method\": {\"type\": \"lora\"}", "method.type", "\"lora\" has one rank for all layers"},
        {"\"task\": {\"type\": \"regression\"}", "task.type",
         "the task is regression, but that of the adapter that the run starts from is "
         "classification"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct parent *p = *state;
        struct test_reply *reply = create(p, p->model, cases[i].more);

        if (reply->status != 400 ||
            strcmp(test_text(reply->json, "error.param"), cases[i].param) != 0 ||
            !strstr(test_text(reply->json, "error.message"), cases[i].part))
            fail_msg("case %zu: %ld %s", i, reply->status, reply->body);
    }
}

/* What says the same as the adapter is no contradiction, however it is said. */
static void settings_that_agree_with_the_adapter_are_taken(void **state)
{
    static const char *const agreeing[] = {
        SETTINGS("\"max_steps\": 1, \"ranks\": [2, 3, 4, 5, 6, 7]"),
        SETTINGS("\"max_steps\": 1, \"rank_end\": 7"),
        SETTINGS("\"max_steps\": 1, \"lora_alpha\": 10, \"target_modules\": "
                 "\".*\\\\.(query|value)_proj\""),
        "\"method\": {\"type\": \"supervised\", \"supervised\": {\"hyperparameters\": "
        "{\"n_epochs\": "
        "1}}}",
    };
    const struct parent *p = *state;

    for (size_t i = 0; i < sizeof agreeing / sizeof *agreeing; i++) {
        char id[64];

        continue_job(p, agreeing[i], id);
        assert_string_equal(test_text(test_wait_job(p->server, id, "succeeded"), "status"),
                            "succeeded");
    }
}

static void the_adapter_s_labels_are_the_job_s(void **state)
{
    const struct parent *p = *state;
    char json[600], id[64];
    const json_t *job;
    size_t n_labels;

    n_labels = json_array_size(
        test_member(test_get(p->server, JOBS "/%s", p->job)->json, "result.labels"));
    assert_true(n_labels >= 2);
    snprintf(json, sizeof json,
             "{\"model\": \"%s\", \"training_file\": \"%s\", " SETTINGS("\"max_steps\": 1") "}",
             p->model,
             test_upload(p->server, "one.jsonl",
                         "{\"text\": \"rain again\", \"label\": \"weather\"}\n"
                         "{\"text\": \"more rain\", \"label\": \"weather\"}\n"));
    snprintf(id, sizeof id, "%s", test_create_job(p->server, json));
    job = test_wait_job(p->server, id, "succeeded"); /* one label of the two: no matter */
    if (strcmp(test_text(job, "status"), "succeeded") != 0)
        fail_msg("%s", test_text(job, "error.message"));
    assert_int_equal(json_array_size(test_member(job, "result.labels")), n_labels);
    snprintf(json, sizeof json,
             "{\"model\": \"%s\", \"training_file\": \"%s\", " SETTINGS("\"max_steps\": 1") "}",
             p->model,
             test_upload(p->server, "new.jsonl",
                         "{\"text\": \"rain again\", \"label\": \"weather\"}\n"
                         "{\"text\": \"a goal\", \"label\": \"handball\"}\n"));
    snprintf(id, sizeof id, "%s", test_create_job(p->server, json));
    job = test_wait_job(p->server, id, "succeeded");
    assert_string_equal(test_text(job, "status"), "failed");
    assert_string_equal(test_text(job, "error.param"), "training_file");
    assert_non_null(strstr(test_text(job, "error.message"), "\"handball\" does not occur in the "
                                                            "adapter, which has"));
}

static struct test_reply *delete (const struct parent *p, const char *format, const char *id)
{
    char path[256];

    snprintf(path, sizeof path, "%s%s", format, id);
    return test_send(p->server, &(struct test_request){.method = "DELETE", .path = path});
}

static void a_deleted_job_is_gone_and_those_that_started_from_it_go_on(void **state)
{
    static const char *const parts[] = {"",        "/events",  "/checkpoints",
                                        "/layers", "/metrics", "/adapter"};
    const struct parent *p = *state;
    char child[64], path[160];
    struct test_reply *reply;
    const json_t *job;

    continue_job(p, SETTINGS("\"n_epochs\": 10000, \"checkpoint_steps\": 2"), child);
    do
        job = test_wait_job(p->server, child, "running");
    while (strcmp(test_text(job, "status"), "running") == 0 &&
           test_integer(job, "progress.step") < 3); /* a checkpoint is there */
    reply = delete (p, JOBS "/", child);
    assert_int_equal(reply->status, 409);
    assert_string_equal(test_text(reply->json, "error.code"), "job_cannot_be_deleted");
    assert_string_equal(test_header(reply, "x-should-retry"), "false");
    assert_non_null(strstr(test_text(reply->json, "error.message"), "it is running; cancel it"));
    reply = delete (p, JOBS "/", p->job);
    assert_int_equal(reply->status, 200);
    assert_string_equal(test_text(reply->json, "id"), p->job);
    assert_string_equal(test_text(reply->json, "object"), "fine_tuning.job");
    assert_true(json_is_true(json_object_get(reply->json, "deleted")));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_int_equal(test_get(p->server, JOBS "/%s%s", p->job, parts[i])->status, 404);
    assert_int_equal(test_get(p->server, "/v1/models/%s", p->model)->status, 404);
    assert_int_equal(delete (p, JOBS "/", p->job)->status, 404);
    reply = create(p, p->model, SETTINGS("\"max_steps\": 1"));
    assert_int_equal(reply->status, 400);
    assert_string_equal(test_text(reply->json, "error.code"), "model_not_found");
    /* the child has its own copy: it goes on after a crash, too */
    test_server_kill(p->server);
    test_server_start(p->server);
    do
        job = test_wait_job(p->server, child, "running");
    while (strcmp(test_text(job, "status"), "running") == 0 &&
           test_integer(job, "progress.step") < 2);
    assert_string_equal(test_text(job, "status"), "running");
    assert_string_equal(test_text(job, "model"), p->model);
    snprintf(path, sizeof path, JOBS "/%s/cancel", child);
    assert_int_equal(test_post(p->server, path, NULL)->status, 200);
    job = test_wait_job(p->server, child, "cancelled");
    assert_true(*test_text(job, "fine_tuned_model"));
    assert_int_equal(delete (p, JOBS "/", child)->status, 200);
}

static void edits_and_filters_are_checked(void **state)
{
    static const struct {
        const char *body, *param, *part;
        long status;
    } cases[] = {
        {"{\"priority\": 101}", "priority", "101, but must be an integer from -100 to 100", 400},
        {"{\"priority\": 1.5}", "priority", "1.5, but must be", 400},
        {"{\"priority\": \"high\"}", "priority", "\"high\", but must be", 400},
        {"{\"priority\": 1e99}", "priority", "but must be an integer", 400},
        {"{\"priority\": 99999999999999999999}", "", "not JSON", 400},
        {"{\"metadata\": {\"a\": 1}}", "metadata", "an object of at most 16 strings", 400},
        {"{\"metadata\": []}", "metadata", "an object of at most 16 strings", 400},
        {"{\"prioritty\": 1}", "prioritty", "did you mean \"priority\"?", 400},
        {"{\"model\": \"x\"}", "model", "unknown member \"model\"", 400},
        {"{}", "", "nothing to change", 400},
        {"{\"priority\": null}", "", "nothing to change", 400},
        {"[1]", "", "not a JSON object", 400},
        {"{\"priority\": 1", "", "not JSON", 400},
        {"{\"priority\": 1}", "", "it is succeeded", 409},
    };
    const struct parent *p = *state;
    char path[128];
    struct test_reply *reply;

    snprintf(path, sizeof path, JOBS "/%s", p->job);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reply = test_post(p->server, path, cases[i].body);
        if (reply->status != cases[i].status ||
            strcmp(test_text(reply->json, "error.param"), cases[i].param) != 0 ||
            !strstr(test_text(reply->json, "error.message"), cases[i].part))
            fail_msg("%s: %ld %s", cases[i].body, reply->status, reply->body);
    }
    reply = test_post(p->server, path, "{\"metadata\": {\"a\": \"b\"}}"); /* of any job */
    assert_int_equal(reply->status, 200);
    assert_string_equal(test_text(reply->json, "metadata.a"), "b");
    assert_int_equal(test_post(p->server, JOBS "/ftjob-none", "{\"priority\": 1}")->status, 404);
    reply = test_send(p->server, &(struct test_request){.method = "POST",
                                                        .path = path,
                                                        .body = "priority=1",
                                                        .type = "text/plain"});
    assert_int_equal(reply->status, 415);
    reply = test_get(p->server, JOBS "?status=queued,,running");
    assert_int_equal(reply->status, 400);
    assert_string_equal(test_text(reply->json, "error.param"), "status");
    assert_int_equal(test_get(p->server, JOBS "?status=done")->status, 400);
    assert_int_equal(test_get(p->server, JOBS "?status=")->status, 400);
    reply = test_get(p->server, JOBS "?status=failed");
    assert_int_equal(json_array_size(json_object_get(reply->json, "data")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edits_and_filters_are_checked),
        cmocka_unit_test(a_job_without_training_is_its_parent),
        cmocka_unit_test(a_continued_job_resumes_to_the_same_bytes_and_is_not_a_fresh_one),
        cmocka_unit_test(a_setting_that_contradicts_the_adapter_is_refused),
        cmocka_unit_test(settings_that_agree_with_the_adapter_are_taken),
        cmocka_unit_test(the_adapter_s_labels_are_the_job_s),
        cmocka_unit_test(a_deleted_job_is_gone_and_those_that_started_from_it_go_on),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
