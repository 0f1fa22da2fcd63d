/* folder.c - see folder.h. */
#include "train/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Plain files only: looked at, or removed together with the folder. */
static enum prilora_status walk(const char *folder, bool removing, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    struct dirent *entry;
    DIR *dir = opendir(folder);

    if (!dir)
        return pl_fail_errno(err, folder, "open the folder");
    while (rc == PRILORA_OK && (entry = readdir(dir))) {
        struct stat st;

        if (is_dots(entry->d_name))
            continue;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            rc = pl_fail_errno(err, folder, "look into the folder");
        else if (!S_ISREG(st.st_mode))
            rc = pl_fail(err, PRILORA_EINVAL,
                         "%s: not replaced, for \"%.100s\" in it is not a plain file", folder,
                         entry->d_name);
        else if (removing && unlinkat(dirfd(dir), entry->d_name, 0) != 0)
            rc = pl_fail_errno(err, folder, "remove a file of the folder");
    }
    closedir(dir);
    if (rc == PRILORA_OK && removing && rmdir(folder) != 0)
        rc = pl_fail_errno(err, folder, "remove the folder");
    return rc;
}

static enum prilora_status check_old(const char *folder, bool *exists, struct prilora_error *err)
{
    struct stat st;

    *exists = lstat(folder, &st) == 0;
    if (!*exists)
        return errno == ENOENT ? PRILORA_OK : pl_fail_errno(err, folder, "look at the folder");
    if (!S_ISDIR(st.st_mode))
        return pl_fail(err, PRILORA_EINVAL, "%s: not replaced, for it is not a folder", folder);
    return walk(folder, false, err);
}

/*
 * The exchange of two names is one step for whoever looks. File systems without it get two
 * renames, the old folder kept until the new one stands.
 */
static enum prilora_status put_in_place(const char *made, const char *folder, bool exists,
                                        struct prilora_error *err)
{
    char *aside;
    size_t room = strlen(folder) + sizeof ".replaced";

    if (!exists)
        return rename(made, folder) == 0 ? PRILORA_OK
                                         : pl_fail_errno(err, folder, "rename into place");
    if (renameat2(AT_FDCWD, made, AT_FDCWD, folder, RENAME_EXCHANGE) == 0)
        return walk(made, true, err);
    aside = pl_alloc(room, 1);
    if (!aside)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    snprintf(aside, room, "%s.replaced", folder);
    if (rename(folder, aside) != 0 || rename(made, folder) != 0) {
        enum prilora_status rc = pl_fail_errno(err, folder, "rename into place");

        rename(aside, folder);
        free(aside);
        return rc;
    }
    walk(aside, true, NULL);
    free(aside);
    return PRILORA_OK;
}

/* Trailing slashes would make the temporary folder stand inside. */
static char *trimmed(const char *folder)
{
    char *copy = pl_strdup(folder);
    size_t n = copy ? strlen(copy) : 0;

    while (n > 1 && copy[n - 1] == '/')
        copy[--n] = '\0';
    return copy;
}

/* The folder that holds `folder`, made if need be; malloc'ed into *out. */
static enum prilora_status make_parent(char **out, const char *folder, struct prilora_error *err)
{
    char *slash;

    *out = pl_strdup(folder);
    if (!*out)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    slash = strrchr(*out, '/');
    if (!slash)
        (*out)[0] = '.', (*out)[1] = '\0';
    else
        slash[slash == *out] = '\0';
    return pl_file_make_folder(*out, err);
}

enum prilora_status pl_folder_replace(const char *folder,
                                      enum prilora_status (*fill)(const char *folder, void *context,
                                                                  struct prilora_error *err),
                                      void *context, struct prilora_error *err)
{
    enum prilora_status rc;
    char *path = trimmed(folder), *parent = NULL, *made = NULL;
    size_t room = strlen(folder) + sizeof ".XXXXXX";
    bool exists = false, standing = false;

    made = pl_alloc(room, 1);
    if (!path || !made || !*path) {
        rc = pl_fail(err, path && made ? PRILORA_EINVAL : PRILORA_ENOMEM,
                     "\"%s\": no folder to write to", folder);
        goto out;
    }
    rc = check_old(path, &exists, err);
    if (rc == PRILORA_OK)
        rc = make_parent(&parent, path, err);
    if (rc != PRILORA_OK)
        goto out;
    snprintf(made, room, "%s.XXXXXX", path);
    if (!mkdtemp(made) || chmod(made, 0755) != 0) {
        rc = pl_fail_errno(err, path, "make a folder beside");
        goto out;
    }
    standing = true;
    rc = fill(made, context, err);
    if (rc == PRILORA_OK)
        rc = pl_file_sync_folder(made, err);
    if (rc == PRILORA_OK)
        rc = put_in_place(made, path, exists, err);
    if (rc == PRILORA_OK) {
        standing = false;
        rc = pl_file_sync_folder(parent, err);
    }
out:
    if (standing)
        walk(made, true, NULL);
    free(path);
    free(parent);
    free(made);
    return rc;
}
