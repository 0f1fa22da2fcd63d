/*
 * queue_steer.c - what clients ask of a job that is there: cancel, pause, resume, edit, delete; see
 * queue.h. What they ask may come at any instant of the job's life: each change names the states it
 * may start from, and what a worker makes of it is decided by the row when it has stopped.
 */
#include "daemon/queue_row.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/error.h"
#include "daemon/events.h"
#include "daemon/live.h"
#include "daemon/log.h"
#include "daemon/path.h"

#define OVER "('succeeded', 'failed', 'cancelled')"

/*
 * What a client asks, in one transaction: `change` makes it and fills *out, which is the caller's
 * only if all went well. Whoever waits for the queue is told.
 */
static enum prilora_status
steer(struct store *store, const char *id,
      enum prilora_status (*change)(struct store *store, const char *id,
                                    const struct queue_edit *edit, struct job *out,
                                    struct prilora_error *err),
      const struct queue_edit *edit, struct job *out, struct prilora_error *err)
{
    enum prilora_status rc;
    struct prilora_error local;

    err = err ? err : &local;
    *out = (struct job){0};
    rc = store_begin(store, err);
    if (rc != PRILORA_OK)
        return rc;
    rc = store_end(store, change(store, id, edit, out, err), err);
    if (rc == PRILORA_OK) {
        events_notify(id);
        queue_wake(store);
    } else {
        job_clear(out);
    }
    return rc;
}

/* ---- cancelling ---- */

static bool has_checkpoint(struct store *store, const char *id)
{
    char *path = queue_folder(store, id, "checkpoint");
    bool there = path && access(path, F_OK) == 0;

    free(path);
    return there;
}

/* Those that a worker has to end, since there is something to keep; ?3: a checkpoint is there. */
#define BY_WORKER                                                                                  \
    "(status = 'running' OR (?3 AND step > 0 AND cancel_requested = 0 AND status IN ('queued', "   \
    "'paused')))"

static enum prilora_status cancel(struct store *store, const char *id,
                                  const struct queue_edit *edit, struct job *out,
                                  struct prilora_error *err)
{
    static const struct queue_note asked = {"cancel", "info", "Cancellation requested"};
    static const struct queue_note kept = {"kept", "info",
                                           "The next free worker writes the job's best adapter"};
    static const struct queue_note end = {"end", "info", "The job was cancelled"};
    enum prilora_status rc = store_run(store, err, "cancel a job",
                                       "UPDATE jobs SET cancel_requested = 1, pause_requested = 0, "
                                       "status = CASE WHEN NOT " BY_WORKER " THEN 'cancelled' "
                                       "WHEN status = 'paused' THEN 'queued' ELSE status END, "
                                       "finished_at = CASE WHEN " BY_WORKER " THEN 0 ELSE ?2 END "
                                       "WHERE id = ?1 AND status NOT IN " OVER,
                                       "tii", id, store_now(), (int64_t)has_checkpoint(store, id));

    (void)edit;
    if (rc == PRILORA_OK)
        rc = queue_check_changed(store, id, "cancel", err);
    if (rc == PRILORA_OK)
        rc = queue_get(store, id, out, err);
    if (rc == PRILORA_OK)
        rc = queue_add_note(store, id, &asked, err);
    if (rc == PRILORA_OK && out->status == JOB_QUEUED)
        rc = queue_add_note(store, id, &kept, err);
    if (rc == PRILORA_OK && out->status == JOB_CANCELLED)
        rc = queue_add_note(store, id, &end, err);
    return rc;
}

enum prilora_status queue_cancel(struct store *store, const char *id, struct job *out,
                                 struct prilora_error *err)
{
    enum prilora_status rc = steer(store, id, cancel, NULL, out, err);

    if (rc != PRILORA_OK)
        return rc;
    if (out->status == JOB_CANCELLED) {
        queue_count_end(out);
        queue_clean_folder(store, id, false);
    } else {
        live_stop(id); /* after the commit: a worker that is just beginning reads the row */
    }
    return PRILORA_OK;
}

/* ---- pausing ---- */

static enum prilora_status pause_job(struct store *store, const char *id,
                                     const struct queue_edit *edit, struct job *out,
                                     struct prilora_error *err)
{
    static const struct queue_note asked = {NULL, "info", "Pause requested"};
    static const struct queue_note paused = {NULL, "info", "Job paused"};
    bool again;
    enum prilora_status rc = queue_get(store, id, out, err);

    (void)edit;
    if (rc != PRILORA_OK)
        return rc;
    again = out->pause_requested;
    rc = store_run(store, err, "pause a job",
                   "UPDATE jobs SET pause_requested = status <> 'queued', "
                   "status = CASE status WHEN 'queued' THEN 'paused' ELSE status END "
                   "WHERE id = ? AND status IN ('validating_files', 'queued', 'running') "
                   "AND cancel_requested = 0",
                   "t", id);
    if (rc == PRILORA_OK)
        rc = queue_check_changed(store, id, "pause", err);
    job_clear(out);
    if (rc == PRILORA_OK)
        rc = queue_get(store, id, out, err);
    if (rc == PRILORA_OK && !again)
        rc = queue_add_note(store, id, out->status == JOB_PAUSED ? &paused : &asked, err);
    return rc;
}

enum prilora_status queue_pause(struct store *store, const char *id, struct job *out,
                                struct prilora_error *err)
{
    enum prilora_status rc = steer(store, id, pause_job, NULL, out, err);

    if (rc == PRILORA_OK)
        live_stop(id); /* after the commit, as above */
    return rc;
}

static enum prilora_status resume(struct store *store, const char *id,
                                  const struct queue_edit *edit, struct job *out,
                                  struct prilora_error *err)
{
    static const struct queue_note resumed = {NULL, "info", "Job resumed, moving to queued state"};
    static const struct queue_note taken_back = {NULL, "info", "The pause was taken back"};
    enum prilora_status rc =
        store_run(store, err, "resume a job",
                  "UPDATE jobs SET pause_requested = 0, "
                  "status = CASE status WHEN 'paused' THEN 'queued' ELSE status END "
                  "WHERE id = ? AND (status = 'paused' OR pause_requested = 1)",
                  "t", id);

    (void)edit;
    if (rc == PRILORA_OK)
        rc = queue_check_changed(store, id, "resume", err);
    if (rc == PRILORA_OK)
        rc = queue_get(store, id, out, err);
    if (rc == PRILORA_OK)
        rc = queue_add_note(store, id, out->status == JOB_QUEUED ? &resumed : &taken_back, err);
    return rc;
}

enum prilora_status queue_resume(struct store *store, const char *id, struct job *out,
                                 struct prilora_error *err)
{
    return steer(store, id, resume, NULL, out, err);
}

/* ---- all jobs of an experiment ---- */

/* Which jobs a verb does something to, and what it does to each. */
static const struct {
    const char *sql;
    enum prilora_status (*change)(struct store *store, const char *id,
                                  const struct queue_edit *edit, struct job *out,
                                  struct prilora_error *err);
} verbs[] = {
    [QUEUE_CANCEL] = {"SELECT id FROM jobs WHERE experiment_id = ? AND +status NOT IN " OVER
                      " AND cancel_requested = 0 ORDER BY row",
                      cancel},
    [QUEUE_PAUSE] = {"SELECT id FROM jobs WHERE experiment_id = ? AND +status IN "
                     "('validating_files', 'queued', 'running') AND cancel_requested = 0 AND "
                     "pause_requested = 0 ORDER BY row",
                     pause_job},
    [QUEUE_RESUME] = {"SELECT id FROM jobs WHERE experiment_id = ? AND "
                      "(+status = 'paused' OR pause_requested = 1) ORDER BY row",
                      resume},
};

/* In a transaction: those jobs, as they are afterwards, each with its id and state. */
static enum prilora_status change_all(struct store *store, const char *experiment,
                                      enum queue_verb verb, struct job **out, size_t *n,
                                      struct prilora_error *err)
{
    char(*ids)[ID_SIZE];
    enum prilora_status rc =
        queue_collect_ids(store, store_query(store, err, verbs[verb].sql, "t", experiment), &ids, n,
                          err);

    *out = rc == PRILORA_OK && *n ? calloc(*n, sizeof **out) : NULL;
    if (rc == PRILORA_OK && *n && !*out)
        rc = error_memory(err);
    for (size_t i = 0; *out && i < *n && rc == PRILORA_OK; i++)
        rc = verbs[verb].change(store, ids[i], NULL, &(*out)[i], err);
    free(ids);
    return rc;
}

/* After the commit, as queue_cancel and queue_pause do for one. */
static void follow_up(struct store *store, enum queue_verb verb, const struct job *job)
{
    events_notify(job->id);
    if (job->status == JOB_CANCELLED) {
        queue_count_end(job);
        queue_clean_folder(store, job->id, false);
    } else if (verb != QUEUE_RESUME) {
        live_stop(job->id);
    }
}

enum prilora_status queue_steer_all(struct store *store, const char *experiment,
                                    enum queue_verb verb, size_t *n, struct prilora_error *err)
{
    struct job *jobs = NULL;
    enum prilora_status rc = store_begin(store, err);

    *n = 0;
    if (rc != PRILORA_OK)
        return rc;
    rc = store_end(store, change_all(store, experiment, verb, &jobs, n, err), err);
    for (size_t i = 0; rc == PRILORA_OK && i < *n; i++)
        follow_up(store, verb, &jobs[i]);
    if (rc == PRILORA_OK && *n)
        queue_wake(store);
    queue_free_list(jobs, *n);
    return rc;
}

/* ---- editing ---- */

static bool differs(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") != 0;
}

/* One event for each thing that really changed. */
static enum prilora_status tell_edit(struct store *store, const struct job *before,
                                     const struct job *after, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    char priority[96];

    snprintf(priority, sizeof priority, "Priority changed from %" PRId64 " to %" PRId64,
             before->priority, after->priority);
    if (before->priority != after->priority)
        rc = queue_add_note(store, after->id, &(struct queue_note){NULL, "info", priority}, err);
    if (rc == PRILORA_OK && differs(before->metadata, after->metadata))
        rc = queue_add_note(store, after->id,
                            &(struct queue_note){NULL, "info", "Metadata changed"}, err);
    return rc;
}

static enum prilora_status edit_job(struct store *store, const char *id,
                                    const struct queue_edit *edit, struct job *out,
                                    struct prilora_error *err)
{
    struct job before;
    enum prilora_status rc = queue_get(store, id, &before, err);

    if (rc == PRILORA_OK)
        rc = store_run(store, err, "edit a job",
                       "UPDATE jobs SET priority = CASE WHEN ?2 THEN ?3 ELSE priority END, "
                       "metadata = COALESCE(?4, metadata) "
                       "WHERE id = ?1 AND (NOT ?2 OR status NOT IN " OVER ")",
                       "tiit", id, (int64_t)edit->has_priority, edit->priority, edit->metadata);
    if (rc == PRILORA_OK)
        rc = queue_check_changed(store, id, "change the priority of", err);
    if (rc == PRILORA_OK)
        rc = queue_get(store, id, out, err);
    if (rc == PRILORA_OK)
        rc = tell_edit(store, &before, out, err);
    job_clear(&before);
    return rc;
}

enum prilora_status queue_edit(struct store *store, const char *id, const struct queue_edit *edit,
                               struct job *out, struct prilora_error *err)
{
    return steer(store, id, edit_job, edit, out, err);
}

/* ---- deleting ---- */

enum prilora_status queue_check_readers(struct store *store, const char *id,
                                        struct prilora_error *err)
{
    enum prilora_status rc;
    bool row;
    sqlite3_stmt *s =
        store_query(store, err,
                    "SELECT reader.id, made.fine_tuned_model FROM jobs AS made JOIN jobs AS reader "
                    "ON reader.start_from = made.fine_tuned_model "
                    "WHERE made.id = ? AND reader.status = 'validating_files' LIMIT 1",
                    "t", id);

    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "look for jobs that start from a model", err);
    if (rc == PRILORA_OK && row)
        rc = error_set(err, PRILORA_EMISMATCH,
                       "job %s starts from the model %s and is still being validated: try again "
                       "when it is queued",
                       (const char *)sqlite3_column_text(s, 0),
                       (const char *)sqlite3_column_text(s, 1));
    sqlite3_reset(s);
    return rc;
}

static enum prilora_status check_deleted(struct store *store, const char *id,
                                         struct prilora_error *err)
{
    struct prilora_error why;
    enum prilora_status rc = queue_check_changed(store, id, "delete", &why);

    if (rc == PRILORA_EMISMATCH)
        return error_set(err, rc, "%s; cancel it and wait for its end first", why.message);
    if (rc != PRILORA_OK)
        *err = why;
    return rc;
}

enum prilora_status queue_delete(struct store *store, const char *id, struct prilora_error *err)
{
    enum prilora_status rc;
    struct prilora_error local;

    err = err ? err : &local;
    rc = store_begin(store, err);
    if (rc != PRILORA_OK)
        return rc;
    rc = queue_check_readers(store, id, err);
    if (rc == PRILORA_OK)
        rc = store_run(store, err, "delete a job",
                       "DELETE FROM jobs WHERE id = ? AND status IN " OVER, "t", id);
    if (rc == PRILORA_OK)
        rc = check_deleted(store, id, err);
    rc = store_end(store, rc, err);
    if (rc != PRILORA_OK)
        return rc;
    events_notify(id);
    log_info("queue", "%s: deleted", id);
    queue_clean_folder(store, id, false); /* a folder without its row is swept at the next start */
    return PRILORA_OK;
}

enum prilora_status queue_delete_model(struct store *store, const char *model,
                                       struct prilora_error *err)
{
    static const struct queue_note note = {NULL, "info", "The fine-tuned model was deleted"};
    enum prilora_status rc;
    struct job job;

    rc = queue_find_model(store, model, &job, err);
    if (rc != PRILORA_OK)
        return rc;
    rc = store_begin(store, err);
    if (rc != PRILORA_OK)
        goto out;
    rc = queue_check_readers(store, job.id, err);
    if (rc == PRILORA_OK)
        rc = store_run(store, err, "delete a fine-tuned model",
                       "UPDATE jobs SET fine_tuned_model = NULL "
                       "WHERE id = ? AND fine_tuned_model = ? AND status IN " OVER,
                       "tt", job.id, model);
    rc = queue_end_change(store, rc, job.id, "delete the model of", &note, err);
    if (rc == PRILORA_OK)
        queue_clean_folder(store, job.id, false);
out:
    job_clear(&job);
    return rc;
}
