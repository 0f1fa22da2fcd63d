/* training.c - the case `training`: requests while every core trains. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cases.h"
#include "figures.h"
#include "load.h"
#include "quiet.h"
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

char *start_training(const struct child *child)
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

struct training {
    const struct child *child;
    const char *id;
    double http_s, watched_s; /* of the HTTP threads, in so long a time of watching */
};

/* A while of training, watched or not: its steps per second. */
static double window(struct training *t, size_t n_watchers)
{
    char status[32];
    double http = child_thread_seconds(t->child, "MHD"), start = child_now(), seconds;
    json_int_t first = step_of(t->child, t->id, status), last;
    struct load_result result;

    if (n_watchers)
        load_run(&result, &(struct load){.port = t->child->port,
                                         .paths = dashboard,
                                         .n_paths = 3,
                                         .n_connections = n_watchers,
                                         .interval_s = 1,
                                         .seconds = WINDOW_S,
                                         .jobs = &t->id,
                                         .n_jobs = 1});
    else
        child_sleep(WINDOW_S);
    last = step_of(t->child, t->id, status);
    seconds = child_now() - start;
    if (n_watchers) {
        t->http_s += child_thread_seconds(t->child, "MHD") - http;
        t->watched_s += seconds;
    }
    return (double)(last - first) / seconds;
}

/* Without watchers before and after, so that a slow drift of the machine goes out. */
static double slower_percent(void *context)
{
    double before = window(context, 0), with = window(context, N_WATCHERS),
           after = window(context, 0);

    return 100 * (1 - 2 * with / (before + after));
}

static void add_others(double share)
{
    figures_add("other programs' share of the cores meanwhile, at most", "%", 100 * share,
                FIGURE_TOLD, 0);
}

static void measure_watchers(struct training *t)
{
    struct quiet quiet = {.wanted = 5, .most = 10};
    double slower = quiet_measure(&quiet, t->child, slower_percent, t);

    figures_add("training slowed by 5 watchers (job, layers, metrics every second)", "%", slower,
                FIGURE_AT_MOST, 1);
    add_others(quiet.others);
    figures_add("processor time of the HTTP threads for them, of all cores", "%",
                100 * t->http_s / (t->watched_s * (double)sysconf(_SC_NPROCESSORS_ONLN)),
                FIGURE_TOLD, 0);
}

static const char *const status_path = JOB "%JOB";

static struct load_result ask(const struct training *t, double interval_s, double seconds)
{
    struct load_result result;

    load_run(&result, &(struct load){.port = t->child->port,
                                     .paths = &status_path,
                                     .n_paths = 1,
                                     .n_connections = 4,
                                     .interval_s = interval_s,
                                     .seconds = seconds,
                                     .jobs = &t->id,
                                     .n_jobs = 1});
    return result;
}

static double p99_ms(void *context)
{
    return 1e3 * ask(context, 0.01, LATENCY_S).p99_s;
}

static void measure_latency(struct training *t)
{
    struct quiet quiet = {.wanted = 7, .most = 20};
    double p99 = quiet_measure(&quiet, t->child, p99_ms, t);
    struct load_result result = ask(t, 0, LATENCY_S);

    figures_add("status request while all cores train, 99th percentile", "ms", p99, FIGURE_AT_MOST,
                1);
    add_others(quiet.others);
    figures_add("status requests while all cores train, 4 clients at full speed", "1/s",
                (double)result.n / result.seconds, FIGURE_TOLD, 0);
}

void measure_training(void)
{
    struct training training;
    struct child child;
    char *id;

    folder_open();
    child_start(&child, folder, MODELS, CHILD_ANY_CORE);
    id = start_training(&child);
    training = (struct training){.child = &child, .id = id};
    measure_latency(&training);
    measure_watchers(&training);
    child_stop(&child);
    free(id);
    folder_close();
}
