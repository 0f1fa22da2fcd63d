/* idempotency.c - see idempotency.h. */
#include "daemon/idempotency.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/error.h"

#define OLD "FROM idempotency WHERE created_at <= ?"

enum prilora_status idempotency_find(struct store *store, const struct idempotency_claim *claim,
                                     char **answer, struct prilora_error *err)
{
    enum prilora_status rc;
    bool row;
    const char *request;
    sqlite3_stmt *s =
        store_query(store, err,
                    "SELECT request, answer FROM idempotency WHERE caller = ? AND "
                    "key = ? AND created_at > ?",
                    "tti", claim->caller, claim->key, store_now() - IDEMPOTENCY_KEPT_S);

    *answer = NULL;
    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "look for an answer", err);
    if (rc != PRILORA_OK || !row)
        return rc;
    request = (const char *)sqlite3_column_text(s, 0);
    if (!request || strcmp(request, claim->request) != 0) {
        rc = error_set(err, PRILORA_EMISMATCH, "the key belongs to another request");
    } else {
        *answer = store_text(s, 1);
        rc = *answer ? PRILORA_OK : error_memory(err);
    }
    sqlite3_reset(s);
    return rc;
}

enum prilora_status idempotency_keep(struct store *store, const struct idempotency_claim *claim,
                                     const char *answer, struct prilora_error *err)
{
    /* one that is there is too old to count */
    return store_run(store, err, "keep an answer",
                     "INSERT OR REPLACE INTO idempotency (caller, key, request, created_at, "
                     "answer) VALUES (?, ?, ?, ?, ?)",
                     "tttit", claim->caller, claim->key, claim->request, store_now(), answer);
}

enum prilora_status idempotency_sweep(struct store *store, struct sweep *sweep,
                                      struct prilora_error *err)
{
    const struct sweep_rows rows = {
        "idempotency", "answers of more than a day ago", "SELECT COUNT(*) " OLD,
        "DELETE " OLD, store_now() - IDEMPOTENCY_KEPT_S,
    };

    return sweep_rows(store, sweep, &rows, err);
}
