/* label_targets.c - see label_targets.h. */
#include "train/label_targets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/task.h"
#include "train/spec.h"

static bool of_words(const struct prilora_dataset *dataset)
{
    return dataset->task == PRILORA_TASK_TOKEN_CLASSIFICATION;
}

static bool of_questions(const struct prilora_dataset *dataset)
{
    return dataset->task == PRILORA_TASK_QUESTION_ANSWERING;
}

static bool find_class(const struct pl_label_targets *t, const struct pl_label_item *item,
                       size_t line, size_t *number)
{
    char reason[PL_MAX_REASON];
    const bool found = pl_label_set_find(t->set, t->labels, item, number, reason);

    if (!found)
        pl_bad_rows_add(t->bad, line, "%s", reason);
    return found;
}

static void resolve_class(const struct pl_label_targets *t, const struct pl_label_row *row,
                          float *target)
{
    size_t number;

    if (row->is_list)
        pl_bad_rows_add(t->bad, row->line, "the label is a list; one label is expected");
    else if (find_class(t, &t->labels->items[row->first], row->line, &number))
        *target = (float)number;
}

static void resolve_number(const struct pl_label_targets *t, const struct pl_label_row *row,
                           float *target)
{
    const struct pl_label_item *item;
    char quoted[PL_QUOTE_SIZE];

    if (row->is_list) {
        pl_bad_rows_add(t->bad, row->line, "the label is a list; a number is expected");
        return;
    }
    item = &t->labels->items[row->first];
    pl_rows_quote(quoted, t->labels->texts + item->text, item->size);
    if (item->kind == PL_LABEL_TEXT)
        pl_bad_rows_add(t->bad, row->line, "the label %s is not a number%s%s%s", quoted,
                        t->set->glue ? ", as " : "", t->set->glue ? t->set->glue->title : "",
                        t->set->glue ? "'s are" : "");
    else if (!isfinite((float)item->value))
        pl_bad_rows_add(t->bad, row->line, "the label %s is too large", quoted);
    else if (t->set->glue &&
             (item->value < PL_GLUE_LOWEST_SCORE || item->value > PL_GLUE_HIGHEST_SCORE))
        pl_bad_rows_add(t->bad, row->line,
                        "the label %s is no score of %s's, which go from %d to %d", quoted,
                        t->set->glue->title, PL_GLUE_LOWEST_SCORE, PL_GLUE_HIGHEST_SCORE);
    else
        *target = (float)item->value;
}

static void resolve_set(const struct pl_label_targets *t, const struct pl_label_row *row,
                        float *target)
{
    for (size_t i = 0; i < row->n; i++) {
        size_t number;

        if (!find_class(t, &t->labels->items[row->first + i], row->line, &number))
            return;
        target[number] = 1;
    }
}

/* The targets of all tokens are at `target`; NULL: they are only to be looked at. */
static void resolve_tags(const struct pl_label_targets *t, const struct pl_label_row *row,
                         float *target)
{
    for (size_t i = 0; i < row->n; i++) {
        const struct pl_label_item *item = &t->labels->items[row->first + i];
        size_t number;

        if (!find_class(t, item, row->line, &number))
            return;
        if (target && item->place != PL_NO_PLACE)
            target[item->place] = (float)number;
    }
}

/* What a question is answered with was looked at when it was read. */
static void resolve_nothing(const struct pl_label_targets *t, const struct pl_label_row *row,
                            float *target)
{
    (void)t;
    (void)row;
    (void)target;
}

static enum pl_row_kind kind_of_task(const struct prilora_dataset *d)
{
    return of_words(d) ? PL_ROW_OF_WORDS : of_questions(d) ? PL_ROW_OF_QUESTION : PL_ROW_OF_TEXT;
}

static void tell_other_kind(const struct pl_label_targets *t, const struct pl_label_row *row)
{
    static const char *const kinds[] = {"a text", "a list of words with tags",
                                        "a question with a context"};
    static const char *const needs[] = {"", ", which needs words with tags",
                                        ", which needs questions with contexts and answers"};

    pl_bad_rows_add(t->bad, row->line, "the row is %s, but the task is %s%s", kinds[row->kind],
                    pl_task_word(t->dataset->task), needs[kind_of_task(t->dataset)]);
}

static void resolve_row(const struct pl_label_targets *t, const struct pl_label_row *row,
                        float *target)
{
    static void (*const resolvers[])(const struct pl_label_targets *, const struct pl_label_row *,
                                     float *) = {
        [PRILORA_TASK_CLASSIFICATION] = resolve_class,
        [PRILORA_TASK_REGRESSION] = resolve_number,
        [PRILORA_TASK_MULTI_LABEL] = resolve_set,
        [PRILORA_TASK_TOKEN_CLASSIFICATION] = resolve_tags,
        [PRILORA_TASK_QUESTION_ANSWERING] = resolve_nothing,
    };

    if (row->kind != kind_of_task(t->dataset))
        tell_other_kind(t, row);
    else
        resolvers[t->dataset->task](t, row, target);
}

static void resolve_rows(const struct pl_label_targets *t)
{
    const struct prilora_dataset *d = t->dataset;
    const bool by_row = kind_of_task(d) == PL_ROW_OF_TEXT;

    for (size_t i = 0; i < t->labels->n_rows; i++)
        resolve_row(t, &t->labels->rows[i], by_row ? d->targets + i * d->width : d->targets);
}

static enum prilora_status check_enough(const struct pl_label_targets *t, struct prilora_error *err)
{
    const struct prilora_dataset *d = t->dataset;
    size_t least = d->task == PRILORA_TASK_CLASSIFICATION || of_words(d) ? 2 : 1;
    char quoted[PL_QUOTE_SIZE];

    if (t->bad->total || t->labels->n_rows == 0 || d->n_labels >= least)
        return PRILORA_OK;
    if (d->n_labels == 0)
        return pl_fail(err, PRILORA_EDATA, "no row has a label");
    return pl_fail(err, PRILORA_EDATA,
                   "all %zu %s have the label %s; a classification needs at least two",
                   of_words(d) ? t->labels->n_items : t->labels->n_rows,
                   of_words(d) ? "words" : "rows",
                   pl_rows_quote(quoted, d->labels[0], strlen(d->labels[0])));
}

/* n_tokens: of all rows, those that are no beginning of a word being ignored. */
static float *targets_new(const struct prilora_dataset *d, size_t n_rows, size_t n_tokens)
{
    size_t total;
    float *targets;

    if (!pl_mul(&total, of_words(d) ? n_tokens : n_rows, d->width))
        return NULL;
    targets = pl_calloc(total, sizeof *targets);
    for (size_t i = 0; targets && of_words(d) && i < total; i++)
        targets[i] = PL_LABEL_IGNORED;
    return targets;
}

enum prilora_status pl_label_targets_make(const struct pl_label_targets *t, size_t n_tokens,
                                          struct prilora_error *err)
{
    struct prilora_dataset *d = t->dataset;

    if (!of_questions(d)) {
        d->targets = targets_new(d, t->labels->n_rows, n_tokens);
        if (!d->targets)
            return pl_fail(err, PRILORA_ENOMEM, "out of memory for %zu labels", t->labels->n_rows);
    }
    resolve_rows(t);
    return check_enough(t, err);
}

/* One row's target into the counts of its labels. */
static void count_target(const struct pl_label_targets *t, const struct pl_label_row *row,
                         const float *target, size_t *counts)
{
    const struct prilora_dataset *d = t->dataset;
    size_t number;

    for (size_t i = 0; of_words(d) && i < row->n; i++)
        if (find_class(t, &t->labels->items[row->first + i], row->line, &number))
            counts[number]++;
    if (d->task == PRILORA_TASK_REGRESSION)
        counts[0]++;
    else if (d->task == PRILORA_TASK_CLASSIFICATION)
        counts[(size_t)*target]++;
    for (size_t k = 0; d->task == PRILORA_TASK_MULTI_LABEL && k < d->width; k++)
        counts[k] += target[k] > 0;
}

enum prilora_status pl_label_targets_count(const struct pl_label_targets *t, size_t *counts,
                                           struct prilora_error *err)
{
    const struct prilora_dataset *d = t->dataset;
    float *target = pl_calloc(PL_MAX_LABELS, sizeof *target);

    if (!target)
        return pl_fail(err, PRILORA_ENOMEM, "out of memory for labels");
    for (size_t i = 0; i < t->labels->n_rows; i++) {
        const struct pl_label_row *row = &t->labels->rows[i];
        size_t total = t->bad->total;

        memset(target, 0, d->width * sizeof *target);
        resolve_row(t, row, of_words(d) ? NULL : target);
        if (t->bad->total == total)
            count_target(t, row, target, counts);
    }
    free(target);
    return check_enough(t, err);
}
