/*
 * torch.c - PyTorch checkpoints: from the pickled state dict and the arrays that torch_zip.c or
 * torch_plain.c found to named tensors.
 */
#include "io/torch.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* ---- storages ----------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
    const struct pl_torch_slot *left = a, *right = b;
    size_t shorter = left->key_length < right->key_length ? left->key_length : right->key_length;
    int order = memcmp(left->key, right->key, shorter);

    return order ? order
                 : (left->key_length > right->key_length) - (left->key_length < right->key_length);
}

/* Sorted slots in which those of one key are one. */
static enum prilora_status merge_slots(struct pl_torch *t, struct prilora_error *err)
{
    size_t kept = 0;

    if (t->n_slots)
        qsort(t->slots, t->n_slots, sizeof *t->slots, by_key);
    for (size_t i = 0; i < t->n_slots; i++) {
        const struct pl_torch_slot *slot = &t->slots[i], *last = &t->slots[kept ? kept - 1 : 0];

        if (kept == 0 || by_key(last, slot) != 0)
            t->slots[kept++] = *slot;
        else if (slot->dtype != last->dtype || slot->n_elements != last->n_elements)
            return pl_fail(err, PRILORA_EFORMAT, "%s: storage '%.*s' is both %zu x %s and %zu x %s",
                           t->path, slot->key_length > 80 ? 80 : (int)slot->key_length, slot->key,
                           last->n_elements, pl_dtype_name(last->dtype), slot->n_elements,
                           pl_dtype_name(slot->dtype));
    }
    t->n_slots = kept;
    return PRILORA_OK;
}

enum prilora_status pl_torch_make_slots(struct pl_torch *t, struct prilora_error *err)
{
    t->slots = pl_calloc(t->pickle.n_storages, sizeof *t->slots);
    if (!t->slots)
        return pl_fail(err, PRILORA_ENOMEM, "%s: no memory for %zu storages", t->path,
                       t->pickle.n_storages);
    for (size_t i = 0; i < t->pickle.n_storages; i++) {
        const struct pl_pickle_storage *storage = &t->pickle.storages[i];
        struct pl_torch_slot *slot = &t->slots[t->n_slots++];

        *slot = (struct pl_torch_slot){.key = storage->key,
                                       .key_length = storage->key_length,
                                       .dtype = storage->dtype,
                                       .n_elements = storage->n_elements};
        if (!pl_mul(&slot->size, slot->n_elements, pl_dtype_size(slot->dtype)) ||
            slot->size > t->file_size)
            return pl_fail(err, PRILORA_EFORMAT,
                           "%s: storage '%.*s' is said to have %zu elements, more than the file "
                           "of %zu bytes can hold",
                           t->path, slot->key_length > 80 ? 80 : (int)slot->key_length, slot->key,
                           slot->n_elements, t->file_size);
    }
    return merge_slots(t, err);
}

struct pl_torch_slot *pl_torch_find_slot(const struct pl_torch *t, const char *key, size_t length)
{
    struct pl_torch_slot wanted = {.key = key, .key_length = length};

    return t->n_slots ? bsearch(&wanted, t->slots, t->n_slots, sizeof *t->slots, by_key) : NULL;
}

/* ---- tensors ------------------------------------------------------------------------------ */

/* All elements of the view lie in the storage. */
static bool view_fits(const struct pl_pickle_tensor *view, const struct pl_tensor *tensor,
                      size_t n_stored)
{
    size_t last = view->offset, reach;

    if (tensor->n_elements == 0)
        return last <= n_stored;
    for (size_t i = 0; i < view->n_dims; i++)
        if (!pl_mul(&reach, view->dims[i] - 1, view->strides[i]) ||
            __builtin_add_overflow(last, reach, &last))
            return false;
    return last < n_stored;
}

static bool is_contiguous(const struct pl_pickle_tensor *view)
{
    uint64_t expected = 1;

    for (size_t i = view->n_dims; i > 0; i--) {
        if (view->dims[i - 1] != 1 && view->strides[i - 1] != expected)
            return false;
        expected *= view->dims[i - 1];
    }
    return true;
}

/* The elements of a view in row-major order. */
static void copy_view(unsigned char *to, const unsigned char *storage, size_t element,
                      const struct pl_pickle_tensor *view, size_t n_elements)
{
    uint64_t index[PL_TENSOR_MAX_DIMS] = {0};
    size_t from = view->offset;

    for (size_t i = 0; i < n_elements; i++) {
        memcpy(to + i * element, storage + from * element, element);
        for (size_t d = view->n_dims; d > 0; d--) {
            from += view->strides[d - 1];
            if (++index[d - 1] < view->dims[d - 1])
                break;
            from -= view->dims[d - 1] * view->strides[d - 1];
            index[d - 1] = 0;
        }
    }
}

/* Points tensor->data at the view's elements, in the storage itself where they stand in order. */
static enum prilora_status place(struct pl_torch *t, struct pl_tensor *tensor,
                                 const struct pl_pickle_tensor *view, struct prilora_error *err)
{
    const struct pl_pickle_storage *storage = &t->pickle.storages[view->storage];
    const struct pl_torch_slot *slot = pl_torch_find_slot(t, storage->key, storage->key_length);
    size_t element = pl_dtype_size(slot->dtype), bytes;
    unsigned char *copy;
    char shape[128];

    tensor->dtype = slot->dtype;
    if (!pl_tensor_measure(tensor, &bytes) || !view_fits(view, tensor, slot->n_elements))
        return pl_fail(err, PRILORA_EFORMAT,
                       "%s: tensor '%.150s' %s does not lie within the %zu elements of its storage",
                       t->path, tensor->name, pl_tensor_shape(tensor, shape, sizeof shape),
                       slot->n_elements);
    if (tensor->n_elements == 0 || is_contiguous(view)) {
        tensor->data = slot->data + view->offset * element;
        return PRILORA_OK;
    }
    if (bytes > t->file_size - t->copied)
        return pl_fail(err, PRILORA_ELIMIT,
                       "%s: tensor '%.150s' %s and others that do not stand in order in their "
                       "storage are together larger than the file",
                       t->path, tensor->name, pl_tensor_shape(tensor, shape, sizeof shape));
    t->copied += bytes;
    copy = pl_set_alloc(t->set, bytes);
    if (!copy)
        return pl_fail(err, PRILORA_ENOMEM, "%s: no memory for %zu bytes", t->path, bytes);
    copy_view(copy, slot->data, element, view, tensor->n_elements);
    tensor->data = copy;
    return PRILORA_OK;
}

static enum prilora_status add_tensor(struct pl_torch *t, const char *name,
                                      const struct pl_pickle_tensor *view,
                                      struct prilora_error *err)
{
    struct pl_tensor tensor = {.name = name, .n_dims = view->n_dims};
    enum prilora_status rc;

    for (size_t i = 0; i < view->n_dims; i++)
        tensor.dims[i] = view->dims[i];
    rc = place(t, &tensor, view, err);
    return rc == PRILORA_OK ? pl_set_add(t->set, &tensor, 0, err) : rc;
}

/* One entry of the state dict. */
static enum prilora_status add_entry(struct pl_torch *t, const struct pl_pickle_value *key,
                                     const struct pl_pickle_value *value, struct prilora_error *err)
{
    enum prilora_status rc;
    json_t *name;

    if (key->kind != PL_PICKLE_TEXT)
        return pl_fail(err, PRILORA_EFORMAT, "%s: the name of a tensor is %s", t->path,
                       pl_pickle_kind_name(key->kind));
    name = json_stringn(key->as.text.bytes, key->as.text.length); /* NULL if not UTF-8 */
    if (!name || strlen(json_string_value(name)) != key->as.text.length)
        rc = pl_fail(err, PRILORA_EFORMAT, "%s: a tensor is named '%.*s', which is not text",
                     t->path, key->as.text.length > 80 ? 80 : (int)key->as.text.length,
                     key->as.text.bytes);
    else if (value->kind != PL_PICKLE_TENSOR)
        rc = pl_fail(err, PRILORA_EFORMAT, "%s: '%.150s' is %s, not a tensor", t->path,
                     json_string_value(name), pl_pickle_kind_name(value->kind));
    else
        rc = add_tensor(t, json_string_value(name), &t->pickle.tensors[value->as.index], err);
    json_decref(name);
    return rc;
}

static enum prilora_status add_tensors(struct pl_torch *t, struct prilora_error *err)
{
    const struct pl_pickle *p = &t->pickle;
    const struct pl_pickle_value *root = &p->values[p->root];
    enum prilora_status rc = PRILORA_OK;

    if (root->kind != PL_PICKLE_DICT)
        return pl_fail(err, PRILORA_EFORMAT, "%s: holds %s, not a dict of tensors", t->path,
                       pl_pickle_kind_name(root->kind));
    for (uint32_t i = root->as.items.first; i && rc == PRILORA_OK; i = p->items[i].next)
        rc = add_entry(t, &p->values[p->items[i].key], &p->values[p->items[i].value], err);
    return rc;
}

/* ---- the whole ---------------------------------------------------------------------------- */

enum prilora_status pl_set_add_torch(struct pl_tensors *set, const unsigned char *data, size_t size,
                                     const char *path, struct prilora_error *err)
{
    struct pl_torch t = {.set = set, .file = data, .file_size = size, .path = path};
    enum prilora_status rc;

    if (pl_torch_is_zip(&t))
        rc = pl_torch_read_zip(&t, err);
    else if (pl_torch_is_plain(&t))
        rc = pl_torch_read_plain(&t, err);
    else
        rc = pl_fail(err, PRILORA_EFORMAT, "%s: not a file that torch.save wrote", path);
    if (rc == PRILORA_OK)
        rc = add_tensors(&t, err);
    pl_pickle_free(&t.pickle);
    free(t.slots);
    free(t.pickled);
    return rc;
}

static enum prilora_status finish(struct pl_tensors **out, struct pl_tensors *set,
                                  const unsigned char *data, size_t size, const char *path,
                                  struct prilora_error *err)
{
    enum prilora_status rc = pl_set_add_torch(set, data, size, path, err);

    if (rc == PRILORA_OK)
        rc = pl_set_seal(set, path, err);
    if (rc == PRILORA_OK)
        *out = set;
    else
        pl_tensors_close(set);
    return rc;
}

enum prilora_status pl_tensors_parse_torch(struct pl_tensors **out, const void *data, size_t size,
                                           const char *path, struct prilora_error *err)
{
    struct pl_tensors *set = pl_set_new();

    *out = NULL;
    if (!set)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
    return finish(out, set, data, size, path, err);
}

enum prilora_status pl_tensors_open_torch(struct pl_tensors **out, const char *path,
                                          struct prilora_error *err)
{
    struct pl_tensors *set = pl_set_new();
    struct pl_file_map map;
    enum prilora_status rc;

    *out = NULL;
    if (!set)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", path);
    rc = pl_set_map(set, path, &map, err);
    if (rc == PRILORA_OK)
        return finish(out, set, map.data, map.size, path, err);
    pl_tensors_close(set);
    return rc;
}
