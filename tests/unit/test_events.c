/* Events and series: told once, in order, page by page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/events.h"
#include "daemon/queue.h"
#include "support/scratch.h"
#include "support/state.h"

static enum prilora_status add(struct store *store, const char *id, const char *key,
                               const char *message)
{
    return events_add(store, id, key, "info", "message", message, NULL, NULL);
}

/* Messages of one page, "a b c", after skipping the two that a new job has. */
static void expect_page(struct store *store, const char *id, const char *after, bool ascending,
                        size_t limit, const char *messages, bool more)
{
    const struct events_query query = {id, after, ascending, limit};
    struct event *events;
    char seen[200] = "";
    size_t n;
    bool has_more;

    assert_int_equal(events_list(store, &query, &events, &n, &has_more, NULL), PRILORA_OK);
    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(seen);

        snprintf(seen + used, sizeof seen - used, "%s%.1s", i ? " " : "", events[i].message);
    }
    assert_string_equal(seen, messages);
    assert_int_equal(has_more, more);
    events_free_list(events, n);
}

static void id_of(struct store *store, const char *id, size_t nth, char out[ID_SIZE])
{
    const struct events_query query = {id, NULL, true, 100};
    struct event *events;
    size_t n;
    bool more;

    assert_int_equal(events_list(store, &query, &events, &n, &more, NULL), PRILORA_OK);
    assert_true(nth < n);
    snprintf(out, ID_SIZE, "%s", events[nth].id);
    events_free_list(events, n);
}

static void pages_go_both_ways(void **state)
{
    struct store *store = *state;
    const char *id = test_add_job(store, 0), *other = test_add_job(store, 0);
    char after[ID_SIZE], foreign[ID_SIZE];
    struct event *events;
    size_t n;
    bool more;
    struct prilora_error err;

    /* "Created ..." and "Validating ..." are there already: C V */
    assert_int_equal(add(store, id, NULL, "1"), PRILORA_OK);
    assert_int_equal(add(store, other, NULL, "9"), PRILORA_OK);
    assert_int_equal(add(store, id, NULL, "2"), PRILORA_OK);
    assert_int_equal(add(store, id, NULL, "3"), PRILORA_OK);
    expect_page(store, id, NULL, true, 10, "C V 1 2 3", false);
    expect_page(store, id, NULL, false, 3, "3 2 1", true);
    id_of(store, id, 2, after);
    expect_page(store, id, after, false, 2, "V C", false);
    expect_page(store, id, after, true, 1, "2", true);
    expect_page(store, id, after, true, 2, "2 3", false);
    id_of(store, id, 4, after);
    expect_page(store, id, after, true, 2, "", false); /* a poller that has seen all */
    id_of(store, other, 0, foreign);
    assert_int_equal(events_list(store, &(struct events_query){id, foreign, true, 1}, &events, &n,
                                 &more, &err),
                     PRILORA_ENOENT);
}

static void an_event_of_one_key_is_told_once(void **state)
{
    struct store *store = *state;
    const char *a = test_add_job(store, 0), *b = test_add_job(store, 0);

    assert_int_equal(add(store, a, "step:40:pruning", "1"), PRILORA_OK);
    assert_int_equal(add(store, a, "step:40:pruning", "2"), PRILORA_OK);
    assert_int_equal(add(store, b, "step:40:pruning", "3"), PRILORA_OK);
    assert_int_equal(add(store, a, "step:80:pruning", "4"), PRILORA_OK);
    assert_int_equal(add(store, a, NULL, "5"), PRILORA_OK);
    assert_int_equal(add(store, a, NULL, "5"), PRILORA_OK);
    expect_page(store, a, NULL, true, 10, "C V 1 4 5 5", false);
    expect_page(store, b, NULL, true, 10, "C V 3", false);
}

static void an_event_has_all_that_was_said(void **state)
{
    const char *id = test_add_job(*state, 0);
    struct event *events;
    size_t n;
    bool more;

    assert_int_equal(events_add(*state, id, "k", "warn", "metrics", "text", "{\"a\":1}", NULL),
                     PRILORA_OK);
    assert_int_equal(events_list(*state, &(struct events_query){id, NULL, false, 1}, &events, &n,
                                 &more, NULL),
                     PRILORA_OK);
    assert_int_equal(n, 1);
    assert_int_equal(strncmp(events[0].id, "ftevent-", 8), 0);
    assert_string_equal(events[0].level, "warn");
    assert_string_equal(events[0].type, "metrics");
    assert_string_equal(events[0].message, "text");
    assert_string_equal(events[0].data, "{\"a\":1}");
    assert_true(events[0].created_at > 1700000000);
    events_free_list(events, n);
}

static void an_event_needs_its_job(void **state)
{
    struct prilora_error err;

    assert_int_equal(events_add(*state, "ftjob-none", NULL, "info", "message", "x", NULL, &err),
                     PRILORA_EIO);
    assert_string_equal(err.message, "cannot write an event: FOREIGN KEY constraint failed");
}

/* ---- series ---- */

static void expect_series(struct store *store, const char *id, int64_t after, bool ascending,
                          size_t limit, const char *expected, bool more)
{
    struct series_row *rows;
    char seen[400] = "";
    size_t n;
    bool has_more;

    assert_int_equal(series_list(store, SERIES_METRICS, id, after, ascending, limit, &rows, &n,
                                 &has_more, NULL),
                     PRILORA_OK);
    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(seen);

        snprintf(seen + used, sizeof seen - used, "%s%llu%s", i ? " " : "",
                 (unsigned long long)rows[i].step, rows[i].json);
    }
    assert_string_equal(seen, expected);
    assert_int_equal(has_more, more);
    series_free_list(rows, n);
}

static void rows_are_by_step_and_replaced(void **state)
{
    struct store *store = *state;
    const char *id = test_add_job(store, 0);

    assert_int_equal(series_put(store, SERIES_METRICS, id, 20, "b", NULL), PRILORA_OK);
    assert_int_equal(series_put(store, SERIES_METRICS, id, 3, "a", NULL), PRILORA_OK);
    assert_int_equal(series_put(store, SERIES_LAYERS, id, 3, "other", NULL), PRILORA_OK);
    assert_int_equal(series_put(store, SERIES_METRICS, id, 100, "c", NULL), PRILORA_OK);
    assert_int_equal(series_put(store, SERIES_METRICS, id, 20, "B", NULL), PRILORA_OK);
    expect_series(store, id, -1, true, 10, "3a 20B 100c", false);
    expect_series(store, id, 3, true, 1, "20B", true);
    expect_series(store, id, -1, false, 2, "100c 20B", true);
    expect_series(store, id, 20, false, 2, "3a", false);
    expect_series(store, id, 100, true, 2, "", false);
    expect_series(store, id, 0, false, 2, "", false);
}

static void merged_rows_keep_what_they_had(void **state)
{
    struct store *store = *state;
    const char *id = test_add_job(store, 0);

    assert_int_equal(series_merge(store, SERIES_METRICS, id, 4,
                                  "{\"step\":4,\"train_loss\":0.693147182}", NULL),
                     PRILORA_OK);
    assert_int_equal(series_merge(store, SERIES_METRICS, id, 4, "{\"step\":4,\"valid_loss\":0.5}",
                                  NULL),
                     PRILORA_OK);
    expect_series(store, id, -1, true, 10,
                  "4{\"step\":4,\"train_loss\":0.693147182,\"valid_loss\":0.5}", false);
}

/* ---- telling ---- */

static char told[ID_SIZE];

static void remember(void *context, const char *job_id)
{
    ++*(int *)context;
    snprintf(told, sizeof told, "%s", job_id);
}

static void a_subscriber_is_told_until_it_leaves(void **state)
{
    struct job job;
    int n = 0;
    const char *id = test_add_job(*state, 0);

    events_subscribe(remember, &n);
    assert_int_equal(queue_cancel(*state, id, &job, NULL), PRILORA_OK);
    job_clear(&job);
    assert_int_equal(n, 1);
    assert_string_equal(told, id);
    assert_int_equal(queue_cancel(*state, id, &job, NULL), PRILORA_EMISMATCH);
    assert_int_equal(n, 1); /* nothing was written */
    events_subscribe(NULL, NULL);
    test_add_job(*state, 0);
    assert_int_equal(n, 1);
}

#define ON_STORE(test) cmocka_unit_test_setup_teardown(test, test_store_open, test_store_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(pages_go_both_ways),
        ON_STORE(an_event_of_one_key_is_told_once),
        ON_STORE(an_event_has_all_that_was_said),
        ON_STORE(an_event_needs_its_job),
        ON_STORE(rows_are_by_step_and_replaced),
        ON_STORE(merged_rows_keep_what_they_had),
        ON_STORE(a_subscriber_is_told_until_it_leaves),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
