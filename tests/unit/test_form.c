/* test_form.c - an adapter merged into its base, and with one rank for all maps: files that are
 * computed while they are read. */
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
#include "support/training.h"
#include "train/base.h"
#include "train/engine.h"
#include "train/feed.h"

#define BASE "examples/prilora-mini-en"

enum { LAYERS = 6, LABELS = 3, N_VALID = 12 };

static char adapter[600], common[600]; /* folders */

static void train(const char *settings, const char *name)
{
    struct prilora_spec *spec = test_training_spec(settings);
    struct prilora_run_options options = {.n_threads = 2};
    struct prilora_run *run = test_training_run(spec, test_training.valid, &options);
    struct prilora_error err;

    test_must(prilora_run_train(run, &err), &err);
    test_must(prilora_run_export(run, test_scratch_path(name), BASE, NULL, &err), &err);
    prilora_run_close(run);
    prilora_spec_free(spec);
}

static int open_group(void **state)
{
    if (test_training_open(state) != 0)
        return -1;
    /* ranks 2 to 4; a rate at which B grows to where a mistake in it would be seen */
    train("\"learning_rate\": 0.02", "adapter");
    train("\"learning_rate\": 0.02, \"scaling\": \"common\"", "common");
    snprintf(adapter, sizeof adapter, "%s", test_scratch_path("adapter"));
    snprintf(common, sizeof common, "%s", test_scratch_path("common"));
    return 0;
}

static struct prilora_form *open_merged(void)
{
    struct prilora_form *form;
    struct prilora_error err;

    test_must(prilora_form_merged(&form, test_training.base, BASE, adapter, &err), &err);
    return form;
}

static struct prilora_form *open_uniform(const char *folder)
{
    struct prilora_form *form;
    struct prilora_error err;

    test_must(prilora_form_uniform(&form, folder, &err), &err);
    return form;
}

static size_t find_file(const struct prilora_form *form, const char *name)
{
    size_t i = 0;

    while (i < prilora_form_count(form) && strcmp(prilora_form_name(form, i), name) != 0)
        i++;
    assert_true(i < prilora_form_count(form));
    return i;
}

static char *read_file(struct prilora_form *form, const char *name, size_t *size)
{
    size_t file = find_file(form, name);
    struct prilora_error err;
    char *bytes;

    *size = (size_t)prilora_form_size(form, file);
    bytes = calloc(1, *size + 1);
    assert_non_null(bytes);
    test_must(prilora_form_read(form, file, 0, bytes, *size, &err), &err);
    return bytes;
}

/* All files into the scratch folder `name`; its path. */
static const char *write_all(struct prilora_form *form, const char *name)
{
    const char *path = test_scratch_path(name);

    mkdir(path, 0700);
    for (size_t i = 0; i < prilora_form_count(form); i++) {
        char inner[200], *bytes;
        size_t size;

        snprintf(inner, sizeof inner, "%s/%s", name, prilora_form_name(form, i));
        bytes = read_file(form, prilora_form_name(form, i), &size);
        test_scratch_write(inner, bytes, size);
        free(bytes);
    }
    return test_scratch_path(name);
}

/* What the adapter says of the validation texts: softmax of its logits. */
static void predict(const char *folder, double values[N_VALID * LABELS])
{
    FILE *file = fopen(test_scratch_path("valid.jsonl"), "r");
    struct prilora_text texts[N_VALID];
    json_t *rows[N_VALID];
    struct prilora_adapter *opened;
    struct prilora_error err;

    assert_non_null(file);
    test_must(prilora_adapter_open(&opened, test_training.base, folder, NULL, &err), &err);
    for (size_t i = 0; i < N_VALID; i++) {
        rows[i] = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL);
        texts[i] = (struct prilora_text){
            .text = json_string_value(json_object_get(rows[i], "text")),
            .text_size = json_string_length(json_object_get(rows[i], "text")),
        };
    }
    fclose(file);
    test_must(prilora_adapter_predict(opened, texts, N_VALID, NULL, NULL, values, &err), &err);
    for (size_t i = 0; i < N_VALID; i++)
        json_decref(rows[i]);
    prilora_adapter_close(opened);
}

/* The same of a base alone, with its own head: fresh adapters have B = 0. */
static void predict_without_adapter(const struct prilora_base *base,
                                    double values[N_VALID * LABELS])
{
    struct pl_batch batch = pl_feed_all(test_training.valid);
    struct pl_engine_limits limits = {.n_outputs = LABELS,
                                      .longest = test_training.valid->longest,
                                      .n_threads = 1};
    pl_real logits[N_VALID * LABELS], *params;
    struct prilora_spec *spec;
    struct pl_engine *engine;
    struct pl_shares cut;
    bool known = false;

    assert_int_equal(prilora_spec_parse(&spec, "{}", 2, NULL), PRILORA_OK);
    assert_int_equal(pl_engine_new(&engine, base->model, spec, PRILORA_TASK_CLASSIFICATION, &limits,
                                   NULL),
                     PRILORA_OK);
    params = pl_calloc_aligned(engine->layout->size, sizeof *params);
    pl_net_init(engine->net, params, 0, &known);
    assert_true(known);
    assert_int_equal(pl_shares_new(&cut, N_VALID, NULL), PRILORA_OK);
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
    prilora_spec_free(spec);
}

/* ---- merged ---- */

static void the_merged_model_says_what_base_and_adapter_say(void **state)
{
    struct prilora_form *form = open_merged();
    const char *folder = write_all(form, "merged");
    double values[N_VALID * LABELS], expected[N_VALID * LABELS], base[N_VALID * LABELS];
    struct prilora_base *merged;
    struct prilora_error err;
    double most = 0;

    (void)state;
    predict(adapter, expected);
    test_must(prilora_base_open(&merged, folder, &err), &err);
    predict_without_adapter(merged, values);
    /* one sum where there were two: each product rounds once more or less, 6e-8 relative, over
     * six layers; probabilities move by less than that */
    for (size_t i = 0; i < N_VALID * LABELS; i++)
        test_close(values[i], expected[i], 2e-5);
    /* and the adapter had something to say: the same head on the bare base differs */
    for (size_t i = 0; i < test_training.base->model->n_sites; i++)
        merged->model->maps[i] = test_training.base->model->maps[i];
    predict_without_adapter(merged, base);
    for (size_t i = 0; i < N_VALID * LABELS; i++)
        most = fmax(most, fabs(base[i] - expected[i]));
    assert_true(most > 1e-2);
    for (size_t i = 0; i < test_training.base->model->n_sites; i++)
        merged->model->maps[i] = (struct pl_linear){0};
    prilora_base_close(merged);
    prilora_form_close(form);
}

/* As AutoModelForSequenceClassification names them, of a DeBERTa-v2 without token types. */
static void the_tensors_have_hugging_face_s_names(void **state)
{
    static const char *const of_layer[] = {
        "attention.output.LayerNorm.bias",
        "attention.output.LayerNorm.weight",
        "attention.output.dense.bias",
        "attention.output.dense.weight",
        "attention.self.key_proj.bias",
        "attention.self.key_proj.weight",
        "attention.self.query_proj.bias",
        "attention.self.query_proj.weight",
        "attention.self.value_proj.bias",
        "attention.self.value_proj.weight",
        "intermediate.dense.bias",
        "intermediate.dense.weight",
        "output.LayerNorm.bias",
        "output.LayerNorm.weight",
        "output.dense.bias",
        "output.dense.weight",
    };
    static const char *const others[] = {
        "classifier.bias",
        "classifier.weight",
        "deberta.embeddings.LayerNorm.bias",
        "deberta.embeddings.LayerNorm.weight",
        "deberta.embeddings.word_embeddings.weight",
        "deberta.encoder.LayerNorm.bias",
        "deberta.encoder.LayerNorm.weight",
        "deberta.encoder.rel_embeddings.weight",
        "pooler.dense.bias",
        "pooler.dense.weight",
    };
    const size_t n_of_layer = sizeof of_layer / sizeof *of_layer,
                 n_others = sizeof others / sizeof *others;
    struct prilora_form *form = open_merged();
    struct pl_tensors *tensors;
    struct prilora_error err;
    char *bytes;
    size_t size;

    (void)state;
    bytes = read_file(form, "model.safetensors", &size);
    test_must(pl_tensors_parse_safetensors(&tensors, bytes, size, "merged", &err), &err);
    for (size_t l = 0; l < LAYERS; l++) {
        for (size_t i = 0; i < n_of_layer; i++) {
            char name[160];

            snprintf(name, sizeof name, "deberta.encoder.layer.%zu.%s", l, of_layer[i]);
            if (!pl_tensors_find(tensors, name))
                fail_msg("no %s", name);
        }
    }
    for (size_t i = 0; i < n_others; i++)
        if (!pl_tensors_find(tensors, others[i]))
            fail_msg("no %s", others[i]);
    assert_int_equal(pl_tensors_count(tensors), LAYERS * n_of_layer + n_others);
    for (size_t i = 0; i < pl_tensors_count(tensors); i++)
        assert_int_equal(pl_tensors_at(tensors, i)->dtype, PL_F32);
    pl_tensors_close(tensors);
    free(bytes);
    prilora_form_close(form);
}

/* W + alpha/r * B A, from the three files, in double. */
static void a_merged_weight_is_the_sum(void **state)
{
    static const char module[] = "deberta.encoder.layer.5.output.dense"; /* rank 4 */
    struct prilora_form *form = open_merged();
    struct pl_tensors *merged, *frozen, *low;
    const struct pl_tensor *w, *f, *a, *b;
    char name[200], path[700], *bytes;
    double most = 0;
    size_t size;

    (void)state;
    bytes = read_file(form, "model.safetensors", &size);
    assert_int_equal(pl_tensors_parse_safetensors(&merged, bytes, size, "merged", NULL),
                     PRILORA_OK);
    assert_int_equal(pl_tensors_open_folder(&frozen, BASE, NULL), PRILORA_OK);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", adapter);
    assert_int_equal(pl_tensors_open_safetensors(&low, path, NULL), PRILORA_OK);
    snprintf(name, sizeof name, "%s.weight", module);
    assert_non_null(w = pl_tensors_find(merged, name));
    assert_non_null(f = pl_tensors_find(frozen, name));
    snprintf(name, sizeof name, "base_model.model.%s.lora_A.weight", module);
    assert_non_null(a = pl_tensors_find(low, name));
    snprintf(name, sizeof name, "base_model.model.%s.lora_B.weight", module);
    assert_non_null(b = pl_tensors_find(low, name));
    assert_int_equal(a->dims[0], 4);
    for (size_t o = 0; o < w->dims[0]; o++) {
        for (size_t i = 0; i < w->dims[1]; i++) {
            pl_real was, is, x, y;
            double sum = 0;

            pl_tensor_read(f, &was, o * w->dims[1] + i, 1);
            pl_tensor_read(w, &is, o * w->dims[1] + i, 1);
            for (size_t k = 0; k < 4; k++) {
                pl_tensor_read(a, &x, k * w->dims[1] + i, 1);
                pl_tensor_read(b, &y, o * 4 + k, 1);
                sum += 16.0 / 4 * (double)x * (double)y;
            }
            most = fmax(most, fabs(sum));
            /* nine roundings to float of numbers below 1 */
            test_close((double)is, (double)was + sum, 9 * 0x1p-24);
        }
    }
    assert_true(most > 1e-3);
    pl_tensors_close(merged);
    pl_tensors_close(frozen);
    pl_tensors_close(low);
    free(bytes);
    prilora_form_close(form);
}

static void the_configuration_is_the_base_s_with_the_labels(void **state)
{
    struct prilora_form *form = open_merged();
    json_t *expected = json_load_file(BASE "/config.json", 0, NULL), *config;
    size_t size;
    char *text = read_file(form, "config.json", &size);

    (void)state;
    json_object_update_new(
        expected, json_pack("{s:[s], s:{s:s, s:s, s:s}, s:{s:i, s:i, s:i}, s:i, s:s, s:s}",
                            "architectures", "DebertaV2ForSequenceClassification", "id2label", "0",
                            "class 0", "1", "class 1", "2", "class 2", "label2id", "class 0", 0,
                            "class 1", 1, "class 2", 2, "num_labels", 3, "problem_type",
                            "single_label_classification", "torch_dtype", "float32"));
    config = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_true(json_equal(config, expected));
    json_decref(config);
    json_decref(expected);
    free(text);
    text = read_file(form, "spm.model", &size);
    {
        size_t n;
        char *original = test_file(BASE "/spm.model", &n);

        assert_int_equal(n, size);
        assert_memory_equal(text, original, n);
        free(original);
    }
    free(text);
    prilora_form_close(form);
}

/* ---- pieces ---- */

/* Sizes that cut numbers, rows, chunks and tensors; every offset is the start of some piece. */
static void check_pieces(struct prilora_form *form, const char *name)
{
    static const size_t sizes[] = {3, 509, 4096, 16384 * 4 + 1, 100001};
    size_t file = find_file(form, name), size;
    char *whole = read_file(form, name, &size), *piece = malloc(200000);

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        /* the smallest sizes only over a part: a byte at a time through all would take minutes */
        size_t end = sizes[s] < 4096 && size > 60000 ? 60000 : size;

        for (size_t at = s; at < end; at += sizes[s]) {
            size_t n = size - at < sizes[s] ? size - at : sizes[s];

            assert_int_equal(prilora_form_read(form, file, at, piece, n, NULL), PRILORA_OK);
            assert_memory_equal(piece, whole + at, n);
        }
    }
    assert_int_equal(prilora_form_read(form, file, size, piece, 0, NULL), PRILORA_OK);
    assert_int_equal(prilora_form_read(form, file, size, piece, 1, NULL), PRILORA_EINVAL);
    assert_int_equal(prilora_form_read(form, file, UINT64_MAX, piece, 2, NULL), PRILORA_EINVAL);
    assert_int_equal(prilora_form_read(form, 99, 0, piece, 1, NULL), PRILORA_EINVAL);
    free(piece);
    free(whole);
}

static void pieces_of_any_size_are_the_same_bytes(void **state)
{
    struct prilora_form *merged = open_merged(), *uniform = open_uniform(adapter);

    (void)state;
    check_pieces(merged, "model.safetensors");
    check_pieces(merged, "config.json");
    check_pieces(merged, "spm.model");
    check_pieces(uniform, "adapter_model.safetensors");
    prilora_form_close(merged);
    prilora_form_close(uniform);
}

static void fingerprints_tell_what_differs(void **state)
{
    struct prilora_form *forms[4] = {open_merged(), open_merged(), open_uniform(adapter),
                                     open_uniform(common)};
    char prints[4][65];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(prilora_form_fingerprint(forms[i], prints[i], NULL), PRILORA_OK);
        assert_int_equal(strspn(prints[i], "0123456789abcdef"), 64);
        prilora_form_close(forms[i]);
    }
    assert_string_equal(prints[0], prints[1]);
    assert_string_not_equal(prints[0], prints[2]);
    assert_string_not_equal(prints[2], prints[3]);
}

/* ---- one rank ---- */

static void an_adapter_of_one_rank_says_the_same(void **state)
{
    struct prilora_form *form = open_uniform(adapter);
    double values[N_VALID * LABELS], expected[N_VALID * LABELS];

    (void)state;
    predict(write_all(form, "uniform"), values);
    predict(adapter, expected);
    /* scales that went into B round it once more, 6e-8 relative */
    for (size_t i = 0; i < N_VALID * LABELS; i++)
        test_close(values[i], expected[i], 1e-5);
    prilora_form_close(form);
}

static void it_has_one_rank_and_no_patterns(void **state)
{
    struct prilora_form *form = open_uniform(adapter);
    char path[700], *text, *bytes;
    struct pl_tensors *tensors;
    json_t *config, *original;
    size_t size, n_pairs = 0;

    (void)state;
    text = read_file(form, "adapter_config.json", &size);
    config = json_loads(text, 0, NULL);
    free(text);
    snprintf(path, sizeof path, "%s/adapter_config.json", adapter);
    original = json_load_file(path, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(config, "r")), 4);
    assert_int_equal(json_integer_value(json_object_get(config, "lora_alpha")), 4);
    assert_null(json_object_get(config, "rank_pattern"));
    assert_null(json_object_get(config, "alpha_pattern"));
    assert_true(json_equal(json_object_get(config, "target_modules"),
                           json_object_get(original, "target_modules")));
    json_decref(config);
    json_decref(original);
    bytes = read_file(form, "adapter_model.safetensors", &size);
    assert_int_equal(pl_tensors_parse_safetensors(&tensors, bytes, size, "uniform", NULL),
                     PRILORA_OK);
    for (size_t i = 0; i < pl_tensors_count(tensors); i++) {
        const struct pl_tensor *t = pl_tensors_at(tensors, i);

        n_pairs += strstr(t->name, ".lora_A.") != NULL;
        if (strstr(t->name, ".lora_A."))
            assert_int_equal(t->dims[0], 4);
        if (strstr(t->name, ".lora_B."))
            assert_int_equal(t->dims[1], 4);
    }
    assert_int_equal(n_pairs, 6 * LAYERS);
    assert_int_equal(find_file(form, "labels.json") < 9, 1);
    pl_tensors_close(tensors);
    free(bytes);
    prilora_form_close(form);
}

/* With a common scale nothing has to be multiplied: B's columns are those of the file. */
static void where_scales_agree_no_number_changes(void **state)
{
    static const char name[] =
        "base_model.model.deberta.encoder.layer.0.output.dense.lora_B.weight";
    struct prilora_form *form = open_uniform(common);
    struct pl_tensors *padded, *original;
    const struct pl_tensor *to, *from;
    char path[700], *bytes, *text;
    json_t *config;
    size_t size;

    (void)state;
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", common);
    bytes = read_file(form, "adapter_model.safetensors", &size);
    assert_int_equal(pl_tensors_parse_safetensors(&padded, bytes, size, "uniform", NULL),
                     PRILORA_OK);
    assert_int_equal(pl_tensors_open_safetensors(&original, path, NULL), PRILORA_OK);
    assert_non_null(to = pl_tensors_find(padded, name));
    assert_non_null(from = pl_tensors_find(original, name));
    assert_int_equal(from->dims[1], 2);
    for (size_t o = 0; o < to->dims[0]; o++) {
        const float zeros[2] = {0};

        assert_memory_equal((const float *)to->data + 4 * o, (const float *)from->data + 2 * o, 8);
        assert_memory_equal((const float *)to->data + 4 * o + 2, zeros, 8);
    }
    text = read_file(form, "adapter_config.json", &size);
    config = json_loads(text, 0, NULL);
    /* 16 / 3, the mean of the ranks 2 to 4, for all: times 4 */
    test_close(json_number_value(json_object_get(config, "lora_alpha")), 16.0 / 3 * 4, 1e-12);
    json_decref(config);
    free(text);
    pl_tensors_close(padded);
    pl_tensors_close(original);
    free(bytes);
    prilora_form_close(form);
}

static void what_is_no_adapter_is_refused(void **state)
{
    struct prilora_form *form;
    struct prilora_error err;

    (void)state;
    assert_int_equal(prilora_form_uniform(&form, BASE, &err), PRILORA_ENOENT);
    assert_null(form);
    assert_int_equal(prilora_form_merged(&form, test_training.base, BASE, BASE, &err),
                     PRILORA_ENOENT);
    assert_null(form);
    assert_int_equal(prilora_form_merged(&form, test_training.base, test_scratch_path("none"),
                                         adapter, &err),
                     PRILORA_ENOENT);
    assert_null(form);
    prilora_form_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_merged_model_says_what_base_and_adapter_say),
        cmocka_unit_test(the_tensors_have_hugging_face_s_names),
        cmocka_unit_test(a_merged_weight_is_the_sum),
        cmocka_unit_test(the_configuration_is_the_base_s_with_the_labels),
        cmocka_unit_test(pieces_of_any_size_are_the_same_bytes),
        cmocka_unit_test(fingerprints_tell_what_differs),
        cmocka_unit_test(an_adapter_of_one_rank_says_the_same),
        cmocka_unit_test(it_has_one_rank_and_no_patterns),
        cmocka_unit_test(where_scales_agree_no_number_changes),
        cmocka_unit_test(what_is_no_adapter_is_refused),
    };

    return cmocka_run_group_tests(tests, open_group, test_training_close);
}
