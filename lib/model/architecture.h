/*
 * architecture.h - what differs between families of encoders, as a table of functions. A further
 * family is a row in architecture.c and a file that gives its functions; attention, blocks, heads
 * and LoRA are shared.
 */
#ifndef PL_ARCHITECTURE_H
#define PL_ARCHITECTURE_H

#include "model/binder.h"
#include "model/flow.h"
#include "model/model.h"

struct pl_architecture {
    const char *model_type;          /* of config.json */
    const char *prefix;              /* of checkpoint names, present or not, and of module paths */
    const char *probe;               /* a name that tells whether the prefix is there */
    const char *pooler, *classifier; /* module paths of the trained head */
    const char *class_name;          /* of Hugging Face's model with that head */

    /* Asks the binder for all tensors; makes model->weights, sites and maps. */
    void (*bind)(struct pl_model *model, struct pl_binder *binder);
    /* What is computed once from the bound weights; may be NULL. */
    enum prilora_status (*prepare)(struct pl_model *model, struct prilora_error *err);
    void (*unbind)(struct pl_model *model);
    /* Longest sequence that the embeddings have positions for; SIZE_MAX: any. */
    size_t (*max_length)(const struct pl_model *model);

    /* hidden state 0 [n, hidden] of the share's tokens */
    void (*embed)(const struct pl_flow *flow, pl_real *x);
    /* hidden state layer -> layer + 1 */
    void (*forward)(const struct pl_flow *flow, size_t layer, const pl_real *x, pl_real *y);
    /* d [n, hidden]: gradient of hidden state layer + 1 in, of layer out if anything below it is
     * adapted */
    void (*backward)(const struct pl_flow *flow, size_t layer, const pl_real *x, pl_real *d);
    /* once per step: the layer's projected relative positions, and their gradients pushed into
     * the adapters */
    void (*begin_layer)(const struct pl_flow *flow, size_t layer);
    void (*finish_layer)(const struct pl_flow *flow, size_t layer);
};

/* NULL if no row has that name. */
const struct pl_architecture *pl_architecture_find(const char *model_type);

extern const struct pl_architecture pl_architecture_deberta_v2;

#endif
