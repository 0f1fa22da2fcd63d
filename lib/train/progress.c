/* progress.c - events and the clock behind their estimates. */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "train/run.h"

#define SMOOTHING 0.1 /* weight of the newest step */
#define FORWARD   0.4 /* an evaluation's cost per token, of a step's: before the first one */

double pl_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

struct prilora_event pl_run_event(const struct prilora_run *run, enum prilora_event_type type)
{
    return (struct prilora_event){
        .type = type,
        .step = run->state.step,
        .total_steps = run->total_steps,
        .epoch = (double)run->state.step / (double)run->feed.steps_per_epoch,
    };
}

void pl_run_emit(struct prilora_run *run, const struct prilora_event *event)
{
    if (run->on_event)
        run->on_event(run->context, event);
}

void pl_run_warn(struct prilora_run *run, const char *format, ...)
{
    struct prilora_event event = pl_run_event(run, PRILORA_EVENT_WARNING);
    char message[512];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    event.message = message;
    pl_run_emit(run, &event);
}

void pl_clock_step(struct pl_clock *clock, size_t n_tokens)
{
    double now = pl_seconds(), seconds = now - clock->last, rate;

    clock->last = now;
    if (!(seconds > 1e-9))
        seconds = 1e-9;
    rate = (double)n_tokens / seconds;
    if (clock->step_seconds <= 0) {
        clock->step_seconds = seconds;
        clock->tokens_per_second = rate;
        return;
    }
    clock->step_seconds += SMOOTHING * (seconds - clock->step_seconds);
    clock->tokens_per_second += SMOOTHING * (rate - clock->tokens_per_second);
}

double pl_run_seconds_left(const struct prilora_run *run)
{
    uint64_t every =
        run->spec->eval_steps > 0 ? (uint64_t)run->spec->eval_steps : run->feed.steps_per_epoch;
    uint64_t left = run->total_steps - run->state.step;
    uint64_t evaluations = (run->total_steps + every - 1) / every - run->state.step / every;
    double each = run->clock.evaluation_seconds;

    if (!run->valid)
        evaluations = 0;
    else if (each <= 0)
        each = FORWARD * (double)run->valid->starts[run->valid->n] / run->clock.tokens_per_second;
    return (double)left * run->clock.step_seconds + (double)evaluations * each;
}
