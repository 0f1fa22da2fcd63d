/*
 * test_queue_storm.c - the queue under clients and workers who all act at once and at random:
 * pause, resume, cancel, edit, delete against claim, validate, requeue, finish. Each job must end
 * once, belong to one worker at a time, and tell its story in an order that the states allow.
 */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "daemon/events.h"
#include "daemon/path.h"
#include "daemon/queue.h"
#include "support/scratch.h"
#include "support/state.h"

#define N_JOBS      60
#define N_CLIENTS   3
#define N_TRAINERS  3
#define N_STEERINGS 250 /* of each client */

struct storm {
    struct store *store;
    char ids[N_JOBS][ID_SIZE];
    atomic_int held[N_JOBS]; /* workers on it: 1 at the most */
    atomic_int ends[N_JOBS]; /* how often a worker or a client saw that it ended it */
    atomic_bool deleted[N_JOBS];
    atomic_bool calm; /* clients are done: workers finish what is left */
    atomic_int wrong; /* assertions do not work outside of the main thread */
};

struct actor {
    struct storm *storm;
    unsigned seed;
    pthread_t thread;
};

static unsigned draw(struct actor *a, unsigned below)
{
    return (unsigned)rand_r(&a->seed) / 7 % below;
}

static void expect(struct storm *storm, bool right, const char *what)
{
    if (right)
        return;
    fprintf(stderr, "# %s\n", what);
    atomic_fetch_add(&storm->wrong, 1);
}

static int index_of(const struct storm *storm, const char *id)
{
    int i = 0;

    while (strcmp(storm->ids[i], id) != 0)
        i++;
    return i;
}

static bool is_refusal(enum prilora_status rc)
{
    return rc == PRILORA_EMISMATCH || rc == PRILORA_ENOENT;
}

/* ---- clients ---- */

static enum prilora_status edit(struct store *store, const char *id, struct job *out,
                                struct prilora_error *err)
{
    const struct queue_edit change = {.has_priority = true, .priority = time(NULL) % 7};

    return queue_edit(store, id, &change, out, err);
}

static void steer(struct actor *a)
{
    static enum prilora_status (*const operations[])(struct store *, const char *, struct job *,
                                                     struct prilora_error *) = {
        queue_pause, queue_pause, queue_resume, queue_resume, queue_resume, edit, queue_cancel,
    };
    struct storm *storm = a->storm;
    int i = (int)draw(a, N_JOBS);
    size_t which = draw(a, sizeof operations / sizeof *operations);
    struct prilora_error err = {0};
    struct job job;
    enum prilora_status rc;

    if (operations[which] == queue_cancel && draw(a, 4))
        return;
    rc = operations[which](storm->store, storm->ids[i], &job, &err);
    if (rc != PRILORA_OK && !is_refusal(rc))
        expect(storm, false, err.message);
    if (rc == PRILORA_OK && operations[which] == queue_cancel && job.status == JOB_CANCELLED)
        atomic_fetch_add(&storm->ends[i], 1);
    if (rc == PRILORA_OK)
        job_clear(&job);
}

static void delete_one(struct actor *a)
{
    struct storm *storm = a->storm;
    int i = (int)draw(a, N_JOBS);
    struct prilora_error err = {0};
    enum prilora_status rc = queue_delete(storm->store, storm->ids[i], &err);

    if (rc == PRILORA_OK)
        expect(storm, !atomic_exchange(&storm->deleted[i], true), "deleted twice");
    else if (!is_refusal(rc))
        expect(storm, false, err.message);
}

static void *be_client(void *argument)
{
    struct actor *a = argument;

    for (int i = 0; i < N_STEERINGS; i++) {
        const struct timespec nap = {0, (long)draw(a, 2000000)};

        if (draw(a, 12) == 0)
            delete_one(a);
        else
            steer(a);
        nanosleep(&nap, NULL);
    }
    return NULL;
}

/* ---- workers ---- */

static void hold(struct storm *storm, int i, int by)
{
    expect(storm, atomic_fetch_add(&storm->held[i], by) == (by > 0 ? 0 : 1),
           "two workers on one job");
}

static void note_end(struct storm *storm, int i, enum prilora_status rc, const char *message)
{
    if (rc == PRILORA_OK)
        atomic_fetch_add(&storm->ends[i], 1);
    else
        expect(storm, is_refusal(rc), message);
}

/* As validate.c does: a folder, then the queue is told, and if it says no the folder goes. */
static void validate(struct actor *a, const struct job *job)
{
    struct storm *storm = a->storm;
    struct prilora_error err = {0};
    int i = index_of(storm, job->id);
    char *folder = queue_folder(storm->store, job->id, NULL);
    enum prilora_status rc = path_make_folder(folder, &err);

    hold(storm, i, 1);
    expect(storm, rc == PRILORA_OK, err.message);
    hold(storm, i, -1);
    if (draw(a, 10) == 0) {
        rc = queue_finish(storm->store, job->id,
                          &(struct job_end){.status = JOB_FAILED, .error_message = "bad"}, &err);
        note_end(storm, i, rc, err.message);
        path_remove(folder, &err);
    } else {
        rc = queue_validated(storm->store, job->id, "{}", "{}", &err);
        expect(storm, rc == PRILORA_OK || is_refusal(rc), err.message);
        if (is_refusal(rc))
            path_remove(folder, &err);
    }
    free(folder);
}

static void write_checkpoint(struct storm *storm, const char *id)
{
    const struct job_progress progress = {.step = 5, .total_steps = 9};
    struct prilora_error err;
    char *path = queue_folder(storm->store, id, "checkpoint");

    expect(storm, path_replace(path, "bytes", &err) == PRILORA_OK, "no checkpoint");
    expect(storm, queue_progress(storm->store, id, &progress, &err) == PRILORA_OK, "no progress");
    free(path);
}

/* As run_job.c does: what clients want of it is asked of the row. */
static void train(struct actor *a, const struct job *claimed)
{
    struct storm *storm = a->storm;
    struct prilora_error err = {0};
    int i = index_of(storm, claimed->id);
    const struct timespec nap = {0, (long)draw(a, 3000000)};
    struct job_end end = {.status = JOB_SUCCEEDED};
    struct job job;
    enum prilora_status rc;

    hold(storm, i, 1);
    if (draw(a, 2))
        write_checkpoint(storm, claimed->id);
    nanosleep(&nap, NULL);
    expect(storm, queue_get(storm->store, claimed->id, &job, &err) == PRILORA_OK,
           "a running job is gone");
    hold(storm, i, -1);
    if (!job.cancel_requested && (job.pause_requested || draw(a, 4) == 0)) {
        rc = queue_requeue(storm->store, claimed->id, "again", &err);
        expect(storm, rc == PRILORA_OK, err.message);
    } else {
        if (job.cancel_requested)
            end.status = JOB_CANCELLED;
        else if (draw(a, 5) == 0)
            end.status = JOB_FAILED;
        rc = queue_finish(storm->store, claimed->id, &end, &err);
        expect(storm, rc == PRILORA_OK, err.message);
        note_end(storm, i, rc, err.message);
    }
    job_clear(&job);
}

static void be_worker(struct actor *a, enum job_status from,
                      void (*work)(struct actor *, const struct job *))
{
    struct prilora_error err = {0};
    bool calm, found = true;

    do {
        struct job job;

        calm = atomic_load(&a->storm->calm); /* before the look: what it misses was there */
        expect(a->storm, queue_claim(a->storm->store, from, 0, &job, &found, &err) == PRILORA_OK,
               err.message);
        if (found)
            work(a, &job);
        else if (!calm)
            queue_wait(a->storm->store, 5);
        job_clear(&job);
    } while (found || !calm);
}

static void *be_validator(void *argument)
{
    be_worker(argument, JOB_VALIDATING, validate);
    return NULL;
}

static void *be_trainer(void *argument)
{
    be_worker(argument, JOB_QUEUED, train);
    return NULL;
}

/* ---- afterwards ---- */

/* Which events may come after which, by the state that each leaves the job in. */
static void check_story(struct store *store, const char *id)
{
    static const struct {
        const char *begin;
        const char *from, *to; /* v q r p, x: over; to '=': as it was */
    } steps[] = {
        {"Created", "v", "v"},
        {"Validating", "v", "v"},
        {"Files validated, moving", "v", "q"},
        {"Files validated; job paused", "v", "p"},
        {"Fine-tuning job started", "q", "r"},
        {"again", "r", "q"},
        {"Job paused; when", "r", "p"},
        {"Job paused", "q", "p"},
        {"Job resumed", "p", "q"},
        {"Pause requested", "vr", "="},
        {"The pause was taken back", "vr", "="},
        {"Priority changed", "vqrp", "="},
        {"Cancellation requested", "vqrp", "="},
        {"The next free worker", "qp", "q"},
        {"The job", "vqrp", "x"},
        {"bad", "v", "x"},
    };
    const struct events_query query = {.job_id = id, .ascending = true, .limit = 1000};
    struct event *events;
    bool more, has_started = false;
    char now = 'v';
    size_t n;

    assert_int_equal(events_list(store, &query, &events, &n, &more, NULL), PRILORA_OK);
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;

        while (k < sizeof steps / sizeof *steps &&
               strncmp(events[i].message, steps[k].begin, strlen(steps[k].begin)) != 0)
            k++;
        if (k == sizeof steps / sizeof *steps)
            fail_msg("%s: \"%s\" is not known", id, events[i].message);
        if (now == 'q' && has_started && strchr(steps[k].from, 'r'))
            now = 'r'; /* "started" is told the first time only */
        has_started = has_started || strcmp(steps[k].to, "r") == 0;
        if (!strchr(steps[k].from, now))
            fail_msg("%s: \"%s\" after what left it in %c", id, events[i].message, now);
        if (steps[k].to[0] != '=')
            now = steps[k].to[0];
    }
    assert_int_equal(now, 'x');
    events_free_list(events, n);
}

static void check_folder(struct store *store, const char *id)
{
    char *folder = queue_folder(store, id, NULL);
    struct stat st;

    assert_int_not_equal(stat(folder, &st), 0); /* there was no adapter to keep */
    free(folder);
}

static void start(struct actor *a, struct storm *storm, unsigned seed, void *(*role)(void *))
{
    *a = (struct actor){.storm = storm, .seed = seed};
    assert_int_equal(pthread_create(&a->thread, NULL, role, a), 0);
}

static void join(struct actor *actors, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pthread_join(actors[i].thread, NULL);
}

static void wake_all(struct storm *storm)
{
    for (int i = 0; i < N_JOBS; i++) {
        struct job job;

        if (queue_resume(storm->store, storm->ids[i], &job, NULL) == PRILORA_OK)
            job_clear(&job);
    }
}

static void run_storm(struct storm *storm, unsigned seed)
{
    struct actor clients[N_CLIENTS], workers[N_TRAINERS + 1];

    for (int i = 0; i < N_JOBS; i++)
        snprintf(storm->ids[i], ID_SIZE, "%s", test_add_job(storm->store, i % 3));
    start(&workers[0], storm, seed, be_validator);
    for (unsigned i = 0; i < N_TRAINERS; i++)
        start(&workers[i + 1], storm, seed + i, be_trainer);
    for (unsigned i = 0; i < N_CLIENTS; i++)
        start(&clients[i], storm, seed + 100 + i, be_client);
    join(clients, N_CLIENTS);
    wake_all(storm);
    atomic_store(&storm->calm, true);
    queue_wake(storm->store);
    join(workers, N_TRAINERS + 1);
    wake_all(storm); /* those that were paused between validation and the calm */
    be_worker(&workers[1], JOB_QUEUED, train);
}

static void every_job_ends_once_whatever_clients_and_workers_do(void **state)
{
    struct storm *storm = calloc(1, sizeof *storm);
    unsigned seed = (unsigned)time(NULL);
    int n_deleted = 0;

    storm->store = *state;
    fprintf(stderr, "# seed %u\n", seed);
    run_storm(storm, seed);
    assert_int_equal(storm->wrong, 0);
    for (int i = 0; i < N_JOBS; i++) {
        assert_int_equal(storm->ends[i], 1);
        check_folder(storm->store, storm->ids[i]);
        n_deleted += storm->deleted[i];
        if (storm->deleted[i])
            continue;
        assert_true(test_job_status(storm->store, storm->ids[i]) >= JOB_SUCCEEDED);
        check_story(storm->store, storm->ids[i]);
    }
    assert_true(n_deleted < N_JOBS);
    free(storm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_job_ends_once_whatever_clients_and_workers_do,
                                        test_store_open, test_store_close),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
