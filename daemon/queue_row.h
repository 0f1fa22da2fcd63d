/*
 * queue_row.h - a row of table jobs and the frame of its changes; between queue.c, queue_steer.c
 * and queue_read.c.
 */
#ifndef QUEUE_ROW_H
#define QUEUE_ROW_H

#include "daemon/queue.h"

/* In the order that queue_read_row expects. */
#define QUEUE_COLUMNS                                                                              \
    "id, status, created_at, started_at, finished_at, priority, seed, attempts, trained_tokens, "  \
    "cancel_requested, pause_requested, step, total_steps, n_tokens, peak_memory_bytes, epoch, "   \
    "loss, tokens_per_second, seconds_left, model, start_from, training_file, validation_file, "   \
    "suffix, metadata, spec, requested, forecast, result, fine_tuned_model, error_code, "          \
    "error_message, error_param, experiment_id, experiment_method, experiment_task"

/* `job` is a struct job; the form that store_collect calls. */
enum prilora_status queue_read_row(sqlite3_stmt *row, void *job, struct prilora_error *err);

/* The rows of a query for ids, into an array that is freed with free. */
enum prilora_status queue_collect_ids(struct store *store, sqlite3_stmt *query,
                                      char (**out)[ID_SIZE], size_t *n, struct prilora_error *err);

/* What queue_submit does inside of its transaction, but for the quota. */
enum prilora_status queue_insert(struct store *store, struct job *job, struct prilora_error *err);

/* EMISMATCH that names a job which still has to copy the adapter of job `id`, if there is one. */
enum prilora_status queue_check_readers(struct store *store, const char *id,
                                        struct prilora_error *err);

/* An event of the queue's own; key as in events_add. */
struct queue_note {
    const char *key, *level, *message;
};
enum prilora_status queue_add_note(struct store *store, const char *id,
                                   const struct queue_note *note, struct prilora_error *err);

/* After an UPDATE of job `id`: an error that says why if it changed no row ("cannot VERB job ...").
 */
enum prilora_status queue_check_changed(struct store *store, const char *id, const char *verb,
                                        struct prilora_error *err);
/* Ends a change that store_begin began: `rc` is how its UPDATE went, `note` (or NULL) its event. */
enum prilora_status queue_end_change(struct store *store, enum prilora_status rc, const char *id,
                                     const char *verb, const struct queue_note *note,
                                     struct prilora_error *err);

/* What a job that is over no longer needs; its adapter stays if `keep`. Failure costs only room. */
void queue_clean_folder(struct store *store, const char *id, bool keep);

/* For /metrics: once, after the commit that ended the job. */
void queue_count_end(const struct job *job);

#endif
