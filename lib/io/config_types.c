/*
 * config_types.c - the members of config.json by model type.
 *
 * Source  defaults: transformers, the configuration_*.py of each type, and the getattr() calls of
 *         modeling_deberta_v2.py
 */
#include <stdio.h>
#include <string.h>

#include "io/config_member.h"

/* Far above any published model, low enough that products of two of them fit easily. */
#define MAX_WIDTH     ((double)(1 << 18)) /* hidden and intermediate sizes */
#define MAX_LAYERS    ((double)(1 << 12))
#define MAX_VOCAB     ((double)(1 << 24))
#define MAX_POSITIONS ((double)(1 << 20))
#define MAX_KERNEL    255.0

#define PLACE(member) offsetof(struct pl_config, member)

/* ---- what several members say together ---------------------------------------------------- */

/* `hidden` is what hidden_size is called. */
static enum prilora_status check_shared(const struct pl_config *c, const char *hidden,
                                        const char *path, struct prilora_error *err)
{
    char problem[160];

    if (c->hidden_size % c->num_attention_heads != 0) {
        snprintf(problem, sizeof problem, "is %zu, which %zu attention heads do not divide",
                 c->hidden_size, c->num_attention_heads);
        return pl_member_fail(err, PRILORA_EFORMAT, path, hidden, problem);
    }
    if (c->pad_token_id >= 0 && (size_t)c->pad_token_id >= c->vocab_size) {
        snprintf(problem, sizeof problem, "is %ld, but the vocabulary has %zu entries",
                 c->pad_token_id, c->vocab_size);
        return pl_member_fail(err, PRILORA_EFORMAT, path, "pad_token_id", problem);
    }
    return PRILORA_OK;
}

/* Variants of the encoder that exist, but are not computed here. */
static enum prilora_status check_plain(const json_t *root, const char *path,
                                       struct prilora_error *err)
{
    static const char *const flags[] = {"is_decoder", "add_cross_attention"};
    const json_t *positions = pl_member_given(root, "position_embedding_type");
    const json_t *pruned = pl_member_given(root, "pruned_heads");
    char problem[160];

    if (positions && !json_is_string(positions))
        return pl_member_fail(err, PRILORA_EFORMAT, path, "position_embedding_type",
                              "is not a string");
    if (positions && strcmp(json_string_value(positions), "absolute") != 0) {
        snprintf(problem, sizeof problem,
                 "is '%.40s', but of this model_type only 'absolute' is "
                 "supported",
                 json_string_value(positions));
        return pl_member_fail(err, PRILORA_EUNSUPPORTED, path, "position_embedding_type", problem);
    }
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (json_is_true(json_object_get(root, flags[i])))
            return pl_member_fail(err, PRILORA_EUNSUPPORTED, path, flags[i],
                                  "is true, but only encoders are supported");
    if (json_object_size(pruned) || json_array_size(pruned))
        return pl_member_fail(err, PRILORA_EUNSUPPORTED, path, "pruned_heads",
                              "is not empty, but only layers with all their heads are supported");
    return PRILORA_OK;
}

/* ---- DeBERTa v2 and v3 -------------------------------------------------------------------- */

static const struct pl_member deberta_members[] = {
    {"vocab_size", PL_COUNT, PLACE(vocab_size), 128100, 1, MAX_VOCAB},
    {"hidden_size", PL_COUNT, PLACE(hidden_size), 1536, 1, MAX_WIDTH},
    {"embedding_size", PL_COUNT, PLACE(embedding_size), 0, 1, MAX_WIDTH}, /* 0: hidden_size */
    {"num_hidden_layers", PL_COUNT, PLACE(num_hidden_layers), 24, 1, MAX_LAYERS},
    {"num_attention_heads", PL_COUNT, PLACE(num_attention_heads), 24, 1, MAX_WIDTH},
    {"intermediate_size", PL_COUNT, PLACE(intermediate_size), 6144, 1, MAX_WIDTH},
    {"max_position_embeddings", PL_COUNT, PLACE(max_position_embeddings), 512, 1, MAX_POSITIONS},
    {"type_vocab_size", PL_COUNT, PLACE(type_vocab_size), 0, 0, MAX_VOCAB},
    {"layer_norm_eps", PL_REAL, PLACE(layer_norm_eps), 1e-7, 0, 1},
    {"hidden_dropout_prob", PL_PROBABILITY, PLACE(hidden_dropout_prob), 0.1, 0, 0},
    {"attention_probs_dropout_prob", PL_PROBABILITY, PLACE(attention_probs_dropout_prob), 0.1, 0,
     0},
    {"initializer_range", PL_REAL, PLACE(initializer_range), 0.02, 0, 100},
    {"hidden_act", PL_ACTIVATION, PLACE(hidden_act), PL_ACT_GELU, 0, 0},
    {"pad_token_id", PL_INTEGER, PLACE(pad_token_id), 0, -1, MAX_VOCAB},
    {"relative_attention", PL_FLAG, PLACE(relative_attention), false, 0, 0},
    {"share_att_key", PL_FLAG, PLACE(share_att_key), false, 0, 0},
    {"position_biased_input", PL_FLAG, PLACE(position_biased_input), true, 0, 0},
    {"position_buckets", PL_INTEGER, PLACE(position_buckets), -1, -MAX_POSITIONS, MAX_POSITIONS},
    {"max_relative_positions", PL_INTEGER, PLACE(max_relative_positions), -1, -MAX_POSITIONS,
     MAX_POSITIONS},
    {"conv_kernel_size", PL_COUNT, PLACE(conv_kernel_size), 0, 0, MAX_KERNEL},
    {"conv_groups", PL_COUNT, PLACE(conv_groups), 1, 1, MAX_WIDTH},
    {"conv_act", PL_ACTIVATION, PLACE(conv_act), PL_ACT_TANH, 0, 0},
    {"pooler_hidden_size", PL_COUNT, PLACE(pooler_hidden_size), 0, 1,
     MAX_WIDTH}, /* 0: hidden_size */
    {"pooler_dropout", PL_PROBABILITY, PLACE(pooler_dropout), 0, 0, 0},
    {"pooler_hidden_act", PL_ACTIVATION, PLACE(pooler_hidden_act), PL_ACT_GELU, 0, 0},
    {"cls_dropout", PL_PROBABILITY, PLACE(cls_dropout), -1, 0, 0},
};

static enum prilora_status check_deberta(const struct pl_config *c, const json_t *root,
                                         const char *path, struct prilora_error *err)
{
    const json_t *width = pl_member_given(root, "attention_head_size");
    char problem[160];
    enum prilora_status rc = check_shared(c, "hidden_size", path, err);

    if (rc != PRILORA_OK)
        return rc;
    if (width &&
        (!json_is_integer(width) ||
         json_integer_value(width) != (json_int_t)(c->hidden_size / c->num_attention_heads)))
        return pl_member_fail(err, PRILORA_EUNSUPPORTED, path, "attention_head_size",
                              "is not hidden_size / num_attention_heads");
    if (c->pooler_hidden_size != c->hidden_size) {
        snprintf(problem, sizeof problem, "is %zu, but hidden_size is %zu", c->pooler_hidden_size,
                 c->hidden_size);
        return pl_member_fail(err, PRILORA_EFORMAT, path, "pooler_hidden_size", problem);
    }
    if (c->conv_kernel_size && c->conv_kernel_size % 2 == 0) {
        snprintf(problem, sizeof problem, "is %zu, but must be odd", c->conv_kernel_size);
        return pl_member_fail(err, PRILORA_EFORMAT, path, "conv_kernel_size", problem);
    }
    if (c->hidden_size % c->conv_groups != 0) {
        snprintf(problem, sizeof problem, "is %zu, which does not divide hidden_size %zu",
                 c->conv_groups, c->hidden_size);
        return pl_member_fail(err, PRILORA_EFORMAT, path, "conv_groups", problem);
    }
    return PRILORA_OK;
}

static enum prilora_status finish_deberta(struct pl_config *config, const json_t *root,
                                          const char *path, struct prilora_error *err)
{
    const struct pl_member_words positions = {
        "pos_att_type", "c2p and p2c", {{"c2p", &config->pos_c2p}, {"p2c", &config->pos_p2c}}};
    const struct pl_member_words norms = {"norm_rel_ebd",
                                          "layer_norm and none",
                                          {{"layer_norm", &config->norm_rel_ebd}, {"none", NULL}}};
    enum prilora_status rc;

    if (!config->embedding_size)
        config->embedding_size = config->hidden_size;
    if (!config->pooler_hidden_size)
        config->pooler_hidden_size = config->hidden_size;
    rc = pl_member_words_read(&positions, pl_member_given(root, "pos_att_type"), path, err);
    if (rc == PRILORA_OK)
        rc = pl_member_words_read(&norms, pl_member_given(root, "norm_rel_ebd"), path, err);
    return rc == PRILORA_OK ? check_deberta(config, root, path, err) : rc;
}

/* ---- BERT and its relatives --------------------------------------------------------------- */

#define BERT_MEMBERS(vocabulary, padding, least_padding, hidden, layers, heads, wide)              \
    {"vocab_size", PL_COUNT, PLACE(vocab_size), vocabulary, 1, MAX_VOCAB},                         \
        {"pad_token_id", PL_INTEGER, PLACE(pad_token_id), padding, least_padding, MAX_VOCAB},      \
        {"hidden_size", PL_COUNT, PLACE(hidden_size), hidden, 1, MAX_WIDTH},                       \
        {"num_hidden_layers", PL_COUNT, PLACE(num_hidden_layers), layers, 1, MAX_LAYERS},          \
        {"num_attention_heads", PL_COUNT, PLACE(num_attention_heads), heads, 1, MAX_WIDTH},        \
        {"intermediate_size", PL_COUNT, PLACE(intermediate_size), wide, 1, MAX_WIDTH},             \
        {"max_position_embeddings",                                                                \
         PL_COUNT,                                                                                 \
         PLACE(max_position_embeddings),                                                           \
         512,                                                                                      \
         1,                                                                                        \
         MAX_POSITIONS},                                                                           \
        {"type_vocab_size", PL_COUNT, PLACE(type_vocab_size), 2, 0, MAX_VOCAB},                    \
        {"layer_norm_eps", PL_REAL, PLACE(layer_norm_eps), 1e-12, 0, 1},                           \
        {"hidden_dropout_prob", PL_PROBABILITY, PLACE(hidden_dropout_prob), 0.1, 0, 0},            \
        {"attention_probs_dropout_prob",                                                           \
         PL_PROBABILITY,                                                                           \
         PLACE(attention_probs_dropout_prob),                                                      \
         0.1,                                                                                      \
         0,                                                                                        \
         0},                                                                                       \
        {"classifier_dropout", PL_PROBABILITY, PLACE(cls_dropout), -1, 0, 0},                      \
        {"initializer_range", PL_REAL, PLACE(initializer_range), 0.02, 0, 100},                    \
    {                                                                                              \
        "hidden_act", PL_ACTIVATION, PLACE(hidden_act), PL_ACT_GELU, 0, 0                          \
    }

static const struct pl_member bert_members[] = {
    BERT_MEMBERS(30522, 0, -1, 768, 12, 12, 3072),
};
static const struct pl_member electra_members[] = {
    BERT_MEMBERS(30522, 0, -1, 256, 12, 4, 1024),
    {"embedding_size", PL_COUNT, PLACE(embedding_size), 128, 1, MAX_WIDTH},
};
/* Positions begin after that of the padding: there has to be one. */
static const struct pl_member roberta_members[] = {
    BERT_MEMBERS(50265, 1, 0, 768, 12, 12, 3072),
};
static const struct pl_member xlm_roberta_members[] = {
    BERT_MEMBERS(30522, 1, 0, 768, 12, 12, 3072),
};
static const struct pl_member distilbert_members[] = {
    {"vocab_size", PL_COUNT, PLACE(vocab_size), 30522, 1, MAX_VOCAB},
    {"pad_token_id", PL_INTEGER, PLACE(pad_token_id), 0, -1, MAX_VOCAB},
    {"dim", PL_COUNT, PLACE(hidden_size), 768, 1, MAX_WIDTH},
    {"n_layers", PL_COUNT, PLACE(num_hidden_layers), 6, 1, MAX_LAYERS},
    {"n_heads", PL_COUNT, PLACE(num_attention_heads), 12, 1, MAX_WIDTH},
    {"hidden_dim", PL_COUNT, PLACE(intermediate_size), 3072, 1, MAX_WIDTH},
    {"max_position_embeddings", PL_COUNT, PLACE(max_position_embeddings), 512, 1, MAX_POSITIONS},
    {"dropout", PL_PROBABILITY, PLACE(hidden_dropout_prob), 0.1, 0, 0},
    {"attention_dropout", PL_PROBABILITY, PLACE(attention_probs_dropout_prob), 0.1, 0, 0},
    {"seq_classif_dropout", PL_PROBABILITY, PLACE(cls_dropout), 0.2, 0, 0},
    {"qa_dropout", PL_PROBABILITY, PLACE(qa_dropout), 0.1, 0, 0},
    {"initializer_range", PL_REAL, PLACE(initializer_range), 0.02, 0, 100},
    {"activation", PL_ACTIVATION, PLACE(hidden_act), PL_ACT_GELU, 0, 0},
};

/* What they have no members for, and DeBERTa has. */
static void complete(struct pl_config *config)
{
    if (!config->embedding_size)
        config->embedding_size = config->hidden_size;
    config->pooler_hidden_size = config->hidden_size;
    config->position_biased_input = true;
    config->conv_groups = 1;
}

static enum prilora_status finish_bert(struct pl_config *config, const json_t *root,
                                       const char *path, struct prilora_error *err)
{
    enum prilora_status rc = check_plain(root, path, err);

    complete(config);
    return rc == PRILORA_OK ? check_shared(config, "hidden_size", path, err) : rc;
}

static enum prilora_status finish_roberta(struct pl_config *config, const json_t *root,
                                          const char *path, struct prilora_error *err)
{
    enum prilora_status rc = finish_bert(config, root, path, err);
    char problem[160];

    if (rc != PRILORA_OK || config->max_position_embeddings > (size_t)config->pad_token_id + 1)
        return rc;
    snprintf(problem, sizeof problem,
             "is %zu, but positions begin after that of the padding, pad_token_id %ld",
             config->max_position_embeddings, config->pad_token_id);
    return pl_member_fail(err, PRILORA_EFORMAT, path, "max_position_embeddings", problem);
}

static enum prilora_status finish_distilbert(struct pl_config *config, const json_t *root,
                                             const char *path, struct prilora_error *err)
{
    enum prilora_status rc = check_plain(root, path, err);

    complete(config);
    config->layer_norm_eps = 1e-12; /* not configurable */
    return rc == PRILORA_OK ? check_shared(config, "dim", path, err) : rc;
}

/* ---- the types ---------------------------------------------------------------------------- */

#define MEMBERS(table) table, sizeof table / sizeof *table

const struct pl_config_type pl_config_types[] = {
    {"deberta-v2", MEMBERS(deberta_members), finish_deberta},
    {"bert", MEMBERS(bert_members), finish_bert},
    {"distilbert", MEMBERS(distilbert_members), finish_distilbert},
    {"electra", MEMBERS(electra_members), finish_bert},
    {"roberta", MEMBERS(roberta_members), finish_roberta},
    {"xlm-roberta", MEMBERS(xlm_roberta_members), finish_roberta},
    {"camembert", MEMBERS(xlm_roberta_members), finish_roberta},
};
const size_t pl_n_config_types = sizeof pl_config_types / sizeof *pl_config_types;
