/* results.c - see results.h; how a table is written is in results_write.c. */
#include "api/results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/grid.h"
#include "daemon/error.h"
#include "daemon/json_memory.h"

bool results_more_is_better(const char *metric)
{
    return !metric || strcmp(metric, "valid_loss") != 0;
}

/* ---- memory ---- */

void results_free(struct results *r)
{
    if (!r)
        return;
    for (size_t i = 0; r->cells && i < r->n_methods * r->n_tasks; i++) {
        free(r->cells[i].values);
        free(r->cells[i].outcomes);
    }
    free(r->cells);
    free(r->averages);
    free(r->metrics);
    free(r->seeds);
    free(r->methods);
    free(r->tasks);
    json_decref(r->grid);
    free(r);
}

static const char **read_names(const json_t *list, size_t *n)
{
    const char **names;

    *n = json_array_size(list);
    names = calloc(*n + 1, sizeof *names);
    for (size_t i = 0; names && i < *n; i++)
        names[i] = grid_name(list, i);
    return names;
}

static bool read_seeds(struct results *r, const json_t *list)
{
    r->n_seeds = json_array_size(list);
    r->seeds = calloc(r->n_seeds + 1, sizeof *r->seeds);
    for (size_t i = 0; r->seeds && i < r->n_seeds; i++)
        r->seeds[i] = json_integer_value(json_array_get(list, i));
    return r->seeds;
}

static bool make_cells(struct results *r)
{
    size_t n = r->n_methods * r->n_tasks;

    r->metrics = calloc(r->n_tasks + 1, sizeof *r->metrics);
    r->cells = calloc(n + 1, sizeof *r->cells);
    r->averages = calloc(r->n_methods + 1, sizeof *r->averages);
    if (!r->metrics || !r->cells || !r->averages)
        return false;
    for (size_t i = 0; i < n; i++) {
        r->cells[i].values = calloc(r->n_seeds + 1, sizeof *r->cells[i].values);
        r->cells[i].outcomes = calloc(r->n_seeds + 1, sizeof(struct outcome *));
        if (!r->cells[i].values || !r->cells[i].outcomes)
            return false;
    }
    return true;
}

static struct results *new_results(const struct experiment *experiment)
{
    struct results *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->experiment = experiment;
    r->grid = json_loads(experiment->grid, 0, NULL);
    r->methods = read_names(json_object_get(r->grid, "methods"), &r->n_methods);
    r->tasks = read_names(json_object_get(r->grid, "tasks"), &r->n_tasks);
    if (r->grid && r->methods && r->tasks && read_seeds(r, json_object_get(r->grid, "seeds")) &&
        make_cells(r))
        return r;
    results_free(r);
    return NULL;
}

/* ---- filling ---- */

static size_t find(const char *const *names, size_t n, const char *name, size_t size)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(names[i]) == size && memcmp(names[i], name, size) == 0)
            return i;
    return SIZE_MAX;
}

size_t results_method(const struct results *r, const char *name, size_t size)
{
    return find(r->methods, r->n_methods, name, size);
}

/* The names of settings and of results differ in one case. */
static const char *result_name(const char *metric)
{
    return strcmp(metric, "loss") == 0 ? "valid_loss" : metric;
}

static void place(struct results *r, const struct outcome *o)
{
    size_t method = find(r->methods, r->n_methods, o->method, strlen(o->method));
    size_t task = find(r->tasks, r->n_tasks, o->task, strlen(o->task));
    struct cell *cell;

    if (method == SIZE_MAX || task == SIZE_MAX)
        return;
    cell = &r->cells[method * r->n_tasks + task];
    for (size_t s = 0; s < r->n_seeds; s++)
        if (r->seeds[s] == o->seed)
            cell->outcomes[s] = o;
    if (o->n_trainable) {
        cell->n_trainable = o->n_trainable;
        cell->n_adapter = o->n_adapter;
    }
    cell->n_failed += o->status == JOB_FAILED || o->status == JOB_CANCELLED;
    if (o->metric && strcmp(o->metric, "auto") != 0 && !r->metrics[task])
        r->metrics[task] = result_name(o->metric);
}

static double value_of(const struct outcome *o, const char *metric)
{
    json_t *metrics;
    const json_t *value;
    double number = (double)NAN;

    if (!o || o->status != JOB_SUCCEEDED || !o->metrics || !metric)
        return number;
    metrics = json_loads(o->metrics, 0, NULL);
    value = json_object_get(metrics, metric);
    if (json_is_number(value))
        number = json_number_value(value);
    json_decref(metrics);
    return number;
}

/* Moments of those numbers that are there; `room` has as many places. */
static struct moments moments_there(const double *x, size_t n, double *room)
{
    size_t k = 0;

    for (size_t i = 0; i < n; i++)
        if (!isnan(x[i]))
            room[k++] = x[i];
    return moments_of(room, k);
}

static void sum_up(const struct results *r, struct cell *cell, const char *metric, double *room)
{
    double *numbers = room + r->n_seeds;

    for (size_t s = 0; s < r->n_seeds; s++)
        cell->values[s] = value_of(cell->outcomes[s], metric);
    cell->moments = moments_there(cell->values, r->n_seeds, room);
    for (size_t s = 0; s < r->n_seeds; s++)
        numbers[s] = isnan(cell->values[s])
                         ? (double)NAN
                         : (double)(cell->n_trainable - cell->outcomes[s]->n_zero);
    cell->n_nonzero = moments_there(numbers, r->n_seeds, room);
    for (size_t s = 0; s < r->n_seeds; s++)
        numbers[s] = isnan(cell->values[s]) ? (double)NAN : cell->outcomes[s]->seconds;
    cell->seconds = moments_there(numbers, r->n_seeds, room);
}

static void average(const struct results *r, size_t method, double *room)
{
    double *means = room + r->n_seeds;

    for (size_t s = 0; s < r->n_seeds; s++) {
        means[s] = 0;
        for (size_t t = 0; t < r->n_tasks; t++) /* NaN stays */
            means[s] += r->cells[method * r->n_tasks + t].values[s] / (double)r->n_tasks;
    }
    r->averages[method] = moments_there(means, r->n_seeds, room);
}

/* ENOENT, with those that there are, if jobs have metrics, but not this one. */
static enum prilora_status check_metric(const struct outcome *outcomes, size_t n,
                                        const char *metric, struct prilora_error *err)
{
    json_t *seen = json_object();
    const char *name;
    json_t *value;
    char list[256] = "";
    size_t used = 0;
    bool known;

    for (size_t i = 0; i < n; i++) {
        json_t *metrics = outcomes[i].metrics ? json_loads(outcomes[i].metrics, 0, NULL) : NULL;

        json_object_update(seen, metrics);
        json_decref(metrics);
    }
    known = json_object_size(seen) == 0 || json_object_get(seen, metric);
    json_object_foreach (seen, name, value) {
        int more = snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", name);

        used += more > 0 && (size_t)more < sizeof list - used ? (size_t)more : 0;
    }
    json_decref(seen);
    if (known)
        return PRILORA_OK;
    return error_set(err, PRILORA_ENOENT, "no job of the experiment has \"%.60s\"; there are: %s",
                     metric, list);
}

enum prilora_status results_make(struct results **out, const struct experiment *experiment,
                                 const struct outcome *outcomes, size_t n, const char *metric,
                                 struct prilora_error *err)
{
    unsigned long before = json_memory_refusals();
    struct results *r = new_results(experiment);
    double *room = r ? calloc(2 * r->n_seeds + 1, sizeof *room) : NULL;
    enum prilora_status rc = room ? PRILORA_OK : error_memory(err);

    *out = NULL;
    if (rc == PRILORA_OK && metric)
        rc = check_metric(outcomes, n, metric = result_name(metric), err);
    if (rc == PRILORA_OK) {
        r->asked = metric;
        for (size_t i = 0; i < n; i++)
            place(r, &outcomes[i]);
        for (size_t i = 0; i < r->n_methods * r->n_tasks; i++) {
            if (metric)
                r->metrics[i % r->n_tasks] = metric;
            sum_up(r, &r->cells[i], r->metrics[i % r->n_tasks], room);
        }
        for (size_t m = 0; m < r->n_methods; m++)
            average(r, m, room);
        *out = r;
        r = NULL;
    }
    if (rc == PRILORA_OK && json_memory_refusals() != before) { /* values may be missing */
        results_free(*out);
        *out = NULL;
        rc = error_memory(err);
    }
    free(room);
    results_free(r);
    return rc;
}

/* ---- comparing ---- */

/* Of the differences of one task, those that there are; how many. */
static size_t differences(const struct results *r, size_t a, size_t b, size_t task, double *out)
{
    const double *x = r->cells[a * r->n_tasks + task].values;
    const double *y = r->cells[b * r->n_tasks + task].values;
    size_t n = 0;

    for (size_t s = 0; s < r->n_seeds; s++)
        if (!isnan(x[s]) && !isnan(y[s]))
            out[n++] = x[s] - y[s];
    return n;
}

struct comparison results_compare(const struct results *r, size_t a, size_t b, size_t task)
{
    struct comparison c = {.difference = {0, (double)NAN, (double)NAN}};
    double *d = calloc(r->n_tasks * r->n_seeds + 1, sizeof *d);
    bool sense = results_more_is_better(r->metrics[0]);

    for (size_t t = 0; d && t < r->n_tasks; t++)
        if (task == t ||
            (task == RESULTS_ALL_TASKS && results_more_is_better(r->metrics[t]) == sense))
            c.n += differences(r, a, b, t, d + c.n);
    c.difference = moments_of(d, c.n);
    c.t = significance_t_test(d, c.n);
    c.wilcoxon = significance_wilcoxon(d, c.n);
    free(d);
    return c;
}
