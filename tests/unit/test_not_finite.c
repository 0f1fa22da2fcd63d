/*
 * test_not_finite.c - numbers that go bad: steps that are skipped, runs that end, and no adapter
 * that holds NaN.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/damage.h"
#include "support/scratch.h"
#include "support/training.h"
#include "train/run.h"

#define MINI "examples/prilora-mini-en"

/* What a run told; and a parameter that is spoilt when a step is done, put right by a warning. */
struct diary {
    char warnings[8][256];
    size_t n_warnings;
    size_t n_evaluations, n_best;
    struct prilora_run *run;
    uint64_t spoil_at; /* 0: never */
    bool for_good;
    pl_real kept;
};

static void note(void *context, const struct prilora_event *event)
{
    struct diary *d = context;

    if (event->type == PRILORA_EVENT_EVALUATION) {
        d->n_evaluations++;
        d->n_best += event->is_best;
    }
    if (event->type == PRILORA_EVENT_STEP && event->step == d->spoil_at) {
        d->kept = d->run->params[0];
        d->run->params[0] = (pl_real)NAN;
    }
    if (event->type == PRILORA_EVENT_WARNING) {
        assert_true(d->n_warnings < 8);
        snprintf(d->warnings[d->n_warnings++], sizeof d->warnings[0], "%s", event->message);
        if (d->spoil_at && !d->for_good) {
            d->run->params[0] = d->kept;
            d->spoil_at = 0;
        }
    }
}

static struct prilora_run *begin(struct diary *diary, const char *hyperparameters)
{
    struct prilora_spec *spec = test_training_spec(hyperparameters);
    struct prilora_run_options options = {.n_threads = 1, .on_event = note, .context = diary};

    diary->run = test_training_run(spec, test_training.valid, &options);
    prilora_spec_free(spec);
    return diary->run;
}

/* The same on another base: the data are the mini model's, whose tokenizer it has. */
static enum prilora_status run_on(const char *folder, struct diary *diary,
                                  struct prilora_error *err)
{
    struct prilora_spec *spec = test_training_spec("");
    struct prilora_run_options options = {.n_threads = 1, .on_event = note, .context = diary};
    struct prilora_base *base = NULL;
    enum prilora_status rc = prilora_base_open(&base, folder, err);

    assert_int_equal(rc, PRILORA_OK);
    rc = prilora_run_open(&diary->run, base, spec, test_training.train, NULL, &options, err);
    assert_int_equal(rc, PRILORA_OK);
    rc = prilora_run_train(diary->run, err);
    prilora_run_close(diary->run);
    prilora_base_close(base);
    prilora_spec_free(spec);
    return rc;
}

static void a_damaged_weight_of_the_base_is_named(void **state)
{
    const char *folder = test_scratch_path("damaged");
    struct diary diary = {0};
    struct prilora_error err = {0};

    (void)state;
    test_damage(folder, MINI, "model.safetensors",
                "deberta.encoder.layer.2.attention.self.value_proj.weight", 77, (double)NAN);
    assert_int_equal(run_on(folder, &diary, &err), PRILORA_ENUMERIC);
    assert_string_equal(err.message,
                        "step 3: the input of deberta.encoder.layer.2.attention.output.dense is "
                        "not finite, as in the 2 steps before; "
                        "deberta.encoder.layer.2.attention.self.value_proj.weight of the base "
                        "model holds numbers that are not finite: its file is damaged");
    assert_int_equal(diary.n_warnings, 2);
    assert_string_equal(diary.warnings[0],
                        "step 1 skipped: the input of "
                        "deberta.encoder.layer.2.attention.output.dense is not finite");
}

static void an_infinite_bias_near_the_loss_is_found_as_well(void **state)
{
    const char *folder = test_scratch_path("infinite");
    struct diary diary = {0};
    struct prilora_error err = {0};

    (void)state;
    test_damage(folder, MINI, "model.safetensors", "deberta.encoder.layer.5.output.dense.bias", 0,
                (double)INFINITY);
    assert_int_equal(run_on(folder, &diary, &err), PRILORA_ENUMERIC);
    assert_string_equal(err.message,
                        "step 3: the loss is not finite, as in the 2 steps before; "
                        "deberta.encoder.layer.5.output.dense.bias of the base model holds numbers "
                        "that are not finite: its file is damaged");
}

/* A decay of 1 at a rate of 10 multiplies by -9 at every step: no number stands that for long. */
static void a_rate_that_makes_training_diverge_is_named(void **state)
{
    struct diary diary = {0};
    struct prilora_run *run =
        begin(&diary, "\"learning_rate\": 10, \"weight_decay\": 1, \"max_grad_norm\": 0, "
                      "\"lr_scheduler_type\": \"constant\", \"warmup_ratio\": 0, "
                      "\"max_steps\": 400");
    struct prilora_error err = {0};

    (void)state;
    assert_int_equal(prilora_run_train(run, &err), PRILORA_ENUMERIC);
    assert_non_null(strstr(err.message, "; a learning_rate below 10 or a max_grad_norm above 0 "
                                        "may help"));
    assert_non_null(strstr(err.message, "deberta.encoder.layer."));
    prilora_run_close(run);
}

static void one_bad_step_is_skipped_and_the_run_goes_on(void **state)
{
    struct diary diary = {.spoil_at = 2};
    struct prilora_run *run = begin(&diary, "");
    struct prilora_error err = {0};
    size_t size;

    (void)state;
    assert_int_equal(prilora_run_train(run, &err), PRILORA_OK);
    assert_int_equal(diary.n_warnings, 1);
    assert_string_equal(diary.warnings[0],
                        "step 3 skipped: deberta.encoder.layer.0.attention.self.query_proj.lora_A "
                        "is not finite");
    assert_int_equal(run->state.step, 10);
    assert_int_equal(run->state.n_updates, 9);
    free(test_training_export(run, "after", &size));
    prilora_run_close(run);
}

static void skipped_steps_change_nothing_and_the_third_ends_the_run(void **state)
{
    struct diary diary = {0};
    struct prilora_run *run = begin(&diary, "");
    const struct pl_param *weight = pl_layout_find(run->engine->layout, "classifier.weight");
    struct prilora_error err = {0};
    pl_real kept;

    (void)state;
    assert_non_null(weight);
    run->params[weight->offset] = (pl_real)NAN;
    kept = run->params[weight->offset + 1];
    assert_int_equal(prilora_run_train(run, &err), PRILORA_ENUMERIC);
    assert_int_equal(prilora_run_step(run), 3);
    assert_true(run->params[weight->offset + 1] == kept);
    assert_int_equal(diary.n_warnings, 2);
    assert_string_equal(diary.warnings[1], "step 2 skipped: classifier.weight is not finite");
    assert_non_null(strstr(err.message, "step 3: classifier.weight is not finite, as in the 2 "));
    prilora_run_close(run);
}

static void an_evaluation_that_is_not_finite_is_never_the_best(void **state)
{
    struct diary diary = {.spoil_at = 5}; /* where an evaluation follows */
    struct prilora_run *run = begin(&diary, "");
    struct prilora_error err = {0};

    (void)state;
    assert_int_equal(prilora_run_train(run, &err), PRILORA_OK);
    assert_int_equal(diary.n_warnings, 1);
    assert_string_equal(diary.warnings[0],
                        "the evaluation after step 5 is not finite and does not count");
    assert_int_equal(diary.n_evaluations, 1);
    assert_int_equal(run->state.best_step, 10);
    assert_true(isfinite(run->state.best_metric));
    prilora_run_close(run);
}

static void what_is_not_finite_is_not_exported(void **state)
{
    struct diary diary = {0};
    struct prilora_run *run = begin(&diary, "");
    const char *folder = test_scratch_path("unwritten");
    struct prilora_error err = {0};

    (void)state;
    assert_int_equal(prilora_run_train(run, &err), PRILORA_OK);
    run->best[3] = (pl_real)INFINITY;
    assert_int_equal(prilora_run_export(run, folder, "mini", NULL, &err), PRILORA_ENUMERIC);
    assert_string_equal(err.message,
                        "deberta.encoder.layer.0.attention.self.query_proj.lora_A came out of "
                        "training with numbers that are not finite; a learning_rate below 0.0008 "
                        "may help");
    assert_int_not_equal(access(folder, F_OK), 0);
    prilora_run_close(run);
}

static void an_adapter_that_is_not_finite_is_not_opened(void **state)
{
    const char *name = "base_model.model.deberta.encoder.layer.1.output.dense.lora_B.weight";
    struct diary diary = {0};
    struct prilora_run *run = begin(&diary, "");
    struct prilora_adapter *adapter = NULL;
    struct prilora_error err = {0};
    char message[512];
    const char *good, *bad;
    size_t size;

    (void)state;
    assert_int_equal(prilora_run_train(run, &err), PRILORA_OK);
    free(test_training_export(run, "good", &size));
    prilora_run_close(run);
    good = test_scratch_path("good");
    bad = test_scratch_path("nan");
    test_damage(bad, good, "adapter_model.safetensors", name, 5, (double)NAN);
    assert_int_equal(prilora_adapter_open(&adapter, test_training.base, bad, NULL, &err),
                     PRILORA_EFORMAT);
    snprintf(message, sizeof message,
             "%s/adapter_model.safetensors: %s holds numbers that are not finite", bad, name);
    assert_string_equal(err.message, message);
    assert_null(adapter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_weight_of_the_base_is_named),
        cmocka_unit_test(an_infinite_bias_near_the_loss_is_found_as_well),
        cmocka_unit_test(a_rate_that_makes_training_diverge_is_named),
        cmocka_unit_test(one_bad_step_is_skipped_and_the_run_goes_on),
        cmocka_unit_test(skipped_steps_change_nothing_and_the_third_ends_the_run),
        cmocka_unit_test(an_evaluation_that_is_not_finite_is_never_the_best),
        cmocka_unit_test(what_is_not_finite_is_not_exported),
        cmocka_unit_test(an_adapter_that_is_not_finite_is_not_opened),
    };

    return cmocka_run_group_tests(tests, test_training_open, test_training_close);
}
