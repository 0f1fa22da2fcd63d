/* series.c - the numbers of a job by step; see events.h. */
#include "daemon/events.h"

#include <stdlib.h>

#include "daemon/error.h"

#define NEXT_REVISION                                                                              \
    "(SELECT COALESCE(MAX(revision), 0) + 1 FROM series WHERE job_id = ?1 AND series = ?2)"

static enum prilora_status put(struct store *store, const char *sql, enum series series,
                               const char *job_id, uint64_t step, const char *json,
                               struct prilora_error *err)
{
    if (step > INT64_MAX)
        return error_set(err, PRILORA_ELIMIT, "step %llu is too large", (unsigned long long)step);
    return store_run(store, err, "write a row of a series", sql, "tiiit", job_id, (int64_t)series,
                     (int64_t)step, store_now(), json);
}

enum prilora_status series_put(struct store *store, enum series series, const char *job_id,
                               uint64_t step, const char *json, struct prilora_error *err)
{
    return put(store,
               "INSERT OR REPLACE INTO series (job_id, series, step, created_at, json, revision) "
               "VALUES (?1, ?2, ?3, ?4, ?5, " NEXT_REVISION ")",
               series, job_id, step, json, err);
}

enum prilora_status series_merge(struct store *store, enum series series, const char *job_id,
                                 uint64_t step, const char *json, struct prilora_error *err)
{
    return put(store,
               "INSERT INTO series (job_id, series, step, created_at, json, revision) "
               "VALUES (?1, ?2, ?3, ?4, ?5, " NEXT_REVISION ") ON CONFLICT (job_id, series, step) "
               "DO UPDATE SET json = json_patch(json, excluded.json), revision = excluded.revision",
               series, job_id, step, json, err);
}

void series_free_list(struct series_row *rows, size_t n)
{
    for (size_t i = 0; rows && i < n; i++)
        free(rows[i].json);
    free(rows);
}

static enum prilora_status read_row(sqlite3_stmt *row, void *out, struct prilora_error *err)
{
    struct series_row *series_row = out;

    series_row->step = (uint64_t)sqlite3_column_int64(row, 0);
    series_row->created_at = sqlite3_column_int64(row, 1);
    series_row->json = store_text(row, 2);
    series_row->revision = sqlite3_column_int64(row, 3);
    return series_row->json ? PRILORA_OK : error_memory(err);
}

#define COLUMNS "step, created_at, json, revision"

/* Takes `s`, which may be NULL: then *err says why. */
static enum prilora_status collect(struct store *store, sqlite3_stmt *s, size_t limit,
                                   struct series_row **out, size_t *n, bool *has_more,
                                   struct prilora_error *err)
{
    enum prilora_status rc;
    const struct store_rows rows = {sizeof **out, limit, read_row, "list a series"};
    void *list;

    *out = NULL;
    *n = 0;
    *has_more = false;
    if (!s)
        return err->status;
    rc = store_collect(store, s, &rows, &list, n, has_more, err);
    *out = list;
    if (rc != PRILORA_OK) {
        series_free_list(*out, *n);
        *out = NULL;
        *n = 0;
    }
    return rc;
}

enum prilora_status series_list(struct store *store, enum series series, const char *job_id,
                                int64_t after, bool ascending, size_t limit,
                                struct series_row **out, size_t *n, bool *has_more,
                                struct prilora_error *err)
{
    struct prilora_error local;
    sqlite3_stmt *s;

    err = err ? err : &local;
    if (after < 0 && !ascending)
        after = INT64_MAX;
    s = store_query(store, err,
                    ascending ? "SELECT " COLUMNS " FROM series WHERE job_id = ? AND "
                                "series = ? AND step > ? ORDER BY step"
                              : "SELECT " COLUMNS " FROM series WHERE job_id = ? AND "
                                "series = ? AND step < ? ORDER BY step DESC",
                    "tii", job_id, (int64_t)series, after);
    return collect(store, s, limit, out, n, has_more, err);
}

enum prilora_status series_list_changed(struct store *store, enum series series, const char *job_id,
                                        int64_t revision, size_t limit, struct series_row **out,
                                        size_t *n, bool *has_more, struct prilora_error *err)
{
    struct prilora_error local;
    sqlite3_stmt *s;

    err = err ? err : &local;
    s = store_query(store, err,
                    "SELECT " COLUMNS " FROM series WHERE job_id = ? AND series = ? AND "
                    "revision > ? ORDER BY revision",
                    "tii", job_id, (int64_t)series, revision);
    return collect(store, s, limit, out, n, has_more, err);
}
