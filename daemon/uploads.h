/*
 * uploads.h - files that come in parts: each part is a file of its own, parts/<upload>/<part>,
 * until the upload is complete; then the parts are put together as a file (files.h).
 *
 *   pending ──▶ completed
 *      ├──────▶ cancelled
 *      └──────▶ expired      an hour after it was announced
 *
 * Whatever instant the daemon dies at, an upload is still pending with the parts that were
 * answered, or completed with its file: rows are written after the bytes they stand for, and bytes
 * without a row are swept.
 */
#ifndef UPLOADS_H
#define UPLOADS_H

#include "daemon/files.h"

#define UPLOAD_LIFE_S         3600
#define UPLOAD_MAX_PART_BYTES (INT64_C(64) << 20)
#define UPLOAD_MAX_PARTS      10000

enum upload_status { UPLOAD_PENDING, UPLOAD_COMPLETED, UPLOAD_CANCELLED, UPLOAD_EXPIRED };
const char *upload_status_name(enum upload_status status);

struct upload {
    char id[ID_SIZE];      /* "upload_..." */
    char key_id[ID_SIZE];  /* of who announced it; "": nobody had a key */
    char file_id[ID_SIZE]; /* "": not completed */
    enum upload_status status;
    int64_t created_at, expires_at;
    int64_t bytes;          /* announced */
    int64_t file_expires_s; /* life of the file that it becomes; 0: for ever */
    char *filename, *mime_type, *purpose;
};
void upload_clear(struct upload *upload);

/* `upload` gives key_id, bytes, file_expires_s, filename, mime_type, purpose; the rest is filled
 * in. Its row can be read by who joins the transaction (store_join). So it is with all below. */
enum prilora_status uploads_create(struct store *store, struct upload *upload,
                                   struct prilora_error *err);
enum prilora_status uploads_get(struct store *store, const char *id, struct upload *out,
                                struct prilora_error *err); /* ENOENT */
/* Newest first. ENOENT if `after` (NULL: from the first) names no upload. */
enum prilora_status uploads_list(struct store *store, const char *after, size_t limit,
                                 struct upload **out, size_t *n, bool *has_more,
                                 struct prilora_error *err);
void uploads_free_list(struct upload *uploads, size_t n);

/* Pending: cancelled, its parts removed. *out is the upload afterwards. ENOENT; EMISMATCH: it is
 * no longer pending. */
enum prilora_status uploads_cancel(struct store *store, const char *id, struct upload *out,
                                   struct prilora_error *err);

struct upload_part {
    char id[ID_SIZE]; /* "part_..." */
    char upload_id[ID_SIZE];
    int64_t created_at, bytes;
    char sha256[65];
};

/*
 * uploads_add_part - takes the spooled file at `path` (already synced) as a part. `part` gives
 * upload_id, bytes and sha256. ENOENT; EMISMATCH: not pending; ELIMIT: parts that are sent twice
 * are room for once more than what was announced. On failure the spooled file is the caller's.
 */
enum prilora_status uploads_add_part(struct store *store, const char *path,
                                     struct upload_part *part, struct prilora_error *err);

struct upload_order {
    const char *const *part_ids; /* in the order of their bytes */
    size_t n_parts;
    const char *md5;             /* 32 hexadecimal digits, or NULL */
    struct store_joined *joined; /* also in the transaction that completes it, or NULL */
    bool (*stop)(void *context); /* asked now and then; NULL: never */
    void *stop_context;
};

/*
 * uploads_complete - reads all parts once, which takes seconds for gigabytes: they are copied into
 * one file and hashed on the way, a piece at a time.
 *
 * ENOENT: no such upload. EMISMATCH: it is not pending, or no longer when all was read. EINVAL with
 * err->where, a pointer into {"part_ids": [...], "md5"}: not these parts; it stays pending. ENOSPC:
 * the disk is full. ELIMIT: beyond the key's quota. ESTOPPED.
 */
enum prilora_status uploads_complete(struct store *store, const char *id,
                                     const struct upload_order *order, struct prilora_error *err);

/* Parts of uploads past their time, bytes without a row, rows that nobody asks for any more. */
enum prilora_status uploads_sweep(struct store *store, struct sweep *sweep,
                                  struct prilora_error *err);

/* parts/<upload>[/<part>]; NULL: no id of ours, or out of memory. Free it. */
char *uploads_path(struct store *store, const char *id, const char *part_id);
/* Inside of a transaction or not: the upload, if it is pending; else EMISMATCH, ENOENT. */
enum prilora_status uploads_get_pending(struct store *store, const char *id, struct upload *out,
                                        struct prilora_error *err);

#endif
