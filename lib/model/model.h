/*
 * model.h - the frozen base: architecture, weights, adaptable maps. Shared by any number of runs,
 * which only read it.
 */
#ifndef PL_MODEL_H
#define PL_MODEL_H

#include <pthread.h>

#include "adapter/adapter.h"
#include "base/real.h"
#include "io/config.h"
#include "io/tensors.h"

/* A frozen linear map y = W x + b. */
struct pl_linear {
    const pl_real *weight; /* [out, in]; of an adaptable map NULL until pl_model_use */
    const uint16_t *half;  /* the same in bfloat16, or NULL */
    const pl_real *bias;   /* [out] or NULL */
    size_t in, out;
    const struct pl_tensor *tensor; /* the weights in the checkpoint */
};

/* The trained head's tensors where the checkpoint has them well-shaped; else NULL. */
struct pl_head_tensors {
    const struct pl_tensor *dense_weight, *dense_bias;     /* [inner, inner], [inner] */
    const struct pl_tensor *weight, *bias;                 /* [labels, inner], [labels] */
    const struct pl_tensor *answers_weight, *answers_bias; /* [2, hidden], [2] of answers */
};

struct pl_model {
    struct pl_config config;
    struct pl_tensors *tensors;
    const struct pl_architecture *architecture;
    struct pl_encoder *encoder;
    void *own;               /* what the architecture has beside it */
    struct pl_linear pooler; /* the head's dense map where it is the encoder's; weight NULL: not */
    pl_real *widened;        /* one block: what could not be used in the file map */
    pthread_mutex_t lock;    /* guards the making of `forms`; what is made never changes */
    void *forms[2];          /* the maps' weights, beyond the file: as pl_real, in bfloat16 */
    struct pl_head_tensors head;
    struct pl_map_site *sites; /* [n_sites]: every adaptable map, layer by layer */
    struct pl_linear *maps;    /* [n_sites]: the same maps' frozen weights */
    size_t n_sites, n_inputs;  /* n_inputs: distinct pl_map_site.input numbers */
    size_t n_parameters;
    size_t mapped_bytes, resident_bytes; /* of the files; of memory beyond them */
    size_t touched_bytes;                /* of the mapped ones, those that are used in the map */
    char **unused;                       /* names of tensors that nothing here reads */
    size_t n_unused;
    char fingerprint[65];
};

/* Errors: those of the files; EFORMAT for a missing tensor or one of a wrong shape (both named). */
enum prilora_status pl_model_open(struct pl_model **out, const char *folder,
                                  struct prilora_error *err);
void pl_model_close(struct pl_model *model);

/* Whether the tensor of the checkpoint is one of model->head. */
bool pl_model_is_head(const struct pl_model *model, const struct pl_tensor *tensor);

/* Tokens of the longest text that it is used for. */
size_t pl_model_max_length(const struct pl_model *model);

#endif
