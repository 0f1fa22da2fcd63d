/*
 * config.c - reads config.json: the members of its model type (config_types.c), then the labels.
 */
#include "io/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/config_member.h"

/* ---- labels ------------------------------------------------------------------------------- */

/* "17" as 17, without sign, spaces or leading zeros; false otherwise or if not below `limit`. */
static bool parse_index(size_t *out, const char *text, size_t limit)
{
    size_t n = strspn(text, "0123456789");

    if (n == 0 || n > 9 || text[n] || (text[0] == '0' && n > 1))
        return false;
    *out = (size_t)strtoul(text, NULL, 10);
    return *out < limit;
}

/* id2label {"0": name, ...} with every index from 0 to n - 1. */
static enum prilora_status read_id2label(struct pl_config *config, const json_t *id2label,
                                         const char *path, struct prilora_error *err)
{
    size_t n = json_object_size(id2label);
    const char *key;
    json_t *name;

    if (!json_is_object(id2label) || n == 0)
        return pl_member_fail(err, PRILORA_EFORMAT, path, "id2label", "is not an object of labels");
    if (n > PL_CONFIG_MAX_LABELS)
        return pl_member_fail(err, PRILORA_ELIMIT, path, "id2label", "has more than 65536 labels");
    config->n_labels = n;
    config->labels = pl_calloc(n, sizeof *config->labels);
    if (!config->labels)
        return pl_fail(err, PRILORA_ENOMEM, "%s: no memory for %zu labels", path, n);
    json_object_foreach ((json_t *)(uintptr_t)id2label, key, name) {
        char number[32];
        size_t i;

        if (!parse_index(&i, key, n))
            return pl_member_fail(err, PRILORA_EFORMAT, path, "id2label",
                                  "does not number its labels from 0 on");
        if (!json_is_string(name) && !json_is_integer(name))
            return pl_member_fail(err, PRILORA_EFORMAT, path, "id2label",
                                  "has a label that is not a string");
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(name));
        config->labels[i] = pl_strdup(json_is_string(name) ? json_string_value(name) : number);
        if (!config->labels[i])
            return pl_fail(err, PRILORA_ENOMEM, "%s: no memory for %zu labels", path, n);
    }
    return PRILORA_OK;
}

static void free_labels(struct pl_config *config)
{
    for (size_t i = 0; config->labels && i < config->n_labels; i++)
        free(config->labels[i]);
    free(config->labels);
    config->labels = NULL;
}

/* Where both are given and disagree, num_labels wins and the names go, as in transformers. */
static enum prilora_status read_labels(struct pl_config *config, const json_t *root,
                                       const char *path, struct prilora_error *err)
{
    static const struct pl_member num_labels = {"num_labels",        PL_COUNT, 0, 2, 1,
                                                PL_CONFIG_MAX_LABELS};
    const json_t *id2label = pl_member_given(root, "id2label"),
                 *number = pl_member_given(root, "num_labels");
    enum prilora_status rc;
    size_t n;

    rc = pl_member_number(&n, &num_labels, number, path, err);
    if (rc == PRILORA_OK && id2label)
        rc = read_id2label(config, id2label, path, err);
    if (rc != PRILORA_OK)
        return rc;
    if (!id2label || (number && n != config->n_labels)) {
        free_labels(config);
        config->n_labels = n;
    }
    return PRILORA_OK;
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* Known, but not for this. */
static const struct {
    const char *name, *why;
} refused[] = {
    {"albert", "whose layers share one set of weights and so cannot have ranks of their own"},
};

static enum prilora_status refuse_type(const char *name, const char *path,
                                       struct prilora_error *err)
{
    const char *why = NULL;
    char problem[320];
    size_t used;

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcmp(refused[i].name, name) == 0)
            why = refused[i].why;
    used = (size_t)snprintf(problem, sizeof problem, "is '%.40s'%s%s; supported:", name,
                            why ? ", " : "", why ? why : "");
    for (size_t i = 0; i < pl_n_config_types && used < sizeof problem; i++)
        used += (size_t)snprintf(problem + used, sizeof problem - used, "%s %s", i ? "," : "",
                                 pl_config_types[i].name);
    return pl_member_fail(err, PRILORA_EUNSUPPORTED, path, "model_type", problem);
}

static enum prilora_status find_type(const struct pl_config_type **out, const json_t *root,
                                     const char *path, struct prilora_error *err)
{
    const char *name = json_string_value(json_object_get(root, "model_type"));

    if (!name)
        return pl_member_fail(err, PRILORA_EFORMAT, path, "model_type", "is missing");
    for (size_t i = 0; i < pl_n_config_types; i++) {
        if (strcmp(pl_config_types[i].name, name) == 0) {
            *out = &pl_config_types[i];
            return PRILORA_OK;
        }
    }
    return refuse_type(name, path, err);
}

static enum prilora_status fill(struct pl_config *config, const json_t *root, const char *path,
                                struct prilora_error *err)
{
    const struct pl_config_type *type = NULL;
    enum prilora_status rc;

    if (!json_is_object(root))
        return pl_fail(err, PRILORA_EFORMAT, "%s: not a JSON object", path);
    rc = find_type(&type, root, path, err);
    if (rc != PRILORA_OK)
        return rc;
    snprintf(config->model_type, sizeof config->model_type, "%s", type->name);
    for (size_t i = 0; i < type->n_members && rc == PRILORA_OK; i++)
        rc = pl_member_read(config, &type->members[i], root, path, err);
    if (rc == PRILORA_OK)
        rc = type->finish(config, root, path, err);
    return rc == PRILORA_OK ? read_labels(config, root, path, err) : rc;
}

enum prilora_status pl_config_parse(struct pl_config *out, const char *json, size_t length,
                                    const char *path, struct prilora_error *err)
{
    json_error_t problem;
    json_t *root = json_loadb(json, length, JSON_REJECT_DUPLICATES, &problem);
    enum prilora_status rc;

    *out = (struct pl_config){0};
    if (!root) {
        char where[192];

        snprintf(where, sizeof where, "%.160s:%d", path, problem.line);
        return pl_fail_at(err, PRILORA_EFORMAT, where, "%s: line %d: %s", path, problem.line,
                          problem.text);
    }
    rc = fill(out, root, path, err);
    json_decref(root);
    if (rc != PRILORA_OK)
        pl_config_free(out);
    return rc;
}

enum prilora_status pl_config_read(struct pl_config *out, const char *folder,
                                   struct prilora_error *err)
{
    char *path = pl_file_join(folder, "config.json"), *text = NULL;
    enum prilora_status rc;
    size_t length;

    *out = (struct pl_config){0};
    if (!path)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    rc = pl_file_read(&text, &length, path, PL_CONFIG_MAX_BYTES, err);
    if (rc == PRILORA_OK)
        rc = pl_config_parse(out, text, length, path, err);
    free(text);
    free(path);
    return rc;
}

void pl_config_free(struct pl_config *config)
{
    if (!config)
        return;
    free_labels(config);
    *config = (struct pl_config){0};
}
