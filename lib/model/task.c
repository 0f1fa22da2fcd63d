/* task.c - see task.h. */
#include "model/task.h"

#include <assert.h>
#include <math.h>

#include "model/head.h"

/* ---- losses ------------------------------------------------------------------------------- */

static double cross_entropy(const pl_real *z, const float *label, size_t rows, size_t n,
                            double weight, pl_real *d)
{
    const size_t right = (size_t)*label;
    double top = (double)z[0], sum = 0;

    (void)rows;
    assert(*label >= 0 && right < n);
    for (size_t j = 1; j < n; j++)
        top = fmax(top, (double)z[j]);
    for (size_t j = 0; j < n; j++)
        sum += exp((double)z[j] - top);
    for (size_t j = 0; d && j < n; j++)
        d[j] = (pl_real)(weight * (exp((double)z[j] - top) / sum - (j == right)));
    return weight * (log(sum) + top - (double)z[right]);
}

static double squared_error(const pl_real *z, const float *label, size_t rows, size_t n,
                            double weight, pl_real *d)
{
    double sum = 0;

    (void)rows;
    for (size_t j = 0; j < n; j++) {
        const double error = (double)z[j] - (double)label[j];

        sum += error * error;
        if (d)
            d[j] = (pl_real)(2 * weight * error / (double)n);
    }
    return weight * sum / (double)n;
}

static double binary_cross_entropy(const pl_real *z, const float *label, size_t rows, size_t n,
                                   double weight, pl_real *d)
{
    double sum = 0;

    (void)rows;
    for (size_t j = 0; j < n; j++) {
        const double x = (double)z[j], y = (double)label[j], e = exp(-fabs(x));

        sum += fmax(x, 0) - x * y + log1p(e);
        if (d)
            d[j] = (pl_real)(weight / (double)n * ((x < 0 ? e : 1) / (1 + e) - y));
    }
    return weight * sum / (double)n;
}

static double cross_entropy_of_words(const pl_real *z, const float *label, size_t rows, size_t n,
                                     double weight, pl_real *d)
{
    if (*label >= 0)
        return cross_entropy(z, label, rows, n, weight, d);
    for (size_t j = 0; d && j < n; j++)
        d[j] = 0;
    return 0;
}

/* Of one output: its column in all rows [rows, n]. */
static double cross_entropy_of_column(const pl_real *z, size_t right, size_t rows, size_t n,
                                      double weight, pl_real *d)
{
    double top = (double)z[0], sum = 0;

    assert(right < rows);
    for (size_t i = 1; i < rows; i++)
        top = fmax(top, (double)z[i * n]);
    for (size_t i = 0; i < rows; i++)
        sum += exp((double)z[i * n] - top);
    for (size_t i = 0; d && i < rows; i++)
        d[i * n] = (pl_real)(weight * (exp((double)z[i * n] - top) / sum - (i == right)));
    return weight * (log(sum) + top - (double)z[right * n]);
}

static double cross_entropy_of_ends(const pl_real *z, const float *label, size_t rows, size_t n,
                                    double weight, pl_real *d)
{
    double sum = 0;

    for (size_t k = 0; k < n; k++)
        sum += cross_entropy_of_column(z + k, (size_t)label[k], rows, n, weight / (double)n,
                                       d ? d + k : NULL);
    return sum;
}

/* ---- tasks -------------------------------------------------------------------------------- */

static const struct pl_task tasks[] = {
    [PRILORA_TASK_CLASSIFICATION] = {.head = &pl_head_of_sequences, .loss = cross_entropy},
    [PRILORA_TASK_REGRESSION] = {.head = &pl_head_of_sequences, .all = true, .loss = squared_error},
    [PRILORA_TASK_MULTI_LABEL] = {.head = &pl_head_of_sequences,
                                  .all = true,
                                  .loss = binary_cross_entropy},
    [PRILORA_TASK_TOKEN_CLASSIFICATION] = {.head = &pl_head_of_tokens,
                                           .tokens = true,
                                           .labelled = true,
                                           .loss = cross_entropy_of_words},
    [PRILORA_TASK_QUESTION_ANSWERING] = {.head = &pl_head_of_answers,
                                         .tokens = true,
                                         .whole = true,
                                         .all = true,
                                         .loss = cross_entropy_of_ends},
};

const struct pl_task *pl_task_of(enum prilora_task task)
{
    assert((size_t)task < sizeof tasks / sizeof *tasks && tasks[task].head);
    return &tasks[task];
}

double pl_loss(enum prilora_task task, const pl_real *logits, const float *label, size_t rows,
               size_t n, double weight, pl_real *d)
{
    return pl_task_of(task)->loss(logits, label, rows, n, weight, d);
}

size_t pl_label_width(enum prilora_task task, size_t n_outputs)
{
    return pl_task_of(task)->all ? n_outputs : 1;
}
