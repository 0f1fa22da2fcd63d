/* test_stream_text.c - the ids of live streams, and what one batch of messages holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/batch.h"
#include "api/position.h"
#include "daemon/events.h"
#include "support/scratch.h"
#include "support/state.h"

/* ---- ids ---- */

static void an_id_comes_back_as_the_position_that_it_names(void **state)
{
    static const struct position rows[] = {
        {0, 0, 0, false},
        {1, 0, 0, true},
        {123456, 789, 40, false},
        {INT64_MAX, INT64_MAX, INT64_MAX, true},
    };
    struct position seen;
    char id[POSITION_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        position_format(id, "ftjob-a", &rows[i]);
        assert_int_equal(strspn(id, "0123456789abcdef-"),
                         strlen(id)); /* needs no escape in a URL */
        assert_true(position_parse(&seen, "ftjob-a", id));
        assert_int_equal(seen.event, rows[i].event);
        assert_int_equal(seen.metrics, rows[i].metrics);
        assert_int_equal(seen.layers, rows[i].layers);
        assert_int_equal(seen.ended, rows[i].ended);
        assert_false(position_parse(&seen, "ftjob-b", id));
    }
}

static void an_altered_id_is_refused(void **state)
{
    const struct position position = {0x1234, 0x567, 0x89, false};
    struct position seen;
    char id[POSITION_SIZE], other[POSITION_SIZE + 2];

    (void)state;
    position_format(id, "ftjob-a", &position);
    for (size_t i = 0; id[i]; i++) {
        memcpy(other, id, sizeof id);
        other[i] = id[i] == '1' ? '2' : '1';
        assert_false(position_parse(&seen, "ftjob-a", other));
        memmove(other + i, id + i + 1, strlen(id + i)); /* without it */
        assert_false(position_parse(&seen, "ftjob-a", other));
    }
    snprintf(other, sizeof other, "%s0", id);
    assert_false(position_parse(&seen, "ftjob-a", other));
    snprintf(other, sizeof other, "0%s", id); /* the same number, another text */
    assert_false(position_parse(&seen, "ftjob-a", other));
    assert_false(position_parse(&seen, "ftjob-a", ""));
}

/* ---- batches ---- */

/* *cursor moves on. */
static struct batch *read_next(struct store *store, const char *id, struct cursor *cursor)
{
    struct api api = {.store = store};
    struct batch *batch;
    struct prilora_error err;

    if (batch_read(&batch, &api, id, cursor, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    *cursor = batch->to;
    return batch;
}

static size_t count(const struct batch *batch, const char *text)
{
    size_t n = 0;

    for (const char *at = batch->text; (at = strstr(at, text)); at++)
        n++;
    return n;
}

static void put_metrics(struct store *store, const char *id, uint64_t step, const char *json)
{
    assert_int_equal(series_merge(store, SERIES_METRICS, id, step, json, NULL), PRILORA_OK);
}

static void what_was_told_is_not_told_again(void **state)
{
    struct store *store = *state;
    const char *id = test_add_job_in(store, JOB_RUNNING);
    struct cursor cursor = {0};
    struct batch *batch = read_next(store, id, &cursor);

    assert_int_equal(count(batch, "event: job\n"), 1);
    assert_true(count(batch, "event: message\n") >= 3); /* created, validating, started */
    assert_int_equal(count(batch, "event: end\n"), 0);
    assert_false(batch->has_more);
    batch_release(batch);

    batch = read_next(store, id, &cursor);
    assert_int_equal(batch->n, 0);
    batch_release(batch);

    put_metrics(store, id, 1, "{\"step\":1,\"train_loss\":0.5}");
    batch = read_next(store, id, &cursor);
    assert_int_equal(count(batch, "event: "), 1);
    assert_int_equal(count(batch, "event: metrics\n"), 1);
    assert_int_equal(count(batch, "\"train_loss\":0.5"), 1);
    batch_release(batch);
}

/* The report writes a step's row, and its evaluation later into the same row. */
static void a_step_is_shown_again_with_its_evaluation(void **state)
{
    struct store *store = *state;
    const char *id = test_add_job_in(store, JOB_RUNNING);
    struct cursor cursor = {0};
    struct batch *batch;

    put_metrics(store, id, 7, "{\"step\":7,\"train_loss\":0.5}");
    put_metrics(store, id, 8, "{\"step\":8,\"train_loss\":0.25}");
    batch_release(read_next(store, id, &cursor));
    put_metrics(store, id, 8, "{\"step\":8,\"valid_loss\":0.125}");
    assert_int_equal(events_add(store, id, "step:8:evaluation", "info", "metrics", "Step 8",
                                "{\"step\":8,\"valid_loss\":0.125}", NULL),
                     PRILORA_OK);
    batch = read_next(store, id, &cursor);
    assert_int_equal(count(batch, "event: metrics\n"), 1);
    assert_int_equal(count(batch, "event: message\n"), 1);
    assert_int_equal(count(batch, "\"train_loss\":0.25"), 1);
    assert_int_equal(count(batch, "\"valid_loss\":0.125"), 2); /* the row and the event */
    batch_release(batch);
}

/* As it was exported, under the step of the last pruning. */
static void layers_that_were_written_again_are_shown_again(void **state)
{
    struct store *store = *state;
    const char *id = test_add_job_in(store, JOB_RUNNING);
    struct cursor cursor = {0};
    struct batch *batch;

    for (uint64_t step = 4; step <= 8; step += 4)
        assert_int_equal(series_put(store, SERIES_LAYERS, id, step, "{\"layers\":[1]}", NULL),
                         PRILORA_OK);
    for (batch = read_next(store, id, &cursor); batch->has_more;
         batch = read_next(store, id, &cursor))
        batch_release(batch);
    batch_release(batch);
    assert_int_equal(series_put(store, SERIES_LAYERS, id, 8, "{\"layers\":[2]}", NULL), PRILORA_OK);
    batch = read_next(store, id, &cursor);
    assert_int_equal(count(batch, "event: "), 1);
    assert_int_equal(count(batch, "\"step\":8"), 1);
    assert_int_equal(count(batch, "\"layers\":[2]"), 1);
    batch_release(batch);
}

static void a_long_story_comes_in_pages_and_then_the_end(void **state)
{
    struct store *store = *state;
    const char *id = test_add_job_in(store, JOB_SUCCEEDED);
    struct cursor cursor = {0};
    size_t n_metrics = 0, n_ends = 0, n_batches = 0;
    bool more = true;

    for (uint64_t step = 1; step <= 1000; step++)
        put_metrics(store, id, step, "{\"train_loss\":0.5}");
    while (more) {
        struct batch *batch = read_next(store, id, &cursor);

        assert_int_equal(n_ends, 0);
        n_metrics += count(batch, "event: metrics\n");
        n_ends += count(batch, "event: end\n");
        n_batches++;
        more = batch->has_more;
        assert_true(batch->n < 200000);
        batch_release(batch);
    }
    assert_int_equal(n_metrics, 1000);
    assert_int_equal(n_ends, 1);
    assert_true(n_batches > 2);
    assert_true(cursor.position.ended);
}

static void a_job_that_is_gone_ends_its_stream(void **state)
{
    struct cursor cursor = {0};
    struct batch *batch = read_next(*state, "ftjob-gone", &cursor);

    assert_int_equal(count(batch, "event: end\n"), 1);
    assert_int_equal(count(batch, "\"status\":\"deleted\""), 1);
    assert_true(cursor.position.ended);
    batch_release(batch);
}

static void batches_are_for_those_who_stand_where_they_begin(void **state)
{
    struct store *store = *state;
    const char *id = test_add_job_in(store, JOB_QUEUED);
    struct cursor start = {0}, cursor = start;
    struct batch *batch = read_next(store, id, &cursor);

    assert_true(batch_follows(batch, &start));
    assert_false(batch_follows(batch, &cursor));
    cursor = start;
    cursor.position.layers = 1;
    assert_false(batch_follows(batch, &cursor));
    cursor = start;
    snprintf(cursor.job, sizeof cursor.job, "\"x\"");
    assert_false(batch_follows(batch, &cursor));
    batch_release(batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_comes_back_as_the_position_that_it_names),
        cmocka_unit_test(an_altered_id_is_refused),
        cmocka_unit_test_setup_teardown(what_was_told_is_not_told_again, test_store_open,
                                        test_store_close),
        cmocka_unit_test_setup_teardown(a_step_is_shown_again_with_its_evaluation, test_store_open,
                                        test_store_close),
        cmocka_unit_test_setup_teardown(layers_that_were_written_again_are_shown_again,
                                        test_store_open, test_store_close),
        cmocka_unit_test_setup_teardown(a_long_story_comes_in_pages_and_then_the_end,
                                        test_store_open, test_store_close),
        cmocka_unit_test_setup_teardown(a_job_that_is_gone_ends_its_stream, test_store_open,
                                        test_store_close),
        cmocka_unit_test_setup_teardown(batches_are_for_those_who_stand_where_they_begin,
                                        test_store_open, test_store_close),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
