/* test_streams.c - live streams: everything told, once, to everyone, until the end. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "support/server.h"
#include "support/stream.h"

#define JOBS       "/v1/fine_tuning/jobs"
#define LONG_MS    240000 /* for a job to end, on a busy machine under a sanitizer */
#define N_WATCHERS 500
#define SILENCE_MS 15000

/* 64 rows in batches of 8: 8 steps an epoch, and an evaluation; a pruning every 4 steps. */
#define STEPS_PER_EPOCH 8
#define PRUNE_INTERVAL  4

struct fixture {
    struct test_server *server;
    char train[64], valid[64], finished[64]; /* finished: a job of 2 epochs that is over */
};

static const char *create(struct fixture *f, int n_epochs)
{
    char json[700];

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"validation_file\": "
             "\"%s\", \"seed\": 7, \"method\": {\"type\": \"prilora\", \"prilora\": "
             "{\"hyperparameters\": {\"n_epochs\": %d, \"batch_size\": 8, \"max_length\": 16, "
             "\"prune_interval\": %d}}}}",
             f->train, f->valid, n_epochs, PRUNE_INTERVAL);
    return test_create_job(f->server, json);
}

static struct test_stream *watch(const struct fixture *f, const char *id, const char *headers)
{
    char path[200];

    snprintf(path, sizeof path, JOBS "/%s/events", id);
    return test_stream_open(f->server, path, headers);
}

/* Of a job's events, with one more header. */
static struct test_reply *ask(const struct fixture *f, const char *method, const char *id,
                              const char *header)
{
    char path[200];

    snprintf(path, sizeof path, JOBS "/%s/events", id);
    return test_send(f->server,
                     &(struct test_request){.method = method, .path = path, .headers = {header}});
}

static int open_group(void **state)
{
    static const char *const settings[] = {"--training.threads=1", "--server.max_connections=800",
                                           NULL};
    struct fixture *f = calloc(1, sizeof *f);
    char *train = test_sentences(64, 1), *valid = test_sentences(16, 1000);

    f->server = test_server_new(settings);
    *state = f;
    snprintf(f->train, sizeof f->train, "%s", test_upload(f->server, "train.jsonl", train));
    snprintf(f->valid, sizeof f->valid, "%s", test_upload(f->server, "valid.jsonl", valid));
    free(train);
    free(valid);
    snprintf(f->finished, sizeof f->finished, "%s", create(f, 2));
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

/* ---- what a stream must hold, by what the lists say ---- */

/* The events, in order, are the list's. */
static void expect_events(const struct fixture *f, const struct test_stream *stream, const char *id)
{
    const json_t *list = test_get(f->server, JOBS "/%s/events?order=asc&limit=1000", id)->json;
    json_t *data = json_object_get(list, "data");
    size_t at = 0;

    assert_false(json_is_true(json_object_get(list, "has_more")));
    for (size_t i = 0; i < stream->n_messages; i++)
        if (strcmp(stream->messages[i].event, "message") == 0)
            assert_true(json_equal(stream->messages[i].data, json_array_get(data, at++)));
    assert_int_equal(at, json_array_size(data));
}

/* The last message of a step, or NULL. */
static const json_t *last_of(const struct test_stream *stream, const char *event, json_int_t step)
{
    const json_t *last = NULL;

    for (size_t i = 0; i < stream->n_messages; i++)
        if (strcmp(stream->messages[i].event, event) == 0 &&
            test_integer(stream->messages[i].data, "step") == step)
            last = stream->messages[i].data;
    return last;
}

/* Steps never go back, none is left out, and the last row of each is the one that GET shows. */
static void expect_series(const struct fixture *f, const struct test_stream *stream,
                          const char *event, const char *id, const char *what)
{
    json_t *data = json_object_get(test_get(f->server, JOBS "/%s/%s", id, what)->json, "data");
    json_int_t step = 0;
    size_t n = 0;

    for (size_t i = 0; i < stream->n_messages; i++) {
        const struct test_message *message = &stream->messages[i];

        if (strcmp(message->event, event) != 0)
            continue;
        assert_true(test_integer(message->data, "step") >= step);
        n += test_integer(message->data, "step") > step;
        step = test_integer(message->data, "step");
    }
    assert_int_equal(n, json_array_size(data));
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) {
        json_t *row = json_array_get(data, i);

        assert_true(json_equal(last_of(stream, event, test_integer(row, "step")), row));
    }
}

static void expect_whole(const struct fixture *f, const struct test_stream *stream, const char *id)
{
    const struct test_message *first = &stream->messages[0],
                              *end = &stream->messages[stream->n_messages - 1];

    assert_true(stream->ended);
    assert_true(stream->retry_ms > 0);
    assert_string_equal(first->event, "job");
    assert_string_equal(test_text(first->data, "id"), id);
    assert_string_equal(end->event, "end");
    assert_string_equal(test_text(end->data, "id"), id);
    assert_string_equal(test_text(end->data, "status"), "succeeded");
    assert_int_equal(test_stream_count(stream, "end"), 1);
    expect_events(f, stream, id);
    expect_series(f, stream, "metrics", id, "metrics?limit=10000");
    expect_series(f, stream, "layers", id, "layers?history=1&limit=1000");
}

/* ---- tests ---- */

static void a_job_is_told_from_its_beginning_to_its_end(void **state)
{
    struct fixture *f = *state;
    char id[64], last_status[32] = "";
    struct test_stream *stream;

    snprintf(id, sizeof id, "%s", create(f, 4));
    stream = watch(f, id, NULL);
    assert_true(test_streams_read(&stream, 1, LONG_MS));
    expect_whole(f, stream, id);
    assert_int_equal(
        json_array_size(json_object_get(test_get(f->server, JOBS "/%s/metrics", id)->json, "data")),
        4 * STEPS_PER_EPOCH);
    for (size_t i = 0; i < stream->n_messages; i++)
        if (strcmp(stream->messages[i].event, "job") == 0)
            snprintf(last_status, sizeof last_status, "%s",
                     test_text(stream->messages[i].data, "status"));
    assert_string_equal(last_status, "succeeded");
    test_stream_free(stream);
}

/* Of one kind `rest` has what `whole` has after its message `after`. */
static void expect_rest(const struct test_stream *whole, size_t after,
                        const struct test_stream *rest, const char *event)
{
    size_t at = 0;

    for (size_t i = after + 1; i < whole->n_messages; i++) {
        if (strcmp(whole->messages[i].event, event) != 0)
            continue;
        while (at < rest->n_messages && strcmp(rest->messages[at].event, event) != 0)
            at++;
        assert_true(at < rest->n_messages);
        assert_true(json_equal(rest->messages[at].data, whole->messages[i].data));
        at++;
    }
    while (at < rest->n_messages && strcmp(rest->messages[at].event, event) != 0)
        at++;
    assert_int_equal(at, rest->n_messages);
}

static void every_id_is_a_place_to_go_on_from(void **state)
{
    static const char *const kinds[] = {"message", "metrics", "layers", "end"};
    struct fixture *f = *state;
    struct test_stream *whole = watch(f, f->finished, NULL), *rest;
    char text[300];

    assert_true(test_streams_read(&whole, 1, LONG_MS));
    expect_whole(f, whole, f->finished);
    for (size_t i = 0; i + 1 < whole->n_messages; i++) {
        if (i % 2) {
            snprintf(text, sizeof text, "Last-Event-ID: %s\r\n", whole->messages[i].id);
            rest = watch(f, f->finished, text);
        } else {
            snprintf(text, sizeof text, JOBS "/%s/events?stream=true&last_event_id=%s", f->finished,
                     whole->messages[i].id);
            rest = test_stream_open(f->server, text, NULL);
        }
        assert_true(test_streams_read(&rest, 1, LONG_MS));
        assert_int_equal(rest->status, 200);
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            expect_rest(whole, i, rest, kinds[k]);
        assert_string_equal(rest->messages[rest->n_messages - 1].id,
                            whole->messages[whole->n_messages - 1].id);
        test_stream_free(rest);
    }
    snprintf(text, sizeof text, "Last-Event-ID: %s\r\n", whole->messages[whole->n_messages - 1].id);
    rest = watch(f, f->finished, text);
    assert_true(test_streams_read(&rest, 1, LONG_MS));
    assert_int_equal(rest->status, 204); /* browsers come back no more */
    test_stream_free(rest);
    test_stream_free(whole);
}

/* Hangs up after a few messages, again and again while the job runs: all that it was told together
 * is what one reader would have been. */
static void who_comes_back_while_it_runs_misses_nothing(void **state)
{
    struct fixture *f = *state;
    struct test_stream *whole = calloc(1, sizeof *whole), *part;
    char id[64], header[200] = "";
    bool over = false;

    whole->fd = -1;
    snprintf(id, sizeof id, "%s", create(f, 4));
    while (!over) {
        part = watch(f, id, *header ? header : NULL);
        test_stream_wait(part, 4, LONG_MS);
        assert_int_equal(part->status, 200);
        for (size_t i = 0; i < part->n_messages && !over; i++) {
            struct test_message *message = &part->messages[i];

            over = strcmp(message->event, "end") == 0;
            whole->messages =
                reallocarray(whole->messages, whole->n_messages + 1, sizeof *whole->messages);
            whole->messages[whole->n_messages] = *message;
            json_incref(whole->messages[whole->n_messages++].data);
            snprintf(header, sizeof header, "Last-Event-ID: %s\r\n", message->id);
        }
        whole->retry_ms = part->retry_ms;
        test_stream_free(part);
    }
    whole->ended = true;
    expect_whole(f, whole, id);
    test_stream_free(whole);
}

static void a_wrong_id_is_named(void **state)
{
    static const char *const wrong[] = {
        "x",
        "1",
        "0-0-0-0-00000000",
        "ftevent-000000000000000000000000",
        "-1-0-0-0-5cdfb6e5",
        "ffffffffffffffff-0-0-0-00000000",
        "0-0-0-0-0-0-0-0-0-0",
    };
    struct fixture *f = *state;
    char other[64], header[200];
    struct test_stream *stream = watch(f, f->finished, NULL);
    struct test_reply *reply;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        reply = test_get(f->server, JOBS "/%s/events?stream=true&last_event_id=%s", f->finished,
                         wrong[i]);
        assert_int_equal(reply->status, 400);
        assert_string_equal(test_text(reply->json, "error.param"), "last_event_id");
        assert_non_null(strstr(test_text(reply->json, "error.message"), wrong[i]));
    }
    assert_true(test_stream_wait(stream, 5, LONG_MS));
    snprintf(other, sizeof other, "%s", create(f, 1));
    snprintf(header, sizeof header, "Accept: text/event-stream\r\nLast-Event-ID: %s",
             stream->messages[4].id);
    reply = ask(f, "GET", other, header);
    assert_int_equal(reply->status, 400);
    assert_string_equal(test_text(reply->json, "error.param"), "Last-Event-ID");
    test_stream_free(stream);
    test_wait_job(f->server, other, "succeeded");
}

static void what_is_no_stream_is_refused_or_a_list(void **state)
{
    struct fixture *f = *state;
    struct test_reply *reply;

    reply = test_get(f->server, JOBS "/%s/events?stream=yes", f->finished);
    assert_int_equal(reply->status, 400);
    assert_string_equal(test_text(reply->json, "error.param"), "stream");
    reply = test_get(f->server, JOBS "/%s/events?stream=true&limit=3", f->finished);
    assert_int_equal(reply->status, 400);
    assert_string_equal(test_text(reply->json, "error.param"), "limit");
    reply = test_get(f->server, JOBS "/ftjob-none/events?stream=true");
    assert_int_equal(reply->status, 404);
    reply = test_get(f->server, JOBS "/%s/events?stream=false", f->finished);
    assert_string_equal(test_text(reply->json, "object"), "list");
    reply = ask(f, "GET", f->finished, "Accept: application/json, text/event-stream;q=0");
    assert_string_equal(test_text(reply->json, "object"), "list");
    reply = ask(f, "HEAD", f->finished, "Accept: text/event-stream");
    assert_int_equal(reply->status, 200);
    assert_string_equal(test_header(reply, "Content-Type"), "text/event-stream");
    /* the chunk behind it would be taken for the next answer's beginning */
    assert_non_null(test_header(reply, "Connection"));
    assert_string_equal(test_header(reply, "Connection"), "close");
}

/* A queued job, behind one that keeps the only worker busy: nothing happens to it. */
static void silence_is_filled_with_comments(void **state)
{
    struct fixture *f = *state;
    char busy[64], queued[64], path[200];
    struct test_stream *streams[2];
    long waited = 0;

    snprintf(busy, sizeof busy, "%s", create(f, 10000));
    test_wait_job(f->server, busy, "running");
    snprintf(queued, sizeof queued, "%s", create(f, 1));
    test_wait_job(f->server, queued, "queued");
    for (size_t i = 0; i < 2; i++)
        streams[i] = watch(f, queued, NULL);
    test_stream_wait(streams[1], 2, LONG_MS);
    test_stream_free(streams[1]); /* and that one has gone is noticed, or a sanitizer tells */
    while (streams[0]->n_comments < 2 && waited < 8 * SILENCE_MS) {
        test_streams_read(streams, 1, 200);
        waited += 200;
    }
    assert_true(streams[0]->n_comments >= 2);
    assert_false(streams[0]->ended);
    snprintf(path, sizeof path, JOBS "/%s/cancel", queued);
    test_post(f->server, path, NULL);
    assert_true(test_streams_read(streams, 1, LONG_MS));
    assert_string_equal(test_text(streams[0]->messages[streams[0]->n_messages - 1].data, "status"),
                        "cancelled");
    test_stream_free(streams[0]);
    snprintf(path, sizeof path, JOBS "/%s/cancel", busy);
    test_post(f->server, path, NULL);
    test_wait_job(f->server, busy, "cancelled");
}

/* A new key, as a header, and its id. */
static void make_key(const struct fixture *f, char header[200], char id[64])
{
    struct test_reply *reply = test_post(f->server, "/v1/keys", "{\"name\": \"watcher\"}");

    assert_int_equal(reply->status, 200);
    snprintf(header, 200, "Authorization: Bearer %s\r\n", test_text(reply->json, "key"));
    snprintf(id, 64, "%s", test_text(reply->json, "id"));
}

/* Two watch a job that goes on; the key of one is revoked. */
static void a_revoked_key_is_told_nothing_more(void **state)
{
    struct fixture *f = *state;
    char id[64], key[64], header[200], path[200];
    struct test_stream *streams[2];
    size_t n_messages;

    make_key(f, header, key);
    snprintf(id, sizeof id, "%s", create(f, 10000));
    test_wait_job(f->server, id, "running");
    streams[0] = watch(f, id, header);
    streams[1] = watch(f, id, NULL);
    for (size_t i = 0; i < 2; i++)
        assert_true(test_stream_wait(streams[i], 10, LONG_MS));
    snprintf(path, sizeof path, "/v1/keys/%s", key);
    assert_int_equal(
        test_send(f->server, &(struct test_request){.method = "DELETE", .path = path})->status,
        200);
    assert_true(test_streams_read(streams, 1, LONG_MS));
    assert_int_equal(test_stream_count(streams[0], "end"), 0);
    test_streams_read(streams + 1, 1, 100);
    n_messages = streams[1]->n_messages;
    assert_true(test_stream_wait(streams[1], n_messages + 10, LONG_MS));
    for (size_t i = 0; i < 2; i++)
        test_stream_free(streams[i]);
    snprintf(path, sizeof path, JOBS "/%s/cancel", id);
    test_post(f->server, path, NULL);
    test_wait_job(f->server, id, "cancelled");
}

static size_t count_threads(const struct test_server *server)
{
    char path[64];
    struct dirent *entry;
    size_t n = 0;
    DIR *dir;

    snprintf(path, sizeof path, "/proc/%ld/task", (long)server->pid);
    dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir)))
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void five_hundred_watch_without_a_thread_more(void **state)
{
    struct fixture *f = *state;
    static struct test_stream *streams[N_WATCHERS];
    char id[64], busy[64], path[200];
    size_t n_threads;

    snprintf(busy, sizeof busy, "%s", create(f, 10000)); /* training threads are there, and stay */
    test_wait_job(f->server, busy, "running");
    snprintf(id, sizeof id, "%s", create(f, 2));
    n_threads = count_threads(f->server);
    for (size_t i = 0; i < N_WATCHERS; i++)
        streams[i] = watch(f, id, NULL);
    for (size_t i = 0; i < N_WATCHERS; i++)
        assert_true(test_stream_wait(streams[i], 2, LONG_MS));
    assert_int_equal(count_threads(f->server), n_threads);
    snprintf(path, sizeof path, JOBS "/%s/cancel", busy);
    test_post(f->server, path, NULL);
    assert_true(test_streams_read(streams, N_WATCHERS, LONG_MS));
    for (size_t i = 0; i < N_WATCHERS; i++) {
        assert_int_equal(streams[i]->status, 200);
        assert_true(streams[i]->ended);
    }
    expect_whole(f, streams[0], id);
    for (size_t i = 1; i < N_WATCHERS; i++) {
        size_t last = streams[i]->n_messages - 1;

        assert_string_equal(streams[i]->messages[last].event, "end");
        assert_string_equal(streams[i]->messages[last].id,
                            streams[0]->messages[streams[0]->n_messages - 1].id);
        assert_int_equal(test_stream_count(streams[i], "message"),
                         test_stream_count(streams[0], "message"));
        assert_true(test_stream_count(streams[i], "metrics") >= 2 * STEPS_PER_EPOCH);
    }
    for (size_t i = 0; i < N_WATCHERS; i++)
        test_stream_free(streams[i]);
}

static void watchers_leave_connections_for_others(void **state)
{
    static const char *const settings[] = {"--server.max_connections=8", "--training.threads=1",
                                           NULL};
    struct fixture *f = *state, few = *f;
    struct test_stream *streams[6];
    struct test_reply *reply;
    char id[64], path[200], *train = test_sentences(64, 1);

    few.server = test_server_new(settings);
    snprintf(few.train, sizeof few.train, "%s", test_upload(few.server, "train.jsonl", train));
    snprintf(few.valid, sizeof few.valid, "%s", few.train);
    free(train);
    snprintf(id, sizeof id, "%s", create(&few, 10000));
    for (size_t i = 0; i < 6; i++) {
        streams[i] = watch(&few, id, NULL);
        assert_true(test_stream_wait(streams[i], 1, LONG_MS));
    }
    reply = test_get(few.server, JOBS "/%s/events?stream=true", id);
    assert_int_equal(reply->status, 503);
    assert_string_equal(test_text(reply->json, "error.code"), "too_many_watchers");
    assert_non_null(test_header(reply, "Retry-After"));
    reply = test_get(few.server, JOBS "/%s?wait=5", id);
    assert_int_equal(reply->status, 503);
    assert_int_equal(test_get(few.server, JOBS "/%s", id)->status, 200);
    snprintf(path, sizeof path, JOBS "/%s/cancel", id);
    test_post(few.server, path, NULL);
    assert_true(test_streams_read(streams, 6, LONG_MS));
    reply = test_get(few.server, JOBS "/%s?wait=5", id); /* they have left */
    assert_int_equal(reply->status, 200);
    for (size_t i = 0; i < 6; i++)
        test_stream_free(streams[i]);
    test_server_free(few.server);
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fill_series(const struct test_server *server, const char *id)
{
    sqlite3 *db;
    char sql[2200];

    assert_int_equal(sqlite3_open(test_server_path(server, "state/prilorad.db"), &db), SQLITE_OK);
    snprintf(sql, sizeof sql,
             "INSERT INTO series (job_id, series, step, revision, created_at, json) WITH RECURSIVE "
             "n(i) AS "
             "(SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) "
             "SELECT '%s', 0, i, i, 1, '{\"step\":' || i || ',\"text\":\"%01500d\"}' FROM n",
             id, 0);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* 12 MB wait for a client that never reads; others are idle. */
static void streams_end_with_the_server_whether_they_are_read_or_not(void **state)
{
    static const char *const settings[] = {"--training.threads=1", NULL};
    struct fixture *f = *state, own = *f;
    struct test_stream *slow, *idle;
    char id[64], *train = test_sentences(64, 1);
    double start;

    own.server = test_server_new(settings);
    snprintf(own.train, sizeof own.train, "%s", test_upload(own.server, "train.jsonl", train));
    snprintf(own.valid, sizeof own.valid, "%s", own.train);
    free(train);
    snprintf(id, sizeof id, "%s", create(&own, 10000));
    test_wait_job(own.server, id, "running");
    test_server_stop(own.server);
    fill_series(own.server, id);
    test_server_start(own.server);
    slow = watch(&own, id, NULL);
    idle = watch(&own, id, "Last-Event-ID: \r\n");
    assert_true(test_stream_wait(idle, 2000, LONG_MS)); /* the other one is sent what fits */
    while (test_streams_read(&idle, 1, 500) || idle->n_messages < 8000)
        assert_false(idle->ended);
    start = now_s();
    kill(own.server->pid, SIGTERM);
    assert_true(test_streams_read(&idle, 1, LONG_MS));
    assert_true(idle->ended); /* by its last chunk, not cut */
    test_server_wait(own.server);
    assert_true(now_s() - start < 11.0); /* requests that are read have 10 s to end */
    test_stream_free(slow);
    test_stream_free(idle);
    test_server_free(own.server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_told_from_its_beginning_to_its_end),
        cmocka_unit_test(every_id_is_a_place_to_go_on_from),
        cmocka_unit_test(who_comes_back_while_it_runs_misses_nothing),
        cmocka_unit_test(a_wrong_id_is_named),
        cmocka_unit_test(what_is_no_stream_is_refused_or_a_list),
        cmocka_unit_test(silence_is_filled_with_comments),
        cmocka_unit_test(a_revoked_key_is_told_nothing_more),
        cmocka_unit_test(five_hundred_watch_without_a_thread_more),
        cmocka_unit_test(watchers_leave_connections_for_others),
        cmocka_unit_test(streams_end_with_the_server_whether_they_are_read_or_not),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
