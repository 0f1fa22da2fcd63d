/* metrics.c - see metrics.h. All sums in double; the tests hold them against worked examples. */
#include "train/metrics.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

static void add(struct prilora_value *values, size_t *n, const char *name, double value)
{
    if (*n == PRILORA_MAX_VALUES)
        return;
    snprintf(values[*n].name, sizeof values[*n].name, "%s", name);
    values[*n].value = value;
    ++*n;
}

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

/* 2 tp / (predicted + true), the harmonic mean of precision and recall. */
static double f1(double hits, double n_predicted, double n_true)
{
    return ratio(2 * hits, n_predicted + n_true);
}

/* ---- classification -------------------------------------------------------------------------- */

/* Per class: predicted, true, both. */
struct class_count {
    double predicted, actual, hits;
};

static size_t largest(const pl_real *row, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        if (row[i] > row[best])
            best = i;
    return best;
}

/* Label 1 of two classes; else the mean over the classes that occur, predicted or true. */
static double class_f1(const struct class_count *counts, size_t n_classes)
{
    double sum = 0;
    size_t n = 0;

    if (n_classes == 2)
        return f1(counts[1].hits, counts[1].predicted, counts[1].actual);
    for (size_t c = 0; c < n_classes; c++) {
        if (counts[c].predicted + counts[c].actual == 0)
            continue;
        sum += f1(counts[c].hits, counts[c].predicted, counts[c].actual);
        n++;
    }
    return ratio(sum, (double)n);
}

/* For any number of classes: Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006. */
static double matthews(const struct class_count *counts, size_t n_classes, double n)
{
    double hits = 0, both = 0, predicted = 0, actual = 0, spread;

    for (size_t c = 0; c < n_classes; c++) {
        hits += counts[c].hits;
        both += counts[c].predicted * counts[c].actual;
        predicted += counts[c].predicted * counts[c].predicted;
        actual += counts[c].actual * counts[c].actual;
    }
    spread = sqrt(n * n - predicted) * sqrt(n * n - actual);
    return spread > 0 ? (hits * n - both) / spread : 0;
}

static size_t classification(struct prilora_value *values, const pl_real *logits,
                             const float *labels, size_t n, size_t n_outputs, size_t width)
{
    struct class_count *counts = pl_calloc(n_outputs, sizeof *counts);
    double hits = 0;
    size_t n_values = 0;

    (void)width;
    if (!counts)
        return 0;
    for (size_t i = 0; i < n; i++) {
        size_t guess = largest(logits + i * n_outputs, n_outputs), label = (size_t)labels[i];

        counts[guess].predicted++;
        counts[label].actual++;
        if (guess == label) {
            counts[label].hits++;
            hits++;
        }
    }
    add(values, &n_values, "accuracy", ratio(hits, (double)n));
    add(values, &n_values, "f1", class_f1(counts, n_outputs));
    add(values, &n_values, "matthews", matthews(counts, n_outputs, (double)n));
    free(counts);
    return n_values;
}

/* ---- multi-label ----------------------------------------------------------------------------- */

static size_t multi_label(struct prilora_value *values, const pl_real *logits, const float *labels,
                          size_t n, size_t n_outputs, size_t width)
{
    double hits = 0, predicted = 0, actual = 0, right_rows = 0;
    size_t n_values = 0;

    (void)width;
    for (size_t i = 0; i < n; i++) {
        bool right = true;

        for (size_t j = 0; j < n_outputs; j++) {
            bool guess = logits[i * n_outputs + j] > 0, label = labels[i * n_outputs + j] > 0;

            predicted += guess;
            actual += label;
            hits += guess && label;
            right = right && guess == label;
        }
        right_rows += right;
    }
    add(values, &n_values, "accuracy", ratio(right_rows, (double)n));
    add(values, &n_values, "f1", f1(hits, predicted, actual));
    return n_values;
}

/* ---- regression ------------------------------------------------------------------------------ */

static double mean(const double *x, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return ratio(sum, (double)n);
}

static double pearson(const double *x, const double *y, size_t n)
{
    double mx = mean(x, n), my = mean(y, n), xx = 0, yy = 0, xy = 0;

    for (size_t i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xx > 0 && yy > 0 ? xy / (sqrt(xx) * sqrt(yy)) : 0;
}

struct ranked {
    double value;
    size_t at;
};

static int by_value(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    return (x->value > y->value) - (x->value < y->value);
}

/* ranks[i] of x[i] from 1; equal values share the mean of their places. */
static void rank(double *ranks, struct ranked *sorted, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sorted[i] = (struct ranked){x[i], i};
    qsort(sorted, n, sizeof *sorted, by_value);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && sorted[end].value == sorted[i].value;)
            end++;
        for (size_t j = i; j < end; j++)
            ranks[sorted[j].at] = ((double)i + (double)end + 1) / 2;
    }
}

static size_t regression(struct prilora_value *values, const pl_real *logits, const float *labels,
                         size_t n, size_t n_outputs, size_t width)
{
    double *x = pl_alloc(n, sizeof *x), *y = pl_alloc(n, sizeof *y), squares = 0;
    double *rx = pl_alloc(n, sizeof *rx), *ry = pl_alloc(n, sizeof *ry);
    struct ranked *sorted = pl_alloc(n, sizeof *sorted);
    size_t n_values = 0;

    (void)width;
    if (!x || !y)
        goto out;
    for (size_t i = 0; i < n; i++) {
        x[i] = (double)logits[i * n_outputs];
        y[i] = (double)labels[i];
        squares += (x[i] - y[i]) * (x[i] - y[i]);
    }
    add(values, &n_values, "pearson", pearson(x, y, n));
    if (rx && ry && sorted) {
        rank(rx, sorted, x, n);
        rank(ry, sorted, y, n);
        add(values, &n_values, "spearman", pearson(rx, ry, n));
    }
    add(values, &n_values, "mean_squared_error", ratio(squares, (double)n));
out:
    free(x);
    free(y);
    free(rx);
    free(ry);
    free(sorted);
    return n_values;
}

/* ---- token classification -------------------------------------------------------------------- */

size_t pl_metrics_entities(struct prilora_value *values, const struct pl_entity_counts *c)
{
    size_t n_values = 0;

    add(values, &n_values, "precision", ratio((double)c->right, (double)c->predicted));
    add(values, &n_values, "recall", ratio((double)c->right, (double)c->actual));
    add(values, &n_values, "f1", f1((double)c->right, (double)c->predicted, (double)c->actual));
    add(values, &n_values, "accuracy", ratio((double)c->right_words, (double)c->words));
    return n_values;
}

/* ---- question answering ---------------------------------------------------------------------- */

size_t pl_metrics_answers(struct prilora_value *values, double exact_match, double sum_f1, size_t n)
{
    size_t n_values = 0;

    add(values, &n_values, "exact_match", ratio(exact_match, (double)n));
    add(values, &n_values, "f1", ratio(sum_f1, (double)n));
    return n_values;
}

/* ---- by task --------------------------------------------------------------------------------- */

static const struct {
    size_t (*compute)(struct prilora_value *values, const pl_real *logits, const float *labels,
                      size_t n, size_t n_outputs, size_t width);
    enum prilora_metric metric;
} tasks[] = {
    [PRILORA_TASK_AUTO] = {NULL, PRILORA_METRIC_AUTO},
    [PRILORA_TASK_CLASSIFICATION] = {classification, PRILORA_METRIC_ACCURACY},
    [PRILORA_TASK_REGRESSION] = {regression, PRILORA_METRIC_PEARSON},
    [PRILORA_TASK_MULTI_LABEL] = {multi_label, PRILORA_METRIC_F1},
    [PRILORA_TASK_TOKEN_CLASSIFICATION] = {NULL, PRILORA_METRIC_F1},
    [PRILORA_TASK_QUESTION_ANSWERING] = {NULL, PRILORA_METRIC_F1},
};

size_t pl_metrics_compute(struct prilora_value *values, enum prilora_task task,
                          const pl_real *logits, const float *labels, size_t n, size_t n_outputs,
                          size_t width)
{
    return tasks[task].compute ? tasks[task].compute(values, logits, labels, n, n_outputs, width)
                               : 0;
}

enum prilora_metric pl_metric_default(enum prilora_task task)
{
    return tasks[task].metric;
}

const char *pl_metric_name(enum prilora_metric metric)
{
    static const char *const names[] = {
        [PRILORA_METRIC_AUTO] = "auto",       [PRILORA_METRIC_ACCURACY] = "accuracy",
        [PRILORA_METRIC_F1] = "f1",           [PRILORA_METRIC_MATTHEWS] = "matthews",
        [PRILORA_METRIC_PEARSON] = "pearson", [PRILORA_METRIC_SPEARMAN] = "spearman",
        [PRILORA_METRIC_LOSS] = "loss",       [PRILORA_METRIC_EXACT_MATCH] = "exact_match",
    };

    return (size_t)metric < sizeof names / sizeof *names ? names[metric] : "unknown";
}
