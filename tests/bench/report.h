/* report.h - what was measured, for people (the terminal and a Markdown file) and as JSON. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "step.h"

#define REPORT_MAX_CASES 32

struct report_row {
    struct step_case which;
    struct step_result result;
};

struct report {
    FILE *markdown; /* or NULL */
    json_t *cases, *crews;
    struct report_row seen[REPORT_MAX_CASES];
    size_t n, threads;
    double fma, sgemm, bandwidth; /* the machine's ceilings */
};

/* Measures the ceilings and says them. `markdown` may be NULL. False: that file cannot be written.
 */
bool report_open(struct report *r, size_t threads, const char *markdown);
void report_case(struct report *r, const struct step_case *c, const struct step_result *result);
/* The breakdown of all cases so far. */
void report_parts(const struct report *r);
/* One run with all threads, against as many runs with one each. */
void report_crews(struct report *r, const struct step_case *c, const struct step_result *one,
                  const struct step_result *many);
/* Writes the JSON file unless NULL. False if a file could not be written. */
bool report_close(struct report *r, const char *json);

#endif
