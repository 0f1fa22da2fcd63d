/* Which jobs have to wait although a worker is free: for memory, or to be alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/queue.h"
#include "support/scratch.h"
#include "support/state.h"

#define MIB ((int64_t)1 << 20)

/* The job's forecast: so many MiB, so many of them the base model's. */
static void forecast(struct store *store, const char *id, const char *model, int64_t mib,
                     int64_t base)
{
    assert_int_equal(store_run(store, NULL, "prepare a job",
                               "UPDATE jobs SET model = ?2, forecast = json_object("
                               "'memory_bytes', ?3, 'base_bytes', ?4) WHERE id = ?1",
                               "ttii", id, model, mib * MIB, base * MIB),
                     PRILORA_OK);
}

static const char *queue_job(struct store *store, const char *model, int64_t mib, int64_t base)
{
    const char *id = test_add_job_in(store, JOB_QUEUED);

    forecast(store, id, model, mib, base);
    return id;
}

/* What a free worker gets of jobs in state `from`: `id`, or nothing (NULL). */
static void expect_from(struct store *store, enum job_status from, uint64_t limit_mib,
                        const char *id)
{
    struct prilora_error err = {0};
    struct job job;
    bool found;

    if (queue_claim(store, from, limit_mib * (uint64_t)MIB, &job, &found, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    assert_int_equal(found, id != NULL);
    if (found)
        assert_string_equal(job.id, id);
    job_clear(&job);
}

static void expect_next(struct store *store, uint64_t limit_mib, const char *id)
{
    expect_from(store, JOB_QUEUED, limit_mib, id);
}

static void finish(struct store *store, const char *id)
{
    const struct job_end end = {.status = JOB_FAILED, .error_code = "t", .error_message = "t"};

    assert_int_equal(queue_finish(store, id, &end, NULL), PRILORA_OK);
}

/* ---- memory ---- */

static void what_fits_beside_what_runs_is_begun(void **state)
{
    const char *first = queue_job(*state, "a", 60, 20), *same = queue_job(*state, "a", 60, 20);
    const char *other = queue_job(*state, "b", 30, 10);

    expect_next(*state, 100, first);
    expect_next(*state, 100, same); /* 40 + 40 + 20: the base once */
    expect_next(*state, 129, NULL);
    expect_next(*state, 129, NULL);
    assert_int_equal(test_count_events(*state, other, "Waits for memory"), 1);
    assert_int_equal(
        test_count_events(*state, other,
                          "with what is running it would be about 130 MiB, and all jobs "
                          "together may have 129 MiB"),
        1);
    finish(*state, first);
    expect_next(*state, 100, other); /* 60 + 30 */
    expect_next(*state, 100, NULL);
    assert_int_equal(
        test_count_events(*state, first, "Waits") + test_count_events(*state, same, "Waits"), 0);
}

static void without_a_limit_or_a_forecast_none_waits(void **state)
{
    const char *large[2] = {queue_job(*state, "a", INT32_MAX, 1),
                            queue_job(*state, "b", INT32_MAX, 1)};
    const char *unknown;

    expect_next(*state, 0, large[0]);
    expect_next(*state, 0, large[1]);
    unknown = test_add_job_in(*state, JOB_QUEUED);
    finish(*state, large[0]);
    expect_next(*state, INT32_MAX, unknown);
    expect_next(*state, INT32_MAX, NULL);
}

/* It has a forecast as well, but only of the training. */
static void what_is_being_validated_takes_no_memory(void **state)
{
    const char *queued = queue_job(*state, "a", 60, 20), *validating = test_add_job(*state, 0);

    forecast(*state, validating, "b", 5000, 50);
    expect_from(*state, JOB_VALIDATING, 100, validating);
    expect_next(*state, 100, queued);
}

static void who_waits_for_memory_is_not_overtaken(void **state)
{
    const char *running = queue_job(*state, "a", 60, 0), *large = queue_job(*state, "a", 80, 0);
    const char *small = queue_job(*state, "a", 10, 0);

    expect_next(*state, 100, running);
    expect_next(*state, 100, NULL);
    assert_int_equal(test_count_events(*state, large, "Waits for memory"), 1);
    assert_int_equal(test_count_events(*state, small, "Waits"), 0);
    finish(*state, running);
    expect_next(*state, 100, large);
    expect_next(*state, 100, small);
}

static void what_a_lowered_limit_forbids_is_passed_over(void **state)
{
    const char *large = queue_job(*state, "a", 200, 0), *larger = queue_job(*state, "a", 300, 0);
    const char *small = queue_job(*state, "a", 10, 0);

    expect_next(*state, 100, small);
    for (int i = 0; i < 3; i++)
        expect_next(*state, 100, NULL);
    assert_int_equal(test_count_events(*state, large, "Waits until the limit is raised"), 1);
    assert_int_equal(
        test_count_events(*state, larger,
                          "the job needs about 300 MiB of memory, and all jobs together may "
                          "now have 100 MiB"),
        1);
    assert_int_equal(test_count_events(*state, small, "Waits"), 0);
    expect_next(*state, 200, NULL); /* 10 + 200 */
    finish(*state, small);
    expect_next(*state, 200, large);
    expect_next(*state, 500, larger);
}

/* ---- the daemon's deaths ---- */

static void die(struct store *store, size_t n_requeued)
{
    size_t n;

    assert_int_equal(queue_recover(store, &n, NULL), PRILORA_OK);
    assert_int_equal(n, n_requeued);
}

static void an_innocent_job_does_not_fail_with_a_guilty_one(void **state)
{
    const char *guilty = queue_job(*state, "a", 10, 0), *other = queue_job(*state, "a", 10, 0);

    for (int i = 0; i < 2; i++) {
        expect_next(*state, 100, guilty);
        expect_next(*state, 100, other);
        die(*state, 2);
    }
    expect_next(*state, 100, guilty);
    for (int i = 0; i < 2; i++)
        expect_next(*state, 100, NULL);
    assert_int_equal(test_count_events(*state, other, "Waits for what is being worked on (1)"), 1);
    die(*state, 0);
    assert_int_equal(test_job_status(*state, guilty), JOB_FAILED);
    assert_int_equal(test_job_status(*state, other), JOB_QUEUED);
    expect_next(*state, 100, other);
    finish(*state, other);
}

static void who_comes_later_waits_for_a_suspect_s_checkpoint(void **state)
{
    const char *suspect = queue_job(*state, "a", 10, 0), *later;

    for (int i = 0; i < 2; i++) {
        expect_next(*state, 100, suspect);
        die(*state, 1);
    }
    expect_next(*state, 100, suspect);
    later = test_add_job(*state, 0);
    expect_from(*state, JOB_VALIDATING, 100, NULL);
    assert_int_equal(test_count_events(*state, later, "Waits for what is being worked on (1)"), 1);
    assert_int_equal(queue_checkpointed(*state, suspect, NULL), PRILORA_OK);
    expect_from(*state, JOB_VALIDATING, 100, later);
    assert_int_equal(queue_validated(*state, later, "{}", "{}", NULL), PRILORA_OK);
    expect_next(*state, 100, later);
}

static void a_suspect_waits_for_others_to_end(void **state)
{
    const char *suspect = queue_job(*state, "a", 10, 0);
    const char *validating;

    for (int i = 0; i < 2; i++) {
        expect_next(*state, 100, suspect);
        die(*state, 1);
    }
    validating = test_add_job(*state, 0);
    expect_from(*state, JOB_VALIDATING, 100, validating);
    expect_next(*state, 100, NULL);
    assert_int_equal(queue_unclaim(*state, validating, NULL), PRILORA_OK);
    expect_next(*state, 100, suspect);
}

static void a_validation_that_kills_is_alone_as_well(void **state)
{
    const char *running = queue_job(*state, "a", 10, 0), *guilty = test_add_job(*state, 0);

    expect_next(*state, 100, running);
    for (int i = 0; i < 2; i++) {
        expect_from(*state, JOB_VALIDATING, 100, guilty);
        assert_int_equal(queue_checkpointed(*state, running, NULL), PRILORA_OK);
        die(*state, 1);
        expect_next(*state, 100, running);
    }
    expect_from(*state, JOB_VALIDATING, 100, NULL);
    finish(*state, running);
    expect_from(*state, JOB_VALIDATING, 100, guilty);
    die(*state, 0);
    assert_int_equal(test_job_status(*state, guilty), JOB_FAILED);
}

#define ON_STORE(test) cmocka_unit_test_setup_teardown(test, test_store_open, test_store_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(what_fits_beside_what_runs_is_begun),
        ON_STORE(without_a_limit_or_a_forecast_none_waits),
        ON_STORE(what_is_being_validated_takes_no_memory),
        ON_STORE(who_waits_for_memory_is_not_overtaken),
        ON_STORE(what_a_lowered_limit_forbids_is_passed_over),
        ON_STORE(an_innocent_job_does_not_fail_with_a_guilty_one),
        ON_STORE(who_comes_later_waits_for_a_suspect_s_checkpoint),
        ON_STORE(a_suspect_waits_for_others_to_end),
        ON_STORE(a_validation_that_kills_is_alone_as_well),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
