/* queue_row.h - a row of table jobs, between queue.c and queue_read.c. */
#ifndef QUEUE_ROW_H
#define QUEUE_ROW_H

#include "daemon/queue.h"

/* In the order that queue_read_row expects. */
#define QUEUE_COLUMNS                                                                              \
    "id, status, created_at, started_at, finished_at, priority, seed, attempts, trained_tokens, "  \
    "cancel_requested, step, total_steps, n_tokens, peak_memory_bytes, epoch, loss, "              \
    "tokens_per_second, seconds_left, model, training_file, validation_file, suffix, metadata, "   \
    "spec, requested, forecast, result, fine_tuned_model, error_code, error_message, error_param"

/* `job` is a struct job; the form that store_collect calls. */
enum prilora_status queue_read_row(sqlite3_stmt *row, void *job, struct prilora_error *err);

#endif
