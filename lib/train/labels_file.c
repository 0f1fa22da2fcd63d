/* labels_file.c - see labels_file.h. */
#include "train/labels_file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/file.h"
#include "base/memory.h"
#include "train/dataset.h"
#include "train/settings.h"

#define MAX_FILE ((size_t)16 << 20) /* bytes */

static enum prilora_status read_task(struct pl_labels_file *out, const json_t *root,
                                     const char *path, struct prilora_error *err)
{
    const char *word = json_string_value(json_object_get(root, "task"));
    int task;

    if (!word || !pl_choice_value(pl_task_words, word, &task) || task == PRILORA_TASK_AUTO)
        return pl_fail_at(err, PRILORA_EFORMAT, "/task", "%s: \"%.40s\" is no task", path,
                          word ? word : "(none)");
    out->task = (enum prilora_task)task;
    return PRILORA_OK;
}

static bool is_new(const struct pl_labels_file *file, const char *name)
{
    for (size_t i = 0; i < file->n; i++) {
        if (strcmp(file->names[i], name) == 0)
            return false;
    }
    return true;
}

/* {"0": name, "1": name, ...} */
static enum prilora_status read_names(struct pl_labels_file *out, const json_t *root,
                                      const char *path, struct prilora_error *err)
{
    const json_t *id2label = json_object_get(root, "id2label");
    size_t n = json_object_size(id2label);

    if (n < 1 || n > PL_MAX_LABELS)
        return pl_fail_at(err, n ? PRILORA_ELIMIT : PRILORA_EFORMAT, "/id2label",
                          "%s: %zu labels, but 1 to %d are read", path, n, PL_MAX_LABELS);
    out->names = pl_calloc(n, sizeof *out->names);
    if (!out->names)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
    while (out->n < n) {
        const char *name;
        char id[24];

        snprintf(id, sizeof id, "%zu", out->n);
        name = json_string_value(json_object_get(id2label, id));
        if (!name || !*name || strlen(name) > PL_MAX_LABEL || !is_new(out, name))
            return pl_fail_at(err, PRILORA_EFORMAT, "/id2label",
                              "%s: label %s must be a name of its own, of 1 to %d bytes", path, id,
                              PL_MAX_LABEL);
        out->names[out->n] = pl_strdup(name);
        if (!out->names[out->n])
            return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
        out->n++;
    }
    return PRILORA_OK;
}

/* Settings of another version may not be known here: then the tensors tell what is needed. */
static void read_spec(struct pl_labels_file *out, const json_t *root)
{
    json_t *object = json_object_get(root, "specification");
    char *text = json_is_object(object) ? pl_json_text(object, JSON_REAL_PRECISION(17)) : NULL;

    if (text)
        prilora_spec_parse(&out->spec, text, strlen(text), NULL);
    free(text);
}

static enum prilora_status read_root(struct pl_labels_file *out, const json_t *root,
                                     const char *path, struct prilora_error *err)
{
    const char *base =
        json_string_value(json_object_get(json_object_get(root, "base"), "fingerprint"));
    enum prilora_status rc = read_task(out, root, path, err);

    if (rc == PRILORA_OK)
        rc = read_names(out, root, path, err);
    if (rc != PRILORA_OK)
        return rc;
    snprintf(out->base, sizeof out->base, "%.64s", base ? base : "");
    read_spec(out, root);
    return PRILORA_OK;
}

enum prilora_status pl_labels_file_read(struct pl_labels_file *out, const char *folder,
                                        struct prilora_error *err)
{
    char *path = pl_file_join(folder, "labels.json"), *text = NULL;
    enum prilora_status rc = PRILORA_OK;
    json_error_t reason;
    json_t *root = NULL;
    size_t size;

    *out = (struct pl_labels_file){0};
    if (!path)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    if (access(path, F_OK) != 0)
        goto out;
    rc = pl_file_read(&text, &size, path, MAX_FILE, err);
    if (rc != PRILORA_OK)
        goto out;
    root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &reason);
    rc = root ? read_root(out, root, path, err)
              : pl_fail(err, PRILORA_EFORMAT, "%s: not JSON: line %d, column %d: %s", path,
                        reason.line, reason.column, reason.text);
    json_decref(root);
out:
    if (rc != PRILORA_OK)
        pl_labels_file_free(out);
    free(text);
    free(path);
    return rc;
}

void pl_labels_file_free(struct pl_labels_file *file)
{
    for (size_t i = 0; i < file->n; i++)
        free(file->names[i]);
    free(file->names);
    prilora_spec_free(file->spec);
    *file = (struct pl_labels_file){0};
}
