/* deberta.h - inside view of DeBERTa v2 and v3: weights and parts that only they have. */
#ifndef PL_DEBERTA_H
#define PL_DEBERTA_H

#include "math/norm.h"
#include "model/encoder.h"

struct pl_deberta_layer {
    struct pl_linear position_key, position_query; /* without share_att_key; else weight NULL */
};

/* y = norm(residual + act(drop(conv(x)))), over the tokens of each sequence, zeros around it. */
struct pl_conv {
    size_t kernel, groups; /* kernel 0: none */
    const pl_real *raw;    /* [hidden, hidden / groups, kernel] */
    pl_real *taps;         /* [kernel, hidden, hidden / groups] */
    const pl_real *bias;   /* [hidden] */
    struct pl_norm norm;
};

struct pl_deberta {
    const pl_real *raw_table; /* [2 span, hidden] */
    pl_real *table;           /* the same after its norm, if it has one */
    struct pl_norm table_norm;
    struct pl_deberta_layer *layers;
    struct pl_conv conv;
};

/* The net's part of the layer's table; pointers NULL where the model has no such term. */
void pl_deberta_begin_layer(const struct pl_flow *flow, size_t layer);
void pl_deberta_finish_layer(const struct pl_flow *flow, size_t layer);

/* y [n, hidden], in place, given the embeddings x. */
void pl_conv_forward(const struct pl_flow *flow, const struct pl_conv *conv, const pl_real *x,
                     pl_real *y);
/* d: gradient of its output in, of the residual out. Nothing trained lies below x. */
void pl_conv_backward(const struct pl_flow *flow, const struct pl_conv *conv, pl_real *d);

#endif
