/* test_pulse.c - who stands still, and who only has nothing to do; and what the library counts. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/pulse.h"
#include "support/scratch.h"
#include "support/training.h"

static struct pulse_look look(double elapsed_s, double patience_s)
{
    struct pulse_look seen;

    pulse_look(&seen, elapsed_s, patience_s);
    return seen;
}

static void only_who_does_something_can_stand_still(void **state)
{
    (void)state;
    look(1, 10);
    assert_int_equal(look(1000, 10).n_stalled, 0); /* nobody has begun */
    pulse_begin("a test");
    assert_int_equal(look(1000, 10).n_moved, 1);
    assert_int_equal(look(6, 10).n_stalled, 0);
    assert_int_equal(look(5, 10).n_stalled, 1);
    assert_string_equal(look(1, 10).stalled, "a test");
    assert_int_equal(look(1, 0).n_stalled, 0); /* endless patience */
    pulse_beat();
    assert_int_equal(look(1000, 10).n_stalled, 0);
    pulse_end();
    look(1, 10);
    assert_int_equal(look(1000, 10).n_stalled, 0);
}

static void *begin_and_leave(void *unused)
{
    (void)unused;
    pulse_begin("a thread");
    return NULL;
}

static void a_thread_that_has_ended_is_not_waited_for(void **state)
{
    (void)state;
    for (int i = 0; i < PULSE_MAX_THREADS + 100; i++) { /* and its place is free again */
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, begin_and_leave, NULL), 0);
        pthread_join(thread, NULL);
    }
    look(1, 10);
    assert_int_equal(look(1000, 10).n_stalled, 0);
}

struct seen {
    atomic_uint_least64_t count;
    uint64_t at_step[3];
};

static void note_step(void *context, const struct prilora_event *event)
{
    struct seen *seen = context;

    if (event->type == PRILORA_EVENT_STEP && event->step >= 1 && event->step <= 2)
        seen->at_step[event->step] = atomic_load(&seen->count);
}

/* Two layers, forward and backward: at least a beat for each on the way, with threads that are not
 * the caller's as well. */
static void training_counts_many_times_within_a_step(void **state)
{
    struct seen seen = {0};
    struct prilora_run_options options = {.n_threads = 3, .on_event = note_step, .context = &seen};
    struct prilora_spec *spec = test_training_spec("\"max_steps\": 2");
    struct prilora_run *run = test_training_run(spec, test_training.valid, &options);
    struct prilora_error err;

    (void)state;
    prilora_pulse(&seen.count);
    assert_int_equal(prilora_run_train(run, &err), PRILORA_OK);
    prilora_pulse(NULL);
    assert_true(seen.at_step[1] >= 4);
    assert_true(seen.at_step[2] - seen.at_step[1] >= 4);
    prilora_run_close(run);
    prilora_spec_free(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_who_does_something_can_stand_still),
        cmocka_unit_test(a_thread_that_has_ended_is_not_waited_for),
        cmocka_unit_test(training_counts_many_times_within_a_step),
    };

    return cmocka_run_group_tests(tests, test_training_open, test_training_close);
}
