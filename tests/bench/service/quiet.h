/*
 * quiet.h - measuring on a machine that does other things, too: a measurement is made again until
 * there are enough during which other programs left the cores alone, and the quietest count.
 */
#ifndef BENCH_QUIET_H
#define BENCH_QUIET_H

#include "child.h"

struct quiet {
    size_t wanted, most; /* quiet measurements; measurements at all */
    double others; /* out: the largest share of the cores that others had in those that count */
};

/* The median of what `measure` gives. */
double quiet_measure(struct quiet *quiet, const struct child *child,
                     double (*measure)(void *context), void *context);

#endif
