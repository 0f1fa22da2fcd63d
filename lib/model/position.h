/*
 * position.h - DeBERTa's relative positions: which row of the table stands for which distance.
 *
 *     row(i, j) = clamp(bucket(i - j) + span, 0, 2 span - 1)
 *
 * bucket is the distance itself up to half the buckets, then logarithmic, and odd in the distance.
 * The rows that a sequence of n tokens can reach are therefore contiguous.
 *
 * Source   He et al. 2021, arXiv:2006.03654, section 3.1; the logarithmic buckets are those of the
 *          published code, computed in float as there
 */
#ifndef PL_POSITION_H
#define PL_POSITION_H

#include <stdint.h>

#include "io/config.h"

struct pl_positions {
    size_t span;       /* the table has 2 span rows; 0: no relative positions are used */
    size_t max_length; /* what the arrays are made for */
    int32_t *rows;     /* [2 max_length - 1]: row of distance max_length - 1 - t */
    size_t *first, *n; /* [max_length + 1]: the rows that a sequence of that length reaches */
};

/* Bucket of a distance; buckets < 2: the distance. */
long pl_position_bucket(long distance, long buckets, long max_position);

/* Half the rows of the table that the configuration asks for; 0 if nothing uses one. */
size_t pl_position_span(const struct pl_config *config);

enum prilora_status pl_positions_new(struct pl_positions *out, const struct pl_config *config,
                                     size_t max_length, struct prilora_error *err);
void pl_positions_free(struct pl_positions *positions);

/* For a sequence of n tokens: row of distance i - j is pl_position_row(...)[j]. */
static inline const int32_t *pl_position_row(const struct pl_positions *positions, size_t n,
                                             size_t i)
{
    return positions->rows + (positions->max_length - n) + (n - 1 - i);
}

#endif
