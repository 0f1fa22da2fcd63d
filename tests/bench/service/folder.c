/* folder.c - the folder of a case; see cases.h. */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "cases.h"

char folder[256];

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void folder_open(void)
{
    const char *top = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%s/prilorad-bench-XXXXXX", top ? top : "/tmp");
    if (!mkdtemp(folder))
        child_die("%s: cannot make the folder", folder);
}

void folder_close(void)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void check(enum prilora_status rc, const struct prilora_error *err)
{
    if (rc != PRILORA_OK)
        child_die("%s", err->message);
}
