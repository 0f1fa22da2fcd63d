/* files.h - uploaded files: a row each, the bytes at files/<id>. */
#ifndef FILES_H
#define FILES_H

#include "daemon/store.h"
#include "daemon/sweep.h"

struct file {
    char id[ID_SIZE];
    int64_t bytes, created_at, expires_at; /* expires_at 0: never */
    char *filename, *purpose;
    char status[16]; /* "processed" */
    char sha256[65];
    char key_id[ID_SIZE]; /* of the key that it was uploaded with; "": none */
};

/* Where an upload may be spooled: an open file in uploads/, its path in *path (free it). */
int files_spool(struct store *store, char **path, struct prilora_error *err);

/*
 * files_adopt - takes the spooled file at `path` (already synced by the caller) as a new file of
 * key `key_id` ("": nobody's). *out is filled before its row is written: who joins that transaction
 * (store_join) may read it. ELIMIT: beyond the key's quota. On failure the spooled file is left to
 * the caller.
 */
enum prilora_status files_adopt(struct store *store, const char *key_id, const char *path,
                                const char *filename, const char *purpose, int64_t bytes,
                                const char *sha256, int64_t expires_at, struct file *out,
                                struct prilora_error *err);
/* ENOENT: no such file. */
enum prilora_status files_get(struct store *store, const char *id, struct file *out,
                              struct prilora_error *err);
/* ENOENT; EMISMATCH while a job that is not finished needs it. Deletes row and bytes. */
enum prilora_status files_delete(struct store *store, const char *id, struct prilora_error *err);
char *files_path(struct store *store, const char *id); /* free it */

struct files_query {
    const char *after, *purpose; /* NULL: from the first; any */
    bool ascending;
    size_t limit;
};
/* ENOENT if `after` names no file. *out has *n files (free with files_free_list). */
enum prilora_status files_list(struct store *store, const struct files_query *query,
                               struct file **out, size_t *n, bool *has_more,
                               struct prilora_error *err);
void file_clear(struct file *file);
void files_free_list(struct file *files, size_t n);

/* Rows and bytes of files past expires_at, bytes without a row, and what uploads have left on their
 * way. */
enum prilora_status files_sweep(struct store *store, struct sweep *sweep,
                                struct prilora_error *err);

#endif
