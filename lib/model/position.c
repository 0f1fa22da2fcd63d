/* position.c - see position.h. */
#include "model/position.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

static long maximum(const struct pl_config *config)
{
    return config->max_relative_positions < 1 ? (long)config->max_position_embeddings
                                              : config->max_relative_positions;
}

/* In float, step by step as the published code does: a bucket's border must not move. */
long pl_position_bucket(long distance, long buckets, long max_position)
{
    const long mid = buckets / 2, size = labs(distance);
    float ratio, place;

    if (buckets < 2 || size <= mid)
        return distance;
    ratio = logf((float)size / (float)mid);
    place =
        ceilf(ratio / logf((float)((double)(max_position - 1) / (double)mid)) * (float)(mid - 1)) +
        (float)mid;
    /* The row is clamped to the span anyway; this keeps the conversion defined. */
    if (!(place < (float)buckets))
        place = (float)buckets;
    if (place < -(float)buckets)
        place = -(float)buckets;
    return distance < 0 ? -(long)place : (long)place;
}

size_t pl_position_span(const struct pl_config *config)
{
    if (!config->relative_attention || !(config->pos_c2p || config->pos_p2c))
        return 0;
    return (size_t)(config->position_buckets > 0 ? config->position_buckets : maximum(config));
}

static int32_t row_of(const struct pl_config *config, long span, long distance)
{
    long row = pl_position_bucket(distance, config->position_buckets, maximum(config)) + span;

    if (row < 0)
        row = 0;
    if (row > 2 * span - 1)
        row = 2 * span - 1;
    return (int32_t)row;
}

static void fill(struct pl_positions *p, const struct pl_config *config)
{
    const size_t longest = p->max_length;
    size_t low = p->span, high = low;

    for (size_t t = 0; t < 2 * longest - 1; t++)
        p->rows[t] = row_of(config, (long)p->span, (long)longest - 1 - (long)t);
    p->first[0] = p->span;
    p->n[0] = 0;
    for (size_t n = 1; n <= longest; n++) {
        const size_t one = (size_t)p->rows[longest - n], other = (size_t)p->rows[longest + n - 2];

        low = one < low ? one : low;
        low = other < low ? other : low;
        high = one > high ? one : high;
        high = other > high ? other : high;
        p->first[n] = low;
        p->n[n] = high - low + 1;
    }
}

enum prilora_status pl_positions_new(struct pl_positions *out, const struct pl_config *config,
                                     size_t max_length, struct prilora_error *err)
{
    *out = (struct pl_positions){.span = pl_position_span(config), .max_length = max_length};
    if (!out->span)
        return PRILORA_OK;
    out->rows = pl_calloc(2 * max_length, sizeof *out->rows);
    out->first = pl_calloc(max_length + 1, sizeof *out->first);
    out->n = pl_calloc(max_length + 1, sizeof *out->n);
    if (!out->rows || !out->first || !out->n) {
        pl_positions_free(out);
        return pl_fail(err, PRILORA_ENOMEM, "no memory for the distances in %zu tokens",
                       max_length);
    }
    fill(out, config);
    return PRILORA_OK;
}

void pl_positions_free(struct pl_positions *positions)
{
    free(positions->rows);
    free(positions->first);
    free(positions->n);
    *positions = (struct pl_positions){0};
}
