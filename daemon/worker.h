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

/*
 * worker_forecast - prilora_run_forecast for a job here: memory_bytes counts all compute threads of
 * its worker. Errors: those of prilora_run_forecast.
 */
enum prilora_status worker_forecast(struct prilora_forecast *out, const struct config *config,
                                    const struct prilora_base *base,
                                    const struct prilora_spec *spec,
                                    const struct prilora_dataset *train,
                                    const struct prilora_dataset *valid, struct prilora_error *err);
/*
 * worker_check_memory - a forecast against the limit: ELIMIT with both figures when it cannot fit.
 * Without data (total_steps 0) only what is the same for any data counts: the rest is a bound.
 */
enum prilora_status worker_check_memory(const struct config *config,
                                        const struct prilora_forecast *forecast,
                                        struct prilora_error *err);
/*
 * worker_look_ahead - what the validation of a job will find: its files read and tokenized, memory
 * and steps forecast. Nothing is written; `job` needs model, spec and files only. It takes as long
 * as the files take. On an error, error_code and error_param are those of a job that failed so.
 */
struct worker_outlook {
    struct prilora_forecast forecast;         /* memory_bytes with all compute threads */
    double seconds;                           /* negative: the machine's speed is not known yet */
    struct prilora_dataset_info train, valid; /* valid: no examples if nothing will be evaluated */
    size_t n_layers, ranks[PRILORA_MAX_LAYERS];
    const char *error_code, *error_param;
};
enum prilora_status worker_look_ahead(struct worker_outlook *out, const struct config *config,
                                      struct store *store, struct models *models,
                                      const struct job *job, struct prilora_error *err);
size_t worker_threads(const struct config *config); /* compute threads of each worker, resolved */

#endif
