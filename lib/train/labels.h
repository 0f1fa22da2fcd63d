/*
 * labels.h - from labels as they stand in a file to the task, its label set and the targets.
 *
 * Told from the labels unless the options, the training data or an adapter say so: most rows with
 * words: token classification; most questions with contexts: question answering; most with a list:
 * multi-label; most labels numbers and one of them real (written with a point or an exponent):
 * regression; else classification. Classes 0..k-1 keep their numbers, other names are sorted by
 * their bytes. A GLUE task settles all of it; its labels stand in a file as names or as class
 * numbers.
 */
#ifndef PL_LABELS_H
#define PL_LABELS_H

#include "train/bad_rows.h"
#include "train/dataset.h"
#include "train/rows.h"

struct pl_label_item;
struct pl_label_row;

/* The labels of all good rows; start with {0}. */
struct pl_labels {
    struct pl_label_item *items;
    struct pl_label_row *rows;
    char *texts;
    size_t n_items, n_rows, n_texts;
    size_t room_items, room_rows, room_texts;
};

/*
 * pl_labels_add - a good row's. places [row->n_labels]: of words, the tokens whose targets their
 * tags are (PL_NO_PLACE: none, for it was cut off); NULL: none has any. False: out of memory.
 */
#define PL_NO_PLACE SIZE_MAX
bool pl_labels_add(struct pl_labels *labels, const struct pl_row *row, const size_t *places);
void pl_labels_free(struct pl_labels *labels);

/*
 * pl_labels_resolve - fills task, width, n_labels, labels and targets of `dataset`, whose n is
 * labels->n_rows and which has n_tokens tokens; of question answering no targets, which whoever
 * made its examples has. A row whose label does not suit is added to `bad`.
 * Errors: ELIMIT above PL_MAX_LABELS; EDATA if a classification has fewer than two labels and no
 * row is bad; EINVAL if options->task is not that of the training data or of the adapter; those of
 * pl_labels_file_read; ENOMEM.
 */
enum prilora_status pl_labels_resolve(const struct pl_labels *labels,
                                      struct prilora_dataset *dataset, size_t n_tokens,
                                      const struct prilora_dataset_options *options,
                                      struct pl_bad_rows *bad, struct prilora_error *err);

/*
 * pl_labels_count - the same without targets, which take room for every row: counts[PL_MAX_LABELS],
 * zeroed by the caller, tells how often each label of `dataset` occurs. Errors: the same.
 */
enum prilora_status pl_labels_count(const struct pl_labels *labels, struct prilora_dataset *dataset,
                                    size_t *counts, const struct prilora_dataset_options *options,
                                    struct pl_bad_rows *bad, struct prilora_error *err);

#endif
