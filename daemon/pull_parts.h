/* pull_parts.h - what the files pull*.c share; see pull.h. */
#ifndef PULL_PARTS_H
#define PULL_PARTS_H

#include <curl/curl.h>
#include <jansson.h>

#include "daemon/pull.h"

struct pull {
    const struct pull_request *request;
    struct pull_result *result;
    CURL *curl;
    json_t *siblings; /* the listing's files */
    struct pull_file files[PULL_MAX_FILES];
    size_t n_files;
    char *folder; /* where the model belongs */
    char *parent; /* above it */
    char *work;   /* hidden, in parent: what has come; NULL: not made */
    int lock;     /* of work, open and locked; -1: none */
    bool made_parent;
    /* for on_progress */
    double told_at, measured_at;
    uint64_t n_received, n_measured; /* bytes from the hub, in all and when last measured */
    double bytes_per_second;
};

/* Fills *err and the result's code; returns `status`. */
enum prilora_status pull_fail(struct pull *pull, enum prilora_status status, const char *code,
                              struct prilora_error *err, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* ESTOPPED if the flag is raised. */
enum prilora_status pull_go_on(struct pull *pull, struct prilora_error *err);
/* Tells the progress, if `now` or if it is time. */
void pull_tell(struct pull *pull, bool now);

/* ---- pull_list.c: what the hub has, and what of it is needed ---- */

/* The commit and the siblings. */
enum prilora_status pull_list(struct pull *pull, struct prilora_error *err);
enum prilora_status pull_take_listing(struct pull *pull, const char *text,
                                      struct prilora_error *err);
/* config.json, tokenizer files, and one file of weights or the index of several. */
enum prilora_status pull_choose(struct pull *pull, struct prilora_error *err);
/* The shards that the index in `folder` names, if there is one. */
enum prilora_status pull_choose_shards(struct pull *pull, const char *folder,
                                       struct prilora_error *err);
struct pull_file *pull_find(struct pull *pull, const char *name); /* NULL: not chosen */

/* ---- pull_fetch.c: transfers, again and again until they are whole ---- */

enum prilora_status pull_fetch_text(struct pull *pull, const char *url, char **out,
                                    struct prilora_error *err);
/* Into <work>/<name>, checked. Goes on with what is there of it. */
enum prilora_status pull_fetch_file(struct pull *pull, struct pull_file *file,
                                    struct prilora_error *err);

/* ---- pull_http.c: one transfer ---- */

#define PULL_MAX_ETAG 160

struct pull_sink {
    int fd;                   /* -1: into text */
    uint64_t offset;          /* bytes that are there */
    uint64_t limit;           /* more is an error */
    char *text;               /* with a NUL after it */
    size_t room;              /* of text */
    char etag[PULL_MAX_ETAG]; /* of the bytes that are there, if it is a strong one; "": none */
    struct pull_file *file;   /* which it is; NULL: none */
};

enum pull_verdict { PULL_WHOLE, PULL_AGAIN, PULL_GIVE_UP };

/* The digest that an entity tag is, on a hub: of large files SHA-256, of small ones git's. */
void pull_take_digest(struct pull_file *file, const char *etag);
enum prilora_status pull_http_open(struct pull *pull, struct prilora_error *err);
/*
 * pull_get - one GET, from sink->offset on. PULL_AGAIN: it broke, and another one may do better, in
 * *retry_after_s seconds if that is not 0. On anything but PULL_WHOLE *err says why.
 */
enum pull_verdict pull_get(struct pull *pull, const char *url, struct pull_sink *sink,
                           long *retry_after_s, struct prilora_error *err);

/* ---- pull_digest.c ---- */

/* Whether the file has the size and digest that the hub tells; unknown ones are not compared. */
enum prilora_status pull_verify(struct pull *pull, const char *path, const struct pull_file *file,
                                bool *same, struct prilora_error *err);

/* ---- pull_place.c: the work folder, and the exchange with what was there ---- */

enum prilora_status pull_place_find(struct pull *pull, struct prilora_error *err);
/* Whether all files of this commit are in the model's place. */
enum prilora_status pull_place_is_done(struct pull *pull, bool *done, struct prilora_error *err);
/* Makes and locks the work folder; another commit's is removed. */
enum prilora_status pull_place_open(struct pull *pull, struct prilora_error *err);
/* Files that are there already are taken over by a link: nobody transfers them again. */
enum prilora_status pull_place_reuse(struct pull *pull, struct prilora_error *err);
enum prilora_status pull_place_check_room(struct pull *pull, struct prilora_error *err);
enum prilora_status pull_place_commit(struct pull *pull, struct prilora_error *err);
/* keep: what has come stays for the next pull. */
void pull_place_close(struct pull *pull, bool keep);

#endif
