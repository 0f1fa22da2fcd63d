/*
 * data.c - the cases `data` and `open`: what the library does before a training, with each kind of
 * tokenizer that there are published files of.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cases.h"
#include "figures.h"
#include "random_model.h"

#define SST2         "../shared/data/glue/SST-2/train.tsv"
#define SST2_ROWS    67349
#define VOCABULARIES "../shared/reference/tokenizers/"
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

/* A tokenizer that the large model can have: its own, and two with fewer tokens. */
struct vocabulary {
    const char *kind, *folder, *files[2], *class;
};

static const struct vocabulary vocabularies[] = {
    {"SentencePiece", "deberta-v3", {"spm.model"}, "DebertaV2Tokenizer"},
    {"WordPiece", "bert-base-uncased", {"vocab.txt"}, "BertTokenizer"},
    {"byte-level BPE", "roberta-base", {"vocab.json", "merges.txt"}, "RobertaTokenizer"},
};

static bool is_there(const struct vocabulary *v)
{
    char path[600];

    snprintf(path, sizeof path, VOCABULARIES "%s/%s", v->folder, v->files[0]);
    return access(path, R_OK) == 0;
}

static void link_into(const char *to_folder, const char *top, const char *from_folder,
                      const char *file)
{
    char from[900], to[600];

    snprintf(from, sizeof from, "%s/%s/%s", top, from_folder, file);
    snprintf(to, sizeof to, "%s/%s", to_folder, file);
    if (symlink(from, to) != 0 && access(to, R_OK) != 0)
        child_die("%s: cannot be made", to);
}

/* A folder with the large random model and a vocabulary, if that is there. */
static const char *large_model(const struct vocabulary *v)
{
    static char path[300];
    struct prilora_error err;
    char *top = realpath(".", NULL), file[600];
    FILE *config;

    if (access(LARGE_FOLDER "/config.json", R_OK) != 0)
        check(random_model_write(LARGE_FOLDER, LARGE, &err), &err);
    if (!is_there(v)) {
        free(top);
        return LARGE_FOLDER;
    }
    snprintf(path, sizeof path, "%s/%s", folder, v->folder);
    mkdir(path, 0750);
    link_into(path, top, LARGE_FOLDER, "config.json");
    link_into(path, top, LARGE_FOLDER, "model.safetensors");
    snprintf(file, sizeof file, VOCABULARIES "%s", v->folder);
    for (size_t i = 0; i < 2 && v->files[i]; i++)
        link_into(path, top, file, v->files[i]);
    free(top);
    snprintf(file, sizeof file, "%s/tokenizer_config.json", path);
    config = fopen(file, "w");
    if (!config || fprintf(config, "{\"tokenizer_class\": \"%s\"}", v->class) < 0 ||
        fclose(config) != 0)
        child_die("%s: cannot be written", file);
    return path;
}

static void measure_vocabulary(const struct vocabulary *v, const char *path)
{
    struct prilora_dataset_options options = {.max_length = 128};
    double seconds[N_TRIES];
    struct prilora_dataset_info info = {0};
    struct prilora_dataset *data;
    struct prilora_base *base;
    struct prilora_error err;
    char name[160];

    check(prilora_base_open(&base, large_model(v), &err), &err);
    for (size_t i = 0; i < N_TRIES; i++) {
        double start = child_now();

        check(prilora_dataset_read(&data, base, path, &options, &err), &err);
        seconds[i] = child_now() - start;
        prilora_dataset_describe(data, &info);
        prilora_dataset_free(data);
    }
    prilora_base_close(base);
    snprintf(name, sizeof name, "%zu rows (%zu tokens, %s) parsed, checked, tokenized on one core",
             info.n_examples, info.n_tokens, v->kind);
    figures_add(name, "s", figures_quantile(seconds, N_TRIES, 0.5), FIGURE_AT_MOST, 2);
}

void measure_data(void)
{
    const char *path;

    folder_open();
    path = rows_of_sst2();
    /* the first one also stands for the bundled vocabulary where none is there */
    for (size_t i = 0; i < sizeof vocabularies / sizeof *vocabularies; i++)
        if (i == 0 || is_there(&vocabularies[i]))
            measure_vocabulary(&vocabularies[i], path);
    folder_close();
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
    path = large_model(&vocabularies[0]);
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
