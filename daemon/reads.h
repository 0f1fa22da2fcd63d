/*
 * reads.h - data files that jobs of experiments have read. Hundreds of them read the same file in
 * the same way: it is checked and tokenized once, what came of it stands in reads/<key>, and each
 * job's folder has a hard link to it. It stays there, also over a restart, until no job of an
 * experiment waits to be validated; the links go with their jobs.
 *
 * Only the validating thread writes there; reads_trim and the sweep may take anything away at any
 * time, which costs another reading.
 */
#ifndef READS_H
#define READS_H

#include "daemon/files.h"
#include "daemon/store.h"
#include "daemon/sweep.h"

#define READS_KEY_SIZE 65

/* All that the result of a reading depends on. */
struct reading {
    const struct prilora_base *base;
    const struct prilora_spec *spec;     /* its task and max_length */
    const struct file *file;             /* its bytes, and its name, which tells the format */
    const struct prilora_dataset *train; /* whose labels the file must have, or NULL */
};
enum prilora_status reads_key(char key[READS_KEY_SIZE], const struct reading *reading,
                              struct prilora_error *err);

/* What was kept under this key. ENOENT: nothing; other errors mean the same to a caller. */
enum prilora_status reads_find(struct store *store, const char *key, struct prilora_dataset **out,
                               struct prilora_error *err);
enum prilora_status reads_keep(struct store *store, const char *key,
                               const struct prilora_dataset *data, struct prilora_error *err);
/* What was kept, as a file at `path`, on disk for good. ENOENT: it is gone. */
enum prilora_status reads_link(struct store *store, const char *key, const char *path,
                               struct prilora_error *err);

/* Frees what nobody will ask for. */
void reads_trim(struct store *store);
enum prilora_status reads_sweep(struct store *store, struct sweep *sweep,
                                struct prilora_error *err);

#endif
