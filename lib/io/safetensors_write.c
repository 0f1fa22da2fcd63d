/* safetensors_write.c - writes arrays in the safetensors format (see safetensors.c). */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "io/set.h"

#define METADATA "__metadata__"

struct writing {
    const struct pl_tensor *tensors;
    size_t n;
    const char *path;
    const char *header; /* length, JSON, padding */
    size_t header_size;
};

/* Adds the members of the JSON object `text`, all strings, to metadata. */
static enum prilora_status add_metadata(json_t *metadata, const char *text, const char *path,
                                        struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    json_t *more = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *value;
    const char *key;

    if (!json_is_object(more))
        rc = pl_fail(err, PRILORA_EINVAL, "%s: the metadata is not a JSON object", path);
    json_object_foreach (more, key, value) {
        if (!json_is_string(value))
            rc = pl_fail(err, PRILORA_EINVAL, "%s: '%.200s' in the metadata is not a string", path,
                         key);
        else if (json_object_set(metadata, key, value) != 0)
            rc = pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
        if (rc != PRILORA_OK)
            break;
    }
    json_decref(more);
    return rc;
}

/* {"dtype", "shape", "data_offsets"} of one tensor; *offset moves past it. NULL: no memory. */
static json_t *describe(const struct pl_tensor *tensor, size_t *offset)
{
    size_t begin = *offset, end = begin + tensor->n_elements * pl_dtype_size(tensor->dtype);
    json_t *shape = json_array();

    for (size_t i = 0; i < tensor->n_dims; i++)
        pl_json_append(&shape, json_integer((json_int_t)tensor->dims[i]));
    *offset = end;
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", pl_dtype_name(tensor->dtype), "shape", shape,
                     "data_offsets", (json_int_t)begin, (json_int_t)end);
}

static enum prilora_status describe_all(json_t *header, const struct writing *w,
                                        struct prilora_error *err)
{
    size_t offset = 0;

    for (size_t i = 0; i < w->n; i++) {
        const char *name = w->tensors[i].name;

        if (json_object_get(header, name))
            return pl_fail(err, PRILORA_EINVAL, "%s: the name '%.200s' is taken", w->path, name);
        if (json_object_set_new(header, name, describe(&w->tensors[i], &offset)) != 0)
            return pl_fail(err, PRILORA_EINVAL, "%s: cannot describe a tensor named '%.200s'",
                           w->path, name);
    }
    return PRILORA_OK;
}

static enum prilora_status write_file(FILE *file, void *context, struct prilora_error *err)
{
    const struct writing *w = context;
    enum prilora_status rc = pl_file_write(file, w->header, w->header_size, w->path, err);

    for (size_t i = 0; i < w->n && rc == PRILORA_OK; i++) {
        const struct pl_tensor *tensor = &w->tensors[i];

        rc = pl_file_write(file, tensor->data, tensor->n_elements * pl_dtype_size(tensor->dtype),
                           w->path, err);
    }
    return rc;
}

/* The JSON with its length before it and spaces after it, up to a multiple of 8; NULL: no memory.
 */
static char *frame(const char *json, size_t *size)
{
    size_t length = json ? strlen(json) : 0, padding = (8 - length % 8) % 8;
    uint64_t claimed = length + padding;
    char *out = json ? pl_alloc(sizeof claimed + length + padding, 1) : NULL;

    if (!out)
        return NULL;
    memcpy(out, &claimed, sizeof claimed);
    memcpy(out + sizeof claimed, json, length);
    memset(out + sizeof claimed + length, ' ', padding);
    *size = sizeof claimed + length + padding;
    return out;
}

enum prilora_status pl_safetensors_header(char **out, size_t *size, const char *path,
                                          const struct pl_tensor *tensors, size_t n,
                                          const char *metadata, struct prilora_error *err)
{
    const struct writing w = {.tensors = tensors, .n = n, .path = path};
    json_t *header = json_pack("{s:{s:s}}", METADATA, "format", "pt");
    enum prilora_status rc = PRILORA_OK;
    char *text = NULL;

    *out = NULL;
    if (!header)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
    if (metadata)
        rc = add_metadata(json_object_get(header, METADATA), metadata, path, err);
    if (rc == PRILORA_OK)
        rc = describe_all(header, &w, err);
    if (rc == PRILORA_OK) {
        text = pl_json_text(header, JSON_COMPACT);
        *out = frame(text, size);
        if (!*out)
            rc = pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
    }
    free(text);
    json_decref(header);
    return rc;
}

enum prilora_status pl_safetensors_write(const char *path, const struct pl_tensor *tensors,
                                         size_t n, const char *metadata, struct prilora_error *err)
{
    struct writing w = {.tensors = tensors, .n = n, .path = path};
    char *header;
    enum prilora_status rc =
        pl_safetensors_header(&header, &w.header_size, path, tensors, n, metadata, err);

    if (rc == PRILORA_OK) {
        w.header = header;
        rc = pl_file_replace(path, write_file, &w, err);
    }
    free(header);
    return rc;
}
