/*
 * label_set.h - the names of the head's outputs, and which of them a label is.
 *
 * They are settled by training data, by a GLUE task, by an adapter, or by a task whose outputs no
 * label stands for; else they are the names that the labels have.
 */
#ifndef PL_LABEL_SET_H
#define PL_LABEL_SET_H

#include "train/glue.h"
#include "train/label_rows.h"
#include "train/labels_file.h"

struct pl_label_name;

struct pl_label_set {
    enum prilora_task task;      /* that is settled; AUTO: none is */
    const struct pl_glue *glue;  /* then a class number will do for a name; NULL: no such task */
    const char *whose;           /* who settles it, for messages */
    const char *const *settled;  /* [n_settled] names, by number */
    size_t n_settled;            /* 0: the labels tell them */
    struct pl_labels_file file;  /* where an adapter's stand */
    char *const *labels;         /* [n] names by number; they are the data set's */
    struct pl_label_name *names; /* [n] the same by their bytes */
    size_t n;
};

/*
 * pl_label_set_open - finds what is settled before any label is seen; what `options` point to must
 * stay. To be closed after an error, too. Errors: those of pl_labels_file_read.
 */
enum prilora_status pl_label_set_open(struct pl_label_set *set,
                                      const struct prilora_dataset_options *options,
                                      struct prilora_error *err);
void pl_label_set_close(struct pl_label_set *set);

/*
 * pl_label_set_fill - makes the set for the task of `dataset`, and its labels, n_labels and width;
 * it must outlive the set. A label that cannot be a name is passed over.
 * Errors: ELIMIT above PL_MAX_LABELS; ENOMEM.
 */
enum prilora_status pl_label_set_fill(struct pl_label_set *set, struct prilora_dataset *dataset,
                                      const struct pl_labels *labels, struct prilora_error *err);

/* pl_label_set_find - the number of an item of `labels`; false, with the reason: it has none. */
bool pl_label_set_find(const struct pl_label_set *set, const struct pl_labels *labels,
                       const struct pl_label_item *item, size_t *number,
                       char reason[PL_MAX_REASON]);

#endif
