/*
 * live.c - see live.h.
 *
 * The registry's mutex is held for list changes and copies of numbers, never while a run's
 * statistics are copied: for that a reader counts itself in, and live_end waits for it, so that
 * the worker cannot close the run under a reader.
 */
#include "daemon/live.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/error.h"

struct live {
    char job_id[ID_SIZE];
    struct prilora_run *run; /* NULL until it is open */
    struct job_progress progress;
    atomic_int stop;
    size_t n_readers;
    struct live *next;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t reader_left = PTHREAD_COND_INITIALIZER;
static struct live *jobs; /* guarded by mutex, and so is all in it but the stop flags */

static struct live *find(const char *job_id)
{
    struct live *live = jobs;

    while (live && strcmp(live->job_id, job_id) != 0)
        live = live->next;
    return live;
}

/* ---- workers ---- */

enum prilora_status live_begin(const char *job_id, struct prilora_run *run,
                               struct prilora_error *err)
{
    struct live *live = calloc(1, sizeof *live);

    if (!live)
        return error_memory(err);
    snprintf(live->job_id, sizeof live->job_id, "%s", job_id);
    live->run = run;
    atomic_init(&live->stop, PRILORA_GO);
    pthread_mutex_lock(&mutex);
    live->next = jobs;
    jobs = live;
    pthread_mutex_unlock(&mutex);
    return PRILORA_OK;
}

void live_attach(const char *job_id, struct prilora_run *run)
{
    struct live *live;

    pthread_mutex_lock(&mutex);
    live = find(job_id);
    if (live)
        live->run = run;
    pthread_mutex_unlock(&mutex);
}

void live_progress(const char *job_id, const struct job_progress *progress)
{
    struct live *live;

    pthread_mutex_lock(&mutex);
    live = find(job_id);
    if (live)
        live->progress = *progress;
    pthread_mutex_unlock(&mutex);
}

void live_end(const char *job_id)
{
    struct live **at, *live;

    pthread_mutex_lock(&mutex);
    for (at = &jobs; *at && strcmp((*at)->job_id, job_id) != 0; at = &(*at)->next)
        ;
    live = *at;
    if (live) {
        *at = live->next; /* no new readers */
        while (live->n_readers)
            pthread_cond_wait(&reader_left, &mutex);
    }
    pthread_mutex_unlock(&mutex);
    free(live);
}

/* ---- stopping ---- */

bool live_stop(const char *job_id)
{
    struct live *live;

    pthread_mutex_lock(&mutex);
    live = find(job_id);
    if (live)
        atomic_store(&live->stop, PRILORA_STOP);
    pthread_mutex_unlock(&mutex);
    return live != NULL;
}

atomic_int *live_stop_flag(const char *job_id)
{
    struct live *live;

    pthread_mutex_lock(&mutex);
    live = find(job_id);
    pthread_mutex_unlock(&mutex);
    return live ? &live->stop : NULL; /* stays until the worker's own live_end */
}

void live_stop_all(void)
{
    pthread_mutex_lock(&mutex);
    for (struct live *live = jobs; live; live = live->next)
        atomic_store(&live->stop, PRILORA_STOP);
    pthread_mutex_unlock(&mutex);
}

/* ---- readers ---- */

bool live_get_progress(const char *job_id, struct job_progress *out)
{
    struct live *live;

    pthread_mutex_lock(&mutex);
    live = find(job_id);
    if (live)
        *out = live->progress;
    pthread_mutex_unlock(&mutex);
    return live != NULL;
}

void live_total(struct live_totals *out)
{
    *out = (struct live_totals){0};
    pthread_mutex_lock(&mutex);
    for (const struct live *live = jobs; live; live = live->next) {
        out->n_jobs++;
        if (live->progress.tokens_per_second > 0)
            out->tokens_per_second += live->progress.tokens_per_second;
    }
    pthread_mutex_unlock(&mutex);
}

size_t live_first(char id[ID_SIZE], struct job_progress *progress)
{
    size_t n = 0;

    pthread_mutex_lock(&mutex);
    for (const struct live *live = jobs; live; live = live->next, n++)
        if (!live->next) { /* later ones are put in front of it */
            memcpy(id, live->job_id, ID_SIZE);
            *progress = live->progress;
        }
    pthread_mutex_unlock(&mutex);
    return n;
}

static struct live *reader_enter(const char *job_id)
{
    struct live *live;

    pthread_mutex_lock(&mutex);
    live = find(job_id);
    if (live && live->run)
        live->n_readers++;
    else
        live = NULL;
    pthread_mutex_unlock(&mutex);
    return live;
}

static void reader_leave(struct live *live)
{
    pthread_mutex_lock(&mutex);
    live->n_readers--;
    pthread_cond_broadcast(&reader_left);
    pthread_mutex_unlock(&mutex);
}

struct prilora_layer *live_copy_layers(struct prilora_run *run, size_t *n, uint64_t *step)
{
    struct prilora_layer *layers = NULL;
    size_t n_layers = prilora_run_snapshot(run, NULL, 0, step);

    *n = 0;
    if (n_layers)
        layers = calloc(n_layers, sizeof *layers);
    if (!layers)
        return NULL;
    *n = prilora_run_snapshot(run, layers, n_layers, step);
    if (*n > n_layers)
        *n = n_layers;
    return layers;
}

size_t live_get_layers(const char *job_id, struct prilora_layer **layers, uint64_t *step)
{
    struct live *live = reader_enter(job_id);
    size_t n = 0;

    *layers = NULL;
    *step = 0;
    if (!live)
        return 0;
    *layers = live_copy_layers(live->run, &n, step);
    reader_leave(live);
    return n;
}
