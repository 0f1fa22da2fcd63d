/* What a run tells, as readers find it: steps gathered, evaluations merged, nothing told twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/events.h"
#include "daemon/live.h"
#include "daemon/report.h"
#include "support/scratch.h"
#include "support/state.h"

static const char *job_id;
static struct report report;

static int open_report(void **state)
{
    if (test_store_open(state) != 0)
        return -1;
    job_id = test_add_job_in(*state, JOB_RUNNING);
    report_open(&report, *state, job_id);
    return 0;
}

static int close_report(void **state)
{
    report_close(&report);
    return test_store_close(state);
}

static void tell_step(uint64_t step)
{
    report_event(&report, &(struct prilora_event){.type = PRILORA_EVENT_STEP,
                                                  .step = step,
                                                  .total_steps = 10,
                                                  .epoch = 0.5,
                                                  .loss = 0.25,
                                                  .learning_rate = 0.5,
                                                  .grad_norm = step == 3 ? (double)NAN : 2,
                                                  .n_tokens = 100 * step,
                                                  .tokens_per_second = 50,
                                                  .seconds_left = 7});
}

static void tell_evaluation(uint64_t step, bool is_best)
{
    report_event(&report, &(struct prilora_event){.type = PRILORA_EVENT_EVALUATION,
                                                  .step = step,
                                                  .total_steps = 10,
                                                  .epoch = 0.5,
                                                  .values = {{"loss", 0.75}, {"accuracy", 0.875}},
                                                  .n_values = 2,
                                                  .is_best = is_best});
}

static void tell_checkpoint(uint64_t step)
{
    report_event(&report, &(struct prilora_event){
                              .type = PRILORA_EVENT_CHECKPOINT, .step = step, .total_steps = 10});
}

/* "4{...} 5{...}" */
static void expect_series(struct store *store, enum series series, const char *expected)
{
    struct series_row *rows;
    size_t n;
    bool more;
    char seen[2000] = "";

    assert_int_equal(series_list(store, series, job_id, -1, true, 100, &rows, &n, &more, NULL),
                     PRILORA_OK);
    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(seen);

        snprintf(seen + used, sizeof seen - used, "%s%s", i ? " " : "", rows[i].json);
    }
    series_free_list(rows, n);
    assert_string_equal(seen, expected);
}

static size_t count_events(struct store *store, const char *part, char *data, size_t room)
{
    const struct events_query query = {job_id, NULL, true, 1000};
    struct event *events;
    size_t n, found = 0;
    bool more;

    assert_int_equal(events_list(store, &query, &events, &n, &more, NULL), PRILORA_OK);
    for (size_t i = 0; i < n; i++)
        if (strstr(events[i].message, part)) {
            found++;
            if (data)
                snprintf(data, room, "%s", events[i].data ? events[i].data : "");
        }
    events_free_list(events, n);
    return found;
}

#define STEP_4                                                                                     \
    "{\"step\":4,\"epoch\":0.5,\"train_loss\":0.25,\"learning_rate\":0.5,\"grad_norm\":2.0,"       \
    "\"tokens_per_second\":50.0"

static void steps_wait_and_evaluations_write_them(void **state)
{
    tell_step(3);
    tell_step(4);
    expect_series(*state, SERIES_METRICS, ""); /* less than a second has passed */
    tell_evaluation(4, true);
    expect_series(*state, SERIES_METRICS,
                  "{\"step\":3,\"epoch\":0.5,\"train_loss\":0.25,\"learning_rate\":0.5,"
                  "\"tokens_per_second\":50.0} " STEP_4 ",\"valid_loss\":0.75,\"accuracy\":0.875}");
}

static void an_evaluation_is_an_event_with_its_numbers(void **state)
{
    char data[400];

    tell_step(4);
    tell_evaluation(4, true);
    assert_int_equal(count_events(*state,
                                  "Step 4 of 10: train_loss 0.2500, valid_loss 0.7500, accuracy "
                                  "0.8750 (best so far)",
                                  data, sizeof data),
                     1);
    assert_string_equal(data, "{\"valid_loss\":0.75,\"accuracy\":0.875,\"step\":4,\"epoch\":0.5,"
                              "\"train_loss\":0.25,\"is_best\":true}");
}

static void what_is_told_again_after_a_resume_is_there_once(void **state)
{
    for (int i = 0; i < 2; i++) {
        tell_step(4);
        tell_evaluation(4, true);
        tell_checkpoint(4);
    }
    assert_int_equal(count_events(*state, "Step 4 of 10: train_loss", NULL, 0), 1);
    assert_int_equal(count_events(*state, "Checkpoint created at step 4", NULL, 0), 1);
    expect_series(*state, SERIES_METRICS, STEP_4 ",\"valid_loss\":0.75,\"accuracy\":0.875}");
}

static void checkpoints_are_listed_with_the_evaluation_before_them(void **state)
{
    tell_step(4);
    tell_checkpoint(4); /* no evaluation: an event, but nothing to list */
    tell_step(5);
    tell_evaluation(5, false);
    tell_checkpoint(5);
    tell_checkpoint(6); /* the evaluation belongs to the one before */
    expect_series(
        *state, SERIES_CHECKPOINTS,
        "{\"step\":5,\"is_best\":false,\"metrics\":{\"valid_loss\":0.75,\"accuracy\":0.875,"
        "\"step\":5,\"epoch\":0.5,\"train_loss\":0.25}}");
    assert_int_equal(count_events(*state, "Checkpoint created", NULL, 0), 3);
}

static void a_checkpoint_forgives_the_deaths_before_it(void **state)
{
    size_t n;
    struct job job;
    bool found;

    for (int i = 0; i < 2 * QUEUE_MAX_DEATHS; i++) {
        tell_checkpoint(4);
        assert_int_equal(queue_recover(*state, &n, NULL), PRILORA_OK);
        assert_int_equal(n, 1);
        assert_int_equal(queue_claim(*state, JOB_QUEUED, 0, &job, &found, NULL), PRILORA_OK);
        assert_true(found);
        job_clear(&job);
    }
}

static void progress_is_live_and_kept(void **state)
{
    struct job_progress progress;
    struct job job;

    assert_int_equal(live_begin(job_id, NULL, NULL), PRILORA_OK);
    tell_step(4);
    assert_true(live_get_progress(job_id, &progress));
    assert_int_equal(progress.step, 4);
    assert_int_equal(progress.n_tokens, 400);
    live_end(job_id);
    report_flush(&report);
    assert_int_equal(queue_get(*state, job_id, &job, NULL), PRILORA_OK);
    assert_int_equal(job.progress.step, 4);
    assert_int_equal(job.progress.total_steps, 10);
    assert_true(job.progress.seconds_left == 7);
    assert_true(job.progress.peak_memory_bytes > 1 << 20);
    job_clear(&job);
}

static void a_database_that_fails_stops_nothing_and_loses_nothing(void **state)
{
    char expected[200];

    tell_step(4);
    assert_int_equal(store_run(*state, NULL, "break", "PRAGMA query_only = 1", ""), PRILORA_OK);
    tell_evaluation(4, true);
    report_flush(&report);
    assert_int_equal(store_run(*state, NULL, "mend", "PRAGMA query_only = 0", ""), PRILORA_OK);
    expect_series(*state, SERIES_METRICS, "");
    report_flush(&report);
    expect_series(*state, SERIES_METRICS, STEP_4 ",\"valid_loss\":0.75,\"accuracy\":0.875}");
    snprintf(expected, sizeof expected,
             "For a while nothing could be written about this job (cannot begin a transaction: "
             "attempt to write a readonly database); 0 rows of metrics were lost");
    assert_int_equal(count_events(*state, expected, NULL, 0), 1);
    report_flush(&report);
    assert_int_equal(count_events(*state, expected, NULL, 0), 1); /* told once */
}

static void rows_that_cannot_be_written_do_not_fill_the_memory(void **state)
{
    assert_int_equal(store_run(*state, NULL, "break", "PRAGMA query_only = 1", ""), PRILORA_OK);
    for (uint64_t step = 1; step <= REPORT_MAX_ROWS + 5; step++)
        tell_step(step);
    report_flush(&report);
    assert_int_equal(store_run(*state, NULL, "mend", "PRAGMA query_only = 0", ""), PRILORA_OK);
    report_flush(&report);
    assert_int_equal(count_events(*state, "; 5 rows of metrics were lost", NULL, 0), 1);
    assert_int_equal(report.n_rows, 0);
    assert_int_equal(report.n_lost, 0);
}

static void warnings_are_events(void **state)
{
    const struct prilora_event event = {.type = PRILORA_EVENT_WARNING,
                                        .step = 3,
                                        .message = "a step was not finite"};

    report_event(&report, &event);
    report_event(&report, &event); /* the same at the same step: once */
    assert_int_equal(count_events(*state, "a step was not finite", NULL, 0), 1);
}

#define ON_REPORT(test) cmocka_unit_test_setup_teardown(test, open_report, close_report)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_REPORT(steps_wait_and_evaluations_write_them),
        ON_REPORT(an_evaluation_is_an_event_with_its_numbers),
        ON_REPORT(what_is_told_again_after_a_resume_is_there_once),
        ON_REPORT(checkpoints_are_listed_with_the_evaluation_before_them),
        ON_REPORT(a_checkpoint_forgives_the_deaths_before_it),
        ON_REPORT(progress_is_live_and_kept),
        ON_REPORT(a_database_that_fails_stops_nothing_and_loses_nothing),
        ON_REPORT(rows_that_cannot_be_written_do_not_fill_the_memory),
        ON_REPORT(warnings_are_events),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
