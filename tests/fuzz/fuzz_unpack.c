/* fuzz_unpack.c - any bytes as the archive that `prilora download` unpacks: what comes of it is one
 * folder of plain files, or nothing. */
#include <assert.h>
#include <dirent.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "api/cli/download.h"
#include "fuzz/folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How many entries there are but "." and "..", each of which must be of this kind. */
static size_t count(const char *path, unsigned char kind)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    size_t n = 0;

    while (folder && (entry = readdir(folder))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        assert(entry->d_type == kind);
        n++;
    }
    if (folder)
        closedir(folder);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char tar[400], parent[400], folder[400];
    int rc;

    fuzz_write("tar", data, size);
    snprintf(tar, sizeof tar, "%.300s/tar", fuzz_folder());
    snprintf(parent, sizeof parent, "%.300s/parent", fuzz_folder());
    snprintf(folder, sizeof folder, "%.300s/parent/adapter", fuzz_folder());
    mkdir(parent, 0700);
    rc = unpack(tar, folder);
    assert(count(parent, DT_DIR) == (rc == EXIT_DONE));
    assert((count(folder, DT_REG) > 0) == (rc == EXIT_DONE));
    if (rc == EXIT_DONE)
        nftw(folder, fuzz_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
