/*
 * precision.h - the number formats of the frozen maps' weights. A model opens with those that lie
 * in the file as they are; a run that computes in another format has it made once, for all runs.
 */
#ifndef PL_PRECISION_H
#define PL_PRECISION_H

#include "model/model.h"

/* Can this model be computed in bfloat16 on this processor? Its maps need even widths. */
bool pl_model_half_possible(const struct pl_model *model);

/*
 * pl_model_use - all maps have their weights in bfloat16 (`half`), or in pl_real.
 *
 * Errors   ENOMEM
 * Memory   what is made stays until the model is closed
 * Threads  safe, also beside runs that use the model
 */
enum prilora_status pl_model_use(struct pl_model *model, bool half, struct prilora_error *err);

/* Bytes of the maps' weights in that format, wherever they lie. */
size_t pl_model_maps_bytes(const struct pl_model *model, bool half);

#endif
