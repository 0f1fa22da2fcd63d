/*
 * form.h - inside view of struct prilora_form: files that stand in memory, files that are copied,
 * and one file of tensors whose numbers are computed when they are read.
 */
#ifndef PL_FORM_H
#define PL_FORM_H

#include <jansson.h>

#include "base/digest.h"
#include "base/file.h"
#include "io/tensors.h"

#define PL_FORM_MAX_FILES 32
#define PL_FORM_CHUNK     4096 /* numbers that are asked for at a time, at most */

struct pl_form_file {
    char *name;
    uint64_t size;
    char *bytes;            /* the whole file; NULL: */
    struct pl_file_map map; /* a copied one; without data, and bytes: the tensors */
};

/* What the tensors are computed from; `data` of each belongs to it. */
struct pl_form_source {
    /* n numbers of a tensor from element `first` on; the same whatever piece is asked for. */
    void (*read)(void *context, const struct pl_tensor *tensor, pl_real *out, size_t first,
                 size_t n);
    /* everything that the numbers follow from */
    void (*digest)(void *context, struct pl_digest *digest);
    void (*free)(void *context);
    /* what was read so far is true; NULL: it always is */
    enum prilora_status (*check)(const void *context, struct prilora_error *err);
};

struct prilora_form {
    struct pl_form_file files[PL_FORM_MAX_FILES]; /* by name */
    size_t n_files;
    const struct pl_form_source *source;
    void *context;
    struct pl_tensor *tensors; /* [n_tensors] by name, F32; names malloc'ed */
    uint64_t *starts;          /* [n_tensors + 1] bytes in the file */
    size_t n_tensors;
    char *header;
    size_t header_size;
};

/* A form that takes `context`, also when it fails. */
enum prilora_status pl_form_new(struct prilora_form **out, const struct pl_form_source *source,
                                void *context, struct prilora_error *err);

/* Takes `bytes` (NULL: out of memory). */
enum prilora_status pl_form_add_bytes(struct prilora_form *form, const char *name, char *bytes,
                                      struct prilora_error *err);
/* folder/name as it is. ENOENT if there is none. */
enum prilora_status pl_form_add_copy(struct prilora_form *form, const char *folder,
                                     const char *name, struct prilora_error *err);

/* folder/name, a JSON object, as `edit` makes it: text in malloc'ed memory, NULL: out of memory. */
enum prilora_status pl_form_add_config(struct prilora_form *form, const char *folder,
                                       const char *name,
                                       char *(*edit)(json_t *config, const void *context),
                                       const void *context, struct prilora_error *err);

/* The next tensor, F32 of one or two dimensions (rows 0: one); takes `name` (NULL: out of memory).
 */
enum prilora_status pl_form_add_tensor(struct prilora_form *form, char *name, size_t rows,
                                       size_t cols, const void *data, struct prilora_error *err);
/* All tensors are there: the file of them. */
enum prilora_status pl_form_add_tensors(struct prilora_form *form, const char *name,
                                        struct prilora_error *err);

#endif
