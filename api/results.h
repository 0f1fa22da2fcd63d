/*
 * results.h - the table of an experiment: what its jobs have come to by method and task, and
 * whether methods differ; as JSON, CSV and Markdown. No I/O.
 */
#ifndef RESULTS_H
#define RESULTS_H

#include <jansson.h>
#include <stdio.h>

#include "api/json_out.h"
#include "daemon/experiments.h"
#include "daemon/significance.h"

/* One method on one task: all seeds. */
struct cell {
    double *values;                    /* [n_seeds], NaN: none (yet) */
    const struct outcome **outcomes;   /* [n_seeds], NULL: the job was deleted */
    struct moments moments;            /* of the values that there are */
    size_t n_failed;                   /* failed or cancelled */
    int64_t n_trainable, n_adapter;    /* 0: not known yet */
    struct moments n_nonzero, seconds; /* of trainable parameters; of training */
};

struct results {
    const struct experiment *experiment;
    json_t *grid;
    size_t n_methods, n_tasks, n_seeds;
    const char **methods, **tasks; /* names */
    int64_t *seeds;
    const char **metrics;     /* [n_tasks] what the values are; NULL: not known yet */
    const char *asked;        /* the metric that was asked for, or NULL */
    struct cell *cells;       /* [n_methods * n_tasks] */
    struct moments *averages; /* [n_methods] over seeds of the mean of all tasks, of those seeds
                                 that have a value of each */
};

/*
 * results_make - the table; `metric` is what to show of every task (NULL: what each chooses its
 * best adapter by). All arguments must outlive it. ENOENT: no job has such a metric, although some
 * have others; the message lists those.
 */
enum prilora_status results_make(struct results **out, const struct experiment *experiment,
                                 const struct outcome *outcomes, size_t n, const char *metric,
                                 struct prilora_error *err);
void results_free(struct results *results); /* accepts NULL */
/* Of a name of `size` bytes; SIZE_MAX: there is none. */
size_t results_method(const struct results *results, const char *name, size_t size);

/* Methods a and b, seed by seed: differences a - b. */
struct comparison {
    size_t n; /* pairs */
    struct moments difference;
    struct t_test t;
    struct wilcoxon wilcoxon;
};
#define RESULTS_ALL_TASKS SIZE_MAX
/* On one task or on all, those with the same sense of better together; n is 0 where memory is
 * short. */
struct comparison results_compare(const struct results *results, size_t a, size_t b, size_t task);
/* Whether more of a metric is better. */
bool results_more_is_better(const char *metric);

/* Which methods are compared: `a` with `b`, or with a `b` of SIZE_MAX every other one. */
struct contrast {
    size_t a, b;
};
void results_write_json(struct json_out *out, const struct results *results,
                        const struct contrast *contrast);
void results_write_csv(FILE *out, const struct results *results);
void results_write_markdown(FILE *out, const struct results *results,
                            const struct contrast *contrast);

#endif
