/* Jobs for real, with the bundled base model: from a file to an adapter, and every way to fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/events.h"
#include "daemon/live.h"
#include "daemon/log.h"
#include "daemon/worker.h"
#include "support/scratch.h"
#include "support/state.h"

#define PATIENCE_S 120 /* under ASan, on a busy machine */

/* 20 optimiser steps of 8 examples, pruning at 5, 10, 15 and 20; checkpoints often. */
#define SPEC                                                                                       \
    "{\"seed\": 7, \"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "        \
    "{\"n_epochs\": %d, \"batch_size\": 8, \"prune_interval\": 5, \"checkpoint_steps\": 3, "       \
    "\"max_length\": 24}}}}"

static struct config config = {.workers = 1, .threads = 2};

struct fixture {
    struct store *store;
    struct models *models;
    struct workers *workers;
};

static void start(struct fixture *f)
{
    struct prilora_error err = {0};

    if (workers_start(&f->workers, &config, f->store, f->models, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
}

static void stop(struct fixture *f)
{
    workers_stop(f->workers);
    f->workers = NULL;
}

static int open_all(void **state)
{
    static struct fixture f;
    void *store;

    log_configure(LOG_LEVEL_ERROR, false);
    prilora_init();
    config.memory_limit_mb = 0;
    if (test_store_open(&store) != 0 || models_new(&f.models, "examples", NULL) != PRILORA_OK)
        return -1;
    f.store = store;
    *state = &f;
    start(&f);
    return 0;
}

static int close_all(void **state)
{
    struct fixture *f = *state;

    stop(f);
    models_free(f->models);
    store_close(f->store);
    return 0;
}

/* n sentences of two kinds that words tell apart. */
static char *sentences(size_t n)
{
    static const char *const words[2][4] = {
        {"good", "lovely", "bright", "kind"},
        {"bad", "awful", "dark", "cruel"},
    };
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "{\"text\": \"It was a %s day, number %zu, and %s.\", \"label\": \"%s\"}\n",
                words[i % 2][i / 2 % 4], i, words[i % 2][i / 8 % 4], i % 2 ? "no" : "yes");
    fclose(out);
    return text;
}

struct order {
    const char *model, *name, *training, *validation; /* text of files; validation may be NULL */
    int n_epochs;
};

static void submit(struct fixture *f, const struct order *order, char id[ID_SIZE])
{
    char spec[400];
    struct job job = {.model = strdup(order->model), .suffix = strdup("test"), .seed = 7};

    snprintf(spec, sizeof spec, SPEC, order->n_epochs);
    job.spec = strdup(spec);
    job.training_file = strdup(test_add_file(f->store, order->name, order->training));
    if (order->validation)
        job.validation_file = strdup(test_add_file(f->store, "valid.jsonl", order->validation));
    assert_int_equal(queue_submit(f->store, &job, NULL), PRILORA_OK);
    snprintf(id, ID_SIZE, "%s", job.id);
    job_clear(&job);
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

/* The job when it is over, or in state `until`. */
static struct job wait_for(struct fixture *f, const char *id, enum job_status until)
{
    time_t end = time(NULL) + PATIENCE_S;
    struct job job;

    for (;;) {
        assert_int_equal(queue_get(f->store, id, &job, NULL), PRILORA_OK);
        if (job.status >= JOB_SUCCEEDED || job.status == until)
            return job;
        if (time(NULL) > end)
            fail_msg("job is still %s", job_status_name(job.status));
        job_clear(&job);
        nap();
    }
}

static void wait_for_step(struct fixture *f, const char *id, uint64_t step)
{
    time_t end = time(NULL) + PATIENCE_S;
    struct job_progress progress = {0};

    while (!live_get_progress(id, &progress) || progress.step < step) {
        struct job job;

        assert_int_equal(queue_get(f->store, id, &job, NULL), PRILORA_OK);
        if (job.status >= JOB_SUCCEEDED || time(NULL) > end)
            fail_msg("job is %s at step %" PRIu64 ": %s", job_status_name(job.status),
                     job.progress.step, job.error_message ? job.error_message : "");
        job_clear(&job);
        nap();
    }
}

static char *messages(struct fixture *f, const char *id)
{
    const struct events_query query = {id, NULL, true, 1000};
    struct event *events;
    size_t n, size;
    bool more;
    char *text = NULL;
    FILE *out = open_memstream(&text, &size);

    assert_int_equal(events_list(f->store, &query, &events, &n, &more, NULL), PRILORA_OK);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%s: %s\n", events[i].level, events[i].message);
    fclose(out);
    events_free_list(events, n);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static bool has_file(struct fixture *f, const char *id, const char *name)
{
    char *path = queue_folder(f->store, id, name);
    bool there = access(path, F_OK) == 0;

    free(path);
    return there;
}

static char *adapter(struct fixture *f, const char *id, size_t *size)
{
    char *path = queue_folder(f->store, id, "adapter/adapter_model.safetensors");
    char *bytes = test_file(path, size);

    free(path);
    return bytes;
}

/* ---- success ---- */

static void expect_result(struct fixture *f, const struct job *job)
{
    json_t *result = json_loads(job->result, 0, NULL), *metrics;
    char *config_path = queue_folder(f->store, job->id, "adapter/adapter_config.json");
    size_t size;

    assert_non_null(result);
    metrics = json_object_get(result, "metrics");
    assert_true(json_real_value(json_object_get(metrics, "valid_loss")) > 0);
    assert_true(json_is_real(json_object_get(metrics, "accuracy")));
    assert_string_equal(json_string_value(json_array_get(json_object_get(result, "labels"), 0)),
                        "no");
    assert_int_equal(json_array_size(json_object_get(result, "labels")), 2);
    assert_true(json_real_value(json_object_get(result, "majority_baseline")) == 0.5);
    /* half of A is pruned: 128 and 512 inputs are even, so exactly half */
    assert_int_equal(2 * json_integer_value(json_object_get(result, "n_nonzero")),
                     json_integer_value(json_object_get(result, "n_prunable")));
    free(adapter(f, job->id, &size));
    assert_true(json_integer_value(json_object_get(result, "adapter_bytes")) > (json_int_t)size);
    assert_int_equal(json_integer_value(json_object_get(result, "trained_tokens")),
                     job->trained_tokens);
    assert_true(job->trained_tokens > 0);
    free(test_file(config_path, &size));
    free(config_path);
    json_decref(result);
}

static void expect_series(struct fixture *f, const char *id, enum series series, size_t expected)
{
    struct series_row *rows;
    size_t n;
    bool more;

    assert_int_equal(series_list(f->store, series, id, -1, true, 1000, &rows, &n, &more, NULL),
                     PRILORA_OK);
    assert_int_equal(n, expected);
    series_free_list(rows, n);
}

static void a_job_goes_from_a_file_to_an_adapter(void **state)
{
    struct fixture *f = *state;
    char *training = sentences(80), *validation = sentences(20), *told, id[ID_SIZE], name[80];
    const struct order order = {"prilora-mini-en", "t.jsonl", training, validation, 2};
    struct job job;

    submit(f, &order, id);
    job = wait_for(f, id, JOB_SUCCEEDED);
    told = messages(f, id);
    if (job.status != JOB_SUCCEEDED)
        fail_msg("%s: %s\n%s", job.error_code, job.error_message, told);
    snprintf(name, sizeof name, "ft:prilora-mini-en:test:%s", id + strlen(id) - 8);
    assert_string_equal(job.fine_tuned_model, name);
    assert_int_equal(job.attempts, 1);
    assert_int_equal(job.progress.step, 20);
    assert_int_equal(job.progress.total_steps, 20);
    expect_result(f, &job);
    expect_series(f, id, SERIES_METRICS, 20);
    expect_series(f, id, SERIES_LAYERS, 4);
    expect_series(f, id, SERIES_CHECKPOINTS, 2); /* one evaluation after each epoch */
    assert_has(told, "info: Training data: 80 examples");
    assert_has(told, "2 labels, the most frequent is 50.0 % of all");
    assert_has(told, "info: Validation data: 20 examples");
    assert_has(told, "info: Forecast: 20 steps");
    assert_has(told, "info: Step 20 of 20: pruned");
    assert_has(told, "info: The job has successfully completed");
    assert_null(strstr(told, "warn:"));
    stop(f); /* tidying comes after the end is written */
    assert_false(has_file(f, id, "train.tokens"));
    assert_false(has_file(f, id, "checkpoint"));
    assert_has(job.spec, "\"classification\"");
    assert_has(job.forecast, "\"total_steps\":20");
    free(told);
    free(training);
    free(validation);
    job_clear(&job);
}

static void without_validation_data_a_tenth_is_held_out(void **state)
{
    struct fixture *f = *state;
    char *many = sentences(60), *few = sentences(20), *told, id[ID_SIZE];
    struct job job;

    submit(f, &(struct order){"prilora-mini-en", "t.jsonl", many, NULL, 1}, id);
    job = wait_for(f, id, JOB_SUCCEEDED);
    assert_int_equal(job.status, JOB_SUCCEEDED);
    told = messages(f, id);
    assert_has(told, "info: No validation file: 6 of the 60 training examples");
    assert_has(told, "Validation data: 6 examples");
    free(told);
    job_clear(&job);
    submit(f, &(struct order){"prilora-mini-en", "t.jsonl", few, NULL, 1}, id);
    job = wait_for(f, id, JOB_SUCCEEDED);
    assert_int_equal(job.status, JOB_SUCCEEDED);
    told = messages(f, id);
    assert_has(told, "warn: No validation file, and too few examples to hold some out");
    assert_has(job.result, "\"metrics\":{}");
    free(told);
    job_clear(&job);
    free(many);
    free(few);
}

/* ---- failure ---- */

static void what_cannot_be_trained_fails_with_its_reason(void **state)
{
    static const struct {
        struct order order;
        const char *code, *param, *message, *event;
    } cases[] = {
        {{"no-such-model", "t.jsonl", "{\"text\":\"a\",\"label\":\"x\"}\n", NULL, 1},
         "model_not_found",
         "model",
         "no base model \"no-such-model\" in examples",
         ""},
        {{"prilora-mini-en", "my.jsonl",
          "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"b\",\"label\":\"y\"}\n{\"text\":3}\n",
          NULL, 1},
         "invalid_training_file",
         "training_file",
         "my.jsonl:3",
         "error: my.jsonl:3: "},
        {{"prilora-mini-en", "my.jsonl", "", NULL, 1},
         "invalid_training_file",
         "training_file",
         "my.jsonl",
         ""},
        {{"prilora-mini-en", "t.jsonl",
          "{\"text\":\"a\",\"label\":\"x\"}\n{\"text\":\"b\",\"label\":\"y\"}\n",
          "{\"text\":\"a\",\"label\":\"unheard of\"}\n", 1},
         "invalid_validation_file",
         "validation_file",
         "valid.jsonl:1",
         "error: valid.jsonl:1: "},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char id[ID_SIZE], *told;
        struct job job;

        submit(f, &cases[i].order, id);
        job = wait_for(f, id, JOB_FAILED);
        told = messages(f, id);
        assert_int_equal(job.status, JOB_FAILED);
        assert_string_equal(job.error_code, cases[i].code);
        assert_string_equal(job.error_param, cases[i].param);
        assert_has(job.error_message, cases[i].message);
        assert_has(told, cases[i].event);
        assert_int_equal(job.started_at, 0);
        stop(f);
        assert_false(has_file(f, id, NULL));
        start(f);
        free(told);
        job_clear(&job);
    }
}

static void a_job_that_does_not_fit_is_refused_with_figures(void **state)
{
    struct fixture *f = *state;
    char id[ID_SIZE], *text = sentences(20);
    struct job job;

    stop(f);
    config.memory_limit_mb = 1;
    start(f);
    submit(f, &(struct order){"prilora-mini-en", "t.jsonl", text, NULL, 1}, id);
    job = wait_for(f, id, JOB_FAILED);
    assert_int_equal(job.status, JOB_FAILED);
    assert_string_equal(job.error_code, "not_enough_memory");
    assert_has(job.error_message, "but training.memory_limit_mb is 1 MiB");
    job_clear(&job);
    free(text);
}

/* ---- stopping ---- */

static void a_cancelled_job_keeps_its_best_adapter(void **state)
{
    struct fixture *f = *state;
    char id[ID_SIZE], *training = sentences(80), *validation = sentences(10);
    struct job job;
    size_t size;

    submit(f, &(struct order){"prilora-mini-en", "t.jsonl", training, validation, 1000}, id);
    wait_for_step(f, id, 12); /* of 10,000 */
    assert_int_equal(queue_cancel(f->store, id, &job, NULL), PRILORA_OK);
    assert_true(job.status == JOB_RUNNING);
    job_clear(&job);
    job = wait_for(f, id, JOB_CANCELLED);
    assert_int_equal(job.status, JOB_CANCELLED);
    assert_true(job.progress.step < 10000);
    assert_non_null(job.fine_tuned_model);
    assert_non_null(job.result);
    free(adapter(f, id, &size));
    stop(f);
    assert_false(has_file(f, id, "checkpoint"));
    job_clear(&job);
    free(training);
    free(validation);
}

static void layers_can_be_read_while_a_job_runs(void **state)
{
    struct fixture *f = *state;
    char id[ID_SIZE], *training = sentences(80);
    struct prilora_layer *layers = NULL;
    uint64_t step = 0;
    struct job job;
    size_t n;

    submit(f, &(struct order){"prilora-mini-en", "t.jsonl", training, NULL, 1000}, id);
    wait_for_step(f, id, 11);
    do {
        free(layers);
        n = live_get_layers(id, &layers, &step);
    } while (step < 10);
    assert_int_equal(n, 36); /* six maps in each of six layers */
    assert_string_equal(layers[0].map, "query");
    assert_int_equal(layers[0].rank, 4);
    assert_int_equal(layers[35].rank, 12);
    assert_true(layers[0].n_prunings >= 2);
    free(layers);
    queue_cancel(f->store, id, &job, NULL);
    job_clear(&job);
    job = wait_for(f, id, JOB_CANCELLED);
    job_clear(&job);
    free(training);
}

static void a_restarted_daemon_ends_with_the_same_adapter(void **state)
{
    struct fixture *f = *state;
    char whole[ID_SIZE], cut[ID_SIZE], *training = sentences(80), *validation = sentences(10);
    const struct order order = {"prilora-mini-en", "t.jsonl", training, validation, 4};
    char *a, *b, *told;
    size_t size_a, size_b, n;
    struct job job;

    submit(f, &order, whole);
    job = wait_for(f, whole, JOB_SUCCEEDED);
    assert_int_equal(job.status, JOB_SUCCEEDED);
    job_clear(&job);
    submit(f, &order, cut);
    for (uint64_t step = 7; step < 30; step += 11) {
        wait_for_step(f, cut, step);
        stop(f);
        assert_int_equal(test_job_status(f->store, cut), JOB_QUEUED);
        assert_true(has_file(f, cut, "checkpoint"));
        assert_int_equal(queue_recover(f->store, &n, NULL), PRILORA_OK);
        assert_int_equal(n, 0); /* it was put back in good order */
        start(f);
    }
    job = wait_for(f, cut, JOB_SUCCEEDED);
    assert_int_equal(job.status, JOB_SUCCEEDED);
    assert_int_equal(job.attempts, 1);
    told = messages(f, cut);
    assert_has(told, "info: Going on from the checkpoint of step");
    assert_has(told, "info: prilorad is stopping; the job goes on when it is back");
    expect_series(f, cut, SERIES_METRICS, 40);
    expect_series(f, cut, SERIES_LAYERS, 8);
    a = adapter(f, whole, &size_a);
    b = adapter(f, cut, &size_b);
    assert_int_equal(size_a, size_b);
    assert_memory_equal(a, b, size_a);
    free(a);
    free(b);
    free(told);
    job_clear(&job);
    free(training);
    free(validation);
}

/* Reading this takes many seconds, and a stop does not wait for it. */
static void a_stop_does_not_wait_for_a_validation(void **state)
{
    struct fixture *f = *state;
    char id[ID_SIZE], *training = sentences(400000), *told;
    const struct order order = {"prilora-mini-en", "t.jsonl", training, NULL, 1};
    time_t start_s;
    struct job job;
    size_t n;
    bool found;

    submit(f, &order, id);
    for (int i = 0; i < 100; i++)
        nap();
    start_s = time(NULL);
    stop(f);
    assert_true(time(NULL) - start_s <= 3);
    assert_int_equal(test_job_status(f->store, id), JOB_VALIDATING);
    told = messages(f, id);
    assert_has(told, "info: prilorad is stopping; validation starts over when it is back");
    assert_int_equal(queue_recover(f->store, &n, NULL), PRILORA_OK); /* nothing was lost */
    assert_int_equal(queue_claim(f->store, JOB_VALIDATING, 0, &job, &found, NULL), PRILORA_OK);
    assert_true(found);
    assert_string_equal(job.id, id);
    job_clear(&job);
    free(told);
    free(training);
}

#define ON_WORKERS(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_WORKERS(a_job_goes_from_a_file_to_an_adapter),
        ON_WORKERS(without_validation_data_a_tenth_is_held_out),
        ON_WORKERS(what_cannot_be_trained_fails_with_its_reason),
        ON_WORKERS(a_job_that_does_not_fit_is_refused_with_figures),
        ON_WORKERS(a_cancelled_job_keeps_its_best_adapter),
        ON_WORKERS(layers_can_be_read_while_a_job_runs),
        ON_WORKERS(a_restarted_daemon_ends_with_the_same_adapter),
        ON_WORKERS(a_stop_does_not_wait_for_a_validation),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
