/* adapter_labels.h - what labels.json says of an adapter that was exported here. */
#ifndef PL_ADAPTER_LABELS_H
#define PL_ADAPTER_LABELS_H

#include "train/import.h"
#include "train/measure.h"

/* Everything that is absent is zero: PEFT's own folders have no such file. */
struct pl_adapter_labels {
    enum prilora_task task;
    size_t n;
    char **names;      /* [n] */
    size_t max_length; /* tokens */
    size_t doc_stride; /* of question answering: tokens; 0: the default */
    struct pl_answer_rules answers;
    char *path; /* of the file, for messages */
};

/*
 * Errors: EFORMAT: not JSON, or a member of another type; EMISMATCH if it names another base than
 * the one with `fingerprint`. *out needs no freeing then.
 */
enum prilora_status pl_adapter_labels_read(struct pl_adapter_labels *out, const char *folder,
                                           const char *fingerprint, struct prilora_error *err);
void pl_adapter_labels_free(struct pl_adapter_labels *labels);

/*
 * pl_adapter_labels_complete - what the file did not say: the task is that of PEFT's task_type;
 * where this is true of several, a head of one output is a regression, any other a classification,
 * with the names of the base's config.json if they are as many, else
 * LABEL_0, LABEL_1, ... And max_length is at most what the model reads. Errors: EFORMAT: there is
 * no classifier, or one of too many outputs, or of other than two for answers.
 */
enum prilora_status pl_adapter_labels_complete(struct pl_adapter_labels *labels,
                                               const struct pl_import *in,
                                               const struct pl_model *model,
                                               struct prilora_error *err);

#endif
