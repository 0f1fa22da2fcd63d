/* state.c - see state.h. */
#include "support/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/events.h"
#include "daemon/files.h"
#include "support/scratch.h"

#define N_BUFFERS 8

static const char *keep(const char *id)
{
    static char buffers[N_BUFFERS][ID_SIZE];
    static size_t next;
    char *buffer = buffers[next++ % N_BUFFERS];

    snprintf(buffer, ID_SIZE, "%s", id);
    return buffer;
}

int test_store_open(void **state)
{
    static int number;
    struct store *store;
    struct prilora_error err;
    char name[32];

    snprintf(name, sizeof name, "state-%d", number++);
    if (store_open(&store, test_scratch_path(name), &err) != PRILORA_OK) {
        print_error("%s\n", err.message);
        return -1;
    }
    *state = store;
    return 0;
}

int test_store_close(void **state)
{
    store_close(*state);
    return 0;
}

const char *test_add_file(struct store *store, const char *filename, const char *text)
{
    struct prilora_error err = {0};
    struct file file;
    char *path;
    int fd = files_spool(store, &path, &err);
    const char *id;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    assert_int_equal(files_adopt(store, "", path, filename, "fine-tune", (int64_t)strlen(text),
                                 "0000000000000000000000000000000000000000000000000000000000000000",
                                 0, &file, &err),
                     PRILORA_OK);
    id = keep(file.id);
    file_clear(&file);
    free(path);
    return id;
}

const char *test_add_job(struct store *store, int64_t priority)
{
    char model[] = "mini", spec[] = "{}", requested[] = "{}";
    char *file = strdup(test_add_file(store, "train.jsonl", "{}\n"));
    struct job job = {.model = model,
                      .spec = spec,
                      .requested = requested,
                      .training_file = file,
                      .priority = priority,
                      .seed = 42};
    struct prilora_error err = {0};

    assert_int_equal(queue_submit(store, &job, &err), PRILORA_OK);
    free(file);
    return keep(job.id);
}

/* The job that is next in `from`, which must be `id`. */
static void claim(struct store *store, enum job_status from, const char *id)
{
    struct job job;
    bool found;

    assert_int_equal(queue_claim(store, from, 0, &job, &found, NULL), PRILORA_OK);
    assert_true(found);
    assert_string_equal(job.id, id);
    job_clear(&job);
}

const char *test_add_job_in(struct store *store, enum job_status status)
{
    const char *id = test_add_job(store, 0);
    struct job_end end = {.status = status, .error_code = "test", .error_message = "a test"};
    struct job job;

    if (status == JOB_VALIDATING)
        return id;
    claim(store, JOB_VALIDATING, id);
    assert_int_equal(queue_validated(store, id, "{}", "{}", NULL), PRILORA_OK);
    if (status == JOB_QUEUED)
        return id;
    if (status == JOB_PAUSED) {
        assert_int_equal(queue_pause(store, id, &job, NULL), PRILORA_OK);
        assert_int_equal(job.status, status);
        job_clear(&job);
        return id;
    }
    claim(store, JOB_QUEUED, id);
    if (status == JOB_RUNNING)
        return id;
    assert_int_equal(queue_finish(store, id, &end, NULL), PRILORA_OK);
    assert_int_equal(queue_get(store, id, &job, NULL), PRILORA_OK);
    assert_int_equal(job.status, status);
    job_clear(&job);
    return id;
}

size_t test_count_events(struct store *store, const char *id, const char *part)
{
    const struct events_query query = {.job_id = id, .limit = 1000};
    struct event *events;
    size_t n, count = 0;
    bool more;

    assert_int_equal(events_list(store, &query, &events, &n, &more, NULL), PRILORA_OK);
    for (size_t i = 0; i < n; i++)
        count += strstr(events[i].message, part) != NULL;
    events_free_list(events, n);
    return count;
}

enum job_status test_job_status(struct store *store, const char *id)
{
    struct job job;
    enum job_status status;

    assert_int_equal(queue_get(store, id, &job, NULL), PRILORA_OK);
    status = job.status;
    job_clear(&job);
    return status;
}
