/* queue_recover.c - putting right what the last daemon's end left; see queue.h. */
#include "daemon/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/error.h"
#include "daemon/events.h"

struct victim {
    char id[ID_SIZE];
    bool running; /* else being validated */
    bool pausing; /* running, and to be paused */
    int64_t deaths;
};

static enum prilora_status read_victim(sqlite3_stmt *row, void *out, struct prilora_error *err)
{
    struct victim *victim = out;

    (void)err;
    snprintf(victim->id, sizeof victim->id, "%s", (const char *)sqlite3_column_text(row, 0));
    victim->running = sqlite3_column_int(row, 1) != 0;
    victim->deaths = sqlite3_column_int64(row, 2) + 1;
    victim->pausing = victim->running && sqlite3_column_int(row, 3) != 0;
    return PRILORA_OK;
}

/* What is told of a job that goes on: being validated, running, running and asked to pause. */
static const char *const told[] = {
    "prilorad ended unexpectedly; validation starts over",
    "prilorad ended unexpectedly; the job goes on from its last checkpoint",
    "prilorad ended unexpectedly; the job is paused, as was asked, at its last checkpoint",
};

static enum prilora_status put_back(struct store *store, const struct victim *victim,
                                    struct prilora_error *err)
{
    enum prilora_status rc =
        store_run(store, err, "put a job back",
                  "UPDATE jobs SET status = CASE WHEN status <> 'running' THEN status "
                  "WHEN ?3 THEN 'paused' ELSE 'queued' END, "
                  "pause_requested = pause_requested AND status <> 'running', claimed = 0, "
                  "deaths = ?2 WHERE id = ?1",
                  "tii", victim->id, victim->deaths, (int64_t)victim->pausing);

    if (rc == PRILORA_OK)
        rc = events_add(store, victim->id, NULL, "warn", "message",
                        told[victim->running + victim->pausing], NULL, err);
    return rc;
}

static enum prilora_status give_up(struct store *store, const struct victim *victim,
                                   struct prilora_error *err)
{
    enum prilora_status rc;
    char message[160];

    snprintf(message, sizeof message,
             "prilorad ended unexpectedly %lld times in a row while it worked on this job",
             (long long)victim->deaths);
    rc = store_run(store, err, "fail a job",
                   "UPDATE jobs SET status = 'failed', error_code = 'daemon_died', "
                   "error_message = ?2, finished_at = ?3, claimed = 0, pause_requested = 0, "
                   "deaths = ?4 WHERE id = ?1",
                   "ttii", victim->id, message, store_now(), victim->deaths);
    if (rc == PRILORA_OK)
        rc = events_add(store, victim->id, "end", "error", "message", message, NULL, err);
    return rc;
}

static enum prilora_status recover(struct store *store, size_t *n_requeued,
                                   struct prilora_error *err)
{
    const struct store_rows rows = {sizeof(struct victim), SIZE_MAX, read_victim,
                                    "look for interrupted jobs"};
    enum prilora_status rc;
    void *list = NULL;
    const struct victim *victims;
    size_t n = 0;
    sqlite3_stmt *s = store_query(store, err,
                                  "SELECT id, status = 'running', deaths, pause_requested AND NOT "
                                  "cancel_requested FROM jobs WHERE status = "
                                  "'running' OR (status = 'validating_files' AND claimed = 1) "
                                  "ORDER BY row",
                                  "");

    if (!s)
        return err->status;
    rc = store_collect(store, s, &rows, &list, &n, NULL, err);
    victims = list;
    for (size_t i = 0; i < n && rc == PRILORA_OK; i++) {
        bool hopeless = victims[i].deaths >= QUEUE_MAX_DEATHS;

        rc = hopeless ? give_up(store, &victims[i], err) : put_back(store, &victims[i], err);
        *n_requeued += victims[i].running && !victims[i].pausing && !hopeless;
    }
    free(list);
    return rc;
}

enum prilora_status queue_recover(struct store *store, size_t *n_requeued,
                                  struct prilora_error *err)
{
    enum prilora_status rc;
    struct prilora_error local;

    err = err ? err : &local;
    *n_requeued = 0;
    rc = store_begin(store, err);
    if (rc != PRILORA_OK)
        return rc;
    return store_end(store, recover(store, n_requeued, err), err);
}
