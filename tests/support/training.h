/* training.h - small runs on the bundled base, through the public interface. */
#ifndef TEST_TRAINING_H
#define TEST_TRAINING_H

#include "prilora.h"

/* Fails the test, with all that the error says, unless rc is OK. */
void test_must(enum prilora_status rc, const struct prilora_error *err);

/* The one of n metrics that has the name; fails the test if none has. */
double test_value(const struct prilora_value *values, size_t n, const char *name);

/* Base, 40 training and 12 validation examples in three classes; opened once per program. */
struct test_training {
    struct prilora_base *base;
    struct prilora_dataset *train, *valid;
};

/* cmocka group fixtures: the above, and a scratch folder. */
int test_training_open(void **state);
int test_training_close(void **state);
extern struct test_training test_training;

/* A specification of method "prilora" with these hyperparameters ("" for none), small batches. */
struct prilora_spec *test_training_spec(const char *hyperparameters);

/* Opens a run on the data above; fails the test on any error. */
struct prilora_run *test_training_run(const struct prilora_spec *spec,
                                      const struct prilora_dataset *valid,
                                      const struct prilora_run_options *options);

/* Exports into scratch folder `name`; the bytes of its tensors and its labels.json, malloc'ed. */
char *test_training_export(struct prilora_run *run, const char *name, size_t *size);

#endif
