/*
 * dataset.c - the tokenized data set itself: what is derived from its examples, and splitting it.
 * Reading text is dataset_read.c's, the saved form dataset_file.c's.
 */
#include "train/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "model/task.h"
#include "train/questions.h"

struct prilora_dataset *pl_dataset_new(enum prilora_task task, size_t n, size_t n_tokens,
                                       size_t n_labels, size_t width)
{
    struct prilora_dataset *d = pl_calloc(1, sizeof *d);
    size_t n_targets;

    if (!d || n == SIZE_MAX ||
        !pl_mul(&n_targets, pl_task_of(task)->labelled ? n_tokens : n, width)) {
        free(d);
        return NULL;
    }
    d->task = task;
    d->n = n;
    d->width = width;
    d->labels = pl_calloc(n_labels, sizeof *d->labels);
    d->starts = pl_calloc(n + 1, sizeof *d->starts);
    d->ids = pl_calloc(n_tokens, sizeof *d->ids);
    d->type_ids = pl_calloc(n_tokens, sizeof *d->type_ids);
    d->targets = pl_calloc(n_targets, sizeof *d->targets);
    d->truncated = pl_calloc(n, sizeof *d->truncated);
    if (d->labels && d->starts && d->ids && d->type_ids && d->targets && d->truncated)
        return d;
    prilora_dataset_free(d);
    return NULL;
}

void prilora_dataset_free(struct prilora_dataset *dataset)
{
    if (!dataset)
        return;
    for (size_t i = 0; dataset->labels && i < dataset->n_labels; i++)
        free(dataset->labels[i]);
    free(dataset->labels);
    free(dataset->starts);
    free(dataset->ids);
    free(dataset->type_ids);
    free(dataset->targets);
    free(dataset->truncated);
    free(dataset->cut);
    pl_questions_free(dataset->questions);
    free(dataset);
}

size_t pl_dataset_rows(const struct prilora_dataset *dataset)
{
    return pl_task_of(dataset->task)->labelled ? dataset->starts[dataset->n] : dataset->n;
}

size_t pl_dataset_logit_rows(const struct prilora_dataset *dataset)
{
    return pl_task_of(dataset->task)->tokens ? dataset->starts[dataset->n] : dataset->n;
}

size_t pl_dataset_rows_of(const struct prilora_dataset *dataset, size_t example, size_t *first)
{
    const bool labelled = pl_task_of(dataset->task)->labelled;

    *first = labelled ? dataset->starts[example] : example;
    return labelled ? dataset->starts[example + 1] - dataset->starts[example] : 1;
}

size_t pl_dataset_counted(const struct prilora_dataset *dataset)
{
    const size_t n = pl_dataset_rows(dataset);
    size_t counted = n;

    for (size_t i = 0; pl_task_of(dataset->task)->labelled && i < n; i++)
        counted -= dataset->targets[i] < 0;
    return counted;
}

/* [n_labels] examples of every class; NULL: out of memory. */
static size_t *count_classes(const struct prilora_dataset *d)
{
    size_t *counts = pl_calloc(d->n_labels, sizeof *counts);

    for (size_t i = 0; counts && i < d->n; i++)
        counts[(size_t)d->targets[i]]++;
    return counts;
}

enum prilora_status pl_dataset_finish(struct prilora_dataset *dataset, struct prilora_error *err)
{
    dataset->longest = dataset->n_truncated = dataset->majority = 0;
    for (size_t i = 0; i < dataset->n; i++) {
        size_t length = dataset->starts[i + 1] - dataset->starts[i];

        dataset->longest = length > dataset->longest ? length : dataset->longest;
        dataset->n_truncated += dataset->truncated[i];
    }
    if (dataset->task == PRILORA_TASK_CLASSIFICATION) {
        size_t *counts = count_classes(dataset);

        if (!counts)
            return pl_fail(err, PRILORA_ENOMEM, "out of memory for %zu labels", dataset->n_labels);
        for (size_t i = 0; i < dataset->n_labels; i++)
            if (counts[i] > dataset->majority)
                dataset->majority = counts[i];
        free(counts);
    }
    pl_dataset_fingerprint(dataset, dataset->fingerprint);
    return PRILORA_OK;
}

size_t pl_dataset_bytes(const struct prilora_dataset *dataset)
{
    return dataset->starts[dataset->n] * (sizeof *dataset->ids + sizeof *dataset->type_ids) +
           dataset->n * sizeof *dataset->starts +
           pl_dataset_rows(dataset) * dataset->width * sizeof *dataset->targets +
           (dataset->questions ? pl_questions_bytes(dataset->questions) : 0);
}

void prilora_dataset_describe(const struct prilora_dataset *dataset,
                              struct prilora_dataset_info *info)
{
    *info = (struct prilora_dataset_info){
        .task = dataset->task,
        .n_examples = dataset->n,
        .n_tokens = dataset->starts[dataset->n],
        .longest = dataset->longest,
        .n_truncated = dataset->n_truncated,
        .n_labels = dataset->n_labels,
        .majority = dataset->majority,
        .n_skipped = dataset->n_skipped,
        .n_words = pl_task_of(dataset->task)->labelled ? pl_dataset_counted(dataset) : 0,
        .n_questions = dataset->questions ? dataset->questions->n : 0,
        .bytes = pl_dataset_bytes(dataset),
    };
    for (size_t i = 0; dataset->cut && i < dataset->n; i++)
        info->n_cut += dataset->cut[i];
    memcpy(info->fingerprint, dataset->fingerprint, sizeof info->fingerprint);
}

const char *prilora_dataset_label(const struct prilora_dataset *dataset, size_t label)
{
    return label < dataset->n_labels ? dataset->labels[label] : NULL;
}

/* ---- splitting ------------------------------------------------------------------------------- */

/*
 * How many of each class to hold out, n_out in all: in proportion, remainders to the largest, and
 * never the last example of a class as long as others have more to give.
 */
static void share_out(size_t *quotas, const size_t *counts, size_t n_classes, size_t n,
                      size_t n_out)
{
    size_t given = 0;

    for (size_t c = 0; c < n_classes; c++) {
        quotas[c] = (size_t)((double)counts[c] * (double)n_out / (double)n);
        if (quotas[c] && quotas[c] == counts[c])
            quotas[c]--;
        given += quotas[c];
    }
    while (given < n_out) {
        size_t best = n_classes;
        double most = 0;

        for (size_t c = 0; c < n_classes; c++) {
            double left = (double)counts[c] * (double)n_out / (double)n - (double)quotas[c];

            /* a class's last example goes only when nothing else is left: so far behind the rest */
            if (quotas[c] + 1 >= counts[c])
                left -= (double)n;
            if (quotas[c] < counts[c] && (best == n_classes || left > most)) {
                best = c;
                most = left;
            }
        }
        quotas[best]++;
        given++;
    }
}

/* What is held out or not as a whole: an example, or all windows of a question. */
static size_t n_units(const struct prilora_dataset *d)
{
    return d->questions ? d->questions->n : d->n;
}

static void choose_unit(uint8_t *out, const struct prilora_dataset *d, size_t unit)
{
    const struct pl_question *question = d->questions ? &d->questions->list[unit] : NULL;

    memset(out + (question ? question->window : unit), 1, question ? question->n_windows : 1);
}

/* out[i] = 1 for the examples of the n_out units that are held out; zeroed by the caller. */
static enum prilora_status choose(uint8_t *out, const struct prilora_dataset *d, size_t n_out,
                                  uint64_t seed, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    struct pl_random random = pl_random_at(seed, 0, PL_SITE_SPLIT, 0);
    bool stratify = d->task == PRILORA_TASK_CLASSIFICATION;
    size_t n = n_units(d), n_classes = stratify ? d->n_labels : 1;
    size_t *order = pl_alloc(n, sizeof *order), *quotas = pl_calloc(n_classes, sizeof *quotas);
    size_t *counts = stratify ? count_classes(d) : NULL;

    if (!order || !quotas || (stratify && !counts)) {
        rc = pl_fail(err, PRILORA_ENOMEM, "out of memory for %zu examples", d->n);
        goto out;
    }
    if (stratify)
        share_out(quotas, counts, n_classes, n, n_out);
    else
        quotas[0] = n_out;
    pl_random_permute(&random, order, n);
    for (size_t i = 0; i < n; i++) {
        size_t *quota = &quotas[stratify ? (size_t)d->targets[order[i]] : 0];

        if (*quota > 0) {
            choose_unit(out, d, order[i]);
            --*quota;
        }
    }
out:
    free(order);
    free(quotas);
    free(counts);
    return rc;
}

/* The examples with chosen[i] == want, in their order. */
static enum prilora_status extract(struct prilora_dataset **out, const struct prilora_dataset *d,
                                   const uint8_t *chosen, uint8_t want, struct prilora_error *err)
{
    size_t n = 0, n_tokens = 0, j = 0;
    struct prilora_dataset *part;

    for (size_t i = 0; i < d->n; i++) {
        n += chosen[i] == want;
        n_tokens += chosen[i] == want ? d->starts[i + 1] - d->starts[i] : 0;
    }
    *out = part = pl_dataset_new(d->task, n, n_tokens, d->n_labels, d->width);
    if (part && d->cut)
        part->cut = pl_calloc(n, sizeof *part->cut);
    if (!part || (d->cut && !part->cut) ||
        (d->questions && !pl_questions_extract(&part->questions, d->questions, chosen, want)))
        return pl_fail(err, PRILORA_ENOMEM, "out of memory for %zu examples", n);
    part->n_skipped = want ? 0 : d->n_skipped;
    for (; part->n_labels < d->n_labels; part->n_labels++) {
        part->labels[part->n_labels] = pl_strdup(d->labels[part->n_labels]);
        if (!part->labels[part->n_labels])
            return pl_fail(err, PRILORA_ENOMEM, "out of memory for labels");
    }
    for (size_t i = 0; i < d->n; i++) {
        size_t from = d->starts[i], length = d->starts[i + 1] - from, to = part->starts[j];
        size_t row, n_rows = pl_dataset_rows_of(d, i, &row), to_row;

        if (chosen[i] != want)
            continue;
        memcpy(part->ids + to, d->ids + from, length * sizeof *d->ids);
        memcpy(part->type_ids + to, d->type_ids + from, length);
        to_row = pl_task_of(d->task)->labelled ? to : j;
        memcpy(part->targets + to_row * d->width, d->targets + row * d->width,
               n_rows * d->width * sizeof *d->targets);
        part->truncated[j] = d->truncated[i];
        if (d->cut)
            part->cut[j] = d->cut[i];
        part->starts[++j] = to + length;
    }
    return pl_dataset_finish(part, err);
}

enum prilora_status prilora_dataset_split(struct prilora_dataset *dataset,
                                          struct prilora_dataset **held_out, double fraction,
                                          uint64_t seed, struct prilora_error *err)
{
    struct prilora_dataset *kept = NULL, *out = NULL, whole;
    uint8_t *chosen = NULL;
    enum prilora_status rc;
    size_t n = n_units(dataset), n_out;

    *held_out = NULL;
    if (!(fraction > 0 && fraction < 1))
        return pl_fail(err, PRILORA_EINVAL, "a fraction of %g cannot be held out (0 to 1)",
                       fraction);
    if (n < 2)
        return pl_fail(err, PRILORA_EDATA, "one %s alone cannot be split",
                       dataset->questions ? "question" : "example");
    n_out = (size_t)llround((double)n * fraction);
    n_out = n_out < 1 ? 1 : n_out > n - 1 ? n - 1 : n_out;
    chosen = pl_calloc(dataset->n, 1);
    rc = chosen ? choose(chosen, dataset, n_out, seed, err)
                : pl_fail(err, PRILORA_ENOMEM, "out of memory for %zu examples", dataset->n);
    if (rc == PRILORA_OK)
        rc = extract(&out, dataset, chosen, 1, err);
    if (rc == PRILORA_OK)
        rc = extract(&kept, dataset, chosen, 0, err);
    if (rc == PRILORA_OK) {
        whole = *dataset; /* the caller's object becomes the part that is kept */
        *dataset = *kept;
        *kept = whole;
        *held_out = out;
        out = NULL;
    }
    free(chosen);
    prilora_dataset_free(out);
    prilora_dataset_free(kept);
    return rc;
}
