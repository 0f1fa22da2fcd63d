/* measure.h - what evaluations report, for any task. */
#ifndef PL_MEASURE_H
#define PL_MEASURE_H

#include "train/dataset.h"
#include "train/metrics.h"

/* Which answers to questions a model may give. */
struct pl_answer_rules {
    size_t longest; /* tokens of an answer, at most */
    bool none;      /* it may say that there is no answer */
};

/* Data, and what a model says of it. */
struct pl_measured {
    const struct prilora_dataset *data;
    const pl_real *logits; /* [rows of logits of data, n_outputs] */
    const float *labels;   /* [rows of data, width] as the model numbers them */
    char *const *names;    /* [n_outputs] */
    size_t n_outputs, width;
    struct pl_answer_rules answers; /* of question answering */
};

/* Every metric that makes sense for the task, into values; how many. See metrics.h. */
size_t pl_measure(struct prilora_value *values, const struct pl_measured *measured);

#endif
