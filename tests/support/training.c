/* training.c - see training.h. */
#include "support/training.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/scratch.h"

struct test_training test_training;

void test_must(enum prilora_status rc, const struct prilora_error *err)
{
    if (rc != PRILORA_OK)
        fail_msg("%s: %s %s", prilora_status_name(rc), err->where, err->message);
}

double test_value(const struct prilora_value *values, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(values[i].name, name) == 0)
            return values[i].value;
    fail_msg("no %s among %zu metrics", name, n);
    return 0;
}

/* Lines of different lengths whose first word tells the class, most of the time. */
static struct prilora_dataset *write_and_read(const char *name, size_t n, size_t seed,
                                              const struct prilora_dataset *train)
{
    static const char *const starts[3] = {"The ship", "My garden", "Their music"};
    static const char *const ends[4] = {"was old.", "is very good, they said, and it was.",
                                        "came to the town in the evening.", "stayed."};
    struct prilora_dataset_options options = {.max_length = 64, .train = train, .name = name};
    struct prilora_dataset *data;
    struct prilora_error err;
    char text[16384];
    size_t used = 0;

    for (size_t i = 0; i < n; i++) {
        size_t k = (i * 7 + seed) % 3, e = (i * 5 + seed * 3) % 4;

        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "{\"text\": \"%s %s %zu\", \"label\": \"class %zu\"}\n", starts[k],
                                 ends[e], i, i % 11 ? k : (k + 1) % 3);
    }
    test_must(prilora_dataset_read(&data, test_training.base, test_scratch_write(name, text, used),
                                   &options, &err),
              &err);
    return data;
}

int test_training_open(void **state)
{
    struct prilora_error err;

    if (test_scratch_open(state) != 0)
        return -1;
    test_must(prilora_base_open(&test_training.base, "examples/prilora-mini-en", &err), &err);
    test_training.train = write_and_read("train.jsonl", 40, 1, NULL);
    test_training.valid = write_and_read("valid.jsonl", 12, 2, test_training.train);
    return 0;
}

int test_training_close(void **state)
{
    prilora_dataset_free(test_training.train);
    prilora_dataset_free(test_training.valid);
    prilora_base_close(test_training.base);
    return test_scratch_close(state);
}

struct prilora_spec *test_training_spec(const char *hyperparameters)
{
    struct prilora_spec *spec;
    struct prilora_error err;
    char json[1024];

    snprintf(json, sizeof json,
             "{\"seed\": 7, \"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
             "{\"batch_size\": 8, \"n_epochs\": 2, \"rank_start\": 2, \"rank_end\": 4, "
             "\"prune_interval\": 3, \"lora_dropout\": 0.1%s%s}}}}",
             *hyperparameters ? ", " : "", hyperparameters);
    test_must(prilora_spec_parse(&spec, json, strlen(json), &err), &err);
    return spec;
}

struct prilora_run *test_training_run(const struct prilora_spec *spec,
                                      const struct prilora_dataset *valid,
                                      const struct prilora_run_options *options)
{
    struct prilora_run *run;
    struct prilora_error err;

    test_must(prilora_run_open(&run, test_training.base, spec, test_training.train, valid, options,
                               &err),
              &err);
    return run;
}

char *test_training_export(struct prilora_run *run, const char *name, size_t *size)
{
    char path[600], *tensors, *labels, *both;
    struct prilora_error err;
    size_t labels_size;

    test_must(prilora_run_export(run, test_scratch_path(name), "base", NULL, &err), &err);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", test_scratch_path(name));
    tensors = test_file(path, size);
    snprintf(path, sizeof path, "%s/labels.json", test_scratch_path(name));
    labels = test_file(path, &labels_size);
    both = realloc(tensors, *size + labels_size);
    assert_non_null(both);
    memcpy(both + *size, labels, labels_size);
    *size += labels_size;
    free(labels);
    return both;
}
