/* sweep.c - see sweep.h. */
#include "daemon/sweep.h"

#include <stddef.h>

#include "daemon/path.h"

bool sweep_must_stop(const struct sweep *sweep)
{
    return sweep->stop && sweep->stop(sweep->context);
}

static void tell(struct sweep *sweep, const struct sweep_item *item)
{
    sweep->n_items++;
    sweep->bytes += item->bytes;
    if (sweep->tell)
        sweep->tell(sweep->context, item);
}

void sweep_tell(struct sweep *sweep, const char *kind, const char *name, const char *why,
                int64_t bytes)
{
    tell(sweep, &(struct sweep_item){kind, name, why, 1, bytes});
}

void sweep_tell_rows(struct sweep *sweep, const char *name, const char *why, int64_t n)
{
    if (n > 0)
        tell(sweep, &(struct sweep_item){"rows", name, why, n, 0});
}

enum prilora_status sweep_tree(struct sweep *sweep, const char *path, const struct sweep_item *item,
                               struct prilora_error *err)
{
    int64_t bytes = (int64_t)path_tree_bytes(path, NULL);
    enum prilora_status rc = sweep->is_dry ? PRILORA_OK : path_remove(path, err);

    if (rc == PRILORA_OK)
        sweep_tell(sweep, item->kind, item->name, item->why, bytes);
    return rc;
}

static enum prilora_status count(struct store *store, const struct sweep_rows *rows, int64_t *n,
                                 struct prilora_error *err)
{
    enum prilora_status rc;
    bool row;
    sqlite3_stmt *s = store_query(store, err, rows->count_sql, "i", rows->instant);

    *n = 0;
    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "count old rows", err);
    if (rc == PRILORA_OK && row)
        *n = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    return rc;
}

enum prilora_status sweep_rows(struct store *store, struct sweep *sweep,
                               const struct sweep_rows *rows, struct prilora_error *err)
{
    int64_t n = 0;
    enum prilora_status rc = store_begin(store, err);

    if (rc != PRILORA_OK)
        return rc;
    rc = count(store, rows, &n, err);
    if (rc == PRILORA_OK && !sweep->is_dry)
        rc = store_run(store, err, "delete old rows", rows->delete_sql, "i", rows->instant);
    rc = store_end(store, rc, err);
    if (rc == PRILORA_OK)
        sweep_tell_rows(sweep, rows->name, rows->why, n);
    return rc;
}
