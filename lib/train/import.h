/* import.h - the tensors of a PEFT folder in a block of ours. */
#ifndef PL_IMPORT_H
#define PL_IMPORT_H

#include "io/tensors.h"
#include "train/engine.h"
#include "train/peft_config.h"

struct pl_import {
    struct pl_peft_config config;
    struct pl_tensors *tensors;
    char *path;        /* of the tensors' file */
    bool is_head_only; /* every A and B is zero: it changes no map, and training it would not */
};

/* adapter_config.json with adapter_model.safetensors or adapter_model.bin. */
enum prilora_status pl_import_open(struct pl_import *out, const char *folder,
                                   struct prilora_error *err);
void pl_import_close(struct pl_import *in);

/* Rank and scale of the file's adapter of a map; rank 0: it has none. Errors: EFORMAT, ELIMIT. */
enum prilora_status pl_import_map(const struct pl_import *in, const struct pl_map_site *site,
                                  size_t *rank, double *scale, struct prilora_error *err);

/* The matrices themselves: A [rank, in], B [out, rank], not scaled. rank is pl_import_map's, not 0.
 * Errors: EFORMAT for numbers that are not finite. */
enum prilora_status pl_import_read_map(const struct pl_import *in, const struct pl_map_site *site,
                                       pl_real *a, pl_real *b, struct prilora_error *err);

/*
 * pl_import_spec - settings under which a net has room for the adapter: every map of a layer gets
 * the largest rank that the file has in that layer. What a smaller or absent adapter leaves over is
 * zero, and a scale other than the net's goes into B, so any LoRA of PEFT's fits. Of a head-only
 * file the method is "head".
 */
enum prilora_status pl_import_spec(struct prilora_spec **out, const struct pl_import *in,
                                   const struct pl_model *model, struct prilora_error *err);

/* Fills a block of the engine that was made with that specification, or, of a head-only file, with
 * any: what the file does not have gets the initial values of `seed`. Errors: EFORMAT for a tensor
 * that is missing, has another shape, or belongs to nothing here. */
enum prilora_status pl_import_fill(const struct pl_import *in, const struct pl_model *model,
                                   const struct pl_engine *engine, pl_real *params, uint64_t seed,
                                   struct prilora_error *err);

/* The same for a net alone. */
enum prilora_status pl_import_fill_net(const struct pl_import *in, const struct pl_model *model,
                                       const struct pl_net *net, pl_real *params, uint64_t seed,
                                       struct prilora_error *err);

/* Outputs of the classifier in the file, else of the base's own; 0: neither has one. AUTO counts as
 * a task on sequences. */
size_t pl_import_n_outputs(const struct pl_import *in, const struct pl_model *model,
                           enum prilora_task task);

#endif
