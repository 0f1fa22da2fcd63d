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

static enum prilora_status fail_errno(struct prilora_error *err, const char *path, const char *what)
{
    int code = errno;
    char room[128];

    /* the GNU variant: the text is what it returns, in `room` or elsewhere */
    return pl_fail(err, code == ENOENT ? PRILORA_ENOENT : PRILORA_EIO, "%s: cannot %s: %s", path,
                   what, strerror_r(code, room, sizeof room));
}

/* Opens a regular file and tells its size; -1 with *err filled otherwise. */
static int open_regular(const char *path, size_t *size, enum prilora_status *rc,
                        struct prilora_error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &st) != 0) {
        *rc = fail_errno(err, path, "open");
    } else if (!S_ISREG(st.st_mode)) {
        *rc = pl_fail(err, PRILORA_EFORMAT, "%s: not a regular file", path);
    } else {
        *size = (size_t)st.st_size;
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
    size_t size = 0;
    void *data = NULL;
    int fd;

    *out = (struct pl_file_map){0};
    fd = open_regular(path, &size, &rc, err);
    if (fd < 0)
        return rc;
    if (!size)
        goto out;
    data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) {
        rc = fail_errno(err, path, "map");
        goto out;
    }
    *out = (struct pl_file_map){data, size, fd};
    return PRILORA_OK;
out:
    close(fd);
    return rc;
}

void pl_file_unmap(struct pl_file_map *map)
{
    if (map->data) {
        munmap((void *)(uintptr_t)map->data, map->size);
        close(map->fd);
    }
    *map = (struct pl_file_map){0};
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
            return fail_errno(err, path, "read");
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
    char *data = NULL;
    int fd;

    *out = NULL;
    *size = 0;
    fd = open_regular(path, size, &rc, err);
    if (fd < 0)
        return rc;
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
        return fail_errno(err, path, "open");
    if (fsync(fd) != 0)
        rc = fail_errno(err, path, "sync");
    close(fd);
    return rc;
}

/* Flushes, syncs and closes; takes ownership of `file`. */
static enum prilora_status finish(FILE *file, const char *path, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    if (fflush(file) != 0 || ferror(file) || fsync(fileno(file)) != 0)
        rc = fail_errno(err, path, "write");
    if (fclose(file) != 0 && rc == PRILORA_OK)
        rc = fail_errno(err, path, "close");
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
        rc = fail_errno(err, path, "create a temporary file for");
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
        rc = fail_errno(err, path, "rename into place");
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
        return fail_errno(err, path, "write");
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

/* A folder that is there already will do; anything else of that name will not. */
static enum prilora_status make_one_folder(const char *path, struct prilora_error *err)
{
    struct stat st;

    if (mkdir(path, 0777) == 0)
        return PRILORA_OK;
    if (errno != EEXIST)
        return fail_errno(err, path, "make the folder");
    if (stat(path, &st) != 0)
        return fail_errno(err, path, "open");
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
