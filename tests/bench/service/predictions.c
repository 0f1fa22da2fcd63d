/* predictions.c - the case `predictions`: what batching gives, and what a training job takes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "figures.h"
#include "load.h"
#include "quiet.h"
#include "submit.h"

#define WINDOW_S  1.0
#define N_CLIENTS 32
#define TEXT      "I was charged twice for my order this month, please send the money back"

struct predicting {
    const struct child *child;
    char body[300]; /* one text */
};

static char *read_rows(size_t *size)
{
    FILE *file = fopen(BUNDLED_DATA, "r");
    char *rows = NULL, block[4096];
    FILE *out = open_memstream(&rows, size);
    size_t n;

    while (file && (n = fread(block, 1, sizeof block, file)) > 0)
        fwrite(block, 1, n, out);
    if (!file || fclose(out) != 0)
        child_die("%s: cannot be read", BUNDLED_DATA);
    fclose(file);
    return rows;
}

/* A short job; the request for its adapter. */
static void train_adapter(struct predicting *p)
{
    char status[32], path[120], *rows, *id, *answer;
    const char *model;
    json_t *job;
    size_t size;

    rows = read_rows(&size);
    id = submit(p->child, rows, size, "\"max_steps\": 30, \"max_length\": 64");
    do
        child_sleep(0.1);
    while (step_of(p->child, id, status) < 30 || strcmp(status, "succeeded") != 0);
    snprintf(path, sizeof path, JOB "%s", id);
    answer = load_request(p->child->port, path, NULL, NULL, 0);
    job = json_loads(answer, 0, NULL);
    model = json_string_value(json_object_get(job, "fine_tuned_model"));
    snprintf(p->body, sizeof p->body, "{\"model\": \"%s\", \"input\": \"" TEXT "\"}", model);
    json_decref(job);
    free(answer);
    free(rows);
    free(id);
}

static struct load_result ask(const struct predicting *p, size_t n_clients)
{
    static const char *const path = "/v1/predictions";
    struct load_result result;

    load_run(&result, &(struct load){.port = p->child->port,
                                     .paths = &path,
                                     .n_paths = 1,
                                     .body = p->body,
                                     .n_connections = n_clients,
                                     .seconds = WINDOW_S});
    return result;
}

static double latency_ms(void *context)
{
    return 1e3 * ask(context, 1).median_s;
}

static double p99_ms(void *context)
{
    return 1e3 * ask(context, 1).p99_s;
}

/* Of the predictor's threads, for one prediction: what other programs take does not count. */
static double processor_us(void *context, size_t n_clients)
{
    const struct predicting *p = context;
    double before = child_thread_seconds(p->child, "predictor");
    struct load_result result = ask(p, n_clients);

    return 1e6 * (child_thread_seconds(p->child, "predictor") - before) / (double)result.n;
}

static double saved(void *context)
{
    return processor_us(context, 1) / processor_us(context, N_CLIENTS);
}

/* Alone before and after, so that a slow drift of the machine goes out. */
static double gain(void *context)
{
    double before = (double)ask(context, 1).n, many = (double)ask(context, N_CLIENTS).n,
           after = (double)ask(context, 1).n;

    return 2 * many / (before + after);
}

static double per_second(void *context)
{
    struct load_result result = ask(context, N_CLIENTS);

    return (double)result.n / result.seconds;
}

static double measure(struct predicting *p, double (*what)(void *context))
{
    struct quiet quiet = {.wanted = 3, .most = 8};

    return quiet_measure(&quiet, p->child, what, p);
}

void measure_predictions(void)
{
    struct predicting p;
    struct child child;
    double idle, busy;
    char name[120];

    folder_open();
    child_start(&child, folder, MODELS, CHILD_ANY_CORE);
    p.child = &child;
    train_adapter(&p);
    ask(&p, 1); /* opens the adapter */
    idle = measure(&p, latency_ms);
    figures_add("prediction of one text, bundled base, median", "ms", idle, FIGURE_AT_MOST, 5);
    figures_add("the same, 99th percentile", "ms", measure(&p, p99_ms), FIGURE_TOLD, 0);
    snprintf(name, sizeof name, "predictions a second, %d clients with one text each", N_CLIENTS);
    figures_add(name, "1/s", measure(&p, per_second), FIGURE_TOLD, 0);
    figures_add("these to one client's: what batching gives", "times", measure(&p, gain),
                FIGURE_AT_LEAST, 1.2);
    figures_add("processor time of a prediction, one client's to theirs", "times",
                measure(&p, saved), FIGURE_AT_LEAST, 1);
    free(submit_endless(&child));
    busy = measure(&p, latency_ms);
    figures_add("prediction of one text while all cores train, median, to idle", "times",
                busy / idle, FIGURE_AT_MOST, 3);
    figures_add("the same, 99th percentile", "ms", measure(&p, p99_ms), FIGURE_TOLD, 0);
    child_stop(&child);
    folder_close();
}
