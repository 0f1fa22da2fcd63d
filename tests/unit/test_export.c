/* test_export.c - adapter folders: what stands in them, and how they come to stand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "io/tensors.h"
#include "support/close.h"
#include "support/scratch.h"
#include "train/export.h"

/* Two adapted maps of ranks 1 and 2, one that is not adapted, a pooler and a classifier. */
struct small {
    struct pl_map_site sites[3];
    struct pl_lora maps[3];
    struct pl_adapter adapter;
    struct pl_layout layout;
    pl_real params[512];
    char *labels[2];
    struct prilora_spec *spec;
    struct prilora_result result;
    struct pl_export x;
};

static void add_param(struct small *s, const char *name, enum pl_param_kind kind, size_t n_dims,
                      size_t rows, size_t cols)
{
    struct pl_param param = {.name = (char *)(uintptr_t)name, .kind = kind, .n_dims = n_dims};

    param.rows = rows;
    param.cols = cols;
    assert_int_equal(pl_layout_add(&s->layout, &param, NULL, NULL), PRILORA_OK);
}

static struct small *make_small(const char *first_label, enum prilora_task task)
{
    static const char *const paths[3] = {"enc.layer.0.query", "enc.layer.0.key",
                                         "enc.layer.1.query"};
    struct small *s = calloc(1, sizeof *s);

    for (size_t i = 0; i < 3; i++) {
        s->sites[i] = (struct pl_map_site){.path = paths[i], .kind = "query", .in = 3, .out = 4};
        s->sites[i].layer = i / 2;
        s->maps[i].rank = (size_t[]){1, 0, 2}[i];
        s->maps[i].alpha = (double[]){16, 0, 2.5}[i];
    }
    add_param(s, "enc.layer.0.query.lora_A", PL_PARAM_LORA_A, 2, 1, 3);
    add_param(s, "enc.layer.0.query.lora_B", PL_PARAM_LORA_B, 2, 4, 1);
    add_param(s, "enc.layer.1.query.lora_A", PL_PARAM_LORA_A, 2, 2, 3);
    add_param(s, "enc.layer.1.query.lora_B", PL_PARAM_LORA_B, 2, 4, 2);
    add_param(s, "pooler.dense.weight", PL_PARAM_HEAD, 2, 3, 3);
    add_param(s, "pooler.dense.bias", PL_PARAM_HEAD, 1, 1, 3);
    add_param(s, "classifier.weight", PL_PARAM_HEAD, 2, 2, 3);
    add_param(s, "classifier.bias", PL_PARAM_HEAD, 1, 1, 2);
    for (size_t i = 0; i < 512; i++)
        s->params[i] = (pl_real)i;
    s->adapter = (struct pl_adapter){s->maps, 3, 2, 25};
    s->labels[0] = (char *)(uintptr_t)first_label;
    s->labels[1] = (char *)(uintptr_t) "no";
    assert_int_equal(prilora_spec_parse(&s->spec, "{}", 2, NULL), PRILORA_OK);
    s->result = (struct prilora_result){{{"accuracy", 0.75}}, 1, 120, 4567, 5, 9};
    s->x = (struct pl_export){&s->layout, &s->adapter, s->sites, s->params,  s->spec,
                              "org/base", "f00d",      task,     s->labels,  2,
                              &s->result, 846,         NULL,     {30, false}};
    return s;
}

static void free_small(struct small *s)
{
    pl_layout_free(&s->layout);
    prilora_spec_free(s->spec);
    free(s);
}

static const char *member(const char *folder, const char *file)
{
    static char path[1024];

    snprintf(path, sizeof path, "%s/%s", folder, file);
    return path;
}

static json_t *load(const char *path)
{
    json_error_t reason;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &reason);

    if (!root)
        fail_msg("%s: %s", path, reason.text);
    return root;
}

static void export_to(const struct small *s, const char *folder)
{
    struct prilora_error err;

    if (pl_export_write(&s->x, folder, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
}

static void the_configuration_is_peft_s(void **state)
{
    struct small *s = make_small("yes", PRILORA_TASK_CLASSIFICATION);
    const char *folder = test_scratch_path("config");
    json_t *config, *expected;

    (void)state;
    export_to(s, folder);
    config = load(member(folder, "adapter_config.json"));
    expected = json_pack(
        "{s:s, s:s, s:s, s:b, s:i, s:i, s:[ss], s:{s:i, s:i}, s:{s:i, s:f}, s:[ss], s:f, s:s, s:b, "
        "s:b, s:b, s:b, s:n}",
        "peft_type", "LORA", "task_type", "SEQ_CLS", "base_model_name_or_path", "org/base",
        "inference_mode", 1, "r", 1, "lora_alpha", 16, "target_modules", "enc.layer.0.query",
        "enc.layer.1.query", "rank_pattern", "enc.layer.0.query", 1, "enc.layer.1.query", 2,
        "alpha_pattern", "enc.layer.0.query", 16, "enc.layer.1.query", 2.5, "modules_to_save",
        "classifier", "pooler", "lora_dropout", 0.0, "bias", "none", "fan_in_fan_out", 0,
        "use_rslora", 0, "use_dora", 0, "init_lora_weights", 1, "revision");
    assert_true(json_equal(config, expected));
    json_decref(config);
    json_decref(expected);
    free_small(s);
}

static void tensors_have_peft_s_names_shapes_and_our_numbers(void **state)
{
    static const struct {
        const char *name, *shape;
        size_t param;
    } expected[] = {
        {"base_model.model.classifier.bias", "[2]", 7},
        {"base_model.model.classifier.weight", "[2, 3]", 6},
        {"base_model.model.enc.layer.0.query.lora_A.weight", "[1, 3]", 0},
        {"base_model.model.enc.layer.0.query.lora_B.weight", "[4, 1]", 1},
        {"base_model.model.enc.layer.1.query.lora_A.weight", "[2, 3]", 2},
        {"base_model.model.enc.layer.1.query.lora_B.weight", "[4, 2]", 3},
        {"base_model.model.pooler.dense.bias", "[3]", 5},
        {"base_model.model.pooler.dense.weight", "[3, 3]", 4},
    };
    struct small *s = make_small("yes", PRILORA_TASK_CLASSIFICATION);
    const char *folder = test_scratch_path("tensors");
    struct pl_tensors *tensors;

    (void)state;
    export_to(s, folder);
    assert_int_equal(pl_tensors_open_safetensors(&tensors,
                                                 member(folder, "adapter_model.safetensors"), NULL),
                     PRILORA_OK);
    assert_int_equal(pl_tensors_count(tensors), 8);
    for (size_t i = 0; i < 8; i++) {
        const struct pl_tensor *t = pl_tensors_find(tensors, expected[i].name);
        pl_real numbers[16];
        char shape[64];

        assert_non_null(t);
        assert_int_equal(t->dtype, PL_F32);
        assert_string_equal(pl_tensor_shape(t, shape, sizeof shape), expected[i].shape);
        pl_tensor_read(t, numbers, 0, t->n_elements);
        for (size_t k = 0; k < t->n_elements; k++)
            assert_true(numbers[k] == (pl_real)(s->layout.params[expected[i].param].offset + k));
    }
    pl_tensors_close(tensors);
    free_small(s);
}

static void labels_and_metrics_go_with_the_bytes(void **state)
{
    struct small *s = make_small("yes, \"really\"\n", PRILORA_TASK_CLASSIFICATION);
    const char *folder = test_scratch_path("labels");
    json_t *labels;

    (void)state;
    export_to(s, folder);
    labels = load(member(folder, "labels.json"));
    assert_string_equal(json_string_value(
                            json_object_get(json_object_get(labels, "id2label"), "0")),
                        "yes, \"really\"\n");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(labels, "label2id"), "no")),
                     1);
    test_close(json_number_value(json_object_get(json_object_get(labels, "metrics"), "accuracy")),
               0.75, 0);
    assert_string_equal(json_string_value(json_object_get(labels, "task")), "classification");
    json_decref(labels);
    free_small(s);
}

static void the_card_s_program_cannot_be_changed_by_a_label(void **state)
{
    struct small *s = make_small("\"]; import os #\n```\nx", PRILORA_TASK_REGRESSION);
    const char *folder = test_scratch_path("card");
    char *card;
    size_t size;

    (void)state;
    export_to(s, folder);
    card = test_file(member(folder, "README.md"), &size);
    assert_non_null(strstr(card, "labels = [\"\\\"]; import os #\\n```\\nx\", \"no\"]\n"));
    assert_non_null(strstr(card, "base = \"org/base\"\n"));
    assert_non_null(strstr(card, "problem_type=\"regression\""));
    assert_non_null(strstr(card, "| ranks, from the first layer to the last | 1 2 |"));
    assert_non_null(strstr(card, "| non-zero entries of the A matrices | 5 of 9 |"));
    assert_non_null(strstr(card, "| validation accuracy | 0.7500 |"));
    free(card);
    free_small(s);
}

static void an_old_folder_is_replaced_whole(void **state)
{
    struct small *s = make_small("yes", PRILORA_TASK_CLASSIFICATION);
    const char *folder = test_scratch_path("again");
    char with_slashes[1024];

    (void)state;
    assert_int_equal(mkdir(folder, 0700), 0);
    test_scratch_write("again/stale.bin", "x", 1);
    snprintf(with_slashes, sizeof with_slashes, "%s//", folder);
    export_to(s, with_slashes);
    assert_int_equal(access(member(folder, "stale.bin"), F_OK), -1);
    assert_int_equal(access(member(folder, "README.md"), F_OK), 0);
    export_to(s, folder);
    assert_int_equal(access(member(folder, "README.md"), F_OK), 0);
    free_small(s);
}

static void missing_parents_are_made(void **state)
{
    struct small *s = make_small("yes", PRILORA_TASK_CLASSIFICATION);

    (void)state;
    export_to(s, test_scratch_path("new/deep/adapter"));
    assert_int_equal(access(test_scratch_path("new/deep/adapter/labels.json"), F_OK), 0);
    free_small(s);
}

static void nothing_but_plain_files_is_ever_removed(void **state)
{
    struct small *s = make_small("yes", PRILORA_TASK_CLASSIFICATION);
    const char *folder = test_scratch_path("precious"), *inner;
    struct prilora_error err;

    (void)state;
    assert_int_equal(mkdir(folder, 0700), 0);
    inner = test_scratch_path("precious/inner");
    assert_int_equal(mkdir(inner, 0700), 0);
    assert_int_equal(pl_export_write(&s->x, folder, &err), PRILORA_EINVAL);
    assert_non_null(strstr(err.message, "\"inner\" in it is not a plain file"));
    assert_int_equal(access(inner, F_OK), 0);
    test_scratch_write("file", "x", 1);
    assert_int_equal(pl_export_write(&s->x, test_scratch_path("file"), &err), PRILORA_EINVAL);
    free_small(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_configuration_is_peft_s),
        cmocka_unit_test(tensors_have_peft_s_names_shapes_and_our_numbers),
        cmocka_unit_test(labels_and_metrics_go_with_the_bytes),
        cmocka_unit_test(the_card_s_program_cannot_be_changed_by_a_label),
        cmocka_unit_test(an_old_folder_is_replaced_whole),
        cmocka_unit_test(missing_parents_are_made),
        cmocka_unit_test(nothing_but_plain_files_is_ever_removed),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
