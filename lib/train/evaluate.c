/*
 * evaluate.c - evaluations and the best state.
 *
 * What is evaluated is what would be exported: the parameters, pruned once more. So the metric that
 * chooses the best state is the metric of its bytes, and export has nothing to change in them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "math/vector.h"
#include "train/glue.h"
#include "train/questions.h"
#include "train/run.h"

bool pl_run_evaluation_due(const struct prilora_run *run)
{
    uint64_t every =
        run->spec->eval_steps > 0 ? (uint64_t)run->spec->eval_steps : run->feed.steps_per_epoch;
    uint64_t step = run->state.step;

    if (step == 0 || step == run->state.evaluated_step)
        return false;
    return step % every == 0 || step == run->total_steps;
}

void pl_run_candidate(const struct prilora_run *run, pl_real *block)
{
    memcpy(block, run->params, run->engine->layout->size * sizeof *block);
    if (run->spec->prune_ratio > 0)
        pl_prune_copy(run->pruner, block, run->spec->prune_ratio, !run->spec->prune_regrow);
}

struct pl_answer_rules pl_run_answer_rules(const struct prilora_run *run)
{
    const struct pl_questions *q = run->train->questions;

    return (struct pl_answer_rules){(size_t)run->spec->max_answer_length,
                                    q && pl_questions_some_unanswered(q)};
}

bool pl_run_measure(struct prilora_run *run, const pl_real *block, const atomic_int *stop)
{
    const struct prilora_dataset *valid = run->valid;
    struct pl_batch batch = pl_feed_all(valid);
    const struct pl_measured measured = {
        valid,           run->logits,  valid->targets,          valid->labels,
        valid->n_labels, valid->width, pl_run_answer_rules(run)};
    struct prilora_value *loss;

    if (!pl_engine_evaluate(run->engine, &batch, &run->valid_cut, block, run->logits, stop))
        return false;
    run->n_values = pl_measure(run->values, &measured);
    pl_glue_keep(run->spec->glue, run->spec->metric, run->values, &run->n_values);
    if (run->n_values == PRILORA_MAX_VALUES)
        run->n_values--;
    loss = &run->values[run->n_values++];
    snprintf(loss->name, sizeof loss->name, "%s", pl_metric_name(PRILORA_METRIC_LOSS));
    loss->value = run->engine->loss;
    return true;
}

bool pl_run_measured_finite(const struct prilora_run *run)
{
    return isfinite(run->engine->loss) &&
           pl_all_finite(run->logits, pl_dataset_logit_rows(run->valid) * run->valid->n_labels);
}

enum prilora_status pl_run_measure_mismatched(struct prilora_run *run, const pl_real *block,
                                              struct prilora_value *out, struct prilora_error *err)
{
    const struct prilora_dataset *data = run->mismatched;
    struct pl_batch batch = pl_feed_all(data);
    struct prilora_value values[PRILORA_MAX_VALUES];
    pl_real *logits = pl_calloc(data->n * data->n_labels, sizeof *logits);
    struct pl_shares cut;
    enum prilora_status rc = pl_shares_new(&cut, data->n, err);
    size_t n;

    if (rc == PRILORA_OK && !logits)
        rc = pl_fail(err, PRILORA_ENOMEM, "no memory to evaluate %zu examples", data->n);
    if (rc == PRILORA_OK) {
        pl_shares_fill(&cut, data->starts, data->n, run->engine->budget);
        pl_engine_evaluate(run->engine, &batch, &cut, block, logits, NULL);
        n = pl_metrics_compute(values, data->task, logits, data->targets, data->n, data->n_labels,
                               data->width);
        pl_glue_keep(PRILORA_GLUE_MNLI, PRILORA_METRIC_ACCURACY, values, &n);
        *out = (struct prilora_value){"accuracy_mismatched", n ? values[0].value : 0};
    }
    pl_shares_free(&cut);
    free(logits);
    return rc;
}

/* Nothing is kept: metrics of such numbers would say anything. */
static void discard(struct prilora_run *run)
{
    run->state.n_stale++;
    run->state.evaluated_step = run->state.step;
    pl_run_warn(run, "the evaluation after step %llu is not finite and does not count",
                (unsigned long long)run->state.step);
}

/* The value that chooses; greater is better. */
static double chosen_value(const struct prilora_run *run)
{
    const char *name = pl_metric_name(run->spec->metric);
    double sign = run->spec->metric == PRILORA_METRIC_LOSS ? -1 : 1;

    for (size_t i = 0; i < run->n_values; i++) {
        if (strcmp(run->values[i].name, name) == 0)
            return sign * run->values[i].value;
    }
    return -HUGE_VAL;
}

bool pl_run_evaluate(struct prilora_run *run)
{
    struct pl_state *state = &run->state;
    pl_real *candidate = run->engine->total; /* gradients are not needed between steps */
    double began = pl_seconds(), value;
    struct prilora_event event;

    if (!run->valid) {
        state->evaluated_step = state->step;
        return true;
    }
    pl_run_candidate(run, candidate);
    if (!pl_run_measure(run, candidate, run->stop))
        return false;
    if (!pl_run_measured_finite(run)) {
        discard(run);
        return true;
    }
    value = chosen_value(run);
    event = pl_run_event(run, PRILORA_EVENT_EVALUATION);
    event.is_best = !state->has_best || value > state->best_metric;
    state->n_stale = event.is_best ? 0 : state->n_stale + 1;
    state->evaluated_step = state->step;
    if (event.is_best) {
        memcpy(run->best, candidate, run->engine->layout->size * sizeof *candidate);
        state->has_best = 1;
        state->best_step = state->step;
        state->best_metric = value;
    }
    memcpy(event.values, run->values, sizeof event.values);
    event.n_values = run->n_values;
    run->clock.last = pl_seconds();
    run->clock.evaluation_seconds = run->clock.last - began;
    pl_run_emit(run, &event);
    return true;
}
