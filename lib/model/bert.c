/*
 * bert.c - BERT and its relatives: encoders with absolute positions, which differ in names, in the
 * embeddings and in the head.
 *
 * Source   Devlin et al. 2018, arXiv:1810.04805 (BERT); Liu et al. 2019, arXiv:1907.11692
 *          (RoBERTa); Sanh et al. 2019, arXiv:1910.01108 (DistilBERT); Conneau et al. 2019,
 *          arXiv:1911.02116 (XLM-R); Martin et al. 2019, arXiv:1911.03894 (CamemBERT); Clark et al.
 *          2020, arXiv:2003.10555 (ELECTRA); names and order of operations are those of
 *          transformers' ...ForSequenceClassification
 */
#include "model/architecture.h"
#include "model/encoder.h"

#define BERT_LAYERS                                                                                \
    .layers = "encoder.layer",                                                                     \
    .maps = {"attention.self.query",   "attention.self.key", "attention.self.value",               \
             "attention.output.dense", "intermediate.dense", "output.dense"},                      \
    .norms = {"attention.output.LayerNorm", "output.LayerNorm"}

#define PLAIN                                                                                      \
    .bind = pl_encoder_bind, .forward = pl_encoder_forward, .backward = pl_encoder_backward

const struct pl_architecture pl_architecture_bert = {
    .model_type = "bert",
    .prefix = "bert.",
    .class_name = "BertForSequenceClassification",
    .encoder = {BERT_LAYERS},
    .head = {.dense = "bert.pooler.dense",
             .classifier = "classifier",
             .dense_of_encoder = true,
             .activation = PL_ACT_TANH},
    PLAIN,
};

const struct pl_architecture pl_architecture_distilbert = {
    .model_type = "distilbert",
    .prefix = "distilbert.",
    .class_name = "DistilBertForSequenceClassification",
    .encoder = {.layers = "transformer.layer",
                .maps = {"attention.q_lin", "attention.k_lin", "attention.v_lin",
                         "attention.out_lin", "ffn.lin1", "ffn.lin2"},
                .norms = {"sa_layer_norm", "output_layer_norm"},
                .attention_output_kept = true},
    .head = {.dense = "pre_classifier",
             .classifier = "classifier",
             .own_dropout = true,
             .activation = PL_ACT_RELU},
    PLAIN,
};

const struct pl_architecture pl_architecture_electra = {
    .model_type = "electra",
    .prefix = "electra.",
    .class_name = "ElectraForSequenceClassification",
    .encoder = {BERT_LAYERS, .projection = "embeddings_project", .projection_last = true},
    .head = {.dense = "classifier.dense",
             .classifier = "classifier.out_proj",
             .same_dropout = true,
             .activation = PL_ACT_GELU},
    PLAIN,
};

/* Position 0 of a text has the row after that of the padding. */
#define ROBERTA(type, class)                                                                       \
    {                                                                                              \
        .model_type = type, .prefix = "roberta.", .class_name = class "ForSequenceClassification", \
        .encoder = {BERT_LAYERS, .positions_after_padding = true},                                 \
        .head = {.dense = "classifier.dense",                                                      \
                 .classifier = "classifier.out_proj",                                              \
                 .same_dropout = true,                                                             \
                 .activation = PL_ACT_TANH},                                                       \
        PLAIN,                                                                                     \
    }

const struct pl_architecture pl_architecture_roberta = ROBERTA("roberta", "Roberta");
const struct pl_architecture pl_architecture_xlm_roberta = ROBERTA("xlm-roberta", "XLMRoberta");
const struct pl_architecture pl_architecture_camembert = ROBERTA("camembert", "Camembert");
