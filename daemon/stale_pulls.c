/* stale_pulls.c - see stale_pulls.h; the folders are pull_place.c's: ".NAME.pull-COMMIT", locked
 * while somebody works in them. */
#include "daemon/stale_pulls.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "daemon/error.h"
#include "daemon/path.h"

#define MARK        ".pull-"
#define COMMIT_TAIL 12

static bool is_work(const char *name)
{
    size_t n = strlen(name), tail = strlen(MARK) + COMMIT_TAIL;
    const char *mark = n > tail + 1 ? name + n - tail : NULL;

    return name[0] == '.' && mark && strncmp(mark, MARK, strlen(MARK)) == 0 &&
           strspn(mark + strlen(MARK), "0123456789abcdef") == COMMIT_TAIL;
}

static enum prilora_status sweep_work(const char *path, struct sweep *sweep,
                                      struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int64_t newest;

    if (fd < 0)
        return PRILORA_OK;
    path_tree_bytes(path, &newest);
    if (newest <= store_now() - SWEEP_STALE_PULL_S && flock(fd, LOCK_EX | LOCK_NB) == 0)
        rc = sweep_tree(sweep, path,
                        &(struct sweep_item){.kind = "pull",
                                             .name = path,
                                             .why = "broken off, and not gone on with for a week"},
                        err);
    close(fd);
    return rc;
}

/* `levels` of folders below this one are looked into. */
static enum prilora_status sweep_folder(const char *folder, int levels, struct sweep *sweep,
                                        struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    struct dirent *entry;
    DIR *dir = opendir(folder);

    while (dir && rc == PRILORA_OK && !sweep_must_stop(sweep) && (entry = readdir(dir))) {
        bool work = is_work(entry->d_name);
        char *path;

        if (!work && (levels == 0 || entry->d_name[0] == '.' || entry->d_type != DT_DIR))
            continue;
        path = text_format("%s/%s", folder, entry->d_name);
        if (!path)
            rc = error_memory(err);
        else
            rc = work ? sweep_work(path, sweep, err) : sweep_folder(path, levels - 1, sweep, err);
        free(path);
    }
    if (dir)
        closedir(dir);
    return rc;
}

enum prilora_status stale_pulls_sweep(const char *models_dirs, struct sweep *sweep,
                                      struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    while (rc == PRILORA_OK && *models_dirs) {
        size_t n = strcspn(models_dirs, ":");
        char *folder = strndup(models_dirs, n);

        rc = folder ? sweep_folder(folder, 1, sweep, err) : error_memory(err);
        free(folder);
        models_dirs += n + (models_dirs[n] == ':');
    }
    return rc;
}
