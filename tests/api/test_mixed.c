/*
 * test_mixed.c - all that a daemon does, at once, for some seconds: jobs that train and are paused,
 * resumed, cancelled and deleted, live streams, long polls, predictions, uploads, keys, pulls,
 * previews, SIGHUP. TSan looks on (build/tsan); here nothing may be answered by a 500.
 *
 *   test_mixed [SECONDS]
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
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

#include "support/server.h"

#define JOBS     "/v1/fine_tuning/jobs"
#define N(table) (sizeof(table) / sizeof *(table))
#define ROOM     4096

static double duration_s = 3;
static struct test_server *server;
static char file_id[64], model[128], long_job[64];
static atomic_bool over;
static atomic_int n_broken, n_answers;
static char broken[ROOM]; /* the first answer that is wrong; written once */

/* ---- asking on a thread ---- */

/* The whole of a short answer, or its beginning after `wait_ms` of silence; the status, 0 for
 * none. */
static int ask(const char *method, const char *path, const char *type, const char *body,
               int wait_ms, char answer[ROOM])
{
    char request[ROOM];
    int n = snprintf(request, sizeof request,
                     "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: "
                     "%s\r\nContent-Length: %zu\r\n\r\n%s",
                     method, path, type ? type : "application/json", strlen(body), body);
    int fd = test_connect(server), status;
    size_t used = 0;
    ssize_t got = send(fd, request, (size_t)n, MSG_NOSIGNAL);
    struct pollfd poller = {fd, POLLIN, 0};

    while (got > 0 && used < ROOM - 1 && poll(&poller, 1, wait_ms) > 0) {
        got = recv(fd, answer + used, ROOM - 1 - used, 0);
        used += got > 0 ? (size_t)got : 0;
    }
    answer[used] = '\0';
    close(fd);
    status = strncmp(answer, "HTTP/1.1 ", 9) == 0 ? (int)strtol(answer + 9, NULL, 10) : 0;
    if (status >= 500 && status != 503 && atomic_fetch_add(&n_broken, 1) == 0)
        snprintf(broken, sizeof broken, "%s %s: %.3000s", method, path, answer);
    if (status)
        atomic_fetch_add(&n_answers, 1);
    return status;
}

static int get(const char *path, int wait_ms)
{
    char answer[ROOM];

    return ask("GET", path, NULL, "", wait_ms, answer);
}

/* The value of "id" in an answer's body, cut out without a parser: threads have none of their own.
 */
static bool find_id(const char *answer, char id[64])
{
    const char *at = strstr(answer, "\"id\":\"");

    if (at)
        snprintf(id, 64, "%.*s", (int)strcspn(at + 6, "\""), at + 6);
    return at != NULL;
}

/* ---- what each thread does, again and again ---- */

static void watch(void)
{
    static const char *const below[] = {
        "/events?stream=true", "/events?stream=true", "?wait=1", "/metrics?wait=1", "/layers",
        "/checkpoints"};
    char path[200];

    for (size_t i = 0; i < N(below) && !atomic_load(&over); i++) {
        snprintf(path, sizeof path, JOBS "/%s%s", long_job, below[i]);
        get(path, 300);
    }
}

static void look(void)
{
    static const char *const paths[] = {JOBS,          "/v1/files",    "/v1/models",
                                        "/metrics",    "/readyz",      "/v1/webhooks/deliveries",
                                        "/v1/uploads", "/v1/pulls",    "/v1/keys",
                                        "/",           "/openapi.json"};
    char path[200];

    for (size_t i = 0; i < N(paths); i++)
        get(paths[i], 5000);
    snprintf(path, sizeof path, "/v1/files/%s/preview", file_id);
    get(path, 5000);
}

static void predict(void)
{
    char body[400], answer[ROOM];

    snprintf(body, sizeof body, "{\"model\":\"%s\",\"input\":[\"rain\",\"sun\",\"a\"]}", model);
    ask("POST", "/v1/predictions", NULL, body, 10000, answer);
}

static void steer(void)
{
    static const char *const steps[] = {"/pause", "/resume", "/cancel"};
    char body[500], answer[ROOM], id[64], path[200];

    snprintf(body, sizeof body,
             "{\"model\":\"prilora-mini-en\",\"training_file\":\"%s\",\"method\":{\"type\":"
             "\"prilora\",\"prilora\":{\"hyperparameters\":{\"n_epochs\":20}}}}",
             file_id);
    if (ask("POST", JOBS, NULL, body, 5000, answer) != 200 || !find_id(answer, id))
        return;
    for (size_t i = 0; i < N(steps); i++) {
        snprintf(path, sizeof path, JOBS "/%s%s", id, steps[i]);
        ask("POST", path, NULL, "", 5000, answer);
        nanosleep(&(struct timespec){0, 100000000}, NULL);
    }
    snprintf(path, sizeof path, JOBS "/%s", id);
    ask("DELETE", path, NULL, "", 5000, answer);
}

#define FORM_TYPE        "multipart/form-data; boundary=cut"
#define PART(head, text) "--cut\r\nContent-Disposition: form-data; " head "\r\n\r\n" text "\r\n"

static void upload(void)
{
    static const char form[] = PART("name=\"purpose\"", "fine-tune")
        PART("name=\"file\"; filename=\"a.csv\"", "text,label\na,b\nc,d\n") "--cut--\r\n";
    static const char part[] = PART("name=\"data\"; filename=\"p\"", "abcd") "--cut--\r\n";
    char answer[ROOM], id[64], path[200], body[200], part_id[64];

    if (ask("POST", "/v1/files", FORM_TYPE, form, 5000, answer) == 200 && find_id(answer, id)) {
        snprintf(path, sizeof path, "/v1/files/%s", id);
        ask("DELETE", path, NULL, "", 5000, answer);
    }
    if (ask("POST", "/v1/uploads", NULL,
            "{\"bytes\":4,\"filename\":\"b\",\"mime_type\":\"text/csv\",\"purpose\":\"fine-tune\"}",
            5000, answer) != 200 ||
        !find_id(answer, id))
        return;
    snprintf(path, sizeof path, "/v1/uploads/%s/parts", id);
    if (ask("POST", path, FORM_TYPE, part, 5000, answer) == 200 && find_id(answer, part_id)) {
        snprintf(path, sizeof path, "/v1/uploads/%s/complete", id);
        snprintf(body, sizeof body, "{\"part_ids\":[\"%s\"]}", part_id);
        ask("POST", path, NULL, body, 5000, answer);
    }
}

static void administer(void)
{
    char answer[ROOM], id[64], path[200];

    kill(server->pid, SIGHUP);
    ask("POST", "/v1/models", NULL, "{\"model\":\"no/such\"}", 5000, answer);
    if (ask("POST", "/v1/keys", NULL, "{\"name\":\"a\"}", 5000, answer) == 200 &&
        find_id(answer, id)) {
        snprintf(path, sizeof path, "/v1/keys/%s", id);
        ask("DELETE", path, NULL, "", 5000, answer);
    }
    get("/v1/fine_tuning/settings", 5000);
}

static void *repeat(void *context)
{
    void (*const *task)(void) = context;

    while (!atomic_load(&over))
        (*task)();
    return NULL;
}

/* ---- the test ---- */

static void prepare(void)
{
    char *rows = test_sentences(24, 1), body[400];

    snprintf(file_id, sizeof file_id, "%s", test_upload(server, "a.jsonl", rows));
    free(rows);
    snprintf(body, sizeof body,
             "{\"model\":\"prilora-mini-en\",\"training_file\":\"%s\",\"hyperparameters\":{\"n_"
             "epochs\":1}}",
             file_id);
    snprintf(model, sizeof model, "%s",
             test_text(test_wait_job(server, test_create_job(server, body), "succeeded"),
                       "fine_tuned_model"));
    snprintf(body, sizeof body,
             "{\"model\":\"prilora-mini-en\",\"training_file\":\"%s\",\"hyperparameters\":{\"n_"
             "epochs\":10000}}",
             file_id);
    snprintf(long_job, sizeof long_job, "%s", test_create_job(server, body));
    test_wait_step(server, long_job, 1);
}

static void everything_at_once_is_answered(void **state)
{
    static void (*const tasks[])(void) = {watch,   watch, look,   predict,
                                          predict, steer, upload, administer};
    static const char *const settings[] = {"--training.workers=2",
                                           "--hub.endpoint=http://127.0.0.1:1", NULL};
    pthread_t threads[N(tasks)];
    char path[200];

    (void)state;
    server = test_server_new(settings);
    prepare();
    for (size_t i = 0; i < N(tasks); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, repeat, (void *)(uintptr_t)&tasks[i]),
                         0);
    usleep((useconds_t)(duration_s * 1e6));
    atomic_store(&over, true);
    for (size_t i = 0; i < N(tasks); i++)
        pthread_join(threads[i], NULL);
    print_message("%d answers\n", atomic_load(&n_answers));
    if (atomic_load(&n_broken))
        fail_msg("%d answers are wrong; the first: %s", atomic_load(&n_broken), broken);
    assert_true(atomic_load(&n_answers) > 50);
    snprintf(path, sizeof path, JOBS "/%s", long_job);
    assert_string_equal(test_text(test_get(server, "%s", path)->json, "status"), "running");
    test_server_free(server); /* which must end well, and have reported nothing */
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(everything_at_once_is_answered)};

    if (argc > 1)
        duration_s = strtod(argv[1], NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
