/* results_write.c - a table of results as JSON, CSV and Markdown; see results.h. */
#include "api/results.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- JSON ---- */

static void write_moments(struct json_out *out, const struct moments *m)
{
    json_out_integer(out, "n", (int64_t)m->n);
    json_out_real(out, "mean", m->mean);
    json_out_real(out, "sd", m->sd);
}

static void write_count(struct json_out *out, const char *name, int64_t n)
{
    if (n)
        json_out_integer(out, name, n);
    else
        json_out_null(out, name);
}

static void write_runs(struct json_out *out, const struct results *r, const struct cell *cell)
{
    json_out_open(out, "runs", '[');
    for (size_t s = 0; s < r->n_seeds; s++) {
        const struct outcome *o = cell->outcomes[s];

        json_out_open(out, NULL, '{');
        json_out_integer(out, "seed", r->seeds[s]);
        json_out_text(out, "job_id", o ? o->job_id : NULL);
        json_out_text(out, "status", o ? job_status_name(o->status) : "deleted");
        json_out_real(out, "value", cell->values[s]);
        json_out_text(out, "error", o ? o->error : NULL);
        json_out_close(out, '}');
    }
    json_out_close(out, ']');
}

static void write_cell(struct json_out *out, const struct results *r, size_t method, size_t task)
{
    const struct cell *cell = &r->cells[method * r->n_tasks + task];

    json_out_open(out, NULL, '{');
    json_out_text(out, "method", r->methods[method]);
    json_out_text(out, "task", r->tasks[task]);
    json_out_text(out, "metric", r->metrics[task]);
    write_moments(out, &cell->moments);
    json_out_integer(out, "n_seeds", (int64_t)r->n_seeds);
    json_out_integer(out, "n_failed", (int64_t)cell->n_failed);
    write_count(out, "n_trainable", cell->n_trainable);
    if (cell->n_trainable)
        json_out_integer(out, "n_adapter", cell->n_adapter);
    else
        json_out_null(out, "n_adapter");
    json_out_real(out, "n_nonzero", cell->n_nonzero.mean);
    json_out_real(out, "seconds", cell->seconds.mean);
    write_runs(out, r, cell);
    json_out_close(out, '}');
}

/* Names that some run of the task has a value of, as its first finished run tells them. */
static void write_metric_names(struct json_out *out, const struct results *r, size_t task)
{
    struct json_raw name, value;

    json_out_open(out, "metrics", '[');
    for (size_t i = 0; i < r->n_methods * r->n_seeds; i++) {
        const struct cell *cell = &r->cells[i / r->n_seeds * r->n_tasks + task];
        const struct outcome *o = cell->outcomes[i % r->n_seeds];
        const char *at = NULL;

        if (!o || !o->metrics)
            continue;
        while (json_raw_next(json_raw_of(o->metrics), &at, &name, &value)) {
            char text[32];

            snprintf(text, sizeof text, "%.*s", (int)(name.n < 31 ? name.n : 31), name.at);
            json_out_text(out, NULL, text);
        }
        break;
    }
    json_out_close(out, ']');
}

static void write_comparison(struct json_out *out, const char *name, const char *task,
                             const struct comparison *c)
{
    json_out_open(out, name, '{');
    if (task)
        json_out_text(out, "task", task);
    json_out_integer(out, "n", (int64_t)c->n);
    json_out_real(out, "difference", c->difference.mean);
    json_out_open(out, "t_test", '{');
    json_out_real(out, "t", c->t.t);
    json_out_integer(out, "df", (int64_t)c->t.df);
    json_out_real(out, "p", c->t.p);
    json_out_close(out, '}');
    json_out_open(out, "wilcoxon", '{');
    json_out_integer(out, "n", (int64_t)c->wilcoxon.n);
    json_out_real(out, "w", c->wilcoxon.w);
    json_out_real(out, "p", c->wilcoxon.p);
    json_out_bool(out, "exact", c->wilcoxon.n <= SIGNIFICANCE_MAX_EXACT);
    json_out_close(out, '}');
    json_out_close(out, '}');
}

static void write_contrast(struct json_out *out, const struct results *r, size_t a, size_t b)
{
    struct comparison c;

    json_out_open(out, NULL, '{');
    json_out_text(out, "method", r->methods[a]);
    json_out_text(out, "baseline", r->methods[b]);
    json_out_open(out, "tasks", '[');
    for (size_t t = 0; t < r->n_tasks; t++) {
        c = results_compare(r, a, b, t);
        write_comparison(out, NULL, r->tasks[t], &c);
    }
    json_out_close(out, ']');
    c = results_compare(r, a, b, RESULTS_ALL_TASKS);
    write_comparison(out, "all", NULL, &c);
    json_out_close(out, '}');
}

static bool is_meant(const struct contrast *contrast, size_t b)
{
    return b != contrast->a && (contrast->b == SIZE_MAX || contrast->b == b);
}

static void write_tasks(struct json_out *out, const struct results *r)
{
    json_out_open(out, "tasks", '[');
    for (size_t t = 0; t < r->n_tasks; t++) {
        json_out_open(out, NULL, '{');
        json_out_text(out, "name", r->tasks[t]);
        json_out_text(out, "metric", r->metrics[t]);
        json_out_bool(out, "higher_is_better", results_more_is_better(r->metrics[t]));
        write_metric_names(out, r, t);
        json_out_close(out, '}');
    }
    json_out_close(out, ']');
}

static void write_averages(struct json_out *out, const struct results *r)
{
    json_out_open(out, "averages", '[');
    for (size_t m = 0; m < r->n_methods; m++) {
        json_out_open(out, NULL, '{');
        json_out_text(out, "method", r->methods[m]);
        write_moments(out, &r->averages[m]);
        json_out_close(out, '}');
    }
    json_out_close(out, ']');
}

void results_write_json(struct json_out *out, const struct results *r,
                        const struct contrast *contrast)
{
    json_out_open(out, NULL, '{');
    json_out_text(out, "object", "experiment.results");
    json_out_text(out, "experiment_id", r->experiment->id);
    json_out_text(out, "status", job_status_name(experiment_status(r->experiment)));
    json_out_text(out, "metric", r->asked);
    json_out_open(out, "seeds", '[');
    for (size_t s = 0; s < r->n_seeds; s++)
        json_out_integer(out, NULL, r->seeds[s]);
    json_out_close(out, ']');
    write_tasks(out, r);
    json_out_open(out, "cells", '[');
    for (size_t m = 0; m < r->n_methods; m++)
        for (size_t t = 0; t < r->n_tasks; t++)
            write_cell(out, r, m, t);
    json_out_close(out, ']');
    write_averages(out, r);
    json_out_open(out, "comparisons", '[');
    for (size_t b = 0; b < r->n_methods; b++)
        if (is_meant(contrast, b))
            write_contrast(out, r, contrast->a, b);
    json_out_close(out, ']');
    json_out_close(out, '}');
}

/* ---- CSV: RFC 4180; names need no quotes ---- */

/* So many decimals; negative: nine digits. */
static void put_number(FILE *out, double value, int decimals)
{
    fputc(',', out);
    if (isfinite(value) && decimals < 0)
        fprintf(out, "%.9g", value);
    else if (isfinite(value))
        fprintf(out, "%.*f", decimals, value);
}

void results_write_csv(FILE *out, const struct results *r)
{
    fputs("method,task,metric,seeds,n,failed,mean,sd,trainable,nonzero,seconds", out);
    for (size_t s = 0; s < r->n_seeds; s++)
        fprintf(out, ",seed %" PRId64, r->seeds[s]);
    fputs("\r\n", out);
    for (size_t i = 0; i < r->n_methods * r->n_tasks; i++) {
        const struct cell *cell = &r->cells[i];
        const char *metric = r->metrics[i % r->n_tasks];

        fprintf(out, "%s,%s,%s,%zu,%zu,%zu", r->methods[i / r->n_tasks], r->tasks[i % r->n_tasks],
                metric ? metric : "", r->n_seeds, cell->moments.n, cell->n_failed);
        put_number(out, cell->moments.mean, -1);
        put_number(out, cell->moments.sd, -1);
        put_number(out, cell->n_trainable ? (double)cell->n_trainable : (double)NAN, 0);
        put_number(out, cell->n_nonzero.mean, 0);
        put_number(out, cell->seconds.mean, 3);
        for (size_t s = 0; s < r->n_seeds; s++)
            put_number(out, cell->values[s], -1);
        fputs("\r\n", out);
    }
}

/* ---- Markdown ---- */

static void put_moments(FILE *out, const struct moments *m, size_t n_seeds)
{
    fputs(" | ", out);
    if (m->n == 0)
        fputs("–", out);
    else if (m->n == 1)
        fprintf(out, "%.4f", m->mean);
    else
        fprintf(out, "%.4f ± %.4f", m->mean, m->sd);
    if (m->n < n_seeds)
        fprintf(out, " (%zu of %zu)", m->n, n_seeds);
}

/* The least and the most of all tasks, whose heads differ. */
static void put_range(FILE *out, double least, double most)
{
    fputs(" | ", out);
    if (!isfinite(least))
        fputs("–", out);
    else if (least == most)
        fprintf(out, "%.0f", least);
    else
        fprintf(out, "%.0f – %.0f", least, most);
}

static void put_method(FILE *out, const struct results *r, size_t method)
{
    double few = (double)NAN, many = (double)NAN, least = (double)NAN, most = (double)NAN;
    double seconds = 0;

    fprintf(out, "| %s", r->methods[method]);
    for (size_t t = 0; t < r->n_tasks; t++) {
        const struct cell *cell = &r->cells[method * r->n_tasks + t];

        put_moments(out, &cell->moments, r->n_seeds);
        if (cell->n_trainable) {
            few = fmin(few, (double)cell->n_trainable); /* which pass over NaN */
            many = fmax(many, (double)cell->n_trainable);
        }
        least = fmin(least, cell->n_nonzero.mean);
        most = fmax(most, cell->n_nonzero.mean);
        seconds += isnan(cell->seconds.mean) ? 0 : cell->seconds.mean * (double)cell->seconds.n;
    }
    if (r->n_tasks > 1)
        put_moments(out, &r->averages[method], r->n_seeds);
    put_range(out, few, many);
    put_range(out, least, most);
    fprintf(out, " | %.0f |\n", seconds);
}

static void put_table(FILE *out, const struct results *r)
{
    fputs("| method", out);
    for (size_t t = 0; t < r->n_tasks; t++)
        fprintf(out, " | %s%s%s%s", r->tasks[t], r->metrics[t] ? " (" : "",
                r->metrics[t] ? r->metrics[t] : "", r->metrics[t] ? ")" : "");
    fprintf(out, "%s | trainable | non-zero | seconds |\n|---", r->n_tasks > 1 ? " | mean" : "");
    for (size_t t = 0; t < r->n_tasks + (r->n_tasks > 1) + 3; t++)
        fputs("|---:", out);
    fputs("|\n", out);
    for (size_t m = 0; m < r->n_methods; m++)
        put_method(out, r, m);
}

static void put_p(FILE *out, double p)
{
    if (isfinite(p))
        fprintf(out, p < 0.0001 ? " | %.1e" : " | %.4f", p);
    else
        fputs(" | –", out);
}

static void put_comparison(FILE *out, const char *task, const struct comparison *c)
{
    fprintf(out, "| %s | %zu", task, c->n);
    if (c->n)
        fprintf(out, " | %+.4f", c->difference.mean);
    else
        fputs(" | –", out);
    if (isfinite(c->t.t))
        fprintf(out, " | %.3f", c->t.t);
    else
        fputs(" | –", out);
    put_p(out, c->t.p);
    if (c->wilcoxon.n)
        fprintf(out, " | %g", c->wilcoxon.w);
    else
        fputs(" | –", out);
    put_p(out, c->wilcoxon.p);
    fputs(" |\n", out);
}

static void put_contrast(FILE *out, const struct results *r, size_t a, size_t b)
{
    struct comparison c;

    fprintf(out,
            "\n| %s − %s | pairs | difference | t | p (paired t) | W | p (signed ranks) |\n"
            "|---|---:|---:|---:|---:|---:|---:|\n",
            r->methods[a], r->methods[b]);
    for (size_t t = 0; t < r->n_tasks; t++) {
        c = results_compare(r, a, b, t);
        put_comparison(out, r->tasks[t], &c);
    }
    if (r->n_tasks > 1) {
        c = results_compare(r, a, b, RESULTS_ALL_TASKS);
        put_comparison(out, "all", &c);
    }
}

void results_write_markdown(FILE *out, const struct results *r, const struct contrast *contrast)
{
    put_table(out, r);
    for (size_t b = 0; b < r->n_methods; b++)
        if (is_meant(contrast, b))
            put_contrast(out, r, contrast->a, b);
}
