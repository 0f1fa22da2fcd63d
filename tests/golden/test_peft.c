/*
 * test_peft.c - our folder against PEFT 0.18's of the same values: the same tensors, name by name
 * and bit by bit; and PEFT's folder read by us gives the reference's logits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/file.h"
#include "base/memory.h"
#include "support/golden.h"
#include "support/scratch.h"
#include "train/export.h"
#include "train/import.h"

/* PEFT's folder for the model that is looked at. */
static const char *theirs_path(const struct test_golden *golden, const char *file)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/peft-adapter%s%s", golden->expected, *file ? "/" : "", file);
    return path;
}

static char *const labels[TEST_GOLDEN_OUTPUTS] = {"LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"};

static void must(enum prilora_status rc, const struct prilora_error *err)
{
    if (rc != PRILORA_OK)
        fail_msg("%s: %s", err->where, err->message);
}

static void export_golden(const struct test_golden *golden, const char *folder)
{
    struct prilora_result result = {0};
    struct pl_export x = {
        .layout = golden->engine->layout,
        .adapter = golden->engine->adapter,
        .sites = golden->model->sites,
        .params = golden->params,
        .spec = golden->spec,
        .base_name = "ckpt/tiny-deberta",
        .base_fingerprint = golden->model->fingerprint,
        .task = PRILORA_TASK_CLASSIFICATION,
        .labels = labels,
        .n_labels = TEST_GOLDEN_OUTPUTS,
        .result = &result,
    };
    struct prilora_error err;

    must(pl_export_write(&x, folder, &err), &err);
}

static void compare_tensors(const char *model)
{
    struct test_golden golden;
    struct pl_tensors *ours, *theirs;
    struct prilora_error err;

    test_golden_open(&golden, model, 1);
    export_golden(&golden, test_scratch_path("ours"));
    must(pl_tensors_open_safetensors(&ours, test_scratch_path("ours/adapter_model.safetensors"),
                                     &err),
         &err);
    must(pl_tensors_open_safetensors(&theirs, theirs_path(&golden, "adapter_model.safetensors"),
                                     &err),
         &err);
    assert_int_equal(pl_tensors_count(ours), pl_tensors_count(theirs));
    for (size_t i = 0; i < pl_tensors_count(theirs); i++) {
        const struct pl_tensor *t = pl_tensors_at(theirs, i), *o = pl_tensors_find(ours, t->name);

        if (!o)
            fail_msg("ours lacks %s", t->name);
        assert_int_equal(o->dtype, t->dtype);
        assert_int_equal(o->n_dims, t->n_dims);
        assert_memory_equal(o->dims, t->dims, t->n_dims * sizeof *t->dims);
        assert_memory_equal(o->data, t->data, t->n_elements * sizeof(float));
    }
    pl_tensors_close(ours);
    pl_tensors_close(theirs);
    test_golden_close(&golden);
}

static void our_tensors_are_peft_s(void **state)
{
    (void)state;
    for (size_t k = 0; test_golden_models[k]; k++)
        compare_tensors(test_golden_models[k]);
}

static json_t *load(const char *path)
{
    json_t *root = json_load_file(path, 0, NULL);

    if (!root)
        fail_msg("cannot load %s", path);
    return root;
}

/* PEFT's own keys are suffixes, ours whole paths; both say the same rank of every module. */
static void compare_ranks(const char *model)
{
    struct test_golden golden;
    json_t *ours, *theirs, *rank;
    const char *suffix;

    test_golden_open(&golden, model, 1);
    export_golden(&golden, test_scratch_path("config"));
    ours = load(test_scratch_path("config/adapter_config.json"));
    theirs = load(theirs_path(&golden, "adapter_config.json"));
    json_object_foreach (json_object_get(theirs, "rank_pattern"), suffix, rank) {
        char path[160];

        /* "bert.encoder..." of "tiny-bert" */
        snprintf(path, sizeof path, "%s.%s", strchr(model, '-') + 1, suffix);
        assert_true(json_equal(json_object_get(json_object_get(ours, "rank_pattern"), path), rank));
        assert_int_equal(
            json_integer_value(json_object_get(json_object_get(ours, "alpha_pattern"), path)), 16);
    }
    assert_int_equal(json_object_size(json_object_get(ours, "rank_pattern")), 18);
    assert_int_equal(json_object_size(json_object_get(ours, "alpha_pattern")), 18);
    json_decref(ours);
    json_decref(theirs);
    test_golden_close(&golden);
}

static void our_ranks_are_peft_s_by_full_path(void **state)
{
    (void)state;
    for (size_t k = 0; test_golden_models[k]; k++)
        compare_ranks(test_golden_models[k]);
}

/* The names that PEFT itself gives: the pooler of BERT is the base's. */
static void the_modules_that_were_trained_whole_are_named(void **state)
{
    static const char *const saved[][2] = {
        {"tiny-deberta", "[\"classifier\", \"pooler\"]"},
        {"tiny-bert", "[\"classifier\"]"},
        {"tiny-roberta", "[\"classifier\"]"},
    };

    (void)state;
    for (size_t k = 0; k < sizeof saved / sizeof *saved; k++) {
        struct test_golden golden;
        json_t *config;
        char *text;

        test_golden_open(&golden, saved[k][0], 1);
        export_golden(&golden, test_scratch_path("saved"));
        config = load(test_scratch_path("saved/adapter_config.json"));
        text = json_dumps(json_object_get(config, "modules_to_save"), 0);
        assert_string_equal(text, saved[k][1]);
        free(text);
        json_decref(config);
        test_golden_close(&golden);
    }
}

/* Logits of the reference's batch under the adapter of a folder. */
static void compute(const struct test_golden *golden, const char *folder, pl_real *logits)
{
    struct pl_engine_limits limits = {
        .n_outputs = TEST_GOLDEN_OUTPUTS,
        .max_sequences = TEST_GOLDEN_SEQUENCES,
        .longest = TEST_GOLDEN_PADDED,
        .n_threads = 2,
    };
    struct pl_import in;
    struct prilora_spec *spec;
    struct pl_engine *engine;
    struct prilora_error err;
    struct pl_shares cut;
    pl_real *params;

    must(pl_import_open(&in, folder, &err), &err);
    must(pl_import_spec(&spec, &in, golden->model, &err), &err);
    must(pl_engine_new(&engine, golden->model, spec, PRILORA_TASK_CLASSIFICATION, &limits, &err),
         &err);
    params = pl_calloc_aligned(engine->layout->size, sizeof *params);
    must(pl_import_fill(&in, golden->model, engine, params, 0, &err), &err);
    must(pl_shares_new(&cut, TEST_GOLDEN_SEQUENCES, &err), &err);
    pl_shares_fill(&cut, golden->starts, TEST_GOLDEN_SEQUENCES, engine->budget);
    assert_true(pl_engine_evaluate(engine, &golden->batch, &cut, params, logits, NULL));
    pl_shares_free(&cut);
    free(params);
    pl_engine_free(engine);
    prilora_spec_free(spec);
    pl_import_close(&in);
}

static void compare_logits(const char *model)
{
    pl_real logits[TEST_GOLDEN_SEQUENCES * TEST_GOLDEN_OUTPUTS];
    struct test_golden golden;

    test_golden_open(&golden, model, 1);
    compute(&golden, theirs_path(&golden, ""), logits);
    test_golden_compare(&golden, "out.", "logits", logits,
                        TEST_GOLDEN_SEQUENCES * TEST_GOLDEN_OUTPUTS);
    export_golden(&golden, test_scratch_path("own"));
    compute(&golden, test_scratch_path("own"), logits);
    test_golden_compare(&golden, "out.", "logits", logits,
                        TEST_GOLDEN_SEQUENCES * TEST_GOLDEN_OUTPUTS);
    test_golden_close(&golden);
}

static void peft_s_folder_gives_the_reference_s_logits(void **state)
{
    (void)state;
    for (size_t k = 0; test_golden_models[k]; k++)
        compare_logits(test_golden_models[k]);
}

#define THEIRS "tests/golden/expected/tiny-deberta/peft-adapter"

/* Copies PEFT's tensors beside a configuration with one member changed. */
static const char *changed_folder(const char *name, const char *member, json_t *value)
{
    static char folder[512];
    char inner[64], *text;
    size_t size;
    json_t *config = load(THEIRS "/adapter_config.json");
    struct prilora_error err;

    snprintf(folder, sizeof folder, "%s", test_scratch_path(name));
    must(pl_file_make_folder(folder, &err), &err);
    json_object_set_new(config, member, value);
    text = json_dumps(config, 0);
    snprintf(inner, sizeof inner, "%s/adapter_config.json", name);
    test_scratch_write(inner, text, strlen(text));
    free(text);
    json_decref(config);
    text = test_file(THEIRS "/adapter_model.safetensors", &size);
    snprintf(inner, sizeof inner, "%s/adapter_model.safetensors", name);
    test_scratch_write(inner, text, size);
    free(text);
    return folder;
}

/* 16 / 4 = 8 / sqrt(4) and so on by layer: the same adapter told with other words. */
static void alpha_patterns_and_rslora_are_understood(void **state)
{
    pl_real logits[TEST_GOLDEN_SEQUENCES * TEST_GOLDEN_OUTPUTS];
    struct test_golden golden;
    const char *folder;

    (void)state;
    test_golden_open(&golden, "tiny-deberta", 1);
    folder = changed_folder("alpha", "alpha_pattern",
                            json_pack("{s:i, s:i}", "encoder\\.layer\\.[01]\\..*", 16,
                                      "layer.2.output.dense", 16));
    compute(&golden, folder, logits);
    test_golden_compare(&golden, "out.", "logits", logits, 20);
    /* alpha / sqrt(rank) = 16 / rank: alpha = 16 / sqrt(rank), 8 for the first layer's rank 4 */
    folder = changed_folder("rslora", "alpha_pattern",
                            json_pack("{s:f, s:f, s:f}", "layer.0..*", 8.0, "layer.1..*",
                                      5.656854249492381, "layer.2..*", 11.313708498984761));
    {
        char path[600], *text;
        json_t *config;

        snprintf(path, sizeof path, "%s/adapter_config.json", folder);
        config = load(path);
        json_object_set_new(config, "use_rslora", json_true());
        text = json_dumps(config, 0);
        test_scratch_write("rslora/adapter_config.json", text, strlen(text));
        free(text);
        json_decref(config);
    }
    compute(&golden, folder, logits);
    test_golden_compare(&golden, "out.", "logits", logits, 20);
    test_golden_close(&golden);
}

static void check_refused(const char *folder, enum prilora_status status, const char *message)
{
    struct pl_import in;
    struct prilora_error err;

    assert_int_equal(pl_import_open(&in, folder, &err), status);
    if (!strstr(err.message, message))
        fail_msg("\"%s\" is not in \"%s\"", message, err.message);
}

static void what_would_compute_something_else_is_refused(void **state)
{
    (void)state;
    check_refused(changed_folder("dora", "use_dora", json_true()), PRILORA_EUNSUPPORTED,
                  "use_dora is set, but DoRA cannot be computed here");
    check_refused(changed_folder("bias", "bias", json_string("all")), PRILORA_EUNSUPPORTED,
                  "bias is set");
    check_refused(changed_folder("type", "peft_type", json_string("IA3")), PRILORA_EUNSUPPORTED,
                  "peft_type is \"IA3\", but only \"LORA\" is read");
    check_refused(changed_folder("number", "lora_alpha", json_string("16")), PRILORA_EFORMAT,
                  "lora_alpha must be a number");
    check_refused(test_scratch_path("nowhere"), PRILORA_ENOENT, "adapter_config.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_tensors_are_peft_s),
        cmocka_unit_test(our_ranks_are_peft_s_by_full_path),
        cmocka_unit_test(the_modules_that_were_trained_whole_are_named),
        cmocka_unit_test(peft_s_folder_gives_the_reference_s_logits),
        cmocka_unit_test(alpha_patterns_and_rslora_are_understood),
        cmocka_unit_test(what_would_compute_something_else_is_refused),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
