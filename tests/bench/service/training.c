/* training.c - the case `training`: requests while every core trains. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cases.h"
#include "figures.h"
#include "load.h"
#include "quiet.h"
#include "submit.h"

#define LATENCY_S   5.0
#define N_LATENCIES 5 /* windows; the median counts */
#define N_WATCHERS  5
#define WINDOW_S    5.0
#define N_WINDOWS   8 /* with watchers, and as many without */

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
    id = submit_endless(&child);
    training = (struct training){.child = &child, .id = id};
    measure_latency(&training);
    measure_watchers(&training);
    child_stop(&child);
    free(id);
    folder_close();
}
