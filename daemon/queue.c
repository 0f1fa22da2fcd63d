/*
 * queue.c - how jobs come, are worked on and end; see queue.h. Which one a worker gets is in
 * queue_claim.c, what clients ask of a job meanwhile in queue_steer.c.
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
#include "daemon/keys.h"
#include "daemon/live.h"
#include "daemon/meters.h"
#include "daemon/log.h"
#include "daemon/path.h"
#include "daemon/pulse.h"

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
    pulse_beat();                           /* who waits here in a loop does so rightly */
    clock_gettime(CLOCK_MONOTONIC, &until); /* the other one may be set back by hours */
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&bell_mutex);
    while (bell_rings == heard)
        if (pthread_cond_clockwait(&bell, &bell_mutex, CLOCK_MONOTONIC, &until) != 0)
            break;
    heard = bell_rings;
    pthread_mutex_unlock(&bell_mutex);
}

/* ---- the frame of every change ---- */

enum prilora_status queue_add_note(struct store *store, const char *id,
                                   const struct queue_note *note, struct prilora_error *err)
{
    return events_add(store, id, note->key, note->level, "message", note->message, NULL, err);
}

enum prilora_status queue_check_changed(struct store *store, const char *id, const char *verb,
                                        struct prilora_error *err)
{
    enum prilora_status rc;
    struct job job;

    if (sqlite3_changes(store_db(store, NULL)) > 0)
        return PRILORA_OK;
    rc = queue_get(store, id, &job, err);
    if (rc == PRILORA_OK)
        rc = error_set(err, PRILORA_EMISMATCH, "cannot %s job %s: it is %s", verb, id,
                       job.cancel_requested && job.status < JOB_SUCCEEDED
                           ? "being cancelled"
                           : job_status_name(job.status));
    job_clear(&job);
    return rc;
}

enum prilora_status queue_end_change(struct store *store, enum prilora_status rc, const char *id,
                                     const char *verb, const struct queue_note *note,
                                     struct prilora_error *err)
{
    if (rc == PRILORA_OK)
        rc = queue_check_changed(store, id, verb, err);
    if (rc == PRILORA_OK && note)
        rc = queue_add_note(store, id, note, err);
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

void queue_clean_folder(struct store *store, const char *id, bool keep)
{
    struct prilora_error err;
    char *folder = queue_folder(store, id, NULL);

    if (folder &&
        (keep ? path_empty(folder, "adapter", &err) : path_remove(folder, &err)) != PRILORA_OK)
        log_warn("queue", "%s", err.message);
    free(folder);
}

/* ---- submitting ---- */

/* What a new job needs, as a query for its id. */
static const char file_sql[] = "SELECT 1 FROM files WHERE id = ?";
static const char model_sql[] = "SELECT 1 FROM jobs WHERE fine_tuned_model = ?";

static enum prilora_status check_there(struct store *store, const char *sql, const char *id,
                                       const char *member, struct prilora_error *err)
{
    enum prilora_status rc;
    bool row;
    sqlite3_stmt *s;

    if (!id)
        return PRILORA_OK;
    s = store_query(store, err, sql, "t", id);
    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "look for what a job needs", err);
    sqlite3_reset(s);
    if (rc == PRILORA_OK && !row)
        rc = error_set_at(err, PRILORA_ENOENT, member, "no such %s: %s",
                          sql == file_sql ? "file" : "fine-tuned model", id);
    return rc;
}

static enum prilora_status insert(struct store *store, const struct job *job,
                                  struct prilora_error *err)
{
    return store_run(store, err, "write a job",
                     "INSERT INTO jobs (id, status, created_at, priority, seed, model, "
                     "start_from, training_file, validation_file, suffix, metadata, spec, "
                     "requested, forecast, key_id, experiment_id, experiment_method, "
                     "experiment_task) "
                     "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                     "ttiiittttttttttttt", job->id, job_status_name(job->status), job->created_at,
                     job->priority, job->seed, job->model, job->start_from, job->training_file,
                     job->validation_file, job->suffix, job->metadata, job->spec, job->requested,
                     job->forecast, job->key_id[0] ? job->key_id : NULL, job->experiment,
                     job->experiment_method, job->experiment_task);
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
    rc = queue_add_note(store, job->id, &(struct queue_note){"created", "info", created}, err);
    if (rc == PRILORA_OK && job->ranks_message)
        rc = events_add(store, job->id, "ranks", "info", "message", job->ranks_message,
                        job->ranks_data, err);
    if (rc == PRILORA_OK)
        rc = queue_add_note(store, job->id, &(struct queue_note){"validating", "info", files}, err);
    return rc;
}

enum prilora_status queue_insert(struct store *store, struct job *job, struct prilora_error *err)
{
    enum prilora_status rc = check_there(store, file_sql, job->training_file, "training_file", err);

    store_new_id(job->id, "ftjob-");
    job->status = JOB_VALIDATING;
    job->created_at = store_now();
    if (rc == PRILORA_OK)
        rc = check_there(store, file_sql, job->validation_file, "validation_file", err);
    if (rc == PRILORA_OK)
        rc = check_there(store, model_sql, job->start_from, "model", err);
    if (rc == PRILORA_OK)
        rc = insert(store, job, err);
    return rc == PRILORA_OK ? add_first_notes(store, job, err) : rc;
}

enum prilora_status queue_submit(struct store *store, struct job *job, struct prilora_error *err)
{
    enum prilora_status rc;
    struct prilora_error local;

    err = err ? err : &local;
    rc = store_begin(store, err);
    if (rc != PRILORA_OK)
        return rc;
    rc = keys_check_jobs(store, job->key_id, 1, err);
    if (rc == PRILORA_OK)
        rc = queue_insert(store, job, err);
    return queue_end_change(store, rc, job->id, "submit", NULL, err);
}

/* ---- for the workers ---- */

/* After a change that leads to either of two states: the event tells which it was. */
static enum prilora_status end_in_either(struct store *store, enum prilora_status rc,
                                         const char *id, const char *verb,
                                         const struct queue_note *queued,
                                         const struct queue_note *paused, struct prilora_error *err)
{
    struct job job = {0};

    if (rc == PRILORA_OK)
        rc = queue_check_changed(store, id, verb, err);
    if (rc == PRILORA_OK)
        rc = queue_get(store, id, &job, err);
    if (rc == PRILORA_OK)
        rc = queue_add_note(store, id, job.status == JOB_PAUSED ? paused : queued, err);
    job_clear(&job);
    rc = store_end(store, rc, err);
    if (rc == PRILORA_OK) {
        events_notify(id);
        queue_wake(store);
    }
    return rc;
}

enum prilora_status queue_validated(struct store *store, const char *id, const char *spec,
                                    const char *forecast, struct prilora_error *err)
{
    static const struct queue_note queued = {"validated", "info",
                                             "Files validated, moving job to queued state"};
    static const struct queue_note paused = {"validated", "info", "Files validated; job paused"};
    enum prilora_status rc = store_begin(store, err);

    if (rc != PRILORA_OK)
        return rc;
    rc = store_run(store, err, "queue a job",
                   "UPDATE jobs SET status = CASE pause_requested WHEN 1 THEN 'paused' ELSE "
                   "'queued' END, pause_requested = 0, spec = ?2, forecast = ?3, claimed = 0, "
                   "deaths = 0 WHERE id = ?1 AND status = 'validating_files'",
                   "ttt", id, spec, forecast);
    return end_in_either(store, rc, id, "queue", &queued, &paused, err);
}

enum prilora_status queue_unclaim(struct store *store, const char *id, struct prilora_error *err)
{
    static const struct queue_note note = {
        NULL, "info", "prilorad is stopping; validation starts over when it is back"};
    enum prilora_status rc = store_begin(store, err);

    if (rc != PRILORA_OK)
        return rc;
    rc = store_run(store, err, "put a job back",
                   "UPDATE jobs SET claimed = 0, deaths = 0 "
                   "WHERE id = ? AND status = 'validating_files' AND claimed = 1",
                   "t", id);
    return queue_end_change(store, rc, id, "put back", &note, err);
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
    enum prilora_status rc =
        store_run(store, err, "write a job's progress",
                  "UPDATE jobs SET deaths = 0 WHERE id = ? AND deaths > 0", "t", id);

    if (rc == PRILORA_OK && sqlite3_changes(store_db(store, NULL)) > 0)
        queue_wake(store); /* others may run beside it again */
    return rc;
}

enum prilora_status queue_requeue(struct store *store, const char *id, const char *why,
                                  struct prilora_error *err)
{
    static const struct queue_note paused = {
        NULL, "info", "Job paused; when it is resumed it goes on from its checkpoint"};
    const struct queue_note queued = {NULL, "info", why};
    enum prilora_status rc = store_begin(store, err);

    if (rc != PRILORA_OK)
        return rc;
    rc = store_run(store, err, "put a job back",
                   "UPDATE jobs SET status = CASE WHEN pause_requested = 1 AND cancel_requested = "
                   "0 THEN 'paused' ELSE 'queued' END, pause_requested = 0, "
                   "attempts = attempts - 1, deaths = 0, seconds_left = NULL "
                   "WHERE id = ? AND status = 'running'",
                   "t", id);
    return end_in_either(store, rc, id, "put back", &queued, &paused, err);
}

/* ---- the end of a job ---- */

static enum prilora_status add_last_notes(struct store *store, const char *id,
                                          const struct job_end *end, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    struct queue_note last = {"end", "info", "The job has successfully completed"};
    char model[300];

    if (end->fine_tuned_model) {
        snprintf(model, sizeof model, "New fine-tuned model created: %s", end->fine_tuned_model);
        rc = queue_add_note(store, id, &(struct queue_note){"model", "info", model}, err);
    }
    if (end->status == JOB_FAILED) {
        last.level = "error";
        last.message = end->error_message ? end->error_message : "The job failed";
    } else if (end->status == JOB_CANCELLED) {
        last.message = end->fine_tuned_model ? "The job was cancelled; its best adapter is kept"
                                             : "The job was cancelled";
    }
    return rc == PRILORA_OK ? queue_add_note(store, id, &last, err) : rc;
}

/* A job ends from running; it may fail while its files are being validated, too. */
static enum prilora_status finish(struct store *store, const char *id, const struct job_end *end,
                                  struct prilora_error *err)
{
    enum prilora_status rc =
        store_run(store, err, "finish a job",
                  "UPDATE jobs SET status = ?2, finished_at = ?3, error_code = ?4, "
                  "error_message = ?5, error_param = ?6, fine_tuned_model = ?7, result = ?8, "
                  "trained_tokens = ?9, claimed = 0, pause_requested = 0, seconds_left = NULL "
                  "WHERE id = ?1 AND "
                  "(status = 'running' OR (status = 'validating_files' AND ?2 = 'failed'))",
                  "ttittttti", id, job_status_name(end->status), store_now(), end->error_code,
                  end->error_message, end->error_param, end->fine_tuned_model, end->result,
                  (int64_t)end->trained_tokens);

    if (rc == PRILORA_OK)
        rc = queue_check_changed(store, id, "finish", err);
    return rc == PRILORA_OK ? add_last_notes(store, id, end, err) : rc;
}

void queue_count_end(const struct job *job)
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
        queue_count_end(&job);
    job_clear(&job);
    queue_clean_folder(store, id, end->fine_tuned_model != NULL);
    events_notify(id);
    return PRILORA_OK;
}
