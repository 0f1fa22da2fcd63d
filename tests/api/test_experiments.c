/*
 * test_experiments.c - grids over HTTP: what is wrong with one is said before anything is queued,
 * its jobs are those that would have been submitted one by one, read their files once, and are all
 * there after a crash.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/server.h"

#define EXPERIMENTS "/v1/experiments"
#define JOBS        "/v1/fine_tuning/jobs"
#define METHODS                                                                                    \
    "\"methods\": [{\"name\": \"prilora\", \"method\": {\"type\": \"prilora\", \"prilora\": "      \
    "{\"hyperparameters\": {\"prune_interval\": 1}}}}, {\"name\": \"lora\", \"method\": "          \
    "{\"type\": \"lora\"}}]"
#define QUICK                                                                                      \
    "\"hyperparameters\": {\"max_steps\": 2, \"batch_size\": 8, \"max_length\": 16, "              \
    "\"learning_rate\": 2e-3}"

struct fixture {
    struct test_server *server;
    char train[64], valid[64];
};

static void upload_both(struct fixture *f)
{
    char *train = test_sentences(64, 1), *valid = test_sentences(16, 1000);

    snprintf(f->train, sizeof f->train, "%s", test_upload(f->server, "train.jsonl", train));
    snprintf(f->valid, sizeof f->valid, "%s", test_upload(f->server, "valid.jsonl", valid));
    free(train);
    free(valid);
}

static int open_one(void **state)
{
    static const char *const settings[] = {"--training.threads=1", "--training.workers=2", NULL};
    struct fixture *f = calloc(1, sizeof *f);

    f->server = test_server_new(settings);
    upload_both(f);
    *state = f;
    return 0;
}

static int close_one(void **state)
{
    struct fixture *f = *state;

    test_server_free(f->server);
    free(f);
    return 0;
}

/* Two methods, two seeds; a task with validation data, one with a part held out. */
static const char *usual(const struct fixture *f)
{
    static char json[1500];

    snprintf(json, sizeof json,
             "{\"name\": \"first\", \"model\": \"prilora-mini-en\", \"seeds\": [3, 4], "
             "\"metadata\": {\"team\": \"a\"}, " METHODS
             ", \"tasks\": [{\"name\": \"given\", \"training_file\": \"%s\", \"validation_file\": "
             "\"%s\", " QUICK "}, {\"name\": \"held out\", \"training_file\": \"%s\", " QUICK "}]}",
             f->train, f->valid, f->train);
    return json;
}

static const char *create(const struct fixture *f, const char *json)
{
    static char id[64];
    struct test_reply *reply = test_post(f->server, EXPERIMENTS, json);

    if (reply->status != 200)
        fail_msg("%ld %s", reply->status, reply->body);
    snprintf(id, sizeof id, "%s", test_text(reply->json, "id"));
    return id;
}

static const json_t *wait_for(const struct fixture *f, const char *id, const char *status)
{
    for (int i = 0; i < 6000; i++) { /* ten minutes */
        struct test_reply *reply = test_get(f->server, EXPERIMENTS "/%s", id);

        assert_int_equal(reply->status, 200);
        if (strcmp(test_text(reply->json, "status"), status) == 0)
            return reply->json;
        if (strcmp(test_text(reply->json, "status"), "running") != 0)
            fail_msg("%s", reply->body);
        usleep(100000);
    }
    fail_msg("%s is not %s", id, status);
    return NULL;
}

static long figure(const struct fixture *f, const char *name)
{
    struct test_reply *reply = test_get(f->server, "/metrics");
    const char *line = reply->body;
    size_t n = strlen(name);

    for (; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, n) == 0 && line[n] == ' ')
            return strtol(line + n, NULL, 10);
    }
    fail_msg("no %s", name);
    return -1;
}

static size_t count_jobs(const struct fixture *f, const char *query)
{
    return json_array_size(
        json_object_get(test_get(f->server, JOBS "?limit=100%s", query)->json, "data"));
}

static double number(const json_t *object, const char *path)
{
    const json_t *value = test_member(object, path);

    assert_true(json_is_number(value));
    return json_number_value(value);
}

/* ---- the whole path ---- */

static void expect_results(const struct fixture *f, const char *id)
{
    struct test_reply *reply = test_get(f->server, EXPERIMENTS "/%s/results", id);
    const json_t *json = reply->json;

    assert_int_equal(reply->status, 200);
    assert_int_equal(json_array_size(json_object_get(json, "cells")), 4);
    for (int i = 0; i < 4; i++) {
        char path[40];

        snprintf(path, sizeof path, "cells.%d.n", i);
        assert_int_equal(test_integer(json, path), 2);
        snprintf(path, sizeof path, "cells.%d.metric", i);
        assert_string_equal(test_text(json, path), "accuracy");
        snprintf(path, sizeof path, "cells.%d.mean", i);
        assert_true(number(json, path) >= 0 && number(json, path) <= 1);
    }
    assert_string_equal(test_text(json, "cells.0.method"), "prilora");
    assert_string_equal(test_text(json, "cells.1.task"), "held out");
    /* half of A is zero */
    assert_true(number(json, "cells.0.n_nonzero") < number(json, "cells.0.n_trainable"));
    assert_true(number(json, "cells.2.n_nonzero") == number(json, "cells.2.n_trainable"));
    assert_string_equal(test_text(json, "comparisons.0.method"), "prilora");
    assert_string_equal(test_text(json, "comparisons.0.baseline"), "lora");
    assert_int_equal(test_integer(json, "comparisons.0.all.n"), 4);
}

static void expect_forms(const struct fixture *f, const char *id)
{
    struct test_request request = {.method = "GET", .headers = {"Accept: text/csv", NULL}};
    char path[120];
    struct test_reply *reply;

    snprintf(path, sizeof path, EXPERIMENTS "/%s/results", id);
    request.path = path;
    reply = test_send(f->server, &request);
    assert_int_equal(reply->status, 200);
    assert_non_null(strstr(test_header(reply, "Content-Type"), "text/csv"));
    assert_int_equal(strncmp(reply->body, "method,task,metric,", 19), 0);
    request.headers[0] = "Accept: text/markdown";
    reply = test_send(f->server, &request);
    assert_non_null(strstr(test_header(reply, "Content-Type"), "text/markdown"));
    assert_non_null(strstr(reply->body, "| given (accuracy) | held out (accuracy) | mean |"));
    assert_non_null(strstr(reply->body, "| prilora − lora | pairs |"));
    reply = test_get(f->server, EXPERIMENTS "/%s/results?format=csv&metric=loss", id);
    assert_non_null(strstr(reply->body, "lora,given,valid_loss,2,2,0,"));
    reply = test_get(f->server, EXPERIMENTS "/%s/results?compare=lora,prilora", id);
    assert_string_equal(test_text(reply->json, "comparisons.0.method"), "lora");
}

static void bad_questions_are_refused(const struct fixture *f, const char *id)
{
    static const struct {
        const char *query, *param;
    } cases[] = {
        {"format=xml", "format"},
        {"metric=bleu", "metric"},
        {"metric=", "metric"},
        {"compare=lora", "compare"},
        {"compare=lora,lora", "compare"},
        {"compare=lora,none", "compare"},
        {"compare=,", "compare"},
        {"colour=red", "colour"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct test_reply *reply =
            test_get(f->server, EXPERIMENTS "/%s/results?%s", id, cases[i].query);

        assert_int_equal(reply->status, 400);
        assert_string_equal(test_text(reply->json, "error.param"), cases[i].param);
    }
    assert_int_equal(test_get(f->server, EXPERIMENTS "/exp-none/results")->status, 404);
    assert_int_equal(test_get(f->server, EXPERIMENTS "/exp-none/jobs")->status, 404);
    assert_int_equal(test_get(f->server, EXPERIMENTS "?after=exp-none")->status, 400);
}

static void a_grid_comes_to_a_table(void **state)
{
    struct fixture *f = *state;
    char id[64], query[160];
    const json_t *e;

    snprintf(id, sizeof id, "%s", create(f, usual(f)));
    e = wait_for(f, id, "succeeded");
    assert_int_equal(test_integer(e, "jobs.succeeded"), 8);
    assert_int_equal(test_integer(e, "n_cells"), 8);
    assert_true(number(e, "progress.percent") == 100);
    assert_string_equal(test_text(e, "name"), "first");
    assert_string_equal(test_text(e, "metadata.team"), "a");
    assert_true(test_integer(e, "finished_at") >= test_integer(e, "started_at"));
    expect_results(f, id);
    expect_forms(f, id);
    bad_questions_are_refused(f, id);
    snprintf(query, sizeof query, "&experiment=%s&status=succeeded&metadata%%5Bteam%%5D=a", id);
    assert_int_equal(count_jobs(f, query), 8);
    assert_int_equal(count_jobs(f, "&experiment=exp-none"), 0);
    e = test_get(f->server, EXPERIMENTS "/%s/jobs?limit=3", id)->json;
    assert_int_equal(json_array_size(json_object_get(e, "data")), 3);
    assert_true(json_is_true(json_object_get(e, "has_more")));
    assert_string_equal(test_text(e, "data.0.experiment.id"), id);
    assert_string_equal(test_text(e, "data.0.experiment.method"), "lora");
    assert_string_equal(test_text(e, "data.0.experiment.task"), "held out");
    assert_int_equal(test_integer(e, "data.0.seed"), 4);
    /* 8 jobs need 12 files; that of training is the same for both tasks */
    assert_int_equal(figure(f, "prilorad_data_files_read_total"), 2);
    assert_int_equal(figure(f, "prilorad_data_files_shared_total"), 10);
    assert_int_equal(test_count_files(f->server, "state/reads"), 0);
}

/* What an experiment's job has from another one is what it would have read. */
static void its_jobs_are_what_they_would_be_alone(void **state)
{
    struct fixture *f = *state;
    char id[64], json[700], *bytes[2];
    const json_t *list;
    struct test_reply *reply;
    size_t sizes[2];

    snprintf(id, sizeof id, "%s", create(f, usual(f)));
    wait_for(f, id, "succeeded");
    list = test_get(f->server, EXPERIMENTS "/%s/jobs?limit=1", id)->json; /* lora, held out, 4 */
    snprintf(json, sizeof json, "%s", test_text(list, "data.0.id"));
    reply = test_finish_job(f->server, json);
    sizes[0] = reply->size;
    bytes[0] = malloc(reply->size);
    memcpy(bytes[0], reply->body, reply->size);
    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"seed\": 4, "
             "\"method\": {\"type\": \"lora\", \"lora\": {" QUICK "}}}",
             f->train);
    reply = test_finish_job(f->server, test_create_job(f->server, json));
    sizes[1] = reply->size;
    bytes[1] = reply->body;
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    free(bytes[0]);
}

/* ---- what is wrong ---- */

static void what_is_wrong_is_named_and_nothing_queued(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *methods, *tasks; /* tasks: %s is the file */
        long status;
        const char *param, *part;
    } cases[] = {
        {METHODS, "{\"name\": \"t\", \"training_file\": \"file-none\"}", 400,
         "tasks.0.training_file", "no such file"},
        {METHODS,
         "{\"name\": \"t\", \"training_file\": \"%s\"}, {\"name\": \"u\", \"training_file\": "
         "\"%s\", \"validation_file\": \"file-x\"}",
         400, "tasks.1.validation_file", "no such file"},
        {METHODS, "{\"name\": \"t\"}", 400, "tasks.0.training_file", "missing"},
        {METHODS, "{\"name\": \"t\", \"training_file\": \"%s\", \"task\": {\"type\": \"x\"}}", 400,
         "tasks.0.task.type", "method \\\"prilora\\\" on task \\\"t\\\""},
        {METHODS,
         "{\"name\": \"t\", \"training_file\": \"%s\", \"hyperparameters\": {\"n_epochs\": -1}}",
         400, "tasks.0.hyperparameters.n_epochs", "n_epochs"},
        {METHODS,
         "{\"name\": \"t\", \"training_file\": \"%s\", \"hyperparameters\": {\"rank_end\": 9}}",
         400, "tasks.0.hyperparameters.rank_end", "method \\\"lora\\\""},
        {"\"methods\": [{\"name\": \"a\", \"method\": {\"type\": \"lora\"}}, {\"name\": \"b\", "
         "\"method\": {\"type\": \"lora\", \"lora\": {\"hyperparameters\": {\"r\": 0}}}}]",
         "{\"name\": \"t\", \"training_file\": \"%s\"}", 400,
         "methods.1.method.lora.hyperparameters.r", "r"},
        {"\"methods\": [{\"name\": \"a\", \"method\": {\"type\": \"none\"}}]",
         "{\"name\": \"t\", \"training_file\": \"%s\"}", 400, "methods.0.method.type", "none"},
        {METHODS ", \"priority\": 1000", "{\"name\": \"t\", \"training_file\": \"%s\"}", 400,
         "priority", "1000"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char tasks[400], json[1500];
        struct test_reply *reply;
        const char *rest = strstr(cases[i].tasks, "%s");

        snprintf(tasks, sizeof tasks, "%s", cases[i].tasks);
        while (rest) { /* at most two places */
            char filled[400];
            const char *place = strstr(tasks, "%s");

            snprintf(filled, sizeof filled, "%.*s%s%s", (int)(place - tasks), tasks, f->train,
                     place + 2);
            memcpy(tasks, filled, sizeof tasks);
            rest = strstr(tasks, "%s");
        }
        snprintf(json, sizeof json,
                 "{\"model\": \"prilora-mini-en\", \"seeds\": 2, %s, "
                 "\"tasks\": [%s]}",
                 cases[i].methods, tasks);
        reply = test_post(f->server, EXPERIMENTS, json);
        if (reply->status != cases[i].status ||
            strcmp(test_text(reply->json, "error.param"), cases[i].param) != 0 ||
            !strstr(reply->body, cases[i].part))
            fail_msg("%s: %ld %s", json, reply->status, reply->body);
    }
    assert_int_equal(count_jobs(f, ""), 0);
    assert_int_equal(
        json_array_size(json_object_get(test_get(f->server, EXPERIMENTS)->json, "data")), 0);
}

static void the_same_request_again_is_the_same_experiment(void **state)
{
    struct fixture *f = *state;
    struct test_request request = {.method = "POST",
                                   .path = EXPERIMENTS,
                                   .body = usual(f),
                                   .headers = {"Idempotency-Key: one", NULL}};
    char id[64];

    snprintf(id, sizeof id, "%s", test_text(test_send(f->server, &request)->json, "id"));
    assert_string_equal(test_text(test_send(f->server, &request)->json, "id"), id);
    assert_int_equal(count_jobs(f, ""), 8);
    request.body = "{}";
    assert_int_equal(test_send(f->server, &request)->status, 400);
}

/* ---- steering, and crashes ---- */

static struct test_reply *act(const struct fixture *f, const char *id, const char *verb)
{
    char path[120];

    snprintf(path, sizeof path, EXPERIMENTS "/%s/%s", id, verb);
    return test_post(f->server, path, NULL);
}

static void one_is_paused_cancelled_tried_again_and_deleted(void **state)
{
    struct fixture *f = *state;
    char id[64], path[120];
    struct test_reply *reply;

    snprintf(id, sizeof id, "%s", create(f, usual(f)));
    reply = act(f, id, "pause");
    assert_int_equal(reply->status, 200);
    reply = act(f, id, "resume");
    assert_int_equal(reply->status, 200);
    reply = act(f, id, "retry");
    assert_int_equal(reply->status, 409);
    assert_string_equal(test_text(reply->json, "error.code"), "nothing_to_retry");
    snprintf(path, sizeof path, EXPERIMENTS "/%s", id);
    reply = test_send(f->server, &(struct test_request){.method = "DELETE", .path = path});
    assert_int_equal(reply->status, 409);
    assert_string_equal(test_text(reply->json, "error.code"), "experiment_cannot_be_deleted");
    reply = act(f, id, "cancel");
    assert_int_equal(reply->status, 200);
    wait_for(f, id, "cancelled");
    assert_int_equal(act(f, id, "cancel")->status, 409);
    assert_int_equal(act(f, id, "pause")->status, 409);
    assert_int_equal(act(f, id, "retry")->status, 200);
    wait_for(f, id, "succeeded");
    expect_results(f, id);
    reply = test_send(f->server, &(struct test_request){.method = "DELETE", .path = path});
    assert_int_equal(reply->status, 200);
    assert_string_equal(test_text(reply->json, "object"), "experiment");
    assert_int_equal(test_get(f->server, EXPERIMENTS "/%s", id)->status, 404);
    snprintf(path, sizeof path, "&experiment=%s", id);
    assert_int_equal(count_jobs(f, path), 0);
    for (const char *const *verb =
             (const char *const[]){"cancel", "pause", "resume", "retry", NULL};
         *verb; verb++)
        assert_int_equal(act(f, id, *verb)->status, 404);
}

/* The values, seed by seed. */
static char *values_of(const struct fixture *f, const char *id)
{
    const json_t *cells =
        json_object_get(test_get(f->server, EXPERIMENTS "/%s/results?metric=loss", id)->json,
                        "cells");
    json_t *values = json_array(), *cell, *run;
    size_t i, s;
    char *text;

    json_array_foreach (cells, i, cell)
        json_array_foreach (json_object_get(cell, "runs"), s, run)
            json_array_append(values, json_object_get(run, "value"));
    assert_int_equal(json_array_size(values), 8);
    text = json_dumps(values, 0);
    json_decref(values);
    return text;
}

static void what_was_begun_goes_on_after_crashes(void **state)
{
    struct fixture *f = *state;
    char id[64], *undisturbed, *killed;

    snprintf(id, sizeof id, "%s", create(f, usual(f)));
    wait_for(f, id, "succeeded");
    undisturbed = values_of(f, id);
    snprintf(id, sizeof id, "%s", create(f, usual(f)));
    for (int i = 0; i < 2; i++) { /* at once: validated in part; then: trained in part */
        test_server_kill(f->server);
        test_server_start(f->server);
        usleep(700000);
    }
    wait_for(f, id, "succeeded");
    killed = values_of(f, id);
    assert_string_equal(undisturbed, killed);
    free(undisturbed);
    free(killed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_one, close_one)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_grid_comes_to_a_table),
        TEST(its_jobs_are_what_they_would_be_alone),
        TEST(what_is_wrong_is_named_and_nothing_queued),
        TEST(the_same_request_again_is_the_same_experiment),
        TEST(one_is_paused_cancelled_tried_again_and_deleted),
        TEST(what_was_begun_goes_on_after_crashes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
