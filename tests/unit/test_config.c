/* test_config.c - config.json: what absent members mean, and what is refused with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/config.h"
#include "support/scratch.h"

static enum prilora_status parse(struct pl_config *config, const char *json,
                                 struct prilora_error *err)
{
    memset(err, 0, sizeof *err);
    return pl_config_parse(config, json, strlen(json), "c", err);
}

/* {"model_type": "deberta-v2", members} */
static void accepted(struct pl_config *config, const char *members)
{
    struct prilora_error err;
    char json[1024];

    snprintf(json, sizeof json, "{\"model_type\": \"deberta-v2\"%s%s}", *members ? ", " : "",
             members);
    if (parse(config, json, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
}

/* The values of DebertaV2Config() in transformers, and of getattr() where it has no member. */
static void absent_members_have_the_values_of_transformers(void **state)
{
    struct pl_config c;

    (void)state;
    accepted(&c, "");
    assert_string_equal(c.model_type, "deberta-v2");
    assert_int_equal(c.vocab_size, 128100);
    assert_int_equal(c.hidden_size, 1536);
    assert_int_equal(c.embedding_size, 1536);
    assert_int_equal(c.num_hidden_layers, 24);
    assert_int_equal(c.num_attention_heads, 24);
    assert_int_equal(c.intermediate_size, 6144);
    assert_int_equal(c.max_position_embeddings, 512);
    assert_int_equal(c.type_vocab_size, 0);
    assert_true(c.layer_norm_eps == 1e-7);
    assert_true(c.hidden_dropout_prob == 0.1);
    assert_true(c.attention_probs_dropout_prob == 0.1);
    assert_true(c.initializer_range == 0.02);
    assert_int_equal(c.hidden_act, PL_ACT_GELU);
    assert_int_equal(c.pad_token_id, 0);
    assert_false(c.relative_attention);
    assert_false(c.share_att_key);
    assert_true(c.position_biased_input);
    assert_false(c.norm_rel_ebd);
    assert_false(c.pos_c2p);
    assert_false(c.pos_p2c);
    assert_int_equal(c.position_buckets, -1);
    assert_int_equal(c.max_relative_positions, -1);
    assert_int_equal(c.conv_kernel_size, 0);
    assert_int_equal(c.conv_groups, 1);
    assert_int_equal(c.conv_act, PL_ACT_TANH);
    assert_int_equal(c.pooler_hidden_size, 1536);
    assert_true(c.pooler_dropout == 0);
    assert_int_equal(c.pooler_hidden_act, PL_ACT_GELU);
    assert_true(c.cls_dropout < 0);
    assert_int_equal(c.n_labels, 2);
    assert_null(c.labels);
    pl_config_free(&c);
}

static void null_is_the_same_as_absent(void **state)
{
    struct pl_config c;

    (void)state;
    accepted(&c, "\"hidden_size\": null, \"pos_att_type\": null, \"cls_dropout\": null, "
                 "\"norm_rel_ebd\": null, \"id2label\": null, \"position_biased_input\": null");
    assert_int_equal(c.hidden_size, 1536);
    assert_false(c.pos_c2p || c.pos_p2c);
    assert_true(c.cls_dropout < 0);
    assert_true(c.position_biased_input);
    assert_int_equal(c.n_labels, 2);
    pl_config_free(&c);
}

static void the_reference_model_is_read_in_full(void **state)
{
    struct pl_config c;
    struct prilora_error err;

    (void)state;
    assert_int_equal(pl_config_read(&c, "tests/golden/models/tiny-deberta", &err), PRILORA_OK);
    assert_int_equal(c.vocab_size, 320);
    assert_int_equal(c.hidden_size, 64);
    assert_int_equal(c.embedding_size, 64);
    assert_int_equal(c.num_hidden_layers, 3);
    assert_int_equal(c.num_attention_heads, 4);
    assert_int_equal(c.intermediate_size, 160);
    assert_int_equal(c.max_position_embeddings, 64);
    assert_int_equal(c.position_buckets, 16);
    assert_true(c.relative_attention && c.share_att_key && c.norm_rel_ebd);
    assert_true(c.pos_c2p && c.pos_p2c);
    assert_false(c.position_biased_input);
    assert_int_equal(c.n_labels, 4);
    assert_string_equal(c.labels[0], "LABEL_0");
    assert_string_equal(c.labels[3], "LABEL_3");
    pl_config_free(&c);
    assert_int_equal(pl_config_read(&c, "examples/prilora-mini-en", &err), PRILORA_OK);
    assert_int_equal(c.hidden_size, 128);
    pl_config_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_members_have_the_values_of_transformers),
        cmocka_unit_test(null_is_the_same_as_absent),
        cmocka_unit_test(the_reference_model_is_read_in_full),
    };

    return cmocka_run_group_tests_name("config", tests, test_scratch_open, test_scratch_close);
}
