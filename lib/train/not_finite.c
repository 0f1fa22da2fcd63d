/*
 * not_finite.c - see not_finite.h.
 *
 * A step computes from the first layer to the last, and its gradients come back from the last to
 * the first: what is not finite spoils everything after it, so the first in that order is the
 * culprit.
 */
#include "train/not_finite.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "math/vector.h"
#include "train/spec.h"

/* Adam squares gradients in single precision, whose largest number is the square of 1.8e19. */
#define LARGEST_GRADIENT 1e18
#define CHUNK            4096 /* weights looked at at a time */

bool pl_step_is_finite(const struct prilora_run *run, double norm)
{
    const struct pl_engine *engine = run->engine;

    return isfinite(engine->loss) && isfinite(norm) &&
           norm * pl_clip_factor(norm, run->spec->max_grad_norm) <= LARGEST_GRADIENT &&
           pl_all_finite(engine->squares, engine->n_stats);
}

/* ---- where ---- */

/* The nearest to the loss, or NULL. */
static const struct pl_param *last_not_finite(const struct pl_layout *layout, const pl_real *block)
{
    for (size_t i = layout->n; i > 0; i--) {
        const struct pl_param *param = &layout->params[i - 1];

        if (!pl_all_finite(block + param->offset, param->rows * param->cols))
            return param;
    }
    return NULL;
}

static const struct pl_map_site *first_spoilt_input(const struct prilora_run *run)
{
    const struct pl_model *model = run->base->model;
    const struct pl_net *net = run->engine->net;

    for (size_t i = 0; i < model->n_sites; i++) {
        const struct pl_map_site *site = &model->sites[i];
        size_t at = pl_net_stats_offset(net, site->input);

        if (!pl_all_finite(run->engine->squares + at,
                           pl_net_stats_offset(net, site->input + 1) - at))
            return site;
    }
    return NULL;
}

void pl_not_finite_where(const struct prilora_run *run, double norm, char *text, size_t room)
{
    const struct pl_layout *layout = run->engine->layout;
    const struct pl_param *param = last_not_finite(layout, run->params);
    const struct pl_map_site *site = first_spoilt_input(run);

    if (param)
        snprintf(text, room, "%s is not finite", param->name);
    else if (site)
        snprintf(text, room, "the input of %s is not finite", site->path);
    else if (!isfinite(run->engine->loss))
        snprintf(text, room, "the loss is not finite");
    else if ((param = last_not_finite(layout, run->engine->total)))
        snprintf(text, room, "the gradient of %s is not finite", param->name);
    else
        snprintf(text, room, "the gradient is too long (%.3g)", norm);
}

/* ---- what may help ---- */

static bool is_used(const struct pl_model *model, const char *name)
{
    for (size_t i = 0; i < model->n_unused; i++) {
        if (strcmp(model->unused[i], name) == 0)
            return false;
    }
    return true;
}

static bool tensor_is_finite(const struct pl_model *model, const struct pl_tensor *tensor)
{
    pl_real some[CHUNK];

    for (size_t first = 0; first < tensor->n_elements; first += CHUNK) {
        size_t n = tensor->n_elements - first < CHUNK ? tensor->n_elements - first : CHUNK;

        pl_tensors_read(model->tensors, tensor, some, first, n);
        if (!pl_all_finite(some, n))
            return false;
    }
    return true;
}

/* A weight of the base that makes every step useless, or NULL. */
static const struct pl_tensor *damaged_weight(const struct pl_model *model)
{
    for (size_t i = 0; i < pl_tensors_count(model->tensors); i++) {
        const struct pl_tensor *tensor = pl_tensors_at(model->tensors, i);

        if (pl_dtype_is_floating(tensor->dtype) && is_used(model, tensor->name) &&
            !tensor_is_finite(model, tensor))
            return tensor;
    }
    return NULL;
}

void pl_not_finite_advice(const struct prilora_run *run, char *text, size_t room)
{
    const struct prilora_spec *spec = run->spec;
    bool started = run->state.n_updates > 0;
    const struct pl_tensor *damaged = started ? NULL : damaged_weight(run->base->model);

    if (damaged)
        snprintf(text, room,
                 "%s of the base model holds numbers that are not finite: its file is damaged",
                 damaged->name);
    else if (started)
        snprintf(text, room, "a learning_rate below %g%s may help", spec->learning_rate,
                 spec->max_grad_norm > 0 ? "" : " or a max_grad_norm above 0");
    else if (pl_net_options(run->engine->net)->half)
        snprintf(text, room, "compute \"float32\" instead of \"bf16\" may help");
    else
        snprintf(text, room, "no step was finite: the base model%s made of numbers too large",
                 run->start[0] ? " or the adapter that it starts from is" : " is");
}
