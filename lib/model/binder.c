/* binder.c - see binder.h. */
#include "model/binder.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#ifdef PL_DOUBLE
#define NATIVE PL_F64
#else
#define NATIVE PL_F32
#endif

#define ALIGNMENT ((size_t)64 / sizeof(pl_real)) /* of widened tensors, in numbers */

void pl_binder_fail(struct pl_binder *binder, enum prilora_status rc, const char *message)
{
    if (binder->rc == PRILORA_OK)
        binder->rc = pl_fail(binder->err, rc, "%s", message);
}

static bool add(struct pl_binder *binder, const pl_real **to, const struct pl_tensor *tensor)
{
    if (binder->n == binder->capacity) {
        size_t capacity = binder->capacity ? 2 * binder->capacity : 64;
        struct pl_binding *grown = pl_realloc(binder->bindings, capacity, sizeof *grown);

        if (!grown) {
            pl_binder_fail(binder, PRILORA_ENOMEM, "no memory for the model's tensors");
            return false;
        }
        binder->bindings = grown;
        binder->capacity = capacity;
    }
    binder->bindings[binder->n++] = (struct pl_binding){to, tensor};
    return true;
}

static bool has_shape(const struct pl_tensor *tensor, const size_t *dims, size_t n_dims)
{
    return tensor->n_dims == n_dims && memcmp(tensor->dims, dims, n_dims * sizeof *dims) == 0;
}

static void check(struct pl_binder *binder, const struct pl_tensor *tensor, const char *name,
                  const size_t *dims, size_t n_dims)
{
    struct pl_tensor expected = {.n_dims = n_dims};
    char want[128], have[128];

    memcpy(expected.dims, dims, n_dims * sizeof *dims);
    pl_tensor_shape(&expected, want, sizeof want);
    if (!tensor)
        binder->rc = pl_fail(binder->err, PRILORA_EFORMAT,
                             "tensor '%s' is missing from the checkpoint; config.json asks for "
                             "shape %s",
                             name, want);
    else if (!has_shape(tensor, dims, n_dims))
        binder->rc = pl_fail(binder->err, PRILORA_EFORMAT,
                             "tensor '%s' has shape %s, but config.json asks for %s", name,
                             pl_tensor_shape(tensor, have, sizeof have), want);
    else if (!pl_dtype_is_floating(tensor->dtype))
        binder->rc = pl_fail(binder->err, PRILORA_EFORMAT,
                             "tensor '%s' is of type %s, not of a floating-point type", name,
                             pl_dtype_name(tensor->dtype));
}

static const struct pl_tensor *find(struct pl_binder *binder, const pl_real **to, const char *name,
                                    const size_t *dims, size_t n_dims)
{
    const struct pl_tensor *tensor;
    char full[PL_BINDER_MAX_NAME];

    if (binder->rc != PRILORA_OK)
        return NULL;
    snprintf(full, sizeof full, "%s%s", binder->prefix, name);
    tensor = pl_tensors_find(binder->model->tensors, full);
    check(binder, tensor, full, dims, n_dims);
    return binder->rc == PRILORA_OK && add(binder, to, tensor) ? tensor : NULL;
}

void pl_bind(struct pl_binder *binder, const pl_real **to, const char *name, const size_t *dims,
             size_t n_dims)
{
    find(binder, to, name, dims, n_dims);
}

const struct pl_tensor *pl_bind_tensor(struct pl_binder *binder, const char *name,
                                       const size_t *dims, size_t n_dims)
{
    return find(binder, NULL, name, dims, n_dims);
}

static const char *join(char *name, const char *path, const char *leaf)
{
    snprintf(name, PL_BINDER_MAX_NAME, "%s.%s", path, leaf);
    return name;
}

void pl_bind_linear(struct pl_binder *binder, struct pl_linear *linear, const char *path, size_t in,
                    size_t out, bool bias)
{
    char name[PL_BINDER_MAX_NAME];

    linear->in = in;
    linear->out = out;
    pl_bind(binder, &linear->weight, join(name, path, "weight"), (const size_t[]){out, in}, 2);
    if (bias)
        pl_bind(binder, &linear->bias, join(name, path, "bias"), &out, 1);
}

void pl_bind_map(struct pl_binder *binder, struct pl_linear *map, const char *path, size_t in,
                 size_t out)
{
    char name[PL_BINDER_MAX_NAME];

    map->in = in;
    map->out = out;
    map->tensor = pl_bind_tensor(binder, join(name, path, "weight"), (const size_t[]){out, in}, 2);
    pl_bind(binder, &map->bias, join(name, path, "bias"), &out, 1);
}

/* A checkpoint made by TensorFlow's names, as those of the first BERTs are. */
static bool has_old_names(const struct pl_binder *binder, const char *path)
{
    char name[2 * PL_BINDER_MAX_NAME];

    snprintf(name, sizeof name, "%s%s.gamma", binder->prefix, path);
    return pl_tensors_find(binder->model->tensors, name) != NULL;
}

void pl_bind_norm(struct pl_binder *binder, struct pl_norm *norm, const char *path, size_t width,
                  double eps)
{
    const bool old = has_old_names(binder, path);
    char name[PL_BINDER_MAX_NAME];

    norm->eps = eps;
    pl_bind(binder, &norm->weight, join(name, path, old ? "gamma" : "weight"), &width, 1);
    pl_bind(binder, &norm->shift, join(name, path, old ? "beta" : "bias"), &width, 1);
}

/* ---- finishing ---------------------------------------------------------------------------- */

static bool in_place(const struct pl_tensor *tensor)
{
    return tensor->dtype == NATIVE && (uintptr_t)tensor->data % sizeof(pl_real) == 0;
}

static size_t padded(size_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* One block for all that cannot be used where it lies. */
static enum prilora_status widen(struct pl_binder *binder)
{
    struct pl_model *model = binder->model;
    size_t total = 0, used = 0;

    for (size_t i = 0; i < binder->n; i++)
        if (binder->bindings[i].to && !in_place(binder->bindings[i].tensor))
            total += padded(binder->bindings[i].tensor->n_elements);
    if (total) {
        model->widened = pl_calloc_aligned(total, sizeof(pl_real));
        if (!model->widened)
            return pl_fail(binder->err, PRILORA_ENOMEM, "no memory for %zu weights", total);
        model->resident_bytes += total * sizeof(pl_real);
    }
    for (size_t i = 0; i < binder->n; i++) {
        const struct pl_binding *b = &binder->bindings[i];

        if (!b->to)
            continue;
        if (in_place(b->tensor)) {
            *b->to = b->tensor->data;
            model->touched_bytes += b->tensor->n_elements * sizeof(pl_real);
            continue;
        }
        pl_tensors_read(model->tensors, b->tensor, model->widened + used, 0, b->tensor->n_elements);
        *b->to = model->widened + used;
        used += padded(b->tensor->n_elements);
    }
    return PRILORA_OK;
}

static bool is_used(const struct pl_binder *binder, const struct pl_tensor *tensor)
{
    if (pl_model_is_head(binder->model, tensor))
        return true;
    for (size_t i = 0; i < binder->n; i++)
        if (binder->bindings[i].tensor == tensor)
            return true;
    return false;
}

static enum prilora_status list_unused(struct pl_binder *binder)
{
    struct pl_model *model = binder->model;
    size_t n = pl_tensors_count(model->tensors);

    model->unused = pl_calloc(n, sizeof *model->unused);
    if (!model->unused)
        return pl_fail(binder->err, PRILORA_ENOMEM, "no memory for %zu names", n);
    for (size_t i = 0; i < n; i++) {
        const struct pl_tensor *tensor = pl_tensors_at(model->tensors, i);
        char *name;

        if (is_used(binder, tensor))
            continue;
        name = pl_strdup(tensor->name);
        if (!name)
            return pl_fail(binder->err, PRILORA_ENOMEM, "no memory for %zu names", n);
        model->unused[model->n_unused++] = name;
    }
    return PRILORA_OK;
}

enum prilora_status pl_binder_finish(struct pl_binder *binder)
{
    struct pl_model *model = binder->model;
    enum prilora_status rc = binder->rc;

    if (rc != PRILORA_OK)
        return rc;
    pl_tensors_memory(model->tensors, &model->mapped_bytes, &model->resident_bytes);
    for (size_t i = 0; i < binder->n; i++)
        model->n_parameters += binder->bindings[i].tensor->n_elements;
    rc = widen(binder);
    return rc == PRILORA_OK ? list_unused(binder) : rc;
}

void pl_binder_close(struct pl_binder *binder)
{
    free(binder->bindings);
    binder->bindings = NULL;
    binder->n = binder->capacity = 0;
}
