/* fuzz_config.c - any bytes as config.json; what is accepted keeps the promises of config.h. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "io/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

static int is_probability(double p)
{
    return p >= 0 && p < 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct prilora_error err;
    struct pl_config c;

    if (pl_config_parse(&c, (const char *)data, size, "input", &err) != PRILORA_OK) {
        check(c.labels == NULL && err.message[0] != '\0');
        return 0;
    }
    check(c.hidden_size > 0 && c.num_attention_heads > 0 && c.num_hidden_layers > 0);
    check(c.hidden_size % c.num_attention_heads == 0);
    check(c.embedding_size > 0 && c.intermediate_size > 0 && c.vocab_size > 0);
    check(c.max_position_embeddings > 0 && c.pooler_hidden_size == c.hidden_size);
    check(c.conv_groups > 0 && c.hidden_size % c.conv_groups == 0);
    check(c.conv_kernel_size == 0 || c.conv_kernel_size % 2 == 1);
    check(is_probability(c.hidden_dropout_prob) && is_probability(c.attention_probs_dropout_prob));
    check(is_probability(c.pooler_dropout) && (c.cls_dropout < 0 || is_probability(c.cls_dropout)));
    check(c.layer_norm_eps >= 0);
    check(c.n_labels > 0 && c.n_labels <= PL_CONFIG_MAX_LABELS);
    for (size_t i = 0; c.labels && i < c.n_labels; i++)
        check(c.labels[i] != NULL && strlen(c.labels[i]) < size);
    pl_config_free(&c);
    return 0;
}
