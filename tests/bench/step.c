/* step.c - see step.h. Shapes other than the bundled base are filled with random weights, which
 * cost as much as trained ones. */
#include "step.h"

#include <math.h>
#include <pthread.h>
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

#define TOKENS    8192 /* about so many are measured, */
#define MAX_STEPS 12   /* in at most so many steps, after one that is not */
#define MAX_RUNS  64

const char *const step_part_names[PL_PARTS] = {
    [PL_PART_OTHER] = "everything else", [PL_PART_LINEAR] = "linear maps",
    [PL_PART_ATTENTION] = "attention",   [PL_PART_POINTWISE] = "normalisation, activation, dropout",
    [PL_PART_ADAPTERS] = "adapters",     [PL_PART_STATISTICS] = "pruning and statistics",
    [PL_PART_OPTIMISER] = "optimiser",
};

double step_waiting(const struct step_result *result)
{
    double rest = 1;

    for (size_t p = 0; p < PL_PARTS; p++)
        rest -= result->parts[p];
    return rest > 0 ? rest : 0;
}

/* ---- data --------------------------------------------------------------------------------- */

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

/* ---- runs --------------------------------------------------------------------------------- */

/* One run, from its opening to its end, on a thread of its own. */
struct job {
    pthread_t thread;
    struct prilora_base *base;
    const struct prilora_spec *spec;
    const struct prilora_dataset *data;
    size_t n_threads;
    struct prilora_run *run;
    struct prilora_error err;
    enum prilora_status rc;
    double start, end;
    uint64_t first_tokens, tokens;
    double parts[PL_PARTS]; /* seconds of its threads, from `start` on */
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
    struct job *j = context;

    if (event->type != PRILORA_EVENT_STEP)
        return;
    if (event->step == 1) {
        j->start = ceiling_seconds();
        j->first_tokens = event->n_tokens;
        add_parts(j->parts, j->run, -1);
        return;
    }
    j->end = ceiling_seconds();
    j->tokens = event->n_tokens - j->first_tokens;
}

static void *run_job(void *argument)
{
    struct job *j = argument;
    struct prilora_run_options options = {.n_threads = j->n_threads,
                                          .on_event = on_event,
                                          .context = j};

    j->rc = prilora_run_open(&j->run, j->base, j->spec, j->data, NULL, &options, &j->err);
    if (j->rc == PRILORA_OK)
        j->rc = prilora_run_train(j->run, &j->err);
    if (j->rc == PRILORA_OK)
        add_parts(j->parts, j->run, 1);
    return NULL;
}

/* Bytes, from the kernel's summary of this process. */
static double proportional_size(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    double kilobytes = 0;

    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Pss: %lf", &kilobytes) == 1)
            break;
    if (file)
        fclose(file);
    return kilobytes * 1024;
}

static enum prilora_status run_jobs(struct job *jobs, size_t n, struct prilora_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (pthread_create(&jobs[i].thread, NULL, run_job, &jobs[i]) != 0)
            abort();
    for (size_t i = 0; i < n; i++)
        pthread_join(jobs[i].thread, NULL);
    for (size_t i = 0; i < n; i++) {
        if (jobs[i].rc == PRILORA_OK)
            continue;
        *err = jobs[i].err;
        return jobs[i].rc;
    }
    return PRILORA_OK;
}

static void tell(struct step_result *out, const struct job *jobs, struct step_crew crew,
                 const struct prilora_forecast *forecast)
{
    const struct prilora_dataset *data = jobs->data;

    out->forecast_bytes =
        (double)(forecast->memory_bytes + (crew.n_threads - 1) * forecast->thread_bytes);
    out->base_bytes = (double)forecast->base_bytes;
    for (size_t i = 0; i < crew.n_runs; i++) {
        const double seconds = jobs[i].end - jobs[i].start;

        out->tokens_per_s += (double)jobs[i].tokens / seconds;
        for (size_t p = 0; p < PL_PARTS; p++)
            out->parts[p] += jobs[i].parts[p] / (seconds * (double)(crew.n_threads * crew.n_runs));
    }
    out->operations_per_s = forecast->flops / (double)data->starts[data->n] * out->tokens_per_s;
}

/* Of all that a run trains. */
static size_t n_steps(const struct step_case *c)
{
    size_t n = TOKENS / (c->batch * (c->length ? c->length : 25));

    return 1 + (n < 1 ? 1 : n > MAX_STEPS ? MAX_STEPS : n);
}

static enum prilora_status measure(struct step_result *out, const char *folder,
                                   const struct step_case *c, struct step_crew crew,
                                   struct prilora_error *err)
{
    struct prilora_dataset *data = random_dataset(c->batch * n_steps(c), c->length);
    struct job jobs[MAX_RUNS] = {{0}};
    struct prilora_base *base = NULL;
    struct prilora_spec *spec = NULL;
    struct prilora_forecast forecast;
    enum prilora_status rc;
    char json[512];

    snprintf(json, sizeof json,
             "{\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
             "{\"n_epochs\": 1, \"batch_size\": %zu, \"prune_interval\": 3%s}}}}",
             c->batch, c->settings);
    rc = prilora_base_open(&base, folder, err);
    if (rc == PRILORA_OK)
        rc = prilora_spec_parse(&spec, json, strlen(json), err);
    if (rc == PRILORA_OK)
        rc = prilora_run_forecast(&forecast, base, spec, data, NULL, err);
    for (size_t i = 0; i < crew.n_runs; i++) {
        jobs[i].base = base;
        jobs[i].spec = spec;
        jobs[i].data = data;
        jobs[i].n_threads = crew.n_threads;
    }
    if (rc == PRILORA_OK)
        rc = run_jobs(jobs, crew.n_runs, err);
    out->pss_bytes = proportional_size();
    if (rc == PRILORA_OK)
        tell(out, jobs, crew, &forecast);
    for (size_t i = 0; i < crew.n_runs; i++)
        prilora_run_close(jobs[i].run);
    prilora_spec_free(spec);
    prilora_base_close(base);
    prilora_dataset_free(data);
    return rc;
}

/* ---- the process -------------------------------------------------------------------------- */

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

static int run_child(int to, const struct step_case *c, struct step_crew crew)
{
    struct prilora_error err;
    struct step_result result = {0};
    char folder[256];

    prilora_init();
    if (crew.n_runs > MAX_RUNS || folder_of(folder, sizeof folder, c->shape, &err) != PRILORA_OK ||
        measure(&result, folder, c, crew, &err) != PRILORA_OK) {
        fprintf(stderr, "bench: %s\n", crew.n_runs > MAX_RUNS ? "too many runs" : err.message);
        return 1;
    }
    return write(to, &result, sizeof result) == sizeof result ? 0 : 1;
}

bool step_measure(struct step_result *out, const struct step_case *c, struct step_crew crew)
{
    struct rusage usage;
    int ends[2], status = -1;
    ssize_t got;
    pid_t child;

    if (pipe(ends) != 0)
        return false;
    child = fork();
    if (child == 0)
        _exit(run_child(ends[1], c, crew));
    close(ends[1]);
    got = child > 0 ? read(ends[0], out, sizeof *out) : -1;
    close(ends[0]);
    if (child < 0 || wait4(child, &status, 0, &usage) != child)
        return false;
    out->peak_bytes = (double)usage.ru_maxrss * 1024;
    return got == sizeof *out && status == 0;
}
