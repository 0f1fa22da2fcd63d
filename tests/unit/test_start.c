/*
 * test_start.c - runs that start from a finished adapter: its values, its labels, its settings; and
 * checkpoints that belong to one start only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/digest.h"
#include "support/scratch.h"
#include "support/training.h"
#include "train/run.h"

#define TINY "tests/golden/models/tiny-deberta"
#define PEFT "tests/golden/expected/tiny-deberta/peft-adapter" /* written by PEFT 0.18 */

#define LORA_SETTINGS                                                                              \
    "{\"method\": {\"type\": \"lora\", \"lora\": {\"hyperparameters\": {\"r\": 3, "                \
    "\"batch_size\": "                                                                             \
    "8, \"max_steps\": 2, \"target_modules\": \"all-linear\"}}}}"

static char parent[512], lora[512]; /* folders of adapters */

/* Trains to the end and exports into scratch folder `name`. */
static char *train(const struct prilora_spec *spec, const char *name, const char *start,
                   size_t *size)
{
    struct prilora_run_options options = {.n_threads = 2, .start_from = start};
    struct prilora_run *run = test_training_run(spec, test_training.valid, &options);
    struct prilora_error err;
    char *bytes;

    test_must(prilora_run_train(run, &err), &err);
    bytes = test_training_export(run, name, size);
    prilora_run_close(run);
    return bytes;
}

static int open_group(void **state)
{
    struct prilora_spec *spec;
    size_t size;

    if (test_training_open(state) != 0)
        return -1;
    spec = test_training_spec("");
    free(train(spec, "parent", NULL, &size));
    snprintf(parent, sizeof parent, "%s", test_scratch_path("parent"));
    prilora_spec_free(spec);
    assert_int_equal(prilora_spec_parse(&spec, LORA_SETTINGS, strlen(LORA_SETTINGS), NULL),
                     PRILORA_OK);
    free(train(spec, "lora", NULL, &size));
    snprintf(lora, sizeof lora, "%s", test_scratch_path("lora"));
    prilora_spec_free(spec);
    return 0;
}

static struct prilora_spec *continued(const char *folder, const char *json)
{
    struct prilora_spec *spec;
    struct prilora_error err = {0};

    test_must(prilora_spec_continue(&spec, json, strlen(json), test_training.base, folder, &err),
              &err);
    return spec;
}

/* The tensors alone; labels.json, with the settings in it, is another one. */
static char *tensors_of(const char *folder, size_t *size)
{
    char path[600];

    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    return test_file(path, size);
}

/* The first step's rate is zero: what comes out is what went in, pruned where it was pruned. */
static void a_run_of_one_step_exports_what_it_started_from(void **state)
{
    struct prilora_spec *spec =
        continued(parent, "{\"seed\": 99, \"hyperparameters\": {\"batch_size\": 8}}");
    size_t size, before_size, after_size;
    char *before, *after;

    (void)state;
    spec->max_steps = 1;
    assert_int_equal(spec->rank_start, 2);
    assert_int_equal(spec->rank_end, 4);
    free(train(spec, "child", parent, &size));
    before = tensors_of(parent, &before_size);
    after = tensors_of(test_scratch_path("child"), &after_size);
    assert_int_equal(before_size, after_size);
    assert_memory_equal(before, after, before_size);
    free(before);
    free(after);
    prilora_spec_free(spec);
}

static void stop_at_three(void *context, const struct prilora_event *event)
{
    if (event->type == PRILORA_EVENT_STEP && event->step == 3)
        atomic_store((atomic_int *)context, PRILORA_STOP);
}

/* A checkpoint of step 3 in scratch folder `name`. */
static void stop_early(const struct prilora_spec *spec, const char *name, const char *start)
{
    atomic_int stop = PRILORA_GO;
    struct prilora_run_options options = {.folder = test_scratch_path(name),
                                          .on_event = stop_at_three,
                                          .context = &stop,
                                          .stop = &stop,
                                          .start_from = start};
    struct prilora_run *run = test_training_run(spec, test_training.valid, &options);

    assert_int_equal(prilora_run_train(run, NULL), PRILORA_ESTOPPED);
    prilora_run_close(run);
}

static void a_stopped_run_goes_on_to_the_same_bytes(void **state)
{
    struct prilora_spec *spec =
        continued(parent, "{\"seed\": 5, \"method\": {\"type\": \"prilora\", \"prilora\": "
                          "{\"hyperparameters\": {\"batch_size\": 8, \"lora_dropout\": 0.1}}}}");
    struct prilora_run_options options = {.folder = test_scratch_path("stopped"),
                                          .n_threads = 3,
                                          .start_from = parent};
    struct prilora_run *run;
    struct prilora_error err;
    size_t size, other_size;
    char *bytes = train(spec, "straight", parent, &size), *other;

    (void)state;
    stop_early(spec, "stopped", parent);
    run = test_training_run(spec, test_training.valid, &options);
    assert_int_equal(prilora_run_step(run), 3);
    test_must(prilora_run_train(run, &err), &err);
    other = test_training_export(run, "stopped-adapter", &other_size);
    assert_int_equal(size, other_size);
    assert_memory_equal(bytes, other, size);
    prilora_run_close(run);
    free(other);
    free(bytes);
    free(train(spec, "fresh", NULL, &size)); /* another run altogether */
    bytes = tensors_of(test_scratch_path("straight"), &size);
    other = tensors_of(test_scratch_path("fresh"), &other_size);
    assert_int_equal(size, other_size);
    assert_true(memcmp(bytes, other, size) != 0);
    free(other);
    free(bytes);
    prilora_spec_free(spec);
}

static void check_refused(const struct prilora_spec *spec, const char *folder, const char *start,
                          enum prilora_status status, const char *message)
{
    struct prilora_run_options options = {.folder = folder ? test_scratch_path(folder) : NULL,
                                          .start_from = start};
    struct prilora_error err = {0};
    struct prilora_run *run;

    assert_int_equal(prilora_run_open(&run, test_training.base, spec, test_training.train,
                                      test_training.valid, &options, &err),
                     status);
    assert_null(run);
    if (!strstr(err.message, message))
        fail_msg("\"%s\" is not in \"%s\"", message, err.message);
}

static void a_checkpoint_belongs_to_its_start(void **state)
{
    struct prilora_spec *spec = continued(parent, "{\"hyperparameters\": {\"batch_size\": 8}}");

    (void)state;
    stop_early(spec, "ours", parent);
    check_refused(spec, "ours", NULL, PRILORA_EMISMATCH,
                  "made with another adapter to start from (fingerprint ");
    stop_early(spec, "none", NULL);
    check_refused(spec, "none", parent, PRILORA_EMISMATCH, "(fingerprint none, now ");
    prilora_spec_free(spec);
}

static void another_adapter_of_the_same_shape_is_another_start(void **state)
{
    struct prilora_spec *spec = test_training_spec("\"learning_rate\": 0.01");
    char sibling[512];
    size_t size;

    (void)state;
    free(train(spec, "sibling", NULL, &size));
    snprintf(sibling, sizeof sibling, "%s", test_scratch_path("sibling"));
    stop_early(spec, "sibling-run", sibling);
    check_refused(spec, "sibling-run", parent, PRILORA_EMISMATCH,
                  "made with another adapter to start from");
    prilora_spec_free(spec);
}

/* Before there were starts, checkpoints were of version 1: the same without that fingerprint. */
static void an_older_checkpoint_is_still_read(void **state)
{
    struct prilora_spec *spec = test_training_spec("");
    struct prilora_run_options options = {.folder = test_scratch_path("old")};
    struct prilora_run *run;
    struct prilora_error err;
    struct pl_digest digest;
    size_t size, straight_size, at = 16 + 3 * 64;
    char *bytes, *straight = train(spec, "straight-old", NULL, &straight_size);

    (void)state;
    stop_early(spec, "old", NULL);
    bytes = test_file(test_scratch_path("old/checkpoint"), &size);
    memmove(bytes + at, bytes + at + 64, size - at - 64);
    size -= 64;
    bytes[8] = 1;
    pl_digest_init(&digest);
    pl_digest_add(&digest, bytes, size - 64);
    {
        char hex[PL_DIGEST_SIZE];

        pl_digest_hex(&digest, hex);
        memcpy(bytes + size - 64, hex, 64);
    }
    test_scratch_write("old/checkpoint", bytes, size);
    free(bytes);
    run = test_training_run(spec, test_training.valid, &options);
    assert_int_equal(prilora_run_step(run), 3);
    test_must(prilora_run_train(run, &err), &err);
    bytes = test_training_export(run, "old-adapter", &size);
    assert_int_equal(size, straight_size);
    assert_memory_equal(bytes, straight, size);
    prilora_run_close(run);
    free(bytes);
    free(straight);
    prilora_spec_free(spec);
}

/* ---- settings ---- */

static void what_is_left_open_is_the_adapter_s(void **state)
{
    struct prilora_spec *spec = continued(lora, "{}");

    (void)state;
    assert_int_equal(spec->method, PRILORA_METHOD_LORA);
    assert_true(spec->prune_ratio == 0);
    assert_int_equal(spec->rank_schedule, PRILORA_RANK_UNIFORM);
    assert_int_equal(spec->rank_start, 3);
    assert_int_equal(spec->task, PRILORA_TASK_CLASSIFICATION);
    prilora_spec_free(spec);
    spec = continued(lora, "{\"method\": {\"type\": \"prilora\"}}"); /* now with pruning */
    assert_int_equal(spec->method, PRILORA_METHOD_PRILORA);
    assert_true(spec->prune_ratio == 0.5);
    assert_int_equal(spec->rank_schedule, PRILORA_RANK_UNIFORM);
    assert_int_equal(spec->rank_start, 3);
    prilora_spec_free(spec);
}

static void a_run_that_does_not_fit_its_start_says_where(void **state)
{
    struct prilora_spec *spec = test_training_spec("");

    (void)state;
    spec->rank_end = 5;
    check_refused(spec, NULL, parent, PRILORA_EMISMATCH,
                  "rank 5, but the adapter that the run starts from has 4 there");
    spec->rank_end = 4;
    spec->lora_alpha = 32;
    check_refused(spec, NULL, parent, PRILORA_EMISMATCH,
                  "alpha 32, but the adapter that the run starts from has 16 there");
    spec->lora_alpha = 16;
    check_refused(spec, NULL, test_scratch_path("no-adapter"), PRILORA_ENOENT,
                  "adapter_config.json");
    prilora_spec_free(spec);
}

/* The parent's folder with another labels.json (NULL: none). */
static const char *with_labels(const char *name, const char *labels)
{
    static const char *const files[] = {"adapter_config.json", "adapter_model.safetensors"};
    char path[600];

    assert_int_equal(mkdir(test_scratch_path(name), 0700), 0);
    for (size_t i = 0; i < 2; i++) {
        size_t size;
        char *bytes;

        snprintf(path, sizeof path, "%s/%s", parent, files[i]);
        bytes = test_file(path, &size);
        snprintf(path, sizeof path, "%s/%s", name, files[i]);
        test_scratch_write(path, bytes, size);
        free(bytes);
    }
    snprintf(path, sizeof path, "%s/labels.json", name);
    if (labels)
        test_scratch_write(path, labels, strlen(labels));
    return test_scratch_path(name);
}

static void labels_that_differ_are_named(void **state)
{
    static const struct {
        const char *labels, *message;
        enum prilora_status status;
    } cases[] = {
        {"{\"task\": \"regression\", \"id2label\": {\"0\": \"score\"}}",
         "the adapter's task is regression, the data's is classification", PRILORA_EMISMATCH},
        {"{\"task\": \"classification\", \"id2label\": {\"0\": \"class 0\", \"1\": \"class 1\"}}",
         "the adapter has 2 labels, the data 3", PRILORA_EMISMATCH},
        {"{\"task\": \"classification\", \"id2label\": {\"0\": \"class 0\", \"1\": \"class 2\", "
         "\"2\": \"class 1\"}}",
         "label 1 is \"class 2\" to the adapter, \"class 1\" to the data", PRILORA_EMISMATCH},
        {"{\"task\": \"classification\", \"id2label\": {\"0\": \"a\", \"1\": \"a\"}}",
         "label 1 must be a name of its own", PRILORA_EFORMAT},
        {"{\"task\": \"classification\", \"id2label\": {\"0\": \"a\", \"2\": \"b\"}}",
         "label 1 must be a name of its own", PRILORA_EFORMAT},
        {"{\"task\": \"classification\", \"id2label\": []}", "0 labels, but 1 to 1000 are read",
         PRILORA_EFORMAT},
        {"{\"task\": 7}", "\"(none)\" is no task", PRILORA_EFORMAT},
        {"{\"task\": \"auto\"}", "\"auto\" is no task", PRILORA_EFORMAT},
        {"{", "not JSON: line 1", PRILORA_EFORMAT},
        {"{\"task\": \"classification\", \"id2label\": {\"0\": \"class 0\", \"1\": \"class 1\", "
         "\"2\": \"class 2\"}, \"base\": {\"fingerprint\": \"f00d\"}}",
         "was trained on another base (fingerprint f00d, here ", PRILORA_EMISMATCH},
    };
    struct prilora_spec *spec = test_training_spec("");

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[32];

        snprintf(name, sizeof name, "labels-%zu", i);
        check_refused(spec, NULL, with_labels(name, cases[i].labels), cases[i].status,
                      cases[i].message);
    }
    prilora_spec_free(spec);
}

/* Without labels.json the tensors tell the settings, and they are the same. */
static void settings_are_told_from_the_tensors_too(void **state)
{
    struct prilora_spec *spec = continued(with_labels("bare", NULL), "{}");
    size_t ranks[PRILORA_MAX_LAYERS], expected[] = {2, 2, 3, 3, 4, 4}, size;

    (void)state;
    test_must(prilora_spec_ranks(spec, 6, ranks, NULL), &(struct prilora_error){0});
    for (int l = 0; l < 6; l++)
        assert_int_equal(ranks[l], expected[l]);
    assert_true(spec->lora_alpha == 16 && spec->scaling == PRILORA_SCALING_LAYER);
    assert_int_equal(spec->n_targets, 0);
    spec->max_steps = 1;
    free(train(spec, "bare-child", test_scratch_path("bare"), &size));
    prilora_spec_free(spec);
}

/* ---- PEFT's own folder ---- */

/* The reference's tiny model, which has no tokenizer, as a base. */
static struct prilora_base *open_tiny(void)
{
    struct prilora_base *base = calloc(1, sizeof *base);
    struct prilora_error err;

    assert_non_null(base);
    atomic_init(&base->references, 1);
    test_must(pl_model_open(&base->model, TINY, &err), &err);
    memcpy(base->fingerprint, base->model->fingerprint, sizeof base->fingerprint);
    return base;
}

/* One example of each of its four labels. */
static struct prilora_dataset *make_rows(void)
{
    struct prilora_dataset *data = pl_dataset_new(PRILORA_TASK_CLASSIFICATION, 4, 12, 4, 1);

    assert_non_null(data);
    for (size_t i = 0; i < 4; i++) {
        char label[] = {'L', (char)('0' + i), '\0'};

        data->labels[i] = strdup(label);
        data->n_labels++;
        data->starts[i + 1] = 3 * (i + 1);
        data->ids[3 * i] = 1;
        data->ids[3 * i + 1] = (int32_t)(10 + i);
        data->ids[3 * i + 2] = 2;
        data->targets[i] = (float)i;
    }
    assert_int_equal(pl_dataset_finish(data, NULL), PRILORA_OK);
    return data;
}

static void evaluate(struct prilora_base *base, const char *folder,
                     const struct prilora_dataset *data,
                     struct prilora_value values[PRILORA_MAX_VALUES], size_t *n)
{
    struct prilora_error err;

    test_must(prilora_adapter_evaluate(base, folder, data, 1, values, n, &err), &err);
}

static void an_adapter_that_peft_wrote_can_be_gone_on_from(void **state)
{
    struct prilora_run_options options = {.start_from = PEFT};
    struct prilora_base *base = open_tiny();
    struct prilora_dataset *data = make_rows();
    struct prilora_value before[PRILORA_MAX_VALUES], after[PRILORA_MAX_VALUES];
    struct prilora_spec *spec;
    struct prilora_run *run;
    struct prilora_error err;
    size_t n_before, n_after;

    (void)state;
    test_must(prilora_spec_continue(&spec, "{}", 2, base, PEFT, &err), &err);
    assert_int_equal(spec->rank_schedule, PRILORA_RANK_LIST);
    assert_int_equal(spec->n_ranks, 3);
    assert_int_equal(spec->ranks[0], 4);
    assert_true(spec->lora_alpha == 16);
    spec->max_steps = 1;
    spec->prune_ratio = 0; /* PEFT has not pruned it */
    test_must(prilora_run_open(&run, base, spec, data, NULL, &options, &err), &err);
    test_must(prilora_run_train(run, &err), &err);
    test_must(prilora_run_export(run, test_scratch_path("from-peft"), "tiny", NULL, &err), &err);
    prilora_run_close(run);
    evaluate(base, PEFT, data, before, &n_before);
    evaluate(base, test_scratch_path("from-peft"), data, after, &n_after);
    assert_int_equal(n_before, n_after);
    for (size_t i = 0; i < n_before; i++)
        assert_true(before[i].value == after[i].value);
    prilora_spec_free(spec);
    prilora_dataset_free(data);
    prilora_base_close(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_of_one_step_exports_what_it_started_from),
        cmocka_unit_test(a_stopped_run_goes_on_to_the_same_bytes),
        cmocka_unit_test(a_checkpoint_belongs_to_its_start),
        cmocka_unit_test(another_adapter_of_the_same_shape_is_another_start),
        cmocka_unit_test(an_older_checkpoint_is_still_read),
        cmocka_unit_test(what_is_left_open_is_the_adapter_s),
        cmocka_unit_test(a_run_that_does_not_fit_its_start_says_where),
        cmocka_unit_test(labels_that_differ_are_named),
        cmocka_unit_test(settings_are_told_from_the_tensors_too),
        cmocka_unit_test(an_adapter_that_peft_wrote_can_be_gone_on_from),
    };

    return cmocka_run_group_tests(tests, open_group, test_training_close);
}
