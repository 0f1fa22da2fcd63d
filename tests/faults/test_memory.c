/*
 * test_memory.c - the daemon in a control group with little memory: what does not fit is refused or
 * waits, and when the kernel does kill it, that is the fault of one job alone. Needs root and a
 * memory controller that makes groups.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/server.h"

#define JOBS    "/v1/fine_tuning/jobs"
#define OVER    "succeeded|failed|cancelled"
#define N_ROWS  600
#define DEATHS  3
#define MIB     ((size_t)1 << 20)
#define WAIT_MS 300000

/* ---- the group ---- */

static char group[128]; /* its folder */

static bool write_group(const char *name, const char *text)
{
    char path[256];
    int fd;
    bool well;

    snprintf(path, sizeof path, "%s/%s", group, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    well = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return well;
}

/* In the hierarchy of either version; with swap ruled out, where that is a word of it. */
static bool limit_group(size_t bytes)
{
    char text[32];

    snprintf(text, sizeof text, "%zu", bytes);
    if (!write_group("memory.max", text) && !write_group("memory.limit_in_bytes", text))
        return false;
    if (!write_group("memory.swap.max", "0"))
        write_group("memory.memsw.limit_in_bytes", text);
    return true;
}

static bool open_group(size_t bytes)
{
    static const char *const roots[] = {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"};

    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        snprintf(group, sizeof group, "%s/prilorad-test-%ld", roots[i], (long)getpid());
        if (mkdir(group, 0755) == 0 && limit_group(bytes))
            return true;
        rmdir(group);
    }
    return false;
}

static void close_group(void)
{
    for (int i = 0; rmdir(group) != 0 && errno == EBUSY && i < 100; i++)
        usleep(50000); /* the kernel lets go of the dead in its own time */
}

/* In the child that becomes the daemon. Huge pages would make more resident than is used. */
static void enter_group(void)
{
    if (!write_group("cgroup.procs", "0") || prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0)
        _exit(126);
}

static struct test_server *start(const char *const *settings, size_t limit_mib)
{
    if (!open_group(limit_mib * MIB))
        skip();
    return test_server_new_as(settings, enter_group);
}

static void end(struct test_server *server)
{
    test_server_free(server);
    close_group();
}

/* ---- jobs ---- */

/* Rows of more tokens than max_length takes: every batch is full. */
static char *long_rows(void)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    for (size_t i = 0; i < N_ROWS; i++) {
        fprintf(out, "{\"text\": \"%zu", i);
        for (size_t k = 0; k < 40; k++)
            fprintf(out, " rain, soup and %s", i % 2 ? "snow" : "bread");
        fprintf(out, "\", \"label\": \"%s\"}\n", i % 2 ? "weather" : "food");
    }
    fclose(out);
    return text;
}

#define SMALL "4"  /* a batch: about 47 MiB */
#define LARGE "32" /* about 82 MiB */

/* A job's JSON, in one buffer; its data are uploaded. */
static const char *job_json(struct test_server *server, const char *batch, int n_epochs)
{
    static char json[700];
    char *text = long_rows();

    snprintf(
        json, sizeof json,
        "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"seed\": 11, \"method\": "
        "{\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": {\"n_epochs\": %d, "
        "\"max_length\": 128, \"checkpoint_steps\": 100000, \"batch_size\": %s}}}}",
        test_upload(server, "long.jsonl", text), n_epochs, batch);
    free(text);
    return json;
}

/* Its id, as test_create_job has it. */
static const char *begin(struct test_server *server, const char *batch, int n_epochs)
{
    return test_create_job(server, job_json(server, batch, n_epochs));
}

static const char *finish(struct test_server *server, const char *id)
{
    return test_text(test_wait_job(server, id, OVER), "status");
}

static bool was_told(struct test_server *server, const char *id, const char *part)
{
    struct test_reply *reply = test_get(server, JOBS "/%s/events?limit=1000", id);

    assert_int_equal(reply->status, 200);
    return strstr(reply->body, part) != NULL;
}

/* ---- the tests ---- */

/* Refused at once if no data could fit; else when they have been read, or not at all. */
static void a_job_beyond_the_group_s_memory_is_refused(void **state)
{
    static const char *const settings[] = {"--training.threads=2", NULL};
    struct test_server *server = start(settings, 64);
    struct test_reply *reply =
        test_post(server, JOBS, job_json(server, "1, \"rank_start\": 1024, \"rank_end\": 1024", 1));
    const json_t *job;

    (void)state;
    assert_int_equal(reply->status, 422);
    assert_string_equal(test_text(reply->json, "error.code"), "not_enough_memory");
    assert_non_null(strstr(test_text(reply->json, "error.message"),
                           "what prilorad may use of this machine is 64 MiB"));
    job = test_wait_job(server, begin(server, LARGE, 1), OVER);
    assert_string_equal(test_text(job, "status"), "failed");
    assert_string_equal(test_text(job, "error.code"), "not_enough_memory");
    assert_non_null(strstr(test_text(job, "error.message"), "is 64 MiB"));
    assert_string_equal(finish(server, begin(server, SMALL, 1)), "succeeded");
    end(server);
}

static void two_jobs_that_fit_one_by_one_run_one_by_one(void **state)
{
    static const char *const settings[] = {"--training.threads=2", "--training.workers=2", NULL};
    struct test_server *server = start(settings, 112);
    const char *ids[2];

    (void)state;
    for (size_t i = 0; i < 2; i++)
        ids[i] = begin(server, LARGE, 1);
    for (size_t i = 0; i < 2; i++)
        assert_string_equal(finish(server, ids[i]), "succeeded");
    assert_false(was_told(server, ids[0], "Waits for memory"));
    assert_true(was_told(server, ids[1], "Waits for memory"));
    end(server); /* it is still the same process */
}

/* Until the kernel has killed it. */
static void wait_for_kill(struct test_server *server)
{
    int status = 0;

    for (long waited = 0; waited < WAIT_MS; waited += 10) {
        if (waitpid(server->pid, &status, WNOHANG) == server->pid) {
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
            server->pid = 0;
            return;
        }
        usleep(10000);
    }
    fail_msg("prilorad was not killed");
}

/* An administrator's limit may be wrong: then the kernel says so. */
static void a_job_for_which_the_kernel_kills_fails_alone(void **state)
{
    static const char *const settings[] = {"--training.threads=2", "--training.workers=2",
                                           "--training.memory_limit_mb=1000", NULL};
    struct test_server *server = start(settings, 64);
    const json_t *job;
    const char *early, *large, *beside;

    (void)state;
    early = begin(server, SMALL, 1);
    assert_string_equal(finish(server, early), "succeeded");
    beside = begin(server, SMALL, 2);
    test_wait_step(server, beside, 1);
    large = begin(server, LARGE, 1);
    for (int i = 0; i < DEATHS; i++) {
        wait_for_kill(server);
        test_server_start(server);
    }
    job = test_wait_job(server, large, OVER);
    assert_string_equal(test_text(job, "status"), "failed");
    assert_string_equal(test_text(job, "error.code"), "daemon_died");
    assert_string_equal(finish(server, beside), "succeeded");
    assert_string_equal(finish(server, early), "succeeded");
    assert_int_equal(test_get(server, JOBS "/%s/adapter/adapter_model.safetensors", early)->status,
                     200);
    end(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_beyond_the_group_s_memory_is_refused),
        cmocka_unit_test(two_jobs_that_fit_one_by_one_run_one_by_one),
        cmocka_unit_test(a_job_for_which_the_kernel_kills_fails_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
