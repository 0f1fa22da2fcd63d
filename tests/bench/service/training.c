/* training.c - the case `training`: requests while every core trains. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cases.h"
#include "figures.h"
#include "load.h"
#include "submit.h"

#define LATENCY_S     5.0
#define N_LATENCIES   5 /* windows; the median counts */
#define N_WATCHERS    5
#define WINDOW_S      5.0
#define N_WINDOWS     8   /* with watchers, and as many without */
#define STEP_TOKENS   512 /* 8 sequences of 64: short steps, all alike */
#define SEQUENCE_ROOM 64

/* Rows that all have the same number of tokens, so that every step is the same work. */
static char *equal_rows(size_t n, size_t *size)
{
    char *rows = NULL;
    FILE *out = open_memstream(&rows, size);

    for (size_t i = 0; i < n; i++) {
        fprintf(out, "{\"label\": \"%s\", \"text\": \"", i % 2 ? "even" : "odd");
        for (size_t k = 0; k < SEQUENCE_ROOM; k++)
            fputs("rain ", out);
        fputs("\"}\n", out);
    }
    if (fclose(out) != 0)
        child_die("out of memory");
    return rows;
}

static char *start_training(const struct child *child)
{
    char settings[200], status[32], *rows, *id;
    size_t size;

    snprintf(settings, sizeof settings,
             "\"n_epochs\": 10000, \"max_length\": %d, \"batch_size\": %d, \"eval_steps\": 1000000",
             SEQUENCE_ROOM, STEP_TOKENS / SEQUENCE_ROOM);
    rows = equal_rows(2000, &size);
    id = submit(child, rows, size, settings);
    free(rows);
    while (step_of(child, id, status) < 50)
        child_sleep(0.1);
    return id;
}

static const char *const dashboard[] = {JOB "%JOB", JOB "%JOB/layers",
                                        JOB "%JOB/metrics?after=%STEP"};

/* A while of training, watched or not: steps per second, and the seconds of each thread kind. */
static double window(const struct child *child, const char *id, size_t n_watchers, double *http_s)
{
    char status[32];
    double http = child_thread_seconds(child, "MHD"), start = child_now();
    json_int_t first = step_of(child, id, status), last;
    struct load_result result;

    if (n_watchers)
        load_run(&result, &(struct load){.port = child->port,
                                         .paths = dashboard,
                                         .n_paths = 3,
                                         .n_connections = n_watchers,
                                         .interval_s = 1,
                                         .seconds = WINDOW_S,
                                         .jobs = &id,
                                         .n_jobs = 1});
    else
        child_sleep(WINDOW_S);
    last = step_of(child, id, status);
    *http_s = child_thread_seconds(child, "MHD") - http;
    return (double)(last - first) / (child_now() - start);
}

/* Windows alternate, so that what else the machine does meets both kinds. */
static void measure_watchers(const struct child *child, const char *id)
{
    double slower[N_WINDOWS], seconds = 0;

    for (size_t i = 0; i < N_WINDOWS; i++) {
        double without_s, with_s, without = window(child, id, 0, &without_s),
                                  with = window(child, id, N_WATCHERS, &with_s);

        slower[i] = 100 * (1 - with / without);
        seconds += with_s - without_s;
    }
    figures_add("training slowed by 5 watchers (job, layers, metrics every second)", "%",
                figures_quantile(slower, N_WINDOWS, 0.5), FIGURE_AT_MOST, 1);
    figures_add("processor time of the HTTP threads for them, of all cores", "%",
                100 * seconds / (N_WINDOWS * WINDOW_S * (double)sysconf(_SC_NPROCESSORS_ONLN)),
                FIGURE_TOLD, 0);
}

static void measure_latency(const struct child *child, const char *id)
{
    double medians[N_LATENCIES], p99s[N_LATENCIES];
    static const char *const path = JOB "%JOB";
    struct load load = {.port = child->port,
                        .paths = &path,
                        .n_paths = 1,
                        .n_connections = 4,
                        .interval_s = 0.02,
                        .seconds = LATENCY_S,
                        .jobs = &id,
                        .n_jobs = 1};
    struct load_result result;

    for (size_t i = 0; i < N_LATENCIES; i++) {
        load_run(&result, &load);
        medians[i] = 1e3 * result.median_s;
        p99s[i] = 1e3 * result.p99_s;
    }
    figures_add("status request while all cores train, median", "ms",
                figures_quantile(medians, N_LATENCIES, 0.5), FIGURE_TOLD, 0);
    figures_add("status request while all cores train, 99th percentile", "ms",
                figures_quantile(p99s, N_LATENCIES, 0.5), FIGURE_AT_MOST, 1);
    load.interval_s = 0;
    load_run(&result, &load);
    figures_add("status requests while all cores train, 4 clients at full speed", "1/s",
                (double)result.n / result.seconds, FIGURE_TOLD, 0);
}

void measure_training(void)
{
    struct child child;
    char *id;

    folder_open();
    child_start(&child, folder, MODELS, CHILD_ANY_CORE);
    id = start_training(&child);
    measure_latency(&child, id);
    measure_watchers(&child, id);
    child_stop(&child);
    free(id);
    folder_close();
}
