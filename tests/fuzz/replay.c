/* replay.c - main() of a fuzz target without libFuzzer: feeds it every file of a folder, as TAP. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *folder, const char *name)
{
    char path[4096];
    uint8_t *data = NULL;
    long size;
    int rc = -1;
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "rb");
    if (!file)
        return -1;
    if (fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0) {
        rewind(file);
        /* no byte more, so that reading too far is seen */
        data = malloc(size ? (size_t)size : 1);
        if (data && fread(data, 1, (size_t)size, file) == (size_t)size) {
            LLVMFuzzerTestOneInput(data, (size_t)size);
            rc = 0;
        }
    }
    free(data);
    fclose(file);
    return rc;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    int n = argc == 2 ? scandir(argv[1], &entries, visible, alphasort) : -1, failures = 0;

    if (n <= 0) {
        fprintf(stderr, "usage: %s FOLDER (with at least one input)\n", argv[0]);
        return 2;
    }
    printf("1..%d\n", n);
    for (int i = 0; i < n; i++) {
        int rc = replay(argv[1], entries[i]->d_name);

        printf("%s %d - %s\n", rc == 0 ? "ok" : "not ok", i + 1, entries[i]->d_name);
        fflush(stdout);
        failures += rc != 0;
        free(entries[i]);
    }
    free(entries);
    return failures != 0;
}
