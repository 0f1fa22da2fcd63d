/* experiment_outcomes.c - what an experiment's jobs have come to; see experiments.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/error.h"
#include "daemon/experiments.h"

static const char outcomes_sql[] =
    "SELECT id, status, seed, json_extract(forecast, '$.n_trainable'), "
    "json_extract(forecast, '$.n_adapter'), "
    "json_extract(result, '$.n_prunable') - json_extract(result, '$.n_nonzero'), "
    "json_extract(result, '$.seconds'), experiment_method, experiment_task, "
    "json_extract(spec, '$.task.metric'), json_extract(result, '$.metrics'), error_message "
    "FROM jobs WHERE experiment_id = ? ORDER BY row";
#define FIRST_NUMBER 2
#define SECONDS      6
#define FIRST_TEXT   7

static enum prilora_status read_row(sqlite3_stmt *row, void *outcome, struct prilora_error *err)
{
    struct outcome *out = outcome;
    const char *status = (const char *)sqlite3_column_text(row, 1);
    char **const texts[] = {&out->method, &out->task, &out->metric, &out->metrics, &out->error};

    *out = (struct outcome){
        .status = JOB_FAILED,
        .seed = sqlite3_column_int64(row, FIRST_NUMBER),
        .n_trainable = sqlite3_column_int64(row, FIRST_NUMBER + 1),
        .n_adapter = sqlite3_column_int64(row, FIRST_NUMBER + 2),
        .n_zero = sqlite3_column_int64(row, FIRST_NUMBER + 3),
        .seconds = sqlite3_column_type(row, SECONDS) == SQLITE_NULL
                       ? (double)NAN
                       : sqlite3_column_double(row, SECONDS),
    };
    snprintf(out->job_id, sizeof out->job_id, "%s", (const char *)sqlite3_column_text(row, 0));
    job_status_parse(status, (size_t)sqlite3_column_bytes(row, 1), &out->status);
    for (int i = 0; i < (int)(sizeof texts / sizeof *texts); i++) {
        *texts[i] = store_text(row, FIRST_TEXT + i);
        if (!*texts[i] && sqlite3_column_type(row, FIRST_TEXT + i) != SQLITE_NULL) {
            for (int k = 0; k < i; k++)
                free(*texts[k]);
            return error_memory(err);
        }
    }
    return PRILORA_OK;
}

enum prilora_status experiments_outcomes(struct store *store, const char *id, struct outcome **out,
                                         size_t *n, struct prilora_error *err)
{
    const struct store_rows rows = {sizeof **out, SIZE_MAX, read_row, "read results"};
    sqlite3_stmt *s = store_query(store, err, outcomes_sql, "t", id);
    void *list = NULL;
    enum prilora_status rc;

    *out = NULL;
    *n = 0;
    if (!s)
        return err->status;
    rc = store_collect(store, s, &rows, &list, n, NULL, err);
    *out = list;
    if (rc != PRILORA_OK) {
        experiments_free_outcomes(*out, *n);
        *out = NULL;
        *n = 0;
    }
    return rc;
}

void experiments_free_outcomes(struct outcome *list, size_t n)
{
    for (size_t i = 0; list && i < n; i++) {
        free(list[i].method);
        free(list[i].task);
        free(list[i].metric);
        free(list[i].metrics);
        free(list[i].error);
    }
    free(list);
}
