/* path.c - see path.h. Paths here are made of the state folder and our own ids. */
#include "daemon/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/error.h"

#define MAX_OPEN_FOLDERS 16

/*
 * A name outlives a power cut only when the folder that it stands in was synced. Who made `path`
 * may have been killed before that, so this is done of one that is there, too; but what stands
 * above it need not be ours to open.
 */
static enum prilora_status sync_parent(const char *path, bool made, struct prilora_error *err)
{
    enum prilora_status rc;
    char *copy = strdup(path);

    if (!copy)
        return error_memory(err);
    rc = path_sync_folder(dirname(copy), err);
    free(copy);
    return made ? rc : PRILORA_OK;
}

static enum prilora_status make_one(const char *path, bool last, struct prilora_error *err)
{
    bool made = mkdir(path, 0750) == 0;

    if (!made && errno != EEXIST)
        return error_errno(err, path, "make the folder");
    return made || last ? sync_parent(path, made, err) : PRILORA_OK;
}

enum prilora_status path_make_folder(const char *path, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    char *partial = strdup(path);
    struct stat st;

    if (!partial)
        return error_memory(err);
    for (char *p = partial + 1; partial[0] && rc == PRILORA_OK; p++) {
        char end = *p;

        if (end != '/' && end != '\0')
            continue;
        *p = '\0';
        rc = make_one(partial, end == '\0', err);
        *p = end;
        if (end == '\0')
            break;
    }
    if (rc == PRILORA_OK && (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)))
        rc = error_set(err, PRILORA_EIO, "%s: is not a folder", path);
    free(partial);
    return rc;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

enum prilora_status path_remove(const char *path, struct prilora_error *err)
{
    if (nftw(path, remove_one, MAX_OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        return error_errno(err, path, "remove");
    return PRILORA_OK;
}

enum prilora_status path_empty(const char *path, const char *keep, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    struct dirent *entry;
    DIR *dir = opendir(path);

    if (!dir)
        return errno == ENOENT ? PRILORA_OK : error_errno(err, path, "read the folder");
    while (rc == PRILORA_OK && (entry = readdir(dir))) {
        const char *name = entry->d_name;
        char *inside;

        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || (keep && strcmp(name, keep) == 0))
            continue;
        inside = text_format("%s/%s", path, name);
        rc = inside ? path_remove(inside, err) : error_memory(err);
        free(inside);
    }
    closedir(dir);
    return rc;
}

enum prilora_status path_sync_folder(const char *path, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return error_errno(err, path, "open");
    if (fsync(fd) != 0)
        rc = error_errno(err, path, "sync");
    close(fd);
    return rc;
}

static enum prilora_status write_all(int fd, const char *path, const char *text, size_t size,
                                     struct prilora_error *err)
{
    while (size) {
        ssize_t n = write(fd, text, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, path, "write");
        text += n;
        size -= (size_t)n;
    }
    return fsync(fd) == 0 ? PRILORA_OK : error_errno(err, path, "sync");
}

enum prilora_status path_replace(const char *path, const char *text, struct prilora_error *err)
{
    enum prilora_status rc;
    char *temporary = text_format("%s.XXXXXX", path), *folder = strdup(path);
    int fd = -1;

    if (!temporary || !folder) {
        rc = error_memory(err);
        goto out;
    }
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0 || fchmod(fd, 0644) != 0) {
        rc = error_errno(err, path, "write");
        goto out;
    }
    rc = write_all(fd, path, text, strlen(text), err);
    if (rc == PRILORA_OK && rename(temporary, path) != 0)
        rc = error_errno(err, path, "write");
    if (rc == PRILORA_OK)
        rc = path_sync_folder(dirname(folder), err);
out:
    if (fd >= 0) {
        close(fd);
        if (rc != PRILORA_OK)
            unlink(temporary);
    }
    free(temporary);
    free(folder);
    return rc;
}

static enum prilora_status copy_all(int from, int to, const char *from_path, const char *to_path,
                                    struct prilora_error *err)
{
    char piece[65536];
    ssize_t n;

    while ((n = read(from, piece, sizeof piece)) != 0) {
        const char *left = piece;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, from_path, "read");
        for (ssize_t written; n > 0; left += written, n -= written) {
            written = write(to, left, (size_t)n);
            if (written < 0 && errno != EINTR)
                return error_errno(err, to_path, "write");
            written = written < 0 ? 0 : written;
        }
    }
    return fsync(to) == 0 ? PRILORA_OK : error_errno(err, to_path, "sync");
}

enum prilora_status path_copy(const char *from, const char *to, struct prilora_error *err)
{
    enum prilora_status rc;
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), out;

    if (in < 0)
        return error_errno(err, from, "read");
    out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    rc = out < 0 ? error_errno(err, to, "write") : copy_all(in, out, from, to, err);
    if (out >= 0)
        close(out);
    close(in);
    return rc;
}

uint64_t path_tree_bytes(const char *path, int64_t *newest)
{
    char *const roots[] = {(char *)(uintptr_t)path, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    uint64_t bytes = 0;
    int64_t last = 0;
    FTSENT *entry;

    while (tree && (entry = fts_read(tree))) {
        const struct stat *st = entry->fts_statp;

        if (entry->fts_info != FTS_F && entry->fts_info != FTS_D)
            continue;
        if (entry->fts_info == FTS_F)
            bytes += (uint64_t)st->st_size;
        last = st->st_mtime > last ? st->st_mtime : last;
    }
    if (tree)
        fts_close(tree);
    if (newest)
        *newest = last;
    return bytes;
}

uint64_t path_folder_bytes(const char *path)
{
    uint64_t bytes = 0;
    struct dirent *entry;
    struct stat st;
    DIR *dir = opendir(path);

    while (dir && (entry = readdir(dir)))
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode))
            bytes += (uint64_t)st.st_size;
    if (dir)
        closedir(dir);
    return bytes;
}

int path_open_regular(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
        return fd;
    close(fd);
    errno = EINVAL;
    return -1;
}

char *path_first_line(const char *path)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;

    if (!file)
        return NULL;
    n = getline(&line, &room, file);
    fclose(file);
    if (n < 0) {
        free(line);
        return NULL;
    }
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}
