/* watch.h - a job followed to its end. */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "api/cli/cli.h"

/* timeout_s 0: however long it takes. The status is that of the job's end. */
int watch_job(const struct call *call, const char *id, double timeout_s, bool from_start);

#endif
