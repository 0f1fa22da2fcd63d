/*
 * bench.c - `make bench`: the machine's ceilings and our training step against them, in one run.
 *
 *   bench                       every case below
 *   bench SHAPE BATCH LENGTH    one case; LENGTH a number, or "glue" for GLUE-like lengths
 *   bench --model SHAPE FOLDER  only writes a random checkpoint of that shape
 *
 * Needed operations are those that the definition cannot do without (prilora_run_forecast counts
 * them), on real tokens; times are of whole optimiser steps. Shapes other than the bundled base
 * are filled with random weights, which cost as much as trained ones.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/random.h"
#include "ceilings.h"
#include "random_model.h"
#include "train/dataset.h"

#define BUNDLED "prilora-mini-en"
#define STEPS   6 /* measured, after one that is not */

struct bench_case {
    const char *shape;
    size_t batch, length; /* length 0: GLUE-like */
};

static const struct bench_case cases[] = {
    {"deberta-v3-base", 8, 128},
    {"deberta-v3-base", 32, 128},
    {"deberta-v3-base", 32, 0},
    {BUNDLED, 32, 0},
};

/* Log-normal of mean 25, between 4 and 128, as the sentences of GLUE are. */
static size_t glue_length(size_t i)
{
    struct pl_random r = pl_random_at(1, 0, PL_SITE_SPLIT, 0);
    double length = 25 * exp(0.6 * pl_random_normal(&r, i) - 0.18);

    return length < 4 ? 4 : length > 128 ? 128 : (size_t)length;
}

static struct prilora_dataset *random_dataset(size_t n, size_t length)
{
    struct prilora_dataset *d = pl_calloc(1, sizeof *d);
    struct pl_random r = pl_random_at(2, 0, PL_SITE_SPLIT, 0);
    size_t most = n * 128;

    if (!d)
        return NULL;
    *d = (struct prilora_dataset){.task = PRILORA_TASK_CLASSIFICATION,
                                  .n = n,
                                  .width = 1,
                                  .n_labels = 2,
                                  .labels = pl_calloc(2, sizeof *d->labels),
                                  .starts = pl_calloc(n + 1, sizeof *d->starts),
                                  .ids = pl_calloc(most, sizeof *d->ids),
                                  .type_ids = pl_calloc(most, 1),
                                  .targets = pl_calloc(n, sizeof *d->targets)};
    if (!d->labels || !d->starts || !d->ids || !d->type_ids || !d->targets)
        abort();
    d->labels[0] = pl_strdup("0");
    d->labels[1] = pl_strdup("1");
    for (size_t i = 0; i < n; i++) {
        size_t one = length ? length : glue_length(i);

        d->starts[i + 1] = d->starts[i] + one;
        d->longest = one > d->longest ? one : d->longest;
        d->targets[i] = (float)(i % 2);
    }
    for (size_t t = 0; t < d->starts[n]; t++)
        d->ids[t] = (int32_t)(4 + pl_random_u32(&r, t) % 7900);
    snprintf(d->fingerprint, sizeof d->fingerprint, "random");
    return d;
}

struct clock {
    double start, end;
    uint64_t n_steps, first_tokens, tokens;
};

static void on_event(void *context, const struct prilora_event *event)
{
    struct clock *c = context;

    if (event->type != PRILORA_EVENT_STEP)
        return;
    if (event->step == 1) {
        c->start = ceiling_seconds();
        c->first_tokens = event->n_tokens;
        return;
    }
    c->end = ceiling_seconds();
    c->tokens = event->n_tokens - c->first_tokens;
    c->n_steps++;
}

static int fail(const struct prilora_error *err)
{
    fprintf(stderr, "bench: %s\n", err->message);
    return 1;
}

/* Trains STEPS + 1 steps; tells tokens and needed operations per second. */
static enum prilora_status measure(const char *folder, const struct bench_case *c, size_t threads,
                                   double *tokens_per_s, double *operations_per_s,
                                   struct prilora_error *err)
{
    struct prilora_run_options options = {.n_threads = threads, .on_event = on_event};
    struct prilora_dataset *data = random_dataset(c->batch * (STEPS + 1), c->length);
    struct prilora_base *base = NULL;
    struct prilora_spec *spec = NULL;
    struct prilora_run *run = NULL;
    struct prilora_forecast forecast;
    struct clock clock = {0};
    enum prilora_status rc;
    char json[256];

    options.context = &clock;
    snprintf(json, sizeof json,
             "{\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
             "{\"n_epochs\": 1, \"batch_size\": %zu, \"prune_interval\": 3}}}}",
             c->batch);
    rc = prilora_base_open(&base, folder, err);
    if (rc == PRILORA_OK)
        rc = prilora_spec_parse(&spec, json, strlen(json), err);
    if (rc == PRILORA_OK)
        rc = prilora_run_forecast(&forecast, base, spec, data, NULL, err);
    if (rc == PRILORA_OK)
        rc = prilora_run_open(&run, base, spec, data, NULL, &options, err);
    if (rc == PRILORA_OK)
        rc = prilora_run_train(run, err);
    if (rc == PRILORA_OK) {
        double seconds = clock.end - clock.start;

        *tokens_per_s = (double)clock.tokens / seconds;
        *operations_per_s = forecast.flops / (double)data->starts[data->n] * *tokens_per_s;
    }
    prilora_run_close(run);
    prilora_spec_free(spec);
    prilora_base_close(base);
    prilora_dataset_free(data);
    return rc;
}

static enum prilora_status folder_of(char *out, size_t room, const char *shape,
                                     struct prilora_error *err)
{
    char config[512];

    if (strcmp(shape, BUNDLED) == 0) {
        snprintf(out, room, "examples/%s", shape);
        return PRILORA_OK;
    }
    snprintf(out, room, "build/bench/%s", shape);
    snprintf(config, sizeof config, "%s/config.json", out);
    return access(config, R_OK) == 0 ? PRILORA_OK : random_model_write(out, shape, err);
}

static int run_cases(const struct bench_case *list, size_t n)
{
    size_t threads = (size_t)sysconf(_SC_NPROCESSORS_ONLN);
    struct prilora_error err;
    double sgemm;

    prilora_init();
    sgemm = ceiling_sgemm(threads);
    printf("%zu threads: %.0f GFLOP/s fused multiply-add, %.0f GFLOP/s sgemm 1024x768x768, "
           "%.1f GB/s read\n\n",
           threads, ceiling_fma(threads) * 1e-9, sgemm * 1e-9, ceiling_bandwidth(threads) * 1e-9);
    printf("| shape | batch | length | tokens/s | needed GFLOP/s | of sgemm | peak MB |\n");
    printf("|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < n; i++) {
        char folder[256], length[24] = "GLUE-like";
        double tokens = 0, operations = 0;
        struct rusage usage;

        if (list[i].length)
            snprintf(length, sizeof length, "%zu", list[i].length);
        if (folder_of(folder, sizeof folder, list[i].shape, &err) != PRILORA_OK ||
            measure(folder, &list[i], threads, &tokens, &operations, &err) != PRILORA_OK)
            return fail(&err);
        getrusage(RUSAGE_SELF, &usage);
        printf("| %s | %zu | %s | %.0f | %.1f | %.2f | %ld |\n", list[i].shape, list[i].batch,
               length, tokens, operations * 1e-9, operations / sgemm, usage.ru_maxrss / 1024);
        fflush(stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct prilora_error err;

    if (argc == 1)
        return run_cases(cases, sizeof cases / sizeof *cases);
    if (argc == 4 && strcmp(argv[1], "--model") == 0)
        return random_model_write(argv[3], argv[2], &err) == PRILORA_OK ? 0 : fail(&err);
    if (argc == 4) {
        struct bench_case one = {argv[1], (size_t)strtoul(argv[2], NULL, 10),
                                 (size_t)strtoul(argv[3], NULL, 10)};

        if (one.batch)
            return run_cases(&one, 1);
    }
    fprintf(stderr, "usage: %s [SHAPE BATCH LENGTH|glue] | --model SHAPE FOLDER\n", argv[0]);
    return 2;
}
