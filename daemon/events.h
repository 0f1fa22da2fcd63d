/*
 * events.h - what happened to a job, in order: messages, step metrics, layer statistics at each
 * pruning, checkpoints. Written by the queue and the workers, read by anyone.
 */
#ifndef EVENTS_H
#define EVENTS_H

#include "daemon/store.h"

struct event {
    char id[ID_SIZE]; /* "ftevent-..." */
    int64_t sequence; /* grows over all events of the daemon */
    int64_t created_at;
    char level[8]; /* "info", "warn", "error" */
    char type[16]; /* "message" or "metrics" */
    char *message;
    char *data; /* JSON object or NULL */
};

/*
 * events_add - inside the caller's transaction if there is one. `key` names the event within its
 * job ("step:40:pruning"): a second one of the same key is not written, so that a job which
 * resumes from a checkpoint does not tell its story twice. NULL: always written.
 */
enum prilora_status events_add(struct store *store, const char *job_id, const char *key,
                               const char *level, const char *type, const char *message,
                               const char *data, struct prilora_error *err);
/* A message of a worker, who may not know yet that a client has ended the job: then it is not
 * written, for the end is the last that is told. */
enum prilora_status events_add_before_end(struct store *store, const char *job_id, const char *key,
                                          const char *level, const char *message,
                                          struct prilora_error *err);

struct events_query {
    const char *job_id, *after; /* after: id of an event, or NULL */
    bool ascending;             /* oldest first; else newest first */
    size_t limit;
};
/* ENOENT if `after` names no event of the job. */
enum prilora_status events_list(struct store *store, const struct events_query *query,
                                struct event **out, size_t *n, bool *has_more,
                                struct prilora_error *err);
/* The same, oldest first, from what follows the event with this sequence number (0: the first). */
enum prilora_status events_list_after(struct store *store, const char *job_id, int64_t sequence,
                                      size_t limit, struct event **out, size_t *n, bool *has_more,
                                      struct prilora_error *err);
void events_free_list(struct event *events, size_t n);
/*
 * events_last_data - of a job's events whose key matches `key` ("step:*:evaluation"), the last
 * one's data, unless one whose key matches `closed_by` follows it. *data NULL: none; free it.
 */
enum prilora_status events_last_data(struct store *store, const char *job_id, const char *key,
                                     const char *closed_by, char **data, struct prilora_error *err);

/* Rows of a job's series: one JSON object each, by step. Written again under the same step, the row
 * is replaced. */
enum series { SERIES_METRICS, SERIES_LAYERS, SERIES_CHECKPOINTS };
enum prilora_status series_put(struct store *store, enum series series, const char *job_id,
                               uint64_t step, const char *json, struct prilora_error *err);

/* The same, but members that the row already has stay: a step's row and its evaluation's are one.
 */
enum prilora_status series_merge(struct store *store, enum series series, const char *job_id,
                                 uint64_t step, const char *json, struct prilora_error *err);

struct series_row {
    uint64_t step;
    int64_t revision; /* grows over all changes of rows in the job's series */
    int64_t created_at;
    char *json;
};
/* Rows with step > after (after < 0: all), ascending, or descending with step < after
 * (after < 0: from the last). */
enum prilora_status series_list(struct store *store, enum series series, const char *job_id,
                                int64_t after, bool ascending, size_t limit,
                                struct series_row **out, size_t *n, bool *has_more,
                                struct prilora_error *err);
/* The same by revision, in order: what was written, or written again, since `revision` (0: all). */
enum prilora_status series_list_changed(struct store *store, enum series series, const char *job_id,
                                        int64_t revision, size_t limit, struct series_row **out,
                                        size_t *n, bool *has_more, struct prilora_error *err);
void series_free_list(struct series_row *rows, size_t n);

/*
 * Told after commit of everything written about a job, on the writer's thread: quick, no waiting.
 * For live streams. One subscriber; NULL unsubscribes.
 */
void events_subscribe(void (*notify)(void *context, const char *job_id), void *context);
void events_notify(const char *job_id);

#endif
