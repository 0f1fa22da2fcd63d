/*
 * test_restart.c - the daemon is ended, gently or not, in the middle of a job: the job goes on and
 * its adapter has the bytes that an undisturbed run gives (DESIGN.md, contract 8).
 */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/server.h"

#define JOBS "/v1/fine_tuning/jobs"

struct undisturbed {
    char *adapter; /* adapter_model.safetensors */
    size_t size;
};

/* The same job for everyone: dropout, shuffling and pruning all depend on its seed alone. */
static void submit(struct test_server *server, char id[64])
{
    char json[700], *text = test_sentences(32, 1);

    snprintf(
        json, sizeof json,
        "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"seed\": 11, "
        "\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": {\"n_epochs\": "
        "3, \"batch_size\": 4, \"max_length\": 16, \"prune_interval\": 4, "
        "\"checkpoint_steps\": 5, \"hidden_dropout\": 0.1}}}}",
        test_upload(server, "a.jsonl", text));
    free(text);
    snprintf(id, 64, "%s", test_create_job(server, json));
}

static int open_group(void **state)
{
    struct undisturbed *u = calloc(1, sizeof *u);
    struct test_server *server = test_server_new(NULL);
    struct test_reply *reply;
    char id[64];

    submit(server, id);
    reply = test_finish_job(server, id);
    u->adapter = malloc(reply->size);
    u->size = reply->size;
    memcpy(u->adapter, reply->body, reply->size);
    test_server_free(server);
    *state = u;
    return 0;
}

static int close_group(void **state)
{
    struct undisturbed *u = *state;

    free(u->adapter);
    free(u);
    return 0;
}

/* Ends the daemon twice in one job, the second time some steps further on. The number of compute
 * threads is another one than in the undisturbed run, and must not be seen either. */
static void disturb(const struct undisturbed *u, void (*end)(struct test_server *),
                    const char *threads)
{
    const char *const settings[] = {threads, NULL};
    struct test_server *server = test_server_new(settings);
    struct test_reply *reply;
    char id[64];

    submit(server, id);
    for (json_int_t step = 3; step < 10; step += 6) {
        test_wait_step(server, id, step);
        end(server);
        test_server_start(server);
    }
    reply = test_finish_job(server, id);
    assert_int_equal(reply->size, u->size);
    assert_memory_equal(reply->body, u->adapter, u->size);
    test_server_free(server);
}

static void a_job_survives_sigterm_to_the_same_bytes(void **state)
{
    disturb(*state, test_server_stop, "--training.threads=1");
}

static void a_job_survives_sigkill_to_the_same_bytes(void **state)
{
    disturb(*state, test_server_kill, "--training.threads=3");
}

/* What was uploaded and queued is there after a crash as before it. */
static void nothing_that_was_answered_is_lost(void **state)
{
    struct test_server *server = test_server_new(NULL);
    char id[64], file[64];

    (void)state;
    submit(server, id);
    snprintf(file, sizeof file, "%s", test_upload(server, "b.csv", "text,label\na,b\n"));
    test_server_kill(server);
    test_server_start(server);
    assert_int_equal(test_get(server, JOBS "/%s", id)->status, 200);
    assert_string_equal(test_get(server, "/v1/files/%s/content", file)->body, "text,label\na,b\n");
    test_server_free(server); /* SIGTERM while the job runs again */
}

/* A thread of the daemon that does not block SIGTERM: one that OpenBLAS made before main, if there
 * is one (with one core there is none), else the main thread. */
static pid_t open_thread(pid_t process)
{
    char path[64], line[256];
    pid_t found = process;
    struct dirent *entry;
    DIR *dir;

    snprintf(path, sizeof path, "/proc/%ld/task", (long)process);
    dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        long thread = strtol(entry->d_name, NULL, 10);
        FILE *status;

        snprintf(path, sizeof path, "/proc/%ld/task/%ld/status", (long)process, thread);
        status = thread && thread != process ? fopen(path, "r") : NULL;
        while (status && fgets(line, sizeof line, status))
            if (strncmp(line, "SigBlk:", 7) == 0 &&
                !(strtoull(line + 7, NULL, 16) >> (SIGTERM - 1) & 1))
                found = (pid_t)thread;
        if (status)
            fclose(status);
    }
    closedir(dir);
    return found;
}

static void a_signal_to_any_thread_ends_the_daemon_well(void **state)
{
    struct test_server *server = test_server_new(NULL);

    (void)state;
    assert_int_equal(syscall(SYS_tgkill, server->pid, open_thread(server->pid), SIGTERM), 0);
    test_server_wait(server);
    test_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_survives_sigterm_to_the_same_bytes),
        cmocka_unit_test(a_job_survives_sigkill_to_the_same_bytes),
        cmocka_unit_test(nothing_that_was_answered_is_lost),
        cmocka_unit_test(a_signal_to_any_thread_ends_the_daemon_well),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
