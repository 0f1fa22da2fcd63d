/*
 * service.c - `make bench`: what is around the training step, against its targets.
 *
 *   bench-service [--json FILE] [--markdown FILE] [CASE]...
 *   bench-service [--json FILE] [--markdown FILE] --soak SECONDS
 *
 * The results are printed, and also go to the files. Without names, all of:
 *
 * data      rows of SST-2 parsed, checked and tokenized
 * open      a base model of 700 MB
 * start     the daemon with an empty queue: ready, resident memory
 * history   the same after 100,000 jobs; status requests to a daemon on one core
 * training  status requests while every core trains, and what a dashboard costs the training
 * streams   what 500 live streams cost it
 * predictions  one text and many, on an idle daemon and beside a job that trains
 *
 * --soak instead trains small jobs for so long and shows whether anything grows.
 *
 * The daemon is the released one, in a temporary folder. GLUE's files and DeBERTa's own vocabulary
 * are taken from ../shared where they are; else the bundled example stands for them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "figures.h"

static const struct {
    const char *name;
    void (*measure)(void);
} cases[] = {
    {"data", measure_data},
    {"open", measure_open},
    {"start", measure_start},
    {"history", measure_history},
    {"training", measure_training},
    {"streams", measure_streams},
    {"predictions", measure_predictions},
};
#define N_CASES (sizeof cases / sizeof *cases)

static int usage(void)
{
    fprintf(stderr, "usage: bench-service [--json FILE] [--markdown FILE] "
                    "[data|open|start|history|training|streams|predictions]...\n"
                    "       bench-service [--json FILE] [--markdown FILE] --soak SECONDS\n");
    return 2;
}

/* Marks the case of this name as wanted. */
static bool want(bool wanted[N_CASES], const char *name)
{
    for (size_t k = 0; k < N_CASES; k++)
        if (strcmp(name, cases[k].name) == 0)
            return wanted[k] = true;
    return false;
}

int main(int argc, char **argv)
{
    const char *json = NULL, *markdown = NULL;
    bool wanted[N_CASES] = {false}, any = false, soak = false;

    for (int i = 1; i < argc; i++) {
        if (i + 1 < argc && strcmp(argv[i], "--json") == 0)
            json = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--markdown") == 0)
            markdown = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--soak") == 0)
            soak = (soak_seconds = strtod(argv[++i], NULL)) > 0;
        else if (want(wanted, argv[i]))
            any = true;
        else
            return usage();
    }
    prilora_init();
    if (!figures_open(markdown))
        child_die("%s: cannot be written", markdown);
    for (size_t k = 0; k < N_CASES; k++)
        if (soak ? wanted[k] : !any || wanted[k])
            cases[k].measure();
    if (soak)
        measure_soak();
    if (json && !figures_write_json(json))
        child_die("%s: cannot be written", json);
    if (!figures_close())
        child_die("%s: cannot be written", markdown);
    return 0;
}
