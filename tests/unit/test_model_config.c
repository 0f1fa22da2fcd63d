/* test_config.c - config.json: what absent members mean, and what is refused with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* The members that only DeBERTa v2 (not v3) sets. */
static void the_members_of_v2_are_read(void **state)
{
    struct pl_config c;

    (void)state;
    accepted(&c, "\"conv_kernel_size\": 3, \"conv_act\": \"gelu\", \"conv_groups\": 2, "
                 "\"embedding_size\": 512, \"hidden_act\": \"gelu_new\", \"type_vocab_size\": 2, "
                 "\"max_relative_positions\": 64, \"cls_dropout\": 0, \"pad_token_id\": -1, "
                 "\"attention_head_size\": 64");
    assert_int_equal(c.conv_kernel_size, 3);
    assert_int_equal(c.conv_act, PL_ACT_GELU);
    assert_int_equal(c.conv_groups, 2);
    assert_int_equal(c.embedding_size, 512);
    assert_int_equal(c.hidden_act, PL_ACT_GELU_TANH);
    assert_int_equal(c.type_vocab_size, 2);
    assert_int_equal(c.max_relative_positions, 64);
    assert_true(c.cls_dropout == 0);
    assert_int_equal(c.pad_token_id, -1);
    pl_config_free(&c);
}

/* transformers lowers the string, splits at '|' and strips; a list is taken as it is. */
static void pos_att_type_is_a_string_or_a_list(void **state)
{
    static const struct {
        const char *json;
        bool c2p, p2c;
    } cases[] = {
        {"\"pos_att_type\": \"p2c|c2p\"", true, true},
        {"\"pos_att_type\": \"c2p\"", true, false},
        {"\"pos_att_type\": \" P2C | \"", false, true},
        {"\"pos_att_type\": \"\"", false, false},
        {"\"pos_att_type\": [\"p2c\"]", false, true},
        {"\"pos_att_type\": []", false, false},
        {"\"pos_att_type\": [\"c2p\", \"p2c\"]", true, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pl_config c;

        accepted(&c, cases[i].json);
        assert_int_equal(c.pos_c2p, cases[i].c2p);
        assert_int_equal(c.pos_p2c, cases[i].p2c);
        pl_config_free(&c);
    }
}

static void activations_have_the_names_of_transformers(void **state)
{
    static const struct {
        const char *name;
        enum pl_activation value;
    } cases[] = {{"gelu", PL_ACT_GELU},           {"gelu_python", PL_ACT_GELU},
                 {"gelu_new", PL_ACT_GELU_TANH},  {"gelu_pytorch_tanh", PL_ACT_GELU_TANH},
                 {"gelu_fast", PL_ACT_GELU_TANH}, {"relu", PL_ACT_RELU},
                 {"tanh", PL_ACT_TANH},           {"silu", PL_ACT_SILU},
                 {"swish", PL_ACT_SILU}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pl_config c;
        char json[64];

        snprintf(json, sizeof json, "\"pooler_hidden_act\": \"%s\"", cases[i].name);
        accepted(&c, json);
        assert_int_equal(c.pooler_hidden_act, cases[i].value);
        pl_config_free(&c);
    }
}

static void labels_are_numbered_from_0(void **state)
{
    struct pl_config c;

    (void)state;
    accepted(&c, "\"id2label\": {\"1\": \"no\", \"0\": \"yes\", \"2\": 7}");
    assert_int_equal(c.n_labels, 3);
    assert_string_equal(c.labels[0], "yes");
    assert_string_equal(c.labels[1], "no");
    assert_string_equal(c.labels[2], "7");
    pl_config_free(&c);
    accepted(&c, "\"num_labels\": 5");
    assert_int_equal(c.n_labels, 5);
    assert_null(c.labels);
    pl_config_free(&c);
    accepted(&c, "\"num_labels\": 2, \"id2label\": {\"0\": \"a\", \"1\": \"b\"}");
    assert_string_equal(c.labels[1], "b");
    pl_config_free(&c);
    accepted(&c, "\"num_labels\": 3, \"id2label\": {\"0\": \"a\", \"1\": \"b\"}");
    assert_int_equal(c.n_labels, 3);
    assert_null(c.labels);
    pl_config_free(&c);
}

static void refused(const char *members, enum prilora_status status, const char *where,
                    const char *message)
{
    struct pl_config config;
    struct prilora_error err;
    char json[1024];

    snprintf(json, sizeof json, "{\"model_type\": \"deberta-v2\", %s}", members);
    assert_int_equal(parse(&config, json, &err), status);
    assert_string_equal(err.message, message);
    assert_string_equal(err.where, where);
    assert_null(config.labels);
}

static void numbers_out_of_range_are_refused(void **state)
{
    (void)state;
    refused("\"hidden_size\": \"64\"", PRILORA_EFORMAT, "/hidden_size",
            "c: hidden_size is not an integer");
    refused("\"hidden_size\": 64.0", PRILORA_EFORMAT, "/hidden_size",
            "c: hidden_size is not an integer");
    refused("\"hidden_size\": 0", PRILORA_EFORMAT, "/hidden_size",
            "c: hidden_size is 0, but must be from 1 to 262144");
    refused("\"vocab_size\": -5", PRILORA_EFORMAT, "/vocab_size",
            "c: vocab_size is -5, but must be from 1 to 16777216");
    refused("\"num_hidden_layers\": 9223372036854775807", PRILORA_EFORMAT, "/num_hidden_layers",
            "c: num_hidden_layers is 9.22337203685e+18, but must be from 1 to 4096");
    refused("\"hidden_dropout_prob\": 1", PRILORA_EFORMAT, "/hidden_dropout_prob",
            "c: hidden_dropout_prob is 1, but must be at least 0 and below 1");
    refused("\"cls_dropout\": -0.1", PRILORA_EFORMAT, "/cls_dropout",
            "c: cls_dropout is -0.1, but must be at least 0 and below 1");
    refused("\"layer_norm_eps\": true", PRILORA_EFORMAT, "/layer_norm_eps",
            "c: layer_norm_eps is not a number");
    refused("\"relative_attention\": 1", PRILORA_EFORMAT, "/relative_attention",
            "c: relative_attention is not true or false");
}

static void words_that_are_not_known_are_refused(void **state)
{
    (void)state;
    refused("\"hidden_act\": \"mish\"", PRILORA_EUNSUPPORTED, "/hidden_act",
            "c: hidden_act is 'mish'; supported are gelu, gelu_python, gelu_new, "
            "gelu_pytorch_tanh, gelu_fast, relu, tanh, silu and swish");
    refused("\"hidden_act\": 1", PRILORA_EFORMAT, "/hidden_act", "c: hidden_act is not a string");
    refused("\"pos_att_type\": \"c2p|p2p\"", PRILORA_EUNSUPPORTED, "/pos_att_type",
            "c: pos_att_type has 'p2p'; supported are c2p and p2c");
    refused("\"pos_att_type\": [1]", PRILORA_EFORMAT, "/pos_att_type",
            "c: pos_att_type is neither a string nor a list of strings");
    refused("\"pos_att_type\": true", PRILORA_EFORMAT, "/pos_att_type",
            "c: pos_att_type is neither a string nor a list of strings");
    refused("\"norm_rel_ebd\": \"batch_norm\"", PRILORA_EUNSUPPORTED, "/norm_rel_ebd",
            "c: norm_rel_ebd has 'batch_norm'; supported are layer_norm and none");
}

static void members_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    refused("\"hidden_size\": 64, \"num_attention_heads\": 7", PRILORA_EFORMAT, "/hidden_size",
            "c: hidden_size is 64, which 7 attention heads do not divide");
    refused("\"attention_head_size\": 32", PRILORA_EUNSUPPORTED, "/attention_head_size",
            "c: attention_head_size is not hidden_size / num_attention_heads");
    refused("\"pad_token_id\": 128100", PRILORA_EFORMAT, "/pad_token_id",
            "c: pad_token_id is 128100, but the vocabulary has 128100 entries");
    refused("\"pooler_hidden_size\": 768", PRILORA_EFORMAT, "/pooler_hidden_size",
            "c: pooler_hidden_size is 768, but hidden_size is 1536");
    refused("\"conv_kernel_size\": 4", PRILORA_EFORMAT, "/conv_kernel_size",
            "c: conv_kernel_size is 4, but must be odd");
    refused("\"conv_groups\": 7", PRILORA_EFORMAT, "/conv_groups",
            "c: conv_groups is 7, which does not divide hidden_size 1536");
}

static void wrong_labels_are_refused(void **state)
{
    (void)state;
    refused("\"id2label\": {\"0\": \"a\", \"2\": \"b\"}", PRILORA_EFORMAT, "/id2label",
            "c: id2label does not number its labels from 0 on");
    refused("\"id2label\": {\"0\": \"a\", \"01\": \"b\"}", PRILORA_EFORMAT, "/id2label",
            "c: id2label does not number its labels from 0 on");
    refused("\"id2label\": {\"0\": null}", PRILORA_EFORMAT, "/id2label",
            "c: id2label has a label that is not a string");
    refused("\"id2label\": [\"a\"]", PRILORA_EFORMAT, "/id2label",
            "c: id2label is not an object of labels");
    refused("\"num_labels\": 0", PRILORA_EFORMAT, "/num_labels",
            "c: num_labels is 0, but must be from 1 to 65536");
}

/* The values of BertConfig() and so on in transformers. */
static void absent_members_depend_on_the_type(void **state)
{
    static const struct {
        const char *type;
        size_t vocab, hidden, embedding, layers, heads, wide, types;
        long padding;
        double classifier_dropout;
    } cases[] = {
        {"bert", 30522, 768, 768, 12, 12, 3072, 2, 0, -1},
        {"distilbert", 30522, 768, 768, 6, 12, 3072, 0, 0, 0.2},
        {"electra", 30522, 256, 128, 12, 4, 1024, 2, 0, -1},
        {"roberta", 50265, 768, 768, 12, 12, 3072, 2, 1, -1},
        {"xlm-roberta", 30522, 768, 768, 12, 12, 3072, 2, 1, -1},
        {"camembert", 30522, 768, 768, 12, 12, 3072, 2, 1, -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct prilora_error err;
        struct pl_config c;
        char json[64];

        snprintf(json, sizeof json, "{\"model_type\": \"%s\"}", cases[i].type);
        assert_int_equal(parse(&c, json, &err), PRILORA_OK);
        assert_string_equal(c.model_type, cases[i].type);
        assert_int_equal(c.vocab_size, cases[i].vocab);
        assert_int_equal(c.hidden_size, cases[i].hidden);
        assert_int_equal(c.embedding_size, cases[i].embedding);
        assert_int_equal(c.num_hidden_layers, cases[i].layers);
        assert_int_equal(c.num_attention_heads, cases[i].heads);
        assert_int_equal(c.intermediate_size, cases[i].wide);
        assert_int_equal(c.max_position_embeddings, 512);
        assert_int_equal(c.type_vocab_size, cases[i].types);
        assert_int_equal(c.pad_token_id, cases[i].padding);
        assert_true(c.cls_dropout == cases[i].classifier_dropout);
        assert_true(c.layer_norm_eps == 1e-12);
        assert_true(c.hidden_dropout_prob == 0.1 && c.attention_probs_dropout_prob == 0.1);
        assert_int_equal(c.hidden_act, PL_ACT_GELU);
        assert_true(c.position_biased_input && !c.relative_attention);
        pl_config_free(&c);
    }
}

static void distilbert_s_own_names_are_read(void **state)
{
    struct prilora_error err;
    struct pl_config c;
    static const char json[] =
        "{\"model_type\": \"distilbert\", \"dim\": 64, \"n_layers\": 3, \"n_heads\": 4, "
        "\"hidden_dim\": 160, \"activation\": \"relu\", \"dropout\": 0.3, "
        "\"attention_dropout\": 0.25, \"seq_classif_dropout\": 0.5, \"sinusoidal_pos_embds\": "
        "true, \"tie_weights_\": true}";

    (void)state;
    assert_int_equal(parse(&c, json, &err), PRILORA_OK);
    assert_int_equal(c.hidden_size, 64);
    assert_int_equal(c.num_hidden_layers, 3);
    assert_int_equal(c.num_attention_heads, 4);
    assert_int_equal(c.intermediate_size, 160);
    assert_int_equal(c.hidden_act, PL_ACT_RELU);
    assert_true(c.hidden_dropout_prob == 0.3 && c.attention_probs_dropout_prob == 0.25);
    assert_true(c.cls_dropout == 0.5);
    pl_config_free(&c);
}

static void variants_that_are_not_computed_are_refused(void **state)
{
    static const struct {
        const char *type, *member;
        enum prilora_status status;
        const char *where, *message;
    } cases[] = {
        {"bert", "\"position_embedding_type\": \"relative_key_query\"", PRILORA_EUNSUPPORTED,
         "/position_embedding_type",
         "c: position_embedding_type is 'relative_key_query', but of this model_type only "
         "'absolute' is supported"},
        {"electra", "\"position_embedding_type\": 3", PRILORA_EFORMAT, "/position_embedding_type",
         "c: position_embedding_type is not a string"},
        {"roberta", "\"is_decoder\": true", PRILORA_EUNSUPPORTED, "/is_decoder",
         "c: is_decoder is true, but only encoders are supported"},
        {"bert", "\"add_cross_attention\": true", PRILORA_EUNSUPPORTED, "/add_cross_attention",
         "c: add_cross_attention is true, but only encoders are supported"},
        {"distilbert", "\"pruned_heads\": {\"0\": [1]}", PRILORA_EUNSUPPORTED, "/pruned_heads",
         "c: pruned_heads is not empty, but only layers with all their heads are supported"},
        {"distilbert", "\"n_heads\": 7", PRILORA_EFORMAT, "/dim",
         "c: dim is 768, which 7 attention heads do not divide"},
        {"roberta", "\"pad_token_id\": -1", PRILORA_EFORMAT, "/pad_token_id",
         "c: pad_token_id is -1, but must be from 0 to 16777216"},
        {"xlm-roberta", "\"max_position_embeddings\": 2", PRILORA_EFORMAT,
         "/max_position_embeddings",
         "c: max_position_embeddings is 2, but positions begin after that of the padding, "
         "pad_token_id 1"},
        {"camembert", "\"pad_token_id\": 40000", PRILORA_EFORMAT, "/pad_token_id",
         "c: pad_token_id is 40000, but the vocabulary has 30522 entries"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct prilora_error err;
        struct pl_config c;
        char json[160];

        snprintf(json, sizeof json, "{\"model_type\": \"%s\", %s}", cases[i].type, cases[i].member);
        assert_int_equal(parse(&c, json, &err), cases[i].status);
        assert_string_equal(err.message, cases[i].message);
        assert_string_equal(err.where, cases[i].where);
    }
}

/* What published files say of what is as it is here. */
static void variants_that_are_none_are_accepted(void **state)
{
    static const char json[] =
        "{\"model_type\": \"bert\", \"position_embedding_type\": \"absolute\", "
        "\"is_decoder\": false, \"pruned_heads\": {}, \"gradient_checkpointing\": false, "
        "\"classifier_dropout\": null, \"use_cache\": true}";
    struct prilora_error err;
    struct pl_config c;

    (void)state;
    assert_int_equal(parse(&c, json, &err), PRILORA_OK);
    assert_true(c.cls_dropout < 0);
    pl_config_free(&c);
}

#define SUPPORTED "deberta-v2, bert, distilbert, electra, roberta, xlm-roberta, camembert"

static void other_models_are_named_with_what_is_supported(void **state)
{
    struct pl_config c;
    struct prilora_error err;

    (void)state;
    assert_int_equal(parse(&c, "{\"model_type\": \"t5\"}", &err), PRILORA_EUNSUPPORTED);
    assert_string_equal(err.message, "c: model_type is 't5'; supported: " SUPPORTED);
    assert_string_equal(err.where, "/model_type");
    assert_int_equal(parse(&c, "{\"model_type\": \"albert\"}", &err), PRILORA_EUNSUPPORTED);
    assert_string_equal(err.message,
                        "c: model_type is 'albert', whose layers share one set of "
                        "weights and so cannot have ranks of their own; supported: " SUPPORTED);
    assert_int_equal(parse(&c, "{}", &err), PRILORA_EFORMAT);
    assert_string_equal(err.message, "c: model_type is missing");
    assert_int_equal(parse(&c, "[]", &err), PRILORA_EFORMAT);
    assert_string_equal(err.message, "c: not a JSON object");
    assert_int_equal(parse(&c, "{\n\n", &err), PRILORA_EFORMAT);
    assert_string_equal(err.where, "c:3");
}

static void a_missing_or_huge_file_is_refused(void **state)
{
    struct pl_config c;
    struct prilora_error err;
    char folder[1024], expected[1200];
    const char *path = test_scratch_write("config.json", "", 0);

    (void)state;
    assert_int_equal(truncate(path, (16 << 20) + 1), 0);
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    assert_int_equal(pl_config_read(&c, folder, &err), PRILORA_ELIMIT);
    snprintf(expected, sizeof expected, "%s: 16777217 bytes, but at most 16777216 are read", path);
    assert_string_equal(err.message, expected);
    unlink(path);
    assert_int_equal(pl_config_read(&c, folder, &err), PRILORA_ENOENT);
    pl_config_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_members_have_the_values_of_transformers),
        cmocka_unit_test(null_is_the_same_as_absent),
        cmocka_unit_test(the_reference_model_is_read_in_full),
        cmocka_unit_test(the_members_of_v2_are_read),
        cmocka_unit_test(pos_att_type_is_a_string_or_a_list),
        cmocka_unit_test(activations_have_the_names_of_transformers),
        cmocka_unit_test(absent_members_depend_on_the_type),
        cmocka_unit_test(distilbert_s_own_names_are_read),
        cmocka_unit_test(variants_that_are_not_computed_are_refused),
        cmocka_unit_test(variants_that_are_none_are_accepted),
        cmocka_unit_test(labels_are_numbered_from_0),
        cmocka_unit_test(numbers_out_of_range_are_refused),
        cmocka_unit_test(words_that_are_not_known_are_refused),
        cmocka_unit_test(members_that_contradict_each_other_are_refused),
        cmocka_unit_test(wrong_labels_are_refused),
        cmocka_unit_test(other_models_are_named_with_what_is_supported),
        cmocka_unit_test(a_missing_or_huge_file_is_refused),
    };

    return cmocka_run_group_tests_name("config", tests, test_scratch_open, test_scratch_close);
}
