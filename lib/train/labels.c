/*
 * labels.c - see labels.h. Collects what label_rows.h describes and chooses the task; which names
 * there are is left to label_set.h, and which numbers a row is to give to label_targets.h.
 */
#include "train/labels.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/label_rows.h"
#include "train/label_set.h"
#include "train/label_targets.h"
#include "train/spec.h"

static enum pl_row_kind kind_of(const struct pl_row *row)
{
    return row->words ? PL_ROW_OF_WORDS : row->is_question ? PL_ROW_OF_QUESTION : PL_ROW_OF_TEXT;
}

bool pl_labels_add(struct pl_labels *labels, const struct pl_row *row, const size_t *places)
{
    const enum pl_row_kind kind = kind_of(row);
    const size_t n = kind == PL_ROW_OF_QUESTION ? 0 : row->n_labels;

    if (!pl_grow(&labels->rows, &labels->room_rows, labels->n_rows + 1, sizeof *labels->rows) ||
        !pl_grow(&labels->items, &labels->room_items, labels->n_items + n, sizeof *labels->items))
        return false;
    labels->rows[labels->n_rows++] =
        (struct pl_label_row){row->line, labels->n_items, n, row->is_list, kind};
    for (size_t i = 0; i < n; i++) {
        const struct pl_label *l = &row->labels[i];

        if (!pl_grow(&labels->texts, &labels->room_texts, labels->n_texts + l->size + 1, 1))
            return false;
        if (l->size)
            memcpy(labels->texts + labels->n_texts, l->text, l->size);
        labels->items[labels->n_items++] =
            (struct pl_label_item){l->kind, labels->n_texts, l->size, l->value,
                                   places ? places[i] : PL_NO_PLACE};
        labels->n_texts += l->size;
    }
    return true;
}

void pl_labels_free(struct pl_labels *labels)
{
    free(labels->items);
    free(labels->rows);
    free(labels->texts);
    *labels = (struct pl_labels){0};
}

static enum prilora_task told_task(const struct pl_labels *labels)
{
    size_t n_of[PL_ROW_OF_QUESTION + 1] = {0}, n_lists = 0, n_scalars, n_real = 0, n_numbers = 0;

    for (size_t i = 0; i < labels->n_rows; i++) {
        const struct pl_label_row *r = &labels->rows[i];

        n_of[r->kind]++;
        if (r->kind != PL_ROW_OF_TEXT)
            continue;
        n_lists += r->is_list;
        if (r->is_list)
            continue;
        n_real += labels->items[r->first].kind == PL_LABEL_REAL;
        n_numbers += labels->items[r->first].kind != PL_LABEL_TEXT;
    }
    n_scalars = n_of[PL_ROW_OF_TEXT] - n_lists;
    if (n_of[PL_ROW_OF_WORDS] > labels->n_rows / 2)
        return PRILORA_TASK_TOKEN_CLASSIFICATION;
    if (n_of[PL_ROW_OF_QUESTION] > labels->n_rows / 2)
        return PRILORA_TASK_QUESTION_ANSWERING;
    if (n_lists > n_scalars)
        return PRILORA_TASK_MULTI_LABEL;
    return n_real && n_numbers > n_scalars / 2 ? PRILORA_TASK_REGRESSION
                                               : PRILORA_TASK_CLASSIFICATION;
}

static enum prilora_status choose_task(enum prilora_task *out, const struct pl_labels *labels,
                                       const struct pl_label_set *set, enum prilora_task wanted,
                                       struct prilora_error *err)
{
    *out = set->task != PRILORA_TASK_AUTO ? set->task
           : wanted != PRILORA_TASK_AUTO  ? wanted
                                          : told_task(labels);
    if (wanted == PRILORA_TASK_AUTO || wanted == *out)
        return PRILORA_OK;
    return pl_fail(err, PRILORA_EINVAL, "the task is %s, but that of the %s is %s",
                   pl_task_word(wanted), set->whose, pl_task_word(*out));
}

/* What the head gives: task, labels and width of `dataset`. The set is to be closed. */
static enum prilora_status make_outputs(struct pl_label_set *set, struct prilora_dataset *dataset,
                                        const struct pl_labels *labels,
                                        const struct prilora_dataset_options *options,
                                        struct prilora_error *err)
{
    enum prilora_status rc = pl_label_set_open(set, options, err);

    if (rc == PRILORA_OK)
        rc = choose_task(&dataset->task, labels, set, options->task, err);
    if (rc == PRILORA_OK)
        rc = pl_label_set_fill(set, dataset, labels, err);
    return rc;
}

enum prilora_status pl_labels_resolve(const struct pl_labels *labels,
                                      struct prilora_dataset *dataset, size_t n_tokens,
                                      const struct prilora_dataset_options *options,
                                      struct pl_bad_rows *bad, struct prilora_error *err)
{
    struct pl_label_set set;
    const struct pl_label_targets targets = {labels, dataset, &set, bad};
    enum prilora_status rc = make_outputs(&set, dataset, labels, options, err);

    if (rc == PRILORA_OK)
        rc = pl_label_targets_make(&targets, n_tokens, err);
    pl_label_set_close(&set);
    return rc;
}

enum prilora_status pl_labels_count(const struct pl_labels *labels, struct prilora_dataset *dataset,
                                    size_t *counts, const struct prilora_dataset_options *options,
                                    struct pl_bad_rows *bad, struct prilora_error *err)
{
    struct pl_label_set set;
    const struct pl_label_targets targets = {labels, dataset, &set, bad};
    enum prilora_status rc = make_outputs(&set, dataset, labels, options, err);

    if (rc == PRILORA_OK)
        rc = pl_label_targets_count(&targets, counts, err);
    pl_label_set_close(&set);
    return rc;
}
