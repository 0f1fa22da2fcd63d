/*
 * step.h - training steps of one kind, in a process of their own: speed, where the time goes, peak
 * memory.
 */
#ifndef BENCH_STEP_H
#define BENCH_STEP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/meter.h"

#define BUNDLED "prilora-mini-en"

struct step_case {
    const char *shape;    /* BUNDLED, or one that random_model.h knows */
    size_t batch, length; /* length 0: GLUE-like */
    const char *settings; /* further ones, as JSON members: ", \"compute\": \"bf16\"" or "" */
};

/* How many runs at once, all on one base, each with how many threads. */
struct step_crew {
    size_t n_runs, n_threads;
};

struct step_result {
    double tokens_per_s, operations_per_s; /* of all runs together */
    double peak_bytes, forecast_bytes;     /* resident, of one run */
    double pss_bytes, base_bytes;          /* proportional, after the last step; the base's share */
    double parts[PL_PARTS]; /* of the threads' time; what is missing was spent waiting */
};

extern const char *const step_part_names[PL_PARTS];
double step_waiting(const struct step_result *result);

/* False if anything failed; the reason is on stderr. */
bool step_measure(struct step_result *out, const struct step_case *c, struct step_crew crew);

#endif
