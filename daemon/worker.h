/*
 * worker.h - the threads that do the work: `workers` of them train, one validates new jobs.
 * "Run this job" is one function (worker_run_job), so that a job can one day run elsewhere.
 */
#ifndef WORKER_H
#define WORKER_H

#include "daemon/config.h"
#include "daemon/models.h"
#include "daemon/queue.h"

struct workers;

enum prilora_status workers_start(struct workers **out, const struct config *config,
                                  struct store *store, struct models *models,
                                  struct prilora_error *err);
/* Checkpoints running jobs, puts them back in the queue, joins the threads. */
void workers_stop(struct workers *workers);

/* A memory forecast against the limit: ELIMIT with both figures when it cannot fit. */
enum prilora_status worker_check_memory(const struct config *config,
                                        const struct prilora_forecast *forecast,
                                        struct prilora_error *err);
size_t worker_threads(const struct config *config); /* compute threads of each worker, resolved */

#endif
