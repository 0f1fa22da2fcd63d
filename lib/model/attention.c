/*
 * attention.c - see attention.h. Each head of each sequence is a few small products and passes over
 * [n, n] scores. A position term is computed in strips of tokens: a product with those rows of the
 * table that the strip's distances name, from which every score takes the one that is its own.
 */
#include "model/attention.h"

#include <assert.h>
#include <string.h>

#include "math/blas.h"
#include "math/half.h"
#include "math/simd.h"
#include "math/softmax.h"
#include "math/vector.h"

/* A factor: its numbers, and the same in bfloat16 where attention is computed so; else NULL. */
struct factor {
    const pl_real *x;
    const uint16_t *half;
};

/* One head of one sequence. */
struct head {
    size_t n, width, ld; /* tokens; of the head; of a row of all heads */
    size_t at;           /* where it begins in [n, hidden] arrays */
    size_t token, number;
    size_t first;             /* row of the table that the sequence's rows begin with */
    struct factor key, query; /* its part of the projected table, or NULL */
};

static struct factor advance(struct factor f, size_t n)
{
    return (struct factor){f.x ? f.x + n : NULL, f.half ? f.half + n : NULL};
}

static struct head head_at(const struct pl_attention *a, const struct pl_rows *rows, size_t k,
                           size_t number)
{
    const struct pl_attention_half *half = a->half;
    struct head h = {.n = rows->starts[k + 1] - rows->starts[k], .ld = a->hidden};

    h.width = a->hidden / a->heads;
    h.at = rows->starts[k] * a->hidden + number * h.width;
    h.token = rows->first[k];
    h.number = number;
    if (a->table && (a->table->key || a->table->query)) {
        size_t from;

        h.first = a->positions->first[h.n];
        from = (h.first - a->table->first) * a->hidden + number * h.width;
        h.key = advance((struct factor){a->table->key, half ? half->table_key : NULL}, from);
        h.query = advance((struct factor){a->table->query, half ? half->table_query : NULL}, from);
    }
    return h;
}

/* A factor as it enters a product. */
struct operand {
    struct pl_matrix numbers;
    const uint16_t *half;
    size_t half_ld;
};

/* Of an array of all heads. */
static struct operand part(struct factor f, const struct head *h, bool transposed)
{
    return (struct operand){{f.x, h->ld, transposed}, f.half, h->ld};
}

/* A head's own matrix [rows, width], as left factor. */
static struct operand whole(const struct pl_attention *a, const pl_real *x, size_t rows,
                            size_t width, bool transposed)
{
    struct operand o = {{x, width, transposed}, NULL, 0};

    if (!a->half)
        return o;
    if (transposed)
        pl_half_pairs(a->half->matrix, x, rows, width);
    else
        pl_half_rows(a->half->matrix, x, rows, width);
    o.half = a->half->matrix;
    o.half_ld = transposed ? width : width + width % 2;
    return o;
}

/* c [m,n] = or += a [m,k] b [k,n]. In bfloat16 an odd k is made even by a column of zeros in a. */
static void multiply(pl_real *c, size_t ldc, struct operand a, struct operand b, size_t m, size_t n,
                     size_t k, bool add)
{
    struct pl_term term = {.a = a.numbers, .b = b.numbers, .k = k, .alpha = 1};

    if (a.half && b.half) {
        term.a.ld = a.half_ld;
        term.b.ld = b.half_ld;
        term.a_half = a.half;
        term.b_half = b.half;
        term.k += k % 2;
    }
    pl_products(c, ldc, m, n, &term, 1, NULL, add);
}

/* ---- position terms ----------------------------------------------------------------------- */

/* Tokens from .. from + n - 1 of a sequence, and the rows of the table that they reach. */
struct strip {
    size_t from, n, first, rows;
};

/* Rows of the distances `lowest` .. `highest`, told by the ends: a row never falls as they grow. */
static struct strip strip_of(size_t from, size_t n, int32_t lowest, int32_t highest)
{
    assert(lowest <= highest);
    return (struct strip){from, n, (size_t)lowest, (size_t)(highest - lowest) + 1};
}

static size_t strip_length(const struct head *h, size_t from)
{
    return h->n - from < PL_STRIP ? h->n - from : PL_STRIP;
}

/* Queries `from` .. against all keys. */
static struct strip query_strip(const struct pl_attention *a, const struct head *h, size_t from)
{
    const size_t n = strip_length(h, from);

    return strip_of(from, n, pl_position_row(a->positions, h->n, from)[h->n - 1],
                    pl_position_row(a->positions, h->n, from + n - 1)[0]);
}

/* Keys `from` .. against all queries. */
static struct strip key_strip(const struct pl_attention *a, const struct head *h, size_t from)
{
    const size_t n = strip_length(h, from);

    return strip_of(from, n, pl_position_row(a->positions, h->n, 0)[from + n - 1],
                    pl_position_row(a->positions, h->n, h->n - 1)[from]);
}

/* The head's part of its projected rows. */
static struct operand rows_of(const struct head *h, struct factor table, const struct strip *s,
                              bool transposed)
{
    return part(advance(table, (s->first - h->first) * h->ld), h, transposed);
}

static const int32_t *row_numbers(const struct pl_attention *a, const struct head *h, size_t i)
{
    return pl_position_row(a->positions, h->n, i);
}

/* scores [n] of a query += terms [rows] at the distances to all keys. */
PL_CLONES static void gather(pl_real *restrict scores, const pl_real *restrict terms,
                             const int32_t *restrict row, int32_t first, size_t n)
{
    for (size_t j = 0; j < n; j++)
        scores[j] += terms[row[j] - first];
}

/* scores [n] of a query += terms [n, rows], one row for each of n keys. */
PL_CLONES static void gather_across(pl_real *restrict scores, const pl_real *restrict terms,
                                    const int32_t *restrict row, int32_t first, size_t n,
                                    int32_t rows)
{
    for (int32_t j = 0; j < (int32_t)n; j++)
        scores[j] += terms[j * rows + row[j] - first];
}

static void add_positions(const struct pl_attention *a, const struct head *h, pl_real *scores,
                          struct factor query, struct factor key)
{
    pl_real *terms = a->scratch.terms;

    for (size_t from = 0; h->key.x && from < h->n; from += PL_STRIP) {
        const struct strip s = query_strip(a, h, from);

        multiply(terms, s.rows, part(advance(query, from * h->ld), h, false),
                 rows_of(h, h->key, &s, true), s.n, s.rows, h->width, false);
        for (size_t i = 0; i < s.n; i++)
            gather(scores + (from + i) * h->n, terms + i * s.rows, row_numbers(a, h, from + i),
                   (int32_t)s.first, h->n);
    }
    for (size_t from = 0; h->query.x && from < h->n; from += PL_STRIP) {
        const struct strip s = key_strip(a, h, from);

        multiply(terms, s.rows, part(advance(key, from * h->ld), h, false),
                 rows_of(h, h->query, &s, true), s.n, s.rows, h->width, false);
        for (size_t i = 0; i < h->n; i++)
            gather_across(scores + i * h->n + from, terms, row_numbers(a, h, i) + from,
                          (int32_t)s.first, s.n, (int32_t)s.rows);
    }
}

/* ---- forward ------------------------------------------------------------------------------ */

/* y [n, n] = mask * x. */
static void drop(const struct pl_attention *a, const struct head *h, pl_real *y, const pl_real *x)
{
    assert(h->n * h->n <= PL_ATTENTION_STRIDE);
    pl_dropout_apply(&a->dropout, y, x, h->n * h->n,
                     (h->token * a->heads + h->number) * PL_ATTENTION_STRIDE);
}

static void forward_head(const struct pl_attention *a, const struct head *h, pl_real *context,
                         pl_real *p, struct factor query, struct factor key, struct factor value)
{
    const size_t n = h->n;

    multiply(p, n, part(query, h, false), part(key, h, true), n, n, h->width, false);
    add_positions(a, h, p, query, key);
    for (size_t i = 0; i < n; i++)
        pl_softmax(p + i * n, n, a->scale);
    if (pl_dropout_active(&a->dropout)) {
        drop(a, h, a->scratch.dropped, p);
        p = a->scratch.dropped;
    }
    multiply(context, h->ld, whole(a, p, n, n, false), part(value, h, false), n, h->width, n,
             false);
}

/* x [n, hidden] as a factor; in bfloat16 it ends with a row of zeros, which an odd sequence at the
 * end meets. */
static struct factor round_rows(const pl_real *x, uint16_t *half, size_t n, size_t hidden)
{
    if (half) {
        pl_half_from(half, x, n * hidden);
        memset(half + n * hidden, 0, hidden * sizeof *half);
    }
    return (struct factor){x, half};
}

static void round_table(const struct pl_attention *a)
{
    const struct pl_table *t = a->table;

    if (t && t->key)
        round_rows(t->key, a->half->table_key, t->n, a->hidden);
    if (t && t->query)
        round_rows(t->query, a->half->table_query, t->n, a->hidden);
}

void pl_attention_forward(const struct pl_attention *attention, const struct pl_rows *rows,
                          pl_real *context, pl_real *probabilities, bool keep, const pl_real *query,
                          const pl_real *key, const pl_real *value)
{
    const struct pl_attention_half none = {0}, *half = attention->half ? attention->half : &none;
    const struct factor q = round_rows(query, half->query, rows->n, attention->hidden),
                        k = round_rows(key, half->key, rows->n, attention->hidden),
                        v = round_rows(value, half->value, rows->n, attention->hidden);

    if (attention->half)
        round_table(attention);
    for (size_t i = 0; i < rows->n_runs; i++) {
        for (size_t number = 0; number < attention->heads; number++) {
            const struct head h = head_at(attention, rows, i, number);

            forward_head(attention, &h, context + h.at, probabilities, advance(q, h.at),
                         advance(k, h.at), advance(v, h.at));
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

/* The transpose of gather. */
static void scatter(const pl_real *restrict ds, pl_real *restrict terms,
                    const int32_t *restrict row, int32_t first, size_t n)
{
    for (size_t j = 0; j < n; j++)
        terms[row[j] - first] += ds[j];
}

/* The transpose of gather_across. */
static void scatter_across(const pl_real *restrict ds, pl_real *restrict terms,
                           const int32_t *restrict row, int32_t first, size_t n, size_t rows)
{
    for (size_t j = 0; j < n; j++)
        terms[j * rows + (size_t)(row[j] - first)] += ds[j];
}

/* d += terms times the table's rows, dtable += their transpose times x; either may be NULL. */
static void push_terms(const struct pl_attention *a, const struct head *h, const struct strip *s,
                       pl_real *d, struct factor table, pl_real *dtable, struct factor x)
{
    const pl_real *terms = a->scratch.terms;

    if (d)
        multiply(d + s->from * h->ld, h->ld, whole(a, terms, s->n, s->rows, false),
                 rows_of(h, table, s, false), s->n, h->width, s->rows, true);
    if (dtable)
        multiply(dtable + (s->first - h->first) * h->ld, h->ld,
                 whole(a, terms, s->n, s->rows, true), part(advance(x, s->from * h->ld), h, false),
                 s->rows, h->width, s->n, true);
}

/* Adds what the position terms give, from ds [n, n]. */
static void backward_positions(const struct pl_attention *a, const struct head *h,
                               const struct pl_attention_gradients *to, const pl_real *ds,
                               struct factor query, struct factor key)
{
    const bool c2p = h->key.x && (to->query || to->table_key);
    const bool p2c = h->query.x && (to->key || to->table_query);
    pl_real *terms = a->scratch.terms;

    for (size_t from = 0; c2p && from < h->n; from += PL_STRIP) {
        const struct strip s = query_strip(a, h, from);

        pl_fill_rows(terms, NULL, s.n, s.rows);
        for (size_t i = 0; i < s.n; i++)
            scatter(ds + (from + i) * h->n, terms + i * s.rows, row_numbers(a, h, from + i),
                    (int32_t)s.first, h->n);
        push_terms(a, h, &s, to->query, h->key, to->table_key, query);
    }
    for (size_t from = 0; p2c && from < h->n; from += PL_STRIP) {
        const struct strip s = key_strip(a, h, from);

        pl_fill_rows(terms, NULL, s.n, s.rows);
        for (size_t i = 0; i < h->n; i++)
            scatter_across(ds + i * h->n + from, terms, row_numbers(a, h, i) + from,
                           (int32_t)s.first, s.n, s.rows);
        push_terms(a, h, &s, to->key, h->query, to->table_query, key);
    }
}

static void backward_head(const struct pl_attention *a, const struct head *h,
                          const struct pl_attention_gradients *to, struct factor dcontext,
                          const pl_real *p, struct factor query, struct factor key,
                          struct factor value)
{
    const bool dropping = pl_dropout_active(&a->dropout);
    const pl_real *used = dropping ? a->scratch.dropped : p;
    pl_real *ds = a->scratch.square;
    const size_t n = h->n;

    if (dropping)
        drop(a, h, a->scratch.dropped, p);
    if (to->value)
        multiply(to->value, h->ld, whole(a, used, n, n, true), part(dcontext, h, false), n,
                 h->width, n, false);
    if (!to->query && !to->key && !to->table_key && !to->table_query)
        return;
    multiply(ds, n, part(dcontext, h, false), part(value, h, true), n, n, h->width, false);
    if (dropping)
        pl_dropout_repeat(&a->dropout, ds, ds, used, n * n);
    for (size_t i = 0; i < n; i++)
        pl_softmax_backward(ds + i * n, p + i * n, n, a->scale);
    if (to->query)
        multiply(to->query, h->ld, whole(a, ds, n, n, false), part(key, h, false), n, h->width, n,
                 false);
    if (to->key)
        multiply(to->key, h->ld, whole(a, ds, n, n, true), part(query, h, false), n, h->width, n,
                 false);
    backward_positions(a, h, to, ds, query, key);
}

void pl_attention_backward(const struct pl_attention *attention, const struct pl_rows *rows,
                           const struct pl_attention_gradients *to, const pl_real *dcontext,
                           const pl_real *probabilities, const pl_real *query, const pl_real *key,
                           const pl_real *value)
{
    const struct pl_attention_half none = {0}, *half = attention->half ? attention->half : &none;
    const size_t hidden = attention->hidden;
    const struct factor q = round_rows(query, half->query, rows->n, hidden),
                        k = round_rows(key, half->key, rows->n, hidden),
                        v = round_rows(value, half->value, rows->n, hidden),
                        d = round_rows(dcontext, half->dcontext, rows->n, hidden);

    if (attention->half)
        round_table(attention);
    for (size_t i = 0; i < rows->n_runs; i++) {
        for (size_t number = 0; number < attention->heads; number++) {
            const struct head h = head_at(attention, rows, i, number);
            const struct pl_attention_gradients g = slice(to, &h);

            backward_head(attention, &h, &g, advance(d, h.at), probabilities, advance(q, h.at),
                          advance(k, h.at), advance(v, h.at));
            probabilities += h.n * h.n;
        }
    }
}
