/*
 * engine.h - a net and the team that computes it: one step's gradients, or one evaluation's logits.
 *
 * Threads take shares; each computes with its own workspace and sums, and the shares' sums are
 * added into the total in share order. So the bits are the same whatever the number of threads.
 */
#ifndef PL_ENGINE_H
#define PL_ENGINE_H

#include <stdatomic.h>

#include "base/team.h"
#include "model/net.h"
#include "train/shares.h"

struct pl_engine_limits {
    size_t n_outputs;
    size_t max_sequences; /* of a step */
    size_t longest;       /* of any sequence, in tokens */
    size_t step_tokens;   /* of a usual step; 0: not known */
    size_t n_threads;
    struct pl_team *team; /* instead of n_threads of its own; outlives the engine */
    bool train;           /* room for gradients */
};

struct pl_engine {
    struct pl_net *net;
    const struct pl_layout *layout;   /* the net's */
    const struct pl_adapter *adapter; /* the net's */
    struct pl_team *team;
    bool team_is_shared;
    size_t n_threads, n_layers;
    struct pl_workspace **workspaces; /* [n_threads] */
    struct pl_tables *tables;
    size_t n_sum, n_stats;
    pl_real **sums;          /* [n_threads] of n_sum + n_stats: one share's */
    pl_real *total;          /* [n_sum] gradients of the step; scratch between steps */
    pl_real *squares;        /* [n_stats] sums of squares of the maps' inputs, of the step */
    double loss;             /* of the step or evaluation */
    size_t budget;           /* tokens per share */
    double *cost;            /* [longest + 1] operations that a sequence of each length takes */
    struct pl_shares shares; /* of the step */

    /* of the pass that the team computes now */
    const struct pl_pass *pass;
    const struct pl_shares *cut;
    pl_real *logits;
    const atomic_int *stop;
};

/* The net's limits that follow: what one share may hold. */
struct pl_net_options pl_engine_net_options(const struct prilora_spec *spec, enum prilora_task task,
                                            const struct pl_engine_limits *limits);

enum prilora_status pl_engine_new(struct pl_engine **out, struct pl_model *model,
                                  const struct prilora_spec *spec, enum prilora_task task,
                                  const struct pl_engine_limits *limits, struct prilora_error *err);
void pl_engine_free(struct pl_engine *engine);

/* Bytes of an engine without making one: what all threads share, and what each adds beside its
 * workspace. */
void pl_engine_bytes(const struct pl_net *net, const struct pl_engine_limits *limits,
                     size_t *shared, size_t *per_thread);

/* Forward and backward over a step's batch: fills total, squares and loss. */
void pl_engine_step(struct pl_engine *engine, const struct pl_batch *batch, const pl_real *params,
                    uint64_t seed, uint64_t step);

/*
 * pl_engine_evaluate - forward only, over `cut` of the batch: fills logits [n_sequences, n_outputs]
 * (of tokens [n_tokens, n_outputs]) and loss. False if *stop was raised meanwhile; then neither
 * means anything.
 */
bool pl_engine_evaluate(struct pl_engine *engine, const struct pl_batch *batch,
                        const struct pl_shares *cut, const pl_real *params, pl_real *logits,
                        const atomic_int *stop);

/* The same in two parts, for many batches under the same parameters: what all of them share, for
 * sequences up to `longest`, and then each batch. */
void pl_engine_prepare(struct pl_engine *engine, size_t longest, const pl_real *params);
bool pl_engine_predict(struct pl_engine *engine, const struct pl_batch *batch,
                       const struct pl_shares *cut, const pl_real *params, pl_real *logits,
                       const atomic_int *stop);

#endif
