/* The queue's rules: who may change what, in which order jobs are handed out, what a crash does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "daemon/events.h"
#include "daemon/path.h"
#include "daemon/queue.h"
#include "support/scratch.h"
#include "support/state.h"

/* ---- every state against every operation ---- */

static enum prilora_status do_cancel(struct store *store, const char *id)
{
    struct job job;
    enum prilora_status rc = queue_cancel(store, id, &job, NULL);

    job_clear(&job);
    return rc;
}

static enum prilora_status do_pause(struct store *store, const char *id)
{
    struct job job;
    enum prilora_status rc = queue_pause(store, id, &job, NULL);

    job_clear(&job);
    return rc;
}

static enum prilora_status do_resume(struct store *store, const char *id)
{
    struct job job;
    enum prilora_status rc = queue_resume(store, id, &job, NULL);

    job_clear(&job);
    return rc;
}

static enum prilora_status do_prioritise(struct store *store, const char *id)
{
    static int64_t last = 100; /* another one each time */
    const struct queue_edit edit = {.has_priority = true, .priority = last - 1};
    struct job job;
    enum prilora_status rc = queue_edit(store, id, &edit, &job, NULL);

    last--;
    job_clear(&job);
    return rc;
}

static enum prilora_status do_validated(struct store *store, const char *id)
{
    return queue_validated(store, id, "{\"seed\":1}", "{}", NULL);
}

static enum prilora_status do_requeue(struct store *store, const char *id)
{
    return queue_requeue(store, id, "stopped", NULL);
}

static enum prilora_status do_succeed(struct store *store, const char *id)
{
    return queue_finish(store, id, &(struct job_end){.status = JOB_SUCCEEDED}, NULL);
}

static enum prilora_status do_fail(struct store *store, const char *id)
{
    return queue_finish(store, id,
                        &(struct job_end){.status = JOB_FAILED, .error_message = "wrong"}, NULL);
}

static enum prilora_status do_end_cancelled(struct store *store, const char *id)
{
    return queue_finish(store, id, &(struct job_end){.status = JOB_CANCELLED}, NULL);
}

#define NO (-1) /* refused, nothing changes */
static const struct {
    const char *name;
    enum prilora_status (*operation)(struct store *store, const char *id);
    int after[JOB_CANCELLED + 1]; /* the state afterwards, by the state before */
} rules[] = {
    /*                     validating      queued         running     paused       succ fail canc */
    {"cancel", do_cancel, {JOB_CANCELLED, JOB_CANCELLED, JOB_RUNNING, JOB_CANCELLED, NO, NO, NO}},
    {"pause", do_pause, {JOB_VALIDATING, JOB_PAUSED, JOB_RUNNING, NO, NO, NO, NO}},
    {"resume", do_resume, {NO, NO, NO, JOB_QUEUED, NO, NO, NO}},
    {"prioritise",
     do_prioritise,
     {JOB_VALIDATING, JOB_QUEUED, JOB_RUNNING, JOB_PAUSED, NO, NO, NO}},
    {"validated", do_validated, {JOB_QUEUED, NO, NO, NO, NO, NO, NO}},
    {"requeue", do_requeue, {NO, NO, JOB_QUEUED, NO, NO, NO, NO}},
    {"succeed", do_succeed, {NO, NO, JOB_SUCCEEDED, NO, NO, NO, NO}},
    {"fail", do_fail, {JOB_FAILED, NO, JOB_FAILED, NO, NO, NO, NO}},
    {"end cancelled", do_end_cancelled, {NO, NO, JOB_CANCELLED, NO, NO, NO, NO}},
};

static void each_operation_works_from_its_states_only(void **state)
{
    struct store *store = *state;

    for (size_t r = 0; r < sizeof rules / sizeof *rules; r++)
        for (int from = JOB_VALIDATING; from <= JOB_CANCELLED; from++) {
            const char *id;
            size_t before;
            enum prilora_status rc;
            int after = rules[r].after[from];

            id = test_add_job_in(store, (enum job_status)from);
            before = test_count_events(store, id, "");
            rc = rules[r].operation(store, id);
            if (rc != (after == NO ? PRILORA_EMISMATCH : PRILORA_OK) ||
                test_job_status(store, id) != (enum job_status)(after == NO ? from : after))
                fail_msg("%s from %s: status %d, job is %s", rules[r].name,
                         job_status_name((enum job_status)from), (int)rc,
                         job_status_name(test_job_status(store, id)));
            if (after == NO)
                assert_int_equal(test_count_events(store, id, ""), before);
            else
                assert_true(test_count_events(store, id, "") > before);
            do_end_cancelled(store, id); /* out of the way of the next ones */
            do_cancel(store, id);
        }
}

static void operations_on_no_job_say_so(void **state)
{
    struct prilora_error err;

    for (size_t r = 0; r < sizeof rules / sizeof *rules; r++)
        assert_int_equal(rules[r].operation(*state, "ftjob-none"), PRILORA_ENOENT);
    assert_int_equal(queue_requeue(*state, "ftjob-none", "stopped", &err), PRILORA_ENOENT);
    assert_string_equal(err.message, "no such job: ftjob-none");
}

static void a_refused_change_names_the_state(void **state)
{
    struct prilora_error err;
    const char *id = test_add_job_in(*state, JOB_SUCCEEDED);
    char expected[128];

    assert_int_equal(queue_requeue(*state, id, "stopped", &err), PRILORA_EMISMATCH);
    snprintf(expected, sizeof expected, "cannot put back job %s: it is succeeded", id);
    assert_string_equal(err.message, expected);
}

/* ---- submitting and claiming ---- */

static void a_job_needs_files_that_exist(void **state)
{
    char text[] = "x", missing[] = "file-none";
    struct prilora_error err;
    struct job job = {.model = text, .spec = text, .training_file = missing};
    uint64_t counts[JOB_CANCELLED + 1];

    assert_int_equal(queue_submit(*state, &job, &err), PRILORA_ENOENT);
    assert_string_equal(err.where, "training_file");
    assert_string_equal(err.message, "no such file: file-none");
    assert_int_equal(queue_counts(*state, counts, &err), PRILORA_OK);
    assert_int_equal(counts[JOB_VALIDATING], 0);
}

static void what_was_submitted_can_be_read(void **state)
{
    struct store *store = *state;
    char *file = strdup(test_add_file(store, "a.csv", "x")), *id;
    struct job job = {.model = strdup("owner/m"),
                      .spec = strdup("{\"seed\":7}"),
                      .training_file = strdup(file),
                      .validation_file = strdup(file),
                      .suffix = strdup("s"),
                      .metadata = strdup("{\"k\":\"v\"}"),
                      .requested = strdup("{\"method\":{}}"),
                      .forecast = strdup("{\"memory_bytes\":1}"),
                      .priority = -3,
                      .seed = 7};

    assert_int_equal(queue_submit(store, &job, NULL), PRILORA_OK);
    id = strdup(job.id);
    assert_int_equal(strncmp(id, "ftjob-", 6), 0);
    job_clear(&job);
    assert_int_equal(queue_get(store, id, &job, NULL), PRILORA_OK);
    assert_int_equal(job.status, JOB_VALIDATING);
    assert_string_equal(job.model, "owner/m");
    assert_string_equal(job.spec, "{\"seed\":7}");
    assert_string_equal(job.training_file, file);
    assert_string_equal(job.validation_file, file);
    assert_string_equal(job.suffix, "s");
    assert_string_equal(job.metadata, "{\"k\":\"v\"}");
    assert_string_equal(job.requested, "{\"method\":{}}");
    assert_string_equal(job.forecast, "{\"memory_bytes\":1}");
    assert_int_equal(job.priority, -3);
    assert_int_equal(job.seed, 7);
    assert_true(job.created_at > 1700000000);
    assert_int_equal(job.started_at, 0);
    assert_null(job.result);
    assert_null(job.fine_tuned_model);
    assert_null(job.error_code);
    assert_true(test_count_events(store, id, "Created fine-tuning job: "));
    job_clear(&job);
    free(file);
    free(id);
}

static void higher_priority_goes_first_then_older(void **state)
{
    struct store *store = *state;
    const int64_t priorities[] = {0, 5, 0, -1, 5};
    const int order[] = {1, 4, 0, 2, 3};
    char ids[5][ID_SIZE];
    struct job job;
    bool found;

    for (int i = 0; i < 5; i++)
        snprintf(ids[i], ID_SIZE, "%s", test_add_job(store, priorities[i]));
    for (int i = 0; i < 5; i++) {
        assert_int_equal(queue_claim(store, JOB_VALIDATING, 0, &job, &found, NULL), PRILORA_OK);
        assert_true(found);
        assert_string_equal(job.id, ids[order[i]]);
        job_clear(&job);
    }
    assert_int_equal(queue_claim(store, JOB_VALIDATING, 0, &job, &found, NULL), PRILORA_OK);
    assert_false(found);
    for (int i = 4; i >= 0; i--)
        assert_int_equal(queue_validated(store, ids[i], "{}", NULL, NULL), PRILORA_OK);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(queue_claim(store, JOB_QUEUED, 0, &job, &found, NULL), PRILORA_OK);
        assert_true(found);
        assert_string_equal(job.id, ids[order[i]]);
        assert_int_equal(job.status, JOB_RUNNING);
        assert_int_equal(job.attempts, 1);
        assert_true(job.started_at > 0);
        job_clear(&job);
    }
}

#define N_CLAIMERS 6
#define N_JOBS     60

struct claimer {
    struct store *store;
    pthread_t thread;
    char ids[N_JOBS][ID_SIZE];
    size_t n;
    bool failed;
};

static void *claim_all(void *argument)
{
    struct claimer *c = argument;
    struct job job;
    bool found = true;

    while (found && !c->failed) {
        c->failed = queue_claim(c->store, JOB_QUEUED, 0, &job, &found, NULL) != PRILORA_OK;
        if (!c->failed && found)
            snprintf(c->ids[c->n++], ID_SIZE, "%s", job.id);
        job_clear(&job);
    }
    return NULL;
}

static int compare_ids(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void no_job_is_claimed_twice(void **state)
{
    static struct claimer claimers[N_CLAIMERS];
    static char all[N_JOBS][ID_SIZE];
    size_t n = 0;

    for (int i = 0; i < N_JOBS; i++)
        test_add_job_in(*state, JOB_QUEUED);
    for (int i = 0; i < N_CLAIMERS; i++) {
        claimers[i] = (struct claimer){.store = *state};
        assert_int_equal(pthread_create(&claimers[i].thread, NULL, claim_all, &claimers[i]), 0);
    }
    for (int i = 0; i < N_CLAIMERS; i++) {
        pthread_join(claimers[i].thread, NULL);
        assert_false(claimers[i].failed);
        assert_true(n + claimers[i].n <= N_JOBS);
        memcpy(all[n], claimers[i].ids, claimers[i].n * ID_SIZE);
        n += claimers[i].n;
    }
    assert_int_equal(n, N_JOBS);
    qsort(all, N_JOBS, ID_SIZE, compare_ids);
    for (int i = 1; i < N_JOBS; i++)
        assert_string_not_equal(all[i - 1], all[i]);
}

static void a_waiting_worker_is_woken_by_a_new_job(void **state)
{
    struct timespec before, after;

    queue_wait(*state, 0); /* hears what rang before */
    clock_gettime(CLOCK_MONOTONIC, &before);
    test_add_job(*state, 0); /* rings before the wait begins: must not be lost */
    queue_wait(*state, 20000);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(after.tv_sec - before.tv_sec < 10); /* of 20: the bell, not the time-out */
    queue_wait(*state, 0);
    clock_gettime(CLOCK_MONOTONIC, &before);
    queue_wait(*state, 50);
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true((after.tv_sec - before.tv_sec) * 1000 +
                    (after.tv_nsec - before.tv_nsec) / 1000000 >=
                40); /* of 50 ms: clocks of different kinds */
}

/* ---- running and ending ---- */

static void progress_is_kept_and_peak_memory_only_grows(void **state)
{
    const char *id = test_add_job_in(*state, JOB_RUNNING);
    struct job_progress progress = {.step = 5,
                                    .total_steps = 10,
                                    .n_tokens = 640,
                                    .epoch = 0.5,
                                    .loss = 0.25,
                                    .tokens_per_second = 100,
                                    .seconds_left = 12,
                                    .peak_memory_bytes = 5000};
    struct job job;

    assert_int_equal(queue_progress(*state, id, &progress, NULL), PRILORA_OK);
    progress.step = 6;
    progress.peak_memory_bytes = 4000;
    assert_int_equal(queue_progress(*state, id, &progress, NULL), PRILORA_OK);
    assert_int_equal(queue_get(*state, id, &job, NULL), PRILORA_OK);
    assert_int_equal(job.progress.step, 6);
    assert_int_equal(job.progress.total_steps, 10);
    assert_int_equal(job.progress.n_tokens, 640);
    assert_int_equal(job.progress.peak_memory_bytes, 5000);
    assert_true(job.progress.epoch == 0.5 && job.progress.loss == 0.25);
    assert_true(job.progress.tokens_per_second == 100 && job.progress.seconds_left == 12);
    job_clear(&job);
}

static void a_cancelled_running_job_goes_on_until_its_worker_ends_it(void **state)
{
    const char *id = test_add_job_in(*state, JOB_RUNNING);
    struct job job;
    const struct job_end end = {.status = JOB_CANCELLED, .fine_tuned_model = "ft:mini::x"};

    assert_int_equal(queue_cancel(*state, id, &job, NULL), PRILORA_OK);
    assert_int_equal(job.status, JOB_RUNNING);
    assert_true(job.cancel_requested);
    assert_int_equal(job.finished_at, 0);
    job_clear(&job);
    assert_int_equal(queue_cancel(*state, id, &job, NULL), PRILORA_OK); /* again: no harm */
    job_clear(&job);
    assert_int_equal(queue_finish(*state, id, &end, NULL), PRILORA_OK);
    assert_int_equal(queue_find_model(*state, "ft:mini::x", &job, NULL), PRILORA_OK);
    assert_string_equal(job.id, id);
    assert_int_equal(job.status, JOB_CANCELLED);
    assert_true(job.finished_at > 0);
    job_clear(&job);
}

static void the_end_is_written_whole(void **state)
{
    const char *id = test_add_job_in(*state, JOB_RUNNING);
    struct job job;
    const struct job_end end = {.status = JOB_FAILED,
                                .error_code = "training_diverged",
                                .error_message = "loss is not a number",
                                .error_param = "learning_rate",
                                .trained_tokens = 77};

    assert_int_equal(queue_finish(*state, id, &end, NULL), PRILORA_OK);
    assert_int_equal(queue_get(*state, id, &job, NULL), PRILORA_OK);
    assert_string_equal(job.error_code, "training_diverged");
    assert_string_equal(job.error_message, "loss is not a number");
    assert_string_equal(job.error_param, "learning_rate");
    assert_int_equal(job.trained_tokens, 77);
    assert_true(test_count_events(*state, id, "loss is not a number"));
    job_clear(&job);
    assert_int_equal(queue_finish(*state, id, &(struct job_end){.status = JOB_RUNNING}, NULL),
                     PRILORA_EINVAL);
}

/* ---- pausing ---- */

static void expect(struct store *store, const char *id, enum job_status status, bool pausing)
{
    struct job job;

    assert_int_equal(queue_get(store, id, &job, NULL), PRILORA_OK);
    if (job.status != status || job.pause_requested != pausing)
        fail_msg("%s, pause requested %d", job_status_name(job.status), job.pause_requested);
    job_clear(&job);
}

static void claim_it(struct store *store)
{
    struct job job;
    bool found;

    assert_int_equal(queue_claim(store, JOB_QUEUED, 0, &job, &found, NULL), PRILORA_OK);
    assert_true(found);
    job_clear(&job);
}

static void a_running_job_is_paused_when_its_worker_has_stopped(void **state)
{
    const char *id = test_add_job_in(*state, JOB_RUNNING);
    size_t events = test_count_events(*state, id, "");
    struct job job;
    bool found;

    assert_int_equal(do_pause(*state, id), PRILORA_OK);
    expect(*state, id, JOB_RUNNING, true);
    assert_int_equal(do_pause(*state, id), PRILORA_OK); /* again: no harm, no second event */
    assert_int_equal(test_count_events(*state, id, ""), events + 1);
    assert_int_equal(queue_requeue(*state, id, "not this", NULL), PRILORA_OK);
    expect(*state, id, JOB_PAUSED, false);
    assert_true(test_count_events(*state, id, "Job paused"));
    assert_false(test_count_events(*state, id, "not this"));
    assert_int_equal(queue_claim(*state, JOB_QUEUED, 0, &job, &found, NULL), PRILORA_OK);
    assert_false(found);
    assert_int_equal(do_resume(*state, id), PRILORA_OK);
    claim_it(*state);
    expect(*state, id, JOB_RUNNING, false);
}

static void a_pause_can_be_taken_back(void **state)
{
    const char *id = test_add_job_in(*state, JOB_RUNNING);

    assert_int_equal(do_pause(*state, id), PRILORA_OK);
    assert_int_equal(do_resume(*state, id), PRILORA_OK);
    expect(*state, id, JOB_RUNNING, false);
    assert_int_equal(do_resume(*state, id), PRILORA_EMISMATCH);
    assert_int_equal(do_requeue(*state, id), PRILORA_OK); /* its worker had stopped already */
    expect(*state, id, JOB_QUEUED, false);
}

static void a_job_is_paused_after_its_validation(void **state)
{
    const char *id = test_add_job_in(*state, JOB_VALIDATING);

    assert_int_equal(do_pause(*state, id), PRILORA_OK);
    expect(*state, id, JOB_VALIDATING, true);
    assert_int_equal(do_validated(*state, id), PRILORA_OK);
    expect(*state, id, JOB_PAUSED, false);
    assert_true(test_count_events(*state, id, "Files validated; job paused"));
}

static void a_job_that_ends_before_it_pauses_has_ended(void **state)
{
    const char *id = test_add_job_in(*state, JOB_RUNNING);

    assert_int_equal(do_pause(*state, id), PRILORA_OK);
    assert_int_equal(do_succeed(*state, id), PRILORA_OK);
    expect(*state, id, JOB_SUCCEEDED, false);
    assert_int_equal(do_resume(*state, id), PRILORA_EMISMATCH);
}

/* Whatever the order in which the worker sees the two. */
static void cancelling_wins_over_pausing(void **state)
{
    const char *id = test_add_job_in(*state, JOB_RUNNING);
    struct prilora_error err;
    struct job job;
    char expected[128];

    assert_int_equal(do_pause(*state, id), PRILORA_OK);
    assert_int_equal(do_cancel(*state, id), PRILORA_OK);
    expect(*state, id, JOB_RUNNING, false);
    assert_int_equal(queue_pause(*state, id, &job, &err), PRILORA_EMISMATCH);
    snprintf(expected, sizeof expected, "cannot pause job %s: it is being cancelled", id);
    assert_string_equal(err.message, expected);
    assert_int_equal(do_requeue(*state, id), PRILORA_OK);
    expect(*state, id, JOB_QUEUED, false);
    claim_it(*state);
    assert_int_equal(do_end_cancelled(*state, id), PRILORA_OK);
}

static void make(struct store *store, const char *id, const char *name)
{
    char *folder = queue_folder(store, id, NULL), *path = queue_folder(store, id, name);

    assert_int_equal(path_make_folder(folder, NULL), PRILORA_OK);
    assert_int_equal(strcmp(name, "adapter") == 0 ? path_make_folder(path, NULL)
                                                  : path_replace(path, "x", NULL),
                     PRILORA_OK);
    free(folder);
    free(path);
}

static bool exists(struct store *store, const char *id, const char *name)
{
    struct stat st;
    char *path = queue_folder(store, id, name);
    bool there = stat(path, &st) == 0;

    free(path);
    return there;
}

/* A paused job that has trained to step 5. */
static const char *add_trained(struct store *store)
{
    const char *id = test_add_job_in(store, JOB_RUNNING);
    const struct job_progress progress = {.step = 5, .total_steps = 10};

    assert_int_equal(queue_progress(store, id, &progress, NULL), PRILORA_OK);
    make(store, id, "checkpoint");
    assert_int_equal(do_pause(store, id), PRILORA_OK);
    assert_int_equal(do_requeue(store, id), PRILORA_OK);
    expect(store, id, JOB_PAUSED, false);
    return id;
}

static void what_a_paused_job_has_trained_is_kept_when_it_is_cancelled(void **state)
{
    const char *id = add_trained(*state), *other = test_add_job_in(*state, JOB_QUEUED);
    const struct job_end end = {.status = JOB_CANCELLED, .fine_tuned_model = "ft:mini::y"};
    struct queue_edit first = {.has_priority = true, .priority = 100};
    struct job job;
    bool found;

    assert_int_equal(queue_edit(*state, other, &first, &job, NULL), PRILORA_OK);
    job_clear(&job);
    assert_int_equal(queue_cancel(*state, id, &job, NULL), PRILORA_OK);
    assert_int_equal(job.status, JOB_QUEUED);
    assert_true(job.cancel_requested);
    assert_int_equal(job.finished_at, 0);
    job_clear(&job);
    assert_true(exists(*state, id, "checkpoint"));
    assert_int_equal(do_pause(*state, id), PRILORA_EMISMATCH);
    /* before all others, whatever their priority: it only exports */
    assert_int_equal(queue_claim(*state, JOB_QUEUED, 0, &job, &found, NULL), PRILORA_OK);
    assert_true(found);
    assert_string_equal(job.id, id);
    job_clear(&job);
    assert_int_equal(queue_finish(*state, id, &end, NULL), PRILORA_OK);
    expect(*state, id, JOB_CANCELLED, false);
}

static void cancelling_twice_gives_up_what_was_trained(void **state)
{
    const char *id = add_trained(*state);

    assert_int_equal(do_cancel(*state, id), PRILORA_OK);
    expect(*state, id, JOB_QUEUED, false);
    assert_int_equal(do_cancel(*state, id), PRILORA_OK);
    expect(*state, id, JOB_CANCELLED, false);
    assert_false(exists(*state, id, NULL));
}

/* ---- editing ---- */

static void a_new_priority_changes_the_order_at_once(void **state)
{
    char ids[3][ID_SIZE];
    struct queue_edit edit = {.has_priority = true, .priority = 7};
    struct job job;
    bool found;
    const int order[] = {2, 0, 1};

    for (int i = 0; i < 3; i++)
        snprintf(ids[i], ID_SIZE, "%s", test_add_job_in(*state, JOB_QUEUED));
    assert_int_equal(queue_edit(*state, ids[2], &edit, &job, NULL), PRILORA_OK);
    assert_int_equal(job.priority, 7);
    job_clear(&job);
    assert_true(test_count_events(*state, ids[2], "Priority changed from 0 to 7"));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(queue_claim(*state, JOB_QUEUED, 0, &job, &found, NULL), PRILORA_OK);
        assert_true(found);
        assert_string_equal(job.id, ids[order[i]]);
        job_clear(&job);
    }
}

static void metadata_can_be_changed_at_any_time(void **state)
{
    const char *id = test_add_job_in(*state, JOB_SUCCEEDED);
    char metadata[] = "{\"team\":\"a\"}";
    struct queue_edit edit = {.metadata = metadata};
    size_t events = test_count_events(*state, id, "");
    struct job job;

    assert_int_equal(queue_edit(*state, id, &edit, &job, NULL), PRILORA_OK);
    assert_string_equal(job.metadata, metadata);
    job_clear(&job);
    assert_int_equal(test_count_events(*state, id, ""), events + 1);
    assert_int_equal(queue_edit(*state, id, &edit, &job, NULL), PRILORA_OK);
    job_clear(&job);
    assert_int_equal(test_count_events(*state, id, ""), events + 1); /* nothing changed */
    edit.has_priority = true;                                        /* both or neither */
    edit.metadata[9] = 'b';
    assert_int_equal(queue_edit(*state, id, &edit, &job, NULL), PRILORA_EMISMATCH);
    assert_int_equal(queue_get(*state, id, &job, NULL), PRILORA_OK);
    assert_string_equal(job.metadata, "{\"team\":\"a\"}");
    job_clear(&job);
}

/* ---- deleting ---- */

static void only_jobs_that_are_over_can_be_deleted(void **state)
{
    static const enum job_status others[] = {JOB_VALIDATING, JOB_QUEUED, JOB_RUNNING, JOB_PAUSED};
    static const enum job_status over[] = {JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED};
    struct prilora_error err;
    char expected[160];

    for (size_t i = 0; i < 4; i++) {
        const char *id = test_add_job_in(*state, others[i]);

        assert_int_equal(queue_delete(*state, id, &err), PRILORA_EMISMATCH);
        snprintf(expected, sizeof expected,
                 "cannot delete job %s: it is %s; cancel it and wait for its end first", id,
                 job_status_name(others[i]));
        assert_string_equal(err.message, expected);
        assert_int_equal(test_job_status(*state, id), others[i]);
        do_cancel(*state, id);
        do_end_cancelled(*state, id);
    }
    for (size_t i = 0; i < 3; i++) {
        const char *id = test_add_job_in(*state, over[i]);
        struct series_row *rows;
        size_t n;
        bool more;

        assert_int_equal(series_put(*state, SERIES_METRICS, id, 1, "{}", NULL), PRILORA_OK);
        make(*state, id, "adapter");
        assert_int_equal(queue_delete(*state, id, &err), PRILORA_OK);
        assert_int_equal(test_count_events(*state, id, ""), 0);
        assert_int_equal(series_list(*state, SERIES_METRICS, id, -1, true, 9, &rows, &n, &more,
                                     NULL),
                         PRILORA_OK);
        assert_int_equal(n, 0);
        series_free_list(rows, n);
        assert_false(exists(*state, id, NULL));
        assert_int_equal(queue_delete(*state, id, &err), PRILORA_ENOENT);
    }
}

static void submit_from(struct store *store, const char *model, char id[ID_SIZE],
                        enum prilora_status expected)
{
    char text[] = "{}", *file = strdup(test_add_file(store, "a", "x")), *from = strdup(model);
    struct job job = {.model = text, .spec = text, .training_file = file, .start_from = from};
    struct prilora_error err = {0};

    assert_int_equal(queue_submit(store, &job, &err), expected);
    assert_string_equal(err.where, expected == PRILORA_OK ? "" : "model");
    snprintf(id, ID_SIZE, "%s", job.id);
    free(file);
    free(from);
}

static void a_model_stays_until_those_that_start_from_it_have_copied_it(void **state)
{
    struct store *store = *state;
    const char *id = test_add_job_in(store, JOB_RUNNING);
    const struct job_end end = {.status = JOB_SUCCEEDED, .fine_tuned_model = "ft:a"};
    char child[ID_SIZE], other[ID_SIZE];
    struct prilora_error err;
    struct job job;

    submit_from(store, "ft:a", child, PRILORA_ENOENT); /* not finished yet */
    assert_int_equal(queue_finish(store, id, &end, NULL), PRILORA_OK);
    submit_from(store, "ft:a", child, PRILORA_OK);
    assert_int_equal(queue_get(store, child, &job, NULL), PRILORA_OK);
    assert_string_equal(job.start_from, "ft:a");
    job_clear(&job);
    assert_int_equal(queue_delete(store, id, &err), PRILORA_EMISMATCH);
    assert_non_null(strstr(err.message, child));
    assert_int_equal(queue_delete_model(store, "ft:a", &err), PRILORA_EMISMATCH);
    assert_non_null(strstr(err.message, child));
    assert_int_equal(queue_find_model(store, "ft:a", &job, NULL), PRILORA_OK);
    job_clear(&job);
    assert_int_equal(do_validated(store, child), PRILORA_OK);
    assert_int_equal(queue_delete(store, id, &err), PRILORA_OK);
    submit_from(store, "ft:a", other, PRILORA_ENOENT); /* deleted meanwhile */
    assert_int_equal(test_job_status(store, child), JOB_QUEUED);
}

/* ---- crashes ---- */

static void recover(struct store *store, size_t expected)
{
    size_t n;

    assert_int_equal(queue_recover(store, &n, NULL), PRILORA_OK);
    assert_int_equal(n, expected);
}

static void what_ran_at_a_crash_is_queued_again(void **state)
{
    struct store *store = *state;
    const char *running = test_add_job_in(store, JOB_RUNNING);
    const char *queued = test_add_job_in(store, JOB_QUEUED);
    const char *failed = test_add_job_in(store, JOB_VALIDATING);
    size_t events;
    struct job job;

    recover(store, 1);
    assert_int_equal(test_job_status(store, running), JOB_QUEUED);
    assert_int_equal(test_job_status(store, queued), JOB_QUEUED);
    assert_int_equal(test_job_status(store, failed), JOB_VALIDATING);
    assert_true(test_count_events(store, running, "ended unexpectedly"));
    events = test_count_events(store, running, "");
    recover(store, 0); /* again: nothing is left to do */
    assert_int_equal(test_count_events(store, running, ""), events);
    assert_int_equal(queue_get(store, running, &job, NULL), PRILORA_OK);
    assert_int_equal(job.attempts, 1);
    job_clear(&job);
}

static void a_validation_that_was_cut_off_starts_over(void **state)
{
    const char *id = test_add_job(*state, 0);
    struct job job;
    bool found;

    assert_int_equal(queue_claim(*state, JOB_VALIDATING, 0, &job, &found, NULL), PRILORA_OK);
    job_clear(&job);
    assert_int_equal(queue_claim(*state, JOB_VALIDATING, 0, &job, &found, NULL), PRILORA_OK);
    assert_false(found);
    recover(*state, 0);
    assert_int_equal(queue_claim(*state, JOB_VALIDATING, 0, &job, &found, NULL), PRILORA_OK);
    assert_true(found);
    assert_string_equal(job.id, id);
    job_clear(&job);
}

static void a_job_that_kills_the_daemon_is_given_up(void **state)
{
    const char *id = test_add_job_in(*state, JOB_RUNNING);
    struct job job;

    recover(*state, 1);
    claim_it(*state);
    recover(*state, 1);
    claim_it(*state);
    recover(*state, 0);
    assert_int_equal(queue_get(*state, id, &job, NULL), PRILORA_OK);
    assert_int_equal(job.status, JOB_FAILED);
    assert_string_equal(job.error_code, "daemon_died");
    assert_true(job.finished_at > 0);
    assert_int_equal(job.attempts, 3);
    job_clear(&job);
}

static void a_pause_that_was_asked_for_outlives_a_crash(void **state)
{
    const char *running = test_add_job_in(*state, JOB_RUNNING), *paused, *validating, *cancelled;
    struct job job;
    bool found;

    assert_int_equal(do_pause(*state, running), PRILORA_OK);
    paused = test_add_job_in(*state, JOB_PAUSED);
    cancelled = test_add_job_in(*state, JOB_RUNNING);
    assert_int_equal(do_pause(*state, cancelled), PRILORA_OK);
    assert_int_equal(do_cancel(*state, cancelled), PRILORA_OK);
    validating = test_add_job_in(*state, JOB_VALIDATING);
    assert_int_equal(do_pause(*state, validating), PRILORA_OK);
    assert_int_equal(queue_claim(*state, JOB_VALIDATING, 0, &job, &found, NULL), PRILORA_OK);
    assert_true(found);
    job_clear(&job);
    recover(*state, 1);
    expect(*state, running, JOB_PAUSED, false);
    assert_true(test_count_events(*state, running, "the job is paused, as was asked"));
    expect(*state, paused, JOB_PAUSED, false);
    expect(*state, cancelled, JOB_QUEUED, false);
    expect(*state, validating, JOB_VALIDATING, true);
    assert_int_equal(queue_sweep(*state, &(struct sweep){0}, NULL), PRILORA_OK);
    recover(*state, 0);
    expect(*state, running, JOB_PAUSED, false);
}

static void a_checkpoint_or_a_clean_stop_forgives_deaths(void **state)
{
    const char *id = test_add_job_in(*state, JOB_RUNNING);

    for (int i = 0; i < 4; i++) {
        recover(*state, 1);
        claim_it(*state);
        recover(*state, 1);
        claim_it(*state);
        if (i % 2) {
            assert_int_equal(queue_checkpointed(*state, id, NULL), PRILORA_OK);
        } else {
            assert_int_equal(queue_requeue(*state, id, "stopped", NULL), PRILORA_OK);
            claim_it(*state);
        }
    }
    assert_int_equal(test_job_status(*state, id), JOB_RUNNING);
}

static void a_finished_job_keeps_its_adapter_alone(void **state)
{
    struct store *store = *state;
    const char *id = test_add_job_in(store, JOB_RUNNING);
    const struct job_end end = {.status = JOB_SUCCEEDED, .fine_tuned_model = "ft:a"};

    make(store, id, "train.tokens");
    make(store, id, "adapter");
    assert_int_equal(queue_finish(store, id, &end, NULL), PRILORA_OK);
    assert_false(exists(store, id, "train.tokens"));
    assert_true(exists(store, id, "adapter"));
    make(store, id, "checkpoint"); /* as if the daemon had died before it could tidy up */
    make(store, "ftjob-unknown", "checkpoint");
    assert_int_equal(queue_sweep(store, &(struct sweep){0}, NULL), PRILORA_OK);
    assert_false(exists(store, id, "checkpoint"));
    assert_true(exists(store, id, "adapter"));
    assert_false(exists(store, "ftjob-unknown", NULL));
    assert_int_equal(queue_delete_model(store, "ft:a", NULL), PRILORA_OK);
    assert_false(exists(store, id, "adapter"));
    assert_int_equal(queue_delete_model(store, "ft:a", NULL), PRILORA_ENOENT);
    assert_int_equal(test_job_status(store, id), JOB_SUCCEEDED);
}

/* ---- lists ---- */

static void pages_are_newest_first_and_complete(void **state)
{
    struct store *store = *state;
    char ids[7][ID_SIZE], after[ID_SIZE] = "";
    size_t seen = 0, n;
    struct job *jobs;
    bool more = true;

    for (int i = 0; i < 7; i++)
        snprintf(ids[i], ID_SIZE, "%s", test_add_job(store, i % 2));
    while (more) {
        const struct queue_query query = {.after = *after ? after : NULL, .limit = 3};

        assert_int_equal(queue_list(store, &query, &jobs, &n, &more, NULL), PRILORA_OK);
        assert_int_equal(n, seen < 6 ? 3 : 1);
        for (size_t i = 0; i < n; i++)
            assert_string_equal(jobs[i].id, ids[6 - seen - i]);
        seen += n;
        snprintf(after, sizeof after, "%s", jobs[n - 1].id);
        queue_free_list(jobs, n);
        assert_int_equal(more, seen < 7);
    }
    assert_int_equal(seen, 7);
    assert_int_equal(queue_list(store, &(struct queue_query){.after = "x", .limit = 1}, &jobs, &n,
                                &more, NULL),
                     PRILORA_ENOENT);
}

static void jobs_are_found_by_state(void **state)
{
    static const enum job_status all[] = {JOB_SUCCEEDED, JOB_PAUSED, JOB_FAILED, JOB_QUEUED};
    char ids[4][ID_SIZE];
    struct queue_query query = {.limit = 1};
    struct job *jobs;
    size_t n;
    bool more;

    for (size_t i = 0; i < 4; i++)
        snprintf(ids[i], ID_SIZE, "%s", test_add_job_in(*state, all[i]));
    query.statuses = 1u << JOB_PAUSED | 1u << JOB_SUCCEEDED;
    assert_int_equal(queue_list(*state, &query, &jobs, &n, &more, NULL), PRILORA_OK);
    assert_int_equal(n, 1);
    assert_true(more);
    assert_string_equal(jobs[0].id, ids[1]);
    queue_free_list(jobs, n);
    query.after = ids[1];
    assert_int_equal(queue_list(*state, &query, &jobs, &n, &more, NULL), PRILORA_OK);
    assert_int_equal(n, 1);
    assert_false(more);
    assert_string_equal(jobs[0].id, ids[0]);
    queue_free_list(jobs, n);
    query.statuses = 1u << JOB_RUNNING;
    assert_int_equal(queue_list(*state, &query, &jobs, &n, &more, NULL), PRILORA_OK);
    assert_int_equal(n, 0);
    queue_free_list(jobs, n);
}

static void submit_with(struct store *store, const char *metadata, char id[ID_SIZE])
{
    char text[] = "{}", *file = strdup(test_add_file(store, "a", "x")), *copy = strdup(metadata);
    struct job job = {.model = text, .spec = text, .training_file = file, .metadata = copy};

    assert_int_equal(queue_submit(store, &job, NULL), PRILORA_OK);
    snprintf(id, ID_SIZE, "%s", job.id);
    free(file);
    free(copy);
}

static void jobs_are_found_by_metadata(void **state)
{
    static const struct {
        const char *pairs[7];
        int found[3];
    } cases[] = {
        {{"team", "a", NULL}, {0, 1, -1}}, {{"team", "a", "it's", "\"$.x\"", NULL}, {1, -1}},
        {{"team", "b", NULL}, {2, -1}},    {{"team", "%", NULL}, {-1}},
        {{"nobody", "a", NULL}, {-1}},     {{"team", "a", "team", "b", NULL}, {-1}},
    };
    char ids[3][ID_SIZE], plain[ID_SIZE];

    submit_with(*state, "{\"team\":\"a\"}", ids[0]);
    submit_with(*state, "{\"team\":\"a\",\"it's\":\"\\\"$.x\\\"\"}", ids[1]);
    submit_with(*state, "{\"team\":\"b\"}", ids[2]);
    snprintf(plain, sizeof plain, "%s", test_add_job(*state, 0)); /* has none: never found */
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const struct queue_query query = {.limit = 9, .metadata = cases[c].pairs};
        struct job *jobs;
        size_t n, expected = 0;
        bool more;

        assert_int_equal(queue_list(*state, &query, &jobs, &n, &more, NULL), PRILORA_OK);
        while (cases[c].found[expected] >= 0)
            expected++;
        assert_int_equal(n, expected);
        for (size_t i = 0; i < n; i++)
            assert_string_equal(jobs[i].id, ids[cases[c].found[n - 1 - i]]);
        queue_free_list(jobs, n);
    }
}

static void counts_are_by_state(void **state)
{
    uint64_t counts[JOB_CANCELLED + 1];

    test_add_job_in(*state, JOB_FAILED);
    test_add_job_in(*state, JOB_SUCCEEDED);
    test_add_job_in(*state, JOB_SUCCEEDED);
    test_add_job_in(*state, JOB_RUNNING);
    assert_int_equal(queue_counts(*state, counts, NULL), PRILORA_OK);
    assert_int_equal(counts[JOB_VALIDATING], 0);
    assert_int_equal(counts[JOB_RUNNING], 1);
    assert_int_equal(counts[JOB_SUCCEEDED], 2);
    assert_int_equal(counts[JOB_FAILED], 1);
    assert_int_equal(counts[JOB_CANCELLED], 0);
}

#define ON_STORE(test) cmocka_unit_test_setup_teardown(test, test_store_open, test_store_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(each_operation_works_from_its_states_only),
        ON_STORE(operations_on_no_job_say_so),
        ON_STORE(a_refused_change_names_the_state),
        ON_STORE(a_job_needs_files_that_exist),
        ON_STORE(what_was_submitted_can_be_read),
        ON_STORE(higher_priority_goes_first_then_older),
        ON_STORE(no_job_is_claimed_twice),
        ON_STORE(a_waiting_worker_is_woken_by_a_new_job),
        ON_STORE(progress_is_kept_and_peak_memory_only_grows),
        ON_STORE(a_cancelled_running_job_goes_on_until_its_worker_ends_it),
        ON_STORE(the_end_is_written_whole),
        ON_STORE(a_running_job_is_paused_when_its_worker_has_stopped),
        ON_STORE(a_pause_can_be_taken_back),
        ON_STORE(a_job_is_paused_after_its_validation),
        ON_STORE(a_job_that_ends_before_it_pauses_has_ended),
        ON_STORE(cancelling_wins_over_pausing),
        ON_STORE(what_a_paused_job_has_trained_is_kept_when_it_is_cancelled),
        ON_STORE(cancelling_twice_gives_up_what_was_trained),
        ON_STORE(a_new_priority_changes_the_order_at_once),
        ON_STORE(metadata_can_be_changed_at_any_time),
        ON_STORE(only_jobs_that_are_over_can_be_deleted),
        ON_STORE(a_model_stays_until_those_that_start_from_it_have_copied_it),
        ON_STORE(what_ran_at_a_crash_is_queued_again),
        ON_STORE(a_validation_that_was_cut_off_starts_over),
        ON_STORE(a_job_that_kills_the_daemon_is_given_up),
        ON_STORE(a_pause_that_was_asked_for_outlives_a_crash),
        ON_STORE(a_checkpoint_or_a_clean_stop_forgives_deaths),
        ON_STORE(a_finished_job_keeps_its_adapter_alone),
        ON_STORE(pages_are_newest_first_and_complete),
        ON_STORE(jobs_are_found_by_state),
        ON_STORE(jobs_are_found_by_metadata),
        ON_STORE(counts_are_by_state),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
