/*
 * service.c - `make bench`: what is around the training step, against its targets.
 *
 *   bench-service [--json FILE] [--markdown FILE] [data|open|start|history|training]...
 *
 * data      rows of SST-2 parsed, checked and tokenized
 * open      a base model of 700 MB
 * start     the daemon with an empty queue: ready, resident memory
 * history   the same after 100,000 jobs; status requests to a daemon on one core
 * training  status requests while every core trains, and what a dashboard costs the training
 *
 * The daemon is the released one, in a temporary folder. GLUE's files and DeBERTa's own vocabulary
 * are taken from ../shared where they are; else the bundled example stands for them.
 */
#include <stdio.h>
#include <string.h>

#include "cases.h"
#include "figures.h"

static const struct {
    const char *name;
    void (*measure)(void);
} cases[] = {
    {"data", measure_data},       {"open", measure_open},         {"start", measure_start},
    {"history", measure_history}, {"training", measure_training},
};
#define N_CASES (sizeof cases / sizeof *cases)

static int usage(void)
{
    fprintf(stderr, "usage: bench-service [--json FILE] [--markdown FILE] "
                    "[data|open|start|history|training]...\n");
    return 2;
}

int main(int argc, char **argv)
{
    const char *json = NULL;
    FILE *markdown = stdout;
    bool wanted[N_CASES] = {false}, any = false;

    for (int i = 1; i < argc; i++) {
        bool known = false;

        if (i + 1 < argc && strcmp(argv[i], "--json") == 0) {
            json = argv[++i];
            continue;
        }
        if (i + 1 < argc && strcmp(argv[i], "--markdown") == 0) {
            markdown = fopen(argv[++i], "w");
            if (!markdown)
                child_die("%s: cannot be written", argv[i]);
            continue;
        }
        for (size_t k = 0; k < N_CASES; k++)
            if (strcmp(argv[i], cases[k].name) == 0)
                any = known = wanted[k] = true;
        if (!known)
            return usage();
    }
    prilora_init();
    figures_open(markdown);
    for (size_t k = 0; k < N_CASES; k++)
        if (!any || wanted[k])
            cases[k].measure();
    if (json && !figures_write_json(json))
        child_die("%s: cannot be written", json);
    figures_close();
    return 0;
}
