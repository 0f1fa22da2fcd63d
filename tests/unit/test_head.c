/*
 * test_head.c - the method "head": no map is adapted, nothing is propagated below the task head,
 * and what is exported is an adapter all the same, which changes no map and never will.
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

#include "io/tensors.h"
#include "support/scratch.h"
#include "support/training.h"
#include "train/base.h"
#include "train/run.h"

#define BASE   "examples/prilora-mini-en"
#define PREFIX "base_model.model."
#define HEAD                                                                                       \
    "{\"seed\": 7, \"method\": {\"type\": \"head\", \"head\": {\"hyperparameters\": "              \
    "{\"batch_size\": 8, \"n_epochs\": 3, \"learning_rate\": 0.02}}}}"
#define OF_METHOD(type)                                                                            \
    "{\"seed\": 8, \"method\": {\"type\": \"" type "\", \"" type "\": {\"hyperparameters\": "      \
    "{\"batch_size\": 8, \"n_epochs\": 1}}}}"

static char folder[600]; /* a finished one */
static struct prilora_result result;

static struct prilora_spec *parse(const char *json)
{
    struct prilora_spec *spec;
    struct prilora_error err;

    test_must(prilora_spec_parse(&spec, json, strlen(json), &err), &err);
    return spec;
}

/* Trains to the end and exports into scratch folder `name`. */
static void train(const struct prilora_spec *spec, const char *name,
                  struct prilora_run_options options)
{
    struct prilora_run *run = test_training_run(spec, test_training.valid, &options);
    struct prilora_error err;

    test_must(prilora_run_train(run, &err), &err);
    test_must(prilora_run_export(run, test_scratch_path(name), BASE, &result, &err), &err);
    prilora_run_close(run);
}

static int open_group(void **state)
{
    struct prilora_spec *spec;

    if (test_training_open(state) != 0)
        return -1;
    spec = parse(HEAD);
    train(spec, "head", (struct prilora_run_options){.n_threads = 2});
    snprintf(folder, sizeof folder, "%s", test_scratch_path("head"));
    prilora_spec_free(spec);
    return 0;
}

static struct prilora_forecast forecast(const char *json)
{
    struct prilora_spec *spec = parse(json);
    struct prilora_forecast out;
    struct prilora_error err;

    test_must(prilora_run_forecast(&out, test_training.base, spec, test_training.train,
                                   test_training.valid, &err),
              &err);
    prilora_spec_free(spec);
    return out;
}

/* The head of this base: a pooler [h, h] with bias, a classifier [3, h] with bias. */
static void nothing_but_the_head_is_trained(void **state)
{
    struct prilora_spec *spec = parse(HEAD);
    struct prilora_run_options options = {.n_threads = 1};
    struct prilora_run *run = test_training_run(spec, test_training.valid, &options);
    size_t h = test_training.base->model->config.hidden_size;
    struct prilora_layer layer;
    uint64_t step;

    (void)state;
    assert_int_equal(run->engine->layout->n_parameters, h * h + h + 3 * h + 3);
    for (size_t i = 0; i < run->engine->layout->n; i++)
        assert_int_equal(run->engine->layout->params[i].kind, PL_PARAM_HEAD);
    assert_int_equal(prilora_run_snapshot(run, &layer, 1, &step), 0);
    assert_int_equal(result.n_prunable, 0);
    assert_int_equal(result.n_nonzero, 0);
    prilora_run_close(run);
    prilora_spec_free(spec);
}

/* With the layers' backward passes it would be about three times a forward pass; LoRA of rank 8 in
 * all maps needs two at least. */
static void nothing_is_propagated_below_the_head(void **state)
{
    struct prilora_forecast head = forecast(OF_METHOD("head")), lora = forecast(OF_METHOD("lora"));

    (void)state;
    assert_int_equal(head.n_adapter, 0);
    assert_true(head.n_trainable > 0);
    assert_int_equal(head.total_steps, lora.total_steps);
    assert_true(head.flops < lora.flops / 1.5);
    assert_true(head.memory_bytes < lora.memory_bytes);
}

static json_t *read_config(void)
{
    char path[700];
    json_t *config;

    snprintf(path, sizeof path, "%s/adapter_config.json", folder);
    config = json_load_file(path, 0, NULL);
    assert_non_null(config);
    return config;
}

static struct pl_tensors *open_tensors(const char *where)
{
    struct pl_tensors *tensors;
    struct prilora_error err;
    char path[700];

    snprintf(path, sizeof path, "%s/adapter_model.safetensors", where);
    test_must(pl_tensors_open_safetensors(&tensors, path, &err), &err);
    return tensors;
}

/* What PEFT asks of an adapter: a target that is a module of the base, and its A and B. */
static void what_is_exported_is_an_adapter_of_zeros_for_one_map(void **state)
{
    const struct pl_model *model = test_training.base->model;
    const struct pl_map_site *last = &model->sites[model->n_sites - 1];
    json_t *config = read_config(), *targets = json_object_get(config, "target_modules");
    json_t *ranks = json_object_get(config, "rank_pattern");
    struct pl_tensors *tensors = open_tensors(folder);
    char name[300];

    (void)state;
    assert_string_equal(json_string_value(json_object_get(config, "peft_type")), "LORA");
    assert_int_equal(json_array_size(targets), 1);
    assert_string_equal(json_string_value(json_array_get(targets, 0)), last->path);
    assert_int_equal(json_integer_value(json_object_get(config, "r")), 1);
    assert_int_equal(json_object_size(ranks), 1);
    assert_int_equal(json_integer_value(json_object_get(ranks, last->path)), 1);
    assert_int_equal(json_array_size(json_object_get(config, "modules_to_save")), 2);
    assert_int_equal(pl_tensors_count(tensors), 6); /* A, B, and the head's four */
    for (int b = 0; b < 2; b++) {
        const struct pl_tensor *t;

        snprintf(name, sizeof name, PREFIX "%s.lora_%c.weight", last->path, b ? 'B' : 'A');
        t = pl_tensors_find(tensors, name);
        assert_non_null(t);
        assert_int_equal(t->n_dims, 2);
        assert_int_equal(t->dims[b ? 1 : 0], 1);
        assert_int_equal(t->dims[b ? 0 : 1], b ? last->out : last->in);
        for (size_t i = 0; i < t->n_elements; i++) {
            pl_real x;

            pl_tensor_read(t, &x, i, 1);
            assert_true(x == 0);
        }
    }
    pl_tensors_close(tensors);
    json_decref(config);
}

static void the_card_says_so(void **state)
{
    char path[700], *text;
    size_t size;

    (void)state;
    snprintf(path, sizeof path, "%s/README.md", folder);
    text = test_file(path, &size);
    assert_non_null(strstr(text, "by its task head alone"));
    assert_non_null(strstr(text, "No map of the base is adapted."));
    assert_null(strstr(text, "| ranks,"));
    free(text);
}

static void the_exported_bytes_have_the_metric(void **state)
{
    struct prilora_value values[PRILORA_MAX_VALUES];
    struct prilora_error err;
    size_t n;

    (void)state;
    test_must(prilora_adapter_evaluate(test_training.base, folder, test_training.valid, 1, values,
                                       &n, &err),
              &err);
    /* the same sums in the same order */
    assert_float_equal(test_value(values, n, "loss"),
                       test_value(result.values, result.n_values, "loss"), 1e-6);
}

static void it_predicts(void **state)
{
    const struct prilora_text text = {.text = "The ship was old.", .text_size = 17};
    struct prilora_adapter_info info;
    struct prilora_adapter *adapter;
    struct prilora_error err;
    double values[3];

    (void)state;
    test_must(prilora_adapter_open(&adapter, test_training.base, folder, NULL, &err), &err);
    prilora_adapter_describe(adapter, &info);
    assert_int_equal(info.n_labels, 3);
    test_must(prilora_adapter_predict(adapter, &text, 1, NULL, NULL, values, &err), &err);
    assert_true(fabs(values[0] + values[1] + values[2] - 1) < 1e-12); /* three roundings */
    prilora_adapter_close(adapter);
}

static void stop_at_four(void *context, const struct prilora_event *event)
{
    if (event->type == PRILORA_EVENT_STEP && event->step == 4)
        atomic_store((atomic_int *)context, PRILORA_STOP);
}

static void a_stopped_run_goes_on_to_the_same_bytes(void **state)
{
    atomic_int stop = PRILORA_GO;
    struct prilora_spec *spec = parse(HEAD);
    struct prilora_run_options options = {.folder = test_scratch_path("run"),
                                          .on_event = stop_at_four,
                                          .context = &stop,
                                          .stop = &stop};
    struct prilora_run *run = test_training_run(spec, test_training.valid, &options);
    size_t size, other_size;
    char path[700], *bytes, *other;

    (void)state;
    assert_int_equal(prilora_run_train(run, NULL), PRILORA_ESTOPPED);
    prilora_run_close(run);
    train(spec, "again", (struct prilora_run_options){.folder = test_scratch_path("run")});
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    bytes = test_file(path, &size);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", test_scratch_path("again"));
    other = test_file(path, &other_size);
    assert_int_equal(size, other_size);
    assert_memory_equal(bytes, other, size);
    free(bytes);
    free(other);
    prilora_spec_free(spec);
}

/* ---- going on from one ---- */

static struct prilora_spec *continued(const char *json)
{
    struct prilora_spec *spec;
    struct prilora_error err;

    test_must(prilora_spec_continue(&spec, json, strlen(json), test_training.base, folder, &err),
              &err);
    return spec;
}

/* The first step's rate is zero: what comes out is what went in. */
static void it_goes_on_as_what_it_was(void **state)
{
    struct prilora_spec *spec = continued("{\"hyperparameters\": {\"batch_size\": 8}}");
    size_t size, other_size;
    char path[700], *bytes, *other;

    (void)state;
    assert_int_equal(spec->method, PRILORA_METHOD_HEAD);
    spec->max_steps = 1;
    train(spec, "more", (struct prilora_run_options){.start_from = folder});
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    bytes = test_file(path, &size);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", test_scratch_path("more"));
    other = test_file(path, &other_size);
    assert_int_equal(size, other_size);
    assert_memory_equal(bytes, other, size);
    free(bytes);
    free(other);
    prilora_spec_free(spec);
}

/* A drawn from the run's seed, B zero, and the head that was trained. */
static void adapters_may_begin_on_its_head(void **state)
{
    struct prilora_spec *spec = continued(OF_METHOD("lora"));
    struct prilora_run_options options = {.start_from = folder};
    struct prilora_run *run = test_training_run(spec, test_training.valid, &options);
    struct pl_tensors *tensors = open_tensors(folder);
    const struct pl_layout *layout = run->engine->layout;
    size_t n_head = 0;

    (void)state;
    for (size_t i = 0; i < layout->n; i++) {
        const struct pl_param *param = &layout->params[i];
        const pl_real *x = run->params + param->offset;
        size_t n = param->rows * param->cols, n_zero = 0;
        char name[300];

        snprintf(name, sizeof name, PREFIX "%s", param->name);
        for (size_t k = 0; k < n; k++) {
            pl_real trained;

            n_zero += x[k] == 0;
            if (param->kind != PL_PARAM_HEAD)
                continue;
            pl_tensor_read(pl_tensors_find(tensors, name), &trained, k, 1);
            assert_true(x[k] == trained);
            n_head++;
        }
        if (param->kind != PL_PARAM_HEAD)
            assert_int_equal(n_zero, param->kind == PL_PARAM_LORA_A ? 0 : n);
    }
    assert_true(n_head > 0);
    pl_tensors_close(tensors);
    prilora_run_close(run);
    prilora_spec_free(spec);
}

static void an_adapter_does_not_go_on_as_a_head(void **state)
{
    struct prilora_spec *spec = parse(OF_METHOD("lora"));
    struct prilora_error err;

    (void)state;
    train(spec, "lora", (struct prilora_run_options){.n_threads = 2});
    prilora_spec_free(spec);
    assert_int_equal(prilora_spec_continue(&spec, OF_METHOD("head"), strlen(OF_METHOD("head")),
                                           test_training.base, test_scratch_path("lora"), &err),
                     PRILORA_EMISMATCH);
    assert_string_equal(err.where, "/method/type");
    assert_non_null(strstr(err.message, "\"head\" trains no adapters"));
}

/* PEFT writes no labels.json: then the zeros tell. */
static void without_our_labels_it_is_still_known(void **state)
{
    static const char *const files[] = {"adapter_config.json", "adapter_model.safetensors"};
    struct prilora_spec *spec;
    struct prilora_error err;
    char path[700];

    (void)state;
    mkdir(test_scratch_path("bare"), 0700);
    for (size_t i = 0; i < 2; i++) {
        size_t size;
        char *bytes;

        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        bytes = test_file(path, &size);
        snprintf(path, sizeof path, "bare/%s", files[i]);
        test_scratch_write(path, bytes, size);
        free(bytes);
    }
    test_must(prilora_spec_continue(&spec, "{}", 2, test_training.base, test_scratch_path("bare"),
                                    &err),
              &err);
    assert_int_equal(spec->method, PRILORA_METHOD_HEAD);
    prilora_spec_free(spec);
}

/* ---- other forms ---- */

static char *form_file(struct prilora_form *form, const char *name, size_t *size)
{
    struct prilora_error err;
    size_t i = 0;
    char *bytes;

    while (strcmp(prilora_form_name(form, i), name) != 0)
        i++;
    *size = (size_t)prilora_form_size(form, i);
    bytes = malloc(*size);
    assert_non_null(bytes);
    test_must(prilora_form_read(form, i, 0, bytes, *size, &err), &err);
    return bytes;
}

/* A rank-1 map of zeros is uniform as it stands. */
static void its_uniform_form_has_the_same_numbers(void **state)
{
    struct prilora_form *form;
    struct prilora_error err;
    struct pl_tensors *ours = open_tensors(folder), *theirs;
    size_t size;
    char *bytes;

    (void)state;
    test_must(prilora_form_uniform(&form, folder, &err), &err);
    bytes = form_file(form, "adapter_model.safetensors", &size);
    test_must(pl_tensors_parse_safetensors(&theirs, bytes, size, "uniform", &err), &err);
    assert_int_equal(pl_tensors_count(theirs), pl_tensors_count(ours));
    for (size_t i = 0; i < pl_tensors_count(ours); i++) {
        const struct pl_tensor *a = pl_tensors_at(ours, i), *b = pl_tensors_at(theirs, i);

        assert_string_equal(a->name, b->name);
        assert_int_equal(a->n_elements, b->n_elements);
        assert_memory_equal(a->data, b->data, a->n_elements * sizeof(float));
    }
    pl_tensors_close(theirs);
    pl_tensors_close(ours);
    free(bytes);
    prilora_form_close(form);
}

static void merged_the_base_is_what_it_was(void **state)
{
    struct pl_tensors *base, *merged, *adapter = open_tensors(folder);
    struct prilora_form *form;
    struct prilora_error err;
    size_t size, n_same = 0;
    char *bytes;

    (void)state;
    test_must(pl_tensors_open_folder(&base, BASE, &err), &err);
    test_must(prilora_form_merged(&form, test_training.base, BASE, folder, &err), &err);
    bytes = form_file(form, "model.safetensors", &size);
    test_must(pl_tensors_parse_safetensors(&merged, bytes, size, "merged", &err), &err);
    for (size_t i = 0; i < pl_tensors_count(merged); i++) {
        const struct pl_tensor *t = pl_tensors_at(merged, i), *was;
        char name[300];

        snprintf(name, sizeof name, PREFIX "%s", t->name);
        was = pl_tensors_find(adapter, name);
        was = was ? was : pl_tensors_find(base, t->name);
        assert_non_null(was);
        assert_int_equal(was->n_elements, t->n_elements);
        for (size_t k = 0; k < t->n_elements; k++) {
            pl_real x, y;

            pl_tensor_read(t, &x, k, 1);
            pl_tensor_read(was, &y, k, 1);
            assert_true(x == y);
        }
        n_same++;
    }
    assert_true(n_same > 4);
    pl_tensors_close(merged);
    pl_tensors_close(adapter);
    pl_tensors_close(base);
    free(bytes);
    prilora_form_close(form);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_exported_bytes_have_the_metric),
        cmocka_unit_test(nothing_but_the_head_is_trained),
        cmocka_unit_test(nothing_is_propagated_below_the_head),
        cmocka_unit_test(what_is_exported_is_an_adapter_of_zeros_for_one_map),
        cmocka_unit_test(the_card_says_so),
        cmocka_unit_test(it_predicts),
        cmocka_unit_test(a_stopped_run_goes_on_to_the_same_bytes),
        cmocka_unit_test(it_goes_on_as_what_it_was),
        cmocka_unit_test(adapters_may_begin_on_its_head),
        cmocka_unit_test(an_adapter_does_not_go_on_as_a_head),
        cmocka_unit_test(without_our_labels_it_is_still_known),
        cmocka_unit_test(its_uniform_form_has_the_same_numbers),
        cmocka_unit_test(merged_the_base_is_what_it_was),
    };

    return cmocka_run_group_tests(tests, open_group, test_training_close);
}
