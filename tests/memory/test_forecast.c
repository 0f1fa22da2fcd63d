/*
 * test_forecast.c - the memory that a run is forecast to need, against what is resident at its
 * peak.
 *
 *   test_forecast                                             the bundled base, within 5 %
 *   test_forecast FOLDER BATCH LENGTH THREADS HYPERPARAMETERS one run on a base of yours, printed;
 *                                                             LENGTH 0: as GLUE's sentences
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "train/dataset.h"

#define STEPS   8
#define N_VALID 40
#define WORDS   7900 /* of every base's vocabulary, after the special tokens */

struct run_case {
    const char *folder;
    size_t batch, length; /* length 0: GLUE-like */
    size_t n_threads;
    const char *hyperparameters;
};

struct peak {
    size_t forecast, base, measured; /* bytes */
};

/* Log-normal of mean 25, between 4 and 128. */
static size_t glue_length(size_t i)
{
    const struct pl_random r = pl_random_at(1, 0, PL_SITE_SPLIT, 0);
    const double length = 25 * exp(0.6 * pl_random_normal(&r, i) - 0.18);

    return length < 4 ? 4 : length > 128 ? 128 : (size_t)length;
}

static struct prilora_dataset *dataset(size_t n, size_t length, uint64_t seed)
{
    const struct pl_random r = pl_random_at(seed, 0, PL_SITE_SPLIT, 0);
    struct prilora_dataset *d = pl_calloc(1, sizeof *d);

    assert_non_null(d);
    d->task = PRILORA_TASK_CLASSIFICATION;
    d->n = n;
    d->width = 1;
    d->n_labels = 2;
    d->labels = pl_calloc(2, sizeof *d->labels);
    d->starts = pl_calloc(n + 1, sizeof *d->starts);
    d->targets = pl_calloc(n, sizeof *d->targets);
    for (size_t i = 0; i < n; i++) {
        const size_t one = length ? length : glue_length(i);

        d->starts[i + 1] = d->starts[i] + one;
        d->longest = one > d->longest ? one : d->longest;
        d->targets[i] = (float)(i % 2);
    }
    d->ids = pl_calloc(d->starts[n], sizeof *d->ids);
    d->type_ids = pl_calloc(d->starts[n], 1);
    for (size_t t = 0; t < d->starts[n]; t++)
        d->ids[t] = (int32_t)(4 + pl_random_u32(&r, t) % WORDS);
    snprintf(d->fingerprint, sizeof d->fingerprint, "random");
    return d;
}

static void must(enum prilora_status rc, const struct prilora_error *err)
{
    if (rc != PRILORA_OK)
        fail_msg("%s: %s", prilora_status_name(rc), err->message);
}

/* The most that was resident in this process, as the daemon reads it. */
static size_t peak_bytes(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    unsigned long long kib = 0;
    char line[256];

    while (file && !kib && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %llu kB", &kib) != 1)
            kib = 0;
    if (file)
        fclose(file);
    return (size_t)kib * 1024;
}

static struct peak train(const struct run_case *c)
{
    const struct prilora_run_options options = {.n_threads = c->n_threads};
    struct prilora_dataset *data = dataset(c->batch * STEPS, c->length, 2);
    struct prilora_dataset *valid = dataset(N_VALID, c->length, 3);
    struct prilora_forecast forecast;
    struct prilora_base *base;
    struct prilora_spec *spec;
    struct prilora_run *run;
    struct prilora_error err = {0};
    struct peak peak;
    char json[512];

    snprintf(json, sizeof json,
             "{\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
             "{\"n_epochs\": 1, \"batch_size\": %zu, \"prune_interval\": 3%s%s}}}}",
             c->batch, *c->hyperparameters ? ", " : "", c->hyperparameters);
    prilora_init();
    must(prilora_base_open(&base, c->folder, &err), &err);
    must(prilora_spec_parse(&spec, json, strlen(json), &err), &err);
    must(prilora_run_forecast(&forecast, base, spec, data, valid, &err), &err);
    must(prilora_run_open(&run, base, spec, data, valid, &options, &err), &err);
    must(prilora_run_train(run, &err), &err);
    peak.forecast = forecast.memory_bytes + (c->n_threads - 1) * forecast.thread_bytes;
    peak.base = forecast.base_bytes;
    peak.measured = peak_bytes();
    prilora_run_close(run);
    prilora_spec_free(spec);
    prilora_base_close(base);
    prilora_dataset_free(data);
    prilora_dataset_free(valid);
    return peak;
}

/* In a process of its own, for a peak never falls. */
static struct peak peak_of(const struct run_case *c)
{
    struct peak peak = {0};
    int ends[2], status;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        peak = train(c);
        _exit(write(ends[1], &peak, sizeof peak) == sizeof peak ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &peak, sizeof peak), sizeof peak);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return peak;
}

static double excess(const struct peak *p)
{
    return (double)p->forecast / (double)p->measured - 1;
}

static void show(const struct run_case *c, const struct peak *p)
{
    print_message(
        "# batch %3zu, length %3zu, %zu threads, {%s}: forecast %.1f MB, %.1f of them the "
        "base; resident %.1f MB: %+.1f %%\n",
        c->batch, c->length, c->n_threads, c->hyperparameters, (double)p->forecast * 1e-6,
        (double)p->base * 1e-6, (double)p->measured * 1e-6, 100 * excess(p));
}

static void what_is_resident_is_what_was_forecast(void **state)
{
    static const struct {
        size_t batch, length;
    } shapes[] = {{32, 128}, {8, 128}, {32, 0}, {128, 0}, {4, 20}};
    static const char *const modes[] = {"", "\"recompute\": true", "\"lora_dropout\": 0.1"};
    size_t n_bad = 0;

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
            for (size_t threads = 1; threads <= 2; threads++) {
                const struct run_case c = {"examples/prilora-mini-en", shapes[i].batch,
                                           shapes[i].length, threads, modes[m]};
                const struct peak peak = peak_of(&c);

                show(&c, &peak);
                n_bad += fabs(excess(&peak)) > 0.05;
            }
        }
    }
    assert_int_equal(n_bad, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_resident_is_what_was_forecast),
    };

    if (argc == 6) {
        const struct run_case c = {argv[1], strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10),
                                   strtoul(argv[4], NULL, 10), argv[5]};
        const struct peak peak = train(&c);

        show(&c, &peak);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
