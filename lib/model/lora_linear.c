/* lora_linear.c - see lora_linear.h. The frozen product and the wide one of the update go to one
 * sum, so that y and dx are passed over once. */
#include "model/lora_linear.h"

#include "math/blas.h"
#include "math/half.h"
#include "math/vector.h"

struct pl_map pl_map_frozen(const struct pl_flow *f, const struct pl_linear *linear)
{
    return (struct pl_map){.linear = linear, .dropout = pl_dropout_none(), .meter = &f->ws->meter};
}

struct pl_map pl_map_of(const struct pl_flow *f, size_t index, enum pl_site site)
{
    const struct pl_lora *lora = &f->net->adapter.maps[index];
    struct pl_map map = pl_map_frozen(f, &f->net->model->maps[index]);

    if (f->net->options.half)
        map.half = map.linear->half;
    map.scratch = f->ws->map;
    if (!lora->rank)
        return map;
    map.rank = lora->rank;
    map.scale = lora->scale;
    map.a = f->pass->params + lora->a;
    map.b = f->pass->params + lora->b;
    if (f->grads) {
        map.da = f->grads + lora->a;
        map.db = f->grads + lora->b;
    }
    map.dropout = pl_pass_dropout(f->pass, f->net->options.lora_dropout, site, index);
    return map;
}

/* x [n, width] in bfloat16 if the frozen map is computed so, else NULL. */
static const uint16_t *halved(const struct pl_map *map, const pl_real *x, size_t n, size_t width)
{
    if (!map->half)
        return NULL;
    pl_half_from(map->scratch.half, x, n * width);
    return map->scratch.half;
}

/* drop(x): x itself or scratch. */
static const pl_real *dropped(const struct pl_map *map, const struct pl_rows *rows,
                              const pl_real *x)
{
    if (!pl_dropout_active(&map->dropout))
        return x;
    pl_dropout_rows(&map->dropout, rows, map->scratch.dropped, x, map->linear->in);
    return map->scratch.dropped;
}

void pl_map_forward(const struct pl_map *map, const struct pl_rows *rows, pl_real *y, pl_real *xa,
                    const pl_real *x, bool bias)
{
    const size_t n = rows->n, in = map->linear->in, out = map->linear->out, r = map->rank;
    struct pl_term terms[] = {
        {.a = {x, in, false},
         .b = {map->linear->weight, in, true},
         .k = in,
         .alpha = 1,
         .b_half = map->half},
        {.a = {xa, r, false}, .b = {map->b, r, true}, .k = r, .alpha = map->scale},
    };
    const enum pl_part before = pl_meter_turn(map->meter, PL_PART_ADAPTERS);

    if (r)
        pl_gemm(xa, r, (struct pl_matrix){dropped(map, rows, x), in, false},
                (struct pl_matrix){map->a, in, true}, n, r, in, 1, false);
    pl_meter_turn(map->meter, PL_PART_LINEAR);
    terms[0].a_half = halved(map, x, n, in);
    pl_products(y, out, n, out, terms, r ? 2 : 1, bias ? map->linear->bias : NULL, false);
    pl_meter_turn(map->meter, before);
}

void pl_map_backward_input(const struct pl_map *map, const struct pl_rows *rows, pl_real *dx,
                           bool add, pl_real *dxa, const pl_real *dy)
{
    const size_t n = rows->n, in = map->linear->in, out = map->linear->out, r = map->rank;
    const bool masked = r && pl_dropout_active(&map->dropout);
    struct pl_term terms[] = {
        {.a = {dy, out, false},
         .b = {map->linear->weight, in, false},
         .k = out,
         .alpha = 1,
         .b_half = map->half},
        {.a = {dxa, r, false}, .b = {map->a, in, false}, .k = r, .alpha = 1},
    };
    const enum pl_part before = pl_meter_turn(map->meter, PL_PART_ADAPTERS);

    if (r)
        pl_gemm(dxa, r, (struct pl_matrix){dy, out, false}, (struct pl_matrix){map->b, r, false}, n,
                r, out, map->scale, false);
    if (dx && masked)
        pl_products(map->scratch.dropped, in, n, in, &terms[1], 1, NULL, false);
    pl_meter_turn(map->meter, PL_PART_LINEAR);
    if (dx)
        terms[0].a_half = halved(map, dy, n, out);
    if (dx)
        pl_products(dx, in, n, in, terms, r && !masked ? 2 : 1, NULL, add);
    pl_meter_turn(map->meter, PL_PART_ADAPTERS);
    if (dx && masked)
        pl_dropout_rows_add(&map->dropout, rows, dx, map->scratch.dropped, in);
    pl_meter_turn(map->meter, before);
}

void pl_map_backward_weights(const struct pl_map *map, const struct pl_rows *rows, const pl_real *x,
                             const pl_real *xa, const pl_real *dxa, const pl_real *dy)
{
    const size_t n = rows->n, in = map->linear->in, out = map->linear->out, r = map->rank;
    const enum pl_part before = pl_meter_turn(map->meter, PL_PART_ADAPTERS);

    if (r && map->da) {
        /* The transpose of dB: its few rows pass over dy where it lies. */
        pl_gemm(map->scratch.db, out, (struct pl_matrix){xa, r, true},
                (struct pl_matrix){dy, out, false}, r, out, n, 1, false);
        pl_add_transposed(map->db, map->scratch.db, out, r, map->scale);
        pl_gemm(map->da, in, (struct pl_matrix){dxa, r, true},
                (struct pl_matrix){dropped(map, rows, x), in, false}, r, in, n, 1, true);
    }
    pl_meter_turn(map->meter, before);
}
