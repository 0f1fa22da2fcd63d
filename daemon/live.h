/*
 * live.h - what running jobs publish: readers copy it under a lock held for the copy alone, and
 * never wait for training.
 */
#ifndef LIVE_H
#define LIVE_H

#include "daemon/queue.h"

/* Workers: begin makes the job visible (run may be NULL until live_attach), end removes it and
 * returns when no reader is left: only then may the run be closed. */
enum prilora_status live_begin(const char *job_id, struct prilora_run *run,
                               struct prilora_error *err);
void live_attach(const char *job_id, struct prilora_run *run);
void live_progress(const char *job_id, const struct job_progress *progress);
void live_end(const char *job_id);

/* A run's latest published layers, malloc'ed; NULL if there are none (yet). */
struct prilora_layer *live_copy_layers(struct prilora_run *run, size_t *n, uint64_t *step);

/* Raises the stop flag of a running job; false if it is not running here. */
bool live_stop(const char *job_id);
atomic_int *live_stop_flag(const char *job_id);
void live_stop_all(void);

/* Readers. False or 0: not running here. layers: malloc'ed array, free it. */
struct live_totals {
    size_t n_jobs;
    double tokens_per_second; /* of all together */
};
void live_total(struct live_totals *out);
/* The job that has run longest here, and how many run; 0: none. */
size_t live_first(char id[ID_SIZE], struct job_progress *progress);
bool live_get_progress(const char *job_id, struct job_progress *out);
size_t live_get_layers(const char *job_id, struct prilora_layer **layers, uint64_t *step);

#endif
