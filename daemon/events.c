/* events.c - see events.h; the series are in series.c. */
#include "daemon/events.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/error.h"

/* Held for reading while telling: after events_subscribe(NULL) returns, nobody is told. */
static pthread_rwlock_t subscription = PTHREAD_RWLOCK_INITIALIZER;
static void (*subscriber)(void *context, const char *job_id);
static void *subscriber_context;

void events_subscribe(void (*notify)(void *context, const char *job_id), void *context)
{
    pthread_rwlock_wrlock(&subscription);
    subscriber = notify;
    subscriber_context = context;
    pthread_rwlock_unlock(&subscription);
}

void events_notify(const char *job_id)
{
    pthread_rwlock_rdlock(&subscription);
    if (subscriber)
        subscriber(subscriber_context, job_id);
    pthread_rwlock_unlock(&subscription);
}

#define COLUMNS_IN "id, job_id, key, created_at, level, type, message, data"
#define UNIQUE_KEY " ON CONFLICT (job_id, key) DO NOTHING"

enum prilora_status events_add(struct store *store, const char *job_id, const char *key,
                               const char *level, const char *type, const char *message,
                               const char *data, struct prilora_error *err)
{
    char id[ID_SIZE];

    store_new_id(id, "ftevent-");
    return store_run(store, err, "write an event",
                     "INSERT INTO events (" COLUMNS_IN
                     ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)" UNIQUE_KEY,
                     "tttitttt", id, job_id, key, store_now(), level, type, message, data);
}

enum prilora_status events_add_before_end(struct store *store, const char *job_id, const char *key,
                                          const char *level, const char *message,
                                          struct prilora_error *err)
{
    char id[ID_SIZE];

    store_new_id(id, "ftevent-");
    return store_run(store, err, "write an event",
                     "INSERT INTO events (" COLUMNS_IN
                     ") SELECT ?1, id, ?3, ?4, ?5, 'message', ?6, "
                     "NULL FROM jobs WHERE id = ?2 AND status NOT IN ('succeeded', 'failed', "
                     "'cancelled')" UNIQUE_KEY,
                     "tttitt", id, job_id, key, store_now(), level, message);
}

/* ---- lists ---- */

static enum prilora_status read_row(sqlite3_stmt *row, void *event, struct prilora_error *err)
{
    struct event *out = event;
    const char *id = (const char *)sqlite3_column_text(row, 0);
    const char *level = (const char *)sqlite3_column_text(row, 3);
    const char *type = (const char *)sqlite3_column_text(row, 4);

    *out = (struct event){0};
    snprintf(out->id, sizeof out->id, "%s", id ? id : "");
    out->sequence = sqlite3_column_int64(row, 1);
    out->created_at = sqlite3_column_int64(row, 2);
    snprintf(out->level, sizeof out->level, "%s", level ? level : "");
    snprintf(out->type, sizeof out->type, "%s", type ? type : "");
    out->message = store_text(row, 5);
    out->data = store_text(row, 6);
    if (out->message && (out->data || sqlite3_column_type(row, 6) == SQLITE_NULL))
        return PRILORA_OK;
    free(out->message);
    free(out->data);
    return error_memory(err);
}

void events_free_list(struct event *events, size_t n)
{
    for (size_t i = 0; events && i < n; i++) {
        free(events[i].message);
        free(events[i].data);
    }
    free(events);
}

static enum prilora_status find_row(struct store *store, const struct events_query *query,
                                    int64_t *row_id, struct prilora_error *err)
{
    enum prilora_status rc;
    bool row;
    sqlite3_stmt *s = store_query(store, err, "SELECT row FROM events WHERE id = ? AND job_id = ?",
                                  "tt", query->after, query->job_id);

    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "read an event", err);
    if (rc == PRILORA_OK && !row)
        rc = error_set(err, PRILORA_ENOENT, "job %s has no event %s", query->job_id, query->after);
    if (rc == PRILORA_OK) {
        *row_id = sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
    }
    return rc;
}

#define COLUMNS "id, row, created_at, level, type, message, data"

/* Rows beyond `row`, on the side that the order says. */
static enum prilora_status list_beyond(struct store *store, const struct events_query *query,
                                       int64_t row, struct event **out, size_t *n, bool *has_more,
                                       struct prilora_error *err)
{
    enum prilora_status rc;
    const struct store_rows rows = {sizeof **out, query->limit, read_row, "list events"};
    void *events;
    sqlite3_stmt *s =
        store_query(store, err,
                    query->ascending
                        ? "SELECT " COLUMNS " FROM events WHERE job_id = ? AND row > ? ORDER BY row"
                        : "SELECT " COLUMNS
                          " FROM events WHERE job_id = ? AND row < ? ORDER BY row DESC",
                    "ti", query->job_id, row);

    if (!s)
        return err->status;
    rc = store_collect(store, s, &rows, &events, n, has_more, err);
    *out = events;
    if (rc != PRILORA_OK) {
        events_free_list(*out, *n);
        *out = NULL;
        *n = 0;
    }
    return rc;
}

enum prilora_status events_list(struct store *store, const struct events_query *query,
                                struct event **out, size_t *n, bool *has_more,
                                struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    int64_t after = query->ascending ? 0 : INT64_MAX;
    struct prilora_error local;

    err = err ? err : &local;
    *out = NULL;
    *n = 0;
    *has_more = false;
    if (query->after)
        rc = find_row(store, query, &after, err);
    return rc == PRILORA_OK ? list_beyond(store, query, after, out, n, has_more, err) : rc;
}

enum prilora_status events_list_after(struct store *store, const char *job_id, int64_t sequence,
                                      size_t limit, struct event **out, size_t *n, bool *has_more,
                                      struct prilora_error *err)
{
    const struct events_query query = {job_id, NULL, true, limit};
    struct prilora_error local;

    *out = NULL;
    *n = 0;
    *has_more = false;
    return list_beyond(store, &query, sequence, out, n, has_more, err ? err : &local);
}

enum prilora_status events_last_data(struct store *store, const char *job_id, const char *key,
                                     const char *closed_by, char **data, struct prilora_error *err)
{
    enum prilora_status rc;
    bool row;
    sqlite3_stmt *s = store_query(store, err,
                                  "SELECT data FROM events WHERE job_id = ?1 AND key GLOB ?2 AND "
                                  "row > COALESCE((SELECT MAX(row) FROM events WHERE job_id = ?1 "
                                  "AND key GLOB ?3), 0) ORDER BY row DESC LIMIT 1",
                                  "ttt", job_id, key, closed_by);

    *data = NULL;
    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "read an event", err);
    if (rc == PRILORA_OK && row) {
        *data = store_text(s, 0);
        sqlite3_reset(s);
    }
    return rc;
}
