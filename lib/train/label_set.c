/* label_set.c - see label_set.h. */
#include "train/label_set.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/task.h"

struct pl_label_name {
    const char *text;    /* not terminated, and another's */
    size_t size, number; /* the label's number, once it has one */
};

/* ---- what is settled ------------------------------------------------------------------------- */

/* Outputs that no label of the data stands for. */
static const char *const *const fixed_names[PRILORA_TASK_QUESTION_ANSWERING + 1] = {
    [PRILORA_TASK_REGRESSION] = (const char *const[]){"score", NULL},
    [PRILORA_TASK_QUESTION_ANSWERING] = (const char *const[]){"start", "end", NULL},
};

static size_t count_names(const char *const *names)
{
    size_t n = 0;

    while (names[n])
        n++;
    return n;
}

static void settle(struct pl_label_set *set, enum prilora_task task, const char *whose,
                   const char *const *names, size_t n)
{
    set->task = task;
    set->whose = whose;
    set->settled = names;
    set->n_settled = n;
}

enum prilora_status pl_label_set_open(struct pl_label_set *set,
                                      const struct prilora_dataset_options *options,
                                      struct prilora_error *err)
{
    const struct prilora_dataset *train = options->train;
    const struct pl_glue *glue = pl_glue_of(options->glue);
    enum prilora_status rc = PRILORA_OK;

    *set = (struct pl_label_set){.glue = glue};
    if (train) {
        settle(set, train->task, "training data", (const char *const *)train->labels,
               train->n_labels);
    } else if (glue) {
        settle(set, glue->task, glue->title, glue->labels, count_names(glue->labels));
    } else if (options->adapter) {
        rc = pl_labels_file_read(&set->file, options->adapter, err);
        if (rc == PRILORA_OK)
            settle(set, set->file.task, "adapter", (const char *const *)set->file.names,
                   set->file.n);
    }
    return rc;
}

void pl_label_set_close(struct pl_label_set *set)
{
    pl_labels_file_free(&set->file);
    free(set->names);
    *set = (struct pl_label_set){0};
}

/* ---- names ----------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const struct pl_label_name *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);

    return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* Where the name is, or belongs. */
static size_t place(const struct pl_label_set *set, const struct pl_label_name *name, bool *found)
{
    size_t low = 0, high = set->n;

    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(&set->names[middle], name);

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
static const char *fault_of(const struct pl_label_name *name)
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
static struct pl_label_name name_of(const struct pl_labels *labels,
                                    const struct pl_label_item *item, char number[24])
{
    if (item->kind == PL_LABEL_REAL && item->value == floor(item->value) &&
        fabs(item->value) < 1e15) {
        /* adding zero makes -0.0 the class 0 */
        int n = snprintf(number, 24, "%.0f", item->value + 0.0);

        return (struct pl_label_name){number, (size_t)n, 0};
    }
    return (struct pl_label_name){labels->texts + item->text, item->size, 0};
}

static enum prilora_status too_many(struct prilora_error *err)
{
    return pl_fail(
        err, PRILORA_ELIMIT,
        "more than %d different labels (if they are numbers to be predicted, the task is "
        "regression)",
        PL_MAX_LABELS);
}

/* If the names are "0", "1", ... "n-1", they are put into that order. */
static void order_numbers(const struct pl_label_set *set, struct prilora_dataset *dataset)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < set->n; i++) {
            char number[24];
            int n = snprintf(number, sizeof number, "%zu", i);
            struct pl_label_name name = {number, (size_t)n, 0};
            bool found;
            size_t at = place(set, &name, &found);

            if (!found)
                return; /* only ever in the first pass */
            if (pass == 1)
                dataset->labels[i] = (char *)(uintptr_t)set->names[at].text;
        }
    }
}

/* The distinct names of all items, as copies in dataset->labels sorted by bytes. */
static enum prilora_status collect_names(struct pl_label_set *set, struct prilora_dataset *dataset,
                                         const struct pl_labels *labels, struct prilora_error *err)
{
    for (size_t i = 0; i < labels->n_items; i++) {
        char number[24], *copy;
        struct pl_label_name name = name_of(labels, &labels->items[i], number);
        bool found;
        size_t at;

        if (fault_of(&name))
            continue; /* its row will be told of it */
        at = place(set, &name, &found);
        if (found)
            continue;
        if (set->n == PL_MAX_LABELS)
            return too_many(err);
        copy = pl_calloc(name.size + 1, 1);
        if (!copy)
            return pl_fail(err, PRILORA_ENOMEM, "out of memory for labels");
        memcpy(copy, name.text, name.size);
        name.text = copy;
        dataset->labels[dataset->n_labels++] = copy; /* owned from now on */
        memmove(set->names + at + 1, set->names + at, (set->n - at) * sizeof *set->names);
        set->names[at] = name;
        set->n++;
    }
    for (size_t i = 0; i < set->n; i++)
        dataset->labels[i] = (char *)(uintptr_t)set->names[i].text;
    order_numbers(set, dataset);
    return PRILORA_OK;
}

/* The names that are settled, for data that must have the same. */
static enum prilora_status copy_names(struct prilora_dataset *dataset, const char *const *names,
                                      size_t n, struct prilora_error *err)
{
    for (; dataset->n_labels < n; dataset->n_labels++) {
        dataset->labels[dataset->n_labels] = pl_strdup(names[dataset->n_labels]);
        if (!dataset->labels[dataset->n_labels])
            return pl_fail(err, PRILORA_ENOMEM, "out of memory for labels");
    }
    return PRILORA_OK;
}

/* The index from names to numbers. */
static void make_index(struct pl_label_set *set, const struct prilora_dataset *dataset)
{
    set->labels = dataset->labels;
    set->n = dataset->n_labels;
    for (size_t i = 0; i < set->n; i++)
        set->names[i] = (struct pl_label_name){set->labels[i], strlen(set->labels[i]), i};
    qsort(set->names, set->n, sizeof *set->names, compare);
}

enum prilora_status pl_label_set_fill(struct pl_label_set *set, struct prilora_dataset *dataset,
                                      const struct pl_labels *labels, struct prilora_error *err)
{
    const char *const *fixed = fixed_names[dataset->task];
    enum prilora_status rc;

    dataset->labels = pl_calloc(PL_MAX_LABELS, sizeof *dataset->labels);
    set->names = pl_alloc(PL_MAX_LABELS, sizeof *set->names);
    if (!dataset->labels || !set->names)
        return pl_fail(err, PRILORA_ENOMEM, "out of memory for labels");
    if (fixed)
        rc = copy_names(dataset, fixed, count_names(fixed), err);
    else if (set->n_settled)
        rc = copy_names(dataset, set->settled, set->n_settled, err);
    else
        rc = collect_names(set, dataset, labels, err);
    if (rc != PRILORA_OK)
        return rc;
    make_index(set, dataset);
    dataset->width = pl_label_width(dataset->task, dataset->n_labels);
    return PRILORA_OK;
}

/* ---- a label's number ------------------------------------------------------------------------ */

/* Says which label is unknown and some of those that are known. */
static void say_unknown(const struct pl_label_set *set, const struct pl_label_name *name,
                        char *reason)
{
    char label[PL_QUOTE_SIZE], known[PL_QUOTE_SIZE], list[200] = "";
    size_t used = 0, i;

    for (i = 0; i < set->n && i < 4; i++) {
        const char *text = set->labels[i];

        if (used > sizeof list - PL_QUOTE_SIZE - 2)
            break;
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "",
                                 pl_rows_quote(known, text, strlen(text)));
    }
    pl_rows_quote(label, name->text, name->size);
    if (set->glue)
        snprintf(reason, PL_MAX_REASON, "the label %s is none of %s's, which are %s", label,
                 set->glue->title, list);
    else
        snprintf(reason, PL_MAX_REASON, "the label %s does not occur in the %s, which has %s%s",
                 label, set->whose, list, i < set->n ? ", ..." : "");
}

/* Of a GLUE task's label, which may stand as its number. */
static bool is_class_number(const struct pl_label_set *set, const struct pl_label_name *name,
                            size_t *number)
{
    if (!set->glue || name->size != 1 || name->text[0] < '0')
        return false;
    *number = (size_t)(name->text[0] - '0');
    return *number < set->n;
}

bool pl_label_set_find(const struct pl_label_set *set, const struct pl_labels *labels,
                       const struct pl_label_item *item, size_t *number, char reason[PL_MAX_REASON])
{
    char buffer[24];
    struct pl_label_name name = name_of(labels, item, buffer);
    const char *fault = fault_of(&name);
    bool found;
    size_t at;

    if (fault) {
        snprintf(reason, PL_MAX_REASON, "%s", fault);
        return false;
    }
    if (is_class_number(set, &name, number))
        return true;
    at = place(set, &name, &found);
    if (found)
        *number = set->names[at].number;
    else
        say_unknown(set, &name, reason);
    return found;
}
