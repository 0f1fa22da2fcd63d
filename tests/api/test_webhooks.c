/* test_webhooks.c - the real daemon tells a real server what became of its jobs. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/webhooks.h"
#include "support/receiver.h"
#include "support/scratch.h"
#include "support/server.h"

#define JOBS   "/v1/fine_tuning/jobs"
#define LIST   "/v1/webhooks/deliveries"
#define SECRET "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static struct test_server *start(int port)
{
    static char url[64], secret_file[300];
    static const char *const settings[] = {url, secret_file, NULL};

    snprintf(url, sizeof url, "--webhooks.url=http://127.0.0.1:%d/hook", port);
    snprintf(secret_file, sizeof secret_file, "--webhooks.secret_file=%s",
             test_scratch_write("secret", SECRET "\n", sizeof SECRET));
    return test_server_new(settings);
}

/* A job whose data are bad: it fails at once, which is an end as good as any. */
static void fail_a_job(const struct test_server *server, char id[64])
{
    char json[200];

    snprintf(json, sizeof json, "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\"}",
             test_upload(server, "a.jsonl", "not json\n"));
    snprintf(id, 64, "%s", test_create_job(server, json));
}

/* Polls until the newest delivery has the state; the list, the reply's. */
static const json_t *wait_for(const struct test_server *server, const char *wanted)
{
    const struct timespec tick = {0, 50000000};

    for (int i = 0; i < 1200; i++) {
        const json_t *list = test_get(server, LIST)->json;

        if (strcmp(test_text(list, "data.0.state"), wanted) == 0)
            return list;
        nanosleep(&tick, NULL);
    }
    fail_msg("the delivery did not become %s", wanted);
    return NULL;
}

static void a_job_that_ends_is_told_and_signed(void **state)
{
    const unsigned ok = 204;
    struct test_receiver *receiver = test_receiver_new(&ok, 1, 0);
    struct test_server *server = start(test_receiver_port(receiver));
    const struct test_received *got;
    struct webhook_secret secret;
    struct prilora_error err;
    char id[64], signature[WEBHOOK_SIGNATURE_SIZE];
    json_t *event;
    const json_t *list;

    (void)state;
    fail_a_job(server, id);
    test_receiver_wait(receiver, 1);
    got = test_receiver_get(receiver, 0);
    event = json_loads(got->body, 0, NULL);
    assert_string_equal(test_text(event, "object"), "event");
    assert_string_equal(test_text(event, "type"), "fine_tuning.job.failed");
    assert_string_equal(test_text(event, "id"), got->id);
    assert_string_equal(test_text(event, "data.id"), id);
    assert_true(llabs(test_integer(event, "created_at") - (json_int_t)time(NULL)) < 100);
    assert_string_equal(got->type, "application/json");
    /* against other programs' signatures it is checked in unit/test_webhooks */
    assert_int_equal(webhook_read_secret(&secret, SECRET, &err), PRILORA_OK);
    webhook_sign(signature, &secret, got->id, strtoll(got->timestamp, NULL, 10), got->body);
    assert_string_equal(got->signature, signature);
    list = wait_for(server, "sent");
    assert_string_equal(test_text(list, "data.0.id"), got->id);
    assert_string_equal(test_text(list, "data.0.fine_tuning_job_id"), id);
    assert_int_equal(test_integer(list, "data.0.attempts"), 1);
    assert_true(json_is_null(test_member(list, "data.0.last_error")));
    json_decref(event);
    test_server_free(server);
    assert_int_equal(test_receiver_wait(receiver, 1), 1); /* and once only */
    test_receiver_free(receiver);
}

/* Neither a redirect nor an error is taken for success, and neither is followed. */
static void what_fails_is_sent_again_even_after_a_restart(void **state)
{
    static const unsigned statuses[] = {302, 500, 200};
    struct test_receiver *receiver = test_receiver_new(statuses, 3, 100000);
    struct test_server *server = start(test_receiver_port(receiver));
    const struct test_received *first, *second;
    char id[64], path[200];
    const json_t *list;

    (void)state;
    fail_a_job(server, id);
    test_receiver_wait(receiver, 1);
    list = wait_for(server, "pending");
    while (test_integer(list, "data.0.attempts") == 0)
        list = wait_for(server, "pending");
    assert_string_equal(test_text(list, "data.0.last_error"), "HTTP status 302");
    assert_true(test_integer(list, "data.0.next_attempt_at") > 0);
    test_server_kill(server);
    test_server_start(server);
    test_receiver_wait(receiver, 2); /* after five or six seconds */
    snprintf(path, sizeof path, LIST "/%s/retry", test_receiver_get(receiver, 0)->id);
    do /* now, not in half a minute */
        assert_int_equal(test_post(server, path, NULL)->status, 200);
    while (test_integer(test_get(server, LIST)->json, "data.0.attempts") > 0);
    test_receiver_wait(receiver, 3);
    wait_for(server, "sent");
    first = test_receiver_get(receiver, 0);
    second = test_receiver_get(receiver, 1);
    assert_string_equal(first->id, second->id);
    assert_string_equal(first->body, second->body);
    assert_string_not_equal(first->timestamp, second->timestamp);
    assert_string_not_equal(first->signature, second->signature);
    test_server_free(server);
    test_receiver_free(receiver);
}

/* Connections are taken by the kernel, and never answered. */
static int hang(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void a_host_that_hangs_delays_neither_jobs_nor_the_end(void **state)
{
    int port, fd = hang(&port);
    struct test_server *server = start(port);
    char id[64];
    time_t before;
    int connection;

    (void)state;
    fail_a_job(server, id);
    connection = accept(fd, NULL, NULL); /* it is being sent */
    assert_true(connection >= 0);
    fail_a_job(server, id);
    assert_string_equal(test_text(test_wait_job(server, id, "failed"), "status"), "failed");
    before = time(NULL);
    test_server_stop(server);
    assert_true(time(NULL) - before < 8); /* the attempt alone would take ten seconds */
    close(connection);
    test_server_start(server);
    assert_string_equal(test_text(wait_for(server, "pending"), "data.1.state"), "pending");
    test_server_free(server);
    close(fd);
}

static void deliveries_are_looked_up_by_their_ids(void **state)
{
    const unsigned ok = 200;
    struct test_receiver *receiver = test_receiver_new(&ok, 1, 0);
    struct test_server *server = start(test_receiver_port(receiver));
    struct test_server *silent = test_server_new(NULL);
    struct test_reply *reply = test_post(server, LIST "/evt_none/retry", NULL);

    (void)state;
    assert_int_equal(reply->status, 404);
    assert_string_equal(test_text(reply->json, "error.code"), "delivery_not_found");
    assert_int_equal(test_get(server, LIST "?after=evt_none")->status, 400);
    assert_int_equal(test_get(server, LIST "?limit=0")->status, 400);
    reply = test_post(silent, LIST "/evt_none/retry", NULL);
    assert_int_equal(reply->status, 409);
    assert_string_equal(test_header(reply, "x-should-retry"), "false");
    reply = test_get(silent, LIST);
    assert_int_equal(json_array_size(json_object_get(reply->json, "data")), 0);
    test_server_free(silent);
    test_server_free(server);
    test_receiver_free(receiver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_that_ends_is_told_and_signed),
        cmocka_unit_test(what_fails_is_sent_again_even_after_a_restart),
        cmocka_unit_test(a_host_that_hangs_delays_neither_jobs_nor_the_end),
        cmocka_unit_test(deliveries_are_looked_up_by_their_ids),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
