/* backup.c - see backup.h. How it becomes one file is not known here. */
#include "daemon/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/error.h"
#include "daemon/log.h"
#include "daemon/path.h"

#define DATABASE "prilorad.db"

/* ---- members ---- */

static enum prilora_status make_room(struct backup *b, struct prilora_error *err)
{
    size_t room = 2 * b->room + 64;
    struct backup_member *more;

    if (b->n < b->room)
        return PRILORA_OK;
    more = reallocarray(b->members, room, sizeof *more);
    if (!more)
        return error_memory(err);
    b->members = more;
    b->room = room;
    return PRILORA_OK;
}

/* Takes both texts. */
static enum prilora_status add_member(struct backup *b, char *name, char *path,
                                      struct prilora_error *err)
{
    struct stat st;
    enum prilora_status rc = name && path ? make_room(b, err) : error_memory(err);

    if (rc == PRILORA_OK && strlen(name) > BACKUP_MAX_NAME)
        rc = error_set(err, PRILORA_ELIMIT, "%s: the name is too long for a backup", name);
    if (rc == PRILORA_OK && stat(path, &st) != 0)
        rc = error_errno(err, path, "look at");
    if (rc != PRILORA_OK) {
        free(name);
        free(path);
        return rc;
    }
    b->members[b->n++] =
        (struct backup_member){name, path, (uint64_t)st.st_size, (int64_t)st.st_mtime};
    return PRILORA_OK;
}

/* Takes the name. */
static enum prilora_status add_missing(struct backup *b, char *name, struct prilora_error *err)
{
    char **more = name ? reallocarray(b->missing, b->n_missing + 1, sizeof *more) : NULL;

    if (!more) {
        free(name);
        return error_memory(err);
    }
    b->missing = more;
    b->missing[b->n_missing++] = name;
    return PRILORA_OK;
}

static enum prilora_status fail_link(const char *path, struct prilora_error *err)
{
    if (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS)
        return error_set(err, PRILORA_EUNSUPPORTED,
                         "%s: the file system of the state folder has no hard links: a backup "
                         "needs them",
                         path);
    if (errno == ENOSPC || errno == EDQUOT)
        return error_set(err, PRILORA_ENOSPC, "%s: the disk is full", path);
    return error_errno(err, path, "link");
}

/* A file of the state folder; takes its name. */
static enum prilora_status add(struct backup *b, struct store *store, char *name, bool required,
                               struct prilora_error *err)
{
    char *from = name ? text_format("%s/%s", store_folder(store), name) : NULL;
    char *to = text_format("%s/%zu", b->folder, b->n);
    enum prilora_status rc = PRILORA_OK;
    bool there = true;

    if (!from || !to) {
        rc = error_memory(err);
    } else if (link(from, to) != 0) {
        there = false;
        if (errno != ENOENT)
            rc = fail_link(from, err);
    }
    free(from);
    if (rc == PRILORA_OK && there)
        return add_member(b, name, to, err);
    free(to);
    if (rc == PRILORA_OK && required)
        return add_missing(b, name, err);
    free(name);
    return rc;
}

/* All regular files of a folder of the state folder; its name stays the caller's. */
static enum prilora_status add_folder(struct backup *b, struct store *store, const char *name,
                                      bool required, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    char *path = text_format("%s/%s", store_folder(store), name);
    DIR *dir = path ? opendir(path) : NULL;
    struct dirent *entry;
    struct stat st;

    if (!path)
        rc = error_memory(err);
    else if (!dir && errno != ENOENT)
        rc = error_errno(err, path, "read the folder");
    else if (!dir && required)
        rc = add_missing(b, strdup(name), err);
    while (dir && rc == PRILORA_OK && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' &&
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode))
            rc = add(b, store, text_format("%s/%s", name, entry->d_name), true, err);
    if (dir)
        closedir(dir);
    free(path);
    return rc;
}

/* ---- what belongs to it ---- */

static enum prilora_status add_file(struct backup *b, struct store *store, sqlite3_stmt *row,
                                    struct prilora_error *err)
{
    const char *name = (const char *)sqlite3_column_text(row, 0);

    return add(b, store, name ? strdup(name) : NULL, true, err);
}

/* What it trains on, what it starts from, and where it stands. */
static enum prilora_status add_open_job(struct backup *b, struct store *store, sqlite3_stmt *row,
                                        struct prilora_error *err)
{
    static const struct {
        const char *name;
        bool required;
    } files[] = {{"train.tokens", true},
                 {"valid.tokens", false},
                 {"mismatched.tokens", false},
                 {"checkpoint", false}};
    const char *id = (const char *)sqlite3_column_text(row, 0);
    char *start = text_format("jobs/%s/start", id);
    enum prilora_status rc = start ? PRILORA_OK : error_memory(err);

    for (size_t i = 0; i < sizeof files / sizeof *files && rc == PRILORA_OK; i++)
        rc = add(b, store, text_format("jobs/%s/%s", id, files[i].name), files[i].required, err);
    if (rc == PRILORA_OK)
        rc = add_folder(b, store, start, false, err);
    free(start);
    return rc;
}

static enum prilora_status add_adapter(struct backup *b, struct store *store, sqlite3_stmt *row,
                                       struct prilora_error *err)
{
    char *name = text_format("jobs/%s/adapter", (const char *)sqlite3_column_text(row, 0));
    enum prilora_status rc = name ? add_folder(b, store, name, true, err) : error_memory(err);

    free(name);
    return rc;
}

/* A job that is being validated has nothing yet that its validation would not make again. */
static const struct {
    const char *sql;
    enum prilora_status (*add)(struct backup *b, struct store *store, sqlite3_stmt *row,
                               struct prilora_error *err);
} kinds[] = {
    {"SELECT 'files/' || id FROM files ORDER BY row", add_file},
    {"SELECT 'parts/' || upload_id || '/' || id FROM upload_parts ORDER BY row", add_file},
    {"SELECT id FROM jobs WHERE status IN ('queued', 'running', 'paused') ORDER BY row",
     add_open_job},
    {"SELECT id FROM jobs WHERE status IN ('succeeded', 'failed', 'cancelled') AND "
     "fine_tuned_model IS NOT NULL ORDER BY row",
     add_adapter},
};

/* In the transaction: rows are written after their bytes and deleted before them, so that the bytes
 * of every row are there. */
static enum prilora_status freeze(struct store *store, void *context, struct prilora_error *err)
{
    struct backup *b = context;
    enum prilora_status rc = PRILORA_OK;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && rc == PRILORA_OK; i++) {
        sqlite3_stmt *s = store_query(store, err, kinds[i].sql, "");
        bool row = true;

        if (!s)
            return err->status;
        while (rc == PRILORA_OK && row) {
            rc = store_step(store, s, &row, "list what is there", err);
            if (rc == PRILORA_OK && row)
                rc = kinds[i].add(b, store, s, err);
        }
        sqlite3_reset(s);
    }
    return rc;
}

/* ---- the whole ---- */

static enum prilora_status make_folder(struct backup *b, struct store *store,
                                       struct prilora_error *err)
{
    b->folder = text_format("%s/backups/XXXXXX", store_folder(store));
    if (!b->folder)
        return error_memory(err);
    if (mkdtemp(b->folder))
        return PRILORA_OK;
    error_errno(err, b->folder, "make the folder");
    free(b->folder);
    b->folder = NULL; /* nothing to remove */
    return err->status;
}

/* The database has the first place; it is copied last. */
static enum prilora_status fill(struct backup *b, struct store *store, struct prilora_error *err)
{
    char *path = text_format("%s/" DATABASE, b->folder);
    struct stat st;
    enum prilora_status rc = path ? make_room(b, err) : error_memory(err);

    if (rc != PRILORA_OK) {
        free(path);
        return rc;
    }
    b->members[b->n++] = (struct backup_member){strdup(DATABASE), path, 0, b->created_at};
    if (!b->members[0].name)
        return error_memory(err);
    rc = store_freeze(store, path, freeze, b, err);
    if (rc == PRILORA_OK && stat(path, &st) != 0)
        rc = error_errno(err, path, "look at");
    if (rc == PRILORA_OK)
        b->members[0].bytes = (uint64_t)st.st_size;
    return rc;
}

enum prilora_status backup_open(struct backup **out, struct store *store, struct prilora_error *err)
{
    struct backup *b = calloc(1, sizeof *b);
    enum prilora_status rc;

    *out = NULL;
    if (!b)
        return error_memory(err);
    b->created_at = store_now();
    rc = make_folder(b, store, err);
    if (rc == PRILORA_OK)
        rc = fill(b, store, err);
    if (rc != PRILORA_OK) {
        backup_close(b);
        return rc;
    }
    for (size_t i = 0; i < b->n_missing; i++)
        log_warn("backup", "%s: is not there, and not in the backup", b->missing[i]);
    *out = b;
    return PRILORA_OK;
}

void backup_close(struct backup *backup)
{
    struct prilora_error err;

    if (!backup)
        return;
    if (backup->folder && path_remove(backup->folder, &err) != PRILORA_OK)
        log_warn("backup", "%s", err.message); /* the next start tries again */
    for (size_t i = 0; i < backup->n; i++) {
        free(backup->members[i].name);
        free(backup->members[i].path);
    }
    for (size_t i = 0; i < backup->n_missing; i++)
        free(backup->missing[i]);
    free(backup->members);
    free(backup->missing);
    free(backup->folder);
    free(backup);
}
