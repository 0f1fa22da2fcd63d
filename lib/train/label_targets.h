/* label_targets.h - every row's label as the numbers that the head is to give, or counted. */
#ifndef PL_LABEL_TARGETS_H
#define PL_LABEL_TARGETS_H

#include "train/label_set.h"

/* What targets are made from. */
struct pl_label_targets {
    const struct pl_labels *labels;
    struct prilora_dataset *dataset; /* its outputs are those of the set */
    const struct pl_label_set *set;
    struct pl_bad_rows *bad; /* rows whose label does not suit are added */
};

/*
 * pl_label_targets_make - fills dataset->targets, of n_tokens tokens in all; of question answering
 * there are none. Errors: EDATA: a classification's labels are too few, and no row is bad; ENOMEM.
 */
enum prilora_status pl_label_targets_make(const struct pl_label_targets *t, size_t n_tokens,
                                          struct prilora_error *err);

/* pl_label_targets_count - adds to counts[PL_MAX_LABELS] instead. Errors: the same. */
enum prilora_status pl_label_targets_count(const struct pl_label_targets *t, size_t *counts,
                                           struct prilora_error *err);

#endif
