/* experiments.h - what the commands on experiments have of each other. */
#ifndef CLI_EXPERIMENTS_H
#define CLI_EXPERIMENTS_H

#include "api/cli/cli.h"

#define EXPERIMENTS "/v1/experiments"
#define EXPERIMENT  EXPERIMENTS "/%s"

/* The table, as --format and the like say. */
int experiment_results(const struct call *call, const char *id);
/* To its end, or so many seconds (0: however long it takes); then its table. */
int experiment_watch(const struct call *call, const char *id, double timeout_s);

#endif
