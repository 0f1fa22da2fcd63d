/* opened.h - an adapter folder's numbers in a block, and an engine that computes with them. */
#ifndef PL_OPENED_H
#define PL_OPENED_H

#include "train/import.h"

struct pl_opened {
    struct prilora_spec *spec;
    struct pl_engine *engine;
    pl_real *params; /* block */
};

/* Everything is read from the folder before this returns. limits->train is false. */
enum prilora_status pl_opened_new(struct pl_opened *out, struct pl_model *model,
                                  const struct pl_import *in, enum prilora_task task,
                                  const struct pl_engine_limits *limits, struct prilora_error *err);
void pl_opened_free(struct pl_opened *opened);

#endif
