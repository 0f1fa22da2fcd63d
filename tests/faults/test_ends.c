/*
 * test_ends.c - a job under which the daemon dies three times, administrators who restart it, and a
 * wall clock that is set, back or forth.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/faulty.h"

#define JOBS "/v1/fine_tuning/jobs"
#define OVER "succeeded|failed|cancelled"
#define HOUR 3600L

static void submit(struct test_server *server, const char *settings, char id[64])
{
    char json[700], *text = test_sentences(32, 1);

    snprintf(
        json, sizeof json,
        "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"seed\": 11, \"method\": "
        "{\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": {%s}}}}",
        test_upload(server, "a.jsonl", text), settings);
    free(text);
    snprintf(id, 64, "%s", test_create_job(server, json));
}

#define LONG_WITHOUT_CHECKPOINT                                                                    \
    "\"n_epochs\": 1000, \"batch_size\": 4, \"max_length\": 16, \"checkpoint_steps\": 100000"

/* ---- deaths ---- */

static void a_job_that_ends_the_daemon_three_times_is_not_tried_again(void **state)
{
    struct test_server *server = test_server_new(NULL);
    struct test_reply *reply;
    char id[64], other[64];

    (void)state;
    submit(server, LONG_WITHOUT_CHECKPOINT, id);
    for (int i = 0; i < 3; i++) {
        test_wait_step(server, id, 2);
        test_server_kill(server);
        test_server_start(server);
    }
    reply = test_get(server, JOBS "/%s", id);
    assert_string_equal(test_text(reply->json, "status"), "failed");
    assert_string_equal(test_text(reply->json, "error.code"), "daemon_died");
    assert_non_null(strstr(test_text(reply->json, "error.message"), "3 times"));
    submit(server, "\"n_epochs\": 1, \"batch_size\": 4, \"max_length\": 16", other);
    test_finish_job(server, other);
    test_server_free(server);
}

static void restarts_by_an_administrator_are_no_deaths(void **state)
{
    struct test_server *server = test_server_new(NULL);
    char id[64], path[200];

    (void)state;
    submit(server, LONG_WITHOUT_CHECKPOINT, id);
    for (json_int_t i = 1; i <= 5; i++) {
        test_wait_step(server, id, 2 * i);
        test_server_stop(server);
        test_server_start(server);
    }
    test_wait_step(server, id, 12);
    snprintf(path, sizeof path, JOBS "/%s/cancel", id);
    assert_int_equal(test_post(server, path, NULL)->status, 200);
    assert_string_equal(test_text(test_wait_job(server, id, OVER), "status"), "cancelled");
    test_server_free(server);
}

/* ---- the wall clock ---- */

static double processor_seconds(const struct test_server *server)
{
    unsigned long user = 0, system = 0;
    char path[64];
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)server->pid);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu",
                            &user, &system),
                     2);
    fclose(file);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* All that is told of a job, in order: no event twice, no time below 0, the end last. */
static void check_story(struct test_server *server, const char *id)
{
    struct test_reply *reply = test_get(server, JOBS "/%s/events?order=asc&limit=1000", id);
    const json_t *events = test_member(reply->json, "data");
    size_t n = json_array_size(events);

    assert_true(n > 4);
    assert_non_null(strstr(test_text(json_array_get(events, 0), "message"), "Created"));
    assert_non_null(
        strstr(test_text(json_array_get(events, n - 1), "message"), "successfully completed"));
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(test_text(json_array_get(events, i), "id"),
                                    test_text(json_array_get(events, k), "id"));
    reply = test_get(server, "/metrics");
    assert_null(strstr(reply->body, "_sum{outcome=\"succeeded\"} -"));
    assert_null(strstr(reply->body, "_sum -"));
}

static void a_clock_that_is_set_changes_nothing(void **state)
{
    static const char *const settings[] = {"--training.threads=1", NULL};
    static const long steps[] = {-10 * HOUR, 30 * HOUR, -365 * 24 * HOUR, 0};
    struct faulty faulty;
    struct test_reply *reply;
    char id[64];
    double start, used;

    (void)state;
    faulty_open(&faulty, settings, false);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        submit(faulty.server,
               "\"n_epochs\": 6, \"batch_size\": 4, \"max_length\": 16, \"checkpoint_steps\": 5",
               id);
        test_wait_job(faulty.server, id, "running");
        atomic_store(&faulty.shim->clock_s, steps[i]);
        reply = test_finish_job(faulty.server, id);
        assert_true(reply->size > 0);
        check_story(faulty.server, id);
        /* a long poll takes its own time, whatever the clock says */
        start = seconds();
        reply = test_get(faulty.server, JOBS "/%s/events?wait=1&order=asc&limit=1000", id);
        assert_int_equal(reply->status, 200);
        assert_true(seconds() - start < 120); /* not an hour, or a year */
    }
    start = seconds();
    used = processor_seconds(faulty.server);
    while (seconds() - start < 1)
        usleep(50000);
    assert_true(processor_seconds(faulty.server) - used < 0.5); /* nobody runs in circles */
    faulty_close(&faulty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_that_ends_the_daemon_three_times_is_not_tried_again),
        cmocka_unit_test(restarts_by_an_administrator_are_no_deaths),
        cmocka_unit_test(a_clock_that_is_set_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
