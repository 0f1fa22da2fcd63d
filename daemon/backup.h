/*
 * backup.h - all that cannot be had again, as it is in one moment: the database, uploaded files,
 * parts of uploads, adapters, and what jobs that are not over need to go on. Not in it: base
 * models, and what is on its way.
 *
 * The moment is one in which nobody can write to the database: hard links to the files are made in
 * it, below backups/ of the state folder, so that they may be deleted or replaced afterwards while
 * they are still read here. It is as if the daemon had been killed then, which loses nothing.
 */
#ifndef BACKUP_H
#define BACKUP_H

#include "daemon/store.h"

#define BACKUP_MAX_NAME 99 /* bytes of a member's name: what an archive of 1988 has room for */

struct backup_member {
    char *name; /* below the state folder: "prilorad.db", "files/file-...", "jobs/ftjob-.../..." */
    char *path; /* where its bytes are, until the backup is closed */
    uint64_t bytes;
    int64_t modified_at;
};

struct backup {
    char *folder; /* of the links */
    int64_t created_at;
    struct backup_member *members; /* the database first */
    size_t n, room;
    char **missing; /* names of what the database has, and the state folder had not */
    size_t n_missing;
};

/* ELIMIT: the disk is full. EUNSUPPORTED: the file system has no hard links. */
enum prilora_status backup_open(struct backup **out, struct store *store,
                                struct prilora_error *err);
void backup_close(struct backup *backup); /* accepts NULL; the links go */

#endif
