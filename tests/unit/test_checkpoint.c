/* test_checkpoint.c - checkpoints that are damaged, or belong to something else, are refused with
 * the reason. That good ones lead on to the same bytes is in test_run.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/file.h"
#include "support/scratch.h"
#include "support/training.h"
#include "train/checkpoint.h"

static void stop_now(void *context, const struct prilora_event *event)
{
    if (event->type == PRILORA_EVENT_STEP && event->step == 4)
        atomic_store((atomic_int *)context, PRILORA_STOP);
}

/* A checkpoint of step 4 in scratch folder `name`; its bytes. */
static char *make_checkpoint(const char *name, const struct prilora_spec *spec, size_t *size)
{
    atomic_int stop = PRILORA_GO;
    struct prilora_run_options options = {
        .folder = test_scratch_path(name),
        .n_threads = 2,
        .on_event = stop_now,
        .context = &stop,
        .stop = &stop,
    };
    struct prilora_run *run = test_training_run(spec, test_training.valid, &options);
    struct prilora_error err;
    char path[64];

    assert_int_equal(prilora_run_train(run, &err), PRILORA_ESTOPPED);
    prilora_run_close(run);
    snprintf(path, sizeof path, "%s/checkpoint", name);
    return test_file(test_scratch_path(path), size);
}

static void check_refused(const char *name, const struct prilora_spec *spec,
                          const struct prilora_dataset *train, const struct prilora_dataset *valid,
                          enum prilora_status status, const char *message)
{
    struct prilora_run_options options = {.folder = test_scratch_path(name)};
    struct prilora_error err = {0};
    struct prilora_run *run;

    assert_int_equal(prilora_run_open(&run, test_training.base, spec, train, valid, &options, &err),
                     status);
    assert_null(run);
    if (!strstr(err.message, message))
        fail_msg("\"%s\" is not in \"%s\"", message, err.message);
}

static void another_specification_is_told_by_its_first_difference(void **state)
{
    struct prilora_spec *spec = test_training_spec("");
    size_t size;

    (void)state;
    free(make_checkpoint("spec", spec, &size));
    spec->learning_rate = 0.002;
    check_refused("spec", spec, test_training.train, test_training.valid, PRILORA_EMISMATCH,
                  "made with another specification: learning_rate was 0.0008, now 0.002");
    spec->learning_rate = 8e-4;
    spec->seed = 8;
    check_refused("spec", spec, test_training.train, test_training.valid, PRILORA_EMISMATCH,
                  "seed was 7, now 8");
    prilora_spec_free(spec);
}

static void other_data_is_told_apart(void **state)
{
    struct prilora_spec *spec = test_training_spec("");
    size_t size;

    (void)state;
    free(make_checkpoint("data", spec, &size));
    check_refused("data", spec, test_training.valid, test_training.valid, PRILORA_EMISMATCH,
                  "made with another training data");
    check_refused("data", spec, test_training.train, test_training.train, PRILORA_EMISMATCH,
                  "made with another validation data");
    check_refused("data", spec, test_training.train, NULL, PRILORA_EMISMATCH,
                  "made with another validation data");
    prilora_spec_free(spec);
}

/* The same weights with another dropout in config.json are another base. */
static void another_base_is_told_apart(void **state)
{
    static const char *const files[] = {"config.json", "model.safetensors", "spm.model",
                                        "tokenizer_config.json"};
    struct prilora_spec *spec = test_training_spec("");
    struct prilora_base *kept = test_training.base;
    struct prilora_error err;
    size_t size;

    (void)state;
    free(make_checkpoint("base-run", spec, &size));
    assert_int_equal(pl_file_make_folder(test_scratch_path("base"), &err), PRILORA_OK);
    for (size_t i = 0; i < 4; i++) {
        char path[128], *bytes, *place;

        snprintf(path, sizeof path, "examples/prilora-mini-en/%s", files[i]);
        bytes = test_file(path, &size);
        place = strstr(bytes, "\"hidden_dropout_prob\": 0.1");
        if (i == 0 && place)
            place[strlen("\"hidden_dropout_prob\": 0.")] = '2';
        snprintf(path, sizeof path, "base/%s", files[i]);
        test_scratch_write(path, bytes, size);
        free(bytes);
    }
    assert_int_equal(prilora_base_open(&test_training.base, test_scratch_path("base"), &err),
                     PRILORA_OK);
    check_refused("base-run", spec, test_training.train, test_training.valid, PRILORA_EMISMATCH,
                  "made with another base model");
    prilora_base_close(test_training.base);
    test_training.base = kept;
    prilora_spec_free(spec);
}

static void a_damaged_or_short_checkpoint_is_refused(void **state)
{
    struct prilora_spec *spec = test_training_spec("");
    size_t size;
    char *bytes = make_checkpoint("damaged", spec, &size);

    (void)state;
    bytes[size / 2] ^= 1;
    test_scratch_write("damaged/checkpoint", bytes, size);
    check_refused("damaged", spec, test_training.train, test_training.valid, PRILORA_EFORMAT,
                  "damaged: its SHA-256 is");
    bytes[size / 2] ^= 1;
    test_scratch_write("damaged/checkpoint", bytes, size - 1);
    check_refused("damaged", spec, test_training.train, test_training.valid, PRILORA_EFORMAT,
                  "damaged");
    test_scratch_write("damaged/checkpoint", bytes, 10);
    check_refused("damaged", spec, test_training.train, test_training.valid, PRILORA_EFORMAT,
                  "10 bytes are no checkpoint");
    free(bytes);
    prilora_spec_free(spec);
}

/* Puts the right digest behind `body` bytes. */
static void seal(char *bytes, size_t body)
{
    struct pl_digest digest;
    char hex[PL_DIGEST_SIZE];

    pl_digest_init(&digest);
    pl_digest_add(&digest, bytes, body);
    pl_digest_hex(&digest, hex);
    memcpy(bytes + body, hex, 64);
}

/* A forger can make the digest right; what it seals is checked all the same. */
static void a_sealed_lie_is_refused(void **state)
{
    struct prilora_spec *spec = test_training_spec("");
    size_t size, counts;
    char *bytes = make_checkpoint("lie", spec, &size);
    const struct {
        size_t at; /* eight bytes from here, relative to the counts */
        uint64_t value;
        enum prilora_status status;
        const char *message;
    } lies[] = {
        {0, UINT64_MAX / 4, PRILORA_EFORMAT, "items of 4 bytes for parameters, but"},
        {8, 3, PRILORA_EFORMAT, "bytes too many"},
        {4 * 8, 2, PRILORA_EFORMAT, "its counters contradict each other at step 2"},
        {4 * 8, 11, PRILORA_EFORMAT, "made after step 11 of 10"},
    };
    uint64_t spec_size, kept;

    (void)state;
    memcpy(&spec_size, bytes + 16 + 4 * 64, sizeof spec_size);
    counts = 16 + 4 * 64 + 8 + (size_t)spec_size;
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        memcpy(&kept, bytes + counts + lies[i].at, sizeof kept);
        memcpy(bytes + counts + lies[i].at, &lies[i].value, sizeof kept);
        seal(bytes, size - 64);
        test_scratch_write("lie/checkpoint", bytes, size);
        check_refused("lie", spec, test_training.train, test_training.valid, lies[i].status,
                      lies[i].message);
        memcpy(bytes + counts + lies[i].at, &kept, sizeof kept);
    }
    bytes[8] = 9; /* the version */
    seal(bytes, size - 64);
    test_scratch_write("lie/checkpoint", bytes, size);
    check_refused("lie", spec, test_training.train, test_training.valid, PRILORA_EUNSUPPORTED,
                  "version 9 with numbers of 4 bytes, but this is version 2 with 4");
    free(bytes);
    prilora_spec_free(spec);
}

/* Trains what is left in scratch folder `name`; its adapter's bytes. */
static char *finish(const char *name, const struct prilora_spec *spec, size_t *size)
{
    struct prilora_run_options options = {.folder = test_scratch_path(name), .n_threads = 2};
    struct prilora_run *run = test_training_run(spec, test_training.valid, &options);
    struct prilora_result result;
    struct prilora_error err = {0};
    char folder[64], path[128];

    assert_int_equal(prilora_run_step(run), 4);
    assert_int_equal(prilora_run_train(run, &err), PRILORA_OK);
    snprintf(folder, sizeof folder, "%s/adapter", name);
    if (prilora_run_export(run, test_scratch_path(folder), "base", &result, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    prilora_run_close(run);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    return test_file(test_scratch_path(path), size);
}

/* Version 1 is the same without the fourth fingerprint: there was nothing else to start from. */
static void a_checkpoint_of_version_1_leads_on_to_the_same_bytes(void **state)
{
    struct prilora_spec *spec = test_training_spec("");
    size_t size, n_old, n_new, at = 16 + 3 * 64;
    char *bytes = make_checkpoint("new", spec, &size), *old, *new;

    (void)state;
    assert_int_equal(bytes[8], 2);
    bytes[8] = 1;
    memmove(bytes + at, bytes + at + 64, size - at - 64);
    seal(bytes, size - 64 - 64);
    assert_int_equal(mkdir(test_scratch_path("old"), 0700), 0);
    test_scratch_write("old/checkpoint", bytes, size - 64);
    old = finish("old", spec, &n_old);
    new = finish("new", spec, &n_new);
    assert_int_equal(n_old, n_new);
    assert_memory_equal(old, new, n_new);
    free(old);
    free(new);
    free(bytes);
    prilora_spec_free(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_specification_is_told_by_its_first_difference),
        cmocka_unit_test(other_data_is_told_apart),
        cmocka_unit_test(another_base_is_told_apart),
        cmocka_unit_test(a_damaged_or_short_checkpoint_is_refused),
        cmocka_unit_test(a_sealed_lie_is_refused),
        cmocka_unit_test(a_checkpoint_of_version_1_leads_on_to_the_same_bytes),
    };

    return cmocka_run_group_tests(tests, test_training_open, test_training_close);
}
