/* adapter_labels.c - see adapter_labels.h. */
#include "train/adapter_labels.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "train/dataset.h"
#include "train/settings.h"
#include "train/windows.h"

#define MAX_FILE   ((size_t)16 << 20) /* bytes */
#define MIN_LENGTH 8                  /* the range of max_length in a job's settings */
#define MAX_LENGTH 4096

static enum prilora_status read_task(struct pl_adapter_labels *out, const json_t *root,
                                     struct prilora_error *err)
{
    const json_t *task = json_object_get(root, "task");
    int value;

    if (!task)
        return PRILORA_OK;
    if (!json_is_string(task) || !pl_choice_value(pl_task_words, json_string_value(task), &value) ||
        value == PRILORA_TASK_AUTO)
        return pl_fail_at(err, PRILORA_EFORMAT, "/task", "%s: \"%.40s\" is no task", out->path,
                          json_is_string(task) ? json_string_value(task) : "(no text)");
    out->task = (enum prilora_task)value;
    return PRILORA_OK;
}

static enum prilora_status read_names(struct pl_adapter_labels *out, const json_t *root,
                                      struct prilora_error *err)
{
    const json_t *id2label = json_object_get(root, "id2label");
    size_t n = json_object_size(id2label);

    if (!id2label)
        return PRILORA_OK;
    if (!json_is_object(id2label) || n < 1 || n > PL_MAX_LABELS)
        return pl_fail_at(err, PRILORA_EFORMAT, "/id2label",
                          "%s: id2label must be an object of 1 to %d labels", out->path,
                          PL_MAX_LABELS);
    out->names = pl_calloc(n, sizeof *out->names);
    for (size_t i = 0; out->names && i < n; i++) {
        char id[24];
        const char *name;

        snprintf(id, sizeof id, "%zu", i);
        name = json_string_value(json_object_get(id2label, id));
        if (!name)
            return pl_fail_at(err, PRILORA_EFORMAT, "/id2label",
                              "%s: id2label has %zu labels, but \"%s\" is none of them", out->path,
                              n, id);
        out->names[i] = pl_strdup(name);
        if (!out->names[i])
            break;
        out->n++;
    }
    if (out->n < n)
        return pl_fail(err, PRILORA_ENOMEM, "%s: no memory for %zu labels", out->path, n);
    return PRILORA_OK;
}

/* specification.method.<its type>.hyperparameters.max_length */
static enum prilora_status read_length(struct pl_adapter_labels *out, const json_t *root,
                                       struct prilora_error *err)
{
    const json_t *method = json_object_get(json_object_get(root, "specification"), "method");
    const char *type = json_string_value(json_object_get(method, "type"));
    const json_t *settings =
        type ? json_object_get(json_object_get(method, type), "hyperparameters") : NULL;
    const json_t *length = json_object_get(settings, "max_length");
    json_int_t value = json_integer_value(length);

    if (!length)
        return PRILORA_OK;
    if (!json_is_integer(length) || value < MIN_LENGTH || value > MAX_LENGTH)
        return pl_fail_at(err, PRILORA_EFORMAT, "/specification",
                          "%s: max_length must be an integer from %d to %d", out->path, MIN_LENGTH,
                          MAX_LENGTH);
    out->max_length = (size_t)value;
    return PRILORA_OK;
}

/* A member that is a number in a range, if it is there. */
static enum prilora_status read_number(size_t *out, const struct pl_adapter_labels *labels,
                                       const json_t *root, const char *name, long least, long most,
                                       struct prilora_error *err)
{
    const json_t *value = json_object_get(root, name);
    const json_int_t number = json_integer_value(value);

    if (!value)
        return PRILORA_OK;
    if (!json_is_integer(value) || number < least || number > most)
        return pl_fail(err, PRILORA_EFORMAT, "%s: %s must be an integer from %ld to %ld",
                       labels->path, name, least, most);
    *out = (size_t)number;
    return PRILORA_OK;
}

static enum prilora_status read_answers(struct pl_adapter_labels *out, const json_t *root,
                                        struct prilora_error *err)
{
    enum prilora_status rc;

    if (out->task != PRILORA_TASK_QUESTION_ANSWERING)
        return PRILORA_OK;
    out->answers.none = json_is_true(json_object_get(root, "null_answers"));
    rc = read_number(&out->doc_stride, out, root, "doc_stride", 0, PL_MAX_STRIDE, err);
    return rc == PRILORA_OK ? read_number(&out->answers.longest, out, root, "max_answer_length", 1,
                                          PL_MAX_ANSWER_LENGTH, err)
                            : rc;
}

static enum prilora_status check_base(const struct pl_adapter_labels *out, const json_t *root,
                                      const char *fingerprint, struct prilora_error *err)
{
    const char *made =
        json_string_value(json_object_get(json_object_get(root, "base"), "fingerprint"));

    if (made && strcmp(made, fingerprint) != 0)
        return pl_fail(err, PRILORA_EMISMATCH,
                       "%s: the adapter was trained on another base (fingerprint %.12s, here "
                       "%.12s)",
                       out->path, made, fingerprint);
    return PRILORA_OK;
}

static enum prilora_status read_file(struct pl_adapter_labels *out, const char *fingerprint,
                                     struct prilora_error *err)
{
    char *text;
    size_t size;
    json_t *root;
    enum prilora_status rc = pl_file_read(&text, &size, out->path, MAX_FILE, err);

    if (rc != PRILORA_OK)
        return rc;
    root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    if (!root)
        return pl_fail(err, PRILORA_EFORMAT, "%s: not JSON", out->path);
    rc = check_base(out, root, fingerprint, err);
    if (rc == PRILORA_OK)
        rc = read_task(out, root, err);
    if (rc == PRILORA_OK)
        rc = read_names(out, root, err);
    if (rc == PRILORA_OK)
        rc = read_length(out, root, err);
    if (rc == PRILORA_OK)
        rc = read_answers(out, root, err);
    json_decref(root);
    return rc;
}

enum prilora_status pl_adapter_labels_read(struct pl_adapter_labels *out, const char *folder,
                                           const char *fingerprint, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    *out = (struct pl_adapter_labels){.path = pl_file_join(folder, "labels.json"),
                                      .answers = {.longest = PL_ANSWER_LENGTH}};
    if (!out->path)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    if (access(out->path, F_OK) == 0)
        rc = read_file(out, fingerprint, err);
    if (rc != PRILORA_OK)
        pl_adapter_labels_free(out);
    return rc;
}

static enum prilora_status make_names(struct pl_adapter_labels *labels, size_t n,
                                      const struct pl_config *config, struct prilora_error *err)
{
    bool known = config->labels && config->n_labels == n;
    char number[32];

    labels->names = pl_calloc(n, sizeof *labels->names);
    for (; labels->names && labels->n < n; labels->n++) {
        snprintf(number, sizeof number, "LABEL_%zu", labels->n);
        labels->names[labels->n] = pl_strdup(known ? config->labels[labels->n] : number);
        if (!labels->names[labels->n])
            break;
    }
    return labels->n == n ? PRILORA_OK
                          : pl_fail(err, PRILORA_ENOMEM, "no memory for %zu labels", n);
}

enum prilora_status pl_adapter_labels_complete(struct pl_adapter_labels *labels,
                                               const struct pl_import *in,
                                               const struct pl_model *model,
                                               struct prilora_error *err)
{
    enum prilora_task task = labels->task != PRILORA_TASK_AUTO ? labels->task : in->config.task;
    size_t n = labels->n ? labels->n : pl_import_n_outputs(in, model, task);
    size_t most = pl_model_max_length(model);

    if (n < 1 || n > PL_MAX_LABELS)
        return pl_fail(err, PRILORA_EFORMAT, "%s: a classifier of %zu outputs, but must be 1 to %d",
                       in->path, n, PL_MAX_LABELS);
    labels->task = task;
    if (task == PRILORA_TASK_AUTO)
        labels->task = n == 1 ? PRILORA_TASK_REGRESSION : PRILORA_TASK_CLASSIFICATION;
    if (task == PRILORA_TASK_QUESTION_ANSWERING && n != 2)
        return pl_fail(err, PRILORA_EFORMAT, "%s: a head of %zu outputs for answers, but must be 2",
                       in->path, n);
    if (!labels->max_length || labels->max_length > most)
        labels->max_length = most;
    return labels->n ? PRILORA_OK : make_names(labels, n, &model->config, err);
}

void pl_adapter_labels_free(struct pl_adapter_labels *labels)
{
    for (size_t i = 0; i < labels->n; i++)
        free(labels->names[i]);
    free(labels->names);
    free(labels->path);
    *labels = (struct pl_adapter_labels){0};
}
