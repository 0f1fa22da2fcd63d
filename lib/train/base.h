/* base.h - inside view of struct prilora_base: a model and its tokenizer, counted. */
#ifndef PL_BASE_H
#define PL_BASE_H

#include <stdatomic.h>

#include "model/model.h"
#include "tok/tokenizer.h"
#include "train/dataset.h"

struct prilora_base {
    struct pl_model *model;
    struct pl_tokenizer *tokenizer;
    atomic_size_t references;
    char fingerprint[65]; /* of the model's and the tokenizer's */
};

/* Data that this base can compute: lengths and token ids. `which` is "training" or the like. */
enum prilora_status pl_data_check(const struct prilora_base *base,
                                  const struct prilora_dataset *data, const char *which,
                                  struct prilora_error *err);

#endif
