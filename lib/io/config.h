/* config.h - config.json of a Hugging Face folder, each member checked once. */
#ifndef PL_CONFIG_H
#define PL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum pl_activation { PL_ACT_GELU, PL_ACT_GELU_TANH, PL_ACT_RELU, PL_ACT_TANH, PL_ACT_SILU };

#define PL_CONFIG_MAX_LABELS 65536
#define PL_CONFIG_MAX_BYTES  ((size_t)16 << 20) /* of the file */

/*
 * Members keep their Hugging Face names, BERT's where types have different ones; absent ones, and
 * null, have the value that transformers gives them. Sizes are above 0 (type_vocab_size,
 * conv_kernel_size: or 0), num_attention_heads and conv_groups divide hidden_size,
 * pooler_hidden_size equals it, probabilities are in [0, 1).
 */
struct pl_config {
    char model_type[32];
    size_t vocab_size, hidden_size, embedding_size, num_hidden_layers, num_attention_heads;
    size_t intermediate_size, max_position_embeddings, type_vocab_size;
    double layer_norm_eps, hidden_dropout_prob, attention_probs_dropout_prob, initializer_range;
    enum pl_activation hidden_act;
    long pad_token_id;          /* -1: none */
    bool position_biased_input; /* there are absolute positions; of deberta-v2, others always */

    /* deberta-v2 */
    bool relative_attention, share_att_key;
    bool norm_rel_ebd;                             /* "layer_norm" stands in the list */
    bool pos_c2p, pos_p2c;                         /* from pos_att_type, string "a|b" or list */
    long position_buckets, max_relative_positions; /* as written: below 1 means none given */
    size_t conv_kernel_size, conv_groups;          /* kernel odd, or 0: no convolution layer */
    enum pl_activation conv_act;
    size_t pooler_hidden_size;
    double pooler_dropout;
    enum pl_activation pooler_hidden_act;
    double cls_dropout; /* classifier_dropout of others; negative: absent */

    double qa_dropout; /* of distilbert; others have none before the head for answers */

    /* the labels that the checkpoint's own head was trained for */
    size_t n_labels; /* of id2label or num_labels; 2 when absent */
    char **labels;   /* [n_labels] or NULL when the names are absent */
};

/*
 * pl_config_parse - from the text of config.json; `path` is for messages. pl_config_read reads
 * folder/config.json. On failure *out needs no freeing.
 *
 * Errors  EFORMAT: not JSON, wrong type or out of range, named by member; EUNSUPPORTED: a
 *         model_type or a member's value that is not supported, with the list of what is.
 */
enum prilora_status pl_config_parse(struct pl_config *out, const char *json, size_t length,
                                    const char *path, struct prilora_error *err);
enum prilora_status pl_config_read(struct pl_config *out, const char *folder,
                                   struct prilora_error *err);
void pl_config_free(struct pl_config *config);

#endif
