/*
 * soak.c - the case `soak`: hours of small jobs, with pollers beside them. Does anything grow?
 *
 * A thread submits a job, waits for it, asks the adapter something, and deletes every second job;
 * the others stay, as they would. Watchers ask every second what a dashboard asks. A
 * row a minute goes to stderr; what counts is the second quarter against the last.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "figures.h"
#include "load.h"
#include "submit.h"

#define WINDOW_S   60.0
#define N_POLLERS  10
#define MAX_ROWS   2000
#define N_JOB_ROWS 48 /* of text, in a job */
#define POLL_S     0.1
#define REST_S     2.0  /* between jobs, for the machine's other users */
#define CACHE_MB   "64" /* of open adapters: they soon begin to make room for each other */

double soak_seconds = 7200;

enum { RESIDENT, FILES, THREADS, MEDIAN, P99, N_MEMBERS };

struct soak {
    const struct child *child;
    atomic_bool over;
    atomic_size_t n_jobs;
};

static const char *const dashboard[] = {JOB "%JOB", JOB "%JOB/layers",
                                        JOB "%JOB/metrics?after=%STEP",
                                        "/v1/fine_tuning/jobs?limit=20", "/metrics"};

/* ---- small jobs ---- */

static char *some_rows(size_t *size, unsigned seed)
{
    static const char *const words[] = {"rain", "wind", "sun", "cloud", "snow"};
    char *rows = NULL;
    FILE *out = open_memstream(&rows, size);

    for (unsigned i = 0; i < N_JOB_ROWS; i++)
        fprintf(out, "{\"label\": \"%s\", \"text\": \"%s and %s again, %u\"}\n",
                i % 2 ? "odd" : "even", words[(i + seed) % 5], words[(i * 3 + seed) % 5], i + seed);
    if (fclose(out) != 0)
        child_die("out of memory");
    return rows;
}

static void ask(const struct child *child, const char *id)
{
    char path[200], body[300], *job, model[128] = "";
    const char *at;

    snprintf(path, sizeof path, JOB "%s", id);
    job = load_request(child->port, path, NULL, NULL, 0);
    at = strstr(job, "\"fine_tuned_model\":\"");
    if (!at || sscanf(at + 20, "%127[^\"]", model) != 1)
        child_die("no model in %.300s", job);
    free(job);
    snprintf(body, sizeof body, "{\"model\": \"%s\", \"input\": \"sun and wind\"}", model);
    free(load_request(child->port, "/v1/predictions", "application/json", body, strlen(body)));
}

/* One job from its rows to its end; its id, malloc'ed. */
static char *train_one(const struct child *child, unsigned seed)
{
    char status[32];
    size_t size;
    char *rows = some_rows(&size, seed);
    char *id = submit(child, rows, size, "\"n_epochs\": 2, \"batch_size\": 8");

    do {
        child_sleep(POLL_S);
        step_of(child, id, status);
    } while (strcmp(status, "succeeded") != 0);
    free(rows);
    return id;
}

static void *keep_busy(void *context)
{
    struct soak *soak = context;
    char path[200];

    for (unsigned i = 1; !atomic_load(&soak->over); i++) {
        char *id = train_one(soak->child, i);

        ask(soak->child, id);
        snprintf(path, sizeof path, JOB "%s", id);
        if (i % 2)
            free(load_send(soak->child->port, "DELETE", path, NULL, NULL, 0));
        atomic_fetch_add(&soak->n_jobs, 1);
        free(id);
        child_sleep(REST_S);
    }
    return NULL;
}

/* ---- minutes ---- */

static double entries(const struct child *child, const char *what)
{
    char path[64];
    double n = -2; /* . and .. */
    DIR *dir;

    snprintf(path, sizeof path, "/proc/%ld/%s", (long)child->pid, what);
    dir = opendir(path);
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static void watch(double row[N_MEMBERS], const struct child *child, const char *id, double seconds)
{
    struct load_result result;

    load_run(&result, &(struct load){.port = child->port,
                                     .paths = dashboard,
                                     .n_paths = sizeof dashboard / sizeof *dashboard,
                                     .n_connections = N_POLLERS,
                                     .interval_s = 1,
                                     .seconds = seconds,
                                     .jobs = &id,
                                     .n_jobs = 1});
    row[RESIDENT] = child_memory(child, "Rss") / MEGABYTE;
    row[FILES] = entries(child, "fd");
    row[THREADS] = entries(child, "task");
    row[MEDIAN] = 1e3 * result.median_s;
    row[P99] = 1e3 * result.p99_s;
}

/* The median of a member of n rows. */
static double middle(double rows[][N_MEMBERS], size_t n, size_t member)
{
    double values[MAX_ROWS];

    for (size_t i = 0; i < n; i++)
        values[i] = rows[i][member];
    return figures_quantile(values, n, 0.5);
}

static void report(double rows[][N_MEMBERS], size_t n)
{
    static const struct {
        const char *name, *unit;
        double most; /* growth */
    } members[N_MEMBERS] = {{"resident memory", "MB", 0.02},
                            {"open files", "", 0.3}, /* with the pollers' connections or not */
                            {"threads", "", 0},
                            {"median answer", "ms", 0.25},
                            {"99th percentile of answers", "ms", 0.25}};
    size_t part = n / 4; /* the first one warms up */

    for (size_t i = 0; i < N_MEMBERS; i++) {
        double first = middle(rows + part, part, i), last = middle(rows + n - part, part, i);
        char text[160];

        snprintf(text, sizeof text, "soak: %s, at first", members[i].name);
        figures_add(text, members[i].unit, first, FIGURE_TOLD, 0);
        snprintf(text, sizeof text, "soak: %s, at last", members[i].name);
        figures_add(text, members[i].unit, last, FIGURE_AT_MOST, first * (1 + members[i].most));
    }
}

void measure_soak(void)
{
    static double rows[MAX_ROWS][N_MEMBERS];
    struct child child;
    struct soak soak = {.child = &child};
    pthread_t busy;
    size_t n = 0;
    double start, window = soak_seconds / 10 < WINDOW_S ? soak_seconds / 10 : WINDOW_S;
    char *id;

    folder_open();
    setenv("PRILORAD_PREDICTIONS_MEMORY_LIMIT_MB", CACHE_MB, 1);
    child_start(&child, folder, MODELS, CHILD_ANY_CORE);
    unsetenv("PRILORAD_PREDICTIONS_MEMORY_LIMIT_MB");
    id = train_one(&child, 0);
    if (pthread_create(&busy, NULL, keep_busy, &soak) != 0)
        child_die("cannot start a thread");
    for (start = child_now(); child_now() - start < soak_seconds && n < MAX_ROWS; n++) {
        watch(rows[n], &child, id, window);
        fprintf(stderr, "%6.0f s %6zu jobs %7.1f MB %4.0f files %3.0f threads %6.2f ms %6.2f ms\n",
                child_now() - start, atomic_load(&soak.n_jobs), rows[n][RESIDENT], rows[n][FILES],
                rows[n][THREADS], rows[n][MEDIAN], rows[n][P99]);
    }
    atomic_store(&soak.over, true);
    pthread_join(busy, NULL);
    figures_add("soak: hours", "h", (child_now() - start) / 3600, FIGURE_TOLD, 0);
    figures_add("soak: jobs trained", "", (double)atomic_load(&soak.n_jobs), FIGURE_TOLD, 0);
    report(rows, n);
    child_stop(&child);
    free(id);
    folder_close();
}
