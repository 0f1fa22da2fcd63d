/* test_glue.c - a real run on published data: PRILoRA on the bundled base learns SST-2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "prilora.h"
#include "support/scratch.h"
#include "support/training.h"

#define BASE      "examples/prilora-mini-en"
#define TRAIN     "../shared/data/glue/SST-2/train.tsv"
#define DEV       "../shared/data/glue/SST-2/dev.tsv"
#define SENTENCES 3000

static const char spec_json[] =
    "{\"seed\": 7, \"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
    "{\"n_epochs\": 2, \"batch_size\": 32, \"learning_rate\": 2e-3}}}}";

/* The header and the first SENTENCES rows of the training file. */
static const char *first_rows(void)
{
    const char *path = test_scratch_path("train.tsv");
    char line[4096];
    FILE *in = fopen(TRAIN, "rb"), *out = fopen(path, "wb");

    assert_non_null(in);
    assert_non_null(out);
    for (int i = 0; i <= SENTENCES && fgets(line, sizeof line, in); i++)
        fputs(line, out);
    fclose(in);
    assert_int_equal(fclose(out), 0);
    return path;
}

static struct prilora_dataset *read_rows(const struct prilora_base *base, const char *path,
                                         const struct prilora_dataset *train)
{
    struct prilora_dataset_options options = {.max_length = 128,
                                              .train = train,
                                              .name = "rows.tsv"};
    struct prilora_dataset *data;
    struct prilora_error err = {0};

    if (prilora_dataset_read(&data, base, path, &options, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    return data;
}

/*
 * Majority on the 872 development sentences is 50.9 %; with a standard error of 1.7 points, 60 %
 * is five of them above what guessing gives. The metric must be that of the exported bytes.
 */
static void sst2_is_learned_well_above_chance_and_the_exported_bytes_have_the_metric(void **state)
{
    struct prilora_run_options options = {.n_threads = 2};
    struct prilora_value values[PRILORA_MAX_VALUES];
    struct prilora_dataset *train, *dev;
    struct prilora_result result = {0};
    struct prilora_base *base;
    struct prilora_spec *spec;
    struct prilora_error err = {0};
    struct prilora_run *run;
    const char *rows, *folder;
    size_t n_values = 0;
    double accuracy;

    (void)state;
    if (access(TRAIN, R_OK) != 0)
        skip(); /* the published data is not part of the project */
    rows = first_rows();
    folder = test_scratch_path("adapter");
    assert_int_equal(prilora_base_open(&base, BASE, &err), PRILORA_OK);
    train = read_rows(base, rows, NULL);
    dev = read_rows(base, DEV, train);
    assert_int_equal(prilora_spec_parse(&spec, spec_json, strlen(spec_json), &err), PRILORA_OK);
    assert_int_equal(prilora_run_open(&run, base, spec, train, dev, &options, &err), PRILORA_OK);
    assert_int_equal(prilora_run_train(run, &err), PRILORA_OK);
    assert_int_equal(prilora_run_export(run, folder, "prilora-mini-en", &result, &err), PRILORA_OK);
    accuracy = test_value(result.values, result.n_values, "accuracy");
    assert_true(accuracy > 0.60);
    assert_int_equal(result.n_nonzero, result.n_prunable / 2); /* every row of A has even width */

    assert_int_equal(prilora_adapter_evaluate(base, folder, dev, 1, values, &n_values, &err),
                     PRILORA_OK);
    /* the same bytes through the same code: only the order of sums over threads could differ */
    assert_float_equal(test_value(values, n_values, "accuracy"), accuracy, 1e-9);

    prilora_run_close(run);
    prilora_spec_free(spec);
    prilora_dataset_free(dev);
    prilora_dataset_free(train);
    prilora_base_close(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sst2_is_learned_well_above_chance_and_the_exported_bytes_have_the_metric),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
