/*
 * run.h - inside view of struct prilora_run, and what its files do for each other.
 *
 *   run.c         opening, the loop, closing
 *   step.c        one optimiser step, and the pruning that follows it
 *   not_finite.c  what is said of steps that are not finite
 *   evaluate.c    evaluations, the best state
 *   progress.c    events, timing
 *   board.c       the published statistics of the maps
 *   checkpoint.c  the state, to and from disk
 */
#ifndef PL_RUN_H
#define PL_RUN_H

#include <pthread.h>

#include "adapter/prune.h"
#include "train/base.h"
#include "train/engine.h"
#include "train/feed.h"
#include "train/measure.h"
#include "train/optimizer.h"

/* The numbers that, with the blocks and the pruner, are the whole state of a run. All of it goes
 * into checkpoints. */
struct pl_state {
    uint64_t step;      /* optimiser steps done, skipped ones counted */
    uint64_t n_updates; /* of the parameters: AdamW's t */
    uint64_t n_tokens;
    uint64_t n_bad;          /* steps in a row that were not finite */
    uint64_t evaluated_step; /* step of the last evaluation, 0: none */
    uint64_t n_stale;        /* evaluations in a row without a better metric */
    uint64_t has_best;       /* 0 or 1: `best` holds something */
    uint64_t best_step;
    double best_metric;
};

/* Timing: of this process alone, and in no checkpoint. */
struct pl_clock {
    double last;         /* seconds, when the last step ended */
    double step_seconds; /* smoothed; 0: none yet */
    double tokens_per_second, evaluation_seconds;
};

/* Statistics of the maps: drafted by the run, published for any reader. */
struct pl_board {
    pthread_mutex_t lock; /* guards published and step, held for copying only */
    struct prilora_layer *published;
    uint64_t step;
    struct prilora_layer *draft;
    size_t n;
    double last;   /* when published */
    pl_real *gram; /* scratch: two products of rank by rank */
};

struct prilora_run {
    struct prilora_base *base;
    struct prilora_spec *spec; /* resolved */
    char *spec_text;           /* its dump */
    const struct prilora_dataset *train, *valid, *mismatched;
    char *checkpoint; /* path or NULL */
    char start[65];   /* SHA-256 of the parameters of the adapter that it started from; "": none */
    void (*on_event)(void *context, const struct prilora_event *event);
    void *context;
    const atomic_int *stop;

    struct pl_engine *engine;
    struct pl_pruner *pruner;
    struct pl_feed feed;
    struct pl_shares valid_cut;
    pl_real *logits; /* [rows of valid, n_outputs] */
    uint64_t total_steps, saved_step;
    double saved_at; /* pl_seconds() of the last checkpoint */

    pl_real *params, *m, *v, *best; /* blocks */
    struct pl_state state;
    struct pl_clock clock;
    struct pl_meter meter; /* of what follows the gradients */
    struct pl_board board;
    struct prilora_value values[PRILORA_MAX_VALUES]; /* of the evaluation last made */
    size_t n_values;
};

/* ---- step.c */
enum prilora_status pl_run_step(struct prilora_run *run, struct prilora_error *err);

/* ---- evaluate.c */

bool pl_run_evaluation_due(const struct prilora_run *run);

/* What would be exported if training ended now, into `block`: the parameters, pruned. */
void pl_run_candidate(const struct prilora_run *run, pl_real *block);

/* Answers that a model of this run may give: as its training data has them. */
struct pl_answer_rules pl_run_answer_rules(const struct prilora_run *run);

/* Metrics of `block` on the validation data into run->values; false if stopped meanwhile (never
 * with stop NULL). */
bool pl_run_measure(struct prilora_run *run, const pl_real *block, const atomic_int *stop);

/* The accuracy on run->mismatched, under its name. */
enum prilora_status pl_run_measure_mismatched(struct prilora_run *run, const pl_real *block,
                                              struct prilora_value *out, struct prilora_error *err);

/* Whether the loss and the logits that pl_run_measure left are all finite. */
bool pl_run_measured_finite(const struct prilora_run *run);

/* One evaluation of the candidate, kept if it is the best. False: stopped, nothing was changed. */
bool pl_run_evaluate(struct prilora_run *run);

/* ---- progress.c */
double pl_seconds(void); /* monotonic */
struct prilora_event pl_run_event(const struct prilora_run *run, enum prilora_event_type type);
void pl_run_emit(struct prilora_run *run, const struct prilora_event *event);
void pl_run_warn(struct prilora_run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void pl_clock_step(struct pl_clock *clock, size_t n_tokens);
double pl_run_seconds_left(const struct prilora_run *run);

/* ---- board.c */
enum prilora_status pl_board_new(struct prilora_run *run, struct prilora_error *err);
void pl_board_free(struct pl_board *board);
/* The statistics of a trainable block: the run's own, or the one that is exported. */
void pl_board_publish(struct prilora_run *run, const pl_real *block);

/* ---- checkpoint.c */
enum prilora_status pl_checkpoint_save(const struct prilora_run *run, struct prilora_error *err);
/* Loads run->checkpoint if that file exists. Errors: EMISMATCH tells what differs. */
enum prilora_status pl_checkpoint_load(struct prilora_run *run, struct prilora_error *err);

#endif
