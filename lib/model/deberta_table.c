/*
 * deberta_table.c - the relative-position table of a layer, once per step: dropout, then the
 * layer's own query and key maps (low-rank updates included) or maps of its own; and the gradients
 * of those rows, summed over all shares, into the adapters.
 */
#include "math/blas.h"
#include "model/deberta.h"
#include "model/lora_linear.h"

static const struct pl_deberta *weights_of(const struct pl_flow *f)
{
    return f->net->model->own;
}

/* Rows first .. first + n - 1 of the table after this layer's dropout, in ws->table. */
static const pl_real *drop_table(const struct pl_flow *f, size_t layer, const struct pl_rows *rows)
{
    const size_t hidden = f->net->model->config.hidden_size;
    const pl_real *from = weights_of(f)->table + rows->first[0] * hidden;
    const struct pl_dropout dropout =
        pl_pass_dropout(f->pass, f->net->options.hidden_dropout, PL_SITE_POSITION_DROPOUT, layer);

    if (!pl_dropout_active(&dropout))
        return from;
    pl_dropout_rows(&dropout, rows, f->ws->table, from, hidden);
    return f->ws->table;
}

static struct pl_map shared_map(const struct pl_flow *f, size_t layer, size_t kind)
{
    return pl_map_of(f, PL_LAYER_MAPS * layer + kind, PL_SITE_LORA_TABLE_DROPOUT);
}

static void project(const struct pl_flow *f, size_t layer, size_t kind, const struct pl_linear *own,
                    const struct pl_rows *rows, const pl_real *table, pl_real *y, pl_real *xa)
{
    const struct pl_map map = own->weight ? pl_map_frozen(f, own) : shared_map(f, layer, kind);

    pl_map_forward(&map, rows, y, xa, table, true);
}

void pl_deberta_begin_layer(const struct pl_flow *f, size_t layer)
{
    const struct pl_positions *positions = &f->net->positions;
    const struct pl_deberta_layer *own = &weights_of(f)->layers[layer];
    struct pl_table *t;
    const pl_real *table;
    struct pl_rows rows;

    if (!positions->span)
        return;
    t = &f->pass->tables->layers[layer];
    t->first = positions->first[f->pass->batch->longest];
    t->n = positions->n[f->pass->batch->longest];
    rows = (struct pl_rows){t->n, 1, (const size_t[]){0, t->n}, &t->first};
    table = drop_table(f, layer, &rows);
    if (t->key)
        project(f, layer, PL_KEY, &own->position_key, &rows, table, t->key, t->xa_key);
    if (t->query)
        project(f, layer, PL_QUERY, &own->position_query, &rows, table, t->query, t->xa_query);
}

/* d [n, hidden] of the projected rows into A and B of the map that projected them. */
static void push(const struct pl_flow *f, size_t layer, size_t kind, const struct pl_rows *rows,
                 const pl_real *table, const pl_real *xa, const pl_real *d)
{
    const struct pl_map map = shared_map(f, layer, kind);

    pl_map_backward_input(&map, rows, NULL, false, f->ws->table_xa, d);
    pl_map_backward_weights(&map, rows, table, xa, f->ws->table_xa, d);
}

void pl_deberta_finish_layer(const struct pl_flow *f, size_t layer)
{
    const struct pl_positions *positions = &f->net->positions;
    const size_t hidden = f->net->model->config.hidden_size;
    struct pl_table_sums sums;
    const struct pl_table *t;
    const pl_real *table;
    struct pl_rows rows;
    size_t skip;

    if (!positions->span)
        return;
    sums = f->net->table_sums[layer];
    if (!sums.key && !sums.query)
        return;
    t = &f->pass->tables->layers[layer];
    rows = (struct pl_rows){t->n, 1, (const size_t[]){0, t->n}, &t->first};
    /* The sums hold the rows of the longest sequence that there can be. */
    skip = (t->first - positions->first[positions->max_length]) * hidden;
    table = drop_table(f, layer, &rows);
    if (sums.key)
        push(f, layer, PL_KEY, &rows, table, t->xa_key, f->grads + sums.key + skip);
    if (sums.query)
        push(f, layer, PL_QUERY, &rows, table, t->xa_query, f->grads + sums.query + skip);
}
