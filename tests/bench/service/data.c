/* data.c - the cases `data` and `open`: what the library does before a training. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cases.h"
#include "figures.h"
#include "random_model.h"

#define SST2         "../shared/data/glue/SST-2/train.tsv"
#define SST2_ROWS    67349
#define VOCABULARY   "../shared/reference/tokenizers/deberta-v3/spm.model"
#define LARGE        "deberta-v3-base" /* as published: 735 MB in single precision */
#define LARGE_FOLDER "build/bench/" LARGE

/* SST-2, or as many rows of the bundled example, each several times; returns the file's path. */
static const char *rows_of_sst2(void)
{
    static char path[300];
    char line[4096];
    FILE *in, *out;
    size_t n = 0;

    if (access(SST2, R_OK) == 0)
        return SST2;
    snprintf(path, sizeof path, "%s/rows.jsonl", folder);
    in = fopen(BUNDLED_DATA, "r");
    out = fopen(path, "w");
    while (in && out && n < SST2_ROWS) {
        if (!fgets(line, sizeof line, in)) {
            rewind(in);
            continue;
        }
        fputs(line, out);
        n++;
    }
    if (!in || !out || fclose(out) != 0)
        child_die("%s: cannot be written", path);
    fclose(in);
    return path;
}

/* A folder with the large random model and DeBERTa's own vocabulary, if that is there. */
static const char *large_model(void)
{
    static const char *const files[] = {"config.json", "model.safetensors"};
    static char path[300];
    struct prilora_error err;
    char *top = realpath(".", NULL);

    if (access(LARGE_FOLDER "/config.json", R_OK) != 0)
        check(random_model_write(LARGE_FOLDER, LARGE, &err), &err);
    if (access(VOCABULARY, R_OK) != 0) {
        free(top);
        return LARGE_FOLDER;
    }
    snprintf(path, sizeof path, "%s/" LARGE, folder);
    mkdir(path, 0750);
    for (size_t i = 0; i < 3; i++) {
        char from[600], to[600];

        snprintf(from, sizeof from, "%s/%s%s", top, i < 2 ? LARGE_FOLDER "/" : VOCABULARY,
                 i < 2 ? files[i] : "");
        snprintf(to, sizeof to, "%s/%s", path, i < 2 ? files[i] : "spm.model");
        if (symlink(from, to) != 0 && access(to, R_OK) != 0)
            child_die("%s: cannot be made", to);
    }
    free(top);
    return path;
}

void measure_data(void)
{
    struct prilora_dataset_options options = {.max_length = 128};
    double seconds[N_TRIES];
    struct prilora_dataset_info info = {0};
    struct prilora_dataset *data;
    struct prilora_base *base;
    struct prilora_error err;
    const char *path;
    char name[100];

    folder_open();
    path = rows_of_sst2();
    check(prilora_base_open(&base, large_model(), &err), &err);
    for (size_t i = 0; i < N_TRIES; i++) {
        double start = child_now();

        check(prilora_dataset_read(&data, base, path, &options, &err), &err);
        seconds[i] = child_now() - start;
        prilora_dataset_describe(data, &info);
        prilora_dataset_free(data);
    }
    prilora_base_close(base);
    folder_close();
    snprintf(name, sizeof name, "%zu rows (%zu tokens) parsed, checked, tokenized on one core",
             info.n_examples, info.n_tokens);
    figures_add(name, "s", figures_quantile(seconds, N_TRIES, 0.5), FIGURE_AT_MOST, 2);
}

void measure_open(void)
{
    double seconds[N_TRIES];
    struct prilora_base_info info;
    struct prilora_base *base;
    struct prilora_error err;
    const char *path;
    char name[100];

    folder_open();
    path = large_model();
    for (size_t i = 0; i < N_TRIES; i++) {
        double start = child_now();

        check(prilora_base_open(&base, path, &err), &err);
        seconds[i] = child_now() - start;
        prilora_base_describe(base, &info);
        prilora_base_close(base);
    }
    folder_close();
    snprintf(name, sizeof name, "base model of %.0f MB opened (%.0f MB mapped, not read)",
             (double)(info.mapped_bytes + info.resident_bytes) / MEGABYTE,
             (double)info.mapped_bytes / MEGABYTE);
    figures_add(name, "ms", 1e3 * figures_quantile(seconds, N_TRIES, 0.5), FIGURE_AT_MOST, 50);
}
