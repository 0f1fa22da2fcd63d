/* adapter_files.h - a finished job's adapter folder: the files in it, in a fixed order. */
#ifndef ADAPTER_FILES_H
#define ADAPTER_FILES_H

#include <stdint.h>

#include "daemon/queue.h"

#define ADAPTER_MAX_FILES 32

struct adapter_files {
    char *folder;
    size_t n;
    char *names[ADAPTER_MAX_FILES]; /* by strcmp; letters, digits, '.', '_' and '-' only */
    uint64_t sizes[ADAPTER_MAX_FILES];
};

/* ENOENT: the job has no adapter. Clear it in any case. */
enum prilora_status adapter_files_read(struct store *store, const struct job *job,
                                       struct adapter_files *out, struct prilora_error *err);
/* Files go one by one, after the row that names them: whoever has opened some has all of them if
 * this is false then. */
bool adapter_files_are_gone(struct store *store, const struct job *job);
void adapter_files_clear(struct adapter_files *files);

#endif
