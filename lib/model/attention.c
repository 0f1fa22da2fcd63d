/*
 * attention.c - see attention.h. Each head of each sequence is a few small products and passes over
 * [n, n] scores; the position terms are products with the rows of the table that the sequence
 * reaches, from which every score takes the two that its distance names.
 */
#include "model/attention.h"

#include <string.h>

#include "math/blas.h"
#include "math/simd.h"
#include "math/softmax.h"
#include "math/vector.h"

/* One head of one sequence. */
struct head {
    size_t n, width, ld; /* tokens; of the head; of a row of all heads */
    size_t at;           /* where it begins in [n, hidden] arrays */
    size_t token, number;
    size_t first, rows;         /* of the table */
    const pl_real *key, *query; /* its part of the projected table, or NULL */
};

static struct head head_at(const struct pl_attention *a, const struct pl_rows *rows, size_t k,
                           size_t number)
{
    struct head h = {.n = rows->starts[k + 1] - rows->starts[k], .ld = a->hidden};

    h.width = a->hidden / a->heads;
    h.at = rows->starts[k] * a->hidden + number * h.width;
    h.token = rows->first[k];
    h.number = number;
    if (a->table && (a->table->key || a->table->query)) {
        size_t from;

        h.first = a->positions->first[h.n];
        h.rows = a->positions->n[h.n];
        from = (h.first - a->table->first) * a->hidden + number * h.width;
        h.key = a->table->key ? a->table->key + from : NULL;
        h.query = a->table->query ? a->table->query + from : NULL;
    }
    return h;
}

static struct pl_matrix part(const pl_real *x, const struct head *h, bool transposed)
{
    return (struct pl_matrix){x, h->ld, transposed};
}

static struct pl_matrix whole(const pl_real *x, size_t width, bool transposed)
{
    return (struct pl_matrix){x, width, transposed};
}

/* ---- position terms ----------------------------------------------------------------------- */

/* s [n] += c2p [rows] at the distances from token i, and p2c [n, rows] likewise by its rows. */
PL_CLONES static void gather(pl_real *restrict s, const pl_real *restrict c2p,
                             const pl_real *restrict p2c, const int32_t *restrict row,
                             int32_t first, size_t n, size_t rows)
{
    if (c2p)
        for (size_t j = 0; j < n; j++)
            s[j] += c2p[row[j] - first];
    if (p2c)
        for (size_t j = 0; j < n; j++)
            s[j] += p2c[j * rows + (size_t)(row[j] - first)];
}

/* The transpose: dc2p and dp2c += d at the same places. */
static void scatter(const pl_real *restrict d, pl_real *restrict c2p, pl_real *restrict p2c,
                    const int32_t *restrict row, int32_t first, size_t n, size_t rows)
{
    if (c2p)
        for (size_t j = 0; j < n; j++)
            c2p[row[j] - first] += d[j];
    if (p2c)
        for (size_t j = 0; j < n; j++)
            p2c[j * rows + (size_t)(row[j] - first)] += d[j];
}

static void add_positions(const struct pl_attention *a, const struct head *h, pl_real *scores,
                          const pl_real *query, const pl_real *key)
{
    const struct pl_attention_scratch *s = &a->scratch;

    if (!h->key && !h->query)
        return;
    if (h->key)
        pl_gemm(s->c2p, h->rows, part(query, h, false), part(h->key, h, true), h->n, h->rows,
                h->width, 1, 0);
    if (h->query)
        pl_gemm(s->p2c, h->rows, part(key, h, false), part(h->query, h, true), h->n, h->rows,
                h->width, 1, 0);
    for (size_t i = 0; i < h->n; i++)
        gather(scores + i * h->n, h->key ? s->c2p + i * h->rows : NULL, h->query ? s->p2c : NULL,
               pl_position_row(a->positions, h->n, i), (int32_t)h->first, h->n, h->rows);
}

/* ---- forward ------------------------------------------------------------------------------ */

/* y = mask * x, row by row. */
static void drop(const struct pl_attention *a, const struct head *h, pl_real *y, const pl_real *x)
{
    for (size_t i = 0; i < h->n; i++)
        pl_dropout_apply(&a->dropout, y + i * h->n, x + i * h->n, h->n,
                         ((h->token + i) * a->heads + h->number) * PL_ATTENTION_STRIDE);
}

static void forward_head(const struct pl_attention *a, const struct head *h, pl_real *context,
                         pl_real *p, const pl_real *query, const pl_real *key, const pl_real *value)
{
    const size_t n = h->n;

    pl_gemm(p, n, part(query, h, false), part(key, h, true), n, n, h->width, 1, 0);
    add_positions(a, h, p, query, key);
    for (size_t i = 0; i < n; i++)
        pl_softmax(p + i * n, n, a->scale);
    if (pl_dropout_active(&a->dropout)) {
        drop(a, h, a->scratch.dropped, p);
        p = a->scratch.dropped;
    }
    pl_gemm(context, h->ld, whole(p, n, false), part(value, h, false), n, h->width, n, 1, 0);
}

void pl_attention_forward(const struct pl_attention *attention, const struct pl_rows *rows,
                          pl_real *context, pl_real *probabilities, bool keep, const pl_real *query,
                          const pl_real *key, const pl_real *value)
{
    for (size_t k = 0; k < rows->n_runs; k++) {
        for (size_t number = 0; number < attention->heads; number++) {
            const struct head h = head_at(attention, rows, k, number);

            forward_head(attention, &h, context + h.at, probabilities, query + h.at, key + h.at,
                         value + h.at);
            if (keep)
                probabilities += h.n * h.n;
        }
    }
}

/* ---- backward ----------------------------------------------------------------------------- */

/* Pointers of one head into the gradients that are wanted. */
static struct pl_attention_gradients slice(const struct pl_attention_gradients *to,
                                           const struct head *h)
{
    const size_t at = (h->first - to->table_first) * h->ld + h->number * h->width;

    return (struct pl_attention_gradients){
        .query = to->query ? to->query + h->at : NULL,
        .key = to->key ? to->key + h->at : NULL,
        .value = to->value ? to->value + h->at : NULL,
        .table_key = to->table_key ? to->table_key + at : NULL,
        .table_query = to->table_query ? to->table_query + at : NULL,
    };
}

/* Adds what the position terms give, from ds [n, n]. */
static void backward_positions(const struct pl_attention *a, const struct head *h,
                               const struct pl_attention_gradients *to, const pl_real *ds,
                               const pl_real *query, const pl_real *key)
{
    pl_real *c2p = h->key && (to->query || to->table_key) ? a->scratch.c2p : NULL;
    pl_real *p2c = h->query && (to->key || to->table_query) ? a->scratch.p2c : NULL;
    const size_t n = h->n, m = h->rows;

    if (c2p)
        pl_fill_rows(c2p, NULL, n, m);
    if (p2c)
        pl_fill_rows(p2c, NULL, n, m);
    for (size_t i = 0; (c2p || p2c) && i < n; i++)
        scatter(ds + i * n, c2p ? c2p + i * m : NULL, p2c, pl_position_row(a->positions, n, i),
                (int32_t)h->first, n, m);
    if (c2p && to->query)
        pl_gemm(to->query, h->ld, whole(c2p, m, false), part(h->key, h, false), n, h->width, m, 1,
                1);
    if (c2p && to->table_key)
        pl_gemm(to->table_key, h->ld, whole(c2p, m, true), part(query, h, false), m, h->width, n, 1,
                1);
    if (p2c && to->key)
        pl_gemm(to->key, h->ld, whole(p2c, m, false), part(h->query, h, false), n, h->width, m, 1,
                1);
    if (p2c && to->table_query)
        pl_gemm(to->table_query, h->ld, whole(p2c, m, true), part(key, h, false), m, h->width, n, 1,
                1);
}

static void backward_head(const struct pl_attention *a, const struct head *h,
                          const struct pl_attention_gradients *to, const pl_real *dcontext,
                          const pl_real *p, const pl_real *query, const pl_real *key,
                          const pl_real *value)
{
    const size_t n = h->n;
    pl_real *ds = a->scratch.square;

    if (to->value) {
        const pl_real *used = p;

        if (pl_dropout_active(&a->dropout)) {
            drop(a, h, a->scratch.dropped, p);
            used = a->scratch.dropped;
        }
        pl_gemm(to->value, h->ld, whole(used, n, true), part(dcontext, h, false), n, h->width, n, 1,
                0);
    }
    if (!to->query && !to->key && !to->table_key && !to->table_query)
        return;
    pl_gemm(ds, n, part(dcontext, h, false), part(value, h, true), n, n, h->width, 1, 0);
    if (pl_dropout_active(&a->dropout))
        drop(a, h, ds, ds);
    for (size_t i = 0; i < n; i++)
        pl_softmax_backward(ds + i * n, p + i * n, n, a->scale);
    if (to->query)
        pl_gemm(to->query, h->ld, whole(ds, n, false), part(key, h, false), n, h->width, n, 1, 0);
    if (to->key)
        pl_gemm(to->key, h->ld, whole(ds, n, true), part(query, h, false), n, h->width, n, 1, 0);
    backward_positions(a, h, to, ds, query, key);
}

void pl_attention_backward(const struct pl_attention *attention, const struct pl_rows *rows,
                           const struct pl_attention_gradients *to, const pl_real *dcontext,
                           const pl_real *probabilities, const pl_real *query, const pl_real *key,
                           const pl_real *value)
{
    for (size_t k = 0; k < rows->n_runs; k++) {
        for (size_t number = 0; number < attention->heads; number++) {
            const struct head h = head_at(attention, rows, k, number);
            const struct pl_attention_gradients g = slice(to, &h);

            backward_head(attention, &h, &g, dcontext + h.at, probabilities, query + h.at,
                          key + h.at, value + h.at);
            probabilities += h.n * h.n;
        }
    }
}
