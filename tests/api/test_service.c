/*
 * test_service.c - what systemd and the daemon say to each other, with this program in systemd's
 * place: readiness, watchdog, reload, sockets that are given, credentials. tests/check-systemd has
 * a real one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/scratch.h"
#include "support/server.h"

#define PATIENCE_S 120 /* of a test for what must come: the machine may be busy */

/* ---- systemd's side ---- */

static int notified = -1;
static char notify_path[108], credentials[300];
static int given[3], n_given;
static const char *given_names;

static int open_notify(void)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    snprintf(notify_path, sizeof notify_path, "/tmp/prilorad-notify-%ld", (long)getpid());
    unlink(notify_path);
    memcpy(name.sun_path, notify_path, strlen(notify_path));
    notified = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return bind(notified, (const struct sockaddr *)&name, sizeof name);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A thread takes what comes, as systemd does, so that no sender waits. */
#define MAX_KEPT 4096
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *kept[MAX_KEPT];
static size_t n_kept, n_read;

static void *collect(void *unused)
{
    char text[2048];
    ssize_t n;

    (void)unused;
    while ((n = recv(notified, text, sizeof text - 1, 0)) > 0) {
        text[n] = '\0';
        pthread_mutex_lock(&lock);
        if (n_kept < MAX_KEPT)
            kept[n_kept++] = strdup(text);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

/* The next datagram within so many seconds; NULL: none. */
static const char *next_datagram(double seconds)
{
    const char *text = NULL;

    for (double end = now() + seconds;; usleep(10000)) {
        pthread_mutex_lock(&lock);
        if (n_read < n_kept)
            text = kept[n_read++];
        pthread_mutex_unlock(&lock);
        if (text || now() >= end)
            return text;
    }
}

/* Until one has these words. */
static const char *await(const char *words)
{
    for (double end = now() + PATIENCE_S; now() < end;) {
        const char *text = next_datagram(end - now());

        if (text && strstr(text, words))
            return text;
    }
    fail_msg("nothing was told of %s", words);
    return NULL;
}

static void drain(void)
{
    while (next_datagram(0))
        ;
}

static void as_service(void)
{
    char number[24];

    setenv("NOTIFY_SOCKET", notify_path, 1);
    setenv("WATCHDOG_USEC", "800000", 1);
    snprintf(number, sizeof number, "%ld", (long)getpid());
    setenv("WATCHDOG_PID", number, 1);
    if (credentials[0])
        setenv("CREDENTIALS_DIRECTORY", credentials, 1);
}

/* Descriptors from 3 on, as exec leaves them. */
static void with_sockets(void)
{
    char number[24];

    for (int i = 0; i < n_given; i++)
        given[i] = fcntl(given[i], F_DUPFD, 20);
    for (int i = 0; i < n_given; i++)
        dup2(given[i], 3 + i);
    snprintf(number, sizeof number, "%ld", (long)getpid());
    setenv("LISTEN_PID", number, 1);
    snprintf(number, sizeof number, "%d", n_given);
    setenv("LISTEN_FDS", number, 1);
    if (given_names)
        setenv("LISTEN_FDNAMES", given_names, 1);
}

static int listening_port(int *port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (const struct sockaddr *)&name, size), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &size), 0);
    *port = ntohs(name.sin_port);
    return fd;
}

static pthread_t collector;

static int open_group(void **state)
{
    if (test_scratch_open(state) != 0 || open_notify() != 0)
        return -1;
    return pthread_create(&collector, NULL, collect, NULL);
}

static int close_group(void **state)
{
    shutdown(notified, SHUT_RDWR);
    pthread_join(collector, NULL);
    close(notified);
    while (n_kept > 0)
        free(kept[--n_kept]);
    unlink(notify_path);
    return test_scratch_close(state);
}

/* A job that takes a minute or so; free the result. */
static char *start_long_job(struct test_server *server)
{
    char *text = test_sentences(400, 1), body[500];
    const char *id;

    snprintf(body, sizeof body,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"method\": {\"type\": "
             "\"prilora\", \"prilora\": {\"hyperparameters\": {\"max_steps\": 1000000, "
             "\"n_epochs\": 10000}}}}",
             test_upload(server, "train.jsonl", text));
    free(text);
    id = test_create_job(server, body);
    test_wait_step(server, id, 1);
    return strdup(id);
}

/* ---- readiness, status, stop ---- */

static void the_status_follows_the_job_from_start_to_stop(void **state)
{
    struct test_server *server;
    char *id, words[100], *log;
    const char *text;

    (void)state;
    drain();
    server = test_server_new_as(NULL, as_service);
    await("READY=1");
    await("STATUS=idle");
    id = start_long_job(server);
    snprintf(words, sizeof words, "STATUS=1 job: %s step ", id);
    text = await(words);
    assert_non_null(strstr(text, " of 1000000"));
    test_server_stop(server);
    await("STOPPING=1");
    await("STATUS=stopping: 1 running jobs are checkpointed");
    test_server_start(server); /* it goes on from there */
    test_wait_step(server, id, 2);
    log = test_server_log(server);
    assert_non_null(strstr(log, "stopped, to go on later"));
    free(log);
    free(id);
    test_server_free(server);
}

/* ---- the watchdog ---- */

/* The id of the daemon's thread of this name; 0: there is none. */
static pid_t find_thread(const struct test_server *server, const char *name)
{
    char folder[64], path[400], comm[32];
    pid_t found = 0;
    DIR *dir;

    snprintf(folder, sizeof folder, "/proc/%ld/task", (long)server->pid);
    dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        FILE *file;

        snprintf(path, sizeof path, "%s/%s/comm", folder, entry->d_name);
        file = fopen(path, "r");
        if (file && fgets(comm, sizeof comm, file) && strncmp(comm, name, strlen(name)) == 0)
            found = (pid_t)strtol(entry->d_name, NULL, 10);
        if (file)
            fclose(file);
    }
    if (dir)
        closedir(dir);
    return found;
}

static void a_worker_that_stands_still_is_not_covered_up(void **state)
{
    static const char *const settings[] = {"--training.stall_timeout_s=2", "--training.threads=1",
                                           NULL};
    struct test_server *server;
    pid_t trainer;
    int status;
    char *id;

    (void)state;
    drain();
    server = test_server_new_as(settings, as_service);
    id = start_long_job(server);
    trainer = find_thread(server, "trainer");
    assert_true(trainer > 0);
    drain();
    for (int i = 0; i < 20; i++) /* 4 s of work, with a patience of 2 */
        await("WATCHDOG=1");
    if (ptrace(PTRACE_SEIZE, trainer, 0, 0) != 0) {
        print_message("ptrace: %s\n", strerror(errno));
        free(id);
        test_server_free(server);
        skip();
    }
    assert_int_equal(ptrace(PTRACE_INTERRUPT, trainer, 0, 0), 0);
    assert_int_equal(waitpid(trainer, &status, __WALL), trainer);
    await("STATUS=stuck: a training has stood still");
    for (double end = now() + 2; now() < end;) {
        const char *text = next_datagram(0.5);

        assert_true(!text || !strstr(text, "WATCHDOG=1"));
    }
    assert_int_equal(ptrace(PTRACE_DETACH, trainer, 0, 0), 0);
    await("WATCHDOG=1");
    free(id);
    test_server_free(server);
}

static void an_idle_daemon_is_well(void **state)
{
    static const char *const settings[] = {"--training.stall_timeout_s=1", NULL};
    struct test_server *server;

    (void)state;
    drain();
    server = test_server_new_as(settings, as_service);
    await("READY=1");
    for (int i = 0; i < 20; i++) /* 4 s */
        await("WATCHDOG=1");
    test_server_stop(server);
    for (const char *text; (text = next_datagram(0));)
        assert_null(strstr(text, "stuck"));
    test_server_free(server);
}

/* ---- reload ---- */

static char config_path[300], config_setting[320];

static void write_config(const char *text)
{
    FILE *file = fopen(config_path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void reload(struct test_server *server)
{
    drain();
    assert_int_equal(kill(server->pid, SIGHUP), 0);
    assert_non_null(strstr(await("RELOADING=1"), "\nMONOTONIC_USEC="));
    await("READY=1");
}

static struct test_server *start_with_config(const char *text)
{
    const char *settings[] = {config_setting, NULL};

    snprintf(config_path, sizeof config_path, "%s", test_scratch_path("prilorad.conf"));
    snprintf(config_setting, sizeof config_setting, "--config=%s", config_path);
    write_config(text);
    return test_server_new_as(settings, as_service);
}

/* The status of a request from this origin that wants to change something. */
static long status_from(struct test_server *server, const char *origin)
{
    char header[100];

    snprintf(header, sizeof header, "Origin: %s", origin);
    return test_send(server, &(struct test_request){.method = "POST",
                                                    .path = "/v1/fine_tuning/jobs/none/cancel",
                                                    .headers = {header}})
        ->status;
}

static void assert_logged(struct test_server *server, const char *words, bool expected)
{
    char *log = test_server_log(server);

    if ((strstr(log, words) != NULL) != expected)
        fail_msg("\"%s\" %s in the log: %s", words, expected ? "is not" : "is", log);
    free(log);
}

static void new_settings_hold_or_wait_each_by_name(void **state)
{
    struct test_server *server = start_with_config("[training]\nworkers = 1\n");

    (void)state;
    assert_int_equal(status_from(server, "https://app.example"), 403);
    write_config("[server]\ncors_origins = https://app.example\nmax_body_mb = 1\n"
                 "[training]\nworkers = 3\n[log]\nlevel = debug\n[hub]\ntoken = very-secret\n");
    reload(server);
    assert_int_equal(status_from(server, "https://app.example"), 404);
    assert_logged(server, "server.cors_origins = https://app.example (was nothing)", true);
    assert_logged(server, "server.max_body_mb = 1 (was 8)", true);
    assert_logged(server, "training.workers = 3 (is 1): holds after a restart", true);
    assert_logged(server, "hub.token (not shown)", true);
    assert_logged(server, "very-secret", false);
    reload(server);
    assert_int_equal(status_from(server, "https://app.example"), 404);
    write_config("");
    reload(server);
    assert_int_equal(status_from(server, "https://app.example"), 403);
    test_server_free(server);
}

static void a_wrong_configuration_changes_nothing(void **state)
{
    static const char *const wrong[] = {
        "[server]\ncors_origins = https://b.example\nmax_body_mb = none\n",
        "[server]\ncors_origins = https://b.example\n[webhooks]\nurl = http://127.0.0.1:9/\n"
        "secret_file = /nowhere/secret\n",
        "[server]\ncors_origins = https://b.example\nno_such = 1\n",
        "[server]\ncors_origins = https://b.example\ntls_cert = /nowhere/cert\n",
    };
    struct test_server *server = start_with_config("[server]\ncors_origins = https://a.example\n");

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_config(wrong[i]);
        reload(server);
        await("the settings are wrong, the earlier ones hold");
        assert_int_equal(status_from(server, "https://a.example"), 404);
        assert_int_equal(status_from(server, "https://b.example"), 403);
    }
    assert_logged(server, "all settings stay as they were", true);
    assert_logged(server, "/nowhere/secret cannot be read", true);
    unlink(config_path);
    reload(server);
    assert_int_equal(status_from(server, "https://a.example"), 404);
    write_config("[server]\ncors_origins = https://b.example\n");
    reload(server);
    assert_int_equal(status_from(server, "https://b.example"), 404);
    test_server_free(server);
}

static void steer(struct test_server *server, const char *id, const char *verb)
{
    char path[128];

    snprintf(path, sizeof path, "/v1/fine_tuning/jobs/%s/%s", id, verb);
    assert_int_equal(test_post(server, path, NULL)->status, 200);
}

static void wait_for_event(struct test_server *server, const char *id, const char *part)
{
    struct test_reply *reply;

    for (int i = 0; i < 6000; i++) {
        reply = test_get(server, "/v1/fine_tuning/jobs/%s/events?limit=100", id);
        assert_int_equal(reply->status, 200);
        if (strstr(reply->body, part))
            return;
        usleep(20000);
    }
    fail_msg("no event says \"%s\"", part);
}

/* Nothing fails that was queued when there was more. */
static void what_a_lowered_memory_limit_stops_goes_on_when_it_is_raised(void **state)
{
    struct test_server *server = start_with_config("[training]\nmemory_limit_mb = 100000\n");
    char *id = start_long_job(server);

    (void)state;
    steer(server, id, "pause");
    test_wait_job(server, id, "paused");
    write_config("[training]\nmemory_limit_mb = 1\n");
    reload(server);
    steer(server, id, "resume");
    wait_for_event(server, id, "Waits until the limit is raised");
    assert_string_equal(test_text(test_wait_job(server, id, "queued"), "status"), "queued");
    write_config("[training]\nmemory_limit_mb = 100000\n");
    reload(server);
    test_wait_step(server, id, 2);
    free(id);
    test_server_free(server);
}

/* Under ThreadSanitizer: readers everywhere while settings change. */
static void settings_change_under_load(void **state)
{
    struct test_server *server = start_with_config("");
    char text[300], *id = start_long_job(server);

    (void)state;
    for (int i = 0; i < 12; i++) {
        snprintf(text, sizeof text,
                 "[server]\ncors_origins = https://a%d.example\nallowed_hosts = h%d\n"
                 "min_upload_rate = %d\n[training]\nmemory_limit_mb = %d\n[log]\nformat = %s\n",
                 i, i, i, 100000 + i, i % 2 ? "json" : "text");
        write_config(text);
        kill(server->pid, SIGHUP);
        for (int j = 0; j < 10; j++) {
            assert_int_equal(test_get(server, "/v1/fine_tuning/jobs/%s", id)->status, 200);
            status_from(server, "https://a.example");
        }
    }
    free(id);
    test_server_free(server);
}

/* ---- sockets that are given ---- */

static void given_sockets_are_served_and_outlive_the_daemon(void **state)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct test_server *server;
    struct stat st;
    int port, local, ours[2];
    char line[40];

    (void)state;
    snprintf(name.sun_path, sizeof name.sun_path, "/tmp/prilorad-given-%ld", (long)getpid());
    unlink(name.sun_path);
    local = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(local, (const struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(local, 16), 0);
    ours[0] = given[0] = listening_port(&port);
    ours[1] = given[1] = local;
    n_given = 2;
    given_names = "http:local";
    server = test_server_new_as(NULL, with_sockets);
    assert_int_equal(server->port, port); /* of the port file */
    assert_int_equal(test_get(server, "/v1/models")->status, 200);
    assert_int_equal(test_send(server, &(struct test_request){.method = "GET",
                                                              .path = "/v1/keys",
                                                              .socket = name.sun_path})
                         ->status,
                     200);
    snprintf(line, sizeof line, "ready on 127.0.0.1:%d and /tmp/", port);
    assert_logged(server, line, true);
    test_server_stop(server);
    assert_int_equal(stat(name.sun_path, &st), 0); /* not ours to remove */
    close(test_connect(server));                   /* waits for the next daemon, is not refused */
    given[0] = ours[0];
    given[1] = ours[1];
    test_server_start(server);
    assert_int_equal(test_get(server, "/livez")->status, 200);
    test_server_free(server);
    close(ours[0]);
    close(ours[1]);
    unlink(name.sun_path);
}

static void what_cannot_be_served_is_refused_by_its_name(void **state)
{
    static const char *const parts[] = {
        "descriptor 3 (\"odd\"), which the service manager gave, is no socket",
        "descriptor 3 (\"odd\"), which the service manager gave, is no stream",
        "descriptor 3 (\"odd\"), which the service manager gave, does not listen",
    };
    int fds[3] = {open("/dev/null", O_RDONLY), socket(AF_INET, SOCK_DGRAM, 0),
                  socket(AF_INET, SOCK_STREAM, 0)};
    struct test_server *server = test_server_new(NULL);

    (void)state;
    given_names = "odd";
    n_given = 1;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *log;

        given[0] = fds[i];
        log = test_server_refuses_as(server, (const char *const[]){NULL}, with_sockets);
        if (!strstr(log, parts[i]))
            fail_msg("%s: %s", parts[i], log);
        free(log);
        close(fds[i]);
    }
    test_server_free(server);
}

/* ---- credentials ---- */

static struct test_reply *with_key(struct test_server *server, const char *key)
{
    char header[120];

    snprintf(header, sizeof header, "Authorization: Bearer %s", key);
    return test_send(
        server, &(struct test_request){.method = "GET", .path = "/v1/keys", .headers = {header}});
}

static void a_credential_is_the_first_key(void **state)
{
    static const char one[] = "prilora-0123456789abcdefghijklmnopqrstuvwxyz\n",
                      two[] = "prilora-zyxwvutsrqponmlkjihgfedcba9876543210\n";
    const char *path = test_scratch_write("api-key", one, strlen(one));
    const char *settings[] = {"--server.keys=always", NULL};
    struct test_server *server;
    char first[60], second[60], *log;

    (void)state;
    snprintf(credentials, sizeof credentials, "%.*s", (int)(strrchr(path, '/') - path), path);
    snprintf(first, sizeof first, "%.*s", (int)strlen(one) - 1, one);
    snprintf(second, sizeof second, "%.*s", (int)strlen(two) - 1, two);
    server = test_server_new_as(settings, as_service);
    assert_int_equal(with_key(server, first)->status, 200);
    assert_int_equal(with_key(server, second)->status, 401);
    test_server_stop(server);
    test_server_start(server); /* the same key is no second one */
    assert_int_equal(json_array_size(test_member(with_key(server, first)->json, "data")), 1);
    test_server_stop(server);
    test_scratch_write("api-key", two, strlen(two));
    test_server_start(server);
    assert_int_equal(with_key(server, second)->status, 200);
    assert_int_equal(with_key(server, first)->status, 401);
    assert_logged(server, first, false);
    test_scratch_write("api-key", "password\n", 9);
    log = test_server_refuses_as(server, settings, as_service);
    assert_non_null(strstr(log, "the first line is no API key"));
    assert_null(strstr(log, "password"));
    free(log);
    credentials[0] = '\0';
    test_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_status_follows_the_job_from_start_to_stop),
        cmocka_unit_test(a_worker_that_stands_still_is_not_covered_up),
        cmocka_unit_test(an_idle_daemon_is_well),
        cmocka_unit_test(new_settings_hold_or_wait_each_by_name),
        cmocka_unit_test(a_wrong_configuration_changes_nothing),
        cmocka_unit_test(what_a_lowered_memory_limit_stops_goes_on_when_it_is_raised),
        cmocka_unit_test(settings_change_under_load),
        cmocka_unit_test(given_sockets_are_served_and_outlive_the_daemon),
        cmocka_unit_test(what_cannot_be_served_is_refused_by_its_name),
        cmocka_unit_test(a_credential_is_the_first_key),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
