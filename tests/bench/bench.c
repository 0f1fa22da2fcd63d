/*
 * bench.c - `make bench`: the machine's ceilings and our training step against them, in one run.
 *
 *   bench                                  every case below
 *   bench SHAPE BATCH LENGTH [COMPUTE]     one case; LENGTH a number, or "glue" for GLUE-like
 * lengths bench --model SHAPE FOLDER             only writes a random checkpoint of that shape
 *   --json FILE, --markdown FILE           before any of these: the results also go there
 *
 * Needed operations are those that the definition cannot do without (prilora_run_forecast counts
 * them), on real tokens; times are of whole optimiser steps. Shapes other than the bundled base
 * are filled with random weights, which cost as much as trained ones. Each case runs in a process
 * of its own, whose peak memory is told with it.
 */
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/random.h"
#include "ceilings.h"
#include "random_model.h"
#include "train/dataset.h"
#include "train/run.h"

#define BUNDLED "prilora-mini-en"
#define STEPS   6 /* measured, after one that is not */
#define MB      (1024.0 * 1024.0)

struct bench_case {
    const char *shape;
    size_t batch, length; /* length 0: GLUE-like */
    const char *more;     /* further settings, as JSON members */
};

static const struct bench_case cases[] = {
    {"deberta-v3-base", 8, 128, ""},
    {"deberta-v3-base", 32, 128, ""},
    {"deberta-v3-base", 32, 0, ""},
    {BUNDLED, 32, 0, ""},
};

struct result {
    size_t n_parameters; /* of all adapters */
    double tokens_per_s, operations_per_s;
    double peak_bytes, forecast_bytes;
    double parts[PL_PARTS]; /* of the threads' time; what is missing was spent waiting */
};

static const char *const part_names[PL_PARTS] = {
    [PL_PART_OTHER] = "everything else", [PL_PART_LINEAR] = "linear maps",
    [PL_PART_ATTENTION] = "attention",   [PL_PART_POINTWISE] = "normalisation, activation, dropout",
    [PL_PART_ADAPTERS] = "adapters",     [PL_PART_STATISTICS] = "pruning and statistics",
    [PL_PART_OPTIMISER] = "optimiser",
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

/* ---- one case, in a process of its own ---------------------------------------------------- */

struct clock {
    struct prilora_run *run;
    double start, end;
    uint64_t first_tokens, tokens;
    double parts[PL_PARTS]; /* seconds of all threads, from `start` on */
};

static void add_parts(double *parts, const struct prilora_run *run, double factor)
{
    for (size_t p = 0; p < PL_PARTS; p++) {
        for (size_t i = 0; i < run->engine->n_threads; i++)
            parts[p] += factor * pl_workspace_meter(run->engine->workspaces[i])->seconds[p];
        parts[p] += factor * run->meter.seconds[p];
    }
}

static void on_event(void *context, const struct prilora_event *event)
{
    struct clock *c = context;

    if (event->type != PRILORA_EVENT_STEP)
        return;
    if (event->step == 1) {
        c->start = ceiling_seconds();
        c->first_tokens = event->n_tokens;
        add_parts(c->parts, c->run, -1);
        return;
    }
    c->end = ceiling_seconds();
    c->tokens = event->n_tokens - c->first_tokens;
}

static int fail(const struct prilora_error *err)
{
    fprintf(stderr, "bench: %s\n", err->message);
    return 1;
}

static void tell(struct result *out, const struct clock *clock,
                 const struct prilora_forecast *forecast, size_t n_tokens, size_t threads)
{
    double seconds = clock->end - clock->start;

    out->n_parameters = forecast->n_adapter;
    out->tokens_per_s = (double)clock->tokens / seconds;
    out->operations_per_s = forecast->flops / (double)n_tokens * out->tokens_per_s;
    out->forecast_bytes = (double)(forecast->memory_bytes + (threads - 1) * forecast->thread_bytes);
    for (size_t p = 0; p < PL_PARTS; p++)
        out->parts[p] = clock->parts[p] / (seconds * (double)threads);
}

/* Trains STEPS + 1 steps. */
static enum prilora_status measure(struct result *out, const char *folder,
                                   const struct bench_case *c, size_t threads,
                                   struct prilora_error *err)
{
    struct clock clock = {0};
    struct prilora_run_options options = {.n_threads = threads,
                                          .on_event = on_event,
                                          .context = &clock};
    struct prilora_dataset *data = random_dataset(c->batch * (STEPS + 1), c->length);
    struct prilora_base *base = NULL;
    struct prilora_spec *spec = NULL;
    struct prilora_forecast forecast;
    enum prilora_status rc;
    char json[512];

    snprintf(json, sizeof json,
             "{\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
             "{\"n_epochs\": 1, \"batch_size\": %zu, \"prune_interval\": 3%s}}}}",
             c->batch, c->more);
    rc = prilora_base_open(&base, folder, err);
    if (rc == PRILORA_OK)
        rc = prilora_spec_parse(&spec, json, strlen(json), err);
    if (rc == PRILORA_OK)
        rc = prilora_run_forecast(&forecast, base, spec, data, NULL, err);
    if (rc == PRILORA_OK)
        rc = prilora_run_open(&clock.run, base, spec, data, NULL, &options, err);
    if (rc == PRILORA_OK)
        rc = prilora_run_train(clock.run, err);
    if (rc == PRILORA_OK) {
        add_parts(clock.parts, clock.run, 1);
        tell(out, &clock, &forecast, data->starts[data->n], threads);
    }
    prilora_run_close(clock.run);
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

static int run_child(int to, const struct bench_case *c, size_t threads)
{
    struct prilora_error err;
    struct result result = {0};
    char folder[256];

    if (folder_of(folder, sizeof folder, c->shape, &err) != PRILORA_OK ||
        measure(&result, folder, c, threads, &err) != PRILORA_OK)
        return fail(&err);
    return write(to, &result, sizeof result) == sizeof result ? 0 : 1;
}

static bool run_case(struct result *out, const struct bench_case *c, size_t threads)
{
    struct rusage usage;
    int ends[2], status = -1;
    ssize_t got;
    pid_t child;

    if (pipe(ends) != 0)
        return false;
    child = fork();
    if (child == 0)
        _exit(run_child(ends[1], c, threads));
    close(ends[1]);
    got = child > 0 ? read(ends[0], out, sizeof *out) : -1;
    close(ends[0]);
    if (child < 0 || wait4(child, &status, 0, &usage) != child)
        return false;
    out->peak_bytes = (double)usage.ru_maxrss * 1024;
    return got == sizeof *out && status == 0;
}

/* ---- reports ------------------------------------------------------------------------------ */

struct report {
    FILE *markdown;
    json_t *cases;
    size_t threads;
    double fma, sgemm, bandwidth;
};

/* To the terminal and the file. */
static void say(const struct report *r, const char *format, ...)
{
    for (int k = 0; k < 2; k++) {
        FILE *to = k ? r->markdown : stdout;
        va_list values;

        if (!to)
            continue;
        va_start(values, format);
        vfprintf(to, format, values);
        va_end(values);
        fflush(to);
    }
}

static double waiting(const struct result *result)
{
    double rest = 1;

    for (size_t p = 0; p < PL_PARTS; p++)
        rest -= result->parts[p];
    return rest > 0 ? rest : 0;
}

static void say_case(const struct report *r, const struct bench_case *c,
                     const struct result *result)
{
    char length[24] = "GLUE-like";

    if (c->length)
        snprintf(length, sizeof length, "%zu", c->length);
    say(r, "| %s%s | %zu | %s | %.0f | %.1f | %.2f | %.0f | %.0f |", c->shape, c->more, c->batch,
        length, result->tokens_per_s, result->operations_per_s * 1e-9,
        result->operations_per_s / r->sgemm, result->peak_bytes / MB, result->forecast_bytes / MB);
    for (size_t p = 0; p < PL_PARTS; p++)
        say(r, " %.1f |", 100 * result->parts[p]);
    say(r, " %.1f |\n", 100 * waiting(result));
}

static json_t *case_json(const struct report *r, const struct bench_case *c,
                         const struct result *result)
{
    json_t *parts = json_object();

    for (size_t p = 0; p < PL_PARTS; p++)
        json_object_set_new(parts, part_names[p], json_real(result->parts[p]));
    json_object_set_new(parts, "waiting", json_real(waiting(result)));
    return json_pack("{s:s, s:I, s:I, s:s, s:f, s:f, s:f, s:f, s:f, s:o}", "shape", c->shape,
                     "batch", (json_int_t)c->batch, "length", (json_int_t)c->length, "settings",
                     c->more, "tokens_per_second", result->tokens_per_s,
                     "needed_operations_per_second", result->operations_per_s, "of_sgemm",
                     result->operations_per_s / r->sgemm, "peak_bytes", result->peak_bytes,
                     "forecast_bytes", result->forecast_bytes, "parts", parts);
}

static void say_head(const struct report *r)
{
    say(r,
        "%zu threads: %.0f GFLOP/s fused multiply-add, %.0f GFLOP/s sgemm 1024x768x768, "
        "%.1f GB/s read\n\n",
        r->threads, r->fma * 1e-9, r->sgemm * 1e-9, r->bandwidth * 1e-9);
    say(r, "| shape | batch | length | tokens/s | needed GFLOP/s | of sgemm | peak MB | forecast "
           "MB |");
    for (size_t p = 0; p < PL_PARTS; p++)
        say(r, " %s %% |", part_names[p]);
    say(r, " waiting %% |\n|---|---|");
    for (size_t p = 0; p < PL_PARTS + 7; p++)
        say(r, "---|");
    say(r, "\n");
}

static int run_cases(struct report *r, const struct bench_case *list, size_t n)
{
    r->threads = (size_t)sysconf(_SC_NPROCESSORS_ONLN);
    prilora_init();
    r->sgemm = ceiling_sgemm(r->threads);
    r->fma = ceiling_fma(r->threads);
    r->bandwidth = ceiling_bandwidth(r->threads);
    say_head(r);
    for (size_t i = 0; i < n; i++) {
        struct result result;

        if (!run_case(&result, &list[i], r->threads))
            return 1;
        say_case(r, &list[i], &result);
        json_array_append_new(r->cases, case_json(r, &list[i], &result));
    }
    return 0;
}

static int save_json(const struct report *r, const char *path)
{
    json_t *all = json_pack("{s:I, s:f, s:f, s:f, s:O}", "threads", (json_int_t)r->threads,
                            "fma_per_second", r->fma, "sgemm_per_second", r->sgemm,
                            "bytes_read_per_second", r->bandwidth, "cases", r->cases);
    int rc = all && json_dump_file(all, path, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0 ? 0 : 1;

    if (rc != 0)
        fprintf(stderr, "bench: %s cannot be written\n", path);
    json_decref(all);
    return rc;
}

static int usage(const char *name)
{
    fprintf(stderr,
            "usage: %s [--json FILE] [--markdown FILE] [SHAPE BATCH LENGTH|glue [COMPUTE]]\n"
            "       %s --model SHAPE FOLDER\n",
            name, name);
    return 2;
}

/* What stands after the options: all cases, or one. */
static int run_named(struct report *r, int n, char **words, const char *name)
{
    struct bench_case one = {.more = ""};
    char more[64];

    if (n == 0)
        return run_cases(r, cases, sizeof cases / sizeof *cases);
    if (n != 3 && n != 4)
        return usage(name);
    one.shape = words[0];
    one.batch = (size_t)strtoul(words[1], NULL, 10);
    one.length = (size_t)strtoul(words[2], NULL, 10);
    if (n == 4) {
        snprintf(more, sizeof more, ", \"compute\": \"%s\"", words[3]);
        one.more = more;
    }
    return one.batch ? run_cases(r, &one, 1) : usage(name);
}

int main(int argc, char **argv)
{
    struct report report = {.cases = json_array()};
    const char *json = NULL;
    struct prilora_error err;
    int at = 1, rc;

    if (argc == 4 && strcmp(argv[1], "--model") == 0)
        return random_model_write(argv[3], argv[2], &err) == PRILORA_OK ? 0 : fail(&err);
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        if (strcmp(argv[at], "--json") == 0)
            json = argv[at + 1];
        else if (strcmp(argv[at], "--markdown") != 0)
            return usage(argv[0]);
        else if (!(report.markdown = fopen(argv[at + 1], "w"))) {
            perror(argv[at + 1]);
            return 1;
        }
    }
    rc = run_named(&report, argc - at, argv + at, argv[0]);
    if (rc == 0 && json)
        rc = save_json(&report, json);
    if (report.markdown && fclose(report.markdown) != 0)
        rc = 1;
    json_decref(report.cases);
    return rc;
}
