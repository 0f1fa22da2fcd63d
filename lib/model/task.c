/* task.c - see task.h. */
#include "model/task.h"

#include <assert.h>
#include <math.h>

#include "model/head.h"

/* ---- losses ------------------------------------------------------------------------------- */

static double cross_entropy(const pl_real *z, const float *label, size_t n, double weight,
                            pl_real *d)
{
    const size_t right = (size_t)*label;
    double top = (double)z[0], sum = 0;

    assert(*label >= 0 && right < n);
    for (size_t j = 1; j < n; j++)
        top = fmax(top, (double)z[j]);
    for (size_t j = 0; j < n; j++)
        sum += exp((double)z[j] - top);
    for (size_t j = 0; d && j < n; j++)
        d[j] = (pl_real)(weight * (exp((double)z[j] - top) / sum - (j == right)));
    return weight * (log(sum) + top - (double)z[right]);
}

static double squared_error(const pl_real *z, const float *label, size_t n, double weight,
                            pl_real *d)
{
    double sum = 0;

    for (size_t j = 0; j < n; j++) {
        const double error = (double)z[j] - (double)label[j];

        sum += error * error;
        if (d)
            d[j] = (pl_real)(2 * weight * error / (double)n);
    }
    return weight * sum / (double)n;
}

static double binary_cross_entropy(const pl_real *z, const float *label, size_t n, double weight,
                                   pl_real *d)
{
    double sum = 0;

    for (size_t j = 0; j < n; j++) {
        const double x = (double)z[j], y = (double)label[j], e = exp(-fabs(x));

        sum += fmax(x, 0) - x * y + log1p(e);
        if (d)
            d[j] = (pl_real)(weight / (double)n * ((x < 0 ? e : 1) / (1 + e) - y));
    }
    return weight * sum / (double)n;
}

static double cross_entropy_of_words(const pl_real *z, const float *label, size_t n, double weight,
                                     pl_real *d)
{
    if (*label >= 0)
        return cross_entropy(z, label, n, weight, d);
    for (size_t j = 0; d && j < n; j++)
        d[j] = 0;
    return 0;
}

/* ---- tasks -------------------------------------------------------------------------------- */

static const struct pl_task tasks[] = {
    [PRILORA_TASK_CLASSIFICATION] = {&pl_head_of_sequences, false, false, cross_entropy},
    [PRILORA_TASK_REGRESSION] = {&pl_head_of_sequences, false, true, squared_error},
    [PRILORA_TASK_MULTI_LABEL] = {&pl_head_of_sequences, false, true, binary_cross_entropy},
    [PRILORA_TASK_TOKEN_CLASSIFICATION] = {&pl_head_of_tokens, true, false, cross_entropy_of_words},
};

const struct pl_task *pl_task_of(enum prilora_task task)
{
    assert((size_t)task < sizeof tasks / sizeof *tasks && tasks[task].head);
    return &tasks[task];
}

double pl_loss(enum prilora_task task, const pl_real *logits, const float *label, size_t n,
               double weight, pl_real *d)
{
    return pl_task_of(task)->loss(logits, label, n, weight, d);
}

size_t pl_label_width(enum prilora_task task, size_t n_outputs)
{
    return pl_task_of(task)->all ? n_outputs : 1;
}
