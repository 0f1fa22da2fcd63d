/*
 * worker.c - the threads; see worker.h. Each takes a job, does all of it, and looks for the next;
 * nothing is handed between them but the queue.
 */
#include "daemon/worker.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/error.h"
#include "daemon/limits.h"
#include "daemon/live.h"
#include "daemon/log.h"
#include "daemon/priority.h"
#include "daemon/pulse.h"
#include "daemon/work.h"

#define IDLE_WAIT_MS    15000
#define TROUBLE_WAIT_MS 2000 /* the database could not be asked */
#define BASE_IDLE_S     60
#define MAX_WORKERS     256
#define MIB             (1024.0 * 1024.0)

struct workers {
    struct work work;
    pthread_t threads[MAX_WORKERS + 1]; /* the first one validates */
    size_t n_threads;
};

/* Of all that trains, by the setting; 0: unknown. */
static uint64_t memory_limit(long limit_mb)
{
    return limit_mb > 0 ? (uint64_t)limit_mb << 20 : limits_memory_bytes();
}

static void look_for_work(struct work *work, enum job_status from)
{
    struct prilora_error err;
    struct job job;
    bool found;
    uint64_t limit = memory_limit(config_now(work->config)->memory_limit_mb);
    enum prilora_status rc = queue_claim(work->store, from, limit, &job, &found, &err);

    if (rc != PRILORA_OK)
        log_error("worker", "%s", err.message);
    if (!found) {
        queue_wait(work->store, rc == PRILORA_OK ? IDLE_WAIT_MS : TROUBLE_WAIT_MS);
        models_trim(work->models, BASE_IDLE_S);
        return;
    }
    pulse_begin(from == JOB_QUEUED ? "a training" : "a validation");
    if (from == JOB_QUEUED)
        work_run(work, &job);
    else
        work_validate(work, &job);
    pulse_end();
    job_clear(&job);
}

static void *train_jobs(void *argument)
{
    struct work *work = argument;

    pthread_setname_np(pthread_self(), "trainer");
    priority_lower();
    while (!atomic_load(&work->stopping))
        look_for_work(work, JOB_QUEUED);
    return NULL;
}

static void *validate_jobs(void *argument)
{
    struct work *work = argument;

    pthread_setname_np(pthread_self(), "validator");
    priority_lower();
    while (!atomic_load(&work->stopping))
        look_for_work(work, JOB_VALIDATING);
    return NULL;
}

enum prilora_status workers_start(struct workers **out, const struct config *config,
                                  struct store *store, struct models *models,
                                  struct prilora_error *err)
{
    struct workers *workers = calloc(1, sizeof *workers);
    long wanted = config->workers < MAX_WORKERS ? config->workers : MAX_WORKERS;

    *out = NULL;
    limits_own_bytes();
    if (!workers)
        return error_memory(err);
    workers->work = (struct work){.config = config, .store = store, .models = models};
    for (long i = 0; i <= wanted; i++) {
        if (pthread_create(&workers->threads[i], NULL, i ? train_jobs : validate_jobs,
                           &workers->work) != 0) {
            workers_stop(workers);
            return error_set(err, PRILORA_EIO, "cannot start thread %ld of %ld", i + 1, wanted + 1);
        }
        workers->n_threads++;
    }
    *out = workers;
    return PRILORA_OK;
}

void workers_stop(struct workers *workers)
{
    if (!workers)
        return;
    atomic_store(&workers->work.stopping, PRILORA_STOP);
    live_stop_all(); /* a run that begins only now sees `stopping` */
    queue_wake(workers->work.store);
    for (size_t i = 0; i < workers->n_threads; i++)
        pthread_join(workers->threads[i], NULL);
    free(workers);
}

/* ---- what they may use ---- */

size_t worker_threads(const struct config *config)
{
    long threads = config_now(config)->threads;

    if (threads == 0)
        threads = limits_cores() / (config->workers > 0 ? config->workers : 1);
    return threads < 1 ? 1 : (size_t)threads;
}

enum prilora_status worker_forecast(struct prilora_forecast *out, const struct config *config,
                                    const struct prilora_base *base,
                                    const struct prilora_spec *spec,
                                    const struct prilora_dataset *train,
                                    const struct prilora_dataset *valid, struct prilora_error *err)
{
    enum prilora_status rc = prilora_run_forecast(out, base, spec, train, valid, err);

    if (rc == PRILORA_OK) {
        out->fixed_bytes += limits_own_bytes();
        out->memory_bytes += limits_own_bytes() + (worker_threads(config) - 1) * out->thread_bytes;
    }
    return rc;
}

enum prilora_status worker_check_memory(const struct config *config,
                                        const struct prilora_forecast *forecast,
                                        struct prilora_error *err)
{
    long limit_mb = config_now(config)->memory_limit_mb;
    uint64_t limit = memory_limit(limit_mb);
    bool with_data = forecast->total_steps > 0;
    size_t bytes = with_data ? forecast->memory_bytes : forecast->fixed_bytes;

    if (!limit || bytes <= limit)
        return PRILORA_OK;
    return error_set(
        err, PRILORA_ELIMIT,
        "%s %.0f MiB of memory (%.0f MiB of them for the base model), but %s is "
        "%.0f MiB; %s",
        with_data ? "the job would need about" : "with any data, the job would need at least",
        (double)bytes / MIB, (double)forecast->base_bytes / MIB,
        limit_mb > 0 ? "training.memory_limit_mb" : "what prilorad may use of this machine",
        (double)limit / MIB,
        with_data ? "a smaller max_length or fewer training.threads need less"
                  : "lower ranks need less");
}
