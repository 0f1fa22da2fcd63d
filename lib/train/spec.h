/* spec.h - the one table of a run's settings, and what is derived from it. */
#ifndef PL_SPEC_H
#define PL_SPEC_H

#include "base/error.h"

/* "auto" values replaced by what they become for this data and base. */
enum prilora_status pl_spec_resolve(struct prilora_spec *spec, enum prilora_task task,
                                    size_t n_layers, struct prilora_error *err);

/* Learning rate of optimiser step `step` (0-based) of `total`. */
double pl_spec_learning_rate(const struct prilora_spec *spec, uint64_t step, uint64_t total);

#endif
