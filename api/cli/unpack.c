/*
 * unpack.c - the tar of an adapter becomes a folder. The archive comes from another machine: only
 * plain files whose names stay inside are taken.
 */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/cli/download.h"

#define BLOCK ((size_t)64 * 1024)

/* What is left of "JOB/NAME": one plain name. NULL: none that may be unpacked. */
static const char *member_name(struct archive_entry *entry)
{
    const char *path = archive_entry_pathname(entry);
    const char *slash = path ? strchr(path, '/') : NULL;
    const char *name = slash ? slash + 1 : NULL;

    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) || !name ||
        slash == path || *path == '.' || !*name || *name == '.' || strchr(name, '/'))
        return NULL;
    return name;
}

static int write_member(struct archive *tar, int folder, const char *name)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    int rc = EXIT_DONE;

    if (fd < 0)
        return fail(EXIT_FAILED, "%s: %s", name, strerror(errno));
    errno = 0;
    if (archive_read_data_into_fd(tar, fd) != ARCHIVE_OK || fsync(fd) != 0)
        rc = fail(EXIT_FAILED, "%s: %s", name,
                  archive_error_string(tar) ? archive_error_string(tar) : strerror(errno));
    close(fd);
    return rc;
}

static int unpack_all(struct archive *tar, int folder)
{
    struct archive_entry *entry;
    size_t n = 0;
    int rc = EXIT_DONE, code;

    while (rc == EXIT_DONE && (code = archive_read_next_header(tar, &entry)) == ARCHIVE_OK) {
        const char *name = member_name(entry), *path = archive_entry_pathname(entry);

        if (archive_entry_filetype(entry) == AE_IFDIR)
            continue;
        rc = name ? write_member(tar, folder, name)
                  : fail(EXIT_FAILED, "the archive has a member that is not unpacked: %s",
                         path ? path : "?");
        n++;
    }
    if (rc == EXIT_DONE && code != ARCHIVE_EOF)
        rc = fail(EXIT_FAILED, "the archive: %s", archive_error_string(tar));
    if (rc == EXIT_DONE && n == 0)
        rc = fail(EXIT_FAILED, "the archive is empty");
    return rc;
}

bool folder_is_empty(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    size_t n = 0;

    while (folder && (entry = readdir(folder)))
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (folder)
        closedir(folder);
    return folder && n == 0;
}

/* One that unpack made: there are only files in it. */
static void remove_folder(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;

    while (folder && (entry = readdir(folder)))
        unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
    rmdir(path);
}

int unpack(const char *tar_path, const char *folder)
{
    struct archive *tar = must(archive_read_new());
    char *temporary = format("%s.XXXXXX", folder);
    bool made = mkdtemp(temporary) != NULL;
    int fd = made ? open(temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    mode_t mask = umask(0);
    int rc = EXIT_DONE;

    umask(mask);
    archive_read_support_format_tar(tar);
    if (fd < 0)
        rc = fail(EXIT_FAILED, "%s: %s", temporary, strerror(errno));
    else if (archive_read_open_filename(tar, tar_path, BLOCK) != ARCHIVE_OK)
        rc = fail(EXIT_FAILED, "%s: %s", tar_path, archive_error_string(tar));
    if (rc == EXIT_DONE)
        rc = unpack_all(tar, fd);
    if (rc == EXIT_DONE && (fchmod(fd, 0777 & ~mask) != 0 || rename(temporary, folder) != 0))
        rc = fail(EXIT_FAILED, "%s: %s", folder, strerror(errno));
    archive_read_free(tar);
    if (rc != EXIT_DONE && made)
        remove_folder(temporary);
    if (fd >= 0)
        close(fd);
    free(temporary);
    return rc;
}
