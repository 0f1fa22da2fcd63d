/*
 * pull.h - bringing a base model from a hub that serves Hugging Face's addresses.
 *
 *   {endpoint}/api/models/{model}/revision/{revision}   which files there are, and the commit
 *   {endpoint}/{model}/resolve/{commit}/{file}          one file; may lead to another host
 *
 * All files are of the one commit that the revision named when the pull began. They come into a
 * hidden folder beside the model's place, are compared with the sizes and digests that the hub
 * tells, and take their place together: whole or not at all. What a broken pull has left there is
 * gone on with by the next one of the same commit.
 */
#ifndef PULL_H
#define PULL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "prilora.h"

#define PULL_MAX_FILES    512
#define PULL_MAX_NAME     96
#define PULL_MAX_MODEL    200
#define PULL_MAX_REVISION 128
#define PULL_MAX_TOKEN    512
#define PULL_COMMIT_SIZE  65
#define PULL_CODE_SIZE    32
#define PULL_STALL_S      60
#define PULL_RETRY_MS     1000

struct pull_file {
    char name[PULL_MAX_NAME];
    uint64_t bytes;       /* there so far */
    uint64_t total_bytes; /* 0: the hub does not tell */
    char sha256[65];      /* of the contents; "": not known */
    char blob[41];        /* their git blob's SHA-1; "": not known */
    bool is_whole;        /* all there, and compared with these */
};

struct pull_progress {
    const char *commit; /* "": not known yet */
    const struct pull_file *files;
    size_t n_files;
    uint64_t bytes, total_bytes; /* of all files */
    uint64_t n_received;         /* that came from the hub in this pull */
    double bytes_per_second;     /* in the last seconds */
};

/* The stop flag's values: what has come is kept for the next pull, or removed. */
enum { PULL_GO = 0, PULL_STOP, PULL_CANCEL };

struct pull_request {
    const char *endpoint;   /* "https://huggingface.co"; http only if it says so itself */
    const char *token;      /* NULL or "": none; never sent to another host */
    const char *model;      /* "owner/name" or "name" */
    const char *revision;   /* branch, tag or commit */
    const char *models_dir; /* the model becomes the folder <models_dir>/<model> ... */
    const char *folder;     /* ... or, if this is not NULL, this one */
    uint64_t max_bytes;     /* of all files together; 0: any */
    bool force;             /* transfer what is there already, and replace what others made */
    long stall_s, retry_ms; /* 0: PULL_STALL_S, PULL_RETRY_MS; the latter doubles */
    const atomic_int *stop; /* may be NULL */
    void *context;
    /* About once a second while anything comes, and whenever a file is complete. May be NULL. */
    void (*on_progress)(void *context, const struct pull_progress *progress);
};

struct pull_result {
    char code[PULL_CODE_SIZE]; /* what failed, as a word: "not_found", "digest_mismatch", ... */
    char commit[PULL_COMMIT_SIZE];
    bool was_there; /* complete before: nothing was transferred but the listing */
};

/*
 * pull_model - does all of it, on the caller's thread. Errors: EINVAL: a name or letter that is not
 * taken; ENOENT: the hub has no such model or revision; EUNSUPPORTED: not for this program, found
 * out from its config.json before any weights come; EFORMAT: what came is not what the hub said;
 * ELIMIT: too large, or no room; ESTOPPED; EIO: all else. *result is filled in any case.
 */
enum prilora_status pull_model(const struct pull_request *request, struct pull_result *result,
                               struct prilora_error *err);

/* "owner/name" or "name", revision, token: letters that are safe in addresses and paths. EINVAL;
 * err->where is "model", "revision" or "token". token may be NULL. */
enum prilora_status pull_check_names(const char *model, const char *revision, const char *token,
                                     struct prilora_error *err);
/* NULL, or what is wrong with a hub's address. */
const char *pull_check_endpoint(const char *endpoint);

#endif
