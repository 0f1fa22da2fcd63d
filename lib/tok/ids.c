/* ids.c - a growing list of ids, with what stands beside them. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tok/kind.h"

void pl_ids_free(struct pl_ids *ids)
{
    free(ids->ids);
    free(ids->type_ids);
    free(ids->spans);
    *ids = (struct pl_ids){0};
}

/* Room for n more. What could be had stays; the capacity is what all of it has. */
static bool grow(struct pl_ids *out, size_t n)
{
    const size_t capacity = out->capacity + out->capacity / 2 + n + 64;
    int32_t *ids = pl_realloc(out->ids, capacity, sizeof *ids);
    uint8_t *types;

    if (!ids)
        return false;
    out->ids = ids;
    types = pl_realloc(out->type_ids, capacity, sizeof *types);
    if (!types)
        return false;
    out->type_ids = types;
    if (out->located || out->spans) {
        struct pl_span *spans = pl_realloc(out->spans, capacity, sizeof *spans);

        if (!spans)
            return false;
        out->spans = spans;
    }
    out->capacity = capacity;
    return true;
}

bool pl_ids_add(struct pl_ids *out, const int32_t *ids, size_t n, uint8_t type_id)
{
    if ((n > out->capacity - out->n || (out->located && !out->spans)) && !grow(out, n))
        return false;
    if (n) {
        memcpy(out->ids + out->n, ids, n * sizeof *ids);
        memset(out->type_ids + out->n, type_id, n);
        if (out->located)
            memset(out->spans + out->n, 0, n * sizeof *out->spans);
    }
    out->n += n;
    return true;
}
