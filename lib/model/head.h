/*
 * head.h - the task head: first token, dropout, dense map, activation, dropout, classifier, loss.
 * What it is called and where dropout is, the architecture says. All of it is trained, but a dense
 * map that came with the encoder (BERT's pooler) stays as it is.
 */
#ifndef PL_HEAD_H
#define PL_HEAD_H

#include <stdint.h>

#include "adapter/layout.h"
#include "base/real.h"
#include "model/model.h"

struct pl_flow;

struct pl_head {
    size_t inner, n_outputs;
    bool dense_trained;
    size_t dense_weight, dense_bias, weight, bias; /* offsets in a block */
    double dense_dropout, dropout;
    const struct pl_activation_map *activation;
};

/* [n_sequences, inner] each; a NULL needs no backward pass. */
struct pl_head_scratch {
    pl_real *first;   /* first tokens after dropout */
    pl_real *before;  /* dense map before its activation */
    pl_real *pooled;  /* after it */
    pl_real *dropped; /* and after dropout */
    pl_real *gradient;
    pl_real *logits, *dlogits; /* [n_sequences, n_outputs] */
};

/* Appends what is trained to the layout; the dropouts are the caller's to set. */
enum prilora_status pl_head_plan(struct pl_head *head, struct pl_layout *layout,
                                 const struct pl_model *model, size_t n_outputs,
                                 struct prilora_error *err);

/* True if all of it comes from the checkpoint. */
bool pl_head_init(const struct pl_head *head, const struct pl_model *model, pl_real *params,
                  uint64_t seed);

/* Logits of the share's sequences, in ws->head.logits, from the last hidden state x [n, hidden]. */
void pl_head_forward(const struct pl_flow *flow, const pl_real *x);
/* From ws->head.dlogits: gradients of the head, and d [n_sequences, hidden] of the last hidden
 * state of each sequence's first token; no other one has any. */
void pl_head_backward(const struct pl_flow *flow, pl_real *d);

/*
 * pl_loss - the loss of one example, weighted, and its gradient.
 *
 *     classification   -log softmax(logits)[label]
 *     regression       (logit - label)^2
 *     multi-label      mean over labels of log(1 + e^z) - label z
 *
 * Shapes   logits, d [n]; label: one number, or n of 0 and 1 for multi-label
 * Writes   d = weight * gradient; NULL: not wanted
 * Returns  weight * loss, in double
 */
double pl_loss(enum prilora_task task, const pl_real *logits, const float *label, size_t n,
               double weight, pl_real *d);
size_t pl_label_width(enum prilora_task task, size_t n_outputs);

#endif
