/* test_webhooks.c - the real daemon tells a real server what became of its jobs. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
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
    const json_t *list;
    time_t accepted, stopped;
    int connection;

    (void)state;
    fail_a_job(server, id);
    connection = accept(fd, NULL, NULL); /* it is being sent */
    accepted = time(NULL);
    assert_true(connection >= 0);
    fail_a_job(server, id);
    assert_string_equal(test_text(test_wait_job(server, id, "failed"), "status"), "failed");
    test_server_stop(server);
    stopped = time(NULL);
    close(connection);
    test_server_start(server);
    list = wait_for(server, "pending");
    assert_string_equal(test_text(list, "data.1.state"), "pending");
    /* the end did not wait for what fails after ten seconds; a slow machine cannot tell */
    if (stopped - accepted < 8)
        assert_int_equal(test_integer(list, "data.1.attempts"), 0);
    test_server_free(server);
    close(fd);
}

/* ---- hosts that answer what nobody should ---- */

struct rude {
    const char *answer; /* the beginning */
    const char *again;  /* then this, without end; NULL: the connection is reset */
    long pause_us;      /* between two of them */
    const char *error;  /* in the delivery, "": it is not waited for */
    int fd;
};

static void answer_rudely(struct rude *rude, int connection)
{
    const struct linger reset = {1, 0};

    send(connection, rude->answer, strlen(rude->answer), MSG_NOSIGNAL);
    if (!rude->again)
        setsockopt(connection, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    while (rude->again && send(connection, rude->again, strlen(rude->again), MSG_NOSIGNAL) >= 0)
        usleep((useconds_t)rude->pause_us);
    close(connection);
}

static void *serve_rudely(void *argument)
{
    struct rude *rude = argument;
    int connection;

    while ((connection = accept(rude->fd, NULL, NULL)) >= 0)
        answer_rudely(rude, connection);
    return NULL;
}

/* One attempt ends, well or not; the jobs do not notice, and neither does SIGTERM. */
static void try_rude_host(struct rude *rude)
{
    int port;
    struct test_server *server;
    pthread_t thread;
    char id[64];
    const json_t *list;

    rude->fd = hang(&port);
    assert_int_equal(pthread_create(&thread, NULL, serve_rudely, rude), 0);
    server = start(port);
    fail_a_job(server, id);
    assert_string_equal(test_text(test_wait_job(server, id, "failed"), "status"), "failed");
    if (*rude->error) {
        list = wait_for(server, "pending");
        while (test_integer(list, "data.0.attempts") == 0)
            list = wait_for(server, "pending");
        if (!strstr(test_text(list, "data.0.last_error"), rude->error))
            fail_msg("%s", test_text(list, "data.0.last_error"));
    } else {
        usleep(1500000); /* it is being sent */
    }
    test_server_free(server); /* ends well, which is checked */
    shutdown(rude->fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(rude->fd);
}

static void a_rude_host_delays_neither_jobs_nor_the_end(void **state)
{
    static struct rude hosts[] = {
        {"", NULL, 0, "", 0},
        {"HTTP/1.1 2", NULL, 0, "", 0},
        {"HTTP/1.1 500 No\r\n\r\n", "0123456789abcdef", 0, "HTTP status 500", 0},
        {"HTTP/1.1 200 OK\r\n", "X-More: and more\r\n", 0, "", 0},
        {"HTTP/1.1 500 No\r\n\r\n", "0", 100000, "", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
        try_rude_host(&hosts[i]);
}

/* Of its own, without harm to others: tried in a child. */
static bool may_have_mounts(void)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0)
        _exit(unshare(CLONE_NEWNS) == 0 ? 0 : 1);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* A name server that takes questions and answers none; the daemon has a resolv.conf of its own. */
static void a_silent_name_server_delays_neither_jobs_nor_the_end(void **state)
{
    static const char wrapper[] =
        "#!/bin/sh\nexec unshare -m sh -c 'mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"' "
        "\"$RESOLV_CONF\" \"$REAL_PRILORAD\" \"$@\"\n";
    static const char conf[] = "nameserver 127.66.0.1\noptions timeout:30\n";
    static char secret_file[300];
    static const char *const settings[] = {"--webhooks.url=http://hooks.example.net/", secret_file,
                                           NULL};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const char *program = getenv("PRILORAD"), *path;
    struct test_server *server;
    char id[64], question[512], real[600];
    time_t before;

    (void)state;
    inet_pton(AF_INET, "127.66.0.1", &address.sin_addr);
    if (geteuid() != 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        !may_have_mounts()) {
        close(fd);
        skip(); /* only root may */
    }
    snprintf(secret_file, sizeof secret_file, "--webhooks.secret_file=%s",
             test_scratch_write("secret", SECRET "\n", sizeof SECRET));
    setenv("RESOLV_CONF", test_scratch_write("resolv.conf", conf, sizeof conf - 1), 1);
    snprintf(real, sizeof real, "%s", program ? program : "build/asan/prilorad");
    setenv("REAL_PRILORAD", real, 1);
    path = test_scratch_write("wrapper", wrapper, sizeof wrapper - 1);
    assert_int_equal(chmod(path, 0755), 0);
    setenv("PRILORAD", path, 1);
    server = test_server_new(settings);
    setenv("PRILORAD", real, 1);
    fail_a_job(server, id);
    assert_true(recv(fd, question, sizeof question, 0) > 0); /* it is being asked */
    fail_a_job(server, id);
    assert_string_equal(test_text(test_wait_job(server, id, "failed"), "status"), "failed");
    before = time(NULL);
    test_server_free(server);
    assert_true(time(NULL) - before < 25); /* it waits for an answer for thirty seconds */
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
        cmocka_unit_test(a_rude_host_delays_neither_jobs_nor_the_end),
        cmocka_unit_test(a_silent_name_server_delays_neither_jobs_nor_the_end),
        cmocka_unit_test(deliveries_are_looked_up_by_their_ids),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
