/*
 * not_finite.h - steps whose numbers stopped being finite: where that began, and what may help.
 *
 * Asked after pl_engine_step, while the engine still holds that step's sums.
 */
#ifndef PL_NOT_FINITE_H
#define PL_NOT_FINITE_H

#include "train/run.h"

/*
 * pl_step_is_finite - whether the step may change anything: its loss, its gradients (of Euclidean
 * norm `norm`) and the inputs of all adapted maps are finite, and the squares of the gradients,
 * once they are cut to max_grad_norm, will be.
 */
bool pl_step_is_finite(const struct prilora_run *run, double norm);

/* "the input of deberta.encoder.layer.3.attention.self.query_proj is not finite": the first thing,
 * in the order in which a step computes. Cut to `room`. */
void pl_not_finite_where(const struct prilora_run *run, double norm, char *text, size_t room);

/*
 * pl_not_finite_advice - what the owner of the job can change, as a clause that follows a
 * semicolon. Reads the base's weights if no step has ever been finite: some may be damaged.
 */
void pl_not_finite_advice(const struct prilora_run *run, char *text, size_t room);

#endif
