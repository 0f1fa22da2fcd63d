/* gc.c - see gc.h: the order in which the modules sweep. What is to go each of them knows. */
#include "daemon/gc.h"

#include <stdatomic.h>

#include "daemon/error.h"
#include "daemon/experiments.h"
#include "daemon/files.h"
#include "daemon/idempotency.h"
#include "daemon/queue.h"
#include "daemon/reads.h"
#include "daemon/stale_pulls.h"
#include "daemon/uploads.h"
#include "daemon/webhooks.h"

#define DAY_S INT64_C(86400)

static atomic_flag is_running = ATOMIC_FLAG_INIT;

static enum prilora_status sweep_all(struct store *store, const struct config *config,
                                     struct sweep *sweep, struct prilora_error *err)
{
    enum prilora_status rc = files_sweep(store, sweep, err);

    if (rc == PRILORA_OK)
        rc = uploads_sweep(store, sweep, err);
    if (rc == PRILORA_OK)
        rc = idempotency_sweep(store, sweep, err);
    if (rc == PRILORA_OK)
        rc = webhooks_sweep(store, sweep, err);
    if (rc == PRILORA_OK)
        rc = queue_sweep_old(store, sweep, err);
    if (rc == PRILORA_OK)
        rc = experiments_sweep(store, sweep, err);
    if (rc == PRILORA_OK)
        rc = reads_sweep(store, sweep, err);
    if (rc == PRILORA_OK && sweep->depth >= SWEEP_JOBS)
        rc = queue_sweep(store, sweep, err);
    if (rc == PRILORA_OK && sweep->depth >= SWEEP_ALL)
        rc = stale_pulls_sweep(config->models_dirs, sweep, err);
    return rc;
}

enum prilora_status gc_run(struct store *store, const struct config *config, struct sweep *sweep,
                           struct prilora_error *err)
{
    enum prilora_status rc;

    if (atomic_flag_test_and_set(&is_running))
        return error_set(err, PRILORA_EMISMATCH, "the daemon is sweeping already");
    sweep->keep_jobs_s = config_now(config)->keep_jobs_days * DAY_S;
    rc = sweep_all(store, config, sweep, err);
    if (rc == PRILORA_OK && sweep_must_stop(sweep))
        rc = error_set(err, PRILORA_ESTOPPED, "prilorad is stopping");
    atomic_flag_clear(&is_running);
    return rc;
}
