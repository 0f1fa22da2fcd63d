/* labels_file.h - labels.json of an adapter's folder, which pl_export_labels has written. */
#ifndef PL_LABELS_FILE_H
#define PL_LABELS_FILE_H

#include "base/error.h"

struct pl_labels_file {
    enum prilora_task task;
    char **names; /* [n] */
    size_t n;
    char base[65]; /* fingerprint of the base; "": not told */
    struct prilora_spec
        *spec; /* settings of the run that made it; NULL: not told, or not known here */
};

/*
 * pl_labels_file_read - of a folder without one (PEFT writes none): task AUTO, no names.
 * Errors: EFORMAT, ELIMIT, ENOMEM, EIO.
 */
enum prilora_status pl_labels_file_read(struct pl_labels_file *out, const char *folder,
                                        struct prilora_error *err);
void pl_labels_file_free(struct pl_labels_file *file);

#endif
