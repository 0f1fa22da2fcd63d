/* metrics.h - what evaluations report, from logits and labels. */
#ifndef PL_METRICS_H
#define PL_METRICS_H

#include <stddef.h>

#include "base/error.h"
#include "base/real.h"

/*
 * pl_metrics_compute - every metric that makes sense for the task, into values (at most
 * PRILORA_MAX_VALUES); returns how many.
 *
 *   classification  accuracy, f1 (label 1 of two, else the mean over the classes that occur),
 *                   matthews
 *   multi_label     accuracy (whole rows right), f1 (micro), threshold 0 on the logit
 *   regression      pearson, spearman (mid-ranks for ties), mean_squared_error
 *
 * Shapes   logits [n, n_outputs], labels f32[n, width] as struct pl_batch has them
 * Errors   none; a metric that is undefined (a constant column, no positive) is 0
 * Memory   spearman sorts: ENOMEM shows as the metric left out
 */
size_t pl_metrics_compute(struct prilora_value *values, enum prilora_task task,
                          const pl_real *logits, const float *labels, size_t n, size_t n_outputs,
                          size_t width);

/* What token classification is counted in, over any number of texts. */
struct pl_entity_counts {
    size_t right, predicted, actual; /* entities */
    size_t right_words, words;
};

/* precision, recall and f1 of whole entities, accuracy of words. */
size_t pl_metrics_entities(struct prilora_value *values, const struct pl_entity_counts *counts);

/* exact_match and f1: the means of two sums over n questions. */
size_t pl_metrics_answers(struct prilora_value *values, double exact_match, double sum_f1,
                          size_t n);

/* The metric that chooses the best checkpoint when the specification says auto. */
enum prilora_metric pl_metric_default(enum prilora_task task);
const char *pl_metric_name(enum prilora_metric metric); /* "accuracy", ...; the JSON spelling */

#endif
