/* figures.h - what was measured, each with its target: Markdown while it comes, JSON at the end. */
#ifndef BENCH_FIGURES_H
#define BENCH_FIGURES_H

#include <stdbool.h>
#include <stddef.h>

enum figure_bound { FIGURE_AT_MOST, FIGURE_AT_LEAST, FIGURE_TOLD }; /* told: has no target */

/* The table's rows go to stdout, at once, and to the file `markdown` if it is not NULL; false: it
 * cannot be written. */
bool figures_open(const char *markdown);
void figures_add(const char *name, const char *unit, double value, enum figure_bound bound,
                 double target);
/* {"cores", "figures": [{"name", "value", "unit", "target", "met"}]}; false: cannot be written. */
bool figures_write_json(const char *path);
bool figures_close(void); /* false: the file could not be written */

/* Of n values, which it sorts; share 0.5 is the median, 0.99 the 99th percentile. */
double figures_quantile(double *values, size_t n, double share);

#endif
