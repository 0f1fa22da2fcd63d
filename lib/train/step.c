/* step.c - one optimiser step: gradients, clipping, AdamW, statistics, and pruning when due. */
#include "train/not_finite.h"
#include "train/spec.h"

#define MAX_BAD_STEPS 3 /* in a row, before the run gives up */

/* A step without finite numbers changes nothing; several in a row end the run. */
static enum prilora_status skip(struct prilora_run *run, double norm, struct prilora_error *err)
{
    unsigned long long step = (unsigned long long)run->state.step;
    char where[256], advice[256];

    pl_not_finite_where(run, norm, where, sizeof where);
    run->state.n_bad++;
    if (run->state.n_bad < MAX_BAD_STEPS) {
        pl_run_warn(run, "step %llu skipped: %s", step, where);
        return PRILORA_OK;
    }
    pl_not_finite_advice(run, advice, sizeof advice);
    return pl_fail(err, PRILORA_ENUMERIC, "step %llu: %s, as in the %d steps before; %s", step,
                   where, MAX_BAD_STEPS - 1, advice);
}

static void update(struct prilora_run *run, double rate, double norm)
{
    const struct prilora_spec *spec = run->spec;
    struct pl_adamw adamw = {spec->adam_beta1, spec->adam_beta2, spec->adam_epsilon,
                             spec->weight_decay};

    run->state.n_bad = 0;
    run->state.n_updates++;
    pl_adamw_update(&adamw, run->engine->layout, run->params, run->engine->total, run->m, run->v,
                    rate, pl_clip_factor(norm, spec->max_grad_norm), run->state.n_updates);
    pl_meter_turn(&run->meter, PL_PART_STATISTICS);
    if (spec->prune_ratio > 0 && !spec->prune_regrow)
        pl_prune_hold(run->pruner, run->params);
    pl_pruner_update(run->pruner, run->engine->squares, spec->prune_decay);
}

static bool pruning_due(const struct prilora_run *run)
{
    const struct prilora_spec *spec = run->spec;
    uint64_t step = run->state.step;

    return spec->prune_ratio > 0 && run->pruner->n_updates && step >= (uint64_t)spec->prune_start &&
           step % (uint64_t)spec->prune_interval == 0;
}

static void prune(struct prilora_run *run)
{
    const struct prilora_spec *spec = run->spec;
    struct pl_prune_options options = {spec->prune_ratio, !spec->prune_regrow, run->state.step};
    bool reset = spec->prune_reset_moments;
    struct prilora_event event = pl_run_event(run, PRILORA_EVENT_PRUNING);

    pl_prune(run->pruner, run->params, reset ? run->m : NULL, reset ? run->v : NULL, &options);
    pl_board_publish(run, run->params);
    for (size_t i = 0; i < run->pruner->adapter->n_maps; i++)
        event.n_pruned += (size_t)run->pruner->maps[i].n_changed;
    event.n_nonzero = pl_prune_nonzero(run->pruner, run->params);
    event.n_prunable = run->pruner->n_prunable;
    pl_run_emit(run, &event);
}

enum prilora_status pl_run_step(struct prilora_run *run, struct prilora_error *err)
{
    struct pl_batch batch = pl_feed_batch(&run->feed, run->state.step);
    double rate = pl_spec_learning_rate(run->spec, run->state.step, run->total_steps), norm;
    enum prilora_status rc = PRILORA_OK;
    struct prilora_event event;

    pl_engine_step(run->engine, &batch, run->params, run->spec->seed, run->state.step);
    pl_meter_start(&run->meter);
    pl_meter_turn(&run->meter, PL_PART_OPTIMISER);
    norm = pl_grad_norm(run->engine->layout, run->engine->total);
    run->state.step++;
    run->state.n_tokens += batch.n_tokens;
    if (pl_step_is_finite(run, norm))
        update(run, rate, norm);
    else
        rc = skip(run, norm, err);
    if (rc != PRILORA_OK)
        return rc;
    pl_meter_turn(&run->meter, PL_PART_OTHER);
    pl_clock_step(&run->clock, batch.n_tokens);
    event = pl_run_event(run, PRILORA_EVENT_STEP);
    event.loss = run->engine->loss;
    event.learning_rate = rate;
    event.grad_norm = norm;
    event.n_tokens = run->state.n_tokens;
    event.tokens_per_second = run->clock.tokens_per_second;
    event.seconds_left = pl_run_seconds_left(run);
    pl_run_emit(run, &event);
    pl_meter_turn(&run->meter, PL_PART_STATISTICS);
    if (pruning_due(run))
        prune(run);
    pl_meter_turn(&run->meter, PL_PART_OTHER);
    return PRILORA_OK;
}
