/*
 * architecture.h - what differs between families of encoders, as a table: names, shapes, and the
 * few functions that a family has of its own. A further family that computes what these do is a
 * row; encoder, attention, blocks, heads and LoRA are shared.
 */
#ifndef PL_ARCHITECTURE_H
#define PL_ARCHITECTURE_H

#include "model/binder.h"
#include "model/flow.h"
#include "model/model.h"

/* Of the encoder; names stand below the prefix. */
struct pl_encoder_shape {
    const char *layers;              /* names of layer N begin with this and ".N." */
    const char *maps[PL_LAYER_MAPS]; /* below that */
    const char *norms[2];            /* after attention, after feed-forward */
    const char *projection;          /* of embeddings to hidden_size, where they are narrower */
    bool projection_last;         /* it has a bias and follows the norm; else before it without */
    bool positions_after_padding; /* they count from pad_token_id + 1; padding has its own */
    bool attention_output_kept;   /* no dropout after attention's output map */
};

/* Where the activation of a head is told by pooler_hidden_act. */
#define PL_ACT_CONFIGURED (-1)

/*
 * Of the head for whole texts: first token, dropout, dense map, activation, dropout, classifier.
 * The paths are those of Hugging Face's ...ForSequenceClassification.
 */
struct pl_head_shape {
    const char *dense, *classifier;
    bool dense_of_encoder; /* it stands below the prefix and is frozen where it is there */
    bool same_dropout;     /* before the dense map as after it; else pooler_dropout */
    bool own_dropout;      /* what config.json says of it is not true of heads on tokens */
    int activation;        /* enum pl_activation, or PL_ACT_CONFIGURED */
};

struct pl_architecture {
    const char *model_type; /* of config.json */
    const char *prefix;     /* of checkpoint names, present or not, and of module paths */
    const char *class_name; /* of Hugging Face's model with that head */
    struct pl_encoder_shape encoder;
    struct pl_head_shape head;

    /* Asks the binder for all tensors; makes model->encoder, sites and maps. */
    void (*bind)(struct pl_model *model, struct pl_binder *binder);
    /* What is computed once from the bound weights; may be NULL. */
    enum prilora_status (*prepare)(struct pl_model *model, struct prilora_error *err);
    void (*unbind)(struct pl_model *model); /* of model->own; may be NULL */

    /* hidden state layer -> layer + 1 */
    void (*forward)(const struct pl_flow *flow, size_t layer, const pl_real *x, pl_real *y);
    /* d [n, hidden]: gradient of hidden state layer + 1 in, of layer out if anything below it is
     * adapted */
    void (*backward)(const struct pl_flow *flow, size_t layer, const pl_real *x, pl_real *d);
    /* once per step: the layer's projected relative positions, and their gradients pushed into
     * the adapters; NULL: there are none */
    void (*begin_layer)(const struct pl_flow *flow, size_t layer);
    void (*finish_layer)(const struct pl_flow *flow, size_t layer);
};

/* NULL if no row has that name. */
const struct pl_architecture *pl_architecture_find(const char *model_type);

extern const struct pl_architecture pl_architecture_deberta_v2, pl_architecture_bert,
    pl_architecture_distilbert, pl_architecture_electra, pl_architecture_roberta,
    pl_architecture_xlm_roberta, pl_architecture_camembert;

#endif
