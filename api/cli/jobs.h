/* jobs.h - how a job is shown, for the commands that end with one. */
#ifndef CLI_JOBS_H
#define CLI_JOBS_H

#include <jansson.h>
#include <stdbool.h>

bool job_is_over(const char *status);
/* "accuracy" and its value, of an object with the members of an evaluation; NULL: none is there. */
const char *job_metric(const json_t *job, const json_t *values, double *value);
/* All of them, "accuracy 0.6353, f1 0.6252"; free it. */
char *job_metrics(const json_t *values);

#endif
