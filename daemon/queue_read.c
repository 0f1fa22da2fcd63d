/* queue_read.c - reading jobs; what changes them is in queue.c. */
#include "daemon/queue_row.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/error.h"

#define MAX_METADATA_PAIRS 16

static const char *const status_names[] = {
    [JOB_VALIDATING] = "validating_files",
    [JOB_QUEUED] = "queued",
    [JOB_RUNNING] = "running",
    [JOB_PAUSED] = "paused",
    [JOB_SUCCEEDED] = "succeeded",
    [JOB_FAILED] = "failed",
    [JOB_CANCELLED] = "cancelled",
};
#define N_STATUSES (sizeof status_names / sizeof *status_names)

const char *job_status_name(enum job_status status)
{
    return (size_t)status < N_STATUSES ? status_names[status] : "unknown";
}

bool job_status_parse(const char *name, size_t n, enum job_status *out)
{
    for (size_t i = 0; i < N_STATUSES; i++) {
        if (strlen(status_names[i]) == n && memcmp(status_names[i], name, n) == 0) {
            *out = (enum job_status)i;
            return true;
        }
    }
    return false;
}

static enum job_status parse_status(const char *name)
{
    enum job_status status = JOB_FAILED; /* the table's CHECK lets no other name in */

    if (name)
        job_status_parse(name, strlen(name), &status);
    return status;
}

/* ---- rows: the numbers first, then the texts ---- */

/* From column 2 on; the same order as QUEUE_COLUMNS. */
static const size_t integers[] = {
    offsetof(struct job, created_at),  offsetof(struct job, started_at),
    offsetof(struct job, finished_at), offsetof(struct job, priority),
    offsetof(struct job, seed),        offsetof(struct job, attempts),
};
#define FIRST_INTEGER 2
#define FIRST_COUNT   8
static const size_t doubles[] = {
    offsetof(struct job, progress.epoch),
    offsetof(struct job, progress.loss),
    offsetof(struct job, progress.tokens_per_second),
    offsetof(struct job, progress.seconds_left),
};
#define FIRST_DOUBLE 15
static const size_t texts[] = {
    offsetof(struct job, model),
    offsetof(struct job, start_from),
    offsetof(struct job, training_file),
    offsetof(struct job, validation_file),
    offsetof(struct job, suffix),
    offsetof(struct job, metadata),
    offsetof(struct job, spec),
    offsetof(struct job, requested),
    offsetof(struct job, forecast),
    offsetof(struct job, result),
    offsetof(struct job, fine_tuned_model),
    offsetof(struct job, error_code),
    offsetof(struct job, error_message),
    offsetof(struct job, error_param),
    offsetof(struct job, experiment),
    offsetof(struct job, experiment_method),
    offsetof(struct job, experiment_task),
};
#define FIRST_TEXT  19
#define N_OF(array) ((int)(sizeof(array) / sizeof *(array)))

static char **text_at(struct job *job, size_t offset)
{
    return (char **)(void *)((char *)job + offset);
}

void job_clear(struct job *job)
{
    for (int i = 0; i < N_OF(texts); i++)
        free(*text_at(job, texts[i]));
    free(job->ranks_message);
    free(job->ranks_data);
    *job = (struct job){0};
}

void queue_free_list(struct job *jobs, size_t n)
{
    for (size_t i = 0; jobs && i < n; i++)
        job_clear(&jobs[i]);
    free(jobs);
}

static void read_counts(sqlite3_stmt *row, struct job *out)
{
    out->trained_tokens = (uint64_t)sqlite3_column_int64(row, FIRST_COUNT);
    out->cancel_requested = sqlite3_column_int(row, FIRST_COUNT + 1) != 0;
    out->pause_requested = sqlite3_column_int(row, FIRST_COUNT + 2) != 0;
    out->progress.step = (uint64_t)sqlite3_column_int64(row, FIRST_COUNT + 3);
    out->progress.total_steps = (uint64_t)sqlite3_column_int64(row, FIRST_COUNT + 4);
    out->progress.n_tokens = (uint64_t)sqlite3_column_int64(row, FIRST_COUNT + 5);
    out->progress.peak_memory_bytes = (uint64_t)sqlite3_column_int64(row, FIRST_COUNT + 6);
}

enum prilora_status queue_read_row(sqlite3_stmt *row, void *job, struct prilora_error *err)
{
    struct job *out = job;
    const char *id = (const char *)sqlite3_column_text(row, 0);

    *out = (struct job){0};
    snprintf(out->id, sizeof out->id, "%s", id ? id : "");
    out->status = parse_status((const char *)sqlite3_column_text(row, 1));
    for (int i = 0; i < N_OF(integers); i++)
        *(int64_t *)(void *)((char *)out + integers[i]) =
            sqlite3_column_int64(row, FIRST_INTEGER + i);
    read_counts(row, out);
    for (int i = 0; i < N_OF(doubles); i++)
        *(double *)(void *)((char *)out + doubles[i]) =
            sqlite3_column_type(row, FIRST_DOUBLE + i) == SQLITE_NULL
                ? (double)NAN
                : sqlite3_column_double(row, FIRST_DOUBLE + i);
    for (int i = 0; i < N_OF(texts); i++) {
        char **text = text_at(out, texts[i]);

        *text = store_text(row, FIRST_TEXT + i);
        if (!*text && sqlite3_column_type(row, FIRST_TEXT + i) != SQLITE_NULL) {
            job_clear(out);
            return error_memory(err);
        }
    }
    return PRILORA_OK;
}

/* ---- one job ---- */

static enum prilora_status get_one(struct store *store, const char *sql, const char *key,
                                   const char *what, struct job *out, struct prilora_error *err)
{
    enum prilora_status rc;
    struct prilora_error local;
    sqlite3_stmt *s;
    bool row;

    err = err ? err : &local;
    *out = (struct job){0};
    s = store_query(store, err, sql, "t", key);
    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "read a job", err);
    if (rc != PRILORA_OK)
        return rc;
    if (!row)
        return error_set(err, PRILORA_ENOENT, "no such %s: %s", what, key);
    rc = queue_read_row(s, out, err);
    sqlite3_reset(s);
    return rc;
}

enum prilora_status queue_get(struct store *store, const char *id, struct job *out,
                              struct prilora_error *err)
{
    return get_one(store, "SELECT " QUEUE_COLUMNS " FROM jobs WHERE id = ?", id, "job", out, err);
}

enum prilora_status queue_find_model(struct store *store, const char *model, struct job *out,
                                     struct prilora_error *err)
{
    return get_one(store, "SELECT " QUEUE_COLUMNS " FROM jobs WHERE fine_tuned_model = ?", model,
                   "fine-tuned model", out, err);
}

/* ---- lists ---- */

static enum prilora_status collect(struct store *store, sqlite3_stmt *s, size_t limit,
                                   struct job **out, size_t *n, bool *has_more,
                                   struct prilora_error *err)
{
    const struct store_rows rows = {sizeof **out, limit, queue_read_row, "list jobs"};
    void *jobs;
    enum prilora_status rc = store_collect(store, s, &rows, &jobs, n, has_more, err);

    *out = jobs;
    if (rc != PRILORA_OK) {
        queue_free_list(*out, *n);
        *out = NULL;
        *n = 0;
    }
    return rc;
}

static enum prilora_status find_row(struct store *store, const char *id, int64_t *row_id,
                                    struct prilora_error *err)
{
    enum prilora_status rc;
    bool row;
    sqlite3_stmt *s = store_query(store, err, "SELECT row FROM jobs WHERE id = ?", "t", id);

    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "read a job", err);
    if (rc == PRILORA_OK && !row)
        rc = error_set(err, PRILORA_ENOENT, "no such job: %s", id);
    if (rc == PRILORA_OK) {
        *row_id = sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
    }
    return rc;
}

/* Jobs before row ?1, of one state (a name of ours) or of any (NULL), of experiment ?2 or of any;
 * one condition for each pair that the metadata must have: pairs are parameters, never text. */
static void write_arm(FILE *text, const char *status, const struct queue_query *query,
                      size_t n_pairs)
{
    fputs("SELECT " QUEUE_COLUMNS ", row FROM jobs WHERE row < ?1", text);
    if (query->experiment)
        fputs(" AND experiment_id = ?2", text);
    if (status)
        fprintf(text, " AND %sstatus = '%s'", query->experiment ? "+" : "", status);
    for (size_t i = 0; i < n_pairs; i++)
        fprintf(text,
                " AND EXISTS (SELECT 1 FROM json_each(jobs.metadata) AS m "
                "WHERE m.key = ?%zu AND m.value = ?%zu)",
                2 * i + 3, 2 * i + 4);
}

/* Each state's jobs come in order from their index, and SQLite merges them: "status IN (...)" would
 * read and sort all of them for one page. */
static char *list_sql(const struct queue_query *query, size_t n_pairs)
{
    const char *before = "";
    char *sql = NULL;
    size_t size;
    FILE *text = open_memstream(&sql, &size);

    if (!text)
        return NULL;
    if (!query->statuses)
        write_arm(text, NULL, query, n_pairs);
    for (size_t i = 0; i < N_STATUSES; i++) {
        if (!(query->statuses >> i & 1))
            continue;
        fputs(before, text);
        write_arm(text, status_names[i], query, n_pairs);
        before = " UNION ALL ";
    }
    fputs(" ORDER BY row DESC", text);
    if (fclose(text) != 0) {
        free(sql);
        return NULL;
    }
    return sql;
}

static sqlite3_stmt *list_query(struct store *store, const struct queue_query *query, int64_t after,
                                struct prilora_error *err)
{
    size_t n = 0;
    char *sql;
    sqlite3_stmt *s;
    bool bound;

    while (query->metadata && query->metadata[n])
        n++;
    if (n % 2 || n / 2 > MAX_METADATA_PAIRS) {
        error_set(err, PRILORA_ELIMIT, "%zu metadata pairs to look for, but at most %d are taken",
                  n / 2, MAX_METADATA_PAIRS);
        return NULL;
    }
    sql = list_sql(query, n / 2);
    if (!sql) {
        error_memory(err);
        return NULL;
    }
    s = store_statement(store, sql, err);
    free(sql);
    if (!s)
        return NULL;
    bound = sqlite3_bind_int64(s, 1, after) == SQLITE_OK &&
            (!query->experiment ||
             sqlite3_bind_text(s, 2, query->experiment, -1, SQLITE_STATIC) == SQLITE_OK);
    for (size_t i = 0; i < n; i++)
        bound = bound && sqlite3_bind_text(s, (int)i + 3, query->metadata[i], -1, SQLITE_STATIC) ==
                             SQLITE_OK;
    if (!bound) {
        store_fail(store, "list jobs", err);
        return NULL;
    }
    return s;
}

enum prilora_status queue_list(struct store *store, const struct queue_query *query,
                               struct job **out, size_t *n, bool *has_more,
                               struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    struct prilora_error local;
    int64_t after = INT64_MAX;
    sqlite3_stmt *s;

    err = err ? err : &local;
    *out = NULL;
    *n = 0;
    *has_more = false;
    if (query->after)
        rc = find_row(store, query->after, &after, err);
    if (rc != PRILORA_OK)
        return rc;
    s = list_query(store, query, after, err);
    return s ? collect(store, s, query->limit, out, n, has_more, err) : err->status;
}

enum prilora_status queue_list_models(struct store *store, struct job **out, size_t *n,
                                      struct prilora_error *err)
{
    struct prilora_error local;
    sqlite3_stmt *s;

    err = err ? err : &local;
    *out = NULL;
    *n = 0;
    s = store_query(store, err,
                    "SELECT " QUEUE_COLUMNS " FROM jobs WHERE fine_tuned_model IS NOT NULL "
                    "ORDER BY row DESC",
                    "");
    return s ? collect(store, s, SIZE_MAX, out, n, NULL, err) : err->status;
}

static enum prilora_status read_id(sqlite3_stmt *row, void *out, struct prilora_error *err)
{
    (void)err;
    snprintf(out, ID_SIZE, "%s", (const char *)sqlite3_column_text(row, 0));
    return PRILORA_OK;
}

enum prilora_status queue_collect_ids(struct store *store, sqlite3_stmt *query,
                                      char (**out)[ID_SIZE], size_t *n, struct prilora_error *err)
{
    const struct store_rows rows = {ID_SIZE, SIZE_MAX, read_id, "list jobs"};
    void *ids = NULL;
    enum prilora_status rc;

    *out = NULL;
    *n = 0;
    if (!query)
        return err->status;
    rc = store_collect(store, query, &rows, &ids, n, NULL, err);
    if (rc != PRILORA_OK) {
        free(ids);
        ids = NULL;
        *n = 0;
    }
    *out = ids;
    return rc;
}

enum prilora_status queue_counts(struct store *store, uint64_t *counts, struct prilora_error *err)
{
    enum prilora_status rc;
    struct prilora_error local;
    sqlite3_stmt *s;
    bool row;

    err = err ? err : &local;
    memset(counts, 0, N_STATUSES * sizeof *counts);
    s = store_query(store, err, "SELECT status, COUNT(*) FROM jobs GROUP BY status", "");
    if (!s)
        return err->status;
    while ((rc = store_step(store, s, &row, "count jobs", err)) == PRILORA_OK && row)
        counts[parse_status((const char *)sqlite3_column_text(s, 0))] =
            (uint64_t)sqlite3_column_int64(s, 1);
    return rc;
}
