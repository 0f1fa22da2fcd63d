/*
 * attention.h - multi-head attention over packed sequences, with DeBERTa's relative positions.
 *
 *     S[i,j] = (q_i . k_j + q_i . pk[row(i,j)] + k_j . pq[row(i,j)]) * scale
 *     P = softmax of each row of S          context_i = sum_j drop(P)[i,j] v_j
 *
 * for each sequence and head; pk and pq are the layer's projected table, each NULL where the model
 * lacks that term.
 *
 * Shapes   query, key, value, context and their gradients [n, hidden], heads side by side in a
 *          row; probabilities: per sequence of n tokens heads x [n, n], one after the other
 * Memory   none allocated, nothing may overlap
 * Source   He et al. 2021, arXiv:2006.03654, section 3.1
 */
#ifndef PL_ATTENTION_H
#define PL_ATTENTION_H

#include "math/dropout.h"
#include "model/flow.h"

struct pl_attention {
    size_t hidden, heads;
    double scale;
    const struct pl_positions *positions;
    const struct pl_table *table;         /* rows for sequences at least as long as those here */
    struct pl_dropout dropout;            /* of the probabilities */
    const struct pl_attention_half *half; /* to multiply in bfloat16; or NULL */
    struct pl_attention_scratch scratch;
};

/* Elements of attention dropout, for a sequence of n tokens that begins with token t of the batch:
 * (t * heads + head) * this + i * n + j. */
#define PL_ATTENTION_STRIDE ((uint64_t)1 << 26)

/* With `keep` false, `probabilities` has room for one head of the longest sequence only. */
void pl_attention_forward(const struct pl_attention *attention, const struct pl_rows *rows,
                          pl_real *context, pl_real *probabilities, bool keep, const pl_real *query,
                          const pl_real *key, const pl_real *value);

/* Gradients that are wanted; NULL: not. Those of the table are added to, at its rows. */
struct pl_attention_gradients {
    pl_real *query, *key, *value;
    pl_real *table_key, *table_query; /* [rows of the longest sequence, hidden] */
    size_t table_first;               /* the row of the table that they begin with */
};

void pl_attention_backward(const struct pl_attention *attention, const struct pl_rows *rows,
                           const struct pl_attention_gradients *to, const pl_real *dcontext,
                           const pl_real *probabilities, const pl_real *query, const pl_real *key,
                           const pl_real *value);

#endif
