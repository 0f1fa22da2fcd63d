/*
 * sweep.h - how things that nobody needs any more are found and removed: each module looks through
 * its own (files_sweep, uploads_sweep, ...), and one that is given a dry sweep decides and tells in
 * the same way, but removes nothing.
 */
#ifndef SWEEP_H
#define SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/store.h"

#define SWEEP_STALE_S      86400  /* a temporary file that was not written to for so long */
#define SWEEP_STALE_PULL_S 604800 /* a download of a base model, likewise */

/* Each looks through what those before it do, and more. */
enum sweep_depth {
    SWEEP_USUAL, /* what goes by its time, and uploads: every hour */
    SWEEP_JOBS,  /* every job's folder, which takes as long as there are jobs: at the start */
    SWEEP_ALL,   /* what an earlier call could still make use of: only when somebody asks */
};

struct sweep_item {
    const char *kind; /* "expired_file", ... */
    const char *name; /* below the state folder; a path of its own; or what rows are of */
    const char *why;
    int64_t n, bytes; /* rows, else 1; of files */
};

struct sweep {
    bool is_dry;
    enum sweep_depth depth;
    int64_t keep_jobs_s;         /* jobs that have been over for longer go; 0: none */
    bool (*stop)(void *context); /* asked now and then; NULL: never */
    void (*tell)(void *context, const struct sweep_item *item); /* NULL: nobody listens */
    void *context;
    int64_t n_items, bytes; /* counted here */
};

bool sweep_must_stop(const struct sweep *sweep);
/* What was removed, or would be. */
void sweep_tell(struct sweep *sweep, const char *kind, const char *name, const char *why,
                int64_t bytes);
void sweep_tell_rows(struct sweep *sweep, const char *name, const char *why, int64_t n);

/* What is at `path`, a folder with all that is in it: removed unless the sweep is dry, and told as
 * `item`, whose n and bytes are found here. */
enum prilora_status sweep_tree(struct sweep *sweep, const char *path, const struct sweep_item *item,
                               struct prilora_error *err);

/* Rows up to an instant: counted, told as `name`, and deleted unless the sweep is dry. Both queries
 * have the same condition, with the instant as their parameter. */
struct sweep_rows {
    const char *name, *why, *count_sql, *delete_sql;
    int64_t instant;
};
enum prilora_status sweep_rows(struct store *store, struct sweep *sweep,
                               const struct sweep_rows *rows, struct prilora_error *err);

#endif
