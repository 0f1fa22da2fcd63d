/*
 * net.h - a model with adapters and a task head: forward and backward over one share of a step.
 *
 * One optimiser step, for the caller (train/):
 *     pl_net_begin_layer   for every layer: what all shares need (the projected relative positions)
 *     pl_net_share         for every share: forward, loss, backward; adds to gradients and
 * statistics pl_net_finish_layer  for every layer: gradients that arise once per step The layer
 * calls may run on several threads at once, one per layer; pl_net_share too, each thread with its
 * own struct pl_workspace. Between them nothing is shared but read-only data.
 */
#ifndef PL_NET_H
#define PL_NET_H

#include <stdint.h>

#include "base/meter.h"
#include "model/model.h"

struct pl_net;

struct pl_net_options {
    enum prilora_task task;
    size_t n_outputs;                                             /* labels, or 1 */
    double hidden_dropout, attention_dropout, classifier_dropout; /* negative: as config.json */
    double lora_dropout;
    bool half;      /* the frozen maps in bfloat16, if possible */
    bool recompute; /* keep each layer's input and end only, and go through it again for the rest */
    size_t max_tokens, max_sequences, max_length; /* of one share: what workspaces are made for */
};

/* The net keeps pointers to model; plan and layout are made here from spec. */
enum prilora_status pl_net_new(struct pl_net **out, const struct pl_model *model,
                               const struct prilora_spec *spec,
                               const struct pl_net_options *options, struct prilora_error *err);
void pl_net_free(struct pl_net *net);
const struct pl_layout *pl_net_layout(const struct pl_net *net);
const struct pl_adapter *pl_net_adapter(const struct pl_net *net);
/* The options as they became: no dropout is negative. */
const struct pl_net_options *pl_net_options(const struct pl_net *net);

/*
 * Initial values: A uniform in +-1/sqrt(in), B zero; pooler and classifier from the checkpoint
 * where it has them for as many labels (true in *head_from_checkpoint), else normal of
 * initializer_range with zero bias.
 */
void pl_net_init(const struct pl_net *net, pl_real *params, uint64_t seed,
                 bool *head_from_checkpoint);

/* A packed batch: sequences end to end, no padding. */
struct pl_batch {
    size_t n_sequences, n_tokens, longest;
    const int32_t *ids;      /* [n_tokens] */
    const uint8_t *type_ids; /* [n_tokens] */
    const size_t *starts;    /* [n_sequences + 1] */
    const float *labels;     /* [n_sequences, width]: class number, value, 0/1 per label, or an
                                answer's first and last token; of tokens [n_tokens]: class number or
                                PL_LABEL_IGNORED */
    size_t n_counted;        /* what the loss is the mean of; 0: sequences */
};

/* What is the same for all shares of a step. */
struct pl_pass {
    const struct pl_batch *batch;
    const pl_real *params;    /* block */
    uint64_t seed, step;      /* key the dropout */
    bool train;               /* dropout, backward, statistics */
    struct pl_tables *tables; /* from pl_net_tables_new; rewritten by every step */
};

/* A share's size, as far as memory goes. */
struct pl_extent {
    size_t n_tokens, n_sequences;
    size_t squares; /* sum of the sequences' squared lengths */
};

/* Memory that one thread computes a share in. Made once, for the largest share there can be. */
struct pl_workspace;
enum prilora_status pl_workspace_new(struct pl_workspace **out, const struct pl_net *net,
                                     bool train, struct prilora_error *err);
void pl_workspace_free(struct pl_workspace *ws);
/* Without making one: bytes that a share uses of it; NULL: the largest there can be. */
size_t pl_workspace_bytes(const struct pl_net *net, bool train, const struct pl_extent *share);
const struct pl_meter *pl_workspace_meter(const struct pl_workspace *ws);

/* The per-step tables of all layers and the per-thread sums that belong to them. */
enum prilora_status pl_tables_new(struct pl_tables **out, const struct pl_net *net,
                                  struct prilora_error *err);
void pl_tables_free(struct pl_tables *tables);
size_t pl_tables_bytes(const struct pl_net *net);

/*
 * What shares add up: numbers that are summed in share order. One block per thread and one total.
 *   grads   [pl_net_sum_size] first the layout's block, then the net's own per-step sums
 *           (gradients of the projected relative positions)
 *   stats   [pl_net_stats_size] sum of squares of each column of each distinct map input, over the
 *           real tokens, before any dropout: input i's columns start at pl_net_stats_offset(i);
 *           zero for inputs that feed no adapted map
 */
size_t pl_net_sum_size(const struct pl_net *net);
size_t pl_net_stats_size(const struct pl_net *net);
size_t pl_net_stats_offset(const struct pl_net *net, size_t input);

/* The share: which sequences of the batch. */
struct pl_share {
    const size_t *sequences; /* indices into the batch */
    size_t n_sequences, n_tokens;
};

void pl_net_begin_layer(const struct pl_net *net, const struct pl_pass *pass, size_t layer,
                        struct pl_workspace *ws);

/*
 * pl_net_share - forward; with pass->train also backward.
 *
 * Shapes   grads [sum_size], stats [stats_size] zeroed here, then filled with this share's part
 *          (both NULL without pass->train); logits f32[batch.n_sequences, n_outputs] (of tokens and
 *          answers: [batch.n_tokens, n_outputs]) or NULL: rows of this share's sequences are
 * written Loss     the mean over the whole batch is what is differentiated; *loss gets this share's
 *          part of that mean, in double
 * Errors   none: shapes were checked when the net and the batch were made
 */
void pl_net_share(const struct pl_net *net, const struct pl_pass *pass,
                  const struct pl_share *share, struct pl_workspace *ws, pl_real *grads,
                  pl_real *stats, double *loss, pl_real *logits);

/* Adds to `grads` (the total) what follows from the summed per-step part. Layers write disjoint
 * parts of it. */
void pl_net_finish_layer(const struct pl_net *net, const struct pl_pass *pass, size_t layer,
                         struct pl_workspace *ws, pl_real *grads);

/* Floating-point operations that the definition needs for a sequence of n tokens. */
double pl_net_operations(const struct pl_net *net, size_t n_tokens, bool train);
/* Those that the `recompute` option adds in training; 0 without it. */
double pl_net_repeated_operations(const struct pl_net *net, size_t n_tokens);

/* For tests: hidden states after the embeddings (layer 0) and each layer of a share run last
 * with this workspace, pl_real[n_tokens, hidden]; valid until its next use. Only training keeps
 * them, and only from the input of the lowest adapted layer on; others share two places in turn. */
const pl_real *pl_workspace_hidden(const struct pl_workspace *ws, size_t layer);

#endif
