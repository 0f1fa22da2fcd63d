/*
 * pull_place.c - where a pulled model comes to stand. While it comes it is
 * <parent>/.<name>.pull-<commit>, locked by whoever pulls; its .pull.json says
 * afterwards what it is. The exchange of two names is one step for whoever looks.
 */
#include "daemon/pull_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "daemon/json_memory.h"
#include "daemon/error.h"
#include "daemon/path.h"

#define RECORD        ".pull.json"
#define COMMIT_TAIL   12                   /* letters of the commit in the work folder's name */
#define ROOM_TO_LEAVE ((uint64_t)64 << 20) /* bytes of the disk that others need */
#define GIB           ((double)(1 << 30))

static const char *name_of(const struct pull *pull)
{
    return strrchr(pull->folder, '/') + 1;
}

enum prilora_status pull_place_find(struct pull *pull, struct prilora_error *err)
{
    const struct pull_request *request = pull->request;
    size_t n;
    char *slash;

    pull->folder = request->folder
                       ? text_format("%s%s", request->folder[0] == '/' ? "" : "./", request->folder)
                       : text_format("%s%s/%s", request->models_dir[0] == '/' ? "" : "./",
                                     request->models_dir, request->model);
    if (!pull->folder)
        return error_memory(err);
    n = strlen(pull->folder);
    while (n > 2 && pull->folder[n - 1] == '/')
        pull->folder[--n] = '\0';
    slash = strrchr(pull->folder, '/');
    if (!slash[1] || slash[1] == '.')
        return pull_fail(pull, PRILORA_EINVAL, "storage_error", err,
                         "\"%s\": no folder that a model could become", pull->folder);
    pull->parent =
        slash == pull->folder ? strdup("/") : strndup(pull->folder, slash - pull->folder);
    return pull->parent ? PRILORA_OK : error_memory(err);
}

/* ---- what is there ---- */

static json_t *read_record(const struct pull *pull)
{
    char *path = text_format("%s/" RECORD, pull->folder);
    int fd = path ? path_open_regular(path) : -1;
    json_t *record = fd >= 0 ? json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL) : NULL;

    if (fd >= 0)
        close(fd);
    free(path);
    return record;
}

static bool has_size(const struct pull *pull, const char *name, uint64_t bytes)
{
    struct stat st;
    char *path = text_format("%s/%s", pull->folder, name);
    bool right = path && !strchr(name, '/') && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
                 (uint64_t)st.st_size == bytes;

    free(path);
    return right;
}

/* The record's files become the pull's own: shards are known without the index then. */
static bool is_recorded(struct pull *pull)
{
    json_t *record = read_record(pull), *files = json_object_get(record, "files"), *bytes;
    const char *commit = json_string_value(json_object_get(record, "commit")), *name;
    bool done = commit && strcmp(commit, pull->result->commit) == 0;
    struct pull_file *found = done ? calloc(PULL_MAX_FILES, sizeof *found) : NULL;
    size_t n = 0;

    done = found != NULL && json_object_size(files) > 0;
    json_object_foreach (files, name, bytes) {
        uint64_t size = (uint64_t)json_integer_value(bytes);

        done = done && n < PULL_MAX_FILES && strlen(name) < PULL_MAX_NAME &&
               has_size(pull, name, size);
        if (!done)
            break;
        found[n] = (struct pull_file){.bytes = size, .total_bytes = size, .is_whole = true};
        snprintf(found[n++].name, PULL_MAX_NAME, "%s", name);
    }
    if (done) {
        memcpy(pull->files, found, n * sizeof *found);
        pull->n_files = n;
    }
    free(found);
    json_decref(record);
    return done;
}

static enum prilora_status compare(struct pull *pull, struct pull_file *file, bool *same,
                                   struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    char *path = text_format("%s/%s", pull->folder, file->name);

    *same = false;
    if (!path)
        return error_memory(err);
    if (file->total_bytes && (file->sha256[0] || file->blob[0]))
        rc = pull_verify(pull, path, file, same, err);
    free(path);
    return rc;
}

/* However the files came: by hand, or by a pull of a commit that left them as they were. */
enum prilora_status pull_place_is_done(struct pull *pull, bool *done, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    size_t i;

    *done = is_recorded(pull);
    if (*done)
        return PRILORA_OK;
    *done = true;
    for (i = 0; i < pull->n_files && rc == PRILORA_OK && *done; i++) {
        rc = compare(pull, &pull->files[i], done, err);
        if (rc == PRILORA_OK && *done && i + 1 == pull->n_files)
            rc = pull_choose_shards(pull, pull->folder, err); /* adds files, the first time */
    }
    for (i = 0; i < pull->n_files && *done; i++)
        pull->files[i].bytes = pull->files[i].total_bytes;
    return rc;
}

/*
 * What may be exchanged for the new folder: nothing, what an earlier pull made, or - by force -
 * plain files. A folder with folders in it is an owner's, with models of his.
 */
static enum prilora_status check_old(struct pull *pull, bool *exists, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    json_t *record = read_record(pull);
    bool is_ours = json_is_object(record);
    struct dirent *entry;
    struct stat st;
    DIR *dir = opendir(pull->folder);

    json_decref(record);
    *exists = dir || errno != ENOENT;
    if (!dir && *exists)
        return pull_fail(pull, PRILORA_EIO, "storage_error", err, "%s: not replaced: %s",
                         pull->folder, strerrordesc_np(errno));
    while (dir && rc == PRILORA_OK && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISDIR(st.st_mode))
            rc = pull_fail(pull, PRILORA_EIO, "model_exists", err,
                           "%s: not replaced, for there are folders in it (%.100s)", pull->folder,
                           entry->d_name);
    }
    if (dir)
        closedir(dir);
    if (rc == PRILORA_OK && *exists && !is_ours && !pull->request->force)
        rc = pull_fail(pull, PRILORA_EIO, "model_exists", err,
                       "%s: a folder is there that was not pulled; \"force\" replaces it",
                       pull->folder);
    return rc;
}

/* ---- the work folder ---- */

/* Takes the lock of one work folder; false: somebody else is at work there, or it is gone. */
static bool lock_folder(const char *path, int *fd)
{
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (*fd >= 0 && flock(*fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return false;
}

static void remove_unlocked(const char *path)
{
    int fd;

    if (!lock_folder(path, &fd))
        return;
    path_remove(path, NULL);
    close(fd);
}

/* What pulls of other commits have left. */
static void remove_others(const struct pull *pull)
{
    char *prefix = text_format(".%s.pull-", name_of(pull));
    struct dirent *entry;
    DIR *dir = opendir(pull->parent);

    while (prefix && dir && (entry = readdir(dir))) {
        char *path;

        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
            continue;
        path = text_format("%s/%s", pull->parent, entry->d_name);
        if (path && strcmp(path, pull->work) != 0)
            remove_unlocked(path);
        free(path);
    }
    if (dir)
        closedir(dir);
    free(prefix);
}

static enum prilora_status make_work(struct pull *pull, struct prilora_error *err)
{
    struct prilora_error what;
    enum prilora_status rc;

    pull->made_parent = access(pull->parent, F_OK) != 0;
    rc = path_make_folder(pull->parent, &what);
    if (rc == PRILORA_OK && mkdir(pull->work, 0755) != 0 && errno != EEXIST)
        rc = error_errno(&what, pull->work, "make the folder");
    if (rc != PRILORA_OK)
        return pull_fail(pull, rc, "storage_error", err,
                         "models cannot be brought into this folder of models: %s", what.message);
    if (!lock_folder(pull->work, &pull->lock))
        return pull_fail(pull, PRILORA_EIO, "pull_in_progress", err,
                         "%s: another process is pulling this model", pull->work);
    return PRILORA_OK;
}

enum prilora_status pull_place_open(struct pull *pull, struct prilora_error *err)
{
    bool exists;
    enum prilora_status rc;

    pull->work = text_format("%s/.%s.pull-%.*s", pull->parent, name_of(pull), COMMIT_TAIL,
                             pull->result->commit);
    if (!pull->work)
        return error_memory(err);
    rc = check_old(pull, &exists, err);
    if (rc == PRILORA_OK)
        rc = make_work(pull, err);
    if (rc == PRILORA_OK) {
        remove_others(pull);
        if (pull->request->force)
            rc = path_empty(pull->work, NULL, err);
    }
    return rc;
}

/* config.json is always a new file: by it others see that the model is another one. */
enum prilora_status pull_place_reuse(struct pull *pull, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    for (size_t i = 0; i < pull->n_files && rc == PRILORA_OK; i++) {
        struct pull_file *file = &pull->files[i];
        char *old = text_format("%s/%s", pull->folder, file->name);
        char *new = text_format("%s/%s", pull->work, file->name);
        bool same = false;

        if (!old || !new)
            rc = error_memory(err);
        else if (!file->is_whole && strcmp(file->name, "config.json") != 0)
            rc = compare(pull, file, &same, err);
        if (same && (unlink(new) == 0 || errno == ENOENT) &&
            linkat(AT_FDCWD, old, AT_FDCWD, new, AT_SYMLINK_FOLLOW) == 0) {
            file->bytes = file->total_bytes;
            file->is_whole = true;
        }
        free(old);
        free(new);
    }
    return rc;
}

enum prilora_status pull_place_check_room(struct pull *pull, struct prilora_error *err)
{
    uint64_t total = 0, missing = 0, room;
    struct statvfs fs;

    for (size_t i = 0; i < pull->n_files; i++) {
        const struct pull_file *file = &pull->files[i];
        char *part = text_format("%s/%s.part", pull->work, file->name);
        struct stat st = {0};

        total += file->total_bytes;
        if (part && !file->is_whole &&
            (stat(part, &st) != 0 || (uint64_t)st.st_size <= file->total_bytes))
            missing += file->total_bytes - (uint64_t)st.st_size;
        free(part);
    }
    if (pull->request->max_bytes && total > pull->request->max_bytes)
        return pull_fail(pull, PRILORA_ELIMIT, "too_large", err,
                         "%s has %.2f GiB, but at most %.2f GiB are pulled (hub.max_gb)",
                         pull->request->model, (double)total / GIB,
                         (double)pull->request->max_bytes / GIB);
    if (statvfs(pull->work, &fs) != 0)
        return error_errno(err, pull->work, "look at the disk of");
    room = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (missing + ROOM_TO_LEAVE > room)
        return pull_fail(pull, PRILORA_ELIMIT, "no_space", err,
                         "%s: %.2f GiB are still to come, but the disk has room for %.2f GiB",
                         pull->parent, (double)missing / GIB, (double)room / GIB);
    return PRILORA_OK;
}

/* ---- the end ---- */

static enum prilora_status write_record(struct pull *pull, struct prilora_error *err)
{
    const struct pull_request *request = pull->request;
    json_t *files = json_object(), *record;
    char *path = text_format("%s/" RECORD, pull->work), *text;
    enum prilora_status rc;

    for (size_t i = 0; i < pull->n_files; i++)
        json_object_set_new(files, pull->files[i].name,
                            json_integer((json_int_t)pull->files[i].total_bytes));
    record = json_pack("{s:s, s:s, s:s, s:s, s:o}", "endpoint", request->endpoint, "model",
                       request->model, "revision", request->revision, "commit",
                       pull->result->commit, "files", files);
    text = record ? json_whole_text(record, JSON_INDENT(2)) : NULL;
    rc = path && text ? path_replace(path, text, err) : error_memory(err);
    json_decref(record);
    free(text);
    free(path);
    return rc;
}

/* Leftovers of what an earlier pull of this commit wanted. */
static void remove_strangers(struct pull *pull)
{
    struct dirent *entry;
    DIR *dir = opendir(pull->work);

    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' && !pull_find(pull, entry->d_name))
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
}

static enum prilora_status check_loads(struct pull *pull, struct prilora_error *err)
{
    struct prilora_base *base;
    struct prilora_error what;
    enum prilora_status rc = prilora_base_open(&base, pull->work, &what);

    prilora_base_close(base);
    if (rc == PRILORA_OK)
        return PRILORA_OK;
    return pull_fail(pull, error_is_machines(rc) ? rc : PRILORA_EUNSUPPORTED, "unsupported_model",
                     err, "%s is there, but cannot be used: %s", pull->request->model,
                     what.message);
}

/* File systems that cannot exchange get two renames; the old folder then stands in for the new one
 * if the second one fails. */
static enum prilora_status exchange(struct pull *pull, struct prilora_error *err)
{
    char *aside;
    enum prilora_status rc = PRILORA_OK;

    if (renameat2(AT_FDCWD, pull->work, AT_FDCWD, pull->folder, RENAME_EXCHANGE) == 0)
        return PRILORA_OK; /* what was there goes with the work folder */
    aside = text_format("%s/.%s.replaced", pull->parent, name_of(pull));
    if (!aside)
        return error_memory(err);
    rc = path_remove(aside, err);
    if (rc == PRILORA_OK && rename(pull->folder, aside) != 0)
        rc = error_errno(err, pull->folder, "move aside");
    else if (rc == PRILORA_OK && rename(pull->work, pull->folder) != 0) {
        rc = error_errno(err, pull->folder, "rename into place");
        rename(aside, pull->folder);
    }
    if (rc == PRILORA_OK)
        path_remove(aside, NULL);
    free(aside);
    return rc;
}

enum prilora_status pull_place_commit(struct pull *pull, struct prilora_error *err)
{
    bool exists;
    enum prilora_status rc;

    remove_strangers(pull);
    rc = check_loads(pull, err);
    if (rc == PRILORA_OK)
        rc = write_record(pull, err);
    if (rc == PRILORA_OK)
        rc = path_sync_folder(pull->work, err);
    if (rc == PRILORA_OK)
        rc = check_old(pull, &exists, err);
    if (rc == PRILORA_OK && exists)
        rc = exchange(pull, err);
    else if (rc == PRILORA_OK && rename(pull->work, pull->folder) != 0)
        rc = error_errno(err, pull->folder, "rename into place");
    return rc == PRILORA_OK ? path_sync_folder(pull->parent, err) : rc;
}

void pull_place_close(struct pull *pull, bool keep)
{
    if (pull->lock < 0)
        return;
    if (!keep)
        path_remove(pull->work, NULL);
    close(pull->lock);
    if (pull->made_parent)
        rmdir(pull->parent); /* if nothing has come into it */
}
