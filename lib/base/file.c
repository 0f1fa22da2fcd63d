/* file.c - see file.h. */
#include "base/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/pulse.h"

/* Opens a regular file and tells what it is; -1 with *err filled otherwise. */
static int open_regular(const char *path, struct stat *st, enum prilora_status *rc,
                        struct prilora_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, st) != 0) {
        *rc = pl_fail_errno(err, path, "open");
    } else if (!S_ISREG(st->st_mode)) {
        *rc = pl_fail(err, PRILORA_EFORMAT, "%s: not a regular file", path);
    } else {
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

enum prilora_status pl_file_map(struct pl_file_map *out, const char *path,
                                struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    struct stat st;
    void *data;
    int fd;

    *out = (struct pl_file_map){0};
    fd = open_regular(path, &st, &rc, err);
    if (fd < 0)
        return rc;
    if (st.st_size == 0) {
        close(fd);
        return PRILORA_OK;
    }
    data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) {
        rc = pl_fail_errno(err, path, "map");
        close(fd);
        return rc;
    }
    *out = (struct pl_file_map){
        .data = data,
        .size = (size_t)st.st_size,
        .fd = fd,
        .path = pl_strdup(path),
        .modified = st.st_mtim,
        .guard = pl_guard_add(data, (size_t)st.st_size),
    };
    if (out->path && out->guard)
        return PRILORA_OK;
    pl_file_unmap(out);
    return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
}

enum prilora_status pl_file_map_check(const struct pl_file_map *map, struct prilora_error *err)
{
    struct stat st;

    if (!map->data)
        return PRILORA_OK;
    if (fstat(map->fd, &st) != 0)
        return pl_fail_errno(err, map->path, "look at");
    if ((size_t)st.st_size != map->size || st.st_mtim.tv_sec != map->modified.tv_sec ||
        st.st_mtim.tv_nsec != map->modified.tv_nsec)
        return pl_fail(err, PRILORA_EFORMAT, "%s: the file was changed while it was read",
                       map->path);
    if (pl_guard_is_hurt(map->guard))
        return pl_fail(err, PRILORA_EIO, "%s: the disk did not give all of it", map->path);
    return PRILORA_OK;
}

void pl_file_unmap(struct pl_file_map *map)
{
    if (map->data) {
        pl_guard_remove(map->guard);
        munmap((void *)(uintptr_t)map->data, map->size);
        close(map->fd);
        free(map->path);
    }
    *map = (struct pl_file_map){0};
}

enum prilora_status pl_file_map_end(struct pl_file_map *map, enum prilora_status rc,
                                    struct prilora_error *err)
{
    struct prilora_error changed;
    bool counts = rc != PRILORA_ENOMEM && rc != PRILORA_ESTOPPED;

    if (counts && pl_file_map_check(map, &changed) != PRILORA_OK)
        rc = pl_fail(err, changed.status, "%s", changed.message);
    pl_file_unmap(map);
    return rc;
}

void pl_file_fetch(const struct pl_file_map *map, void *out, size_t at, size_t size)
{
    size_t got = 0;

    assert(at <= map->size && size <= map->size - at);
    while (got < size) {
        ssize_t n = pread(map->fd, (char *)out + got, size - got, (off_t)(at + got));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        got += (size_t)n;
        pl_pulse_beat();
    }
    if (got < size)
        memcpy((char *)out + got, map->data + at + got, size - got);
}

static enum prilora_status read_all(int fd, char *data, size_t size, const char *path,
                                    struct prilora_error *err)
{
    size_t got = 0;

    while (got < size) {
        ssize_t n = read(fd, data + got, size - got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return pl_fail_errno(err, path, "read");
        if (n == 0)
            return pl_fail(err, PRILORA_EIO, "%s: ended after %zu of %zu bytes", path, got, size);
        got += (size_t)n;
        pl_pulse_beat();
    }
    return PRILORA_OK;
}

enum prilora_status pl_file_read(char **out, size_t *size, const char *path, size_t limit,
                                 struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    struct stat st;
    char *data = NULL;
    int fd;

    *out = NULL;
    *size = 0;
    fd = open_regular(path, &st, &rc, err);
    if (fd < 0)
        return rc;
    *size = (size_t)st.st_size;
    if (*size > limit) {
        rc = pl_fail(err, PRILORA_ELIMIT, "%s: %zu bytes, but at most %zu are read", path, *size,
                     limit);
        goto out;
    }
    data = pl_alloc(*size + 1, 1);
    if (!data) {
        rc = pl_fail(err, PRILORA_ENOMEM, "%s: no memory for %zu bytes", path, *size);
        goto out;
    }
    rc = read_all(fd, data, *size, path, err);
    if (rc != PRILORA_OK)
        goto out;
    data[*size] = '\0';
    *out = data;
    data = NULL;
out:
    close(fd);
    free(data);
    return rc;
}

/* The folder that holds `path`, malloc'ed. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder;

    if (!slash)
        return pl_strdup(".");
    folder = pl_strdup(slash == path ? "/" : path);
    if (folder && slash != path)
        folder[slash - path] = '\0';
    return folder;
}

enum prilora_status pl_file_sync_folder(const char *path, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return pl_fail_errno(err, path, "open");
    if (fsync(fd) != 0)
        rc = pl_fail_errno(err, path, "sync");
    close(fd);
    return rc;
}

/* Flushes, syncs and closes; takes ownership of `file`. */
static enum prilora_status finish(FILE *file, const char *path, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    errno = 0; /* what an earlier write failed with may be forgotten by now */
    if (fflush(file) != 0 || ferror(file) || fsync(fileno(file)) != 0)
        rc = pl_fail_errno(err, path, "write");
    if (fclose(file) != 0 && rc == PRILORA_OK)
        rc = pl_fail_errno(err, path, "close");
    return rc;
}

enum prilora_status pl_file_replace(const char *path,
                                    enum prilora_status (*write)(FILE *file, void *context,
                                                                 struct prilora_error *err),
                                    void *context, struct prilora_error *err)
{
    enum prilora_status rc, closed;
    size_t room = strlen(path) + sizeof ".XXXXXX";
    char *temporary = pl_alloc(room, 1), *folder = folder_of(path);
    FILE *file = NULL;
    int fd = -1;

    if (!temporary || !folder) {
        rc = pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
        goto out;
    }
    snprintf(temporary, room, "%s.XXXXXX", path);
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0 || fchmod(fd, 0644) != 0 || !(file = fdopen(fd, "wb"))) {
        rc = pl_fail_errno(err, path, "create a temporary file for");
        if (fd >= 0) {
            close(fd);
            unlink(temporary);
        }
        goto out;
    }
    rc = write(file, context, err);
    closed = finish(file, path, rc == PRILORA_OK ? err : NULL);
    if (rc == PRILORA_OK)
        rc = closed;
    if (rc == PRILORA_OK && rename(temporary, path) != 0)
        rc = pl_fail_errno(err, path, "rename into place");
    if (rc != PRILORA_OK)
        unlink(temporary);
    else
        rc = pl_file_sync_folder(folder, err);
out:
    free(temporary);
    free(folder);
    return rc;
}

enum prilora_status pl_file_write(FILE *file, const void *data, size_t size, const char *path,
                                  struct prilora_error *err)
{
    if (size && fwrite(data, 1, size, file) != size)
        return pl_fail_errno(err, path, "write");
    pl_pulse_beat();
    return PRILORA_OK;
}

struct bytes {
    const void *data;
    size_t size;
    const char *path;
};

static enum prilora_status write_bytes(FILE *file, void *context, struct prilora_error *err)
{
    struct bytes *bytes = context;

    return pl_file_write(file, bytes->data, bytes->size, bytes->path, err);
}

enum prilora_status pl_file_replace_bytes(const char *path, const void *data, size_t size,
                                          struct prilora_error *err)
{
    struct bytes bytes = {data, size, path};

    return pl_file_replace(path, write_bytes, &bytes, err);
}

/* On disk for good. A folder that is there already will do; anything else of that name will not. */
static enum prilora_status make_one_folder(const char *path, struct prilora_error *err)
{
    struct stat st;
    char *folder;
    enum prilora_status rc;

    if (mkdir(path, 0777) == 0) {
        folder = folder_of(path);
        rc = folder ? pl_file_sync_folder(folder, err)
                    : pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
        free(folder);
        return rc;
    }
    if (errno != EEXIST)
        return pl_fail_errno(err, path, "make the folder");
    if (stat(path, &st) != 0)
        return pl_fail_errno(err, path, "open");
    if (!S_ISDIR(st.st_mode))
        return pl_fail(err, PRILORA_EIO, "%s: is there, but not as a folder", path);
    return PRILORA_OK;
}

enum prilora_status pl_file_make_folder(const char *path, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    char *copy = pl_strdup(path);

    if (!copy)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
    for (char *p = copy; rc == PRILORA_OK && *p; p++) {
        if (*p != '/' || p == copy)
            continue;
        *p = '\0';
        rc = make_one_folder(copy, err);
        *p = '/';
    }
    if (rc == PRILORA_OK)
        rc = make_one_folder(copy, err);
    free(copy);
    return rc;
}

char *pl_file_join(const char *folder, const char *name)
{
    size_t room = strlen(folder) + strlen(name) + 2;
    char *path = pl_alloc(room, 1);

    if (path)
        snprintf(path, room, "%s/%s", folder, name);
    return path;
}
