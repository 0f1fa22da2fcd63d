/* labels.c - see labels.h. */
#include "train/labels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/task.h"
#include "train/glue.h"
#include "train/labels_file.h"
#include "train/spec.h"

struct pl_label_item {
    enum pl_label_kind kind;
    size_t text, size; /* in texts */
    double value;
    size_t place; /* of a word's tag: the token that it is the target of */
};

/* What a row is, whatever its label. */
enum row_kind { OF_TEXT, OF_WORDS, OF_QUESTION };

struct pl_label_row {
    size_t line, first, n; /* items; a question has none */
    bool is_list;
    enum row_kind kind;
};

/* A set of names, sorted by bytes; texts are not terminated and belong to others. */
struct name {
    const char *text;
    size_t size, number; /* the label's number, once it has one */
};

struct names {
    struct name *list; /* [PL_MAX_LABELS] */
    size_t n;
};

/* Labels that are settled already: the training data's, or an adapter's. */
struct known {
    enum prilora_task task;     /* AUTO: nothing is settled */
    const struct pl_glue *glue; /* then a class number will do for a name; NULL: no such task */
    const char *whose;
    const char *const *names; /* [n] */
    size_t n;
};

/* ---- collecting ------------------------------------------------------------------------------ */

static enum row_kind kind_of(const struct pl_row *row)
{
    return row->words ? OF_WORDS : row->is_question ? OF_QUESTION : OF_TEXT;
}

bool pl_labels_add(struct pl_labels *labels, const struct pl_row *row, const size_t *places)
{
    const enum row_kind kind = kind_of(row);
    const size_t n = kind == OF_QUESTION ? 0 : row->n_labels;

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

/* ---- the task -------------------------------------------------------------------------------- */

static enum prilora_task told_task(const struct pl_labels *labels)
{
    size_t n_of[OF_QUESTION + 1] = {0}, n_lists = 0, n_scalars, n_real = 0, n_numbers = 0;

    for (size_t i = 0; i < labels->n_rows; i++) {
        const struct pl_label_row *r = &labels->rows[i];

        n_of[r->kind]++;
        if (r->kind != OF_TEXT)
            continue;
        n_lists += r->is_list;
        if (r->is_list)
            continue;
        n_real += labels->items[r->first].kind == PL_LABEL_REAL;
        n_numbers += labels->items[r->first].kind != PL_LABEL_TEXT;
    }
    n_scalars = n_of[OF_TEXT] - n_lists;
    if (n_of[OF_WORDS] > labels->n_rows / 2)
        return PRILORA_TASK_TOKEN_CLASSIFICATION;
    if (n_of[OF_QUESTION] > labels->n_rows / 2)
        return PRILORA_TASK_QUESTION_ANSWERING;
    if (n_lists > n_scalars)
        return PRILORA_TASK_MULTI_LABEL;
    return n_real && n_numbers > n_scalars / 2 ? PRILORA_TASK_REGRESSION
                                               : PRILORA_TASK_CLASSIFICATION;
}

static enum prilora_status choose_task(enum prilora_task *out, const struct pl_labels *labels,
                                       const struct known *known, enum prilora_task wanted,
                                       struct prilora_error *err)
{
    *out = known->task != PRILORA_TASK_AUTO ? known->task
           : wanted != PRILORA_TASK_AUTO    ? wanted
                                            : told_task(labels);
    if (wanted == PRILORA_TASK_AUTO || wanted == *out)
        return PRILORA_OK;
    return pl_fail(err, PRILORA_EINVAL, "the task is %s, but that of the %s is %s",
                   pl_task_word(wanted), known->whose, pl_task_word(*out));
}

/* ---- the label set --------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);

    return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* Where the name is, or belongs. */
static size_t place(const struct names *names, const struct name *name, bool *found)
{
    size_t low = 0, high = names->n;

    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(&names->list[middle], name);

        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What keeps a label from being a name, or NULL. */
static const char *fault_of(const struct name *name)
{
    if (name->size == 0)
        return "the label is empty";
    if (name->size > PL_MAX_LABEL)
        return "the label is longer than 256 bytes";
    if (memchr(name->text, '\0', name->size))
        return "the label holds a NUL character";
    return NULL;
}

/* The item's name as a class; 1.0 is class 1. */
static struct name name_of(const struct pl_labels *labels, const struct pl_label_item *item,
                           char number[24])
{
    if (item->kind == PL_LABEL_REAL && item->value == floor(item->value) &&
        fabs(item->value) < 1e15) {
        /* adding zero makes -0.0 the class 0 */
        int n = snprintf(number, 24, "%.0f", item->value + 0.0);

        return (struct name){number, (size_t)n, 0};
    }
    return (struct name){labels->texts + item->text, item->size, 0};
}

static enum prilora_status too_many(struct prilora_error *err)
{
    return pl_fail(
        err, PRILORA_ELIMIT,
        "more than %d different labels (if they are numbers to be predicted, the task is "
        "regression)",
        PL_MAX_LABELS);
}

/* The distinct names of all items, as copies in dataset->labels sorted by bytes. */
static enum prilora_status collect_names(struct prilora_dataset *dataset,
                                         const struct pl_labels *labels, struct names *names,
                                         struct prilora_error *err)
{
    for (size_t i = 0; i < labels->n_items; i++) {
        char number[24], *copy;
        struct name name = name_of(labels, &labels->items[i], number);
        bool found;
        size_t at;

        if (fault_of(&name))
            continue; /* its row will be told of it */
        at = place(names, &name, &found);
        if (found)
            continue;
        if (names->n == PL_MAX_LABELS)
            return too_many(err);
        copy = pl_calloc(name.size + 1, 1);
        if (!copy)
            return pl_fail(err, PRILORA_ENOMEM, "out of memory for labels");
        memcpy(copy, name.text, name.size);
        name.text = copy;
        dataset->labels[dataset->n_labels++] = copy; /* owned from now on */
        memmove(names->list + at + 1, names->list + at, (names->n - at) * sizeof *names->list);
        names->list[at] = name;
        names->n++;
    }
    for (size_t i = 0; i < names->n; i++)
        dataset->labels[i] = (char *)(uintptr_t)names->list[i].text;
    return PRILORA_OK;
}

/* If the names are "0", "1", ... "n-1", they are put into that order. */
static void order_numbers(struct prilora_dataset *dataset, const struct names *names)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < names->n; i++) {
            char number[24];
            struct name name = {number, (size_t)snprintf(number, sizeof number, "%zu", i), 0};
            bool found;
            size_t at = place(names, &name, &found);

            if (!found)
                return; /* only ever in the first pass */
            if (pass == 1)
                dataset->labels[i] = (char *)(uintptr_t)names->list[at].text;
        }
    }
}

/* The names that are settled, for data that must have the same. */
static enum prilora_status copy_names(struct prilora_dataset *dataset, const struct known *known,
                                      struct prilora_error *err)
{
    for (; dataset->n_labels < known->n; dataset->n_labels++) {
        dataset->labels[dataset->n_labels] = pl_strdup(known->names[dataset->n_labels]);
        if (!dataset->labels[dataset->n_labels])
            return pl_fail(err, PRILORA_ENOMEM, "out of memory for labels");
    }
    return PRILORA_OK;
}

/* Fills dataset->labels (room for PL_MAX_LABELS) and the index from names to numbers. */
static enum prilora_status make_label_set(struct prilora_dataset *dataset, struct names *names,
                                          const struct pl_labels *labels, const struct known *known,
                                          struct prilora_error *err)
{
    enum prilora_status rc;

    if (known->n) {
        rc = copy_names(dataset, known, err);
    } else {
        rc = collect_names(dataset, labels, names, err);
        if (rc == PRILORA_OK)
            order_numbers(dataset, names);
    }
    if (rc != PRILORA_OK)
        return rc;
    names->n = dataset->n_labels;
    for (size_t i = 0; i < names->n; i++)
        names->list[i] = (struct name){dataset->labels[i], strlen(dataset->labels[i]), i};
    qsort(names->list, names->n, sizeof *names->list, compare);
    return PRILORA_OK;
}

/* ---- targets --------------------------------------------------------------------------------- */

static bool of_words(const struct prilora_dataset *dataset)
{
    return dataset->task == PRILORA_TASK_TOKEN_CLASSIFICATION;
}

static bool of_questions(const struct prilora_dataset *dataset)
{
    return dataset->task == PRILORA_TASK_QUESTION_ANSWERING;
}

/* What a target is made from. */
struct resolve {
    const struct pl_labels *labels;
    struct prilora_dataset *dataset;
    const struct names *names;
    const struct known *known;
    struct pl_bad_rows *bad;
};

/* Says which label is unknown and some of those that are known. */
static void tell_unknown(const struct resolve *r, size_t line, const struct name *name)
{
    char label[PL_QUOTE_SIZE], known[PL_QUOTE_SIZE], list[200] = "";
    size_t used = 0, i;

    for (i = 0; i < r->dataset->n_labels && i < 4; i++) {
        const char *text = r->dataset->labels[i];

        if (used > sizeof list - PL_QUOTE_SIZE - 2)
            break;
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "",
                                 pl_rows_quote(known, text, strlen(text)));
    }
    pl_rows_quote(label, name->text, name->size);
    if (r->known->glue)
        pl_bad_rows_add(r->bad, line, "the label %s is none of %s's, which are %s", label,
                        r->known->glue->title, list);
    else
        pl_bad_rows_add(r->bad, line, "the label %s does not occur in the %s, which has %s%s",
                        label, r->known->whose, list, i < r->dataset->n_labels ? ", ..." : "");
}

/* Of a GLUE task's label, which may stand as its number. */
static bool is_class_number(const struct resolve *r, const struct name *name, size_t *number)
{
    if (!r->known->glue || name->size != 1 || name->text[0] < '0')
        return false;
    *number = (size_t)(name->text[0] - '0');
    return *number < r->dataset->n_labels;
}

static bool find_class(const struct resolve *r, const struct pl_label_item *item, size_t line,
                       size_t *number)
{
    char buffer[24];
    struct name name = name_of(r->labels, item, buffer);
    const char *fault = fault_of(&name);
    bool found;
    size_t at;

    if (fault) {
        pl_bad_rows_add(r->bad, line, "%s", fault);
        return false;
    }
    if (is_class_number(r, &name, number))
        return true;
    at = place(r->names, &name, &found);
    if (!found) {
        tell_unknown(r, line, &name);
        return false;
    }
    *number = r->names->list[at].number;
    return true;
}

static void resolve_class(const struct resolve *r, const struct pl_label_row *row, float *target)
{
    size_t number;

    if (row->is_list)
        pl_bad_rows_add(r->bad, row->line, "the label is a list; one label is expected");
    else if (find_class(r, &r->labels->items[row->first], row->line, &number))
        *target = (float)number;
}

static void resolve_number(const struct resolve *r, const struct pl_label_row *row, float *target)
{
    const struct pl_label_item *item;
    char quoted[PL_QUOTE_SIZE];

    if (row->is_list) {
        pl_bad_rows_add(r->bad, row->line, "the label is a list; a number is expected");
        return;
    }
    item = &r->labels->items[row->first];
    pl_rows_quote(quoted, r->labels->texts + item->text, item->size);
    if (item->kind == PL_LABEL_TEXT)
        pl_bad_rows_add(r->bad, row->line, "the label %s is not a number%s%s%s", quoted,
                        r->known->glue ? ", as " : "", r->known->glue ? r->known->glue->title : "",
                        r->known->glue ? "'s are" : "");
    else if (!isfinite((float)item->value))
        pl_bad_rows_add(r->bad, row->line, "the label %s is too large", quoted);
    else if (r->known->glue &&
             (item->value < PL_GLUE_LOWEST_SCORE || item->value > PL_GLUE_HIGHEST_SCORE))
        pl_bad_rows_add(r->bad, row->line,
                        "the label %s is no score of %s's, which go from %d to %d", quoted,
                        r->known->glue->title, PL_GLUE_LOWEST_SCORE, PL_GLUE_HIGHEST_SCORE);
    else
        *target = (float)item->value;
}

static void resolve_set(const struct resolve *r, const struct pl_label_row *row, float *target)
{
    for (size_t i = 0; i < row->n; i++) {
        size_t number;

        if (!find_class(r, &r->labels->items[row->first + i], row->line, &number))
            return;
        target[number] = 1;
    }
}

/* The targets of all tokens are at `target`; NULL: they are only to be looked at. */
static void resolve_tags(const struct resolve *r, const struct pl_label_row *row, float *target)
{
    for (size_t i = 0; i < row->n; i++) {
        const struct pl_label_item *item = &r->labels->items[row->first + i];
        size_t number;

        if (!find_class(r, item, row->line, &number))
            return;
        if (target && item->place != PL_NO_PLACE)
            target[item->place] = (float)number;
    }
}

/* What a question is answered with was looked at when it was read. */
static void resolve_nothing(const struct resolve *r, const struct pl_label_row *row, float *target)
{
    (void)r;
    (void)row;
    (void)target;
}

static enum row_kind kind_of_task(const struct prilora_dataset *d)
{
    return of_words(d) ? OF_WORDS : of_questions(d) ? OF_QUESTION : OF_TEXT;
}

static void tell_other_kind(const struct resolve *r, const struct pl_label_row *row)
{
    static const char *const kinds[] = {"a text", "a list of words with tags",
                                        "a question with a context"};
    static const char *const needs[] = {"", ", which needs words with tags",
                                        ", which needs questions with contexts and answers"};

    pl_bad_rows_add(r->bad, row->line, "the row is %s, but the task is %s%s", kinds[row->kind],
                    pl_task_word(r->dataset->task), needs[kind_of_task(r->dataset)]);
}

static void resolve_row(const struct resolve *r, const struct pl_label_row *row, float *target)
{
    static void (*const resolvers[])(const struct resolve *, const struct pl_label_row *,
                                     float *) = {
        [PRILORA_TASK_CLASSIFICATION] = resolve_class,
        [PRILORA_TASK_REGRESSION] = resolve_number,
        [PRILORA_TASK_MULTI_LABEL] = resolve_set,
        [PRILORA_TASK_TOKEN_CLASSIFICATION] = resolve_tags,
        [PRILORA_TASK_QUESTION_ANSWERING] = resolve_nothing,
    };

    if (row->kind != kind_of_task(r->dataset))
        tell_other_kind(r, row);
    else
        resolvers[r->dataset->task](r, row, target);
}

static void resolve_rows(const struct resolve *r)
{
    const struct prilora_dataset *d = r->dataset;
    const bool by_row = kind_of_task(d) == OF_TEXT;

    for (size_t i = 0; i < r->labels->n_rows; i++)
        resolve_row(r, &r->labels->rows[i], by_row ? d->targets + i * d->width : d->targets);
}

static enum prilora_status check_enough(const struct resolve *r, struct prilora_error *err)
{
    const struct prilora_dataset *d = r->dataset;
    size_t least = d->task == PRILORA_TASK_CLASSIFICATION || of_words(d) ? 2 : 1;
    char quoted[PL_QUOTE_SIZE];

    if (r->bad->total || r->labels->n_rows == 0 || d->n_labels >= least)
        return PRILORA_OK;
    if (d->n_labels == 0)
        return pl_fail(err, PRILORA_EDATA, "no row has a label");
    return pl_fail(err, PRILORA_EDATA,
                   "all %zu %s have the label %s; a classification needs at least two",
                   of_words(d) ? r->labels->n_items : r->labels->n_rows,
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

/* Fills what `known` settles; `file` keeps what is read for it. */
static enum prilora_status find_known(struct known *known, struct pl_labels_file *file,
                                      const struct prilora_dataset_options *options,
                                      struct prilora_error *err)
{
    const struct prilora_dataset *train = options->train;
    const struct pl_glue *glue = pl_glue_of(options->glue);
    enum prilora_status rc = PRILORA_OK;

    *file = (struct pl_labels_file){0};
    *known = (struct known){.glue = glue};
    if (train) {
        *known = (struct known){train->task, glue, "training data",
                                (const char *const *)train->labels, train->n_labels};
    } else if (glue) {
        *known = (struct known){glue->task, glue, glue->title, glue->labels, 0};
        while (glue->labels[known->n])
            known->n++;
    } else if (options->adapter) {
        rc = pl_labels_file_read(file, options->adapter, err);
        if (rc == PRILORA_OK)
            *known = (struct known){file->task, NULL, "adapter", (const char *const *)file->names,
                                    file->n};
    }
    return rc;
}

/* Outputs that no label of the data stands for. */
static const char *const *const fixed_names[PRILORA_TASK_QUESTION_ANSWERING + 1] = {
    [PRILORA_TASK_REGRESSION] = (const char *const[]){"score", NULL},
    [PRILORA_TASK_QUESTION_ANSWERING] = (const char *const[]){"start", "end", NULL},
};

static enum prilora_status name_outputs(struct prilora_dataset *dataset, const char *const *names,
                                        struct prilora_error *err)
{
    for (; *names; names++) {
        dataset->labels[dataset->n_labels] = pl_strdup(*names);
        if (!dataset->labels[dataset->n_labels])
            return pl_fail(err, PRILORA_ENOMEM, "out of memory for labels");
        dataset->n_labels++;
    }
    return PRILORA_OK;
}

/* What the head gives: task, labels and width of `dataset`; names[PL_MAX_LABELS] is filled. */
static enum prilora_status make_outputs(const struct pl_labels *labels,
                                        struct prilora_dataset *dataset, struct names *names,
                                        const struct known *known, enum prilora_task task,
                                        struct prilora_error *err)
{
    enum prilora_status rc = choose_task(&dataset->task, labels, known, task, err);

    dataset->labels = pl_calloc(PL_MAX_LABELS, sizeof *dataset->labels);
    if (rc == PRILORA_OK && (!names->list || !dataset->labels))
        rc = pl_fail(err, PRILORA_ENOMEM, "out of memory for labels");
    if (rc != PRILORA_OK)
        return rc;
    rc = fixed_names[dataset->task] ? name_outputs(dataset, fixed_names[dataset->task], err)
                                    : make_label_set(dataset, names, labels, known, err);
    dataset->width = pl_label_width(dataset->task, dataset->n_labels);
    return rc;
}

enum prilora_status pl_labels_resolve(const struct pl_labels *labels,
                                      struct prilora_dataset *dataset, size_t n_tokens,
                                      const struct prilora_dataset_options *options,
                                      struct pl_bad_rows *bad, struct prilora_error *err)
{
    struct names names = {pl_alloc(PL_MAX_LABELS, sizeof *names.list), 0};
    struct pl_labels_file file;
    struct known known;
    struct resolve r = {labels, dataset, &names, &known, bad};
    enum prilora_status rc = find_known(&known, &file, options, err);

    if (rc == PRILORA_OK)
        rc = make_outputs(labels, dataset, &names, &known, options->task, err);

    if (rc != PRILORA_OK)
        goto out;
    if (!of_questions(dataset))
        dataset->targets = targets_new(dataset, labels->n_rows, n_tokens);
    if (!of_questions(dataset) && !dataset->targets) {
        rc = pl_fail(err, PRILORA_ENOMEM, "out of memory for %zu labels", labels->n_rows);
        goto out;
    }
    resolve_rows(&r);
    rc = check_enough(&r, err);
out:
    pl_labels_file_free(&file);
    free(names.list);
    return rc;
}

/* One row's target into the counts of its labels. */
static void count_target(const struct resolve *r, const struct pl_label_row *row,
                         const float *target, size_t *counts)
{
    const struct prilora_dataset *d = r->dataset;
    size_t number;

    for (size_t i = 0; of_words(d) && i < row->n; i++)
        if (find_class(r, &r->labels->items[row->first + i], row->line, &number))
            counts[number]++;
    if (d->task == PRILORA_TASK_REGRESSION)
        counts[0]++;
    else if (d->task == PRILORA_TASK_CLASSIFICATION)
        counts[(size_t)*target]++;
    for (size_t k = 0; d->task == PRILORA_TASK_MULTI_LABEL && k < d->width; k++)
        counts[k] += target[k] > 0;
}

enum prilora_status pl_labels_count(const struct pl_labels *labels, struct prilora_dataset *dataset,
                                    size_t *counts, const struct prilora_dataset_options *options,
                                    struct pl_bad_rows *bad, struct prilora_error *err)
{
    struct names names = {pl_alloc(PL_MAX_LABELS, sizeof *names.list), 0};
    float *target = pl_calloc(PL_MAX_LABELS, sizeof *target);
    struct pl_labels_file file;
    struct known known;
    struct resolve r = {labels, dataset, &names, &known, bad};
    enum prilora_status rc = find_known(&known, &file, options, err);

    if (rc == PRILORA_OK)
        rc = target ? make_outputs(labels, dataset, &names, &known, options->task, err)
                    : pl_fail(err, PRILORA_ENOMEM, "out of memory for labels");
    for (size_t i = 0; rc == PRILORA_OK && i < labels->n_rows; i++) {
        size_t total = bad->total;

        memset(target, 0, dataset->width * sizeof *target);
        resolve_row(&r, &labels->rows[i], of_words(dataset) ? NULL : target);
        if (bad->total == total)
            count_target(&r, &labels->rows[i], target, counts);
    }
    if (rc == PRILORA_OK)
        rc = check_enough(&r, err);
    pl_labels_file_free(&file);
    free(target);
    free(names.list);
    return rc;
}
