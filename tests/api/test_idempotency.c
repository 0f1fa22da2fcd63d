/* test_idempotency.c - one key, one thing made, whatever happens to client or daemon in between. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/speaker.h"

#define JOBS "/v1/fine_tuning/jobs"
#define FORM                                                                                       \
    "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n%s\r\n"   \
    "--cut\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n--cut--\r\n"
#define CUT "multipart/form-data; boundary=cut"

static char training_file[64];

static int open_group(void **state)
{
    char *text = test_sentences(8, 1);

    *state = test_server_new(NULL);
    snprintf(training_file, sizeof training_file, "%s", test_upload(*state, "a.jsonl", text));
    free(text);
    return 0;
}

static int close_group(void **state)
{
    test_server_free(*state);
    return 0;
}

static struct test_reply *post(const struct test_server *server, const char *path, const char *key,
                               const char *body, const char *type)
{
    char header[400];

    snprintf(header, sizeof header, "Idempotency-Key: %s", key);
    return test_send(server, &(struct test_request){.method = "POST",
                                                    .path = path,
                                                    .body = body,
                                                    .type = type,
                                                    .headers = {header}});
}

static void job_body(char out[300], const char *mark)
{
    snprintf(out, 300,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"hyperparameters\": "
             "{\"n_epochs\": 1}, \"metadata\": {\"mark\": \"%s\"}}",
             training_file, mark);
}

static size_t count_jobs(const struct test_server *server, const char *mark)
{
    const json_t *list = test_get(server, JOBS "?limit=100&metadata[mark]=%s", mark)->json;

    return json_array_size(json_object_get(list, "data"));
}

static void the_same_job_is_made_once(void **state)
{
    char body[300], other[300], *first;
    struct test_reply *reply;

    job_body(body, "once");
    job_body(other, "twice");
    reply = post(*state, JOBS, "job-1", body, NULL);
    assert_int_equal(reply->status, 200);
    assert_null(test_header(reply, "Idempotent-Replayed"));
    first = strdup(reply->body);
    reply = post(*state, JOBS, "job-1", body, NULL);
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply->body, first);
    assert_string_equal(test_header(reply, "Idempotent-Replayed"), "true");
    assert_string_equal(test_header(reply, "Content-Type"), "application/json");
    reply = post(*state, JOBS, "job-1", other, NULL);
    assert_int_equal(reply->status, 422);
    assert_string_equal(test_text(reply->json, "error.code"), "idempotency_key_reuse");
    assert_string_equal(test_text(reply->json, "error.param"), "Idempotency-Key");
    assert_int_equal(count_jobs(*state, "once"), 1);
    assert_int_equal(count_jobs(*state, "twice"), 0);
    test_server_stop(*state);
    test_server_start(*state);
    reply = post(*state, JOBS, "job-1", body, NULL);
    assert_string_equal(reply->body, first);
    assert_int_equal(count_jobs(*state, "once"), 1);
    free(first);
}

static void a_refused_request_does_not_use_its_key_up(void **state)
{
    char body[300];

    job_body(body, "corrected");
    assert_int_equal(post(*state, JOBS, "job-2", "{\"model\": \"nope\", \"training_file\": \"x\"}",
                          NULL)
                         ->status,
                     400);
    assert_int_equal(post(*state, JOBS, "job-2", body, NULL)->status, 200);
    assert_int_equal(count_jobs(*state, "corrected"), 1);
}

static void a_key_is_printable_ascii(void **state)
{
    char body[300], longest[260];
    struct test_reply *reply;

    job_body(body, "key");
    memset(longest, 'k', 256);
    longest[256] = '\0';
    reply = post(*state, JOBS, longest, body, NULL);
    assert_int_equal(reply->status, 400);
    assert_string_equal(test_text(reply->json, "error.param"), "Idempotency-Key");
    assert_int_equal(post(*state, JOBS, "a\tb", body, NULL)->status, 400);
    assert_int_equal(post(*state, JOBS, "\xc3\xbc", body, NULL)->status, 400);
    assert_int_equal(count_jobs(*state, "key"), 0);
    longest[255] = '\0';
    assert_int_equal(post(*state, JOBS, longest, body, NULL)->status, 200);
}

/* The answer outlives what it tells of. */
static void the_same_file_is_kept_once(void **state)
{
    char form[600], other[600], id[64], path[100];
    struct test_reply *reply;

    snprintf(form, sizeof form, FORM, "{}");
    snprintf(other, sizeof other, FORM, "[]");
    reply = post(*state, "/v1/files", "file-1", form, CUT);
    assert_int_equal(reply->status, 200);
    snprintf(id, sizeof id, "%s", test_text(reply->json, "id"));
    reply = post(*state, "/v1/files", "file-1", form, CUT);
    assert_string_equal(test_text(reply->json, "id"), id);
    assert_string_equal(test_header(reply, "Idempotent-Replayed"), "true");
    assert_int_equal(post(*state, "/v1/files", "file-1", other, CUT)->status, 422);
    assert_int_equal(post(*state, "/v1/files", "file-1", "--cut", CUT)->status, 400);
    snprintf(path, sizeof path, "/v1/files/%s", id);
    test_send(*state, &(struct test_request){.method = "DELETE", .path = path});
    reply = post(*state, "/v1/files", "file-1", form, CUT);
    assert_string_equal(test_text(reply->json, "id"), id);
    assert_int_equal(test_get(*state, "%s", path)->status, 404);
}

static void uploads_parts_and_their_end_are_made_once(void **state)
{
    static const char part[] = "--cut\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\nhello"
                               "\r\n--cut--\r\n";
    static const char upload[] = "{\"bytes\": 5, \"filename\": \"a\", \"mime_type\": \"a/b\", "
                                 "\"purpose\": \"fine-tune\"}";
    char id[64], path[120], body[120], first[64];
    struct test_reply *reply;

    for (int i = 0; i < 2; i++) {
        reply = post(*state, "/v1/uploads", "upload-1", upload, NULL);
        if (i == 0)
            snprintf(id, sizeof id, "%s", test_text(reply->json, "id"));
        assert_string_equal(test_text(reply->json, "id"), id);
    }
    snprintf(path, sizeof path, "/v1/uploads/%s/parts", id);
    for (int i = 0; i < 2; i++) {
        reply = post(*state, path, "part-1", part, CUT);
        if (i == 0)
            snprintf(first, sizeof first, "%s", test_text(reply->json, "id"));
        assert_memory_equal(first, "part_", 5);
        assert_string_equal(test_text(reply->json, "id"), first);
    }
    snprintf(path, sizeof path, "/v1/uploads/%s/complete", id);
    snprintf(body, sizeof body, "{\"part_ids\": [\"%s\"]}", first);
    for (int i = 0; i < 2; i++) {
        reply = post(*state, path, "complete-1", body, NULL);
        assert_int_equal(reply->status, 200);
        if (i == 0)
            snprintf(first, sizeof first, "%s", test_text(reply->json, "file.id"));
        assert_memory_equal(first, "file-", 5);
        assert_string_equal(test_text(reply->json, "file.id"), first);
    }
    assert_string_equal(test_header(reply, "Idempotent-Replayed"), "true");
    assert_int_equal(post(*state, path, "complete-2", body, NULL)->status, 409);
}

/* ---- at the same time ---- */

#define N_CLIENTS 4

static size_t count_answered(struct test_speaker *clients)
{
    size_t n = 0;

    for (size_t i = 0; i < N_CLIENTS; i++)
        n += atomic_load(&clients[i].answered);
    return n;
}

/* The database is locked from outside, so that the first request cannot be answered yet. */
static void while_the_first_is_being_answered_others_wait(void **state)
{
    struct test_server *server = *state;
    const struct timespec tick = {0, 10000000};
    struct test_speaker clients[N_CLIENTS];
    char body[300], request[800];
    size_t n_made = 0, n_refused = 0;
    sqlite3 *db;

    job_body(body, "race");
    snprintf(request, sizeof request,
             "POST " JOBS " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: "
             "application/json\r\nIdempotency-Key: race\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(body), body);
    assert_int_equal(sqlite3_open(test_server_path(server, "state/prilorad.db"), &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    for (size_t i = 0; i < N_CLIENTS; i++) {
        test_speak(&clients[i], server, request);
        if (i == 0) /* it blocks its polling thread, and others take the rest */
            nanosleep(&(struct timespec){0, 500000000}, NULL);
    }
    for (int i = 0; i < 1500 && count_answered(clients) == 0; i++)
        nanosleep(&tick, NULL);
    assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    for (size_t i = 0; i < N_CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        if (strstr(clients[i].answer, "200 OK")) {
            n_made += !strstr(clients[i].answer, "Idempotent-Replayed: true");
            continue;
        }
        n_refused++;
        assert_non_null(strstr(clients[i].answer, "409 Conflict"));
        assert_non_null(strstr(clients[i].answer, "idempotency_in_progress"));
        assert_non_null(strstr(clients[i].answer, "Retry-After: 1\r\n"));
        assert_null(strstr(clients[i].answer, "x-should-retry"));
    }
    assert_int_equal(n_made, 1);
    assert_true(n_refused > 0);
    assert_int_equal(count_jobs(server, "race"), 1);
}

/* A request that is sent, and the daemon killed some instant later; then it is sent again. */
static void a_kill_at_any_instant_makes_no_second_job(void **state)
{
    const long steps_us[] = {0, 300, 1000, 2000, 3000, 4500, 7000, 10000, 15000, 30000};

    for (size_t i = 0; i < sizeof steps_us / sizeof *steps_us; i++) {
        const struct timespec wait = {0, steps_us[i] * 1000};
        char mark[32], key[32], body[300], request[800];
        struct test_reply *reply;

        snprintf(mark, sizeof mark, "killed-%zu", i);
        snprintf(key, sizeof key, "kill-%zu", i);
        job_body(body, mark);
        snprintf(request, sizeof request,
                 "POST " JOBS " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                 "Idempotency-Key: %s\r\nContent-Length: %zu\r\n\r\n%s",
                 key, strlen(body), body);
        test_send_and_leave(*state, request, strlen(request));
        nanosleep(&wait, NULL);
        test_server_kill(*state);
        test_server_start(*state);
        reply = post(*state, JOBS, key, body, NULL);
        assert_int_equal(reply->status, 200);
        assert_int_equal(count_jobs(*state, mark), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_job_is_made_once),
        cmocka_unit_test(a_refused_request_does_not_use_its_key_up),
        cmocka_unit_test(a_key_is_printable_ascii),
        cmocka_unit_test(the_same_file_is_kept_once),
        cmocka_unit_test(uploads_parts_and_their_end_are_made_once),
        cmocka_unit_test(while_the_first_is_being_answered_others_wait),
        cmocka_unit_test(a_kill_at_any_instant_makes_no_second_job),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
