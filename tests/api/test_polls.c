/* test_polls.c - watching by asking: entity tags, long polls, tailing a list while it grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "support/server.h"

#define JOBS "/v1/fine_tuning/jobs"

struct fixture {
    struct test_server *server;
    char train[64], finished[64];
};

static const char *create(const struct fixture *f, int n_epochs)
{
    char json[600];

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"validation_file\": "
             "\"%s\", \"seed\": 7, \"method\": {\"type\": \"prilora\", \"prilora\": "
             "{\"hyperparameters\": {\"n_epochs\": %d, \"batch_size\": 8, \"max_length\": 16, "
             "\"prune_interval\": 4}}}}",
             f->train, f->train, n_epochs);
    return test_create_job(f->server, json);
}

static int open_group(void **state)
{
    static const char *const settings[] = {"--training.threads=1", NULL};
    struct fixture *f = calloc(1, sizeof *f);
    char *train = test_sentences(64, 1);

    f->server = test_server_new(settings);
    *state = f;
    snprintf(f->train, sizeof f->train, "%s", test_upload(f->server, "train.jsonl", train));
    free(train);
    snprintf(f->finished, sizeof f->finished, "%s", create(f, 1));
    test_wait_job(f->server, f->finished, "succeeded");
    return 0;
}

static int close_group(void **state)
{
    struct fixture *f = *state;

    test_server_free(f->server);
    free(f);
    return 0;
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void cancel(const struct fixture *f, const char *id)
{
    char path[200];

    snprintf(path, sizeof path, JOBS "/%s/cancel", id);
    test_post(f->server, path, NULL);
    test_wait_job(f->server, id, "cancelled");
}

static struct test_reply *ask(const struct fixture *f, const char *method, const char *path,
                              const char *etag)
{
    char header[300];

    snprintf(header, sizeof header, "If-None-Match: %s", etag);
    return test_send(f->server,
                     &(struct test_request){.method = method, .path = path, .headers = {header}});
}

/* ---- entity tags ---- */

static void what_has_not_changed_is_not_sent_again(void **state)
{
    static const char *const kinds[] = {"",         "/events", "/checkpoints",
                                        "/metrics", "/layers", "/layers?history=1"};
    static const char *const others[] = {"/v1/files", "/v1/models", JOBS,
                                         "/v1/models/prilora-mini-en"};
    struct fixture *f = *state;
    char paths[16][200], etag[100], list[200];
    struct test_reply *reply;
    size_t n = 0;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        snprintf(paths[n++], sizeof paths[0], JOBS "/%s%s", f->finished, kinds[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        snprintf(paths[n++], sizeof paths[0], "%s", others[i]);
    snprintf(paths[n++], sizeof paths[0], "/v1/files/%s", f->train);
    for (size_t i = 0; i < n; i++) {
        reply = test_get(f->server, "%s", paths[i]);
        assert_int_equal(reply->status, 200);
        assert_string_equal(test_header(reply, "Cache-Control"), "no-cache");
        snprintf(etag, sizeof etag, "%s", test_header(reply, "ETag"));
        assert_true(etag[0] == '"');
        reply = ask(f, "HEAD", paths[i], "\"x\"");
        assert_int_equal(reply->status, 200);
        assert_string_equal(test_header(reply, "ETag"), etag);
        snprintf(list, sizeof list, "\"x\", W/%s", etag);
        reply = ask(f, i % 2 ? "HEAD" : "GET", paths[i], list);
        assert_int_equal(reply->status, 304);
        assert_int_equal(reply->size, 0);
        assert_string_equal(test_header(reply, "ETag"), etag);
        assert_string_equal(test_header(reply, "Cache-Control"), "no-cache");
        assert_int_equal(ask(f, "GET", paths[i], "\"x\"")->status, 200);
    }
}

static void another_text_has_another_tag(void **state)
{
    struct fixture *f = *state;
    char etag[100], id[64], *other = test_sentences(8, 9);

    snprintf(etag, sizeof etag, "%s", test_header(test_get(f->server, "/v1/files"), "ETag"));
    snprintf(id, sizeof id, "%s", test_upload(f->server, "other.jsonl", other));
    free(other);
    assert_int_equal(ask(f, "GET", "/v1/files", etag)->status, 200);
    assert_null(test_header(test_get(f->server, JOBS "/none"), "ETag"));
}

/* ---- long polls ---- */

static void a_wrong_wait_is_refused(void **state)
{
    static const char *const wrong[] = {"61", "-1", "x", "", "1.5", "99999999999999999999"};
    static const char *const kinds[] = {"", "/events", "/metrics", "/layers"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct test_reply *reply =
            test_get(f->server, JOBS "/%s%s?wait=%s", f->finished, kinds[i % 4], wrong[i]);

        assert_int_equal(reply->status, 400);
        assert_string_equal(test_text(reply->json, "error.param"), "wait");
    }
    assert_int_equal(test_get(f->server, JOBS "/%s/checkpoints?wait=1", f->finished)->status, 400);
    assert_int_equal(test_get(f->server, JOBS "/none?wait=30")->status, 404);
}

static void what_is_over_is_answered_at_once_and_what_is_empty_in_time(void **state)
{
    struct fixture *f = *state;
    double start = now_s();
    struct test_reply *reply = test_get(f->server, JOBS "/%s?wait=50", f->finished);
    char etag[100], path[200];

    assert_string_equal(test_text(reply->json, "status"), "succeeded");
    assert_true(now_s() - start < 40);
    start = now_s();
    reply = test_get(f->server, JOBS "/%s/metrics?after=1000&wait=1", f->finished);
    assert_true(now_s() - start >= 0.99);
    assert_int_equal(reply->status, 200);
    assert_int_equal(json_array_size(json_object_get(reply->json, "data")), 0);
    snprintf(path, sizeof path, JOBS "/%s/layers?wait=1", f->finished);
    reply = test_get(f->server, "%s", path);
    snprintf(etag, sizeof etag, "%s", test_header(reply, "ETag"));
    start = now_s();
    assert_int_equal(ask(f, "GET", path, etag)->status, 304);
    assert_true(now_s() - start >= 0.99);
}

/* States one after the other, each as soon as it is there. */
static void a_job_s_states_are_waited_for(void **state)
{
    struct fixture *f = *state;
    char id[64], status[64];

    snprintf(id, sizeof id, "%s", create(f, 2));
    for (int i = 0; i < 10; i++) {
        const json_t *job = test_get(f->server, JOBS "/%s?wait=30", id)->json;

        snprintf(status, sizeof status, "%s", test_text(job, "status"));
        if (strcmp(status, "succeeded") == 0)
            break;
    }
    assert_string_equal(status, "succeeded"); /* validating, queued, running at most before */
}

static void what_is_new_comes_before_the_time_is_up(void **state)
{
    static const char *const objects[] = {"", "/layers"};
    struct fixture *f = *state;
    char id[64], path[200], etag[100];
    json_int_t step = 0;
    double start = now_s();

    snprintf(id, sizeof id, "%s", create(f, 10000));
    test_wait_job(f->server, id, "running");
    for (int i = 0; i < 5; i++) {
        const json_t *reply =
            test_get(f->server, JOBS "/%s/metrics?after=%d&wait=60", id, (int)step)->json;
        json_t *data = json_object_get(reply, "data");

        assert_true(json_array_size(data) > 0);
        assert_int_equal(test_integer(reply, "data.0.step"), step + 1);
        step += (json_int_t)json_array_size(data);
    }
    for (int i = 0; i < 6; i++) {
        struct test_reply *reply;

        snprintf(path, sizeof path, JOBS "/%s%s?wait=60", id, objects[i % 2]);
        reply = ask(f, "GET", path, "\"x\"");
        snprintf(etag, sizeof etag, "%s", test_header(reply, "ETag"));
        reply = ask(f, "GET", path, etag);
        assert_int_equal(reply->status, 200);
        assert_string_not_equal(test_header(reply, "ETag"), etag);
    }
    assert_true(now_s() - start < 60); /* else one of them has waited until its time was up */
    cancel(f, id);
}

/* Page by page, each after the last event of the one before, while the job makes more. */
static void tailing_loses_no_event_and_shows_none_twice(void **state)
{
    struct fixture *f = *state;
    char id[64], last[64] = "", after[100] = "";
    json_t *seen = json_array(), *data, *event, *all;
    size_t i;
    bool over = false;

    snprintf(id, sizeof id, "%s", create(f, 4));
    while (!over) {
        const struct test_reply *reply =
            test_get(f->server, JOBS "/%s/events?order=asc&limit=3&wait=60%s", id, after);

        assert_int_equal(reply->status, 200);
        data = json_object_get(reply->json, "data");
        assert_true(json_array_size(data) > 0);
        json_array_extend(seen, data);
        json_array_foreach (data, i, event) {
            snprintf(last, sizeof last, "%s", test_text(event, "id"));
            over |= strcmp(test_text(event, "message"), "The job has successfully completed") == 0;
        }
        snprintf(after, sizeof after, "&after=%s", last);
    }
    all = json_object_get(test_get(f->server, JOBS "/%s/events?order=asc&limit=1000", id)->json,
                          "data");
    assert_true(json_array_size(all) > 9);
    assert_true(json_equal(seen, all));
    json_decref(seen);
}

/* Clients that hang up while they wait, and a server that stops while others do. */
static void whoever_waits_does_not_keep_the_server(void **state)
{
    static const char *const settings[] = {"--training.threads=1", NULL};
    struct test_server *server = test_server_new(settings);
    struct fixture own = {.server = server};
    char request[300], id[64], *train = test_sentences(64, 1);
    double start;

    (void)state;
    snprintf(own.train, sizeof own.train, "%s", test_upload(server, "train.jsonl", train));
    free(train);
    snprintf(id, sizeof id, "%s", create(&own, 10000));
    snprintf(request, sizeof request,
             "GET " JOBS "/%s/metrics?after=99999999&wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n",
             id);
    for (int i = 0; i < 20; i++)
        test_send_and_leave(server, request, strlen(request));
    test_wait_job(server, id, "running");
    start = now_s();
    test_server_stop(server);
    assert_true(now_s() - start < 50);
    test_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_not_changed_is_not_sent_again),
        cmocka_unit_test(another_text_has_another_tag),
        cmocka_unit_test(a_wrong_wait_is_refused),
        cmocka_unit_test(what_is_over_is_answered_at_once_and_what_is_empty_in_time),
        cmocka_unit_test(a_job_s_states_are_waited_for),
        cmocka_unit_test(what_is_new_comes_before_the_time_is_up),
        cmocka_unit_test(tailing_loses_no_event_and_shows_none_twice),
        cmocka_unit_test(whoever_waits_does_not_keep_the_server),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
