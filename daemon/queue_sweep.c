/* queue_sweep.c - what jobs leave behind, and jobs that are kept no longer; see queue.h. */
#include "daemon/queue.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/error.h"
#include "daemon/log.h"
#include "daemon/path.h"

/* ---- jobs ---- */

static enum prilora_status read_id(sqlite3_stmt *row, void *out, struct prilora_error *err)
{
    (void)err;
    snprintf(out, ID_SIZE, "%s", (const char *)sqlite3_column_text(row, 0));
    return PRILORA_OK;
}

static bool is_old(const struct sweep *sweep, const struct job *job)
{
    return sweep->keep_jobs_s > 0 && job->status >= JOB_SUCCEEDED && job->finished_at > 0 &&
           job->finished_at <= store_now() - sweep->keep_jobs_s;
}

static enum prilora_status remove_job(struct store *store, const char *id, struct sweep *sweep,
                                      struct prilora_error *err)
{
    char name[ID_SIZE + 8];
    char *folder = queue_folder(store, id, NULL);
    int64_t bytes = folder ? (int64_t)path_tree_bytes(folder, NULL) : 0;
    enum prilora_status rc = sweep->is_dry ? PRILORA_OK : queue_delete(store, id, err);

    free(folder);
    snprintf(name, sizeof name, "jobs/%s", id);
    if (rc == PRILORA_OK)
        sweep_tell(sweep, "job", name, "over for longer than storage.keep_jobs_days", bytes);
    return rc == PRILORA_EMISMATCH || rc == PRILORA_ENOENT ? PRILORA_OK : rc; /* a client came */
}

enum prilora_status queue_sweep_old(struct store *store, struct sweep *sweep,
                                    struct prilora_error *err)
{
    const struct store_rows rows = {ID_SIZE, SIZE_MAX, read_id, "look for old jobs"};
    enum prilora_status rc;
    void *list = NULL;
    size_t n = 0;
    sqlite3_stmt *s;

    if (sweep->keep_jobs_s == 0)
        return PRILORA_OK;
    s = store_query(store, err,
                    "SELECT id FROM jobs WHERE status IN ('succeeded', 'failed', 'cancelled') AND "
                    "finished_at > 0 AND finished_at <= ? AND NOT EXISTS (SELECT 1 FROM jobs AS "
                    "reader WHERE reader.status = 'validating_files' AND reader.start_from = "
                    "jobs.fine_tuned_model) AND NOT EXISTS (SELECT 1 FROM jobs AS other WHERE "
                    "other.experiment_id = jobs.experiment_id AND +other.status NOT IN "
                    "('succeeded', 'failed', 'cancelled')) ORDER BY row",
                    "i", store_now() - sweep->keep_jobs_s);
    if (!s)
        return err->status;
    rc = store_collect(store, s, &rows, &list, &n, NULL, err);
    for (size_t i = 0; i < n && rc == PRILORA_OK && !sweep_must_stop(sweep); i++)
        rc = remove_job(store, (const char *)list + i * ID_SIZE, sweep, err);
    free(list);
    return rc;
}

/* ---- folders ---- */

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names && strcmp(name, *names) != 0)
        names++;
    return *names;
}

/* Of a job that is over. */
static bool is_left(const struct job *job, const char *name, struct sweep_item *item)
{
    if (strcmp(name, "adapter") == 0) {
        item->kind = "adapter";
        item->why = "no model stands for it";
        return !job->fine_tuned_model;
    }
    item->kind = strcmp(name, "checkpoint") == 0 ? "checkpoint" : "job_data";
    item->why = "the job is over";
    return true;
}

/* Of a job that is not: a file that is not what it is called until it is whole, and is not written
 * to any more. */
static bool is_stale(const char *path, const char *name, struct sweep_item *item)
{
    static const char *const names[] = {"train.tokens",
                                        "valid.tokens",
                                        "mismatched.tokens",
                                        "checkpoint",
                                        "start",
                                        "adapter",
                                        NULL};
    int64_t newest;

    if (is_one_of(name, names))
        return false;
    item->kind = "temporary_file";
    item->why = "not written to for a day";
    path_tree_bytes(path, &newest);
    return newest <= store_now() - SWEEP_STALE_S;
}

static enum prilora_status sweep_entry(const struct job *job, const char *folder, const char *name,
                                       struct sweep *sweep, struct prilora_error *err)
{
    char *path = text_format("%s/%s", folder, name);
    char *shown = text_format("jobs/%s/%s", job->id, name);
    struct sweep_item item = {.name = shown};
    enum prilora_status rc = PRILORA_OK;

    if (!path || !shown)
        rc = error_memory(err);
    else if (job->status >= JOB_SUCCEEDED ? is_left(job, name, &item) : is_stale(path, name, &item))
        rc = sweep_tree(sweep, path, &item, err);
    free(path);
    free(shown);
    return rc;
}

static enum prilora_status sweep_inside(const struct job *job, const char *folder,
                                        struct sweep *sweep, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    struct dirent *entry;
    DIR *dir = opendir(folder);

    if (!dir)
        return errno == ENOENT ? PRILORA_OK : error_errno(err, folder, "read the folder");
    while (rc == PRILORA_OK && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = sweep_entry(job, folder, entry->d_name, sweep, err);
    closedir(dir);
    if (!sweep->is_dry && job->status >= JOB_SUCCEEDED && !job->fine_tuned_model)
        rmdir(folder); /* empty now */
    return rc;
}

static enum prilora_status sweep_orphan(const char *folder, const char *id, struct sweep *sweep,
                                        struct prilora_error *err)
{
    char shown[300];

    snprintf(shown, sizeof shown, "jobs/%s", id);
    return sweep_tree(
        sweep, folder,
        &(struct sweep_item){.kind = "orphan_job", .name = shown, .why = "there is no such job"},
        err);
}

/* One that cannot be removed keeps none of the others. */
static void sweep_folder(struct store *store, const char *id, struct sweep *sweep)
{
    struct prilora_error err = {0};
    struct job job;
    char *folder = queue_folder(store, id, NULL);
    enum prilora_status rc;

    if (!folder)
        return;
    rc = queue_get(store, id, &job, &err);
    if (rc == PRILORA_ENOENT)
        rc = sweep_orphan(folder, id, sweep, &err);
    else if (rc == PRILORA_OK && !is_old(sweep, &job) &&
             (job.status >= JOB_SUCCEEDED || sweep->depth >= SWEEP_ALL))
        rc = sweep_inside(&job, folder, sweep, &err);
    if (rc != PRILORA_OK)
        log_warn("queue", "%s", err.message);
    job_clear(&job);
    free(folder);
}

enum prilora_status queue_sweep(struct store *store, struct sweep *sweep, struct prilora_error *err)
{
    char *path = text_format("%s/jobs", store_folder(store));
    DIR *dir = path ? opendir(path) : NULL;
    enum prilora_status rc = PRILORA_OK;
    struct dirent *entry;

    if (!dir)
        rc = path ? error_errno(err, path, "read the folder") : error_memory(err);
    while (dir && !sweep_must_stop(sweep) && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            sweep_folder(store, entry->d_name, sweep);
    if (dir)
        closedir(dir);
    free(path);
    return rc;
}
