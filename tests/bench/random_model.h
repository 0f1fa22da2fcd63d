/* random_model.h - checkpoints of published shapes with random weights, for measurements. */
#ifndef BENCH_RANDOM_MODEL_H
#define BENCH_RANDOM_MODEL_H

#include "base/error.h"

/* Writes config.json, model.safetensors and a copy of the bundled spm.model into `folder` (made).
 * shape: "deberta-v3-base", "deberta-v3-small" or "deberta-v3-large". */
enum prilora_status random_model_write(const char *folder, const char *shape,
                                       struct prilora_error *err);

#endif
