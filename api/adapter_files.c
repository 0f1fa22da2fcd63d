/* adapter_files.c - see adapter_files.h. */
#include "api/adapter_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/error.h"

static bool is_ours(const char *name)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

    return name[0] != '.' && name[strspn(name, letters)] == '\0' && strlen(name) <= 60;
}

/* Puts the name where it belongs; false: out of memory. */
static bool add(struct adapter_files *out, const char *name, uint64_t size)
{
    char *copy = strdup(name);
    size_t i = out->n;

    if (!copy)
        return false;
    for (; i > 0 && strcmp(out->names[i - 1], name) > 0; i--) {
        out->names[i] = out->names[i - 1];
        out->sizes[i] = out->sizes[i - 1];
    }
    out->names[i] = copy;
    out->sizes[i] = size;
    out->n++;
    return true;
}

enum prilora_status adapter_files_read(struct store *store, const struct job *job,
                                       struct adapter_files *out, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    struct dirent *entry;
    struct stat st;
    DIR *dir;

    *out = (struct adapter_files){0};
    if (!job->fine_tuned_model)
        return error_set(err, PRILORA_ENOENT, "job %s has no adapter: it is %s", job->id,
                         job_status_name(job->status));
    out->folder = queue_folder(store, job->id, "adapter");
    dir = out->folder ? opendir(out->folder) : NULL;
    if (!dir)
        return out->folder ? error_errno(err, out->folder, "read the folder") : error_memory(err);
    while (rc == PRILORA_OK && out->n < ADAPTER_MAX_FILES && (entry = readdir(dir))) {
        if (!is_ours(entry->d_name) ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode))
            continue;
        if (!add(out, entry->d_name, (uint64_t)st.st_size))
            rc = error_memory(err);
    }
    closedir(dir);
    return rc;
}

bool adapter_files_are_gone(struct store *store, const struct job *job)
{
    struct prilora_error err;
    struct job now;
    enum prilora_status rc = queue_get(store, job->id, &now, &err);
    bool gone = rc == PRILORA_ENOENT || (rc == PRILORA_OK && !now.fine_tuned_model);

    job_clear(&now);
    return gone;
}

void adapter_files_clear(struct adapter_files *files)
{
    for (size_t i = 0; i < files->n; i++)
        free(files->names[i]);
    free(files->folder);
    *files = (struct adapter_files){0};
}
