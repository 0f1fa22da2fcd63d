/* shards.c - a checkpoint in several safetensors files, and the index.json that lists them. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/set.h"

#define MAX_SHARDS 4096 /* files; the largest published checkpoints have some hundreds */

/* A file of the same folder: nothing that could lead elsewhere. */
static bool plain_name(const char *name)
{
    return name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* files {name: number} of the distinct files in a weight map, in order of appearance. */
static enum prilora_status number_files(json_t *files, json_t *weight_map, const char *path,
                                        struct prilora_error *err)
{
    const char *name;
    json_t *file;

    json_object_foreach (weight_map, name, file) {
        const char *text = json_string_value(file);

        if (!text || !plain_name(text))
            return pl_fail(err, PRILORA_EFORMAT,
                           "%s: tensor '%.200s' is said to be in '%.100s', which is not the plain "
                           "name of a file",
                           path, name, text ? text : "(not a string)");
        if (json_object_get(files, text))
            continue;
        if (json_object_size(files) == MAX_SHARDS)
            return pl_fail(err, PRILORA_ELIMIT, "%s: more than %d files", path, MAX_SHARDS);
        if (json_object_set_new(files, text, json_integer((json_int_t)json_object_size(files))))
            return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
    }
    return PRILORA_OK;
}

static enum prilora_status add_shards(struct pl_tensors *set, json_t *files, const char *path,
                                      struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    const char *slash = strrchr(path, '/'), *name;
    char *folder = pl_strdup(slash ? path : "."), *shard;
    json_t *number;

    if (!folder)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
    if (slash)
        folder[slash - path + (slash == path)] = '\0';
    json_object_foreach (files, name, number) {
        shard = pl_file_join(folder, name);
        if (!shard)
            rc = pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
        else
            rc = pl_set_map_safetensors(set, shard, (size_t)json_integer_value(number), err);
        free(shard);
        if (rc == PRILORA_ENOENT)
            rc = pl_fail(err, PRILORA_EFORMAT, "%s: its file '%.200s' is missing", path, name);
        if (rc != PRILORA_OK)
            break;
    }
    free(folder);
    return rc;
}

/* Every tensor of the map is in the file that the map says. */
static enum prilora_status check_places(const struct pl_tensors *set, json_t *weight_map,
                                        const json_t *files, const char *path,
                                        struct prilora_error *err)
{
    const char *name;
    json_t *file;

    json_object_foreach (weight_map, name, file) {
        const struct pl_tensor *tensor = pl_tensors_find(set, name);
        const char *text = json_string_value(file);
        size_t number = (size_t)json_integer_value(json_object_get(files, text));

        /* a tensor is the first member of its entry */
        if (!tensor || ((const struct pl_set_entry *)(const void *)tensor)->file != number)
            return pl_fail(err, PRILORA_EFORMAT, "%s: tensor '%.200s' is not in '%.100s'", path,
                           name, text);
    }
    return PRILORA_OK;
}

static enum prilora_status open_shards(struct pl_tensors *set, json_t *weight_map, const char *path,
                                       struct prilora_error *err)
{
    json_t *files = json_object();
    enum prilora_status rc;

    if (!files)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
    rc = number_files(files, weight_map, path, err);
    if (rc == PRILORA_OK)
        rc = add_shards(set, files, path, err);
    if (rc == PRILORA_OK)
        rc = pl_set_seal(set, path, err);
    if (rc == PRILORA_OK)
        rc = check_places(set, weight_map, files, path, err);
    json_decref(files);
    return rc;
}

enum prilora_status pl_tensors_open_index(struct pl_tensors **out, const char *path,
                                          struct prilora_error *err)
{
    struct pl_tensors *set = NULL;
    enum prilora_status rc;
    json_error_t problem;
    json_t *index = NULL, *weight_map;
    char *text;
    size_t size;

    *out = NULL;
    rc = pl_file_read(&text, &size, path, PL_TENSORS_MAX_HEADER, err);
    if (rc != PRILORA_OK)
        return rc;
    index = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
    free(text);
    weight_map = json_object_get(index, "weight_map");
    if (!index)
        rc = pl_fail(err, PRILORA_EFORMAT, "%s: line %d: %s", path, problem.line, problem.text);
    else if (!json_is_object(weight_map))
        rc = pl_fail(err, PRILORA_EFORMAT, "%s: no weight_map", path);
    else if (!(set = pl_set_new()))
        rc = pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
    else
        rc = open_shards(set, weight_map, path, err);
    json_decref(index);
    if (rc == PRILORA_OK)
        *out = set;
    else
        pl_tensors_close(set);
    return rc;
}
