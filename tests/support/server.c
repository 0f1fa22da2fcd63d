/* server.c - see server.h: the child process, and what tests ask of it. client.c sends. */
#include "support/server.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/scratch.h"
#include "support/tree.h"

#define START_LIMIT_MS 60000 /* under ThreadSanitizer on a busy machine it takes seconds */
#define STOP_LIMIT_MS  60000
#define JOB_LIMIT_MS   240000
#define POLL_MS        20

static void sleep_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

const char *test_server_path(const struct test_server *server, const char *name)
{
    static char buffers[4][512];
    static unsigned next;
    char *path = buffers[next++ % 4];

    snprintf(path, sizeof buffers[0], "%s/%s", server->folder, name);
    return path;
}

/* ---- starting ---- */

static void run_daemon(const struct test_server *server)
{
    const char *program = getenv("PRILORAD");
    const char *arguments[TEST_MAX_SETTINGS + 8] = {"prilorad", "--server.listen=127.0.0.1:0",
                                                    "--storage.models_dirs=examples:tests/golden/"
                                                    "models"};
    char port_file[600], state[600];
    size_t n = 3;
    int log = open(test_server_path(server, "log"), O_WRONLY | O_CREAT | O_APPEND, 0600);

    snprintf(port_file, sizeof port_file, "--server.port_file=%s/port", server->folder);
    snprintf(state, sizeof state, "--storage.state_dir=%s/state", server->folder);
    arguments[n++] = port_file;
    arguments[n++] = state;
    for (size_t i = 0; server->settings[i]; i++)
        arguments[n++] = server->settings[i];
    if (server->in_child)
        server->in_child();
    if (log >= 0 && dup2(log, STDERR_FILENO) >= 0)
        execv(program ? program : "build/asan/prilorad", (char *const *)arguments);
    _exit(127);
}

static int read_port(const struct test_server *server)
{
    FILE *file = fopen(test_server_path(server, "port"), "r");
    int port = 0;

    if (!file)
        return 0;
    if (fscanf(file, "%d", &port) != 1)
        port = 0;
    fclose(file);
    return port;
}

char *test_server_log(const struct test_server *server)
{
    size_t size;

    return test_file(test_server_path(server, "log"), &size);
}

static void show_log(const struct test_server *server)
{
    char *log = test_server_log(server);

    fprintf(stderr, "---- what prilorad wrote ----\n%s----\n", log ? log : "");
    free(log);
}

void test_server_start(struct test_server *server)
{
    unlink(test_server_path(server, "port"));
    server->port = 0;
    server->pid = fork();
    if (server->pid == 0)
        run_daemon(server);
    assert_true(server->pid > 0);
    for (long waited = 0; waited < START_LIMIT_MS && !server->port; waited += 10) {
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid) {
            server->pid = 0;
            break;
        }
        server->port = read_port(server);
        sleep_ms(10);
    }
    if (!server->port) {
        show_log(server);
        fail_msg("prilorad did not start");
    }
}

struct test_server *test_server_new(const char *const *settings)
{
    return test_server_new_as(settings, NULL);
}

struct test_server *test_server_new_as(const char *const *settings, void (*in_child)(void))
{
    struct test_server *server = calloc(1, sizeof *server);
    const char *top = getenv("TMPDIR");

    assert_non_null(server);
    snprintf(server->folder, sizeof server->folder, "%s/prilorad-test-XXXXXX", top ? top : "/tmp");
    assert_non_null(mkdtemp(server->folder));
    for (size_t i = 0; settings && settings[i] && i + 1 < TEST_MAX_SETTINGS; i++)
        server->settings[i] = settings[i];
    server->in_child = in_child;
    test_server_start(server);
    return server;
}

/* ---- stopping ---- */

static void check_log(const struct test_server *server)
{
    static const char *const reports[] = {"ERROR: AddressSanitizer", "ERROR: LeakSanitizer",
                                          "runtime error:", "WARNING: ThreadSanitizer"};
    size_t size;
    char *log = test_file(test_server_path(server, "log"), &size);
    bool bad = false;

    for (size_t i = 0; i < sizeof reports / sizeof *reports; i++)
        bad = bad || (log && strstr(log, reports[i]));
    free(log);
    if (!bad)
        return;
    show_log(server);
    fail_msg("a sanitizer found something in prilorad");
}

/* Waits for the end of the child; its status as waitpid(2) has it, -1 if it does not end. */
static int wait_for_end(struct test_server *server)
{
    int status = -1;

    for (long waited = 0; waited < STOP_LIMIT_MS; waited += 10) {
        if (waitpid(server->pid, &status, WNOHANG) == server->pid) {
            server->pid = 0;
            return status;
        }
        sleep_ms(10);
    }
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
    return -1;
}

void test_server_stop(struct test_server *server)
{
    kill(server->pid, SIGTERM);
    test_server_wait(server);
}

void test_server_wait(struct test_server *server)
{
    int status = wait_for_end(server);

    check_log(server);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        show_log(server);
        fail_msg("prilorad ended with status %d", status);
    }
}

void test_server_kill(struct test_server *server)
{
    kill(server->pid, SIGKILL);
    wait_for_end(server);
    check_log(server);
}

void test_server_free(struct test_server *server)
{
    if (!server)
        return;
    if (server->pid)
        test_server_stop(server);
    test_client_free();
    test_tree_remove(server->folder);
    free(server);
}

char *test_server_refuses(const struct test_server *server, const char *const *settings)
{
    return test_server_refuses_as(server, settings, NULL);
}

char *test_server_refuses_as(const struct test_server *server, const char *const *settings,
                             void (*in_child)(void))
{
    struct test_server other = {.in_child = in_child};
    int n = snprintf(other.folder, sizeof other.folder, "%s/refused", server->folder), status;

    assert_true(n < (int)sizeof other.folder);
    assert_true(mkdir(other.folder, 0700) == 0 || errno == EEXIST);
    unlink(test_server_path(&other, "log"));
    for (size_t i = 0; settings[i] && i + 1 < TEST_MAX_SETTINGS; i++)
        other.settings[i] = settings[i];
    other.pid = fork();
    if (other.pid == 0)
        run_daemon(&other);
    assert_true(other.pid > 0);
    status = wait_for_end(&other);
    if (!WIFEXITED(status) || WEXITSTATUS(status) == 0)
        fail_msg("prilorad did not refuse %s", settings[0] ? settings[0] : "to start");
    return test_server_log(&other);
}

/* ---- looking at it from outside ---- */

size_t test_count_files(const struct test_server *server, const char *folder)
{
    DIR *dir = opendir(test_server_path(server, folder));
    struct dirent *entry;
    size_t n = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)))
        n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

double test_resident_bytes(const struct test_server *server)
{
    char path[64];
    double pages = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/statm", (long)server->pid);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*s %lf", &pages), 1);
    fclose(file);
    return pages * (double)sysconf(_SC_PAGESIZE);
}

/* ---- jobs ---- */

char *test_sentences(size_t n, unsigned seed)
{
    static const char *const weather[] = {"rain", "snow", "wind", "sun", "fog", "storm"};
    static const char *const food[] = {"bread", "soup", "rice", "cake", "apples", "cheese"};
    static const char *const frames[] = {"There is %s today.", "I like %s very much.",
                                         "We had %s for a week.", "No %s again, please."};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    for (size_t i = 0; i < n; i++) {
        unsigned number = (unsigned)(i + seed) * 2654435761u >> 8; /* spread, and always the same */
        const char *const *words = i % 2 ? weather : food;
        const char *frame = frames[number % 4], *gap = strstr(frame, "%s");

        fprintf(out, "{\"text\": \"%.*s%s%s\", \"label\": \"%s\"}\n", (int)(gap - frame), frame,
                words[number / 4 % 6], gap + 2, i % 2 ? "weather" : "food");
    }
    fclose(out);
    return text;
}

const char *test_create_job(const struct test_server *server, const char *json)
{
    static char ids[4][64];
    static unsigned next;
    struct test_reply *reply = test_post(server, "/v1/fine_tuning/jobs", json);
    char *id = ids[next++ % 4];

    if (reply->status != 200)
        fail_msg("the job was refused: %s", reply->body);
    snprintf(id, sizeof ids[0], "%s", test_text(reply->json, "id"));
    return id;
}

const json_t *test_wait_job(const struct test_server *server, const char *id, const char *states)
{
    static const char over[] = "succeeded|failed|cancelled";

    for (int i = 0; i < JOB_LIMIT_MS / POLL_MS; i++) {
        struct test_reply *reply = test_get(server, "/v1/fine_tuning/jobs/%s", id);
        const char *status = test_text(reply->json, "status");

        assert_int_equal(reply->status, 200);
        if (*status && (strstr(states, status) || strstr(over, status)))
            return reply->json;
        sleep_ms(POLL_MS);
    }
    show_log(server);
    fail_msg("job %s did not become %s", id, states);
    return NULL;
}

void test_wait_step(const struct test_server *server, const char *id, json_int_t step)
{
    const json_t *job;

    do
        job = test_wait_job(server, id, "running");
    while (strcmp(test_text(job, "status"), "running") == 0 &&
           test_integer(job, "progress.step") < step);
    assert_string_equal(test_text(job, "status"), "running"); /* else it was too quick to disturb */
}

void test_train(const struct test_server *server, const char *json, char job[64], char model[128])
{
    const json_t *done;

    snprintf(job, 64, "%s", test_create_job(server, json));
    done = test_wait_job(server, job, "succeeded");
    assert_string_equal(test_text(done, "status"), "succeeded");
    snprintf(model, 128, "%s", test_text(done, "fine_tuned_model"));
}

struct test_reply *test_predict(const struct test_server *server, const char *model,
                                const char *rest)
{
    const size_t room = strlen(model) + strlen(rest) + 32;
    char *json = malloc(room);
    struct test_reply *reply;

    assert_non_null(json);
    snprintf(json, room, "{\"model\": \"%s\", %s}", model, rest);
    reply = test_post(server, "/v1/predictions", json);
    free(json);
    return reply;
}

struct test_reply *test_finish_job(const struct test_server *server, const char *id)
{
    const json_t *job = test_wait_job(server, id, "succeeded");
    struct test_reply *reply;

    assert_string_equal(test_text(job, "status"), "succeeded");
    reply = test_get(server, "/v1/fine_tuning/jobs/%s/adapter/adapter_model.safetensors", id);
    assert_int_equal(reply->status, 200);
    return reply;
}
