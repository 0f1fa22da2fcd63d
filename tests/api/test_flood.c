/* test_flood.c - more connections than there may be, and clients that never come to an end. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/server.h"

#define LIMIT   2000
#define TOO_FEW (LIMIT + 512) /* files that the test itself needs open */
#define OTHERS  50 /* files that come and stay: every thread opens the database when it needs it */

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* ---- many ---- */

static bool is_closed(int fd, int wait_ms)
{
    struct pollfd poller = {fd, POLLIN, 0};
    char byte;

    return poll(&poller, 1, wait_ms) > 0 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

static void expect_answer(int fd)
{
    static const char request[] = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct pollfd poller = {fd, POLLIN, 0};
    char answer[600] = "";

    assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
    assert_int_equal(poll(&poller, 1, 60000), 1);
    assert_true(recv(fd, answer, sizeof answer - 1, 0) > 0);
    assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
}

static size_t open_files(const struct test_server *server)
{
    char path[60];
    DIR *dir;
    size_t n = 0;

    snprintf(path, sizeof path, "/proc/%ld/fd", (long)server->pid);
    dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* Opens n connections of which all above `limit` must be refused, and the others go on. */
static void flood(struct test_server *server, size_t n, size_t limit)
{
    int *fds = calloc(n, sizeof *fds);
    size_t n_closed = 0;

    assert_non_null(fds);
    for (size_t i = 0; i < n; i++) /* they are accepted in order, but by several threads */
        fds[i] = test_connect(server);
    for (double until = seconds() + 60; n_closed < n - limit && seconds() < until;) {
        n_closed = 0;
        for (size_t i = 0; i < n; i++)
            n_closed += is_closed(fds[i], 0);
        sleep_ms(20);
    }
    /* a thread that accepts while another does may let in one more each */
    if (n_closed > n - limit + 1 || n_closed + 6 < n - limit)
        fail_msg("%zu of %zu connections were refused", n_closed, n);
    for (size_t i = 0; i < n; i += n / 50)
        if (!is_closed(fds[i], 0))
            expect_answer(fds[i]);
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    free(fds);
}

static void beyond_the_limit_connections_are_refused_and_old_ones_go_on(void **state)
{
    static const char *const settings[] = {"--server.max_connections=2000",
                                           "--server.max_connections_per_address=10000", NULL};
    struct rlimit files;
    struct test_server *server;
    size_t before;
    char *log;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_max < TOO_FEW)
        skip();
    if (files.rlim_cur < TOO_FEW) /* the daemon raises its own */
        files.rlim_cur = TOO_FEW;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    server = test_server_new(settings);
    assert_int_equal(test_get(server, "/livez")->status, 200);
    before = open_files(server);
    for (int round = 0; round < 2; round++) {
        flood(server, LIMIT + 100, LIMIT - 1); /* test_get keeps one open */
        for (double until = seconds() + 60;
             open_files(server) > before + OTHERS && seconds() < until;)
            sleep_ms(50);
        assert_true(open_files(server) <= before + OTHERS);
        assert_int_equal(test_get(server, "/readyz")->status, 200);
    }
    log = test_server_log(server);
    assert_non_null(strstr(log, "2000 connections are open: more are refused (max_connections)"));
    free(log);
    test_server_free(server);
}

static void one_address_gets_no_more_than_its_share(void **state)
{
    char setting[300], path[100];
    const char *settings[] = {"--server.max_connections_per_address=50", setting, NULL};
    struct test_server *server;
    int fds[60], n_closed = 0;

    (void)state;
    snprintf(path, sizeof path, "/tmp/prilorad-test-%ld.sock", (long)getpid());
    snprintf(setting, sizeof setting, "--server.socket=%s", path);
    server = test_server_new(settings);
    for (int i = 0; i < 60; i++)
        fds[i] = test_connect(server);
    for (double until = seconds() + 60; n_closed < 10 && seconds() < until; sleep_ms(20)) {
        n_closed = 0;
        for (int i = 0; i < 60; i++)
            n_closed += is_closed(fds[i], 0);
    }
    assert_int_equal(n_closed, 10);
    /* the owner of the machine is not locked out */
    assert_int_equal(test_send(server, &(struct test_request){.method = "GET",
                                                              .path = "/readyz",
                                                              .socket = path})
                         ->status,
                     200);
    for (int i = 0; i < 60; i++)
        close(fds[i]);
    test_server_free(server);
}

/* ---- slow ---- */

#define TIMEOUT_S 2
#define PATIENCE  60 /* of the test, on a machine that has other things to do */

static const char *const hurried[] = {"--server.request_timeout_s=2",
                                      "--server.min_upload_rate=500", NULL};

/* Sends `begin`, then a byte five times a second, until the server hangs up: after how long. */
static double until_cut(struct test_server *server, const char *begin, char byte)
{
    int fd = test_connect(server);
    double start = seconds();

    assert_true(send(fd, begin, strlen(begin), MSG_NOSIGNAL) == (ssize_t)strlen(begin));
    while (seconds() - start < PATIENCE && !is_closed(fd, 200))
        if (send(fd, &byte, 1, MSG_NOSIGNAL) < 0)
            break;
    close(fd);
    return seconds() - start;
}

static void who_sends_a_byte_now_and_then_is_cut(void **state)
{
    static const char *const begins[] = {
        "",
        "GET /li",
        "GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        "POST /v1/fine_tuning/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
        "application/json\r\nContent-Length: 100000\r\n\r\n{\"model\": \"",
        "POST /v1/nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n",
        "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\nContent-Type: "
        "multipart/form-data; boundary=cut\r\n\r\n--cut\r\nContent-Disposition: form-data; "
        "name=\"file\"; filename=\"a.csv\"\r\n\r\n",
    };
    struct test_server *server = test_server_new(hurried);

    (void)state;
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        double took = until_cut(server, begins[i], 'a');

        if (took < TIMEOUT_S * 0.9 || took > PATIENCE - 1)
            fail_msg("\"%s\" was cut after %.1f s", begins[i], took);
        assert_int_equal(test_get(server, "/readyz")->status, 200);
    }
    test_server_free(server);
}

static void an_upload_that_is_fast_enough_may_take_its_time(void **state)
{
    static const char begin[] =
        "--cut\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n"
        "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n";
    static const char end[] = "9\r\n\r\n--cut--\r\n0\r\n\r\n"; /* the last two chunks */
    struct test_server *server = test_server_new(hurried);
    int fd = test_connect(server);
    char head[600], chunk[1100], answer[2000] = "";
    int n_head = snprintf(head, sizeof head,
                          "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
                          "chunked\r\nContent-Type: multipart/form-data; boundary=cut\r\n\r\n"
                          "%zx\r\n%s\r\n",
                          sizeof begin - 1, begin);
    int n_chunk = snprintf(chunk, sizeof chunk, "%x\r\n%01000d\r\n", 1000, 7);
    double start = seconds();

    (void)state;
    assert_int_equal(send(fd, head, (size_t)n_head, MSG_NOSIGNAL), n_head);
    for (int i = 0; i < 24; i++, sleep_ms(250)) /* three spans of time, 4000 bytes a second */
        assert_int_equal(send(fd, chunk, (size_t)n_chunk, MSG_NOSIGNAL), n_chunk);
    assert_int_equal(send(fd, end, sizeof end - 1, MSG_NOSIGNAL), sizeof end - 1);
    assert_true(seconds() - start > 2.5 * TIMEOUT_S);
    assert_false(is_closed(fd, 30000));
    assert_true(recv(fd, answer, sizeof answer - 1, 0) > 0);
    assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
    assert_non_null(strstr(answer, "\"bytes\":24000"));
    close(fd);
    test_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beyond_the_limit_connections_are_refused_and_old_ones_go_on),
        cmocka_unit_test(one_address_gets_no_more_than_its_share),
        cmocka_unit_test(who_sends_a_byte_now_and_then_is_cut),
        cmocka_unit_test(an_upload_that_is_fast_enough_may_take_its_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
