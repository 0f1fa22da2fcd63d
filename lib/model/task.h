/*
 * task.h - what a task makes of a model: which head stands on it, what its labels are, its loss.
 * One row each in task.c.
 */
#ifndef PL_TASK_H
#define PL_TASK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/real.h"

struct pl_head_kind;

#define PL_LABEL_IGNORED (-1.0f) /* of a token that is the beginning of no word */

struct pl_task {
    const struct pl_head_kind *head;
    bool tokens;   /* logits have a row for every token; else one for the sequence */
    bool labelled; /* labels have a row for every token; else one for the sequence */
    bool whole;    /* the loss is of all rows of a sequence together; else of each by itself */
    bool all;      /* a label is a number for every output; else one number */
    /* see pl_loss */
    double (*loss)(const pl_real *logits, const float *label, size_t rows, size_t n, double weight,
                   pl_real *d);
};

/* Not for AUTO. */
const struct pl_task *pl_task_of(enum prilora_task task);

/*
 * pl_loss - the loss of a row of logits, or of all rows of a sequence, weighted, and its gradient.
 *
 *     classification   -log softmax(logits)[label]
 *     regression       (logit - label)^2
 *     multi-label      mean over labels of log(1 + e^z) - label z
 *     tokens           as classification; 0 if the label is PL_LABEL_IGNORED
 *     answers          mean over the two outputs of -log softmax(column of the output)[label]
 *
 * Shapes   logits, d [rows, n], rows being 1 unless the task is `whole`; label: one number, n of 0
 *          and 1 for multi-label, n rows for answers: the first and the last token
 * Writes   d = weight * gradient; NULL: not wanted
 * Returns  weight * loss, in double, summed in the order of the rows
 */
double pl_loss(enum prilora_task task, const pl_real *logits, const float *label, size_t rows,
               size_t n, double weight, pl_real *d);

/* Numbers in a row of labels. */
size_t pl_label_width(enum prilora_task task, size_t n_outputs);

#endif
