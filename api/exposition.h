/* exposition.h - Prometheus's text format, version 0.0.4. */
#ifndef EXPOSITION_H
#define EXPOSITION_H

#include <stdint.h>
#include <stdio.h>

#include "daemon/meters.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct exposition {
    FILE *out;
    const char *name; /* of the family that is being written */
};

/* type: "counter", "gauge" or "histogram". Samples of the family follow. */
void exposition_family(struct exposition *e, const char *name, const char *type, const char *help);

/* `labels`: pairs of name and value, NULL-terminated; NULL: none. A value that is not a number is
 * not written. */
void exposition_sample(struct exposition *e, const char *const *labels, double value);
void exposition_count(struct exposition *e, const char *const *labels, uint64_t value);
void exposition_histogram(struct exposition *e, const char *const *labels,
                          const struct meter_histogram *histogram);

#endif
