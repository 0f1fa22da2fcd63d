/*
 * block.h - one encoder layer with normalisation after each half (BERT and its relatives, DeBERTa).
 *
 *     m = norm0(x + drop(W_o attention(W_q x, W_k x, W_v x)))
 *     y = norm1(m + drop(W_2 f(W_1 m)))
 *
 * All six maps carry their biases and low-rank updates.
 */
#ifndef PL_BLOCK_H
#define PL_BLOCK_H

#include "model/attention.h"
#include "model/flow.h"

struct pl_block {
    size_t layer;
    const struct pl_norm *norms[2];
    const struct pl_activation_map *activation;
    bool attention_output_kept; /* no dropout after W_o */
    struct pl_attention attention;
    struct pl_attention_gradients table; /* its table_ members: where the table's gradients go */
};

/* x, y [n, hidden]; what backward needs goes into ws->layers[layer]. With flow->again it stops
 * before the last map, whose xa and norm are kept, and leaves y alone. */
void pl_block_forward(const struct pl_flow *flow, const struct pl_block *block, const pl_real *x,
                      pl_real *y);

/* d: gradient of y in ([n, hidden], or with flow->firsts [n_sequences, hidden]); of x out
 * ([n, hidden]), if anything below is adapted, else unspecified. */
void pl_block_backward(const struct pl_flow *flow, const struct pl_block *block, const pl_real *x,
                       pl_real *d);

#endif
