/*
 * test_room.c - a disk that is really full: the state lies in a small file system of its own. Who
 * asks is told; a job that is being validated waits, and goes on by itself when there is room.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/scratch.h"
#include "support/server.h"

#define JOBS     "/v1/fine_tuning/jobs"
#define OVER     "succeeded|failed|cancelled"
#define N_ROWS   4000
#define LEFT     98304L /* for the job's row, but not for its tokens */
#define PATIENCE 60     /* seconds until the daemon has met the full disk */
#define BLOCK    65536

static char place[300], filler[400];
static bool is_mounted;

static void sleep_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* All but `left` bytes. */
static void fill(long left)
{
    static const char zeros[BLOCK];
    int fd = open(filler, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    off_t end;

    assert_true(fd >= 0);
    while (write(fd, zeros, sizeof zeros) > 0)
        ;
    end = lseek(fd, 0, SEEK_END);
    assert_true(end > left);
    assert_int_equal(ftruncate(fd, end - left), 0);
    close(fd);
}

/* So many bytes more. */
static void give(long bytes)
{
    struct stat st;

    assert_int_equal(stat(filler, &st), 0);
    assert_int_equal(truncate(filler, st.st_size - bytes), 0);
}

static void submit(struct test_server *server, const char *file, char id[64])
{
    char json[700];

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"seed\": 5, \"method\": "
             "{\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": {\"max_steps\": 8, "
             "\"batch_size\": 4, \"max_length\": 16}}}}",
             file);
    snprintf(id, 64, "%s", test_create_job(server, json));
}

static void expect_full(const struct test_reply *reply)
{
    assert_int_equal(reply->status, 507);
    assert_string_equal(test_text(reply->json, "error.code"), "disk_full");
}

/* Until the log says that there was no room for this job. */
static void wait_until_met(struct test_server *server, const char *id)
{
    struct test_reply *reply;

    for (int i = 0; i < PATIENCE * 20; i++) {
        reply = test_get(server, JOBS "/%s/events?limit=100", id);
        if (strstr(reply->body, "No space left on device"))
            return;
        sleep_ms(50);
    }
    fail_msg("the job has not met the full disk: %s", reply->body);
}

static void a_validation_waits_for_room(void **state)
{
    struct test_server *server = *state;
    char first[64], id[64], file[64], *adapter, *text;
    struct test_reply *reply;
    size_t size;

    if (!is_mounted)
        skip(); /* only root may mount */
    text = test_sentences(N_ROWS, 1);
    snprintf(file, sizeof file, "%s", test_upload(server, "a.jsonl", text));
    submit(server, file, first);
    reply = test_finish_job(server, first);
    size = reply->size;
    adapter = malloc(size);
    memcpy(adapter, reply->body, size);

    fill(LEFT);
    submit(server, file, id);
    wait_until_met(server, id);
    fill(0);
    expect_full(test_send(server, &(struct test_request){.method = "GET", .path = "/v1/backup"}));
    reply = test_get(server, JOBS "/%s", id);
    assert_string_equal(test_text(reply->json, "status"), "validating_files");
    assert_int_equal(unlink(filler), 0);
    reply = test_finish_job(server, id);
    assert_int_equal(reply->size, size);
    assert_memory_equal(reply->body, adapter, size);
    free(adapter);
    free(text);
}

static void a_client_need_not_wait_for_room(void **state)
{
    struct test_server *server = *state;
    char id[64], file[64], path[200], *text;

    if (!is_mounted)
        skip();
    text = test_sentences(N_ROWS, 1);
    snprintf(file, sizeof file, "%s", test_upload(server, "a.jsonl", text));
    fill(LEFT);
    submit(server, file, id);
    wait_until_met(server, id);
    give(BLOCK);
    snprintf(path, sizeof path, JOBS "/%s/cancel", id);
    assert_int_equal(test_post(server, path, NULL)->status, 200);
    assert_string_equal(test_text(test_wait_job(server, id, OVER), "status"), "cancelled");
    give(BLOCK);
    submit(server, file, id);
    wait_until_met(server, id);
    test_server_stop(server); /* neither does the end */
    assert_int_equal(unlink(filler), 0);
    test_server_start(server);
    test_finish_job(server, id);
    free(text);
}

static int open_group(void **state)
{
    static char setting[400];
    static const char *settings[] = {setting, "--training.threads=1", NULL};

    test_scratch_open(state);
    snprintf(place, sizeof place, "%s", test_scratch_path("small"));
    snprintf(filler, sizeof filler, "%s/filler", place);
    snprintf(setting, sizeof setting, "--storage.state_dir=%s/state", place);
    assert_int_equal(mkdir(place, 0700), 0);
    is_mounted = mount("none", place, "tmpfs", 0, "size=32m") == 0;
    *state = test_server_new(settings);
    return 0;
}

static int close_group(void **state)
{
    test_server_free(*state);
    if (is_mounted)
        umount(place);
    return test_scratch_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_validation_waits_for_room),
        cmocka_unit_test(a_client_need_not_wait_for_room),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
