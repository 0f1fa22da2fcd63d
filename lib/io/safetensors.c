/*
 * safetensors.c - reads the safetensors format: eight bytes of header length, a JSON header
 * {name: {"dtype", "shape", "data_offsets"}}, and the arrays. As in the reference implementation,
 * the arrays fill the rest of the file exactly: no gap, no overlap, no tail.
 *
 * Source  https://github.com/huggingface/safetensors, section "Format" of its README
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/set.h"

#define METADATA "__metadata__"

/* The place that one header describes. */
struct source {
    const unsigned char *arrays; /* what data_offsets count from */
    size_t size;                 /* of the arrays */
    size_t file;
    const char *path;
};

/* array[i] as a count; false if it is not one. */
static bool count_at(size_t *out, const json_t *array, size_t i)
{
    const json_t *item = json_array_get(array, i);

    if (!json_is_integer(item) || json_integer_value(item) < 0)
        return false;
    *out = (size_t)json_integer_value(item);
    return true;
}

static enum prilora_status read_dtype(struct pl_tensor *tensor, const json_t *entry,
                                      const char *path, struct prilora_error *err)
{
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));

    if (!dtype)
        return pl_fail(err, PRILORA_EFORMAT, "%s: tensor '%.200s' has no dtype", path,
                       tensor->name);
    if (!pl_dtype_parse(&tensor->dtype, dtype))
        return pl_fail(err, PRILORA_EUNSUPPORTED,
                       "%s: tensor '%.200s' has dtype '%.40s'; supported are F32, F16, BF16, F64, "
                       "I64, I32, I16, I8, U8 and BOOL",
                       path, tensor->name, dtype);
    return PRILORA_OK;
}

static enum prilora_status read_shape(struct pl_tensor *tensor, const json_t *entry,
                                      const char *path, struct prilora_error *err)
{
    const json_t *shape = json_object_get(entry, "shape");

    if (!json_is_array(shape))
        return pl_fail(err, PRILORA_EFORMAT, "%s: tensor '%.200s' has no shape", path,
                       tensor->name);
    tensor->n_dims = json_array_size(shape);
    if (tensor->n_dims > PL_TENSOR_MAX_DIMS)
        return pl_fail(err, PRILORA_ELIMIT,
                       "%s: tensor '%.200s' has %zu dimensions, but at most %d are read", path,
                       tensor->name, tensor->n_dims, PL_TENSOR_MAX_DIMS);
    for (size_t i = 0; i < tensor->n_dims; i++)
        if (!count_at(&tensor->dims[i], shape, i))
            return pl_fail(err, PRILORA_EFORMAT,
                           "%s: dimension %zu of tensor '%.200s' is not a count", path, i,
                           tensor->name);
    return PRILORA_OK;
}

static enum prilora_status read_entry(struct pl_tensors *set, const struct source *from,
                                      const char *name, const json_t *entry,
                                      struct prilora_error *err)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    struct pl_tensor tensor = {.name = name};
    size_t begin, end, bytes;
    enum prilora_status rc;

    if (!json_is_object(entry))
        return pl_fail(err, PRILORA_EFORMAT, "%s: tensor '%.200s' is not described by an object",
                       from->path, name);
    rc = read_dtype(&tensor, entry, from->path, err);
    if (rc == PRILORA_OK)
        rc = read_shape(&tensor, entry, from->path, err);
    if (rc != PRILORA_OK)
        return rc;
    if (json_array_size(offsets) != 2 || !count_at(&begin, offsets, 0) ||
        !count_at(&end, offsets, 1))
        return pl_fail(err, PRILORA_EFORMAT,
                       "%s: tensor '%.200s' has no data_offsets of two counts", from->path, name);
    if (begin > end || end > from->size)
        return pl_fail(err, PRILORA_EFORMAT,
                       "%s: tensor '%.200s' spans bytes %zu to %zu of %zu bytes of data",
                       from->path, name, begin, end, from->size);
    if (!pl_tensor_measure(&tensor, &bytes) || bytes != end - begin) {
        char shape[128];

        return pl_fail(err, PRILORA_EFORMAT, "%s: tensor '%.200s' is %s%s but spans %zu bytes",
                       from->path, name, pl_dtype_name(tensor.dtype),
                       pl_tensor_shape(&tensor, shape, sizeof shape), end - begin);
    }
    tensor.data = from->arrays + begin;
    return pl_set_add(set, &tensor, from->file, err);
}

static enum prilora_status check_metadata(const json_t *metadata, const char *path,
                                          struct prilora_error *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(metadata))
        return pl_fail(err, PRILORA_EFORMAT, "%s: " METADATA " is not an object", path);
    json_object_foreach ((json_t *)(uintptr_t)metadata, key, value)
        if (!json_is_string(value))
            return pl_fail(err, PRILORA_EFORMAT, "%s: '%.200s' in " METADATA " is not a string",
                           path, key);
    return PRILORA_OK;
}

static size_t bytes_of(const struct pl_tensor *tensor)
{
    return tensor->n_elements * pl_dtype_size(tensor->dtype);
}

/* By place in the file; an empty array before the one that begins where it stands. */
static int by_place(const void *a, const void *b)
{
    const struct pl_tensor *left = *(const struct pl_tensor *const *)a,
                           *right = *(const struct pl_tensor *const *)b;
    uintptr_t l = (uintptr_t)left->data, r = (uintptr_t)right->data;

    if (l == r)
        return (bytes_of(left) > bytes_of(right)) - (bytes_of(left) < bytes_of(right));
    return l < r ? -1 : 1;
}

/* The tensors set->entries[first ..] cover the arrays without gap or overlap. */
static enum prilora_status check_cover(const struct pl_tensors *set, size_t first,
                                       const struct source *from, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    size_t n = set->n - first, covered = 0;
    const struct pl_tensor **order = pl_alloc(n, sizeof *order);

    if (!order)
        return pl_fail(err, PRILORA_ENOMEM, "%s: no memory for %zu tensors", from->path, n);
    for (size_t i = 0; i < n; i++)
        order[i] = &set->entries[first + i].tensor;
    qsort(order, n, sizeof *order, by_place);
    for (size_t i = 0; i < n && rc == PRILORA_OK; i++) {
        size_t begin = (size_t)((const unsigned char *)order[i]->data - from->arrays);

        if (begin < covered)
            rc = pl_fail(err, PRILORA_EFORMAT, "%s: tensors '%.150s' and '%.150s' overlap",
                         from->path, order[i - 1]->name, order[i]->name);
        else if (begin > covered)
            rc =
                pl_fail(err, PRILORA_EFORMAT, "%s: %zu bytes before tensor '%.200s' belong to none",
                        from->path, begin - covered, order[i]->name);
        covered = begin + bytes_of(order[i]);
    }
    if (rc == PRILORA_OK && covered != from->size)
        rc = pl_fail(err, PRILORA_EFORMAT, "%s: the last %zu bytes belong to no tensor", from->path,
                     from->size - covered);
    free(order);
    return rc;
}

static enum prilora_status read_header(json_t **out, const unsigned char *data, size_t size,
                                       const char *path, size_t *length, struct prilora_error *err)
{
    json_error_t problem;
    uint64_t claimed;

    *out = NULL;
    if (size < 8)
        return pl_fail(err, PRILORA_EFORMAT, "%s: %zu bytes are too few for a safetensors file",
                       path, size);
    claimed = pl_u64_le(data);
    if (claimed > size - 8)
        return pl_fail(err, PRILORA_EFORMAT,
                       "%s: the header claims %llu bytes, but %zu follow its length", path,
                       (unsigned long long)claimed, size - 8);
    if (claimed > PL_TENSORS_MAX_HEADER)
        return pl_fail(err, PRILORA_ELIMIT,
                       "%s: the header has %llu bytes, but at most %zu are read", path,
                       (unsigned long long)claimed, PL_TENSORS_MAX_HEADER);
    *length = (size_t)claimed;
    if (*length == 0 || data[8] != '{')
        return pl_fail(err, PRILORA_EFORMAT, "%s: the header does not begin with '{'", path);
    *out = json_loadb((const char *)data + 8, *length, JSON_REJECT_DUPLICATES, &problem);
    if (!*out)
        return pl_fail(err, PRILORA_EFORMAT, "%s: header, byte %d: %s", path, problem.position,
                       problem.text);
    return PRILORA_OK;
}

enum prilora_status pl_set_add_safetensors(struct pl_tensors *set, const unsigned char *data,
                                           size_t size, size_t file, const char *path,
                                           struct prilora_error *err)
{
    size_t length = 0, first = set->n;
    enum prilora_status rc;
    json_t *header, *entry;
    struct source from;
    const char *name;

    rc = read_header(&header, data, size, path, &length, err);
    if (rc != PRILORA_OK)
        return rc;
    from = (struct source){data + 8 + length, size - 8 - length, file, path};
    json_object_foreach (header, name, entry) {
        rc = strcmp(name, METADATA) == 0 ? check_metadata(entry, path, err)
                                         : read_entry(set, &from, name, entry, err);
        if (rc != PRILORA_OK)
            break;
    }
    json_decref(header);
    return rc == PRILORA_OK ? check_cover(set, first, &from, err) : rc;
}

/* A set that was filled: sealed into *out, or closed. */
static enum prilora_status finish(struct pl_tensors **out, struct pl_tensors *set,
                                  enum prilora_status rc, const char *path,
                                  struct prilora_error *err)
{
    if (rc == PRILORA_OK)
        rc = pl_set_seal(set, path, err);
    if (rc == PRILORA_OK)
        *out = set;
    else
        pl_tensors_close(set);
    return rc;
}

enum prilora_status pl_tensors_parse_safetensors(struct pl_tensors **out, const void *data,
                                                 size_t size, const char *path,
                                                 struct prilora_error *err)
{
    struct pl_tensors *set = pl_set_new();

    *out = NULL;
    if (!set)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
    return finish(out, set, pl_set_add_safetensors(set, data, size, 0, path, err), path, err);
}

enum prilora_status pl_set_map_safetensors(struct pl_tensors *set, const char *path, size_t file,
                                           struct prilora_error *err)
{
    struct pl_file_map map;
    enum prilora_status rc = pl_set_map(set, path, &map, err);

    return rc == PRILORA_OK ? pl_set_add_safetensors(set, map.data, map.size, file, path, err) : rc;
}

enum prilora_status pl_tensors_open_safetensors(struct pl_tensors **out, const char *path,
                                                struct prilora_error *err)
{
    struct pl_tensors *set = pl_set_new();

    *out = NULL;
    if (!set)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
    return finish(out, set, pl_set_map_safetensors(set, path, 0, err), path, err);
}
