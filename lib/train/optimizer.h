/* optimizer.h - AdamW over the table of trainable tensors. */
#ifndef PL_OPTIMIZER_H
#define PL_OPTIMIZER_H

#include <stdint.h>

#include "adapter/layout.h"
#include "base/real.h"

struct pl_adamw {
    double beta1, beta2, epsilon, weight_decay;
};

/*
 * pl_grad_norm - Euclidean norm of a block's tensors, summed in double, tensor by tensor, in the
 * table's order. Not finite exactly if some gradient is not.
 */
double pl_grad_norm(const struct pl_layout *layout, const pl_real *grads);

/* What to multiply gradients with so that their norm is at most max_norm (0: no limit);
 * torch.nn.utils.clip_grad_norm_'s formula. */
double pl_clip_factor(double norm, double max_norm);

/*
 * pl_adamw_update - one step of AdamW with decoupled decay and bias correction.
 *
 *     p <- p (1 - rate * decay)             where the table says that the tensor decays
 *     m <- b1 m + (1 - b1) g                v <- b2 v + (1 - b2) g^2
 *     p <- p - rate * m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)
 *
 * Blocks   params, grads, m and v are of one layout; g is grads times `factor`
 * t        updates made, this one counted: 1 at the first
 * Source   Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2; as torch.optim.AdamW
 */
void pl_adamw_update(const struct pl_adamw *adamw, const struct pl_layout *layout, pl_real *params,
                     const pl_real *grads, pl_real *m, pl_real *v, double rate, double factor,
                     uint64_t t);

#endif
