/* dataset.h - inside view of struct prilora_dataset (the public functions are in prilora.h). */
#ifndef PL_DATASET_H
#define PL_DATASET_H

#include <stdint.h>

#include "base/error.h"

struct pl_tokenizer;

struct prilora_dataset {
    enum prilora_task task;
    size_t n, width; /* examples; numbers of label per example (n_labels if multi-label, else 1) */
    size_t n_labels; /* outputs of the head */
    char **labels;   /* [n_labels] names; regression: one, "score" */
    size_t *starts;  /* [n + 1] into ids */
    int32_t *ids;    /* [starts[n]] */
    uint8_t *type_ids; /* [starts[n]] */
    float *targets;    /* [n, width] */
    size_t longest, n_truncated;
    char fingerprint[65];
};

/* prilora_dataset_read, given the tokenizer itself. */
enum prilora_status pl_dataset_read(struct prilora_dataset **out,
                                    const struct pl_tokenizer *tokenizer, const char *path,
                                    const struct prilora_dataset_options *options,
                                    struct prilora_error *err);

/* The same from memory: what the fuzz target feeds. */
enum prilora_status pl_dataset_parse(struct prilora_dataset **out,
                                     const struct pl_tokenizer *tokenizer, const char *data,
                                     size_t size, const struct prilora_dataset_options *options,
                                     struct prilora_error *err);

#endif
