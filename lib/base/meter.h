/*
 * meter.h - where a thread's time goes: it is always in exactly one part of the work. A turn costs
 * one reading of the clock, so parts are passes over a share, not single rows or heads.
 */
#ifndef PL_METER_H
#define PL_METER_H

#include <time.h>

#include "base/pulse.h"

enum pl_part {
    PL_PART_OTHER,
    PL_PART_LINEAR, /* products with frozen weights and of the head */
    PL_PART_ATTENTION,
    PL_PART_POINTWISE, /* normalisation, activation, dropout, bias, residual */
    PL_PART_ADAPTERS,
    PL_PART_STATISTICS, /* of inputs, and pruning */
    PL_PART_OPTIMISER,
    PL_PARTS
};

struct pl_meter {
    double seconds[PL_PARTS];
    double since;
    enum pl_part part;
};

/* From now on the time is `part`'s; returns whose it was. */
static inline enum pl_part pl_meter_turn(struct pl_meter *meter, enum pl_part part)
{
    const enum pl_part before = meter->part;
    struct timespec t;
    double now;

    clock_gettime(CLOCK_MONOTONIC, &t);
    now = (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
    meter->seconds[before] += now - meter->since;
    meter->since = now;
    meter->part = part;
    pl_pulse_beat();
    return before;
}

/* The thread begins work; what passed since its last turn counts for nothing. */
static inline void pl_meter_start(struct pl_meter *meter)
{
    const double other = meter->seconds[PL_PART_OTHER];

    meter->part = PL_PART_OTHER;
    pl_meter_turn(meter, PL_PART_OTHER);
    meter->seconds[PL_PART_OTHER] = other;
}

#endif
