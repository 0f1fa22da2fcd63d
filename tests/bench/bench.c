/*
 * bench.c - `make bench`: the machine's ceilings and our training step against them, in one run.
 *
 *   bench                                  everything below
 *   bench SHAPE BATCH LENGTH [COMPUTE]     one case; LENGTH a number, or "glue" for GLUE-like
 * lengths bench --model SHAPE FOLDER             only writes a random checkpoint of that shape
 *   --json FILE, --markdown FILE           before any of these: the results also go there
 *
 * Needed operations are those that the definition cannot do without (prilora_run_forecast counts
 * them), on real tokens; times are of whole optimiser steps. Each case runs in a process of its
 * own, whose peak memory is told with it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ceilings.h"
#include "prilora.h"
#include "random_model.h"
#include "report.h"
#include "step.h"

#define BASE "deberta-v3-base"
#define BF16 ", \"compute\": \"bf16\""

static const struct step_case cases[] = {
    {BASE, 8, 128, ""},   {BASE, 8, 128, BF16},
    {BASE, 32, 128, ""},  {BASE, 32, 128, BF16},
    {BASE, 32, 0, ""},    {BASE, 32, 0, BF16},
    {BUNDLED, 32, 0, ""}, {BUNDLED, 32, 0, BF16},
    {BASE, 256, 128, ""}, {BASE, 32, 128, ", \"recompute\": true"},
};

static bool run_case(struct report *r, const struct step_case *c)
{
    struct step_result result;

    if (!step_measure(&result, c, (struct step_crew){1, r->threads}))
        return false;
    report_case(r, c, &result);
    return true;
}

/* As many runs with one thread each as one run has threads otherwise; all on one base. */
static bool compare_crews(struct report *r)
{
    const struct step_case c = {BASE, 8, 128, ""};
    struct step_result one, many;

    if (r->threads < 2)
        return true;
    if (!step_measure(&one, &c, (struct step_crew){1, r->threads}) ||
        !step_measure(&many, &c, (struct step_crew){r->threads, 1}))
        return false;
    report_crews(r, &c, &one, &many);
    return true;
}

static bool run_all(struct report *r)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!run_case(r, &cases[i]))
            return false;
    return compare_crews(r);
}

static int usage(const char *name)
{
    fprintf(stderr,
            "usage: %s [--json FILE] [--markdown FILE] [SHAPE BATCH LENGTH|glue [COMPUTE]]\n"
            "       %s --model SHAPE FOLDER\n",
            name, name);
    return 2;
}

/* What stands after the options: nothing, or one case. */
static bool read_case(struct step_case *out, char *settings, size_t room, int n, char **words)
{
    *out = (struct step_case){.settings = ""};
    if (n == 0)
        return true;
    if (n != 3 && n != 4)
        return false;
    out->shape = words[0];
    out->batch = (size_t)strtoul(words[1], NULL, 10);
    out->length = (size_t)strtoul(words[2], NULL, 10);
    if (n == 4) {
        snprintf(settings, room, ", \"compute\": \"%s\"", words[3]);
        out->settings = settings;
    }
    return out->batch > 0;
}

static int write_model(const char *shape, const char *folder)
{
    struct prilora_error err;

    if (random_model_write(folder, shape, &err) == PRILORA_OK)
        return 0;
    fprintf(stderr, "bench: %s\n", err.message);
    return 1;
}

int main(int argc, char **argv)
{
    const char *json = NULL, *markdown = NULL;
    struct report report;
    struct step_case one;
    char settings[64];
    bool good;
    int at = 1;

    if (argc == 4 && strcmp(argv[1], "--model") == 0)
        return write_model(argv[2], argv[3]);
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        if (strcmp(argv[at], "--json") == 0)
            json = argv[at + 1];
        else if (strcmp(argv[at], "--markdown") == 0)
            markdown = argv[at + 1];
        else
            return usage(argv[0]);
    }
    if (!read_case(&one, settings, sizeof settings, argc - at, argv + at))
        return usage(argv[0]);
    prilora_init();
    if (!report_open(&report, (size_t)sysconf(_SC_NPROCESSORS_ONLN), markdown))
        return 1;
    good = one.shape ? run_case(&report, &one) : run_all(&report);
    report_parts(&report);
    return report_close(&report, good ? json : NULL) && good ? 0 : 1;
}
