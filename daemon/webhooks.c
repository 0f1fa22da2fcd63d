/* webhooks.c - the rows; see webhooks.h. Nothing here knows of HTTP. */
#include "daemon/webhooks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/error.h"

#define KEPT_S  2592000
#define OLD     "FROM webhooks WHERE state <> 'pending' AND created_at <= ?"
#define COLUMNS "id, job_id, type, state, created_at, attempts, next_at, last_error"

void webhook_clear(struct webhook *webhook)
{
    free(webhook->last_error);
    *webhook = (struct webhook){0};
}

void webhooks_free_list(struct webhook *webhooks, size_t n)
{
    for (size_t i = 0; webhooks && i < n; i++)
        webhook_clear(&webhooks[i]);
    free(webhooks);
}

static void copy_column(sqlite3_stmt *row, int column, char *out, size_t room)
{
    const char *text = (const char *)sqlite3_column_text(row, column);

    snprintf(out, room, "%s", text ? text : "");
}

static enum prilora_status read_row(sqlite3_stmt *row, void *webhook, struct prilora_error *err)
{
    struct webhook *out = webhook;

    *out = (struct webhook){0};
    copy_column(row, 0, out->id, sizeof out->id);
    copy_column(row, 1, out->job_id, sizeof out->job_id);
    copy_column(row, 2, out->type, sizeof out->type);
    copy_column(row, 3, out->state, sizeof out->state);
    out->created_at = sqlite3_column_int64(row, 4);
    out->attempts = sqlite3_column_int64(row, 5);
    out->next_at = sqlite3_column_int64(row, 6);
    out->last_error = store_text(row, 7);
    return out->last_error || sqlite3_column_type(row, 7) == SQLITE_NULL ? PRILORA_OK
                                                                         : error_memory(err);
}

/* The one row of a query, if there is one. */
static enum prilora_status read_one(struct store *store, sqlite3_stmt *s, struct webhook *out,
                                    bool *found, struct prilora_error *err)
{
    enum prilora_status rc;

    *out = (struct webhook){0};
    *found = false;
    if (!s)
        return err->status;
    rc = store_step(store, s, found, "read a webhook", err);
    if (rc != PRILORA_OK || !*found)
        return rc;
    rc = read_row(s, out, err);
    sqlite3_reset(s);
    return rc;
}

static enum prilora_status no_such_webhook(const char *id, struct prilora_error *err)
{
    return error_set(err, PRILORA_ENOENT, "no such delivery: %s", id);
}

enum prilora_status webhooks_set_target(struct store *store, const char *url,
                                        struct prilora_error *err)
{
    enum prilora_status rc = store_begin(store, err);

    if (rc != PRILORA_OK)
        return rc;
    if (*url)
        rc = store_run(store, err, "write where webhooks go",
                       "INSERT OR REPLACE INTO webhook_target (one, url) VALUES (1, ?)", "t", url);
    else
        rc = store_run(store, err, "write that webhooks go nowhere", "DELETE FROM webhook_target",
                       "");
    if (rc == PRILORA_OK && !*url)
        rc = store_run(store, err, "give webhooks up",
                       "UPDATE webhooks SET state = 'failed', last_error = 'webhooks.url is no "
                       "longer set' WHERE state = 'pending'",
                       "");
    return store_end(store, rc, err);
}

static enum prilora_status find_row(struct store *store, const char *id, int64_t *row_id,
                                    struct prilora_error *err)
{
    enum prilora_status rc;
    bool row;
    sqlite3_stmt *s = store_query(store, err, "SELECT row FROM webhooks WHERE id = ?", "t", id);

    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "read a webhook", err);
    if (rc == PRILORA_OK && !row)
        rc = no_such_webhook(id, err);
    if (rc == PRILORA_OK) {
        *row_id = sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
    }
    return rc;
}

enum prilora_status webhooks_list(struct store *store, const char *after, size_t limit,
                                  struct webhook **out, size_t *n, bool *has_more,
                                  struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    int64_t before = INT64_MAX;
    const struct store_rows rows = {sizeof **out, limit, read_row, "list webhooks"};
    sqlite3_stmt *s;
    void *webhooks;

    *out = NULL;
    *n = 0;
    *has_more = false;
    if (after)
        rc = find_row(store, after, &before, err);
    if (rc != PRILORA_OK)
        return rc;
    s = store_query(store, err, "SELECT " COLUMNS " FROM webhooks WHERE row < ? ORDER BY row DESC",
                    "i", before);
    if (!s)
        return err->status;
    rc = store_collect(store, s, &rows, &webhooks, n, has_more, err);
    *out = webhooks;
    if (rc != PRILORA_OK) {
        webhooks_free_list(*out, *n);
        *out = NULL;
        *n = 0;
    }
    return rc;
}

enum prilora_status webhooks_retry(struct store *store, const char *id, struct webhook *out,
                                   struct prilora_error *err)
{
    bool found = false;
    enum prilora_status rc =
        store_run(store, err, "send a webhook again",
                  "UPDATE webhooks SET state = 'pending', attempts = 0, next_at = ?2 WHERE id = ?1",
                  "ti", id, store_now());

    *out = (struct webhook){0};
    if (rc == PRILORA_OK)
        rc = read_one(store,
                      store_query(store, err, "SELECT " COLUMNS " FROM webhooks WHERE id = ?", "t",
                                  id),
                      out, &found, err);
    return rc == PRILORA_OK && !found ? no_such_webhook(id, err) : rc;
}

enum prilora_status webhooks_sweep(struct store *store, struct sweep *sweep,
                                   struct prilora_error *err)
{
    const struct sweep_rows rows = {
        "webhooks",
        "sent or given up, and a month old",
        "SELECT COUNT(*) " OLD,
        "DELETE " OLD,
        store_now() - KEPT_S,
    };

    return sweep_rows(store, sweep, &rows, err);
}

enum prilora_status webhooks_next(struct store *store, struct webhook *out, bool *found,
                                  struct prilora_error *err)
{
    return read_one(store,
                    store_query(store, err,
                                "SELECT " COLUMNS " FROM webhooks WHERE state = 'pending' AND "
                                "next_at <= ? ORDER BY next_at, row LIMIT 1",
                                "i", store_now()),
                    out, found, err);
}

enum prilora_status webhooks_attempted(struct store *store, const char *id, const char *error,
                                       int64_t next_at, struct prilora_error *err)
{
    const char *state = !error ? "sent" : next_at ? "pending" : "failed";

    return store_run(store, err, "write how a webhook went",
                     "UPDATE webhooks SET attempts = attempts + 1, state = ?2, last_error = ?3, "
                     "next_at = ?4 WHERE id = ?1 AND state = 'pending'",
                     "ttti", id, state, error, next_at);
}
