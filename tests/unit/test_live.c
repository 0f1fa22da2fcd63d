/* What running jobs publish, and who may stop them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/live.h"

static void a_job_is_seen_while_it_runs(void **state)
{
    const struct job_progress progress = {.step = 7, .total_steps = 9, .loss = 0.5};
    struct job_progress seen;
    struct prilora_layer *layers = NULL;
    uint64_t step;

    (void)state;
    assert_false(live_get_progress("ftjob-a", &seen));
    assert_int_equal(live_begin("ftjob-a", NULL, NULL), PRILORA_OK);
    live_progress("ftjob-a", &progress);
    live_progress("ftjob-b", &progress); /* not running: nothing happens */
    assert_true(live_get_progress("ftjob-a", &seen));
    assert_int_equal(seen.step, 7);
    assert_int_equal(seen.total_steps, 9);
    assert_true(seen.loss == 0.5);
    assert_false(live_get_progress("ftjob-b", &seen));
    assert_int_equal(live_get_layers("ftjob-a", &layers, &step), 0); /* its run is not open yet */
    assert_null(layers);
    live_end("ftjob-a");
    live_end("ftjob-a"); /* twice does no harm */
    assert_false(live_get_progress("ftjob-a", &seen));
}

static void stops_reach_the_job_that_is_meant(void **state)
{
    (void)state;
    assert_false(live_stop("ftjob-a"));
    assert_null(live_stop_flag("ftjob-a"));
    live_begin("ftjob-a", NULL, NULL);
    live_begin("ftjob-b", NULL, NULL);
    assert_int_equal(atomic_load(live_stop_flag("ftjob-a")), PRILORA_GO);
    assert_true(live_stop("ftjob-a"));
    assert_int_equal(atomic_load(live_stop_flag("ftjob-a")), PRILORA_STOP);
    assert_int_equal(atomic_load(live_stop_flag("ftjob-b")), PRILORA_GO);
    live_stop_all();
    assert_int_equal(atomic_load(live_stop_flag("ftjob-b")), PRILORA_STOP);
    live_end("ftjob-a");
    live_end("ftjob-b");
}

#define N_READERS 3
#define N_ROUNDS  200

static atomic_bool done;

/* Both numbers of a progress are always of the same moment. */
static void *read_progress(void *wrong)
{
    struct job_progress seen;

    while (!atomic_load(&done))
        if (live_get_progress("ftjob-a", &seen) && seen.step != seen.n_tokens)
            atomic_store((atomic_bool *)wrong, true);
    return NULL;
}

static void readers_see_no_half_written_progress(void **state)
{
    pthread_t readers[N_READERS];
    atomic_bool wrong = false;

    (void)state;
    atomic_store(&done, false);
    for (int i = 0; i < N_READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_progress, &wrong), 0);
    for (uint64_t round = 0; round < N_ROUNDS; round++) {
        live_begin("ftjob-a", NULL, NULL);
        for (uint64_t i = 0; i < 20; i++)
            live_progress("ftjob-a", &(struct job_progress){.step = i, .n_tokens = i});
        live_end("ftjob-a");
    }
    atomic_store(&done, true);
    for (int i = 0; i < N_READERS; i++)
        pthread_join(readers[i], NULL);
    assert_false(atomic_load(&wrong));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_seen_while_it_runs),
        cmocka_unit_test(stops_reach_the_job_that_is_meant),
        cmocka_unit_test(readers_see_no_half_written_progress),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
