/*
 * queue.c - every change of a job; see queue.h.
 *
 * A change is: BEGIN IMMEDIATE; one UPDATE whose WHERE names the states it may start from; the
 * event; COMMIT; and then subscribers and sleeping workers are told.
 */
#include "daemon/queue_row.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/error.h"
#include "daemon/events.h"
#include "daemon/live.h"
#include "daemon/meters.h"
#include "daemon/log.h"
#include "daemon/path.h"

/* ---- waiting for work ---- */

static pthread_mutex_t bell_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t bell = PTHREAD_COND_INITIALIZER;
static unsigned long bell_rings; /* guarded by bell_mutex */
static _Thread_local unsigned long
    heard; /* a ring between a look at the queue and the wait counts */

void queue_wake(struct store *store)
{
    (void)store;
    pthread_mutex_lock(&bell_mutex);
    bell_rings++;
    pthread_cond_broadcast(&bell);
    pthread_mutex_unlock(&bell_mutex);
}

void queue_wait(struct store *store, long timeout_ms)
{
    struct timespec until;

    (void)store;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&bell_mutex);
    while (bell_rings == heard)
        if (pthread_cond_timedwait(&bell, &bell_mutex, &until) != 0)
            break;
    heard = bell_rings;
    pthread_mutex_unlock(&bell_mutex);
}

/* ---- the frame of every change ---- */

struct note {
    const char *key, *level, *message;
};

static enum prilora_status add_note(struct store *store, const char *id, const struct note *note,
                                    struct prilora_error *err)
{
    return events_add(store, id, note->key, note->level, "message", note->message, NULL, err);
}

/* After an UPDATE of job `id`: an error that says why if it changed no row. */
static enum prilora_status check_changed(struct store *store, const char *id, const char *verb,
                                         struct prilora_error *err)
{
    enum prilora_status rc;
    struct job job;

    if (sqlite3_changes(store_db(store, NULL)) > 0)
        return PRILORA_OK;
    rc = queue_get(store, id, &job, err);
    if (rc == PRILORA_OK)
        rc = error_set(err, PRILORA_EMISMATCH, "cannot %s job %s: it is %s", verb, id,
                       job_status_name(job.status));
    job_clear(&job);
    return rc;
}

/* Ends a change that store_begin began: `rc` is how its UPDATE went, `note` (or NULL) its event. */
static enum prilora_status end_change(struct store *store, enum prilora_status rc, const char *id,
                                      const char *verb, const struct note *note,
                                      struct prilora_error *err)
{
    if (rc == PRILORA_OK)
        rc = check_changed(store, id, verb, err);
    if (rc == PRILORA_OK && note)
        rc = add_note(store, id, note, err);
    rc = store_end(store, rc, err);
    if (rc == PRILORA_OK) {
        events_notify(id);
        queue_wake(store);
    }
    return rc;
}

char *queue_folder(struct store *store, const char *id, const char *name)
{
    return text_format("%s/jobs/%s%s%s", store_folder(store), id, name ? "/" : "",
                       name ? name : "");
}

/* What a job that is over no longer needs; its adapter stays if `keep`. Failure costs only room. */
static void clean_folder(struct store *store, const char *id, bool keep)
{
    struct prilora_error err;
    char *folder = queue_folder(store, id, NULL);

    if (folder &&
        (keep ? path_empty(folder, "adapter", &err) : path_remove(folder, &err)) != PRILORA_OK)
        log_warn("queue", "%s", err.message);
    free(folder);
}

/* ---- submitting ---- */

static enum prilora_status check_file(struct store *store, const char *id, const char *member,
                                      struct prilora_error *err)
{
    enum prilora_status rc;
    bool row;
    sqlite3_stmt *s;

    if (!id)
        return PRILORA_OK;
    s = store_query(store, err, "SELECT 1 FROM files WHERE id = ?", "t", id);
    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "look for a file", err);
    sqlite3_reset(s);
    if (rc == PRILORA_OK && !row)
        rc = error_set_at(err, PRILORA_ENOENT, member, "no such file: %s", id);
    return rc;
}

static enum prilora_status insert(struct store *store, const struct job *job,
                                  struct prilora_error *err)
{
    return store_run(store, err, "write a job",
                     "INSERT INTO jobs (id, status, created_at, priority, seed, model, "
                     "training_file, validation_file, suffix, metadata, spec, requested, forecast) "
                     "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                     "ttiiitttttttt", job->id, job_status_name(job->status), job->created_at,
                     job->priority, job->seed, job->model, job->training_file, job->validation_file,
                     job->suffix, job->metadata, job->spec, job->requested, job->forecast);
}

static enum prilora_status add_first_notes(struct store *store, const struct job *job,
                                           struct prilora_error *err)
{
    enum prilora_status rc;
    char created[96], files[200];
    const char *valid = job->validation_file;

    snprintf(created, sizeof created, "Created fine-tuning job: %s", job->id);
    snprintf(files, sizeof files, "Validating training file: %s%s%s", job->training_file,
             valid ? " and validation file: " : "", valid ? valid : "");
    rc = add_note(store, job->id, &(struct note){"created", "info", created}, err);
    if (rc == PRILORA_OK)
        rc = add_note(store, job->id, &(struct note){"validating", "info", files}, err);
    return rc;
}

enum prilora_status queue_submit(struct store *store, struct job *job, struct prilora_error *err)
{
    enum prilora_status rc;
    struct prilora_error local;

    err = err ? err : &local;
    store_new_id(job->id, "ftjob-");
    job->status = JOB_VALIDATING;
    job->created_at = store_now();
    rc = store_begin(store, err);
    if (rc != PRILORA_OK)
        return rc;
    rc = check_file(store, job->training_file, "training_file", err);
    if (rc == PRILORA_OK)
        rc = check_file(store, job->validation_file, "validation_file", err);
    if (rc == PRILORA_OK)
        rc = insert(store, job, err);
    if (rc == PRILORA_OK)
        rc = add_first_notes(store, job, err);
    return end_change(store, rc, job->id, "submit", NULL, err);
}

/* ---- for the workers ---- */

static const char claim_validating[] =
    "UPDATE jobs SET claimed = 1 WHERE row = (SELECT row FROM jobs WHERE status = "
    "'validating_files' AND claimed = 0 ORDER BY priority DESC, row LIMIT 1) "
    "RETURNING " QUEUE_COLUMNS;

static const char claim_queued[] =
    "UPDATE jobs SET status = 'running', attempts = attempts + 1, started_at = CASE started_at "
    "WHEN 0 THEN ?1 ELSE started_at END WHERE row = (SELECT row FROM jobs WHERE status = 'queued' "
    "ORDER BY priority DESC, row LIMIT 1) RETURNING " QUEUE_COLUMNS;

/* One row of an UPDATE ... RETURNING, which is run to its end. */
static enum prilora_status claim_row(struct store *store, sqlite3_stmt *s, struct job *out,
                                     bool *found, struct prilora_error *err)
{
    bool more = false;
    enum prilora_status rc = store_step(store, s, found, "claim a job", err);

    if (rc != PRILORA_OK || !*found)
        return rc;
    rc = queue_read_row(s, out, err);
    if (rc == PRILORA_OK)
        rc = store_step(store, s, &more, "claim a job", err);
    sqlite3_reset(s);
    return rc;
}

enum prilora_status queue_claim(struct store *store, enum job_status from, struct job *out,
                                bool *found, struct prilora_error *err)
{
    static const struct note started = {"started", "info", "Fine-tuning job started"};
    enum prilora_status rc;
    struct prilora_error local;
    sqlite3_stmt *s;

    err = err ? err : &local;
    *out = (struct job){0};
    *found = false;
    rc = store_begin(store, err);
    if (rc != PRILORA_OK)
        return rc;
    s = from == JOB_QUEUED ? store_query(store, err, claim_queued, "i", store_now())
                           : store_query(store, err, claim_validating, "");
    rc = s ? claim_row(store, s, out, found, err) : err->status;
    if (rc == PRILORA_OK && *found && from == JOB_QUEUED)
        rc = add_note(store, out->id, &started, err);
    rc = store_end(store, rc, err);
    if (rc != PRILORA_OK || !*found) {
        *found = false;
        job_clear(out);
    } else {
        events_notify(out->id);
    }
    return rc;
}

enum prilora_status queue_validated(struct store *store, const char *id, const char *spec,
                                    const char *forecast, struct prilora_error *err)
{
    static const struct note note = {"validated", "info",
                                     "Files validated, moving job to queued state"};
    enum prilora_status rc = store_begin(store, err);

    if (rc != PRILORA_OK)
        return rc;
    rc = store_run(store, err, "queue a job",
                   "UPDATE jobs SET status = 'queued', spec = ?2, forecast = ?3, claimed = 0, "
                   "deaths = 0 WHERE id = ?1 AND status = 'validating_files'",
                   "ttt", id, spec, forecast);
    return end_change(store, rc, id, "queue", &note, err);
}

enum prilora_status queue_progress(struct store *store, const char *id,
                                   const struct job_progress *progress, struct prilora_error *err)
{
    return store_run(store, err, "write a job's progress",
                     "UPDATE jobs SET step = ?2, total_steps = ?3, n_tokens = ?4, "
                     "peak_memory_bytes = MAX(peak_memory_bytes, ?5), epoch = ?6, loss = ?7, "
                     "tokens_per_second = ?8, seconds_left = ?9 "
                     "WHERE id = ?1 AND status = 'running'",
                     "tiiiidddd", id, (int64_t)progress->step, (int64_t)progress->total_steps,
                     (int64_t)progress->n_tokens, (int64_t)progress->peak_memory_bytes,
                     progress->epoch, progress->loss, progress->tokens_per_second,
                     progress->seconds_left);
}

enum prilora_status queue_set_spec(struct store *store, const char *id, const char *spec,
                                   struct prilora_error *err)
{
    return store_run(store, err, "write a job's settings",
                     "UPDATE jobs SET spec = ?2 WHERE id = ?1 AND status = 'running'", "tt", id,
                     spec);
}

enum prilora_status queue_checkpointed(struct store *store, const char *id,
                                       struct prilora_error *err)
{
    return store_run(store, err, "write a job's progress",
                     "UPDATE jobs SET deaths = 0 WHERE id = ? AND deaths > 0", "t", id);
}

enum prilora_status queue_requeue(struct store *store, const char *id, struct prilora_error *err)
{
    static const struct note note = {NULL, "info",
                                     "prilorad is stopping; the job goes on when it is back"};
    enum prilora_status rc = store_begin(store, err);

    if (rc != PRILORA_OK)
        return rc;
    rc = store_run(store, err, "put a job back",
                   "UPDATE jobs SET status = 'queued', attempts = attempts - 1, deaths = 0 "
                   "WHERE id = ? AND status = 'running'",
                   "t", id);
    return end_change(store, rc, id, "put back", &note, err);
}

/* ---- the end of a job ---- */

static enum prilora_status add_last_notes(struct store *store, const char *id,
                                          const struct job_end *end, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    struct note last = {"end", "info", "The job has successfully completed"};
    char model[300];

    if (end->fine_tuned_model) {
        snprintf(model, sizeof model, "New fine-tuned model created: %s", end->fine_tuned_model);
        rc = add_note(store, id, &(struct note){"model", "info", model}, err);
    }
    if (end->status == JOB_FAILED) {
        last.level = "error";
        last.message = end->error_message ? end->error_message : "The job failed";
    } else if (end->status == JOB_CANCELLED) {
        last.message = end->fine_tuned_model ? "The job was cancelled; its best adapter is kept"
                                             : "The job was cancelled";
    }
    return rc == PRILORA_OK ? add_note(store, id, &last, err) : rc;
}

/* A job ends from running; it may fail while its files are being validated, too. */
static enum prilora_status finish(struct store *store, const char *id, const struct job_end *end,
                                  struct prilora_error *err)
{
    enum prilora_status rc =
        store_run(store, err, "finish a job",
                  "UPDATE jobs SET status = ?2, finished_at = ?3, error_code = ?4, "
                  "error_message = ?5, error_param = ?6, fine_tuned_model = ?7, result = ?8, "
                  "trained_tokens = ?9, claimed = 0, seconds_left = NULL WHERE id = ?1 AND "
                  "(status = 'running' OR (status = 'validating_files' AND ?2 = 'failed'))",
                  "ttittttti", id, job_status_name(end->status), store_now(), end->error_code,
                  end->error_message, end->error_param, end->fine_tuned_model, end->result,
                  (int64_t)end->trained_tokens);

    if (rc == PRILORA_OK)
        rc = check_changed(store, id, "finish", err);
    return rc == PRILORA_OK ? add_last_notes(store, id, end, err) : rc;
}

static void count_end(const struct job *job)
{
    meters_job_ended(job->status,
                     job->started_at ? (double)(job->finished_at - job->started_at) : -1);
}

enum prilora_status queue_finish(struct store *store, const char *id, const struct job_end *end,
                                 struct prilora_error *err)
{
    enum prilora_status rc;
    struct job job;

    if (end->status != JOB_SUCCEEDED && end->status != JOB_FAILED && end->status != JOB_CANCELLED)
        return error_set(err, PRILORA_EINVAL, "a job cannot end as %s",
                         job_status_name(end->status));
    rc = store_begin(store, err);
    if (rc != PRILORA_OK)
        return rc;
    rc = store_end(store, finish(store, id, end, err), err);
    if (rc != PRILORA_OK)
        return rc;
    if (queue_get(store, id, &job, NULL) == PRILORA_OK)
        count_end(&job);
    job_clear(&job);
    clean_folder(store, id, end->fine_tuned_model != NULL);
    events_notify(id);
    return PRILORA_OK;
}

/* ---- for clients ---- */

enum prilora_status queue_cancel(struct store *store, const char *id, struct job *out,
                                 struct prilora_error *err)
{
    static const struct note note = {"cancel", "info", "Cancellation requested"};
    enum prilora_status rc;
    struct prilora_error local;

    err = err ? err : &local;
    *out = (struct job){0};
    rc = store_begin(store, err);
    if (rc != PRILORA_OK)
        return rc;
    rc = store_run(store, err, "cancel a job",
                   "UPDATE jobs SET cancel_requested = 1, "
                   "status = CASE status WHEN 'running' THEN status ELSE 'cancelled' END, "
                   "finished_at = CASE status WHEN 'running' THEN 0 ELSE ?2 END "
                   "WHERE id = ?1 AND status IN ('validating_files', 'queued', 'running', "
                   "'paused')",
                   "ti", id, store_now());
    if (rc == PRILORA_OK)
        rc = check_changed(store, id, "cancel", err);
    if (rc == PRILORA_OK)
        rc = queue_get(store, id, out, err);
    if (rc == PRILORA_OK)
        rc = add_note(store, id, &note, err);
    if (rc == PRILORA_OK && out->status == JOB_CANCELLED)
        rc = add_note(store, id, &(struct note){"end", "info", "The job was cancelled"}, err);
    rc = store_end(store, rc, err);
    if (rc != PRILORA_OK) {
        job_clear(out);
        return rc;
    }
    if (out->status == JOB_CANCELLED) {
        count_end(out);
        clean_folder(store, id, false);
    } else {
        live_stop(id); /* after the commit: a worker that is just beginning reads the row */
    }
    events_notify(id);
    return PRILORA_OK;
}

enum prilora_status queue_delete_model(struct store *store, const char *model,
                                       struct prilora_error *err)
{
    static const struct note note = {NULL, "info", "The fine-tuned model was deleted"};
    enum prilora_status rc;
    struct job job;

    rc = queue_find_model(store, model, &job, err);
    if (rc != PRILORA_OK)
        return rc;
    rc = store_begin(store, err);
    if (rc != PRILORA_OK)
        goto out;
    rc = store_run(store, err, "delete a fine-tuned model",
                   "UPDATE jobs SET fine_tuned_model = NULL WHERE id = ? AND fine_tuned_model = ? "
                   "AND status IN ('succeeded', 'failed', 'cancelled')",
                   "tt", job.id, model);
    rc = end_change(store, rc, job.id, "delete the model of", &note, err);
    if (rc == PRILORA_OK)
        clean_folder(store, job.id, false);
out:
    job_clear(&job);
    return rc;
}
