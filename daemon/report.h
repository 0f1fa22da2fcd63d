/* report.h - what a run tells while it trains, written for readers. */
#ifndef REPORT_H
#define REPORT_H

#include <jansson.h>

#include "daemon/queue.h"

#define REPORT_MAX_ROWS 8192 /* kept while the database cannot be written; older ones are lost */

struct report_row {
    uint64_t step;
    char *json;
};

struct report {
    struct store *store;
    const char *job_id;
    struct prilora_run *run; /* set once it is open */
    struct job_progress progress;
    struct report_row *rows; /* of the metrics series, not written yet */
    size_t n_rows, room, n_lost;
    double flushed_at, warned_at; /* seconds, monotonic */
    double told_at;               /* the last event of the run; 0: none yet */
    double train_loss;            /* of the last step */
    char *evaluation;             /* JSON of the last one, until its checkpoint is on disk */
    char trouble[512];            /* what the database said, until it can be written again */
};

void report_open(struct report *report, struct store *store, const char *job_id);
void report_close(struct report *report);
/* prilora_run_options.on_event; `report` is a struct report. */
void report_event(void *report, const struct prilora_event *event);
/* The run goes on from the checkpoint of that step: it is told of if the daemon ended before. */
void report_resumed(struct report *report, uint64_t step);
/* The layers as they were exported: the last row of their series. */
void report_exported(struct report *report);
/* Writes what has gathered. Errors are logged, the rows kept for the next time. */
void report_flush(struct report *report);

/* {"accuracy": 0.9, ...}; "loss" is called valid_loss. A new reference. */
json_t *report_values(const struct prilora_value *values, size_t n);

/* One adapted map with all its numbers, as the layers series has it. A new reference. */
json_t *report_layer(const struct prilora_layer *layer);

#endif
