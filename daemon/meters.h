/*
 * meters.h - what the daemon has done since it started, in numbers that only grow: for /metrics.
 * Atomics, so that counting costs next to nothing wherever it happens. Any thread.
 */
#ifndef METERS_H
#define METERS_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/queue.h"

enum meter {
    METER_STEPS,          /* optimiser steps */
    METER_TOKENS,         /* real tokens trained */
    METER_RECEIVED_BYTES, /* of requests' bodies */
    METER_SENT_BYTES,     /* of answers' bodies that were taken whole */
    METER_PREDICTIONS,    /* texts that were classified */
    METER_PULLED_BYTES,   /* of base models */
    METER_FILES_READ,     /* data files tokenized for jobs */
    METER_FILES_SHARED,   /* of those that jobs needed besides, taken from reads.h */
    METERS
};
void meters_add(enum meter meter, uint64_t n);
uint64_t meters_get(enum meter meter);

/* Observations by size. The bounds ascend; what is above the last one is counted beyond it. */
#define METER_MAX_BOUNDS 16
struct meter_counts {
    _Atomic uint64_t buckets[METER_MAX_BOUNDS + 1]; /* each of its own alone */
    _Atomic uint64_t sum_us;
};
struct meter_histogram {
    const double *bounds;
    size_t n_bounds;
    struct meter_counts *counts;
};
void meter_observe(const struct meter_histogram *histogram, double seconds);

extern const struct meter_histogram meter_step_seconds; /* wall clock of an optimiser step */
extern const struct meter_histogram meter_job_seconds;  /* of a finished job, from its start */

/*
 * Jobs by how they ended. What the database holds when the daemon starts is counted in, so that a
 * restart does not begin at 0; a job that is deleted later stays counted.
 */
enum prilora_status meters_begin_jobs(struct store *store, struct prilora_error *err);
/* `seconds` since it started to train; negative: it never did. */
void meters_job_ended(enum job_status status, double seconds);
uint64_t meters_jobs(enum job_status status);

#endif
