/*
 * binder.h - finding an architecture's tensors in a checkpoint.
 *
 * An architecture asks for each tensor by name and shape. The first that is missing or has another
 * shape or type is the error that pl_binder_finish returns; what is asked for after it does
 * nothing. F32 data (F64 in the tests' double build) is used where it lies in the file map;
 * everything else is widened by pl_binder_finish into one block.
 */
#ifndef PL_BINDER_H
#define PL_BINDER_H

#include "math/norm.h"
#include "model/model.h"

#define PL_BINDER_MAX_NAME 256

struct pl_binder {
    struct pl_model *model;
    const char *prefix; /* stands before every name here: "deberta." or "" */
    struct pl_binding *bindings;
    size_t n, capacity;
    enum prilora_status rc;
    struct prilora_error *err;
};

/* Where a tensor's numbers are wanted. */
struct pl_binding {
    const pl_real **to; /* NULL: only its place in the file is */
    const struct pl_tensor *tensor;
};

/* `n_dims` sizes; *to is set by pl_binder_finish. */
void pl_bind(struct pl_binder *binder, const pl_real **to, const char *name, const size_t *dims,
             size_t n_dims);
/* The tensor itself, left in its own dtype. */
const struct pl_tensor *pl_bind_tensor(struct pl_binder *binder, const char *name,
                                       const size_t *dims, size_t n_dims);
/* path + ".weight" [out, in] and, if `bias`, path + ".bias" [out]. */
void pl_bind_linear(struct pl_binder *binder, struct pl_linear *linear, const char *path, size_t in,
                    size_t out, bool bias);
/* The same, with bias, for an adaptable map: its weights are left to pl_model_use. */
void pl_bind_map(struct pl_binder *binder, struct pl_linear *map, const char *path, size_t in,
                 size_t out);
/* path + ".weight" and path + ".bias", both [width]; ".gamma" and ".beta" in older files. */
void pl_bind_norm(struct pl_binder *binder, struct pl_norm *norm, const char *path, size_t width,
                  double eps);

/* An allocation of the architecture failed, or the like: becomes the binder's error. */
void pl_binder_fail(struct pl_binder *binder, enum prilora_status rc, const char *message);

/* Sets all pointers; fills model->widened, unused, n_parameters and the byte counts. */
enum prilora_status pl_binder_finish(struct pl_binder *binder);
void pl_binder_close(struct pl_binder *binder);

#endif
