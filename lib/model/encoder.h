/*
 * encoder.h - what all architectures share: embeddings, then layers of one shape (block.h), by the
 * names that the architecture's row gives.
 *
 *     x0 = drop(norm(word + position + type)), projected to hidden_size if they are narrower
 */
#ifndef PL_ENCODER_H
#define PL_ENCODER_H

#include "math/norm.h"
#include "model/binder.h"
#include "model/block.h"
#include "model/flow.h"

/* Below the prefix; also tells whether a checkpoint's names have it. */
#define PL_ENCODER_WORDS "embeddings.word_embeddings.weight"

struct pl_encoder {
    const struct pl_tensor *words; /* [vocab, embedding] in its own dtype */
    const pl_real *positions;      /* [max_position_embeddings, embedding] or NULL */
    const pl_real *types;          /* [type_vocab, embedding] or NULL */
    struct pl_norm norm;           /* of the embeddings */
    struct pl_linear projection;   /* embedding -> hidden; weight NULL: none */
    struct pl_norm (*norms)[2];    /* [layers] of each layer's halves */
};

/* Makes model->encoder, sites and maps, empty; false, and the binder has failed, without memory. */
bool pl_encoder_open(struct pl_model *model, struct pl_binder *binder);
void pl_encoder_close(struct pl_model *model);

/* Ask for what belongs to the embeddings, and to one layer. */
void pl_encoder_bind_embeddings(struct pl_model *model, struct pl_binder *binder);
void pl_encoder_bind_layer(struct pl_model *model, size_t layer, struct pl_binder *binder);
/* All of these: an architecture's whole bind if it has nothing else. */
void pl_encoder_bind(struct pl_model *model, struct pl_binder *binder);

/* Longest sequence that the embeddings have positions for; SIZE_MAX: any. */
size_t pl_encoder_max_length(const struct pl_model *model);

/* hidden state 0 [n, hidden] of the share's tokens */
void pl_encoder_embed(const struct pl_flow *flow, pl_real *x);

/* A layer without relative positions; and an architecture's forward and backward if it has no
 * others. */
struct pl_block pl_encoder_block(const struct pl_flow *flow, size_t layer);
void pl_encoder_forward(const struct pl_flow *flow, size_t layer, const pl_real *x, pl_real *y);
void pl_encoder_backward(const struct pl_flow *flow, size_t layer, const pl_real *x, pl_real *d);

#endif
