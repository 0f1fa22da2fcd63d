/*
 * tiles.c - see tiles.h.
 *
 * The columns of c are done in groups, the sum over k in stages. For each group and stage the right
 * factors are packed into panels of up to 64 columns, which stay in the second-level cache while
 * the rows of c pass over them, a few at a time: a tile of c is held in registers while all terms
 * of the stage are added to it. So a frozen map and its low-rank update cost one pass over c, and
 * left factors are read where they lie.
 *
 * Of bfloat16 factors, two numbers at a time are multiplied and added to a single-precision sum.
 */
#include "math/tiles.h"

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(PL_DOUBLE)

#include <assert.h>
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "math/simd.h"

#define LANES     ((size_t)16)
#define WIDE      ((size_t)64)  /* columns of a panel */
#define NARROW    ((size_t)32)  /* the same where c has so few rows that taller tiles pay */
#define GROUP     ((size_t)192) /* columns packed at a time */
#define DEPTH     ((size_t)512) /* rows of a stage; of a bfloat16 term a row is a pair */
#define MAX_ROWS  ((size_t)12)  /* of a tile */
#define MAX_TERMS ((size_t)2)
#define PACKED    ((DEPTH + (MAX_TERMS + 1) * LANES) * GROUP)
#define AHEAD     ((size_t)8) /* rows fetched before they are packed: no prefetcher sees so far */

#define AVX512      __attribute__((target("avx512f")))
#define AVX512_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 12")
#endif

/* One term's part of a stage. */
struct segment {
    const struct pl_term *term;
    size_t from, depth;       /* in rows as above */
    const float *panels;      /* packed, one after the other; NULL: the term's own rows are used */
    size_t width, panel_size; /* columns, floats */
    const float *right;       /* of the tile at hand: row p begins at right[p * right_step] */
    size_t right_step;
    const float *left; /* row i, column p is left[i * left_row + p * left_step] */
    size_t left_row, left_step;
};

struct tile {
    const struct segment *segments;
    size_t n_segments;
    float *c;
    size_t ldc;
    __mmask16 last;    /* columns of the last vector that exist */
    const float *bias; /* of the tile's columns, or NULL */
    bool add;          /* to what c holds */
};

/* What is asked for. */
struct sum {
    float *c;
    size_t ldc, m, n;
    const struct pl_term *terms;
    size_t n_terms;
    const float *bias;
    bool add;
    size_t width;  /* columns of a panel */
    float *packed; /* [PACKED], of a stage and group */
};

/* The next rows that no stage has had. */
struct cursor {
    size_t term, row;
};

bool pl_tiles_supported(void)
{
    return __builtin_cpu_supports("avx512f");
}

bool pl_tiles_half_supported(void)
{
    return pl_tiles_supported() && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16");
}

/* ---- a tile ------------------------------------------------------------------------------- */

/* sums [rows][vectors] of vectors, rows * vectors <= 24: they stay in registers. */
PL_INLINE AVX512 void begin(__m512 sums[][4], const struct tile *t, size_t rows, size_t vectors)
{
    UNROLL
    for (size_t v = 0; v < vectors; v++) {
        const __mmask16 mask = v + 1 < vectors ? (__mmask16)0xffff : t->last;
        const __m512 bias =
            t->bias ? _mm512_maskz_loadu_ps(mask, t->bias + LANES * v) : _mm512_setzero_ps();

        UNROLL
        for (size_t i = 0; i < rows; i++)
            sums[i][v] = bias;
    }
}

PL_INLINE AVX512 void end(__m512 sums[][4], const struct tile *t, size_t rows, size_t vectors)
{
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            const __mmask16 mask = v + 1 < vectors ? (__mmask16)0xffff : t->last;
            float *to = t->c + i * t->ldc + LANES * v;

            if (t->add)
                sums[i][v] = _mm512_add_ps(sums[i][v], _mm512_maskz_loadu_ps(mask, to));
            _mm512_mask_storeu_ps(to, mask, sums[i][v]);
        }
    }
}

PL_INLINE AVX512 void multiply(__m512 sums[][4], const struct segment *s, __mmask16 last,
                               size_t rows, size_t vectors)
{
    const float *left = s->left, *right = s->right;

    for (size_t p = 0; p < s->depth; p++, left += s->left_step, right += s->right_step) {
        __m512 b[4];

        UNROLL
        for (size_t v = 0; v < vectors; v++)
            b[v] = v + 1 < vectors ? _mm512_loadu_ps(right + LANES * v)
                                   : _mm512_maskz_loadu_ps(last, right + LANES * v);
        UNROLL
        for (size_t i = 0; i < rows; i++) {
            const __m512 a = _mm512_set1_ps(left[i * s->left_row]);

            UNROLL
            for (size_t v = 0; v < vectors; v++)
                sums[i][v] = _mm512_fmadd_ps(a, b[v], sums[i][v]);
        }
    }
}

/* A float of either factor is a pair of bfloat16 numbers. */
PL_INLINE AVX512_BF16 void multiply_half(__m512 sums[][4], const struct segment *s, size_t rows,
                                         size_t vectors)
{
    const float *left = s->left, *right = s->right;

    for (size_t p = 0; p < s->depth; p++, left += s->left_step, right += s->right_step) {
        __m512bh b[4];

        UNROLL
        for (size_t v = 0; v < vectors; v++)
            b[v] = (__m512bh)_mm512_load_ps(right + LANES * v);
        UNROLL
        for (size_t i = 0; i < rows; i++) {
            const __m512bh a = (__m512bh)_mm512_set1_ps(left[i * s->left_row]);

            UNROLL
            for (size_t v = 0; v < vectors; v++)
                sums[i][v] = _mm512_dpbf16_ps(sums[i][v], a, b[v]);
        }
    }
}

/* Every shape of tile, as functions with constant bounds. */
/* clang-format off */
#define SHAPES(X) \
    X(1, 1) X(2, 1) X(3, 1) X(4, 1) X(5, 1) X(6, 1) X(7, 1) X(8, 1) X(9, 1) X(10, 1) X(11, 1) \
    X(12, 1) \
    X(1, 2) X(2, 2) X(3, 2) X(4, 2) X(5, 2) X(6, 2) X(7, 2) X(8, 2) X(9, 2) X(10, 2) X(11, 2) \
    X(12, 2) \
    X(1, 3) X(2, 3) X(3, 3) X(4, 3) X(5, 3) X(6, 3) X(7, 3) X(8, 3) \
    X(1, 4) X(2, 4) X(3, 4) X(4, 4) X(5, 4) X(6, 4)
/* clang-format on */

static const size_t tallest[] = {0, 12, 12, 8, 6}; /* by vectors */

#define TILE(rows, vectors)                                                                        \
    static AVX512 void tile_##rows##x##vectors(const struct tile *t)                               \
    {                                                                                              \
        __m512 sums[rows][4];                                                                      \
                                                                                                   \
        begin(sums, t, rows, vectors);                                                             \
        for (size_t k = 0; k < t->n_segments; k++)                                                 \
            multiply(sums, &t->segments[k], t->last, rows, vectors);                               \
        end(sums, t, rows, vectors);                                                               \
    }
#define HALF_TILE(rows, vectors)                                                                   \
    static AVX512_BF16 void half_tile_##rows##x##vectors(const struct tile *t)                     \
    {                                                                                              \
        __m512 sums[rows][4];                                                                      \
                                                                                                   \
        begin(sums, t, rows, vectors);                                                             \
        for (size_t k = 0; k < t->n_segments; k++)                                                 \
            if (t->segments[k].term->b_half)                                                       \
                multiply_half(sums, &t->segments[k], rows, vectors);                               \
            else                                                                                   \
                multiply(sums, &t->segments[k], t->last, rows, vectors);                           \
        end(sums, t, rows, vectors);                                                               \
    }
#define TILE_ROW(rows, vectors)      [vectors][rows] = tile_##rows##x##vectors,
#define HALF_TILE_ROW(rows, vectors) [vectors][rows] = half_tile_##rows##x##vectors,

SHAPES(TILE)
SHAPES(HALF_TILE)

typedef void tile_function(const struct tile *t);

static tile_function *const tiles[5][MAX_ROWS + 1] = {SHAPES(TILE_ROW)};
static tile_function *const half_tiles[5][MAX_ROWS + 1] = {SHAPES(HALF_TILE_ROW)};

/* ---- packing ------------------------------------------------------------------------------ */

AVX512 static __mmask16 first_lanes(size_t n)
{
    return (__mmask16)((1u << (n < LANES ? n : LANES)) - 1);
}

/* to [16][step] = the transpose of `columns` rows of `depth` dwords; what is missing is zero. */
AVX512 static void transpose(float *to, size_t step, const float *from, size_t ld, size_t columns,
                             size_t depth, float factor)
{
    const __mmask16 mask = first_lanes(depth);
    __m512 r[16], t[16];
    const __m512 f = _mm512_set1_ps(factor);

    for (size_t i = 0; i < LANES; i++)
        r[i] = i < columns ? _mm512_maskz_loadu_ps(mask, from + i * ld) : _mm512_setzero_ps();
    for (size_t i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (size_t i = 0; i < 4; i++) {
        const __m512d a = (__m512d)t[4 * i], b = (__m512d)t[4 * i + 1], c = (__m512d)t[4 * i + 2],
                      d = (__m512d)t[4 * i + 3];

        r[4 * i] = (__m512)_mm512_unpacklo_pd(a, c);
        r[4 * i + 1] = (__m512)_mm512_unpackhi_pd(a, c);
        r[4 * i + 2] = (__m512)_mm512_unpacklo_pd(b, d);
        r[4 * i + 3] = (__m512)_mm512_unpackhi_pd(b, d);
    }
    for (size_t i = 0; i < 4; i++) {
        const __m512 a = _mm512_shuffle_f32x4(r[i], r[4 + i], 0x88),
                     b = _mm512_shuffle_f32x4(r[i], r[4 + i], 0xdd),
                     c = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0x88),
                     d = _mm512_shuffle_f32x4(r[8 + i], r[12 + i], 0xdd);

        t[i] = _mm512_shuffle_f32x4(a, c, 0x88);
        t[4 + i] = _mm512_shuffle_f32x4(b, d, 0x88);
        t[8 + i] = _mm512_shuffle_f32x4(a, c, 0xdd);
        t[12 + i] = _mm512_shuffle_f32x4(b, d, 0xdd);
    }
    /* dwords that are pairs of bfloat16 numbers must not be computed with */
    for (size_t i = 0; i < LANES; i++)
        _mm512_store_ps(to + i * step, factor == 1 ? t[i] : _mm512_mul_ps(t[i], f));
}

/* Row p of column j, a multiple of LANES, of a segment's panels. */
PL_INLINE float *place(float *to, const struct segment *s, size_t p, size_t j)
{
    const size_t inside = j & (s->width - 1);

    return to + (j - inside) / s->width * s->panel_size + p * s->width + inside;
}

/* Rows of dwords, one for each of `columns`: the panels are their transpose. */
static void pack_columns(float *to, const struct segment *s, const float *from, size_t ld,
                         size_t columns, float factor)
{
    for (size_t j = 0; j < columns; j += LANES)
        for (size_t p = 0; p < s->depth; p += LANES)
            transpose(place(to, s, p, j), s->width, from + j * ld + p, ld, columns - j,
                      s->depth - p, factor);
}

/* Rows of at most `width` numbers: one panel. */
AVX512 static void pack_panel(float *to, const struct segment *s, const float *from, size_t ld,
                              size_t columns, float factor)
{
    const __m512 f = _mm512_set1_ps(factor);

    for (size_t p = 0; p < s->depth; p++, from += ld, to += s->width) {
        for (size_t j = 0; j < columns; j += LANES) {
            const __m512 x = _mm512_maskz_loadu_ps(first_lanes(columns - j), from + j);

            _mm_prefetch((const char *)(from + AHEAD * ld + j), _MM_HINT_T0);
            _mm512_store_ps(to + j, _mm512_mul_ps(f, x));
        }
    }
}

/* Rows of `columns` numbers. */
static void pack_rows(float *to, const struct segment *s, const float *from, size_t ld,
                      size_t columns, float factor)
{
    for (size_t j = 0; j < columns; j += s->width, to += s->panel_size)
        pack_panel(to, s, from + j, ld, columns - j < s->width ? columns - j : s->width, factor);
}

/* Twice as many rows of `columns` bfloat16 numbers: neighbours in a column become pairs. */
AVX512_BF16 static void pack_half_rows(float *to, const struct segment *s, const uint16_t *from,
                                       size_t ld, size_t columns)
{
    for (size_t p = 0; p < s->depth; p++, from += 2 * ld) {
        for (size_t j = 0; j < columns; j += LANES) {
            const __mmask16 mask = first_lanes(columns - j);
            const __m256i one = _mm256_maskz_loadu_epi16(mask, from + j),
                          other = _mm256_maskz_loadu_epi16(mask, from + ld + j);

            _mm_prefetch((const char *)(from + AHEAD * ld + j), _MM_HINT_T0);
            _mm_prefetch((const char *)(from + (AHEAD + 1) * ld + j), _MM_HINT_T0);
            _mm512_store_si512(place(to, s, p, j),
                               _mm512_or_si512(_mm512_cvtepu16_epi32(one),
                                               _mm512_slli_epi32(_mm512_cvtepu16_epi32(other),
                                                                 16)));
        }
    }
}

static void pack(float *to, const struct segment *s, size_t column, size_t columns)
{
    const struct pl_matrix *b = &s->term->b;
    const uint16_t *half = s->term->b_half;
    const float factor = (float)s->term->alpha;

    if (half && b->transposed)
        pack_columns(to, s, (const float *)(const void *)(half + column * b->ld) + s->from,
                     b->ld / 2, columns, 1);
    else if (half)
        pack_half_rows(to, s, half + 2 * s->from * b->ld + column, b->ld, columns);
    else if (b->transposed)
        pack_columns(to, s, b->data + column * b->ld + s->from, b->ld, columns, factor);
    else
        pack_rows(to, s, b->data + s->from * b->ld + column, b->ld, columns, factor);
}

/* ---- stages ------------------------------------------------------------------------------- */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t whole_lanes(size_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}

static size_t rows_of(const struct pl_term *term)
{
    return term->b_half ? term->k / 2 : term->k;
}

/* A right factor that few rows of c pass over is used where it lies. */
static bool in_place(const struct sum *s, const struct pl_term *term)
{
    return s->m <= MAX_ROWS && !term->b_half && !term->b.transposed && term->alpha == 1;
}

/* The next `depth` rows of all terms, packed for columns column .. column + columns - 1. */
static size_t cut(const struct sum *s, struct cursor *at, struct segment *out, size_t column,
                  size_t columns, size_t depth)
{
    float *room = s->packed;
    size_t n = 0;

    for (; depth && at->term < s->n_terms; at->term++, at->row = 0) {
        const struct pl_term *term = &s->terms[at->term];
        struct segment *one = &out[n++];

        *one = (struct segment){.term = term, .from = at->row};
        one->depth = smaller(depth, rows_of(term) - at->row);
        depth -= one->depth;
        at->row += one->depth;
        one->width = s->width;
        one->panel_size = whole_lanes(one->depth) * s->width + LANES; /* no power of two apart */
        one->panels = in_place(s, term) ? NULL : room;
        if (one->panels)
            pack(room, one, column, columns);
        room += (columns + s->width - 1) / s->width * one->panel_size;
        if (at->row < rows_of(term))
            break;
    }
    return n;
}

/* The segments' factors for rows i .. and columns column + j .. */
static void aim(const struct sum *s, struct segment *segments, size_t n, size_t i, size_t column,
                size_t j)
{
    for (size_t k = 0; k < n; k++) {
        struct segment *one = &segments[k];
        const struct pl_matrix *a = &one->term->a, *b = &one->term->b;

        one->left_row = a->transposed ? 1 : a->ld;
        one->left_step = a->transposed ? a->ld : 1;
        one->left = a->data;
        if (one->term->a_half) {
            one->left_row = a->transposed ? 1 : a->ld / 2;
            one->left = (const float *)(const void *)one->term->a_half;
        }
        one->left += i * one->left_row + one->from * one->left_step;
        one->right_step = one->panels ? s->width : b->ld;
        one->right = one->panels ? one->panels + j / s->width * one->panel_size
                                 : b->data + one->from * b->ld + column + j;
    }
}

/* One stage of one group: all rows of c. */
static void pass(const struct sum *s, struct segment *segments, size_t n_segments, size_t column,
                 size_t columns, bool first)
{
    const size_t widest = (smaller(columns, s->width) + LANES - 1) / LANES;
    const size_t n_tiles = (s->m + tallest[widest] - 1) / tallest[widest];
    const bool half = n_segments && segments[0].term->b_half;

    for (size_t k = 0, i = 0; k < n_tiles; k++) {
        const size_t rows = s->m / n_tiles + (k < s->m % n_tiles);

        for (size_t j = 0; j < columns; j += s->width) {
            const size_t left = smaller(columns - j, s->width);
            const size_t vectors = (left + LANES - 1) / LANES;
            const struct tile tile = {
                .segments = segments,
                .n_segments = n_segments,
                .c = s->c + i * s->ldc + column + j,
                .ldc = s->ldc,
                .last = first_lanes(left - LANES * (vectors - 1)),
                .bias = first && s->bias ? s->bias + column + j : NULL,
                .add = s->add || !first,
            };

            aim(s, segments, n_segments, i, column, j);
            (half ? half_tiles : tiles)[vectors][rows](&tile);
        }
        i += rows;
    }
}

void pl_tiles_products(pl_real *c, size_t ldc, size_t m, size_t n, const struct pl_term *terms,
                       size_t n_terms, const pl_real *bias, bool add)
{
    /* on the stack: of thread-local memory, threads that never multiply would have as much */
    float packed[PACKED] __attribute__((aligned(64)));
    const size_t width = m > tallest[WIDE / LANES] && m <= MAX_ROWS ? NARROW : WIDE;
    const struct sum s = {c, ldc, m, n, terms, n_terms, bias, add, width, packed};
    size_t total = 0, n_stages, depth;

    assert(n_terms <= MAX_TERMS);
    for (size_t k = 0; k < n_terms; k++) {
        assert(!terms[k].b_half || (k == 0 && terms[k].a_half && terms[k].k % 2 == 0 &&
                                    (terms[k].a.transposed || terms[k].a.ld % 2 == 0) &&
                                    terms[k].b.ld % 2 == 0 && terms[k].alpha == 1));
        total += rows_of(&terms[k]);
    }
    n_stages = total ? (total + DEPTH - 1) / DEPTH : 1;
    depth = whole_lanes((total + n_stages - 1) / n_stages);
    for (size_t column = 0; column < n; column += GROUP) {
        const size_t columns = smaller(GROUP, n - column);
        struct cursor at = {0, 0};

        for (size_t stage = 0; stage < n_stages; stage++) {
            struct segment segments[MAX_TERMS];
            const size_t n_segments = cut(&s, &at, segments, column, columns, depth);

            pass(&s, segments, n_segments, column, columns, stage == 0);
        }
    }
}

#else

bool pl_tiles_supported(void)
{
    return false;
}

bool pl_tiles_half_supported(void)
{
    return false;
}

void pl_tiles_products(pl_real *c, size_t ldc, size_t m, size_t n, const struct pl_term *terms,
                       size_t n_terms, const pl_real *bias, bool add)
{
    (void)c, (void)ldc, (void)m, (void)n, (void)terms, (void)n_terms, (void)bias, (void)add;
}

#endif
