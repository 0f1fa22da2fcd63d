/*
 * workspace.c - the memory that a share is computed in, and the per-step tables. Each is one block
 * of the size that laying it out on paper gives.
 *
 * A workspace has room for the largest share that the net allows, and is laid out anew for each:
 * what a share uses is the beginning of the block, and what no share reaches never becomes
 * resident.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/flow.h"

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static pl_real *reals(struct pl_arena *arena, size_t n, size_t width)
{
    size_t total;
    bool fits = pl_mul(&total, n, width);

    assert(fits);
    return fits ? pl_arena_take(arena, total, sizeof(pl_real)) : NULL;
}

static uint16_t *shorts(struct pl_arena *arena, size_t n, size_t width)
{
    size_t total;
    bool fits = pl_mul(&total, n, width);

    assert(fits);
    return fits ? pl_arena_take(arena, total, sizeof(uint16_t)) : NULL;
}

/* Rows of the projected table that a sequence of max_length reaches. */
static size_t table_rows(const struct pl_net *net)
{
    return net->positions.span ? net->positions.n[net->options.max_length] : 0;
}

/* Sum of squared lengths over a share's sequences, at most. */
static size_t most_squares(const struct pl_net_options *o)
{
    const size_t by_tokens = o->max_tokens * o->max_length;
    const size_t by_sequences = o->max_sequences * o->max_length * o->max_length;

    return by_tokens < by_sequences ? by_tokens : by_sequences;
}

/* What the net's options allow a share to be. */
static struct pl_extent largest(const struct pl_net *net)
{
    const struct pl_net_options *o = &net->options;

    return (struct pl_extent){o->max_tokens, o->max_sequences, most_squares(o)};
}

/* ---- what every share uses ---------------------------------------------------------------- */

static void take_scores(struct pl_arena *arena, const struct pl_net *net, struct pl_workspace *ws)
{
    const struct pl_config *c = &net->model->config;
    const size_t longest = net->options.max_length, rows = table_rows(net);
    const bool dropout = ws->train && net->options.attention_dropout > 0;

    ws->attention.terms = reals(arena, PL_STRIP, rows);
    ws->attention.dropped = dropout ? reals(arena, longest, longest) : NULL;
    ws->attention.square = ws->train ? reals(arena, longest, longest) : NULL;
    if (!net->options.half)
        return;
    ws->half.table_key = c->pos_c2p ? shorts(arena, rows + 1, c->hidden_size) : NULL;
    ws->half.table_query = c->pos_p2c ? shorts(arena, rows + 1, c->hidden_size) : NULL;
    ws->half.matrix =
        shorts(arena, larger((longest + 1) * (longest + 1), (PL_STRIP + 1) * (rows + 1)), 1);
}

static void take_common(struct pl_arena *arena, const struct pl_net *net, struct pl_workspace *ws)
{
    const struct pl_net_options *o = &net->options;
    const struct pl_config *c = &net->model->config;
    const size_t layers = c->num_hidden_layers, rows = table_rows(net);

    ws->layers = pl_arena_take(arena, layers, sizeof *ws->layers);
    ws->hidden = pl_arena_take(arena, layers + 1, sizeof *ws->hidden);
    ws->starts = pl_arena_take(arena, o->max_sequences + 1, sizeof *ws->starts);
    ws->first = pl_arena_take(arena, o->max_sequences + 1, sizeof *ws->first);
    ws->counting = pl_arena_take(arena, o->max_sequences + 1, sizeof *ws->counting);
    if (ws->train && o->hidden_dropout > 0)
        ws->table = reals(arena, rows, c->hidden_size);
    ws->table_xa = ws->train ? reals(arena, rows, net->max_rank) : NULL;
    if (ws->train)
        ws->map.db = reals(arena, net->max_rank, larger(c->hidden_size, c->intermediate_size));
    take_scores(arena, net, ws);
}

/* ---- what a share fills ------------------------------------------------------------------- */

/* How a layer ends: what the forward pass does not do again. */
static void take_end(struct pl_arena *arena, const struct pl_net *net, size_t n, size_t rank,
                     struct pl_saved *s)
{
    s->xhat[1] = reals(arena, n, net->model->config.hidden_size);
    s->rstd[1] = reals(arena, n, 1);
    s->xa[PL_OUTPUT] = reals(arena, n, rank);
}

/* One layer's; `keep`: for a backward pass; `maps`: the layer's, NULL for any layer's. */
static void take_saved(struct pl_arena *arena, const struct pl_net *net,
                       const struct pl_extent *share, struct pl_saved *s,
                       const struct pl_lora *maps, bool keep)
{
    const struct pl_config *c = &net->model->config;
    const size_t n = share->n_tokens, longest = net->options.max_length;

    s->query = reals(arena, n, c->hidden_size);
    s->key = reals(arena, n, c->hidden_size);
    s->value = reals(arena, n, c->hidden_size);
    s->context = reals(arena, n, c->hidden_size);
    s->probabilities = keep ? reals(arena, share->squares, c->num_attention_heads)
                            : reals(arena, longest, longest);
    s->wide = reals(arena, n, c->intermediate_size);
    for (size_t half = 0; keep && half < 2; half++) {
        s->xhat[half] = reals(arena, n, c->hidden_size);
        s->rstd[half] = reals(arena, n, 1);
    }
    for (size_t k = 0; k < PL_LAYER_MAPS; k++)
        s->xa[k] = reals(arena, n, maps ? maps[k].rank : net->max_rank);
}

/* Layers that no gradient passes, or that are gone through again, share one place; two hidden
 * states that nothing needs later take turns. */
static void take_layers(struct pl_arena *arena, const struct pl_net *net,
                        const struct pl_extent *share, struct pl_workspace *ws, bool train)
{
    const size_t layers = net->model->config.num_hidden_layers;
    const size_t n = share->n_tokens, hidden = net->model->config.hidden_size;
    const size_t lowest = train ? net->lowest / PL_STAGES : layers;
    const bool recompute = train && net->options.recompute;
    struct pl_saved shared = {0};
    pl_real *turns[2] = {NULL, NULL};

    if (lowest > 0 || recompute)
        take_saved(arena, net, share, &shared, NULL, recompute);
    if (lowest > 0) {
        turns[0] = reals(arena, n, hidden);
        turns[1] = reals(arena, n, hidden);
    }
    for (size_t l = 0; l < layers; l++) {
        const struct pl_lora *maps = &net->adapter.maps[PL_LAYER_MAPS * l];
        struct pl_saved saved = shared;

        if (l >= lowest && recompute)
            take_end(arena, net, n, maps[PL_OUTPUT].rank, &saved);
        else if (l >= lowest)
            take_saved(arena, net, share, &saved, maps, true);
        if (ws->layers)
            ws->layers[l] = saved;
    }
    for (size_t l = 0; l <= layers; l++) {
        pl_real *own = l >= lowest && train ? reals(arena, n, hidden) : turns[l % 2];

        if (ws->hidden)
            ws->hidden[l] = own;
    }
}

/* Gradients inside a layer's two halves, which are gone through one after the other. */
static void take_halves(struct pl_arena *arena, const struct pl_config *c, size_t n,
                        struct pl_workspace *ws)
{
    const size_t mark = arena->used;
    size_t end;

    ws->dcontext = reals(arena, n, c->hidden_size);
    ws->dquery = reals(arena, n, c->hidden_size);
    ws->dkey = reals(arena, n, c->hidden_size);
    ws->dvalue = reals(arena, n, c->hidden_size);
    end = arena->used;
    arena->used = mark;
    ws->dactive = reals(arena, n, c->intermediate_size);
    arena->used = larger(arena->used, end);
}

static void take_gradients(struct pl_arena *arena, const struct pl_net *net, size_t n,
                           struct pl_workspace *ws)
{
    const struct pl_config *c = &net->model->config;
    const size_t hidden = c->hidden_size;
    const bool conv = c->conv_kernel_size > 0 && net->lowest / PL_STAGES == 0;

    take_halves(arena, c, n, ws);
    ws->gradient = reals(arena, n, hidden);
    ws->dxa = reals(arena, n, net->max_rank);
    ws->conv_xhat = conv ? reals(arena, n, hidden) : NULL;
    ws->conv_rstd = conv ? reals(arena, n, 1) : NULL;
}

static void take_head(struct pl_arena *arena, const struct pl_net *net,
                      const struct pl_extent *share, struct pl_workspace *ws, bool train)
{
    const bool tokens = pl_task_of(net->options.task)->tokens;
    const size_t inner = net->head.inner, n = tokens ? share->n_tokens : share->n_sequences;
    struct pl_head_scratch *s = &ws->head;

    *s = (struct pl_head_scratch){0};
    s->logits = reals(arena, n, net->head.n_outputs);
    s->dlogits = reals(arena, n, net->head.n_outputs);
    if (tokens) {
        s->dropped = train && net->head.dropout > 0 ? reals(arena, n, inner) : NULL;
        return;
    }
    s->first = reals(arena, n, inner);
    s->before = reals(arena, n, inner);
    s->pooled = reals(arena, n, inner);
    s->dropped = reals(arena, n, inner);
    s->gradient = reals(arena, n, inner);
}

/* For products in bfloat16: what depends on the share. */
static void take_half(struct pl_arena *arena, const struct pl_net *net, size_t n,
                      struct pl_workspace *ws, bool train)
{
    const struct pl_config *c = &net->model->config;
    struct pl_attention_half *h = &ws->half;

    ws->map.half =
        shorts(arena, larger(n, table_rows(net)), larger(c->hidden_size, c->intermediate_size));
    h->query = shorts(arena, n + 1, c->hidden_size);
    h->key = shorts(arena, n + 1, c->hidden_size);
    h->value = shorts(arena, n + 1, c->hidden_size);
    h->dcontext = train ? shorts(arena, n + 1, c->hidden_size) : NULL;
}

static void take_share(struct pl_arena *arena, const struct pl_net *net,
                       const struct pl_extent *share, struct pl_workspace *ws, bool train)
{
    const struct pl_config *c = &net->model->config;
    const size_t n = share->n_tokens, table = table_rows(net) * c->hidden_size;
    const size_t widest = n * larger(c->hidden_size, c->intermediate_size);

    take_layers(arena, net, share, ws, train);
    ws->narrow = reals(arena, n, c->hidden_size);
    ws->middle = reals(arena, n, c->hidden_size);
    ws->active = reals(arena, n, c->intermediate_size);
    if (c->conv_kernel_size || c->embedding_size != c->hidden_size)
        ws->embedded = reals(arena, n, larger(c->embedding_size, c->hidden_size));
    if (ws->train && net->options.lora_dropout > 0)
        ws->map.dropped = reals(arena, larger(widest, table), 1);
    if (net->options.half)
        take_half(arena, net, n, ws, train);
    if (train)
        take_gradients(arena, net, n, ws);
    take_head(arena, net, share, ws, train);
}

/* ---- one workspace ------------------------------------------------------------------------ */

size_t pl_workspace_bytes(const struct pl_net *net, bool train, const struct pl_extent *share)
{
    const struct pl_extent most = largest(net);
    struct pl_workspace measured = {.train = train};
    struct pl_arena arena = pl_arena_measure();

    take_common(&arena, net, &measured);
    take_share(&arena, net, share ? share : &most, &measured, train);
    return arena.used + sizeof measured;
}

enum prilora_status pl_workspace_new(struct pl_workspace **out, const struct pl_net *net,
                                     bool train, struct prilora_error *err)
{
    const size_t size = pl_workspace_bytes(net, train, NULL);
    struct pl_workspace *ws = pl_calloc(1, sizeof *ws);

    *out = NULL;
    if (!ws || !pl_arena_open(&ws->arena, size)) {
        free(ws);
        return pl_fail(err, PRILORA_ENOMEM, "no memory for a workspace of %zu bytes", size);
    }
    ws->train = train;
    take_common(&ws->arena, net, ws);
    ws->common = ws->arena.used;
    for (size_t i = 0; i <= net->options.max_sequences; i++)
        ws->counting[i] = i;
    pl_workspace_fit(ws, net, &(struct pl_extent){0}, train);
    *out = ws;
    return PRILORA_OK;
}

void pl_workspace_fit(struct pl_workspace *ws, const struct pl_net *net,
                      const struct pl_extent *share, bool train)
{
    ws->arena.used = ws->common;
    take_share(&ws->arena, net, share, ws, train);
}

void pl_workspace_free(struct pl_workspace *ws)
{
    if (!ws)
        return;
    pl_arena_close(&ws->arena);
    free(ws);
}

const struct pl_meter *pl_workspace_meter(const struct pl_workspace *ws)
{
    return &ws->meter;
}

const pl_real *pl_workspace_hidden(const struct pl_workspace *ws, size_t layer)
{
    return ws->hidden[layer];
}

/* ---- tables ------------------------------------------------------------------------------- */

static void lay_out_tables(struct pl_arena *arena, const struct pl_net *net,
                           struct pl_tables *tables)
{
    const struct pl_config *c = &net->model->config;
    const size_t layers = c->num_hidden_layers, rows = table_rows(net);

    tables->layers = pl_arena_take(arena, layers, sizeof *tables->layers);
    for (size_t l = 0; rows && l < layers; l++) {
        const struct pl_lora *maps = &net->adapter.maps[PL_LAYER_MAPS * l];
        struct pl_table table = {0};

        if (c->pos_c2p) {
            table.key = reals(arena, rows, c->hidden_size);
            table.xa_key = reals(arena, rows, maps[PL_KEY].rank);
        }
        if (c->pos_p2c) {
            table.query = reals(arena, rows, c->hidden_size);
            table.xa_query = reals(arena, rows, maps[PL_QUERY].rank);
        }
        if (tables->layers)
            tables->layers[l] = table;
    }
}

size_t pl_tables_bytes(const struct pl_net *net)
{
    struct pl_tables measured = {0};
    struct pl_arena arena = pl_arena_measure();

    lay_out_tables(&arena, net, &measured);
    return arena.used + sizeof measured;
}

enum prilora_status pl_tables_new(struct pl_tables **out, const struct pl_net *net,
                                  struct prilora_error *err)
{
    const size_t size = pl_tables_bytes(net);
    struct pl_tables *tables = pl_calloc(1, sizeof *tables);

    *out = NULL;
    if (!tables || !pl_arena_open(&tables->arena, size)) {
        free(tables);
        return pl_fail(err, PRILORA_ENOMEM, "no memory for position tables of %zu bytes", size);
    }
    lay_out_tables(&tables->arena, net, tables);
    *out = tables;
    return PRILORA_OK;
}

void pl_tables_free(struct pl_tables *tables)
{
    if (!tables)
        return;
    pl_arena_close(&tables->arena);
    free(tables);
}
