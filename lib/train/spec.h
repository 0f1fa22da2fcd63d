/* spec.h - what is derived from a run's settings; their one table is in settings.c. */
#ifndef PL_SPEC_H
#define PL_SPEC_H

#include "base/error.h"

/* What a JSON text has set itself. */
struct pl_spec_given {
    uint64_t settings; /* bit i: setting i, to something other than "auto" */
    bool method, doc_stride, max_answer_length;
};
bool pl_spec_is_given(const struct pl_spec_given *given, const char *setting);
/* prilora_spec_parse, which tells that too. */
enum prilora_status pl_spec_parse(struct prilora_spec **out, struct pl_spec_given *given,
                                  const char *json, size_t length, struct prilora_error *err);

/* "auto" values replaced by what they become for this data and base. Errors: EINVAL for a metric
 * that the task has not, or a rank list of another length. */
enum prilora_status pl_spec_resolve(struct prilora_spec *spec, enum prilora_task task,
                                    size_t n_layers, struct prilora_error *err);

/* Errors: EINVAL if `task` (not AUTO) has no such metric. */
enum prilora_status pl_spec_check_metric(const struct prilora_spec *spec, enum prilora_task task,
                                         struct prilora_error *err);

const char *pl_task_word(enum prilora_task task); /* "classification", ... */

/* Learning rate of optimiser step `step` (0-based) of `total`. */
double pl_spec_learning_rate(const struct prilora_spec *spec, uint64_t step, uint64_t total);

#endif
