/* test_listen.c - HTTPS with a certificate that is made here by openssl(1), and the Unix socket. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/scratch.h"
#include "support/server.h"
#include "support/tree.h"

static char cert[300], key[300], other_key[300];

static void make_certificate(const char *cert_path, const char *key_path)
{
    const char *const arguments[] = {"openssl",
                                     "req",
                                     "-x509",
                                     "-newkey",
                                     "ec",
                                     "-pkeyopt",
                                     "ec_paramgen_curve:P-256",
                                     "-nodes",
                                     "-days",
                                     "2",
                                     "-subj",
                                     "/CN=localhost",
                                     "-addext",
                                     "subjectAltName=DNS:localhost",
                                     "-out",
                                     cert_path,
                                     "-keyout",
                                     key_path,
                                     NULL};
    int status = -1, quiet;
    pid_t pid = fork();

    if (pid == 0) {
        quiet = open("/dev/null", O_WRONLY);
        dup2(quiet, STDERR_FILENO);
        execvp("openssl", (char *const *)arguments);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("openssl req ended with status %d", status);
}

static int open_group(void **state)
{
    if (test_scratch_open(state) != 0)
        return -1;
    snprintf(cert, sizeof cert, "%s", test_scratch_path("cert.pem"));
    snprintf(key, sizeof key, "%s", test_scratch_path("key.pem"));
    snprintf(other_key, sizeof other_key, "%s", test_scratch_path("other.pem"));
    make_certificate(test_scratch_path("other-cert.pem"), other_key);
    make_certificate(cert, key);
    return 0;
}

/* A setting with a path, in one of sixteen buffers used in turn. */
static const char *setting(const char *name, const char *value)
{
    static char buffers[16][400];
    static unsigned next;
    char *text = buffers[next++ % 16];

    snprintf(text, sizeof buffers[0], "--server.%s=%s", name, value);
    return text;
}

/* ---- TLS ---- */

static struct test_reply *ask_tls(struct test_server *server, const char *path, const char *range)
{
    return test_send(server, &(struct test_request){
                                 .method = "GET", .path = path, .ca = cert, .headers = {range}});
}

static void files_go_both_ways_over_tls(void **state)
{
    const char *settings[] = {setting("tls_cert", cert), setting("tls_key", key), NULL};
    struct test_server *server = test_server_new(settings);
    size_t size = 5000000, room = size + 1000, n;
    char *data = malloc(size), *body = malloc(room), path[100];
    struct test_reply *reply;

    (void)state;
    assert_true(data && body);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)('a' + i * 7 % 23 + i / 4096 % 3); /* no two blocks alike */
    n = (size_t)snprintf(body, room,
                         "--cut\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n"
                         "fine-tune\r\n--cut\r\nContent-Disposition: form-data; name=\"file\"; "
                         "filename=\"a.csv\"\r\n\r\n");
    memcpy(body + n, data, size);
    n += size;
    n += (size_t)snprintf(body + n, room - n, "\r\n--cut--\r\n");
    reply = test_send(server, &(struct test_request){.method = "POST",
                                                     .path = "/v1/files",
                                                     .body = body,
                                                     .size = n,
                                                     .type = "multipart/form-data; boundary=cut",
                                                     .ca = cert});
    assert_int_equal(reply->status, 200);
    snprintf(path, sizeof path, "/v1/files/%s/content", test_text(reply->json, "id"));
    reply = ask_tls(server, path, NULL);
    assert_int_equal(reply->size, size);
    assert_memory_equal(reply->body, data, size);
    reply = ask_tls(server, path, "Range: bytes=1000000-1999999");
    assert_int_equal(reply->status, 206);
    assert_int_equal(reply->size, 1000000);
    assert_memory_equal(reply->body, data + 1000000, 1000000);
    free(data);
    free(body);
    test_server_free(server);
}

static void a_port_with_tls_speaks_nothing_else(void **state)
{
    const char *settings[] = {setting("tls_cert", cert), setting("tls_key", key), NULL};
    static const char plain[] = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct test_server *server = test_server_new(settings);
    char *answer = test_send_raw(server, plain, sizeof plain - 1), *log;

    (void)state;
    assert_null(strstr(answer, "HTTP/"));
    free(answer);
    assert_int_equal(ask_tls(server, "/livez", NULL)->status, 200);
    for (int i = 0; i < 20; i++) /* half a handshake each */
        test_send_and_leave(server, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9);
    assert_int_equal(ask_tls(server, "/livez", NULL)->status, 200);
    log = test_server_log(server);
    assert_non_null(strstr(log, "(HTTPS)"));
    assert_null(strstr(log, "can be read"));
    free(log);
    test_server_free(server);
}

static void wrong_certificate_files_are_refused_by_name(void **state)
{
    const char *text = test_scratch_write("text.pem", "no certificate\n", 15);
    char none[300], expected[700];
    struct test_server *server = test_server_new(NULL);
    struct {
        const char *settings[3], *part;
    } cases[] = {
        {{setting("tls_cert", cert), NULL}, "one is set, but both are needed"},
        {{setting("tls_key", key), NULL}, "one is set, but both are needed"},
        {{setting("tls_cert", cert), setting("tls_key", none), NULL}, ": No such file"},
        {{setting("tls_cert", text), setting("tls_key", key), NULL}, "in PEM, without a password"},
        {{setting("tls_cert", cert), setting("tls_key", other_key), NULL},
         "do not belong together"},
    };

    (void)state;
    snprintf(none, sizeof none, "%s", test_scratch_path("none.pem"));
    cases[2].settings[1] = setting("tls_key", none);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *log = test_server_refuses(server, cases[i].settings);

        if (!strstr(log, cases[i].part))
            fail_msg("%s: %s", cases[i].settings[0], log);
        if (i == 4) {
            snprintf(expected, sizeof expected, "%s (server.tls_cert) and %s (server.tls_key)",
                     cert, other_key);
            assert_non_null(strstr(log, expected));
        }
        free(log);
    }
    test_server_free(server);
}

/* On a new connection; 0: it was not believed. */
static long ask_believing(struct test_server *server, const char *ca)
{
    test_client_free();
    return test_send(server,
                     &(struct test_request){
                         .method = "GET", .path = "/livez", .ca = ca, .may_break = true})
        ->status;
}

/* SIGHUP, and its line in the log for the so-and-so-manieth time. */
static void reload(struct test_server *server, const char *line, int times)
{
    assert_int_equal(kill(server->pid, SIGHUP), 0);
    for (int waited = 0; waited < 3000; waited++) {
        char *log = test_server_log(server);
        int n = 0;

        for (const char *at = log; (at = strstr(at, line)); at++)
            n++;
        free(log);
        if (n >= times)
            return;
        usleep(20000);
    }
    fail_msg("\"%s\" is not in the log %d times", line, times);
}

static void a_renewed_certificate_needs_no_restart(void **state)
{
    char own_cert[300], own_key[300], kept[300];
    const char *settings[3] = {NULL};
    struct test_server *server;

    (void)state;
    snprintf(own_cert, sizeof own_cert, "%s", test_scratch_path("renewed.pem"));
    snprintf(own_key, sizeof own_key, "%s", test_scratch_path("renewed-key.pem"));
    snprintf(kept, sizeof kept, "%s", test_scratch_path("before.pem"));
    make_certificate(own_cert, own_key);
    settings[0] = setting("tls_cert", own_cert);
    settings[1] = setting("tls_key", own_key);
    server = test_server_new(settings);
    assert_int_equal(ask_believing(server, own_cert), 200);
    assert_int_equal(rename(own_cert, kept), 0);
    make_certificate(own_cert, own_key);
    assert_int_equal(ask_believing(server, kept), 200); /* the old one, until it is told */
    reload(server, "new connections get the certificate as it is now", 1);
    assert_int_equal(ask_believing(server, own_cert), 200);
    assert_int_equal(ask_believing(server, kept), 0);
    make_certificate(kept, own_key); /* another's key */
    reload(server, "do not belong together; all settings stay as they were", 1);
    assert_int_equal(ask_believing(server, own_cert), 200);
    test_server_free(server);
}

/* ---- the Unix socket ---- */

static struct test_reply *ask_socket(struct test_server *server, const char *socket,
                                     const char *path)
{
    return test_send(server, &(struct test_request){.method = "GET",
                                                    .path = path,
                                                    .socket = socket,
                                                    .headers = {"Host: any.name.will.do"}});
}

static void the_socket_is_there_while_the_daemon_is(void **state)
{
    char path[300], mode[] = "--server.socket_mode=0600";
    const char *settings[] = {NULL, mode, NULL};
    struct test_server *server;
    struct stat st;
    char *log;

    (void)state;
    snprintf(path, sizeof path, "%s", test_scratch_path("p.sock"));
    settings[0] = setting("socket", path);
    server = test_server_new(settings);
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(ask_socket(server, path, "/v1/keys")->status, 200);
    assert_int_equal(test_get(server, "/livez")->status, 200); /* the port as well */

    log = test_server_refuses(server, (const char *const[]){settings[0], NULL});
    assert_non_null(strstr(log, "somebody listens there already"));
    free(log);
    assert_int_equal(ask_socket(server, path, "/livez")->status, 200); /* it still does */

    test_server_kill(server);
    assert_int_equal(stat(path, &st), 0); /* left behind, and in nobody's way */
    test_server_start(server);
    assert_int_equal(ask_socket(server, path, "/livez")->status, 200);
    test_server_stop(server);
    assert_int_equal(stat(path, &st), -1);
    assert_int_equal(errno, ENOENT);
    test_server_free(server);
}

static void nobody_can_reach_a_daemon_without_port_and_socket(void **state)
{
    struct test_server *server = test_server_new(NULL);
    char *log = test_server_refuses(server, (const char *const[]){"--server.listen=none", NULL});

    (void)state;
    assert_non_null(strstr(log, "neither server.listen nor server.socket is set"));
    free(log);
    test_server_free(server);
}

/* Without a port there is no port file that test_server_new could wait for. */
static void the_socket_alone_is_enough(void **state)
{
    const char *program = getenv("PRILORAD");
    char path[300], state_dir[300];
    struct test_server server = {0};
    struct stat st;
    int status = -1;
    pid_t pid;

    (void)state;
    snprintf(path, sizeof path, "%s", test_scratch_path("only.sock"));
    snprintf(state_dir, sizeof state_dir, "--state-dir=%s", test_scratch_path("state"));
    pid = fork();
    if (pid == 0) {
        dup2(open(test_scratch_path("log"), O_WRONLY | O_CREAT, 0600), STDERR_FILENO);
        execl(program ? program : "build/asan/prilorad", "prilorad", "--listen=none",
              setting("socket", path), state_dir, "--models=examples", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 3000 && stat(path, &st) != 0; i++)
        usleep(20000);
    assert_int_equal(ask_socket(&server, path, "/v1/models")->status, 200);
    kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(stat(path, &st), -1);
    test_client_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_go_both_ways_over_tls),
        cmocka_unit_test(a_port_with_tls_speaks_nothing_else),
        cmocka_unit_test(wrong_certificate_files_are_refused_by_name),
        cmocka_unit_test(a_renewed_certificate_needs_no_restart),
        cmocka_unit_test(the_socket_is_there_while_the_daemon_is),
        cmocka_unit_test(nobody_can_reach_a_daemon_without_port_and_socket),
        cmocka_unit_test(the_socket_alone_is_enough),
    };

    return cmocka_run_group_tests(tests, open_group, test_scratch_close);
}
