/* optimizer.c - see optimizer.h. */
#include "train/optimizer.h"

#include <math.h>

double pl_grad_norm(const struct pl_layout *layout, const pl_real *grads)
{
    double sum = 0;

    for (size_t i = 0; i < layout->n; i++) {
        const struct pl_param *param = &layout->params[i];
        const pl_real *g = grads + param->offset;
        size_t n = param->rows * param->cols;
        double squares = 0;

        for (size_t k = 0; k < n; k++)
            squares += (double)g[k] * (double)g[k];
        sum += squares;
    }
    return sqrt(sum);
}

double pl_clip_factor(double norm, double max_norm)
{
    double factor = max_norm / (norm + 1e-6);

    return max_norm > 0 && factor < 1 ? factor : 1;
}

/* The numbers of one step, rounded once. */
struct rates {
    pl_real keep, beta1, beta2, one_less_beta1, one_less_beta2, rate, root, epsilon, factor;
};

static void update_tensor(const struct rates *s, pl_real *restrict p, const pl_real *restrict grads,
                          pl_real *restrict m, pl_real *restrict v, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        pl_real g = grads[k] * s->factor, root;

        m[k] = s->beta1 * m[k] + s->one_less_beta1 * g;
        v[k] = s->beta2 * v[k] + s->one_less_beta2 * g * g;
#ifdef PL_DOUBLE
        root = sqrt(v[k]);
#else
        root = sqrtf(v[k]);
#endif
        p[k] = p[k] * s->keep - s->rate * m[k] / (root * s->root + s->epsilon);
    }
}

void pl_adamw_update(const struct pl_adamw *adamw, const struct pl_layout *layout, pl_real *params,
                     const pl_real *grads, pl_real *m, pl_real *v, double rate, double factor,
                     uint64_t t)
{
    struct rates s = {
        .beta1 = (pl_real)adamw->beta1,
        .beta2 = (pl_real)adamw->beta2,
        .one_less_beta1 = (pl_real)(1 - adamw->beta1),
        .one_less_beta2 = (pl_real)(1 - adamw->beta2),
        .rate = (pl_real)(rate / (1 - pow(adamw->beta1, (double)t))),
        .root = (pl_real)(1 / sqrt(1 - pow(adamw->beta2, (double)t))),
        .epsilon = (pl_real)adamw->epsilon,
        .factor = (pl_real)factor,
    };

    for (size_t i = 0; i < layout->n; i++) {
        const struct pl_param *param = &layout->params[i];
        size_t at = param->offset;

        s.keep = (pl_real)(param->decay ? 1 - rate * adamw->weight_decay : 1);
        update_tensor(&s, params + at, grads + at, m + at, v + at, param->rows * param->cols);
    }
}
