/* block.c - see block.h. */
#include "model/block.h"

#include "math/norm.h"
#include "math/vector.h"
#include "model/lora_linear.h"

static struct pl_map map_of(const struct pl_flow *f, const struct pl_block *b, size_t kind)
{
    return pl_map_of(f, PL_LAYER_MAPS * b->layer + kind, PL_SITE_LORA_DROPOUT);
}

static struct pl_dropout dropout_of(const struct pl_flow *f, const struct pl_block *b,
                                    enum pl_site site)
{
    if (site == PL_SITE_OUTPUT_DROPOUT && b->attention_output_kept)
        return pl_dropout_none();
    return pl_pass_dropout(f->pass, f->net->options.hidden_dropout, site, b->layer);
}

/* ---- forward ------------------------------------------------------------------------------ */

static void forward_map(const struct pl_flow *f, const struct pl_block *b, size_t kind, pl_real *y,
                        const pl_real *x, bool bias)
{
    const struct pl_map map = map_of(f, b, kind);

    pl_map_forward(&map, &f->rows, y, f->ws->layers[b->layer].xa[kind], x, bias);
}

/* y = norm(residual + drop(t + bias of the map)); t is overwritten. */
static void close_half(const struct pl_flow *f, const struct pl_block *b, size_t half, size_t kind,
                       enum pl_site site, pl_real *y, pl_real *t, const pl_real *residual)
{
    struct pl_saved *s = &f->ws->layers[b->layer];
    const struct pl_linear *linear = &f->net->model->maps[PL_LAYER_MAPS * b->layer + kind];
    const struct pl_dropout dropout = dropout_of(f, b, site);
    const pl_real *bias = linear->bias;
    const enum pl_part before = pl_meter_turn(&f->ws->meter, PL_PART_POINTWISE);

    if (pl_dropout_active(&dropout)) {
        pl_add_row(t, bias, f->rows.n, linear->out);
        pl_dropout_rows(&dropout, &f->rows, t, t, linear->out);
        bias = NULL;
    }
    pl_norm_forward(y, s->xhat[half], s->rstd[half], t, bias, residual, b->norms[half], f->rows.n,
                    linear->out);
    pl_meter_turn(&f->ws->meter, before);
}

void pl_block_forward(const struct pl_flow *f, const struct pl_block *b, const pl_real *x,
                      pl_real *y)
{
    struct pl_workspace *ws = f->ws;
    struct pl_saved *s = &ws->layers[b->layer];
    const size_t hidden = f->net->model->config.hidden_size;
    const size_t wide = f->net->model->config.intermediate_size;
    const struct pl_linear *inner =
        &f->net->model->maps[PL_LAYER_MAPS * b->layer + PL_INTERMEDIATE];
    enum pl_part before;

    pl_flow_observe(f, b->layer, PL_STAGE_ATTENTION, x, hidden);
    forward_map(f, b, PL_QUERY, s->query, x, true);
    forward_map(f, b, PL_KEY, s->key, x, true);
    forward_map(f, b, PL_VALUE, s->value, x, true);
    before = pl_meter_turn(&ws->meter, PL_PART_ATTENTION);
    pl_attention_forward(&b->attention, &f->rows, s->context, s->probabilities, s->xhat[0] != NULL,
                         s->query, s->key, s->value);
    pl_meter_turn(&ws->meter, before);
    pl_flow_observe(f, b->layer, PL_STAGE_CONTEXT, s->context, hidden);
    forward_map(f, b, PL_ATTENTION_OUTPUT, ws->narrow, s->context, false);
    close_half(f, b, 0, PL_ATTENTION_OUTPUT, PL_SITE_OUTPUT_DROPOUT, ws->middle, ws->narrow, x);

    pl_flow_observe(f, b->layer, PL_STAGE_INTERMEDIATE, ws->middle, hidden);
    forward_map(f, b, PL_INTERMEDIATE, s->wide, ws->middle, false);
    before = pl_meter_turn(&ws->meter, PL_PART_POINTWISE);
    if (f->again) {
        pl_add_row(s->wide, inner->bias, f->rows.n, wide);
        pl_meter_turn(&ws->meter, before);
        return;
    }
    b->activation->forward(ws->active, s->wide, inner->bias, f->rows.n, wide);
    pl_meter_turn(&ws->meter, before);
    pl_flow_observe(f, b->layer, PL_STAGE_OUTPUT, ws->active, wide);
    forward_map(f, b, PL_OUTPUT, ws->narrow, ws->active, false);
    close_half(f, b, 1, PL_OUTPUT, PL_SITE_FFN_DROPOUT, y, ws->narrow, ws->middle);
}

/* ---- backward ----------------------------------------------------------------------------- */

/* dx (+)= gradient of the map's input, and the map's own gradients; dx NULL: not wanted. */
static void backward_map(const struct pl_flow *f, const struct pl_block *b, size_t kind,
                         pl_real *dx, bool add, const pl_real *dy, const pl_real *x)
{
    const struct pl_map map = map_of(f, b, kind);
    struct pl_workspace *ws = f->ws;

    pl_map_backward_input(&map, &f->rows, dx, add, ws->dxa, dy);
    pl_map_backward_weights(&map, &f->rows, x, ws->layers[b->layer].xa[kind], ws->dxa, dy);
}

/* Through the norm that ends a half: d becomes the gradient of the sum before it; returns that of
 * the map's output before dropout. */
static const pl_real *open_half(const struct pl_flow *f, const struct pl_block *b, size_t half,
                                enum pl_site site, pl_real *d)
{
    struct pl_saved *s = &f->ws->layers[b->layer];
    const size_t hidden = f->net->model->config.hidden_size;
    const struct pl_dropout dropout = dropout_of(f, b, site);
    const enum pl_part before = pl_meter_turn(&f->ws->meter, PL_PART_POINTWISE);
    const pl_real *dy = d;

    pl_norm_backward(d, s->xhat[half], s->rstd[half], b->norms[half], f->rows.n, hidden);
    if (pl_dropout_active(&dropout)) {
        pl_dropout_rows(&dropout, &f->rows, f->ws->narrow, d, hidden);
        dy = f->ws->narrow;
    }
    pl_meter_turn(&f->ws->meter, before);
    return dy;
}

/* The second half: d of y in, of m out. False if nothing below needs it. */
static bool backward_feed_forward(const struct pl_flow *f, const struct pl_block *b, pl_real *d)
{
    struct pl_workspace *ws = f->ws;
    struct pl_saved *s = &ws->layers[b->layer];
    const size_t wide = f->net->model->config.intermediate_size;
    const bool below = pl_needs_input(f->net, b->layer, PL_STAGE_OUTPUT);
    const struct pl_map map = map_of(f, b, PL_OUTPUT);
    const pl_real *dy = open_half(f, b, 1, PL_SITE_FFN_DROPOUT, d);
    enum pl_part before;

    /* The map's input is not kept: going back through the activation gives it once more. */
    pl_map_backward_input(&map, &f->rows, below ? ws->dactive : NULL, false, ws->dxa, dy);
    before = pl_meter_turn(&ws->meter, PL_PART_POINTWISE);
    if (below)
        b->activation->backward(ws->dactive, ws->active, s->wide, f->rows.n * wide);
    else
        b->activation->forward(ws->active, s->wide, NULL, f->rows.n, wide);
    pl_meter_turn(&ws->meter, before);
    pl_map_backward_weights(&map, &f->rows, ws->active, s->xa[PL_OUTPUT], ws->dxa, dy);
    if (!below)
        return false;
    pl_norm_again(ws->middle, s->xhat[0], b->norms[0], f->rows.n,
                  f->net->model->config.hidden_size);
    /* d already holds the part that goes around the half. */
    backward_map(f, b, PL_INTERMEDIATE,
                 pl_needs_input(f->net, b->layer, PL_STAGE_INTERMEDIATE) ? d : NULL, true,
                 ws->dactive, ws->middle);
    return pl_needs_input(f->net, b->layer, PL_STAGE_INTERMEDIATE);
}

/* Of what follows attention, only the rows of first tokens stay: there is no other gradient. */
static struct pl_flow keep_firsts(const struct pl_flow *f, const struct pl_block *b)
{
    const struct pl_config *c = &f->net->model->config;
    const struct pl_lora *maps = &f->net->adapter.maps[PL_LAYER_MAPS * b->layer];
    struct pl_saved *s = &f->ws->layers[b->layer];
    struct pl_flow firsts = *f;

    for (size_t half = 0; half < 2; half++) {
        pl_gather_rows(s->xhat[half], &f->rows, c->hidden_size);
        pl_gather_rows(s->rstd[half], &f->rows, 1);
    }
    pl_gather_rows(s->context, &f->rows, c->hidden_size);
    pl_gather_rows(s->wide, &f->rows, c->intermediate_size);
    for (size_t k = PL_ATTENTION_OUTPUT; k < PL_LAYER_MAPS; k++)
        pl_gather_rows(s->xa[k], &f->rows, maps[k].rank);
    firsts.rows = (struct pl_rows){f->rows.n_runs, f->rows.n_runs, f->ws->counting, f->rows.first};
    return firsts;
}

/* What follows attention: d of y in, of x out as far as it goes around attention, and dcontext.
 * False if nothing below needs them. */
static bool backward_after_attention(const struct pl_flow *f, const struct pl_block *b, pl_real *d)
{
    const bool below = pl_needs_input(f->net, b->layer, PL_STAGE_CONTEXT);

    if (!backward_feed_forward(f, b, d))
        return false;
    backward_map(f, b, PL_ATTENTION_OUTPUT, below ? f->ws->dcontext : NULL, false,
                 open_half(f, b, 0, PL_SITE_OUTPUT_DROPOUT, d), f->ws->layers[b->layer].context);
    return below;
}

void pl_block_backward(const struct pl_flow *f, const struct pl_block *b, const pl_real *x,
                       pl_real *d)
{
    struct pl_workspace *ws = f->ws;
    struct pl_saved *s = &ws->layers[b->layer];
    const bool below = pl_needs_input(f->net, b->layer, PL_STAGE_ATTENTION);
    const struct pl_lora *maps = &f->net->adapter.maps[PL_LAYER_MAPS * b->layer];
    const size_t hidden = f->net->model->config.hidden_size;
    const struct pl_flow upper = f->firsts ? keep_firsts(f, b) : *f;
    struct pl_attention_gradients to = b->table;
    enum pl_part before;

    if (!backward_after_attention(&upper, b, d))
        return;
    if (f->firsts) {
        pl_spread_rows(d, &f->rows, hidden);
        pl_spread_rows(ws->dcontext, &f->rows, hidden);
    }
    to.query = below || maps[PL_QUERY].rank ? ws->dquery : NULL;
    to.key = below || maps[PL_KEY].rank ? ws->dkey : NULL;
    to.value = below || maps[PL_VALUE].rank ? ws->dvalue : NULL;
    before = pl_meter_turn(&ws->meter, PL_PART_ATTENTION);
    pl_attention_backward(&b->attention, &f->rows, &to, ws->dcontext, s->probabilities, s->query,
                          s->key, s->value);
    pl_meter_turn(&ws->meter, before);
    if (to.query)
        backward_map(f, b, PL_QUERY, below ? d : NULL, true, ws->dquery, x);
    if (to.key)
        backward_map(f, b, PL_KEY, below ? d : NULL, true, ws->dkey, x);
    if (to.value)
        backward_map(f, b, PL_VALUE, below ? d : NULL, true, ws->dvalue, x);
}
