/*
 * test_run.c - runs from opening to export: the same bytes whatever the threads and however often
 * they are stopped, and what they report on the way.
 */
#include <dlfcn.h>
#include <execinfo.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "support/close.h"
#include "support/scratch.h"
#include "support/training.h"
#include "train/run.h"

#define TOTAL_STEPS 10 /* of the specification in training.c: 40 examples, batches of 8, twice */
#define MOST_EVENTS 200

/* What a run told, and when it is to be stopped. */
struct diary {
    struct prilora_event events[MOST_EVENTS];
    size_t n;
    char warnings[4][256];
    size_t n_warnings;
    uint64_t stop_at; /* step whose event raises the flag; 0: none */
    atomic_int stop;
    struct prilora_run *run; /* to ask for snapshots */
    size_t snapshot_nonzero; /* at the last pruning */
};

static void note(void *context, const struct prilora_event *event)
{
    struct diary *diary = context;

    if (diary->n < MOST_EVENTS)
        diary->events[diary->n++] = *event;
    if (event->type == PRILORA_EVENT_WARNING && diary->n_warnings < 4)
        snprintf(diary->warnings[diary->n_warnings++], sizeof diary->warnings[0], "%s",
                 event->message);
    if (event->type == PRILORA_EVENT_STEP && event->step == diary->stop_at)
        atomic_store(&diary->stop, PRILORA_STOP);
    if (event->type == PRILORA_EVENT_PRUNING && diary->run) {
        struct prilora_layer layers[64];
        uint64_t step;
        size_t n = prilora_run_snapshot(diary->run, layers, 64, &step);

        assert_int_equal(n, 36);
        assert_int_equal(step, event->step);
        diary->snapshot_nonzero = 0;
        for (size_t i = 0; i < n; i++)
            diary->snapshot_nonzero += layers[i].n_nonzero;
    }
}

static struct prilora_run_options options_for(struct diary *diary, const char *folder,
                                              size_t n_threads)
{
    return (struct prilora_run_options){.folder = folder,
                                        .n_threads = n_threads,
                                        .on_event = note,
                                        .context = diary,
                                        .stop = &diary->stop};
}

static size_t count(const struct diary *diary, enum prilora_event_type type)
{
    size_t n = 0;

    for (size_t i = 0; i < diary->n; i++)
        n += diary->events[i].type == type;
    return n;
}

static const struct prilora_event *last(const struct diary *diary, enum prilora_event_type type)
{
    for (size_t i = diary->n; i > 0; i--) {
        if (diary->events[i - 1].type == type)
            return &diary->events[i - 1];
    }
    fail_msg("no event of type %d", (int)type);
    return NULL;
}

/* A whole run without interruption: its exported bytes. */
static char *straight(const struct prilora_spec *spec, size_t n_threads, struct diary *diary,
                      size_t *size)
{
    struct prilora_run_options options = options_for(diary, NULL, n_threads);
    struct prilora_run *run = test_training_run(spec, test_training.valid, &options);
    struct prilora_error err;
    char *bytes;

    diary->run = run;
    if (prilora_run_train(run, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    bytes = test_training_export(run, "straight", size);
    prilora_run_close(run);
    return bytes;
}

static void threads_do_not_change_a_bit(void **state)
{
    struct prilora_spec *spec = test_training_spec("");
    struct diary one = {0}, three = {0};
    size_t size, other_size;
    char *bytes = straight(spec, 1, &one, &size), *other = straight(spec, 3, &three, &other_size);

    (void)state;
    assert_int_equal(size, other_size);
    assert_memory_equal(bytes, other, size);
    assert_int_equal(one.n, three.n);
    for (size_t i = 0; i < one.n; i++) {
        assert_int_equal(one.events[i].type, three.events[i].type);
        assert_true(one.events[i].loss == three.events[i].loss);
        assert_true(one.events[i].grad_norm == three.events[i].grad_norm);
    }
    free(bytes);
    free(other);
    prilora_spec_free(spec);
}

/* A run that is done: what it trained, without the record of its settings that an export has. */
static struct prilora_run *trained(const struct prilora_spec *spec, struct diary *diary)
{
    struct prilora_run_options options = options_for(diary, NULL, 2);
    struct prilora_run *run = test_training_run(spec, test_training.valid, &options);
    struct prilora_error err;

    if (prilora_run_train(run, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    return run;
}

static void recomputing_changes_memory_but_not_a_bit(void **state)
{
    struct prilora_spec *keeping = test_training_spec(""),
                        *again = test_training_spec("\"recompute\": true");
    struct prilora_forecast most, least;
    struct diary first = {0}, second = {0};
    struct prilora_run *one = trained(keeping, &first), *other = trained(again, &second);
    struct prilora_error err;

    (void)state;
    assert_memory_equal(one->params, other->params, one->engine->layout->size * sizeof(pl_real));
    assert_memory_equal(one->best, other->best, one->engine->layout->size * sizeof(pl_real));
    assert_int_equal(first.n, second.n);
    for (size_t i = 0; i < first.n; i++)
        assert_true(first.events[i].loss == second.events[i].loss);
    prilora_run_close(one);
    prilora_run_close(other);
    assert_int_equal(prilora_run_forecast(&most, test_training.base, keeping, test_training.train,
                                          NULL, &err),
                     PRILORA_OK);
    assert_int_equal(prilora_run_forecast(&least, test_training.base, again, test_training.train,
                                          NULL, &err),
                     PRILORA_OK);
    assert_true(least.thread_bytes < most.thread_bytes);
    assert_true(least.flops > most.flops && least.flops < 1.5 * most.flops);
    prilora_spec_free(keeping);
    prilora_spec_free(again);
}

/* Runs on with a fresh object per attempt, as after a restart, until it is done; then exports. */
static char *go_on(const struct prilora_spec *spec, const char *folder, size_t *size)
{
    struct diary diary = {0};
    struct prilora_run_options options = options_for(&diary, folder, 2);
    struct prilora_run *run = test_training_run(spec, test_training.valid, &options);
    struct prilora_error err;
    char *bytes;

    if (prilora_run_train(run, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    bytes = test_training_export(run, "resumed", size);
    prilora_run_close(run);
    return bytes;
}

static void a_run_stopped_after_any_step_ends_with_the_same_bytes(void **state)
{
    struct prilora_spec *spec = test_training_spec("\"prune_reset_moments\": true");
    struct diary whole = {0};
    size_t size, other_size;
    char *bytes = straight(spec, 1, &whole, &size);

    (void)state;
    /* 3, 6, 9 are prunings; at 5 and 10 the evaluation is what the flag interrupts */
    for (uint64_t stop = 1; stop <= TOTAL_STEPS; stop++) {
        struct diary diary = {.stop_at = stop};
        char folder[512], *other;
        struct prilora_run_options options;
        struct prilora_run *run;
        struct prilora_error err;

        snprintf(folder, sizeof folder, "%s-%d", test_scratch_path("stopped"), (int)stop);
        options = options_for(&diary, folder, 1);
        run = test_training_run(spec, test_training.valid, &options);
        assert_int_equal(prilora_run_train(run, &err), PRILORA_ESTOPPED);
        assert_int_equal(prilora_run_step(run), stop);
        assert_int_equal(last(&diary, PRILORA_EVENT_CHECKPOINT)->step, stop);
        prilora_run_close(run);
        other = go_on(spec, folder, &other_size);
        assert_int_equal(size, other_size);
        assert_memory_equal(bytes, other, size);
        free(other);
    }
    free(bytes);
    prilora_spec_free(spec);
}

/* Copies every checkpoint as it is written: what a power cut right after it leaves. */
struct copies {
    char folder[512];
    size_t n;
};

static void copy_checkpoint(void *context, const struct prilora_event *event)
{
    struct copies *copies = context;
    char path[600], name[64], *bytes;
    size_t size;

    if (event->type != PRILORA_EVENT_CHECKPOINT)
        return;
    snprintf(path, sizeof path, "%s/checkpoint", copies->folder);
    bytes = test_file(path, &size);
    snprintf(name, sizeof name, "copy-%zu", copies->n++);
    assert_int_equal(pl_file_make_folder(test_scratch_path(name), NULL), PRILORA_OK);
    snprintf(name, sizeof name, "copy-%zu/checkpoint", copies->n - 1);
    test_scratch_write(name, bytes, size);
    free(bytes);
}

static void every_checkpoint_leads_to_the_same_bytes(void **state)
{
    struct prilora_spec *spec = test_training_spec("\"checkpoint_steps\": 2, \"eval_steps\": 3, "
                                                   "\"prune_regrow\": false");
    struct diary whole = {0};
    struct copies copies = {.n = 0};
    struct prilora_run_options options = {
        .folder = copies.folder, .n_threads = 1, .on_event = copy_checkpoint, .context = &copies};
    size_t size, other_size;
    char *bytes = straight(spec, 1, &whole, &size);
    struct prilora_run *run;
    struct prilora_error err;

    (void)state;
    snprintf(copies.folder, sizeof copies.folder, "%s", test_scratch_path("copied"));
    run = test_training_run(spec, test_training.valid, &options);
    assert_int_equal(prilora_run_train(run, &err), PRILORA_OK);
    prilora_run_close(run);
    assert_int_equal(copies.n, TOTAL_STEPS / 2);
    for (size_t i = 0; i < copies.n; i++) {
        char name[32], *other;

        snprintf(name, sizeof name, "copy-%zu", i);
        other = go_on(spec, test_scratch_path(name), &other_size);
        assert_int_equal(size, other_size);
        assert_memory_equal(bytes, other, size);
        free(other);
    }
    free(bytes);
    prilora_spec_free(spec);
}

static void events_tell_what_happened_in_order(void **state)
{
    struct prilora_spec *spec = test_training_spec("");
    struct diary diary = {0};
    uint64_t tokens = 0, step = 0;
    size_t size;

    (void)state;
    free(straight(spec, 2, &diary, &size));
    assert_int_equal(count(&diary, PRILORA_EVENT_STEP), TOTAL_STEPS);
    assert_int_equal(count(&diary, PRILORA_EVENT_EVALUATION), 2);
    assert_int_equal(count(&diary, PRILORA_EVENT_PRUNING), 3);
    for (size_t i = 0; i < diary.n; i++) {
        const struct prilora_event *event = &diary.events[i];

        assert_int_equal(event->total_steps, TOTAL_STEPS);
        if (event->type == PRILORA_EVENT_STEP) {
            assert_int_equal(event->step, ++step);
            test_close(event->epoch, (double)step / 5, 1e-12);
            assert_true(event->n_tokens > tokens);
            tokens = event->n_tokens;
            assert_true(event->loss > 0 && event->loss < 5);
            assert_true(event->tokens_per_second > 0 && event->seconds_left >= 0);
        }
        if (event->type == PRILORA_EVENT_PRUNING)
            assert_int_equal(event->step % 3, 0);
        if (event->type == PRILORA_EVENT_EVALUATION)
            assert_int_equal(event->step % 5, 0);
    }
    assert_int_equal(tokens, 2 * test_training.train->starts[40]);
    prilora_spec_free(spec);
}

/* Ranks 2 2 3 3 4 4 (2 + 2 l / 5 rounded) on 5 maps of 128 inputs and one of 512 each. */
static void pruning_halves_every_row_and_the_snapshot_shows_it(void **state)
{
    struct prilora_spec *spec = test_training_spec("");
    struct diary diary = {0};
    const struct prilora_event *event;
    size_t size;

    (void)state;
    free(straight(spec, 2, &diary, &size));
    event = last(&diary, PRILORA_EVENT_PRUNING);
    assert_int_equal(event->n_prunable, (2 + 2 + 3 + 3 + 4 + 4) * (5 * 128 + 512));
    assert_int_equal(event->n_nonzero, event->n_prunable / 2);
    assert_int_equal(diary.snapshot_nonzero, event->n_nonzero);
    assert_true(event->n_pruned > 0 && event->n_pruned <= event->n_prunable / 2);
    prilora_spec_free(spec);
}

/* |s B A| by multiplying it out, against the snapshot's way through two small products. */
static void the_snapshot_s_norms_are_those_of_the_matrices(void **state)
{
    struct prilora_spec *spec = test_training_spec("");
    struct diary diary = {0};
    struct prilora_run_options options = options_for(&diary, NULL, 1);
    struct prilora_run *run = test_training_run(spec, NULL, &options);
    struct prilora_layer layers[36];
    struct prilora_error err;
    uint64_t step;

    (void)state;
    assert_int_equal(prilora_run_train(run, &err), PRILORA_OK);
    assert_int_equal(prilora_run_snapshot(run, layers, 36, &step), 36);
    assert_int_equal(step, TOTAL_STEPS);
    for (size_t map = 0; map < 36; map += 7) {
        const struct pl_lora *lora = &run->engine->adapter->maps[map];
        const struct prilora_layer *l = &layers[map];
        const pl_real *a = run->params + lora->a, *b = run->params + lora->b;
        double update = 0, a_square = 0;

        for (size_t o = 0; o < l->out_features; o++) {
            for (size_t i = 0; i < l->in_features; i++) {
                double sum = 0;

                for (size_t k = 0; k < l->rank; k++)
                    sum += (double)b[o * l->rank + k] * (double)a[k * l->in_features + i];
                update += sum * sum;
            }
        }
        for (size_t i = 0; i < l->rank * l->in_features; i++)
            a_square += (double)a[i] * (double)a[i];
        /* float sums of a few hundred products: some 1e-6 relative, the update's through a
         * product of two */
        test_close(l->a_norm / sqrt(a_square), 1, 1e-5);
        test_close(l->update_norm / (l->scale * sqrt(update)), 1, 1e-4);
        assert_int_equal(l->n_prunings, 3);
        assert_int_equal(l->last_pruning_step, 9);
        assert_true(l->input_min >= 0 && l->input_min <= l->input_mean);
        assert_true(l->input_mean <= l->input_max && l->input_max > 0);
    }
    prilora_run_close(run);
    prilora_spec_free(spec);
}

static void the_reported_metrics_are_those_of_the_exported_bytes(void **state)
{
    struct prilora_spec *spec = test_training_spec("");
    struct diary diary = {0};
    struct prilora_run_options options = options_for(&diary, NULL, 2);
    struct prilora_run *run = test_training_run(spec, test_training.valid, &options);
    struct prilora_value values[PRILORA_MAX_VALUES];
    struct prilora_result result;
    struct prilora_error err;
    const struct prilora_event *best = NULL;
    size_t n;

    (void)state;
    assert_int_equal(prilora_run_train(run, &err), PRILORA_OK);
    assert_int_equal(prilora_run_export(run, test_scratch_path("adapter"), "base", &result, &err),
                     PRILORA_OK);
    for (size_t i = 0; i < diary.n; i++) {
        if (diary.events[i].type == PRILORA_EVENT_EVALUATION && diary.events[i].is_best)
            best = &diary.events[i];
    }
    assert_non_null(best);
    assert_int_equal(best->step, result.best_step);
    if (prilora_adapter_evaluate(test_training.base, test_scratch_path("adapter"),
                                 test_training.valid, 2, values, &n, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    assert_int_equal(n, result.n_values);
    assert_int_equal(n, best->n_values);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(values[i].name, result.values[i].name);
        /* cut into other shares than the run's evaluations: float sums in another order move
         * the loss by some 1e-7, and what counts examples not at all */
        test_close(values[i].value, result.values[i].value, 1e-6);
        assert_true(best->values[i].value == result.values[i].value);
    }
    assert_int_equal(result.n_nonzero, result.n_prunable / 2);
    prilora_run_close(run);
    prilora_spec_free(spec);
}

static void a_stopped_run_can_be_exported(void **state)
{
    struct prilora_spec *spec = test_training_spec("");
    struct diary diary = {.stop_at = 7};
    struct prilora_run_options options = options_for(&diary, NULL, 1);
    struct prilora_run *run = test_training_run(spec, test_training.valid, &options);
    struct prilora_result result;
    struct prilora_error err;

    (void)state;
    assert_int_equal(prilora_run_train(run, &err), PRILORA_ESTOPPED);
    assert_string_equal(err.message, "stopped after step 7 of 10");
    assert_int_equal(prilora_run_export(run, test_scratch_path("early"), "base", &result, &err),
                     PRILORA_OK);
    assert_int_equal(result.best_step, 5);
    prilora_run_close(run);
    prilora_spec_free(spec);
}

/* A rate of 1e-9 changes no answer: after the first, no evaluation is better. */
static void training_stops_early_when_nothing_gets_better(void **state)
{
    struct prilora_spec *spec = test_training_spec(
        "\"learning_rate\": 1e-9, \"eval_steps\": 1, \"early_stopping_patience\": 2");
    struct diary diary = {0};
    struct prilora_run_options options = options_for(&diary, NULL, 1);
    struct prilora_run *run = test_training_run(spec, test_training.valid, &options);
    struct prilora_error err;

    (void)state;
    assert_int_equal(prilora_run_train(run, &err), PRILORA_OK);
    assert_int_equal(prilora_run_step(run), 3);
    assert_int_equal(count(&diary, PRILORA_EVENT_EVALUATION), 3);
    prilora_run_close(run);
    prilora_spec_free(spec);
}

static void without_validation_data_the_last_state_is_the_best(void **state)
{
    struct prilora_spec *spec = test_training_spec("\"early_stopping_patience\": 2");
    struct diary diary = {0};
    struct prilora_run_options options = options_for(&diary, NULL, 1);
    struct prilora_run *run = test_training_run(spec, NULL, &options);
    struct prilora_result result;
    struct prilora_error err;

    (void)state;
    assert_int_equal(prilora_run_train(run, &err), PRILORA_OK);
    assert_int_equal(count(&diary, PRILORA_EVENT_EVALUATION), 0);
    assert_int_equal(diary.n_warnings, 1);
    assert_non_null(strstr(diary.warnings[0], "early_stopping_patience does nothing"));
    assert_int_equal(prilora_run_export(run, test_scratch_path("blind"), "base", &result, &err),
                     PRILORA_OK);
    assert_int_equal(result.best_step, TOTAL_STEPS);
    assert_int_equal(result.n_values, 0);
    assert_int_equal(result.n_nonzero, result.n_prunable / 2);
    prilora_run_close(run);
    prilora_spec_free(spec);
}

static void accumulated_batches_are_one_larger_batch(void **state)
{
    struct prilora_spec *two = test_training_spec("\"gradient_accumulation_steps\": 2");
    struct prilora_spec *one = test_training_spec("");
    struct diary first = {0}, second = {0};
    size_t size, other_size;
    char *bytes, *other;

    (void)state;
    one->batch_size = 16;
    bytes = straight(one, 1, &first, &size);
    other = straight(two, 1, &second, &other_size);
    assert_int_equal(count(&second, PRILORA_EVENT_STEP), 6); /* 16, 16 and 8 examples, twice */
    for (size_t i = 0; i < first.n; i++)
        assert_true(first.events[i].loss == second.events[i].loss);
    free(bytes);
    free(other);
    prilora_spec_free(one);
    prilora_spec_free(two);
}

/* ---- memory -----------------------------------------------------------------------------------
 */

/* of the sanitizer's runtime; gcc brings no header for it, and valgrind's build has none */
__attribute__((weak)) int
__sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void *, size_t),
                                          void (*freed)(const volatile void *));

static atomic_size_t n_allocations;

/* OpenBLAS's kernels for small matrices take scratch of their own from malloc and give it back. */
static bool called_by_blas(void)
{
    void *callers[10];
    int n = backtrace(callers, 10);

    for (int i = 0; i < n; i++) {
        Dl_info info;

        if (dladdr(callers[i], &info) && info.dli_fname && strstr(info.dli_fname, "blas"))
            return true;
    }
    return false;
}

static void count_allocation(const volatile void *place, size_t size)
{
    (void)place;
    (void)size;
    if (!called_by_blas())
        atomic_fetch_add(&n_allocations, 1);
}

static void ignore_free(const volatile void *place)
{
    (void)place;
}

static size_t after_first_step, at_last_step;

static void watch(void *context, const struct prilora_event *event)
{
    (void)context;
    if (event->type == PRILORA_EVENT_STEP && event->step == 1)
        after_first_step = atomic_load(&n_allocations);
    if (event->type == PRILORA_EVENT_STEP && event->step == TOTAL_STEPS)
        at_last_step = atomic_load(&n_allocations);
}

/* Prunings and an epoch's end included; evaluations sort and checkpoints open files. */
static void training_allocates_nothing_after_its_first_step(void **state)
{
    struct prilora_spec *spec = test_training_spec("");
    struct prilora_run_options options = {.n_threads = 2, .on_event = watch};
    struct prilora_run *run;
    struct prilora_error err;

    (void)state;
    if (!__sanitizer_install_malloc_and_free_hooks)
        skip();
    called_by_blas(); /* backtrace(3) itself allocates at its first call */
    assert_true(__sanitizer_install_malloc_and_free_hooks(count_allocation, ignore_free) > 0);
    run = test_training_run(spec, NULL, &options);
    assert_true(atomic_load(&n_allocations) > 0); /* the hook works */
    assert_int_equal(prilora_run_train(run, &err), PRILORA_OK);
    assert_int_equal(at_last_step, after_first_step);
    prilora_run_close(run);
    prilora_spec_free(spec);
}

static void a_forecast_knows_the_steps_and_the_parameters(void **state)
{
    struct prilora_spec *spec = test_training_spec("");
    struct prilora_forecast forecast, blind;
    struct diary diary = {0};
    struct prilora_run_options options = options_for(&diary, NULL, 1);
    struct prilora_run *run = test_training_run(spec, test_training.valid, &options);
    struct prilora_error err;

    (void)state;
    assert_int_equal(prilora_run_forecast(&forecast, test_training.base, spec, test_training.train,
                                          test_training.valid, &err),
                     PRILORA_OK);
    assert_int_equal(forecast.total_steps, TOTAL_STEPS);
    assert_int_equal(forecast.n_trainable, run->engine->layout->n_parameters);
    /* ranks 2 2 3 3 4 4; in + out of the six maps: 4 times 256, twice 640 */
    assert_int_equal(forecast.n_adapter, 18 * (4 * 256 + 2 * 640));
    assert_true(forecast.base_bytes < forecast.memory_bytes);
    assert_true(forecast.flops > 0);
    assert_int_equal(prilora_run_forecast(&blind, test_training.base, spec, NULL, NULL, &err),
                     PRILORA_OK);
    assert_int_equal(blind.total_steps, 0);
    assert_true(blind.thread_bytes >= forecast.thread_bytes);
    prilora_run_close(run);
    prilora_spec_free(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_do_not_change_a_bit),
        cmocka_unit_test(recomputing_changes_memory_but_not_a_bit),
        cmocka_unit_test(a_run_stopped_after_any_step_ends_with_the_same_bytes),
        cmocka_unit_test(every_checkpoint_leads_to_the_same_bytes),
        cmocka_unit_test(events_tell_what_happened_in_order),
        cmocka_unit_test(pruning_halves_every_row_and_the_snapshot_shows_it),
        cmocka_unit_test(the_snapshot_s_norms_are_those_of_the_matrices),
        cmocka_unit_test(the_reported_metrics_are_those_of_the_exported_bytes),
        cmocka_unit_test(a_stopped_run_can_be_exported),
        cmocka_unit_test(training_stops_early_when_nothing_gets_better),
        cmocka_unit_test(without_validation_data_the_last_state_is_the_best),
        cmocka_unit_test(accumulated_batches_are_one_larger_batch),
        cmocka_unit_test(a_forecast_knows_the_steps_and_the_parameters),
        /* last, for its hook stays */
        cmocka_unit_test(training_allocates_nothing_after_its_first_step),
    };

    return cmocka_run_group_tests(tests, test_training_open, test_training_close);
}
