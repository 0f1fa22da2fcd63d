/*
 * uploads.c - see uploads.h; putting the parts together is in uploads_complete.c.
 *
 * A part appears as a file does (files.c): its bytes are renamed into place, then its row is
 * written. An upload goes the other way: its row changes, then the folder of its parts is removed.
 */
#include "daemon/uploads.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/error.h"
#include "daemon/keys.h"
#include "daemon/log.h"
#include "daemon/path.h"

#define GRACE_S 600    /* for a completion that began in time */
#define KEPT_S  604800 /* what became of an upload can be asked for so long */

#define COLUMNS                                                                                    \
    "id, key_id, file_id, status, created_at, expires_at, bytes, file_expires_s, filename, "       \
    "mime_type, purpose"

/* Held while bytes have no row yet, so that the sweep does not meet them. */
static pthread_mutex_t moving = PTHREAD_MUTEX_INITIALIZER;

static const char *const status_names[] = {
    [UPLOAD_PENDING] = "pending",
    [UPLOAD_COMPLETED] = "completed",
    [UPLOAD_CANCELLED] = "cancelled",
    [UPLOAD_EXPIRED] = "expired",
};

const char *upload_status_name(enum upload_status status)
{
    return status_names[status];
}

void upload_clear(struct upload *upload)
{
    /* the analyzer forgets that all is NULL after the first time */
    free(upload->filename); /* NOLINT(clang-analyzer-unix.Malloc) */
    free(upload->mime_type);
    free(upload->purpose);
    *upload = (struct upload){0};
}

void uploads_free_list(struct upload *uploads, size_t n)
{
    for (size_t i = 0; uploads && i < n; i++)
        upload_clear(&uploads[i]);
    free(uploads);
}

static bool is_id(const char *id)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";

    return *id && strlen(id) < ID_SIZE && id[strspn(id, letters)] == '\0';
}

char *uploads_path(struct store *store, const char *id, const char *part_id)
{
    if (!is_id(id) || (part_id && !is_id(part_id)))
        return NULL;
    return text_format("%s/parts/%s%s%s", store_folder(store), id, part_id ? "/" : "",
                       part_id ? part_id : "");
}

static void remove_parts(struct store *store, const char *id)
{
    struct prilora_error err;
    char *folder = uploads_path(store, id, NULL);

    if (folder && path_remove(folder, &err) != PRILORA_OK)
        log_warn("uploads", "%s", err.message); /* the sweep tries again */
    free(folder);
}

/* ---- rows ---- */

static void copy_column(sqlite3_stmt *row, int column, char *out, size_t room)
{
    const char *text = (const char *)sqlite3_column_text(row, column);

    snprintf(out, room, "%s", text ? text : "");
}

static enum prilora_status read_row(sqlite3_stmt *row, void *upload, struct prilora_error *err)
{
    struct upload *out = upload;
    char status[16];

    *out = (struct upload){0};
    copy_column(row, 0, out->id, sizeof out->id);
    copy_column(row, 1, out->key_id, sizeof out->key_id);
    copy_column(row, 2, out->file_id, sizeof out->file_id);
    copy_column(row, 3, status, sizeof status);
    out->created_at = sqlite3_column_int64(row, 4);
    out->expires_at = sqlite3_column_int64(row, 5);
    out->bytes = sqlite3_column_int64(row, 6);
    out->file_expires_s = sqlite3_column_int64(row, 7);
    out->filename = store_text(row, 8);
    out->mime_type = store_text(row, 9);
    out->purpose = store_text(row, 10);
    while (strcmp(status, status_names[out->status]) != 0 && out->status < UPLOAD_EXPIRED)
        out->status++;
    if (out->status == UPLOAD_PENDING && out->expires_at <= store_now())
        out->status = UPLOAD_EXPIRED; /* the sweep has not come by yet */
    if (out->filename && out->mime_type && out->purpose)
        return PRILORA_OK;
    upload_clear(out);
    return error_memory(err);
}

static enum prilora_status no_such_upload(const char *id, struct prilora_error *err)
{
    return error_set(err, PRILORA_ENOENT, "no such upload: %s", id);
}

enum prilora_status uploads_get(struct store *store, const char *id, struct upload *out,
                                struct prilora_error *err)
{
    enum prilora_status rc;
    bool row;
    sqlite3_stmt *s;

    *out = (struct upload){0};
    s = store_query(store, err, "SELECT " COLUMNS " FROM uploads WHERE id = ?", "t", id);
    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "read an upload's row", err);
    if (rc != PRILORA_OK)
        return rc;
    if (!row)
        return no_such_upload(id, err);
    rc = read_row(s, out, err);
    sqlite3_reset(s);
    return rc;
}

enum prilora_status uploads_get_pending(struct store *store, const char *id, struct upload *out,
                                        struct prilora_error *err)
{
    enum prilora_status rc = uploads_get(store, id, out, err);

    if (rc == PRILORA_OK && out->status != UPLOAD_PENDING) {
        rc = error_set(err, PRILORA_EMISMATCH, "upload %s is %s, no longer pending", id,
                       upload_status_name(out->status));
        upload_clear(out);
    }
    return rc;
}

/* The row number of upload `id`. */
static enum prilora_status find_row(struct store *store, const char *id, int64_t *row_id,
                                    struct prilora_error *err)
{
    enum prilora_status rc;
    bool row;
    sqlite3_stmt *s = store_query(store, err, "SELECT row FROM uploads WHERE id = ?", "t", id);

    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "read an upload's row", err);
    if (rc == PRILORA_OK && !row)
        rc = no_such_upload(id, err);
    if (rc == PRILORA_OK) {
        *row_id = sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
    }
    return rc;
}

enum prilora_status uploads_list(struct store *store, const char *after, size_t limit,
                                 struct upload **out, size_t *n, bool *has_more,
                                 struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    int64_t before = INT64_MAX;
    const struct store_rows rows = {sizeof **out, limit, read_row, "list uploads"};
    sqlite3_stmt *s;
    void *uploads;

    *out = NULL;
    *n = 0;
    *has_more = false;
    if (after)
        rc = find_row(store, after, &before, err);
    if (rc != PRILORA_OK)
        return rc;
    s = store_query(store, err, "SELECT " COLUMNS " FROM uploads WHERE row < ? ORDER BY row DESC",
                    "i", before);
    if (!s)
        return err->status;
    rc = store_collect(store, s, &rows, &uploads, n, has_more, err);
    *out = uploads;
    if (rc != PRILORA_OK) {
        uploads_free_list(*out, *n);
        *out = NULL;
        *n = 0;
    }
    return rc;
}

/* ---- announcing and cancelling ---- */

/* What was announced and has not come counts, too; called inside of a transaction. */
static enum prilora_status check_quota(struct store *store, const struct upload *upload,
                                       struct prilora_error *err)
{
    enum prilora_status rc;
    int64_t pending = 0;
    bool row;
    sqlite3_stmt *s = store_query(store, err,
                                  "SELECT COALESCE(SUM(bytes), 0) FROM uploads WHERE key_id = ? "
                                  "AND status = 'pending'",
                                  "t", upload->key_id);

    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "look at uploads", err);
    if (rc == PRILORA_OK && row) {
        pending = sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
    }
    return rc == PRILORA_OK ? keys_check_bytes(store, upload->key_id, upload->bytes + pending, err)
                            : rc;
}

enum prilora_status uploads_create(struct store *store, struct upload *upload,
                                   struct prilora_error *err)
{
    enum prilora_status rc;

    store_new_id(upload->id, "upload_");
    upload->status = UPLOAD_PENDING;
    upload->created_at = store_now();
    upload->expires_at = upload->created_at + UPLOAD_LIFE_S;
    rc = store_begin(store, err);
    if (rc != PRILORA_OK)
        return rc;
    rc = check_quota(store, upload, err);
    if (rc == PRILORA_OK)
        rc = store_run(store, err, "write an upload",
                       "INSERT INTO uploads (id, key_id, created_at, expires_at, bytes, filename, "
                       "mime_type, purpose, file_expires_s, status) VALUES (?, ?, ?, ?, ?, ?, ?, "
                       "?, ?, 'pending')",
                       "ttiiittti", upload->id, upload->key_id[0] ? upload->key_id : NULL,
                       upload->created_at, upload->expires_at, upload->bytes, upload->filename,
                       upload->mime_type, upload->purpose, upload->file_expires_s);
    return store_end(store, rc, err);
}

enum prilora_status uploads_cancel(struct store *store, const char *id, struct upload *out,
                                   struct prilora_error *err)
{
    enum prilora_status rc;

    *out = (struct upload){0};
    rc = store_begin(store, err);
    if (rc != PRILORA_OK)
        return rc;
    rc = uploads_get_pending(store, id, out, err);
    if (rc == PRILORA_OK)
        rc = store_run(store, err, "cancel an upload",
                       "UPDATE uploads SET status = 'cancelled' WHERE id = ?", "t", id);
    if (rc == PRILORA_OK)
        rc = store_run(store, err, "remove parts", "DELETE FROM upload_parts WHERE upload_id = ?",
                       "t", id);
    rc = store_end(store, rc, err);
    if (rc != PRILORA_OK) {
        upload_clear(out);
        return rc;
    }
    out->status = UPLOAD_CANCELLED;
    remove_parts(store, id);
    return PRILORA_OK;
}

/* ---- parts ---- */

/* A client that did not hear our answer sends a part again: some room is for that. */
static enum prilora_status check_room(struct store *store, const struct upload *upload,
                                      int64_t bytes, struct prilora_error *err)
{
    enum prilora_status rc;
    bool row;
    int64_t n, sum;
    sqlite3_stmt *s = store_query(
        store, err,
        "SELECT count(*), coalesce(sum(bytes), 0) FROM upload_parts WHERE upload_id = ?", "t",
        upload->id);

    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "count parts", err);
    if (rc != PRILORA_OK || !row)
        return rc;
    n = sqlite3_column_int64(s, 0);
    sum = sqlite3_column_int64(s, 1);
    sqlite3_reset(s);
    if (n >= UPLOAD_MAX_PARTS)
        return error_set(err, PRILORA_ELIMIT, "upload %s has %d parts already, the most there are",
                         upload->id, UPLOAD_MAX_PARTS);
    if (bytes > 2 * upload->bytes - sum)
        return error_set(err, PRILORA_ELIMIT,
                         "upload %s was announced with %" PRId64 " bytes and has %" PRId64
                         " already: %" PRId64 " more are too many",
                         upload->id, upload->bytes, sum, bytes);
    return PRILORA_OK;
}

static enum prilora_status insert_part(struct store *store, const struct upload_part *part,
                                       struct prilora_error *err)
{
    struct upload upload;
    enum prilora_status rc = store_begin(store, err);

    if (rc != PRILORA_OK)
        return rc;
    rc = uploads_get_pending(store, part->upload_id, &upload, err);
    if (rc == PRILORA_OK)
        rc = check_room(store, &upload, part->bytes, err);
    if (rc == PRILORA_OK)
        rc = store_run(store, err, "write a part's row",
                       "INSERT INTO upload_parts (id, upload_id, created_at, bytes, sha256) "
                       "VALUES (?, ?, ?, ?, ?)",
                       "ttiit", part->id, part->upload_id, part->created_at, part->bytes,
                       part->sha256);
    upload_clear(&upload);
    return store_end(store, rc, err);
}

/* Renames the spooled bytes and writes the row; on failure the bytes are back at `spooled`. */
static enum prilora_status take_in(struct store *store, const char *spooled,
                                   const struct upload_part *part, struct prilora_error *err)
{
    enum prilora_status rc;
    char *path = uploads_path(store, part->upload_id, part->id);
    char *folder = uploads_path(store, part->upload_id, NULL);

    if (!path || !folder) {
        rc = error_memory(err);
        goto out;
    }
    rc = path_make_folder(folder, err); /* the first part makes it */
    if (rc != PRILORA_OK)
        goto out;
    if (rename(spooled, path) != 0) {
        rc = error_errno(err, spooled, "move it to the other parts");
        goto out;
    }
    rc = path_sync_folder(folder, err);
    if (rc == PRILORA_OK)
        rc = insert_part(store, part, err);
    if (rc != PRILORA_OK && rename(path, spooled) != 0)
        unlink(path);
    if (rc != PRILORA_OK)
        rmdir(folder); /* it stays if there are other parts */
out:
    free(folder);
    free(path);
    return rc;
}

enum prilora_status uploads_add_part(struct store *store, const char *path,
                                     struct upload_part *part, struct prilora_error *err)
{
    struct upload upload;
    enum prilora_status rc = uploads_get_pending(store, part->upload_id, &upload, err);

    if (rc != PRILORA_OK)
        return rc;
    upload_clear(&upload);
    store_new_id(part->id, "part_");
    part->created_at = store_now();
    pthread_mutex_lock(&moving);
    rc = take_in(store, path, part, err);
    pthread_mutex_unlock(&moving);
    return rc;
}

/* ---- sweeping ---- */

/* Whether an upload still waits for parts; ?1 the instant by which it must not have ended. */
#define IS_OPEN "status = 'pending' AND expires_at > ?1"

static enum prilora_status count_old(struct store *store, int64_t *n, struct prilora_error *err)
{
    enum prilora_status rc;
    bool row;
    sqlite3_stmt *s = store_query(store, err,
                                  "SELECT COUNT(*) FROM uploads WHERE expires_at <= ?2 AND NOT "
                                  "(" IS_OPEN ")",
                                  "ii", store_now() - GRACE_S, store_now() - KEPT_S);

    *n = 0;
    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "count old uploads", err);
    if (rc == PRILORA_OK && row)
        *n = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    return rc;
}

static enum prilora_status remove_rows(struct store *store, struct prilora_error *err)
{
    enum prilora_status rc =
        store_run(store, err, "let uploads expire",
                  "UPDATE uploads SET status = 'expired' WHERE status = 'pending' AND "
                  "NOT (" IS_OPEN ")",
                  "i", store_now() - GRACE_S);

    if (rc == PRILORA_OK)
        rc = store_run(store, err, "remove parts",
                       "DELETE FROM upload_parts WHERE upload_id IN "
                       "(SELECT id FROM uploads WHERE status <> 'pending')",
                       "");
    if (rc == PRILORA_OK)
        rc = store_run(store, err, "remove old uploads",
                       "DELETE FROM uploads WHERE status <> 'pending' AND expires_at <= ?", "i",
                       store_now() - KEPT_S);
    return rc;
}

static enum prilora_status update_rows(struct store *store, struct sweep *sweep,
                                       struct prilora_error *err)
{
    int64_t n = 0;
    enum prilora_status rc = store_begin(store, err);

    if (rc != PRILORA_OK)
        return rc;
    rc = count_old(store, &n, err);
    if (rc == PRILORA_OK && !sweep->is_dry)
        rc = remove_rows(store, err);
    rc = store_end(store, rc, err);
    if (rc == PRILORA_OK)
        sweep_tell_rows(sweep, "uploads", "over for a week", n);
    return rc;
}

static enum prilora_status has_row(struct store *store, sqlite3_stmt *s, bool *has,
                                   struct prilora_error *err)
{
    enum prilora_status rc = s ? store_step(store, s, has, "look for a row", err) : err->status;

    if (s)
        sqlite3_reset(s);
    return rc;
}

/* Parts without a row in the folder of a pending upload. */
static enum prilora_status sweep_parts(struct store *store, const char *folder, const char *id,
                                       struct sweep *sweep, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    DIR *dir = opendir(folder);
    struct dirent *entry;
    struct stat st;
    bool has = true;

    while (dir && rc == PRILORA_OK && (entry = readdir(dir))) {
        char name[600];

        if (entry->d_name[0] == '.')
            continue;
        rc = has_row(store,
                     store_query(store, err, "SELECT 1 FROM upload_parts WHERE id = ?", "t",
                                 entry->d_name),
                     &has, err);
        if (rc != PRILORA_OK || has || fstatat(dirfd(dir), entry->d_name, &st, 0) != 0)
            continue;
        snprintf(name, sizeof name, "parts/%s/%s", id, entry->d_name);
        if (sweep->is_dry || unlinkat(dirfd(dir), entry->d_name, 0) == 0)
            sweep_tell(sweep, "orphan_part", name, "has no row", st.st_size);
    }
    if (dir)
        closedir(dir);
    return rc;
}

static enum prilora_status sweep_folder(const char *folder, const char *id, struct sweep *sweep,
                                        struct prilora_error *err)
{
    char name[300];

    snprintf(name, sizeof name, "parts/%s", id);
    return sweep_tree(sweep, folder,
                      &(struct sweep_item){.kind = "upload_parts",
                                           .name = name,
                                           .why = "the upload is over, or was dropped"},
                      err);
}

static enum prilora_status sweep_one(struct store *store, const char *id, struct sweep *sweep,
                                     struct prilora_error *err)
{
    enum prilora_status rc;
    char *folder = text_format("%s/parts/%s", store_folder(store), id);
    bool pending = false;

    if (!folder)
        return error_memory(err);
    pthread_mutex_lock(&moving);
    rc = has_row(store,
                 store_query(store, err, "SELECT 1 FROM uploads WHERE id = ?2 AND " IS_OPEN, "it",
                             store_now() - GRACE_S, id),
                 &pending, err);
    if (rc == PRILORA_OK)
        rc = pending ? sweep_parts(store, folder, id, sweep, err)
                     : sweep_folder(folder, id, sweep, err);
    pthread_mutex_unlock(&moving);
    free(folder);
    return rc;
}

enum prilora_status uploads_sweep(struct store *store, struct sweep *sweep,
                                  struct prilora_error *err)
{
    enum prilora_status rc = update_rows(store, sweep, err);
    char *path = text_format("%s/parts", store_folder(store));
    DIR *dir = path ? opendir(path) : NULL;
    struct dirent *entry;

    while (dir && rc == PRILORA_OK && !sweep_must_stop(sweep) && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            rc = sweep_one(store, entry->d_name, sweep, err);
    if (dir)
        closedir(dir);
    free(path);
    return rc;
}
