/*
 * queue.h - the jobs. All SQL on them is in queue_read.c and in queue.c, queue_claim.c and
 * queue_steer.c (changes); every change of state is one guarded update, and its event is written in
 * the same transaction.
 *
 *   validating_files ──▶ queued ──▶ running ──▶ succeeded
 *       │      │          │  ▲ ▲        │  ├───▶ failed
 *       │      └─▶ failed │  │ └────────┘  └───▶ cancelled    (running ▶ queued: shutdown or crash)
 *       │                 ▼  │          │
 *       └─────────────▶ paused ◀────────┘          (paused ▶ queued: resumed)
 *
 * What has not trained yet is cancelled at once, from any of the first four. What has is cancelled
 * by a worker, which writes its best adapter; queued or paused, it waits for one in state queued.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include "daemon/store.h"
#include "daemon/sweep.h"

enum job_status {
    JOB_VALIDATING,
    JOB_QUEUED,
    JOB_RUNNING,
    JOB_PAUSED,
    JOB_SUCCEEDED,
    JOB_FAILED,
    JOB_CANCELLED,
};
const char *job_status_name(enum job_status status); /* "validating_files", ... */
/* The status of a name of `n` bytes; false: there is none. */
bool job_status_parse(const char *name, size_t n, enum job_status *out);

/* Where a running job stands; kept in the row now and then, live in live.h. */
struct job_progress {
    uint64_t step, total_steps, n_tokens;
    double epoch, loss, tokens_per_second, seconds_left;
    uint64_t peak_memory_bytes; /* of the process while the job ran */
    int64_t updated_at;         /* when a running job said so; not kept in the row */
};

struct job {
    char id[ID_SIZE];
    enum job_status status;
    int64_t created_at, started_at, finished_at; /* 0: not yet */
    int64_t priority;                            /* higher first; then older first */
    int64_t seed;
    char *model;      /* the base model's id */
    char *start_from; /* the fine-tuned model it goes on from, or NULL */
    char *training_file, *validation_file, *suffix; /* the last two may be NULL */
    char *metadata;                                 /* JSON object or NULL */
    char *spec;      /* JSON for prilora_spec_parse; after validation every setting spelled out */
    char *requested; /* JSON: {"hyperparameters", "method"} as the client sent them */
    char *forecast;  /* JSON or NULL: memory_bytes, total_steps, ... */
    char *result;    /* JSON or NULL: final metrics, labels, sizes */
    char *fine_tuned_model;                                 /* NULL until there is an adapter */
    char *error_code, *error_message, *error_param;         /* NULL unless failed */
    char *experiment, *experiment_method, *experiment_task; /* its cell; NULL: of no experiment */
    uint64_t trained_tokens;
    int64_t attempts; /* times a worker has begun it */
    bool cancel_requested;
    bool pause_requested; /* and not there yet: running or being validated */
    char key_id[ID_SIZE]; /* for queue_submit only: the key that it came with; "": none */
    char *ranks_message, *ranks_data; /* likewise: an event, and its data as JSON, of how its ranks
                                         were found; NULL: none */
    struct job_progress progress;
};
void job_clear(struct job *job);

/* Writes the job (validating_files) and its first event. `job` gives priority, seed, model ..
 * requested, forecast, key_id; id, status and times are filled in. ENOENT, `where` the member: a
 * file or start_from is not there; ELIMIT: beyond the key's quota. */
enum prilora_status queue_submit(struct store *store, struct job *job, struct prilora_error *err);
enum prilora_status queue_get(struct store *store, const char *id, struct job *out,
                              struct prilora_error *err); /* ENOENT */

struct queue_query {
    const char *after;
    size_t limit;
    unsigned statuses;           /* bit JOB_...: those; 0: any */
    const char *experiment;      /* of this one; NULL: any */
    const char *const *metadata; /* pairs key, value; NULL-terminated; NULL: any */
};
/* Newest first. ENOENT if `after` names no job. */
enum prilora_status queue_list(struct store *store, const struct queue_query *query,
                               struct job **out, size_t *n, bool *has_more,
                               struct prilora_error *err);
void queue_free_list(struct job *jobs, size_t n);

/* ---- for clients: *out is the job afterwards; ENOENT, or EMISMATCH from a wrong state ---- */

/*
 * queue_cancel - not trained yet: cancelled at once. Running: asks its worker, which stops within a
 * step and exports the best adapter so far. Queued again or paused with a checkpoint: a worker
 * takes it up only to export; cancelled once more while it waits for one, it ends at once, without.
 */
enum prilora_status queue_cancel(struct store *store, const char *id, struct job *out,
                                 struct prilora_error *err);

/*
 * queue_pause - queued: paused at once. Running: its worker writes a checkpoint within a step and
 * takes the next job. Being validated: paused when it is. A job that ends before it gets there has
 * ended. Asked again meanwhile: no harm.
 */
enum prilora_status queue_pause(struct store *store, const char *id, struct job *out,
                                struct prilora_error *err);
/* From paused to queued, or takes back a pause that was asked for. */
enum prilora_status queue_resume(struct store *store, const char *id, struct job *out,
                                 struct prilora_error *err);

struct queue_edit {
    bool has_priority; /* only of jobs that are not over */
    int64_t priority;
    char *metadata; /* JSON object; NULL: as it is */
};
enum prilora_status queue_edit(struct store *store, const char *id, const struct queue_edit *edit,
                               struct job *out, struct prilora_error *err);

/*
 * queue_delete - a job that is over, with its events, series, adapter and folder. EMISMATCH also
 * while a job that is being validated starts from its adapter (after that it has a copy).
 */
enum prilora_status queue_delete(struct store *store, const char *id, struct prilora_error *err);

/*
 * queue_steer_all - queue_cancel, queue_pause or queue_resume of all jobs of an experiment that it
 * does anything to, in one transaction; *n of them. What is being cancelled already is left alone.
 */
enum queue_verb { QUEUE_CANCEL, QUEUE_PAUSE, QUEUE_RESUME };
enum prilora_status queue_steer_all(struct store *store, const char *experiment,
                                    enum queue_verb verb, size_t *n, struct prilora_error *err);

/* ---- for the workers ---- */

/*
 * queue_claim - the next job in state `from` (validating; or queued: cancelled ones first), which
 * one UPDATE ... RETURNING hands to this caller: *found false if there is none. Queued ones become
 * running. Some have to wait, which their events tell:
 *  - All that runs shall need `memory_limit` bytes at most, by the forecasts, a base model that
 *    several use counted once (0: no limit). What would not fit even alone, as the limit has been
 *    lowered, is passed over; else the first in line waits until it fits, and the others behind it.
 *  - A job under which the daemon has died QUEUE_MAX_DEATHS - 1 times is alone until its next
 *    checkpoint (validations wait, too): no other shall be held to account for its next death.
 */
enum prilora_status queue_claim(struct store *store, enum job_status from, uint64_t memory_limit,
                                struct job *out, bool *found, struct prilora_error *err);
enum prilora_status queue_validated(struct store *store, const char *id, const char *spec,
                                    const char *forecast, struct prilora_error *err);
/* A validation that was stopped starts over when a worker claims the job again. */
enum prilora_status queue_unclaim(struct store *store, const char *id, struct prilora_error *err);
enum prilora_status queue_progress(struct store *store, const char *id,
                                   const struct job_progress *progress, struct prilora_error *err);
/* A running job that was stopped (attempts as before it): to paused if that was asked and it is not
 * being cancelled, else to queued again, `why` being the event. */
enum prilora_status queue_requeue(struct store *store, const char *id, const char *why,
                                  struct prilora_error *err);

/* Settings that only the opened run knows ("auto" resolved): spelled out in the running job. */
enum prilora_status queue_set_spec(struct store *store, const char *id, const char *spec,
                                   struct prilora_error *err);
/* A checkpoint is on disk: the daemon's deaths before it are forgiven. */
enum prilora_status queue_checkpointed(struct store *store, const char *id,
                                       struct prilora_error *err);

struct job_end {
    enum job_status status;                               /* succeeded, failed or cancelled */
    const char *error_code, *error_message, *error_param; /* failed */
    const char *fine_tuned_model, *result;                /* NULL: none */
    uint64_t trained_tokens;
};
enum prilora_status queue_finish(struct store *store, const char *id, const struct job_end *end,
                                 struct prilora_error *err);
/*
 * queue_recover - at start: what was running goes back to queued (to paused, if that was asked),
 * with an event; validating starts over. A job under which the daemon died QUEUE_MAX_DEATHS times
 * without a checkpoint in between fails ("daemon_died"): it may be what kills it.
 */
#define QUEUE_MAX_DEATHS 3
enum prilora_status queue_recover(struct store *store, size_t *n_requeued,
                                  struct prilora_error *err);

/* What is in folders of no job, what finished jobs left beside their adapters, and adapters that no
 * model stands for; of the others what was only on its way, if the sweep is deep enough. */
enum prilora_status queue_sweep(struct store *store, struct sweep *sweep,
                                struct prilora_error *err);
/* Jobs that have been over for longer than they are kept, adapters and all; of an experiment only
 * when all its jobs are over. */
enum prilora_status queue_sweep_old(struct store *store, struct sweep *sweep,
                                    struct prilora_error *err);

/* Jobs by state: counts[JOB_CANCELLED + 1]. */
enum prilora_status queue_counts(struct store *store, uint64_t *counts, struct prilora_error *err);

/* A finished adapter by the name in fine_tuned_model. ENOENT. */
enum prilora_status queue_find_model(struct store *store, const char *model, struct job *out,
                                     struct prilora_error *err);
/* All jobs with a fine_tuned_model, newest first. */
enum prilora_status queue_list_models(struct store *store, struct job **out, size_t *n,
                                      struct prilora_error *err);
/* Forgets the adapter of a finished job (row's fine_tuned_model and the folder). EMISMATCH while a
 * job that is being validated starts from it. */
enum prilora_status queue_delete_model(struct store *store, const char *model,
                                       struct prilora_error *err);

char *queue_folder(struct store *store, const char *id,
                   const char *name); /* jobs/<id>/<name>; free */

/* Workers sleep here until something is queued, `timeout_ms` passes or queue_wake is called. */
void queue_wait(struct store *store, long timeout_ms);
void queue_wake(struct store *store);

#endif
