/*
 * experiments.h - grids of jobs: every method on every task with every seed. A cell is an ordinary
 * job of queue.h that names its experiment; what an experiment's state is follows from its jobs.
 */
#ifndef EXPERIMENTS_H
#define EXPERIMENTS_H

#include "daemon/queue.h"
#include "daemon/sweep.h"

struct experiment {
    char id[ID_SIZE];
    char key_id[ID_SIZE]; /* the key that it came with; "": none */
    int64_t created_at;
    int64_t n_cells;
    char *name, *metadata; /* NULL: none; the latter a JSON object */
    char *model;           /* as it was asked for */
    char *grid;            /* JSON: {"methods", "tasks", "seeds"} */
    /* of its jobs */
    uint64_t jobs[JOB_CANCELLED + 1]; /* by state */
    double n_done;                    /* cells, running ones by their part */
    int64_t started_at, finished_at;  /* of the first, of the last; 0: not yet */
    int64_t changed_at;               /* when a job last began or ended */
    double seconds_left;              /* from then on, by one worker; negative: not known */
};
void experiment_clear(struct experiment *experiment);
void experiments_free_list(struct experiment *list, size_t n);

/* Running while any job is to go on, then paused, failed, cancelled if any job is, else succeeded.
 */
enum job_status experiment_status(const struct experiment *experiment);

/* One method on one task: a job but for its seed, and its settings. */
struct experiment_pair {
    struct job job; /* experiment_method and _task name it; spec is made of `spec` */
    struct prilora_spec *spec;
};
struct experiment_order {
    struct experiment_pair *pairs; /* method by method, of each all tasks */
    size_t n_methods, n_tasks;
    const int64_t *seeds;
    size_t n_seeds;
};

/*
 * experiments_submit - writes the experiment and all its jobs, or nothing. They are queued task by
 * task, of each seed by seed, so that methods can be compared early. `experiment` gives key_id,
 * name, metadata, model and grid; id, times and n_cells are filled in. Errors: those of
 * queue_submit.
 */
enum prilora_status experiments_submit(struct store *store, struct experiment *experiment,
                                       struct experiment_order *order, struct prilora_error *err);
enum prilora_status experiments_get(struct store *store, const char *id, struct experiment *out,
                                    struct prilora_error *err); /* ENOENT */
/* Newest first. ENOENT if `after` (NULL: from the first) names none. */
enum prilora_status experiments_list(struct store *store, const char *after, size_t limit,
                                     struct experiment **out, size_t *n, bool *has_more,
                                     struct prilora_error *err);

/* queue_steer_all. ENOENT; EMISMATCH if there is no job that it does anything to. */
enum prilora_status experiments_steer(struct store *store, const char *id, enum queue_verb verb,
                                      struct prilora_error *err);
/*
 * experiments_retry - new jobs, of key `key_id`, take the cells of those that have failed or were
 * cancelled, which are jobs of no experiment from then on. ENOENT; EMISMATCH if there are none;
 * otherwise as queue_submit.
 */
enum prilora_status experiments_retry(struct store *store, const char *id, const char *key_id,
                                      struct prilora_error *err);
/*
 * experiments_delete - with all its jobs and their adapters, once all are over (else EMISMATCH; as
 * queue_delete otherwise). *ids of those *n jobs; free it.
 */
enum prilora_status experiments_delete(struct store *store, const char *id, char (**ids)[ID_SIZE],
                                       size_t *n, struct prilora_error *err);

/* Experiments whose jobs are all gone because they were kept no longer. */
enum prilora_status experiments_sweep(struct store *store, struct sweep *sweep,
                                      struct prilora_error *err);

/* ---- what came out ---- */

/* A cell's job, as far as the table of results needs it. */
struct outcome {
    char job_id[ID_SIZE];
    enum job_status status;
    int64_t seed;
    char *method, *task;
    char *metric;  /* that its best adapter was chosen by; NULL or "auto": not known yet */
    char *metrics; /* JSON object; NULL unless there is a result */
    char *error;   /* why it failed, or NULL */
    int64_t n_trainable, n_adapter, n_zero; /* parameters; n_trainable 0: not known yet */
    double seconds;                         /* of training; NaN: not known */
};
/* Of all cells that have a job. */
enum prilora_status experiments_outcomes(struct store *store, const char *id, struct outcome **out,
                                         size_t *n, struct prilora_error *err);
void experiments_free_outcomes(struct outcome *list, size_t n);

#endif
