/* test_flood.c - more connections than there may be, and clients that never come to an end. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
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

#define PATIENCE 60 /* of the test, on a machine that has other things to do */
#define LIMIT    2000
#define TOO_FEW  (LIMIT + 512) /* files that the test itself needs open */
#define OTHERS   50 /* files that come and stay: every thread opens the database when it needs it */

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
                                           "--server.max_connections_per_address=10000",
                                           "--server.request_timeout_s=300", NULL};
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

/* ---- ten thousand ---- */

/* Of the daemon's memory, of a connection that does nothing; ASan puts red zones around all. */
#ifdef __SANITIZE_ADDRESS__
#define EACH_BYTES 32768
#else
#define EACH_BYTES 8192
#endif

#define CROWD      10000
#define CROWD_LEFT 200 /* connections that the limit leaves above the crowd */
#define CROWD_OWN  (CROWD + 1000)
#define PER_ADDRESS                                                                                \
    2000            /* from one of 127.0.0.x: an address has some 28,000 ports, and neighbours */
#define SANE_S 30.0 /* of an answer meanwhile, under a sanitizer on a busy machine */

static int connect_from(const struct test_server *server, unsigned host)
{
    struct sockaddr_in own = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK + host)};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)server->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* A figure of /metrics. */
static double figure(const struct test_server *server, const char *name)
{
    const char *at = test_get(server, "/metrics")->body;
    char line[100];

    snprintf(line, sizeof line, "\n%s ", name);
    at = strstr(at, line);
    assert_non_null(at);
    return strtod(at + strlen(line), NULL);
}

/* How long the slowest of some requests took. */
static double slowest(const struct test_server *server, const char *path)
{
    double worst = 0;

    for (int i = 0; i < 20; i++) {
        double start = seconds();

        assert_int_equal(test_get(server, "%s", path)->status, 200);
        worst = seconds() - start > worst ? seconds() - start : worst;
    }
    return worst;
}

static struct test_server *start_for_crowd(void)
{
    static const char *const settings[] = {"--server.max_connections=10200",
                                           "--server.max_connections_per_address=3000",
                                           "--server.request_timeout_s=300", NULL};
    struct rlimit files;

#ifdef __SANITIZE_THREAD__ /* takes minutes, and sees the same in the smaller flood above */
    return NULL;
#endif
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    if (files.rlim_max < CROWD_OWN)
        return NULL;
    if (files.rlim_cur < CROWD_OWN)
        files.rlim_cur = CROWD_OWN;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    return test_server_new(settings);
}

static void ten_thousand_open_connections_leave_room_for_others(void **state)
{
    struct test_server *server = start_for_crowd();
    int *fds = calloc(CROWD + 2 * CROWD_LEFT, sizeof *fds);
    size_t files, n_closed = 0, n = CROWD;
    double before, each, start = seconds();

    (void)state;
    if (!server) {
        free(fds);
        skip();
    }
    assert_non_null(fds);
    slowest(server, "/readyz");
    files = open_files(server);
    before = test_resident_bytes(server);
    for (size_t i = 0; i < CROWD; i++)
        fds[i] = connect_from(server, (unsigned)(1 + i / PER_ADDRESS));
    for (size_t i = 0; i < CROWD; i += 100)
        expect_answer(fds[i]);
    each = (test_resident_bytes(server) - before) / CROWD;
    print_message("%d connections within %.1f s, %.0f bytes each\n", CROWD, seconds() - start,
                  each);
    if (open_files(server) < files + CROWD)
        fail_msg("%zu files are open, not %zu", open_files(server), files + CROWD);
    if (each > EACH_BYTES)
        fail_msg("%.0f bytes", each);
    for (size_t i = 0; i < 2; i++) {
        double took = slowest(server, i ? "/v1/fine_tuning/jobs" : "/livez");

        print_message("the slowest answer meanwhile: %.4f s\n", took);
        assert_true(took < SANE_S);
    }
    for (; n < CROWD + 2 * CROWD_LEFT; n++)
        fds[n] = connect_from(server, (unsigned)(1 + n / PER_ADDRESS));
    for (double until = seconds() + 60; n_closed < CROWD_LEFT && seconds() < until; sleep_ms(20)) {
        n_closed = 0;
        for (size_t i = CROWD; i < n; i++)
            n_closed += is_closed(fds[i], 0);
    }
    /* test_get keeps one; a thread that accepts while another does may let in one more each */
    if (n_closed < CROWD_LEFT - 5 || n_closed > CROWD_LEFT + 1)
        fail_msg("%zu connections above the limit were refused", n_closed);
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    free(fds);
    for (double until = seconds() + 60; open_files(server) > files + OTHERS && seconds() < until;)
        sleep_ms(50);
    assert_true(open_files(server) <= files + OTHERS);
    assert_true(figure(server, "prilorad_http_requests_open") <= 1); /* this one */
    assert_true(figure(server, "prilorad_http_requests_waiting") == 0);
    test_server_free(server);
}

/* ---- who hangs up ---- */

#define BOUNDARY "multipart/form-data; boundary=cut"
#define FILE_HEAD                                                                                  \
    "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n"

/* JOB, FILE: their ids. */
static const char *const requests[] = {
    "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: " BOUNDARY
    "\r\nContent-Length: 5000\r\n\r\n" FILE_HEAD "text,label\r\nhalf a row",
    "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: " BOUNDARY
    "\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n--cu\r\nffffffffffffffff\r\nabc",
    "POST /v1/fine_tuning/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Content-Length: 300\r\n\r\n{\"model\": \"prilora-mi",
    "POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"mod",
    "GET /v1/fine_tuning/jobs/JOB/events?stream=true HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /v1/fine_tuning/jobs/JOB?wait=60 HTTP/1.1\r\nHost: localhost\r\nConnection: "
    "keep-alive\r\n\r\n",
    "GET /v1/fine_tuning/jobs/JOB/metrics?wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /v1/files/FILE/content HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /v1/files/FILE/preview HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: " BOUNDARY
    "\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n",
    "POST /v1/keys HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18446744073709551616\r\n\r\n{}",
    "POST /v1/keys HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n{}",
};

static void with_ids(char *out, size_t room, const char *text, const char *job, const char *file)
{
    const char *at = strstr(text, "/JOB"), *id = job;
    size_t n_mark = 4;

    if (!at) {
        at = strstr(text, "/FILE");
        id = file;
        n_mark = 5;
    }
    if (at)
        snprintf(out, room, "%.*s/%s%s", (int)(at - text), text, id, at + n_mark);
    else
        snprintf(out, room, "%s", text);
}

/* A connection that ends with RST, after `wait_ms`. */
static void reset(int fd, long wait_ms)
{
    const struct linger at_once = {1, 0};

    sleep_ms(wait_ms);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(fd);
}

static size_t files_in(const struct test_server *server, const char *name)
{
    DIR *dir = opendir(test_server_path(server, name));
    struct dirent *entry;
    size_t n = 0;

    while (dir && (entry = readdir(dir)))
        n += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

static void who_hangs_up_anywhere_leaves_nothing_behind(void **state)
{
    struct test_server *server = test_server_new(NULL);
    char *rows = test_sentences(400, 1), file[64], job[64], json[300], text[700];
    size_t files, n_files;

    (void)state;
    snprintf(file, sizeof file, "%s", test_upload(server, "a.jsonl", rows));
    free(rows);
    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"method\": {\"type\": "
             "\"prilora\", \"prilora\": {\"hyperparameters\": {\"n_epochs\": 1000}}}}",
             file);
    snprintf(job, sizeof job, "%s", test_create_job(server, json));
    test_wait_job(server, job, "running");
    n_files = files_in(server, "state/files");
    files = open_files(server);
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        int n;

        with_ids(text, sizeof text, requests[i], job, file);
        n = (int)strlen(text);
        for (int k = 0; k <= n; k += k < n - 24 ? n / 8 + 1 : 8) {
            int fd = test_connect(server);

            assert_int_equal(send(fd, text, (size_t)k, MSG_NOSIGNAL), k);
            reset(fd, k % 3 * 4);
        }
        for (int k = 0; k < 4; k++) { /* whole, and what is answered is not read */
            int fd = test_connect(server);

            assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
            reset(fd, 40 * k);
        }
    }
    for (double until = seconds() + PATIENCE; (open_files(server) > files + OTHERS ||
                                               figure(server, "prilorad_http_requests_open") > 1) &&
                                              seconds() < until;)
        sleep_ms(100);
    assert_true(figure(server, "prilorad_http_requests_open") <= 1);
    assert_true(figure(server, "prilorad_http_requests_waiting") == 0);
    assert_true(open_files(server) <= files + OTHERS);
    assert_int_equal(files_in(server, "state/files"), n_files);
    assert_int_equal(test_get(server, "/v1/fine_tuning/jobs/%s", job)->status, 200);
    assert_int_equal(json_array_size(test_member(test_get(server, "/v1/files")->json, "data")), 1);
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
        cmocka_unit_test(ten_thousand_open_connections_leave_room_for_others),
        cmocka_unit_test(who_hangs_up_anywhere_leaves_nothing_behind),
        cmocka_unit_test(one_address_gets_no_more_than_its_share),
        cmocka_unit_test(who_sends_a_byte_now_and_then_is_cut),
        cmocka_unit_test(an_upload_that_is_fast_enough_may_take_its_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
