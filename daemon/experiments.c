/*
 * experiments.c - how experiments come, are read and go; see experiments.h. What their jobs do
 * meanwhile is the queue's business, what came out is read in experiment_outcomes.c.
 */
#include "daemon/experiments.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/error.h"
#include "daemon/events.h"
#include "daemon/keys.h"
#include "daemon/log.h"
#include "daemon/queue_row.h"

#define OVER "('succeeded', 'failed', 'cancelled')"

void experiment_clear(struct experiment *e)
{
    free(e->name);
    free(e->metadata);
    free(e->model);
    free(e->grid);
    *e = (struct experiment){0};
}

void experiments_free_list(struct experiment *list, size_t n)
{
    for (size_t i = 0; list && i < n; i++)
        experiment_clear(&list[i]);
    free(list);
}

enum job_status experiment_status(const struct experiment *e)
{
    if (e->jobs[JOB_VALIDATING] || e->jobs[JOB_QUEUED] || e->jobs[JOB_RUNNING])
        return JOB_RUNNING;
    return e->jobs[JOB_PAUSED]      ? JOB_PAUSED
           : e->jobs[JOB_FAILED]    ? JOB_FAILED
           : e->jobs[JOB_CANCELLED] ? JOB_CANCELLED
                                    : JOB_SUCCEEDED;
}

/* ---- submitting ---- */

static enum prilora_status insert_experiment(struct store *store, const struct experiment *e,
                                             struct prilora_error *err)
{
    return store_run(store, err, "write an experiment",
                     "INSERT INTO experiments (id, key_id, created_at, name, model, metadata, "
                     "n_cells, grid) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                     "ttitttit", e->id, e->key_id[0] ? e->key_id : NULL, e->created_at, e->name,
                     e->model, e->metadata, e->n_cells, e->grid);
}

static enum prilora_status insert_cell(struct store *store, struct experiment *e,
                                       struct experiment_pair *pair, int64_t seed,
                                       struct prilora_error *err)
{
    struct job *job = &pair->job;

    pair->spec->seed = (uint64_t)seed;
    job->seed = seed;
    job->experiment = e->id;
    free(job->spec);
    job->spec = prilora_spec_dump(pair->spec);
    memcpy(job->key_id, e->key_id, sizeof job->key_id);
    return job->spec ? queue_insert(store, job, err) : error_memory(err);
}

static enum prilora_status insert_all(struct store *store, struct experiment *e,
                                      struct experiment_order *o, struct prilora_error *err)
{
    enum prilora_status rc = keys_check_jobs(store, e->key_id, e->n_cells, err);

    if (rc == PRILORA_OK)
        rc = insert_experiment(store, e, err);
    for (size_t task = 0; task < o->n_tasks; task++)
        for (size_t seed = 0; seed < o->n_seeds; seed++)
            for (size_t method = 0; method < o->n_methods && rc == PRILORA_OK; method++)
                rc = insert_cell(store, e, &o->pairs[method * o->n_tasks + task], o->seeds[seed],
                                 err);
    for (size_t i = 0; i < o->n_methods * o->n_tasks; i++)
        o->pairs[i].job.experiment = NULL; /* e->id is not the job's to free */
    return rc;
}

enum prilora_status experiments_submit(struct store *store, struct experiment *experiment,
                                       struct experiment_order *order, struct prilora_error *err)
{
    enum prilora_status rc;
    struct prilora_error local;

    err = err ? err : &local;
    store_new_id(experiment->id, "exp-");
    experiment->created_at = store_now();
    experiment->n_cells = (int64_t)(order->n_methods * order->n_tasks * order->n_seeds);
    rc = store_begin(store, err);
    if (rc != PRILORA_OK)
        return rc;
    rc = store_end(store, insert_all(store, experiment, order, err), err);
    if (rc != PRILORA_OK)
        return rc;
    log_info("queue", "%s: %" PRId64 " jobs", experiment->id, experiment->n_cells);
    queue_wake(store);
    return PRILORA_OK;
}

/* ---- reading ---- */

/*
 * Experiments before row ?1 (or with id ?3), at most ?2. What is left is what the forecasts of jobs
 * that are not over say, times how wrong those of the finished ones were.
 */
#define SELECT_WHERE(condition)                                                                    \
    "SELECT e.id, e.created_at, e.n_cells, e.name, e.metadata, e.model, e.grid, "                  \
    "TOTAL(CASE WHEN j.status IN " OVER " THEN 1.0 "                                               \
    "WHEN j.total_steps > 0 THEN 1.0 * j.step / j.total_steps END), "                              \
    "MIN(NULLIF(j.started_at, 0)), MAX(j.finished_at), MAX(MAX(j.started_at, j.finished_at)), "    \
    "SUM(j.status IN ('validating_files', 'queued', 'running')), "                                 \
    "SUM(j.status IN ('queued', 'running') AND json_extract(j.forecast, '$.seconds') > 0), "       \
    "TOTAL(CASE WHEN j.status IN ('queued', 'running') THEN "                                      \
    "json_extract(j.forecast, '$.seconds') END), "                                                 \
    "TOTAL(CASE WHEN j.status = 'succeeded' THEN json_extract(j.forecast, '$.seconds') END), "     \
    "TOTAL(CASE WHEN j.status = 'succeeded' THEN json_extract(j.result, '$.seconds') END), "       \
    "SUM(j.status = 'validating_files'), SUM(j.status = 'queued'), SUM(j.status = 'running'), "    \
    "SUM(j.status = 'paused'), SUM(j.status = 'succeeded'), SUM(j.status = 'failed'), "            \
    "SUM(j.status = 'cancelled'), e.row "                                                          \
    "FROM (SELECT * FROM experiments WHERE " condition " ORDER BY row DESC LIMIT ?2) AS e "        \
    "LEFT JOIN jobs AS j ON j.experiment_id = e.id GROUP BY e.row ORDER BY e.row DESC"

enum column {
    COLUMN_ID,
    COLUMN_CREATED,
    COLUMN_N_CELLS,
    COLUMN_NAME,
    COLUMN_METADATA,
    COLUMN_MODEL,
    COLUMN_GRID,
    COLUMN_DONE,
    COLUMN_STARTED,
    COLUMN_FINISHED,
    COLUMN_CHANGED,
    COLUMN_OPEN,
    COLUMN_FORECAST,       /* open jobs that have one */
    COLUMN_SECONDS_OPEN,   /* of the open ones, by their forecasts */
    COLUMN_SECONDS_SAID,   /* of those that succeeded, by their forecasts */
    COLUMN_SECONDS_NEEDED, /* of the same, really */
    COLUMN_STATES,
};

/* How long all that is open takes; negative: not all of it has a forecast. */
static double seconds_left(sqlite3_stmt *row)
{
    double said = sqlite3_column_double(row, COLUMN_SECONDS_SAID);
    double needed = sqlite3_column_double(row, COLUMN_SECONDS_NEEDED);
    double open = sqlite3_column_double(row, COLUMN_SECONDS_OPEN);

    if (sqlite3_column_int64(row, COLUMN_OPEN) == 0 ||
        sqlite3_column_int64(row, COLUMN_OPEN) != sqlite3_column_int64(row, COLUMN_FORECAST))
        return -1;
    return said > 0 && needed > 0 ? open * needed / said : open;
}

static bool copy_texts(sqlite3_stmt *row, struct experiment *out)
{
    const struct {
        int column;
        char **text;
    } texts[] = {{COLUMN_NAME, &out->name},
                 {COLUMN_METADATA, &out->metadata},
                 {COLUMN_MODEL, &out->model},
                 {COLUMN_GRID, &out->grid}};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        *texts[i].text = store_text(row, texts[i].column);
        if (!*texts[i].text && sqlite3_column_type(row, texts[i].column) != SQLITE_NULL)
            return false;
    }
    return true;
}

static enum prilora_status read_row(sqlite3_stmt *row, void *experiment, struct prilora_error *err)
{
    struct experiment *out = experiment;

    *out = (struct experiment){
        .created_at = sqlite3_column_int64(row, COLUMN_CREATED),
        .n_cells = sqlite3_column_int64(row, COLUMN_N_CELLS),
        .n_done = sqlite3_column_double(row, COLUMN_DONE),
        .started_at = sqlite3_column_int64(row, COLUMN_STARTED),
        .changed_at = sqlite3_column_int64(row, COLUMN_CHANGED),
        .seconds_left = seconds_left(row),
    };
    snprintf(out->id, sizeof out->id, "%s", (const char *)sqlite3_column_text(row, COLUMN_ID));
    for (int i = 0; i <= JOB_CANCELLED; i++)
        out->jobs[i] = (uint64_t)sqlite3_column_int64(row, COLUMN_STATES + i);
    if (experiment_status(out) >= JOB_SUCCEEDED)
        out->finished_at = sqlite3_column_int64(row, COLUMN_FINISHED);
    if (copy_texts(row, out))
        return PRILORA_OK;
    experiment_clear(out);
    return error_memory(err);
}

enum prilora_status experiments_get(struct store *store, const char *id, struct experiment *out,
                                    struct prilora_error *err)
{
    enum prilora_status rc;
    struct prilora_error local;
    sqlite3_stmt *s;
    bool row;

    err = err ? err : &local;
    *out = (struct experiment){0};
    s = store_query(store, err, SELECT_WHERE("row <= ?1 AND id = ?3"), "iit", INT64_MAX, INT64_C(1),
                    id);
    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "read an experiment", err);
    if (rc != PRILORA_OK)
        return rc;
    if (!row)
        return error_set(err, PRILORA_ENOENT, "no such experiment: %s", id);
    rc = read_row(s, out, err);
    sqlite3_reset(s);
    return rc;
}

static enum prilora_status find_row(struct store *store, const char *id, int64_t *out,
                                    struct prilora_error *err)
{
    enum prilora_status rc;
    bool row;
    sqlite3_stmt *s = store_query(store, err, "SELECT row FROM experiments WHERE id = ?", "t", id);

    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "read an experiment", err);
    if (rc != PRILORA_OK)
        return rc;
    if (!row)
        return error_set(err, PRILORA_ENOENT, "no such experiment: %s", id);
    *out = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    return PRILORA_OK;
}

enum prilora_status experiments_list(struct store *store, const char *after, size_t limit,
                                     struct experiment **out, size_t *n, bool *has_more,
                                     struct prilora_error *err)
{
    const struct store_rows rows = {sizeof **out, limit, read_row, "list experiments"};
    enum prilora_status rc = PRILORA_OK;
    struct prilora_error local;
    int64_t before = INT64_MAX;
    void *list = NULL;
    sqlite3_stmt *s;

    err = err ? err : &local;
    *out = NULL;
    *n = 0;
    *has_more = false;
    if (after)
        rc = find_row(store, after, &before, err);
    if (rc != PRILORA_OK)
        return rc;
    s = store_query(store, err, SELECT_WHERE("row < ?1"), "ii", before, (int64_t)limit + 1);
    if (!s)
        return err->status;
    rc = store_collect(store, s, &rows, &list, n, has_more, err);
    *out = list;
    if (rc != PRILORA_OK) {
        experiments_free_list(*out, *n);
        *out = NULL;
        *n = 0;
    }
    return rc;
}

/* ---- what is done to one ---- */

enum prilora_status experiments_steer(struct store *store, const char *id, enum queue_verb verb,
                                      struct prilora_error *err)
{
    static const struct {
        const char *verb, *why;
    } refusals[] = {
        [QUEUE_CANCEL] = {"cancel", "all its jobs are over or being cancelled"},
        [QUEUE_PAUSE] = {"pause", "none of its jobs waits or runs"},
        [QUEUE_RESUME] = {"resume", "none of its jobs is paused"},
    };
    int64_t row;
    size_t n = 0;
    enum prilora_status rc = find_row(store, id, &row, err);

    if (rc == PRILORA_OK)
        rc = queue_steer_all(store, id, verb, &n, err);
    if (rc == PRILORA_OK && n == 0)
        rc = error_set(err, PRILORA_EMISMATCH, "cannot %s experiment %s: %s", refusals[verb].verb,
                       id, refusals[verb].why);
    return rc;
}

/* The definition of job `old`, as a new one; the old one leaves the experiment. */
static enum prilora_status replace(struct store *store, const char *old, const char *key_id,
                                   struct prilora_error *err)
{
    struct job job;
    enum prilora_status rc = queue_get(store, old, &job, err);

    if (rc == PRILORA_OK)
        rc = store_run(store, err, "take a job out of its experiment",
                       "UPDATE jobs SET experiment_id = NULL, experiment_method = NULL, "
                       "experiment_task = NULL WHERE id = ?",
                       "t", old);
    snprintf(job.key_id, sizeof job.key_id, "%s", key_id);
    if (rc == PRILORA_OK)
        rc = queue_insert(store, &job, err);
    job_clear(&job);
    return rc;
}

static enum prilora_status retry(struct store *store, const char *id, const char *key_id,
                                 char (**ids)[ID_SIZE], size_t *n, struct prilora_error *err)
{
    int64_t row;
    enum prilora_status rc = find_row(store, id, &row, err);

    if (rc == PRILORA_OK)
        rc = queue_collect_ids(store,
                               store_query(store, err,
                                           "SELECT id FROM jobs WHERE experiment_id = ? AND "
                                           "+status IN ('failed', 'cancelled') ORDER BY row",
                                           "t", id),
                               ids, n, err);
    if (rc == PRILORA_OK && *n == 0)
        rc = error_set(err, PRILORA_EMISMATCH,
                       "cannot retry experiment %s: none of its jobs has failed or was cancelled",
                       id);
    if (rc == PRILORA_OK)
        rc = keys_check_jobs(store, key_id, (int64_t)*n, err);
    for (size_t i = 0; i < *n && rc == PRILORA_OK; i++)
        rc = replace(store, (*ids)[i], key_id, err);
    return rc;
}

enum prilora_status experiments_retry(struct store *store, const char *id, const char *key_id,
                                      struct prilora_error *err)
{
    char(*ids)[ID_SIZE] = NULL;
    size_t n = 0;
    enum prilora_status rc = store_begin(store, err);

    if (rc != PRILORA_OK)
        return rc;
    rc = store_end(store, retry(store, id, key_id, &ids, &n, err), err);
    for (size_t i = 0; i < n && rc == PRILORA_OK; i++)
        events_notify(ids[i]);
    if (rc == PRILORA_OK)
        queue_wake(store);
    free(ids);
    return rc;
}

/* ---- deleting ---- */

static enum prilora_status check_over(struct store *store, const char *id,
                                      struct prilora_error *err)
{
    struct experiment e;
    enum prilora_status rc = experiments_get(store, id, &e, err);
    uint64_t n_open = 0;

    for (int i = 0; i < JOB_SUCCEEDED; i++)
        n_open += e.jobs[i];
    if (rc == PRILORA_OK && n_open)
        rc = error_set(err, PRILORA_EMISMATCH,
                       "cannot delete experiment %s: %" PRIu64
                       " of its jobs are not over; cancel it and wait for its end first",
                       id, n_open);
    experiment_clear(&e);
    return rc;
}

static enum prilora_status delete_rows(struct store *store, const char *id, char (**ids)[ID_SIZE],
                                       size_t *n, struct prilora_error *err)
{
    enum prilora_status rc = check_over(store, id, err);

    if (rc == PRILORA_OK)
        rc = queue_collect_ids(
            store, store_query(store, err, "SELECT id FROM jobs WHERE experiment_id = ?", "t", id),
            ids, n, err);
    for (size_t i = 0; i < *n && rc == PRILORA_OK; i++)
        rc = queue_check_readers(store, (*ids)[i], err);
    if (rc == PRILORA_OK)
        rc = store_run(store, err, "delete an experiment's jobs",
                       "DELETE FROM jobs WHERE experiment_id = ?", "t", id);
    if (rc == PRILORA_OK)
        rc = store_run(store, err, "delete an experiment", "DELETE FROM experiments WHERE id = ?",
                       "t", id);
    return rc;
}

enum prilora_status experiments_delete(struct store *store, const char *id, char (**ids)[ID_SIZE],
                                       size_t *n, struct prilora_error *err)
{
    enum prilora_status rc = store_begin(store, err);

    *ids = NULL;
    *n = 0;
    if (rc != PRILORA_OK)
        return rc;
    rc = store_end(store, delete_rows(store, id, ids, n, err), err);
    for (size_t i = 0; i < *n && rc == PRILORA_OK; i++) {
        events_notify((*ids)[i]);
        queue_clean_folder(store, (*ids)[i], false);
    }
    if (rc == PRILORA_OK)
        log_info("queue", "%s: deleted, with %zu jobs", id, *n);
    return rc;
}

enum prilora_status experiments_sweep(struct store *store, struct sweep *sweep,
                                      struct prilora_error *err)
{
#define EMPTY                                                                                      \
    "FROM experiments WHERE created_at <= ? AND NOT EXISTS "                                       \
    "(SELECT 1 FROM jobs WHERE jobs.experiment_id = experiments.id)"
    const struct sweep_rows rows = {"experiments", "their jobs were deleted",
                                    "SELECT COUNT(*) " EMPTY, "DELETE " EMPTY, store_now()};
#undef EMPTY

    return sweep_rows(store, sweep, &rows, err);
}
