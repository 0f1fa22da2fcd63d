/*
 * workspace.c - the memory that a share is computed in, and the per-step tables. Each is laid out
 * by one function that runs twice: measuring, then in one block of the measured size.
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

/* Rows of the projected table that a sequence of max_length reaches. */
static size_t table_rows(const struct pl_net *net)
{
    return net->positions.span ? net->positions.n[net->options.max_length] : 0;
}

/* Probabilities of one head over all sequences of a share: sum of squared lengths, at most. */
static size_t squares(const struct pl_net *net)
{
    const struct pl_net_options *o = &net->options;
    const size_t by_tokens = o->max_tokens * o->max_length;
    const size_t by_sequences = o->max_sequences * o->max_length * o->max_length;

    return by_tokens < by_sequences ? by_tokens : by_sequences;
}

/* One layer's; `keep`: for a backward pass. */
static void take_saved(struct pl_arena *arena, const struct pl_net *net, struct pl_saved *s,
                       size_t layer, bool keep)
{
    const struct pl_config *c = &net->model->config;
    const size_t n = net->options.max_tokens, longest = net->options.max_length;

    s->query = reals(arena, n, c->hidden_size);
    s->key = reals(arena, n, c->hidden_size);
    s->value = reals(arena, n, c->hidden_size);
    s->context = reals(arena, n, c->hidden_size);
    s->probabilities =
        keep ? reals(arena, squares(net), c->num_attention_heads) : reals(arena, longest, longest);
    s->middle = reals(arena, n, c->hidden_size);
    s->wide = reals(arena, n, c->intermediate_size);
    for (size_t half = 0; keep && half < 2; half++) {
        s->xhat[half] = reals(arena, n, c->hidden_size);
        s->rstd[half] = reals(arena, n, 1);
    }
    for (size_t k = 0; k < PL_LAYER_MAPS; k++)
        s->xa[k] = reals(arena, n,
                         keep ? net->adapter.maps[PL_LAYER_MAPS * layer + k].rank : net->max_rank);
}

/* Layers that no gradient passes share one place, and two hidden states take turns. */
static void take_layers(struct pl_arena *arena, const struct pl_net *net, struct pl_workspace *ws)
{
    const size_t layers = net->model->config.num_hidden_layers;
    const size_t n = net->options.max_tokens, hidden = net->model->config.hidden_size;
    const size_t lowest = ws->train ? net->lowest / PL_STAGES : layers;
    struct pl_saved shared = {0};
    pl_real *turns[2] = {NULL, NULL};

    if (lowest > 0) {
        take_saved(arena, net, &shared, 0, false);
        turns[0] = reals(arena, n, hidden);
        turns[1] = reals(arena, n, hidden);
    }
    for (size_t l = 0; l < layers; l++) {
        struct pl_saved saved = shared;

        if (l >= lowest)
            take_saved(arena, net, &saved, l, true);
        if (ws->layers)
            ws->layers[l] = saved;
    }
    for (size_t l = 0; l <= layers; l++) {
        pl_real *own = l >= lowest && ws->train ? reals(arena, n, hidden) : turns[l % 2];

        if (ws->hidden)
            ws->hidden[l] = own;
    }
}

static void take_gradients(struct pl_arena *arena, const struct pl_net *net,
                           struct pl_workspace *ws)
{
    const struct pl_config *c = &net->model->config;
    const size_t n = net->options.max_tokens, hidden = c->hidden_size;
    const bool conv = c->conv_kernel_size > 0 && net->lowest / PL_STAGES == 0;

    ws->gradient = reals(arena, n, hidden);
    ws->dcontext = reals(arena, n, hidden);
    ws->dquery = reals(arena, n, hidden);
    ws->dkey = reals(arena, n, hidden);
    ws->dvalue = reals(arena, n, hidden);
    ws->dactive = reals(arena, n, c->intermediate_size);
    ws->dxa = reals(arena, n, net->max_rank);
    ws->map.db = reals(arena, net->max_rank, larger(hidden, c->intermediate_size));
    ws->conv_xhat = conv ? reals(arena, n, hidden) : NULL;
    ws->conv_rstd = conv ? reals(arena, n, 1) : NULL;
    ws->table_xa = reals(arena, table_rows(net), net->max_rank);
    ws->attention.square = reals(arena, net->options.max_length, net->options.max_length);
}

static void take_head(struct pl_arena *arena, const struct pl_net *net, struct pl_workspace *ws)
{
    const size_t n = net->options.max_sequences, inner = net->head.inner;
    struct pl_head_scratch *s = &ws->head;

    s->first = reals(arena, n, inner);
    s->before = reals(arena, n, inner);
    s->pooled = reals(arena, n, inner);
    s->dropped = reals(arena, n, inner);
    s->gradient = reals(arena, n, inner);
    s->logits = reals(arena, n, net->head.n_outputs);
    s->dlogits = reals(arena, n, net->head.n_outputs);
}

static uint16_t *halves(struct pl_arena *arena, size_t n, size_t width)
{
    return pl_arena_take(arena, n * width, sizeof(uint16_t));
}

static void take_half(struct pl_arena *arena, const struct pl_net *net, struct pl_workspace *ws)
{
    const struct pl_config *c = &net->model->config;
    const size_t hidden = c->hidden_size, rows = table_rows(net);
    const size_t n = net->options.max_tokens, longest = net->options.max_length;
    struct pl_attention_half *h = &ws->half;

    ws->map.half = halves(arena, larger(n, rows), larger(hidden, c->intermediate_size));
    h->query = halves(arena, n + 1, hidden);
    h->key = halves(arena, n + 1, hidden);
    h->value = halves(arena, n + 1, hidden);
    h->dcontext = ws->train ? halves(arena, n + 1, hidden) : NULL;
    h->table_key = c->pos_c2p ? halves(arena, rows + 1, hidden) : NULL;
    h->table_query = c->pos_p2c ? halves(arena, rows + 1, hidden) : NULL;
    h->matrix =
        halves(arena, larger((longest + 1) * (longest + 1), (PL_STRIP + 1) * (rows + 1)), 1);
}

static void lay_out(struct pl_arena *arena, const struct pl_net *net, struct pl_workspace *ws)
{
    const struct pl_config *c = &net->model->config;
    const struct pl_net_options *o = &net->options;
    const size_t layers = c->num_hidden_layers, rows = table_rows(net);
    const size_t n = o->max_tokens, widest = larger(c->hidden_size, c->intermediate_size);
    const bool dropout = ws->train && o->attention_dropout > 0;

    ws->layers = pl_arena_take(arena, layers, sizeof *ws->layers);
    ws->hidden = pl_arena_take(arena, layers + 1, sizeof *ws->hidden);
    ws->starts = pl_arena_take(arena, o->max_sequences + 1, sizeof *ws->starts);
    ws->first = pl_arena_take(arena, o->max_sequences + 1, sizeof *ws->first);
    ws->counting = pl_arena_take(arena, o->max_sequences + 1, sizeof *ws->counting);
    take_layers(arena, net, ws);
    ws->narrow = reals(arena, n, c->hidden_size);
    ws->active = reals(arena, n, c->intermediate_size);
    if (c->conv_kernel_size || c->embedding_size != c->hidden_size)
        ws->embedded = reals(arena, n, larger(c->embedding_size, c->hidden_size));
    if (o->half)
        take_half(arena, net, ws);
    if (ws->train && o->lora_dropout > 0)
        ws->map.dropped = reals(arena, larger(n * widest, rows * c->hidden_size), 1);
    if (ws->train && o->hidden_dropout > 0)
        ws->table = reals(arena, rows, c->hidden_size);
    ws->attention.terms = reals(arena, PL_STRIP, rows);
    ws->attention.dropped = dropout ? reals(arena, o->max_length, o->max_length) : NULL;
    if (ws->train)
        take_gradients(arena, net, ws);
    take_head(arena, net, ws);
}

size_t pl_workspace_bytes(const struct pl_net *net, bool train)
{
    struct pl_workspace measured = {.train = train};
    struct pl_arena arena = pl_arena_measure();

    lay_out(&arena, net, &measured);
    return arena.used + sizeof measured;
}

enum prilora_status pl_workspace_new(struct pl_workspace **out, const struct pl_net *net,
                                     bool train, struct prilora_error *err)
{
    const size_t size = pl_workspace_bytes(net, train);
    struct pl_workspace *ws = pl_calloc(1, sizeof *ws);

    *out = NULL;
    if (!ws || !pl_arena_open(&ws->arena, size)) {
        free(ws);
        return pl_fail(err, PRILORA_ENOMEM, "no memory for a workspace of %zu bytes", size);
    }
    ws->train = train;
    lay_out(&ws->arena, net, ws);
    for (size_t i = 0; i <= net->options.max_sequences; i++)
        ws->counting[i] = i;
    *out = ws;
    return PRILORA_OK;
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
