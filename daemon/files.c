/*
 * files.c - see files.h.
 *
 * A file appears by renaming its spooled bytes and then writing its row, and goes the other way:
 * a crash in between leaves bytes without a row, which the sweep removes.
 */
#include "daemon/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/error.h"
#include "daemon/keys.h"
#include "daemon/path.h"

#define COLUMNS "id, bytes, created_at, expires_at, filename, purpose, status, sha256, key_id"

/* An unfinished job that still reads the file: of MNLI also one that its task names. */
#define NEEDED_BY(file)                                                                            \
    "SELECT id FROM jobs WHERE status IN ('validating_files', 'queued', 'running', 'paused') "     \
    "AND (training_file = " file " OR validation_file = " file                                     \
    " OR json_extract(spec, '$.task.mismatched_file') = " file ") LIMIT 1"

/* Held while bytes have no row yet or no longer, so that the sweep does not meet them. */
static pthread_mutex_t moving = PTHREAD_MUTEX_INITIALIZER;

int files_spool(struct store *store, char **path, struct prilora_error *err)
{
    int fd;

    *path = text_format("%s/uploads/XXXXXX", store_folder(store));
    if (!*path) {
        error_memory(err);
        return -1;
    }
    fd = mkostemp(*path, O_CLOEXEC);
    if (fd < 0) {
        error_errno(err, *path, "make the file");
        free(*path);
        *path = NULL;
    }
    return fd;
}

char *files_path(struct store *store, const char *id)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    if (!*id || id[strspn(id, letters)] != '\0')
        return NULL; /* no id of ours: it could point anywhere */
    return text_format("%s/files/%s", store_folder(store), id);
}

void file_clear(struct file *file)
{
    free(file->filename);
    free(file->purpose);
    *file = (struct file){0};
}

void files_free_list(struct file *files, size_t n)
{
    for (size_t i = 0; files && i < n; i++)
        file_clear(&files[i]);
    free(files);
}

static enum prilora_status read_row(sqlite3_stmt *row, void *file, struct prilora_error *err)
{
    struct file *out = file;
    const char *id = (const char *)sqlite3_column_text(row, 0);
    const char *status = (const char *)sqlite3_column_text(row, 6);
    const char *sha256 = (const char *)sqlite3_column_text(row, 7);
    const char *key_id = (const char *)sqlite3_column_text(row, 8);

    *out = (struct file){0};
    snprintf(out->id, sizeof out->id, "%s", id ? id : "");
    out->bytes = sqlite3_column_int64(row, 1);
    out->created_at = sqlite3_column_int64(row, 2);
    out->expires_at = sqlite3_column_int64(row, 3);
    out->filename = store_text(row, 4);
    out->purpose = store_text(row, 5);
    snprintf(out->status, sizeof out->status, "%s", status ? status : "");
    snprintf(out->sha256, sizeof out->sha256, "%s", sha256 ? sha256 : "");
    snprintf(out->key_id, sizeof out->key_id, "%s", key_id ? key_id : "");
    if (out->filename && out->purpose)
        return PRILORA_OK;
    file_clear(out);
    return error_memory(err);
}

/* In a transaction, since others may have joined it. */
static enum prilora_status insert(struct store *store, const struct file *file,
                                  struct prilora_error *err)
{
    enum prilora_status rc = store_begin(store, err);

    if (rc != PRILORA_OK)
        return rc;
    rc = store_run(store, err, "write the file's row",
                   "INSERT INTO files (id, bytes, created_at, expires_at, filename, purpose, "
                   "status, sha256, key_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                   "tiiittttt", file->id, file->bytes, file->created_at, file->expires_at,
                   file->filename, file->purpose, file->status, file->sha256,
                   file->key_id[0] ? file->key_id : NULL);
    return store_end(store, rc, err);
}

/* Renames the spooled bytes and writes the row; on failure the bytes are back at `spooled`. */
static enum prilora_status take_in(struct store *store, const char *spooled,
                                   const struct file *file, struct prilora_error *err)
{
    enum prilora_status rc;
    char *path = files_path(store, file->id);
    char *folder = text_format("%s/files", store_folder(store));

    if (!path || !folder) {
        rc = error_memory(err);
        goto out;
    }
    if (chmod(spooled, 0640) != 0 || rename(spooled, path) != 0) {
        rc = error_errno(err, spooled, "move it to the other files");
        goto out;
    }
    rc = path_sync_folder(folder, err);
    if (rc == PRILORA_OK)
        rc = insert(store, file, err);
    if (rc != PRILORA_OK && rename(path, spooled) != 0)
        unlink(path);
out:
    free(folder);
    free(path);
    return rc;
}

enum prilora_status files_adopt(struct store *store, const char *key_id, const char *path,
                                const char *filename, const char *purpose, int64_t bytes,
                                const char *sha256, int64_t expires_at, struct file *out,
                                struct prilora_error *err)
{
    enum prilora_status rc;

    *out = (struct file){.bytes = bytes, .created_at = store_now(), .expires_at = expires_at};
    store_new_id(out->id, "file-");
    snprintf(out->status, sizeof out->status, "processed");
    snprintf(out->sha256, sizeof out->sha256, "%s", sha256);
    snprintf(out->key_id, sizeof out->key_id, "%s", key_id);
    out->filename = strdup(filename);
    out->purpose = strdup(purpose);
    if (!out->filename || !out->purpose) {
        file_clear(out);
        return error_memory(err);
    }
    pthread_mutex_lock(&moving);
    rc = keys_check_bytes(store, key_id, bytes, err);
    if (rc == PRILORA_OK)
        rc = take_in(store, path, out, err);
    pthread_mutex_unlock(&moving);
    if (rc != PRILORA_OK)
        file_clear(out);
    return rc;
}

static enum prilora_status no_such_file(const char *id, struct prilora_error *err)
{
    return error_set(err, PRILORA_ENOENT, "no such file: %s", id);
}

enum prilora_status files_get(struct store *store, const char *id, struct file *out,
                              struct prilora_error *err)
{
    enum prilora_status rc;
    bool row;
    struct prilora_error local;
    sqlite3_stmt *s;

    err = err ? err : &local;
    *out = (struct file){0};
    s = store_query(store, err, "SELECT " COLUMNS " FROM files WHERE id = ?", "t", id);
    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "read a file's row", err);
    if (rc != PRILORA_OK)
        return rc;
    if (!row)
        return no_such_file(id, err);
    rc = read_row(s, out, err);
    sqlite3_reset(s);
    return rc;
}

/* Inside a transaction: EMISMATCH if a job that is not finished needs the file. */
static enum prilora_status check_unneeded(struct store *store, const char *id,
                                          struct prilora_error *err)
{
    enum prilora_status rc;
    bool row;
    sqlite3_stmt *s = store_query(store, err, NEEDED_BY("?1"), "t", id);

    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "look for jobs that need a file", err);
    if (rc == PRILORA_OK && row) {
        rc = error_set(err, PRILORA_EMISMATCH, "file %s is still needed by job %s", id,
                       (const char *)sqlite3_column_text(s, 0));
        sqlite3_reset(s);
    }
    return rc;
}

static enum prilora_status delete_row(struct store *store, const char *id,
                                      struct prilora_error *err)
{
    enum prilora_status rc = store_begin(store, err);

    if (rc != PRILORA_OK)
        return rc;
    rc = check_unneeded(store, id, err);
    if (rc == PRILORA_OK)
        rc =
            store_run(store, err, "delete a file's row", "DELETE FROM files WHERE id = ?", "t", id);
    if (rc == PRILORA_OK && sqlite3_changes(store_db(store, NULL)) == 0)
        rc = no_such_file(id, err);
    return store_end(store, rc, err);
}

enum prilora_status files_delete(struct store *store, const char *id, struct prilora_error *err)
{
    enum prilora_status rc;
    struct prilora_error local;
    char *path;

    err = err ? err : &local;
    rc = delete_row(store, id, err);
    if (rc != PRILORA_OK)
        return rc;
    path = files_path(store, id);
    if (path)
        unlink(path); /* what stays behind has no row: the sweep takes it */
    free(path);
    return PRILORA_OK;
}

/* ---- lists ---- */

/* The row number of file `id`. */
static enum prilora_status find_row(struct store *store, const char *id, int64_t *row_id,
                                    struct prilora_error *err)
{
    enum prilora_status rc;
    bool row;
    sqlite3_stmt *s = store_query(store, err, "SELECT row FROM files WHERE id = ?", "t", id);

    if (!s)
        return err->status;
    rc = store_step(store, s, &row, "read a file's row", err);
    if (rc == PRILORA_OK && !row)
        rc = no_such_file(id, err);
    if (rc == PRILORA_OK) {
        *row_id = sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
    }
    return rc;
}

enum prilora_status files_list(struct store *store, const struct files_query *query,
                               struct file **out, size_t *n, bool *has_more,
                               struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    int64_t after = query->ascending ? 0 : INT64_MAX;
    const struct store_rows rows = {sizeof **out, query->limit, read_row, "list files"};
    struct prilora_error local;
    sqlite3_stmt *s;
    void *files;

    err = err ? err : &local;
    *out = NULL;
    *n = 0;
    *has_more = false;
    if (query->after)
        rc = find_row(store, query->after, &after, err);
    if (rc != PRILORA_OK)
        return rc;
    s = store_query(store, err,
                    query->ascending ? "SELECT " COLUMNS " FROM files WHERE row > ?1 AND "
                                       "(?2 IS NULL OR purpose = ?2) ORDER BY row"
                                     : "SELECT " COLUMNS " FROM files WHERE row < ?1 AND "
                                       "(?2 IS NULL OR purpose = ?2) ORDER BY row DESC",
                    "it", after, query->purpose);
    if (!s)
        return err->status;
    rc = store_collect(store, s, &rows, &files, n, has_more, err);
    *out = files;
    if (rc != PRILORA_OK) {
        files_free_list(*out, *n);
        *out = NULL;
        *n = 0;
    }
    return rc;
}

/* ---- sweeping ---- */

/* Files past their time that no unfinished job needs. */
static enum prilora_status list_expired(struct store *store, struct file **out, size_t *n,
                                        struct prilora_error *err)
{
    const struct store_rows rows = {sizeof **out, SIZE_MAX, read_row, "look for expired files"};
    enum prilora_status rc;
    void *files;
    sqlite3_stmt *s =
        store_query(store, err,
                    "SELECT " COLUMNS " FROM files WHERE expires_at > 0 AND expires_at <= ?1 AND "
                    "NOT EXISTS (" NEEDED_BY("files.id") ") ORDER BY row",
                    "i", store_now());

    *out = NULL;
    *n = 0;
    if (!s)
        return err->status;
    rc = store_collect(store, s, &rows, &files, n, NULL, err);
    *out = files;
    return rc;
}

static enum prilora_status sweep_expired(struct store *store, struct sweep *sweep,
                                         struct prilora_error *err)
{
    struct file *files;
    size_t n;
    enum prilora_status rc = list_expired(store, &files, &n, err);

    for (size_t i = 0; i < n && rc == PRILORA_OK && !sweep_must_stop(sweep); i++) {
        char name[ID_SIZE + 8];

        snprintf(name, sizeof name, "files/%s", files[i].id);
        if (!sweep->is_dry)
            rc = files_delete(store, files[i].id, err);
        if (rc == PRILORA_OK)
            sweep_tell(sweep, "expired_file", name, "past its time, and no job needs it",
                       files[i].bytes);
        if (rc == PRILORA_EMISMATCH || rc == PRILORA_ENOENT)
            rc = PRILORA_OK; /* a job or a client was quicker */
    }
    files_free_list(files, n);
    return rc;
}

/* The bytes at files/<name>, if they have no row. */
static enum prilora_status sweep_one(struct store *store, int dir, const char *name,
                                     struct sweep *sweep, struct prilora_error *err)
{
    struct file file;
    struct stat st;
    enum prilora_status rc;
    char shown[300];

    pthread_mutex_lock(&moving);
    rc = files_get(store, name, &file, err);
    if (rc == PRILORA_ENOENT) {
        rc = PRILORA_OK;
        snprintf(shown, sizeof shown, "files/%s", name);
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR(st.st_mode))
            ; /* gone, or none of ours */
        else if (!sweep->is_dry && unlinkat(dir, name, 0) != 0)
            rc = error_errno(err, name, "remove the file");
        else
            sweep_tell(sweep, "orphan_file", shown, "has no row", st.st_size);
    }
    pthread_mutex_unlock(&moving);
    file_clear(&file);
    return rc;
}

/* A spool file that an upload has not written to for so long is nobody's. */
static enum prilora_status sweep_spooled(struct store *store, int dir, const char *name,
                                         struct sweep *sweep, struct prilora_error *err)
{
    struct stat st;
    char shown[300];

    (void)store;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
        st.st_mtime > store_now() - SWEEP_STALE_S)
        return PRILORA_OK;
    snprintf(shown, sizeof shown, "uploads/%s", name);
    if (!sweep->is_dry && unlinkat(dir, name, 0) != 0)
        return error_errno(err, shown, "remove the file");
    sweep_tell(sweep, "temporary_file", shown, "not written to for a day", st.st_size);
    return PRILORA_OK;
}

static enum prilora_status
sweep_folder(struct store *store, const char *name,
             enum prilora_status (*one)(struct store *store, int dir, const char *name,
                                        struct sweep *sweep, struct prilora_error *err),
             struct sweep *sweep, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    char *folder = text_format("%s/%s", store_folder(store), name);
    DIR *dir = folder ? opendir(folder) : NULL;
    struct dirent *entry;

    if (!dir)
        rc = folder ? error_errno(err, folder, "read the folder") : error_memory(err);
    while (rc == PRILORA_OK && !sweep_must_stop(sweep) && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            rc = one(store, dirfd(dir), entry->d_name, sweep, err);
    if (dir)
        closedir(dir);
    free(folder);
    return rc;
}

enum prilora_status files_sweep(struct store *store, struct sweep *sweep, struct prilora_error *err)
{
    enum prilora_status rc = sweep_expired(store, sweep, err);

    if (rc == PRILORA_OK)
        rc = sweep_folder(store, "files", sweep_one, sweep, err);
    return rc == PRILORA_OK ? sweep_folder(store, "uploads", sweep_spooled, sweep, err) : rc;
}
