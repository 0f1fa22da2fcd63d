/* work.h - what the worker threads share, and the two things they do; inside of worker.c. */
#ifndef WORK_H
#define WORK_H

#include "daemon/worker.h"

struct work {
    const struct config *config;
    struct store *store;
    struct models *models;
    atomic_int stopping; /* PRILORA_STOP: the daemon ends */
};

/* How long, and how often, what the machine does not let be written is tried again. */
#define WORK_PATIENCE_S 300
#define WORK_AGAIN_S    5

/* What was being done when something failed: it tells the error's code and parameter. */
enum work_stage {
    WORK_MODEL,
    WORK_SPEC,
    WORK_TRAINING,
    WORK_VALIDATION,
    WORK_MISMATCHED,
    WORK_FIT,
    WORK_RUN,
};

/* A job that was claimed for validation becomes queued or failed. */
void work_validate(struct work *work, const struct job *job);
/* A job that was claimed to be run ends, or goes back to the queue. */
void work_run(struct work *work, const struct job *job);

/* Writes the end of a job, again and again if the database does not let it, until it is written or
 * the daemon stops (then the job is found again at the next start). */
void work_finish(struct work *work, const char *id, const struct job_end *end);
/* The error's code and parameter (NULL: none), as a failed job shows them. */
void work_name_failure(enum work_stage stage, enum prilora_status status, const char **code,
                       const char **param);
void work_fail(struct work *work, const char *id, enum work_stage stage,
               const struct prilora_error *err);
/* Tells of the trouble, and waits before it is tried again; false: `may_stop` was true meanwhile.
 */
bool work_wait(struct work *work, const char *id, const char *key, const char *message,
               bool (*may_stop)(void *context), void *context);
/* An event on its own, unless the job is over; its failure is only logged. */
void work_note(struct work *work, const char *id, const char *key, const char *level,
               const char *message);

#endif
