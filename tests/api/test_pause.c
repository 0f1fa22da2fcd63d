/*
 * test_pause.c - jobs that are paused, in every moment of their life, and resumed: they end with
 * the bytes that an undisturbed run gives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "support/server.h"

#define JOBS    "/v1/fine_tuning/jobs"
#define N_STEPS 24 /* 32 rows in batches of 4, three times */

struct undisturbed {
    char *adapter; /* adapter_model.safetensors */
    size_t size;
};

/* The same job for everyone: dropout, shuffling and pruning all depend on its seed alone. */
static void submit(struct test_server *server, const char *more, char id[64])
{
    char json[800], *text = test_sentences(32, 1);

    snprintf(
        json, sizeof json,
        "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"seed\": 11, %s"
        "\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": {\"n_epochs\": "
        "3, \"batch_size\": 4, \"max_length\": 16, \"prune_interval\": 4, "
        "\"checkpoint_steps\": 5, \"hidden_dropout\": 0.1}}}}",
        test_upload(server, "a.jsonl", text), more);
    free(text);
    snprintf(id, 64, "%s", test_create_job(server, json));
}

/* A job that would train for hours. */
static void submit_long(struct test_server *server, char id[64])
{
    char json[500], *text = test_sentences(32, 2);

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"method\": {\"type\": "
             "\"prilora\", \"prilora\": {\"hyperparameters\": {\"n_epochs\": 10000, "
             "\"batch_size\": 4, \"max_length\": 16}}}}",
             test_upload(server, "long.jsonl", text));
    free(text);
    snprintf(id, 64, "%s", test_create_job(server, json));
}

static struct test_reply *steer(struct test_server *server, const char *id, const char *what)
{
    char path[128];

    snprintf(path, sizeof path, JOBS "/%s/%s", id, what);
    return test_post(server, path, NULL);
}

static void must_steer(struct test_server *server, const char *id, const char *what)
{
    struct test_reply *reply = steer(server, id, what);

    if (reply->status != 200)
        fail_msg("%s: %ld %s", what, reply->status, reply->body);
}

static void nap(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

static void finish_as(const struct undisturbed *u, struct test_server *server, const char *id)
{
    struct test_reply *reply = test_finish_job(server, id);

    assert_int_equal(reply->size, u->size);
    assert_memory_equal(reply->body, u->adapter, u->size);
}

static int open_group(void **state)
{
    struct undisturbed *u = calloc(1, sizeof *u);
    struct test_server *server = test_server_new(NULL);
    struct test_reply *reply;
    char id[64];

    submit(server, "", id);
    reply = test_finish_job(server, id);
    u->adapter = malloc(reply->size);
    u->size = reply->size;
    memcpy(u->adapter, reply->body, reply->size);
    test_server_free(server);
    *state = u;
    return 0;
}

static int close_group(void **state)
{
    struct undisturbed *u = *state;

    free(u->adapter);
    free(u);
    return 0;
}

static void a_job_paused_twice_ends_with_the_same_bytes(void **state)
{
    const char *const settings[] = {"--training.threads=1", NULL};
    struct test_server *server = test_server_new(settings);
    char id[64];
    const json_t *job;

    submit(server, "", id);
    for (json_int_t step = 3; step < 10; step += 6) {
        test_wait_step(server, id, step);
        must_steer(server, id, "pause");
        job = test_wait_job(server, id, "paused");
        assert_string_equal(test_text(job, "status"), "paused");
        assert_true(json_is_false(test_member(job, "pause_requested")));
        assert_true(json_is_null(test_member(job, "progress.seconds_left")));
        assert_true(test_integer(job, "progress.step") >= step);
        assert_true(test_integer(job, "progress.step") < N_STEPS);
        assert_int_equal(steer(server, id, "pause")->status, 409);
        must_steer(server, id, "resume");
    }
    finish_as(*state, server, id);
    assert_int_equal(steer(server, id, "resume")->status, 409);
    test_server_free(server);
}

/* Wherever the pauses and their taking back fall: loading, training, evaluating, exporting. */
static void a_storm_of_pauses_changes_no_bit(void **state)
{
    struct test_server *server = test_server_new(NULL);
    char id[64];
    long status = 200;

    submit(server, "", id);
    for (long i = 0; i < 40 && status == 200; i++) {
        const char *what = i % 2 ? "resume" : "pause";
        struct test_reply *reply = steer(server, id, what);

        status = reply->status;
        if (status != 200) { /* only because it is over */
            assert_int_equal(status, 409);
            assert_non_null(strstr(reply->body, "it is succeeded"));
        }
        nap(i * 37 % 200);
    }
    finish_as(*state, server, id); /* an even number of requests: the last one was to resume */
    test_server_free(server);
}

static void a_paused_job_stays_paused_over_a_restart(void **state)
{
    struct test_server *server = test_server_new(NULL);
    char id[64];

    submit(server, "", id);
    test_wait_step(server, id, 3);
    must_steer(server, id, "pause");
    test_wait_job(server, id, "paused");
    test_server_kill(server);
    test_server_start(server);
    nap(300); /* long enough for a worker to take it, if it were queued */
    assert_string_equal(test_text(test_get(server, JOBS "/%s", id)->json, "status"), "paused");
    test_server_stop(server);
    test_server_start(server);
    assert_string_equal(test_text(test_get(server, JOBS "/%s", id)->json, "status"), "paused");
    must_steer(server, id, "resume");
    finish_as(*state, server, id);
    test_server_free(server);
}

/* The daemon ends between the request and the pause, or just after it: the job is paused. */
static void end_while_pausing(const struct undisturbed *u, void (*end)(struct test_server *))
{
    struct test_server *server = test_server_new(NULL);
    const json_t *job;
    char id[64];

    submit(server, "", id);
    test_wait_step(server, id, 6);
    must_steer(server, id, "pause");
    end(server);
    test_server_start(server);
    job = test_get(server, JOBS "/%s", id)->json;
    assert_string_equal(test_text(job, "status"), "paused");
    assert_true(json_is_false(test_member(job, "pause_requested")));
    must_steer(server, id, "resume");
    finish_as(u, server, id);
    test_server_free(server);
}

static void a_pause_outlives_sigkill(void **state)
{
    end_while_pausing(*state, test_server_kill);
}

static void a_pause_outlives_sigterm(void **state)
{
    end_while_pausing(*state, test_server_stop);
}

static void a_queued_and_a_validating_job_are_paused_too(void **state)
{
    struct test_server *server = test_server_new(NULL);
    char blocker[64], queued[64], fresh[64];

    submit_long(server, blocker);
    test_wait_step(server, blocker, 1);
    submit(server, "", queued);
    test_wait_job(server, queued, "queued");
    must_steer(server, queued, "pause");
    assert_string_equal(test_text(test_get(server, JOBS "/%s", queued)->json, "status"), "paused");
    submit(server, "", fresh);
    must_steer(server, fresh, "pause");
    assert_string_equal(test_text(test_wait_job(server, fresh, "paused"), "status"), "paused");
    must_steer(server, blocker, "cancel");
    test_wait_job(server, blocker, "cancelled");
    must_steer(server, fresh, "resume");
    finish_as(*state, server, fresh);
    must_steer(server, queued, "resume");
    finish_as(*state, server, queued);
    test_server_free(server);
}

/* With one worker: a long job runs, another one waits before the third, until the third is put
 * first and the first out of the way. */
static void a_paused_job_frees_its_worker_and_priority_decides_who_gets_it(void **state)
{
    struct test_server *server = test_server_new(NULL);
    char first[64], second[64], third[64], path[128];
    struct test_reply *reply;

    submit_long(server, first);
    test_wait_step(server, first, 1);
    submit_long(server, second);
    test_wait_job(server, second, "queued");
    submit(server, "", third);
    test_wait_job(server, third, "queued");
    snprintf(path, sizeof path, JOBS "/%s", third);
    reply = test_post(server, path, "{\"priority\": 5, \"metadata\": {\"why\": \"urgent\"}}");
    assert_int_equal(reply->status, 200);
    assert_int_equal(test_integer(reply->json, "priority"), 5);
    assert_string_equal(test_text(reply->json, "metadata.why"), "urgent");
    must_steer(server, first, "pause");
    finish_as(*state, server, third);
    assert_string_equal(test_text(test_get(server, JOBS "/%s", first)->json, "status"), "paused");
    reply = test_get(server, JOBS "?status=paused,succeeded&limit=1");
    assert_string_equal(test_text(reply->json, "data.0.id"), third);
    reply = test_get(server, JOBS "?status=paused,succeeded&limit=1&after=%s", third);
    assert_string_equal(test_text(reply->json, "data.0.id"), first);
    assert_true(json_is_false(test_member(reply->json, "has_more")));
    must_steer(server, second, "cancel");
    test_wait_job(server, second, "cancelled");
    test_server_free(server);
}

static void a_paused_job_that_is_cancelled_keeps_its_best_adapter(void **state)
{
    struct test_server *server = test_server_new(NULL);
    const json_t *job;
    char id[64], fresh[64], blocker[64];

    (void)state;
    submit(server, "", id);
    test_wait_step(server, id, 6);
    must_steer(server, id, "pause");
    test_wait_job(server, id, "paused");
    must_steer(server, id, "cancel");
    job = test_wait_job(server, id, "cancelled");
    assert_string_equal(test_text(job, "status"), "cancelled");
    assert_true(*test_text(job, "fine_tuned_model"));
    assert_true(test_integer(job, "result.best_step") >= 6);
    assert_true(test_integer(job, "result.best_step") < N_STEPS);
    assert_int_equal(test_get(server, JOBS "/%s/adapter", id)->status, 200);
    /* one that has not trained is cancelled at once */
    submit_long(server, blocker);
    test_wait_step(server, blocker, 1);
    submit(server, "", fresh);
    test_wait_job(server, fresh, "queued");
    must_steer(server, fresh, "pause");
    must_steer(server, fresh, "cancel");
    job = test_get(server, JOBS "/%s", fresh)->json;
    assert_string_equal(test_text(job, "status"), "cancelled");
    assert_true(json_is_null(test_member(job, "fine_tuned_model")));
    must_steer(server, blocker, "cancel");
    test_wait_job(server, blocker, "cancelled");
    test_server_free(server);
}

static void a_refusal_names_the_state_and_is_not_to_be_retried(void **state)
{
    static const struct {
        const char *what, *code;
    } cases[] = {
        {"pause", "job_cannot_be_paused"},
        {"resume", "job_is_not_paused"},
        {"cancel", "job_is_over"},
    };
    struct test_server *server = test_server_new(NULL);
    char id[64], expected[160];

    (void)state;
    submit(server, "\"priority\": -5, ", id);
    steer(server, id, "cancel");
    test_wait_job(server, id, "cancelled");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct test_reply *reply = steer(server, id, cases[i].what);

        assert_int_equal(reply->status, 409);
        assert_string_equal(test_header(reply, "x-should-retry"), "false");
        assert_string_equal(test_text(reply->json, "error.code"), cases[i].code);
        snprintf(expected, sizeof expected, "cannot %s job %s: it is cancelled", cases[i].what, id);
        assert_string_equal(test_text(reply->json, "error.message"), expected);
        reply = steer(server, "ftjob-none", cases[i].what);
        assert_int_equal(reply->status, 404);
        assert_string_equal(test_text(reply->json, "error.code"), "job_not_found");
    }
    test_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_paused_twice_ends_with_the_same_bytes),
        cmocka_unit_test(a_storm_of_pauses_changes_no_bit),
        cmocka_unit_test(a_paused_job_stays_paused_over_a_restart),
        cmocka_unit_test(a_pause_outlives_sigkill),
        cmocka_unit_test(a_pause_outlives_sigterm),
        cmocka_unit_test(a_queued_and_a_validating_job_are_paused_too),
        cmocka_unit_test(a_paused_job_frees_its_worker_and_priority_decides_who_gets_it),
        cmocka_unit_test(a_paused_job_that_is_cancelled_keeps_its_best_adapter),
        cmocka_unit_test(a_refusal_names_the_state_and_is_not_to_be_retried),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
