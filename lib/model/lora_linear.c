/* lora_linear.c - see lora_linear.h. */
#include "model/lora_linear.h"

#include "math/blas.h"
#include "math/vector.h"

struct pl_map pl_map_of(const struct pl_net *net, const struct pl_pass *pass, pl_real *grads,
                        size_t index, enum pl_site site)
{
    const struct pl_lora *lora = &net->adapter.maps[index];
    struct pl_map map = {.linear = &net->model->maps[index], .rank = lora->rank};

    map.dropout = pl_dropout_none();
    if (!lora->rank)
        return map;
    map.scale = lora->scale;
    map.a = pass->params + lora->a;
    map.b = pass->params + lora->b;
    if (grads) {
        map.da = grads + lora->a;
        map.db = grads + lora->b;
    }
    map.dropout = pl_pass_dropout(pass, net->options.lora_dropout, site, index);
    return map;
}

/* drop(x): x itself or scratch. */
static const pl_real *dropped(const struct pl_map *map, const struct pl_rows *rows,
                              const pl_real *x, pl_real *scratch)
{
    if (!pl_dropout_active(&map->dropout))
        return x;
    pl_dropout_rows(&map->dropout, rows, scratch, x, map->linear->in);
    return scratch;
}

void pl_map_forward(const struct pl_map *map, const struct pl_rows *rows, pl_real *y, pl_real *xa,
                    const pl_real *x, bool bias, pl_real *scratch)
{
    const size_t n = rows->n, in = map->linear->in, out = map->linear->out, r = map->rank;

    if (bias)
        pl_fill_rows(y, map->linear->bias, n, out);
    pl_gemm(y, out, (struct pl_matrix){x, in, false},
            (struct pl_matrix){map->linear->weight, in, true}, n, out, in, 1, bias);
    if (!r)
        return;
    x = dropped(map, rows, x, scratch);
    pl_gemm(xa, r, (struct pl_matrix){x, in, false}, (struct pl_matrix){map->a, in, true}, n, r, in,
            1, 0);
    pl_gemm(y, out, (struct pl_matrix){xa, r, false}, (struct pl_matrix){map->b, r, true}, n, out,
            r, map->scale, 1);
}

void pl_map_backward_input(const struct pl_map *map, const struct pl_rows *rows, pl_real *dx,
                           bool add, pl_real *dxa, const pl_real *dy, pl_real *scratch)
{
    const size_t n = rows->n, in = map->linear->in, out = map->linear->out, r = map->rank;
    const struct pl_matrix a = {map->a, in, false};

    if (dx)
        pl_gemm(dx, in, (struct pl_matrix){dy, out, false},
                (struct pl_matrix){map->linear->weight, in, false}, n, in, out, 1, add);
    if (!r)
        return;
    pl_gemm(dxa, r, (struct pl_matrix){dy, out, false}, (struct pl_matrix){map->b, r, false}, n, r,
            out, map->scale, 0);
    if (!dx)
        return;
    if (!pl_dropout_active(&map->dropout)) {
        pl_gemm(dx, in, (struct pl_matrix){dxa, r, false}, a, n, in, r, 1, 1);
        return;
    }
    pl_gemm(scratch, in, (struct pl_matrix){dxa, r, false}, a, n, in, r, 1, 0);
    pl_dropout_rows_add(&map->dropout, rows, dx, scratch, in);
}

void pl_map_backward_weights(const struct pl_map *map, const struct pl_rows *rows, const pl_real *x,
                             const pl_real *xa, const pl_real *dxa, const pl_real *dy,
                             pl_real *scratch)
{
    const size_t n = rows->n, in = map->linear->in, out = map->linear->out, r = map->rank;

    if (!r || !map->da)
        return;
    pl_gemm(map->db, r, (struct pl_matrix){dy, out, true}, (struct pl_matrix){xa, r, false}, out, r,
            n, map->scale, 1);
    x = dropped(map, rows, x, scratch);
    pl_gemm(map->da, in, (struct pl_matrix){dxa, r, true}, (struct pl_matrix){x, in, false}, r, in,
            n, 1, 1);
}
