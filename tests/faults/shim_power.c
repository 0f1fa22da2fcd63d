/*
 * shim_power.c - what a disk would hold if power went now; see shim.h, and power.c for who reads
 * it. Beside the state stands the shadow, by inode numbers, which links keep from being used again:
 *
 *   live/<inode>   a link to the file: what was written, synced or not
 *   data/<inode>   a copy of the file as it was when it was last synced
 *   dirs/<inode>   a folder's names when it was last synced: "f <inode> <name>" or "d ..."
 */
#include "faults/shim.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* A folder is not looked at while a name in it is moved. */
static pthread_rwlock_t moving = PTHREAD_RWLOCK_INITIALIZER;
static pthread_mutex_t keeping =
    PTHREAD_MUTEX_INITIALIZER; /* guards what follows, and the shadow */
static ino_t held[65536];      /* folders that an open descriptor keeps from being made again */
static size_t n_held;

static void shadow_path(char *out, size_t room, const char *kind, unsigned long inode)
{
    snprintf(out, room, "%s/%s/%lu", shim->shadow, kind, inode);
}

/* Without the calls that count. */
static int open_plain(const char *path, int flags)
{
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600);
}

static void write_plain(int fd, const char *data, size_t n)
{
    while (n > 0) {
        long done = syscall(SYS_write, fd, data, n);

        if (done <= 0)
            abort();
        data += done;
        n -= (size_t)done;
    }
}

static void hold_folder(const char *path, ino_t inode)
{
    for (size_t i = 0; i < n_held; i++)
        if (held[i] == inode)
            return;
    if (n_held < sizeof held / sizeof *held && open_plain(path, O_PATH | O_DIRECTORY) >= 0)
        held[n_held++] = inode;
}

static void hold_file(const char *path, ino_t inode)
{
    char live[512];

    shadow_path(live, sizeof live, "live", inode);
    if (linkat(AT_FDCWD, path, AT_FDCWD, live, AT_SYMLINK_FOLLOW) != 0 && errno != EEXIST)
        errno = 0; /* it has no name any more: nobody will miss it */
}

static void keep_file(const char *path, ino_t inode)
{
    char data[512], temporary[520], piece[65536];
    int from, to;
    long n;

    hold_file(path, inode);
    shadow_path(data, sizeof data, "data", inode);
    snprintf(temporary, sizeof temporary, "%s.new", data);
    from = open_plain(path, O_RDONLY);
    to = open_plain(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    if (from < 0 || to < 0)
        abort();
    while ((n = syscall(SYS_read, from, piece, sizeof piece)) > 0)
        write_plain(to, piece, (size_t)n);
    close(from);
    close(to);
    if (syscall(SYS_rename, temporary, data) != 0)
        abort();
}

static void keep_entry(int out, const char *folder, const struct dirent *entry)
{
    char path[1024], line[600];
    struct stat st;
    int n;

    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    if (lstat(path, &st) != 0)
        return;
    if (S_ISDIR(st.st_mode))
        hold_folder(path, st.st_ino);
    else
        hold_file(path, st.st_ino);
    n = snprintf(line, sizeof line, "%c %lu %s\n", S_ISDIR(st.st_mode) ? 'd' : 'f',
                 (unsigned long)st.st_ino, entry->d_name);
    write_plain(out, line, (size_t)n);
}

static void keep_folder(const char *path, ino_t inode)
{
    char list[512], temporary[520];
    struct dirent *entry;
    DIR *dir = opendir(path);
    int out;

    shadow_path(list, sizeof list, "dirs", inode);
    snprintf(temporary, sizeof temporary, "%s.new", list);
    out = open_plain(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    if (!dir || out < 0)
        abort();
    hold_folder(path, inode);
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            keep_entry(out, path, entry);
    closedir(dir);
    close(out);
    if (syscall(SYS_rename, temporary, list) != 0)
        abort();
}

static void keep(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return;
    if (S_ISDIR(st.st_mode)) {
        pthread_rwlock_wrlock(&moving);
        keep_folder(path, st.st_ino);
        pthread_rwlock_unlock(&moving);
    } else if (S_ISREG(st.st_mode)) {
        keep_file(path, st.st_ino);
    }
}

void shim_synced(int fd)
{
    char path[64];
    int saved = errno;

    if (!shim_counts(fd))
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    pthread_mutex_lock(&keeping);
    keep(path);
    pthread_mutex_unlock(&keeping);
    errno = saved;
}

static void keep_tree(const char *path)
{
    char inside[1024];
    struct dirent *entry;
    DIR *dir = opendir(path);

    keep(path);
    while (dir && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        if (entry->d_type == DT_DIR)
            keep_tree(inside);
        else
            keep(inside);
    }
    if (dir)
        closedir(dir);
}

void shim_begin_power(void)
{
    keep_tree(shim->root);
}

EXPORT int rename(const char *from, const char *to)
{
    int rc;

    if (shim && strncmp(to, shim->root, strlen(shim->root)) == 0 && shim_fails(SHIM_WRITES))
        return -1;
    pthread_rwlock_rdlock(&moving);
    rc = (int)syscall(SYS_rename, from, to);
    pthread_rwlock_unlock(&moving);
    return rc;
}

EXPORT int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned int flags)
{
    int rc;

    pthread_rwlock_rdlock(&moving);
    rc = (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
    pthread_rwlock_unlock(&moving);
    return rc;
}
