/* fingerprint.c - see fingerprint.h. */
#include "model/fingerprint.h"

#include <stdio.h>

#include "base/digest.h"
#include "model/architecture.h"

static void add_text(struct pl_digest *digest, const char *name, const char *value)
{
    char line[PL_BINDER_MAX_NAME + 128];
    int n = snprintf(line, sizeof line, "%s=%s\n", name, value);

    pl_digest_add(digest, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static void add_number(struct pl_digest *digest, const char *name, double value)
{
    char text[40];

    snprintf(text, sizeof text, "%.17g", value);
    add_text(digest, name, text);
}

/* What DeBERTa's fingerprint has always been made of, and then what matters to others alone. */
static void add_config(struct pl_digest *digest, const struct pl_model *model)
{
    const struct pl_config *c = &model->config;
    const struct {
        const char *name;
        double value;
    } members[] = {
        {"vocab_size", (double)c->vocab_size},
        {"hidden_size", (double)c->hidden_size},
        {"embedding_size", (double)c->embedding_size},
        {"num_hidden_layers", (double)c->num_hidden_layers},
        {"num_attention_heads", (double)c->num_attention_heads},
        {"intermediate_size", (double)c->intermediate_size},
        {"max_position_embeddings", (double)c->max_position_embeddings},
        {"type_vocab_size", (double)c->type_vocab_size},
        {"layer_norm_eps", c->layer_norm_eps},
        {"hidden_dropout_prob", c->hidden_dropout_prob},
        {"attention_probs_dropout_prob", c->attention_probs_dropout_prob},
        {"initializer_range", c->initializer_range},
        {"hidden_act", c->hidden_act},
        {"relative_attention", c->relative_attention},
        {"share_att_key", c->share_att_key},
        {"position_biased_input", c->position_biased_input},
        {"norm_rel_ebd", c->norm_rel_ebd},
        {"pos_c2p", c->pos_c2p},
        {"pos_p2c", c->pos_p2c},
        {"position_buckets", (double)c->position_buckets},
        {"max_relative_positions", (double)c->max_relative_positions},
        {"conv_kernel_size", (double)c->conv_kernel_size},
        {"conv_groups", (double)c->conv_groups},
        {"conv_act", c->conv_act},
        {"pooler_dropout", c->pooler_dropout},
        {"pooler_hidden_act", c->pooler_hidden_act},
        {"cls_dropout", c->cls_dropout},
    };

    add_text(digest, "model_type", c->model_type);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        add_number(digest, members[i].name, members[i].value);
    if (model->architecture->encoder.positions_after_padding)
        add_number(digest, "pad_token_id", (double)c->pad_token_id);
}

static void add_sample(struct pl_digest *digest, const struct pl_tensors *tensors,
                       const struct pl_tensor *tensor, size_t at, size_t size)
{
    char sample[PL_FINGERPRINT_SAMPLE];

    pl_tensors_fetch(tensors, tensor, sample, at, size);
    pl_digest_add(digest, sample, size);
}

static void add_tensor(struct pl_digest *digest, const struct pl_tensors *tensors,
                       const struct pl_tensor *tensor)
{
    size_t size = tensor->n_elements * pl_dtype_size(tensor->dtype);
    size_t sample = size < PL_FINGERPRINT_SAMPLE ? size : PL_FINGERPRINT_SAMPLE;
    char shape[128];

    add_text(digest, "tensor", tensor->name);
    add_text(digest, pl_dtype_name(tensor->dtype), pl_tensor_shape(tensor, shape, sizeof shape));
    if (!sample)
        return;
    add_sample(digest, tensors, tensor, 0, sample);
    add_sample(digest, tensors, tensor, size - sample, sample);
}

void pl_fingerprint(char out[65], const struct pl_model *model, const struct pl_binder *binder)
{
    const struct pl_head_tensors *h = &model->head;
    const struct pl_tensor *head[] = {h->dense_weight, h->dense_bias, h->weight, h->bias};
    struct pl_digest digest;

    pl_digest_init(&digest);
    add_config(&digest, model);
    for (size_t i = 0; i < binder->n; i++)
        add_tensor(&digest, model->tensors, binder->bindings[i].tensor);
    for (size_t i = 0; i < sizeof head / sizeof *head; i++)
        if (head[i])
            add_tensor(&digest, model->tensors, head[i]);
    pl_digest_hex(&digest, out);
}
