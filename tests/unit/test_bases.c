/*
 * test_bases.c - a folder of each model type as a base, with a tokenizer of its kind: opened,
 * forecast, trained on, exported, read back, merged, and the merged model opened.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/memory.h"
#include "io/tensors.h"
#include "support/close.h"
#include "support/scratch.h"
#include "support/tiny.h"
#include "support/training.h"
#include "train/base.h"
#include "train/engine.h"
#include "train/feed.h"

enum { LAYERS = 2, LABELS = 3, N_TRAIN = 24, N_VALID = 6 };

/* What Hugging Face's class calls things; heads by what the checkpoint has of them. */
static const struct expected {
    struct test_tiny tiny;
    const char *class_name, *query, *saved;
    const char *head[4];   /* what is trained whole */
    const char *frozen[2]; /* what a merged model has beside it */
    const char *absent[2]; /* and has not */
} types[] = {
    {{.type = "deberta-v2", .pos_att_type = "p2c|c2p", .buckets = 6},
     "DebertaV2ForSequenceClassification",
     "deberta.encoder.layer.1.attention.self.query_proj",
     "[\"classifier\", \"pooler\"]",
     {"pooler.dense.weight", "pooler.dense.bias", "classifier.weight", "classifier.bias"},
     {"deberta.encoder.layer.0.output.LayerNorm.weight", NULL},
     {"embeddings.word_embeddings.weight", NULL}},
    {{.type = "bert", .pooler = true, .old_norms = true, .extra = "cls.predictions.bias"},
     "BertForSequenceClassification",
     "bert.encoder.layer.1.attention.self.query",
     "[\"classifier\"]",
     {"classifier.weight", "classifier.bias", NULL, NULL},
     {"bert.pooler.dense.weight", "bert.embeddings.LayerNorm.weight"},
     {"bert.embeddings.LayerNorm.gamma", "cls.predictions.bias"}},
    {{.type = "bert", .bare = true}, /* of a model for masked words: it has no pooler */
     "BertForSequenceClassification",
     "bert.encoder.layer.1.attention.self.query",
     "[\"classifier\", \"pooler\"]",
     {"bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"},
     {"bert.embeddings.LayerNorm.weight", NULL},
     {"pooler.dense.weight", "embeddings.LayerNorm.weight"}},
    {{.type = "bert", .bare = true, .pooler = true},
     "BertForSequenceClassification",
     "bert.encoder.layer.1.attention.self.query",
     "[\"classifier\"]",
     {"classifier.weight", "classifier.bias", NULL, NULL},
     {"bert.pooler.dense.weight", NULL},
     {"pooler.dense.weight", NULL}},
    {{.type = "distilbert"},
     "DistilBertForSequenceClassification",
     "distilbert.transformer.layer.1.attention.q_lin",
     "[\"classifier\", \"pre_classifier\"]",
     {"pre_classifier.weight", "pre_classifier.bias", "classifier.weight", "classifier.bias"},
     {"distilbert.transformer.layer.1.sa_layer_norm.weight", NULL},
     {"distilbert.embeddings.token_type_embeddings.weight", NULL}},
    {{.type = "electra", .embedding = 8, .extra = "discriminator_predictions.dense.bias"},
     "ElectraForSequenceClassification",
     "electra.encoder.layer.1.attention.self.query",
     "[\"classifier\"]",
     {"classifier.dense.weight", "classifier.dense.bias", "classifier.out_proj.weight",
      "classifier.out_proj.bias"},
     {"electra.embeddings_project.weight", "electra.embeddings_project.bias"},
     {"discriminator_predictions.dense.bias", NULL}},
    {{.type = "roberta", .extra = "roberta.pooler.dense.bias"},
     "RobertaForSequenceClassification",
     "roberta.encoder.layer.1.attention.self.query",
     "[\"classifier\"]",
     {"classifier.dense.weight", "classifier.dense.bias", "classifier.out_proj.weight",
      "classifier.out_proj.bias"},
     {"roberta.embeddings.position_embeddings.weight", NULL},
     {"roberta.pooler.dense.bias", NULL}},
    {{.type = "xlm-roberta"},
     "XLMRobertaForSequenceClassification",
     "roberta.encoder.layer.1.attention.self.query",
     "[\"classifier\"]",
     {"classifier.dense.weight", "classifier.dense.bias", "classifier.out_proj.weight",
      "classifier.out_proj.bias"},
     {"roberta.embeddings.position_embeddings.weight", NULL},
     {NULL, NULL}},
    {{.type = "camembert", .bare = true},
     "CamembertForSequenceClassification",
     "roberta.encoder.layer.1.attention.self.query",
     "[\"classifier\"]",
     {"classifier.dense.weight", "classifier.dense.bias", "classifier.out_proj.weight",
      "classifier.out_proj.bias"},
     {"roberta.embeddings.position_embeddings.weight", NULL},
     {"embeddings.position_embeddings.weight", NULL}},
};
#define N_TYPES (sizeof types / sizeof *types)

/* A base, and what was made of it. */
struct trained {
    const struct expected *expected;
    char folder[600], adapter[600];
    struct prilora_base *base;
    struct prilora_dataset *train, *valid;
    struct prilora_spec *spec;
};

static const char *const words[LABELS] = {"ships sail", "my garden grows", "loud music"};

static struct prilora_dataset *data_of(const struct trained *t, const char *name, size_t n,
                                       const struct prilora_dataset *train)
{
    struct prilora_dataset_options options = {.train = train, .name = name};
    struct prilora_dataset *data;
    struct prilora_error err;
    char text[4096];
    size_t used = 0;

    for (size_t i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "{\"text\": \"%s\", \"label\": \"kind %zu\"}\n", words[i % LABELS],
                                 i % LABELS);
    test_must(prilora_dataset_read(&data, t->base, test_scratch_write(name, text, used), &options,
                                   &err),
              &err);
    return data;
}

static void train(struct trained *t, const struct expected *expected)
{
    static const char settings[] =
        "{\"seed\": 7, \"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
        "{\"batch_size\": 8, \"n_epochs\": 3, \"rank_start\": 2, \"rank_end\": 4, "
        "\"prune_interval\": 3, \"learning_rate\": 0.02, \"lora_dropout\": 0.1}}}}";
    struct prilora_run_options options = {.n_threads = 2};
    struct prilora_run *run;
    struct prilora_error err;

    *t = (struct trained){.expected = expected};
    snprintf(t->folder, sizeof t->folder, "%s", test_tiny_write_base("base", &expected->tiny));
    snprintf(t->adapter, sizeof t->adapter, "%s", test_scratch_path("adapter"));
    test_must(prilora_base_open(&t->base, t->folder, &err), &err);
    t->train = data_of(t, "train.jsonl", N_TRAIN, NULL);
    t->valid = data_of(t, "valid.jsonl", N_VALID, t->train);
    test_must(prilora_spec_parse(&t->spec, settings, strlen(settings), &err), &err);
    test_must(prilora_run_open(&run, t->base, t->spec, t->train, t->valid, &options, &err), &err);
    test_must(prilora_run_train(run, &err), &err);
    test_must(prilora_run_export(run, t->adapter, "the base", NULL, &err), &err);
    prilora_run_close(run);
}

static void let_go(struct trained *t)
{
    prilora_spec_free(t->spec);
    prilora_dataset_free(t->train);
    prilora_dataset_free(t->valid);
    prilora_base_close(t->base);
}

/* ---- the base ---- */

static void check_base(const struct trained *t)
{
    struct prilora_base_info info;
    struct prilora_forecast forecast;
    struct prilora_error err;

    prilora_base_describe(t->base, &info);
    assert_string_equal(info.model_type, t->expected->tiny.type);
    assert_int_equal(info.n_layers, LAYERS);
    assert_int_equal(info.max_positions, 16); /* tokens, whatever the table has beside */
    assert_int_equal(info.n_unused, t->expected->tiny.extra ? 1 : 0);
    test_must(prilora_run_forecast(&forecast, t->base, t->spec, t->train, t->valid, &err), &err);
    assert_int_equal(forecast.total_steps, 3 * N_TRAIN / 8);
    assert_true(forecast.flops > 0 && forecast.memory_bytes > forecast.base_bytes);
    test_must(prilora_run_forecast(&forecast, t->base, t->spec, NULL, NULL, &err), &err);
}

/* ---- the adapter ---- */

static json_t *load(const char *folder, const char *file)
{
    char path[700];
    json_t *root;

    snprintf(path, sizeof path, "%s/%s", folder, file);
    root = json_load_file(path, 0, NULL);
    if (!root)
        fail_msg("cannot load %s", path);
    return root;
}

static void check_config(const struct trained *t)
{
    json_t *config = load(t->adapter, "adapter_config.json");
    char *saved = json_dumps(json_object_get(config, "modules_to_save"), 0);

    assert_string_equal(saved, t->expected->saved);
    assert_int_equal(json_array_size(json_object_get(config, "target_modules")), 6 * LAYERS);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(config, "rank_pattern"),
                                                        t->expected->query)),
                     4);
    free(saved);
    json_decref(config);
}

static void check_tensors(const struct trained *t)
{
    struct pl_tensors *tensors;
    struct prilora_error err;
    char path[700], name[200];
    size_t n = 2 * 6 * LAYERS;

    snprintf(path, sizeof path, "%s/adapter_model.safetensors", t->adapter);
    test_must(pl_tensors_open_safetensors(&tensors, path, &err), &err);
    for (size_t i = 0; i < 4 && t->expected->head[i]; i++, n++) {
        snprintf(name, sizeof name, "base_model.model.%s", t->expected->head[i]);
        if (!pl_tensors_find(tensors, name))
            fail_msg("%s: no %s", t->expected->tiny.type, name);
    }
    assert_int_equal(pl_tensors_count(tensors), n);
    snprintf(name, sizeof name, "base_model.model.%s.lora_B.weight", t->expected->query);
    assert_non_null(pl_tensors_find(tensors, name));
    pl_tensors_close(tensors);
}

/* Settings that are left open are told from the adapter: it fits its own base. */
static void check_continue(const struct trained *t)
{
    struct prilora_spec *spec;
    struct prilora_error err;

    test_must(prilora_spec_continue(&spec, "{}", 2, t->base, t->adapter, &err), &err);
    assert_int_equal(spec->rank_end, 4);
    prilora_spec_free(spec);
}

/* Probabilities of the validation texts. */
static void predict(const struct trained *t, double values[N_VALID * LABELS])
{
    struct prilora_text texts[N_VALID];
    struct prilora_adapter *adapter;
    struct prilora_error err;

    for (size_t i = 0; i < N_VALID; i++)
        texts[i] = (struct prilora_text){.text = words[i % LABELS],
                                         .text_size = strlen(words[i % LABELS])};
    test_must(prilora_adapter_open(&adapter, t->base, t->adapter, NULL, &err), &err);
    assert_string_equal(prilora_adapter_label(adapter, 0), "kind 0");
    test_must(prilora_adapter_predict(adapter, texts, N_VALID, NULL, NULL, values, &err), &err);
    prilora_adapter_close(adapter);
}

/* ---- merged ---- */

static void write_form(struct prilora_form *form, const char *name)
{
    mkdir(test_scratch_path(name), 0700);
    for (size_t i = 0; i < prilora_form_count(form); i++) {
        size_t size = (size_t)prilora_form_size(form, i);
        char inner[200], *bytes = calloc(1, size + 1);
        struct prilora_error err;

        test_must(prilora_form_read(form, i, 0, bytes, size, &err), &err);
        snprintf(inner, sizeof inner, "%s/%s", name, prilora_form_name(form, i));
        test_scratch_write(inner, bytes, size);
        free(bytes);
    }
}

/* What a base says with its own head: fresh adapters have B = 0. */
static void predict_alone(const struct trained *t, const struct prilora_base *base,
                          double values[N_VALID * LABELS])
{
    struct pl_batch batch = pl_feed_all(t->valid);
    struct pl_engine_limits limits = {.n_outputs = LABELS,
                                      .longest = t->valid->longest,
                                      .n_threads = 1};
    pl_real logits[N_VALID * LABELS], *params;
    struct pl_engine *engine;
    struct pl_shares cut;
    struct prilora_error err;
    bool known = false;

    test_must(pl_engine_new(&engine, base->model, t->spec, PRILORA_TASK_CLASSIFICATION, &limits,
                            &err),
              &err);
    params = pl_calloc_aligned(engine->layout->size, sizeof *params);
    pl_net_init(engine->net, params, 0, &known);
    assert_true(known);
    test_must(pl_shares_new(&cut, N_VALID, &err), &err);
    pl_shares_fill(&cut, batch.starts, N_VALID, engine->budget);
    pl_engine_evaluate(engine, &batch, &cut, params, logits, NULL);
    for (size_t i = 0; i < N_VALID; i++) {
        double sum = 0;

        for (size_t k = 0; k < LABELS; k++)
            sum += exp((double)logits[i * LABELS + k]);
        for (size_t k = 0; k < LABELS; k++)
            values[i * LABELS + k] = exp((double)logits[i * LABELS + k]) / sum;
    }
    pl_shares_free(&cut);
    free(params);
    pl_engine_free(engine);
}

static void check_merged_names(const struct trained *t)
{
    const struct expected *e = t->expected;
    json_t *config = load(test_scratch_path("merged"), "config.json");
    struct pl_tensors *tensors;
    struct prilora_error err;

    assert_string_equal(json_string_value(
                            json_array_get(json_object_get(config, "architectures"), 0)),
                        e->class_name);
    assert_string_equal(json_string_value(json_object_get(config, "model_type")), e->tiny.type);
    test_must(pl_tensors_open_folder(&tensors, test_scratch_path("merged"), &err), &err);
    for (size_t i = 0; i < 4 && e->head[i]; i++)
        if (!pl_tensors_find(tensors, e->head[i]))
            fail_msg("%s: merged without %s", e->tiny.type, e->head[i]);
    for (size_t i = 0; i < 2 && e->frozen[i]; i++)
        if (!pl_tensors_find(tensors, e->frozen[i]))
            fail_msg("%s: merged without %s", e->tiny.type, e->frozen[i]);
    for (size_t i = 0; i < 2 && e->absent[i]; i++)
        if (pl_tensors_find(tensors, e->absent[i]))
            fail_msg("%s: merged with %s", e->tiny.type, e->absent[i]);
    pl_tensors_close(tensors);
    json_decref(config);
}

static void check_merged(const struct trained *t, const double expected[N_VALID * LABELS])
{
    double values[N_VALID * LABELS];
    struct prilora_base_info info;
    struct prilora_form *form;
    struct prilora_base *merged;
    struct prilora_error err;

    test_must(prilora_form_merged(&form, t->base, t->folder, t->adapter, &err), &err);
    write_form(form, "merged");
    prilora_form_close(form);
    check_merged_names(t);
    test_must(prilora_base_open(&merged, test_scratch_path("merged"), &err), &err);
    prilora_base_describe(merged, &info);
    assert_int_equal(info.n_unused, 0);
    predict_alone(t, merged, values);
    /* each product rounds once more or less, 6e-8 relative, in two layers; values near 1 */
    for (size_t i = 0; i < N_VALID * LABELS; i++)
        test_close(values[i], expected[i], 2e-5);
    prilora_base_close(merged);
}

static void every_type_goes_the_whole_way(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_TYPES; i++) {
        double values[N_VALID * LABELS], most = 0;
        struct trained t;

        /* what is left of another must not help */
        assert_int_equal(test_scratch_close(state), 0);
        assert_int_equal(test_scratch_open(state), 0);
        train(&t, &types[i]);
        check_base(&t);
        check_config(&t);
        check_tensors(&t);
        check_continue(&t);
        predict(&t, values);
        for (size_t k = 1; k < LABELS; k++)
            most = fmax(most, fabs(values[k * LABELS] - values[0]));
        if (!(most > 1e-2))
            fail_msg("%s says the same of everything", types[i].tiny.type);
        check_merged(&t, values);
        let_go(&t);
    }
}

/* A name of PEFT's, or the word that is the same for all. */
static void maps_are_named_by_path_or_by_kind(void **state)
{
    static const struct {
        const char *type, *targets;
        size_t n; /* of adapted maps */
    } cases[] = {
        {"distilbert", "[\"q_lin\", \"v_lin\"]", 4},
        {"distilbert", "[\"query\", \"value\"]", 4},
        {"distilbert", "[\"1.ffn.lin2\"]", 1},
        {"bert", "[\"query\", \"attention_output\"]", 4},
        {"bert", "[\"output.dense\"]", 4}, /* as PEFT: both end so */
        {"bert", "[\"output\"]", 2},
        {"roberta", "[\"intermediate\"]", 2},
        {"electra", "\".*\\\\.0\\\\.attention\\\\.self\\\\..*\"", 3},
        {"deberta-v2", "[\"key\"]", 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct test_tiny tiny = {.type = cases[i].type};
        struct pl_layout layout = {0};
        struct pl_adapter adapter;
        struct prilora_spec *spec;
        struct prilora_error err;
        struct pl_model *model;
        char json[300];

        snprintf(json, sizeof json,
                 "{\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
                 "{\"target_modules\": %s}}}}",
                 cases[i].targets);
        test_must(prilora_spec_parse(&spec, json, strlen(json), &err), &err);
        test_must(pl_model_open(&model, test_tiny_write("targets", &tiny), &err), &err);
        test_must(pl_adapter_plan(&adapter, &layout, model->sites, model->n_sites, LAYERS, spec,
                                  &err),
                  &err);
        if (adapter.n_adapted != cases[i].n)
            fail_msg("%s: %s means %zu maps", cases[i].type, cases[i].targets, adapter.n_adapted);
        pl_adapter_free(&adapter);
        pl_layout_free(&layout);
        pl_model_close(model);
        prilora_spec_free(spec);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_goes_the_whole_way),
        cmocka_unit_test(maps_are_named_by_path_or_by_kind),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
