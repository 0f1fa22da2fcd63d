/*
 * pulls.h - the base models that are being brought, each by a thread of its own, and how earlier
 * ones ended. Kept in memory: after a restart what has come is still on disk, and the next pull of
 * the same model goes on with it.
 */
#ifndef PULLS_H
#define PULLS_H

#include "daemon/config.h"
#include "daemon/pull.h"
#include "daemon/store.h"

#define PULLS_MAX_RUNNING 4

struct pulls;

enum pull_status { PULLS_RUNNING, PULLS_SUCCEEDED, PULLS_FAILED, PULLS_CANCELLED };
const char *pull_status_name(enum pull_status status);

/* A copy, of one moment. */
struct pull_view {
    char id[ID_SIZE]; /* "pull-..." */
    char model[PULL_MAX_MODEL + 1], revision[PULL_MAX_REVISION + 1], commit[PULL_COMMIT_SIZE];
    enum pull_status status;
    int64_t created_at, finished_at; /* finished_at 0: not yet */
    bool was_there;
    uint64_t bytes, total_bytes;
    double bytes_per_second;
    struct pull_file *files; /* malloc'ed */
    size_t n_files;
    char code[PULL_CODE_SIZE]; /* "": no error */
    char message[512];
};
void pull_view_clear(struct pull_view *view);

struct pulls_order {
    const char *model, *revision, *token; /* token NULL: the configured one */
    bool force;
};

enum prilora_status pulls_new(struct pulls **out, const struct config *config,
                              struct prilora_error *err);
/* Breaks running ones off, keeping what has come, and waits for their threads. */
void pulls_free(struct pulls *pulls);

/*
 * pulls_start - begins a pull, or finds the running one of the same model and revision. EINVAL: a
 * name or letter that is not taken (err->where says which); EMISMATCH: another revision of the
 * model is being pulled; ELIMIT: PULLS_MAX_RUNNING run already.
 */
enum prilora_status pulls_start(struct pulls *pulls, const struct pulls_order *order,
                                struct pull_view *out, struct prilora_error *err);
/* ENOENT: no such pull (any more: of finished ones the latest are kept). */
enum prilora_status pulls_get(struct pulls *pulls, const char *id, struct pull_view *out,
                              struct prilora_error *err);
/* Newest first. ENOENT: `after` (NULL: from the first) is none. Free with pulls_free_list. */
enum prilora_status pulls_list(struct pulls *pulls, const char *after, size_t limit,
                               struct pull_view **out, size_t *n, bool *has_more,
                               struct prilora_error *err);
void pulls_free_list(struct pull_view *views, size_t n);
/* Asks it to stop, which it does within a second. ENOENT; EMISMATCH: it is over. */
enum prilora_status pulls_cancel(struct pulls *pulls, const char *id, struct pull_view *out,
                                 struct prilora_error *err);

#endif
