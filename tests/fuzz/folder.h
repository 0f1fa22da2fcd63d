/* folder.h - a folder for the targets that need one: below $TMPDIR or /tmp, removed at the end. */
#ifndef FUZZ_FOLDER_H
#define FUZZ_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static char fuzz_folder_path[300];

static int fuzz_remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static void fuzz_remove_folder(void)
{
    nftw(fuzz_folder_path, fuzz_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The same one every time. */
static const char *fuzz_folder(void)
{
    const char *parent = getenv("TMPDIR");

    if (!*fuzz_folder_path) {
        snprintf(fuzz_folder_path, sizeof fuzz_folder_path, "%s/prilora-fuzz-XXXXXX",
                 parent && *parent ? parent : "/tmp");
        if (!mkdtemp(fuzz_folder_path) || atexit(fuzz_remove_folder) != 0)
            abort();
    }
    return fuzz_folder_path;
}

static inline void fuzz_write(const char *name, const void *data, size_t size)
{
    char path[400];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        abort();
}

#endif
