/* merges.c - see merges.h. Where the merges come from is bpe.c's. */
#include "tok/merges.h"

#include <stdlib.h>

#include "base/memory.h"
#include "tok/vocab.h"

#define GONE (-1) /* a symbol that was joined to the one before it */

bool pl_merges_open(struct pl_merges *merges, size_t most)
{
    size_t n = 16;
    uint64_t unused;

    while (n < 2 * most)
        n *= 2;
    *merges = (struct pl_merges){.places = pl_alloc(n, sizeof *merges->places), .mask = n - 1};
    if (!merges->places)
        return false;
    pl_vocab_key(&unused, &merges->factor);
    for (size_t i = 0; i < n; i++)
        merges->places[i].left = -1;
    return true;
}

void pl_merges_close(struct pl_merges *merges)
{
    free(merges->places);
    *merges = (struct pl_merges){0};
}

static struct pl_merge *place_of(const struct pl_merges *m, int32_t left, int32_t right)
{
    uint64_t hash = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * m->factor;

    hash = (hash ^ hash >> 32) * m->factor;
    for (size_t i = (hash ^ hash >> 29) & m->mask;; i = (i + 1) & m->mask) {
        struct pl_merge *p = &m->places[i];

        if (p->left < 0 || (p->left == left && p->right == right))
            return p;
    }
}

void pl_merges_add(struct pl_merges *merges, struct pl_merge merge)
{
    struct pl_merge *place = place_of(merges, merge.left, merge.right);

    merges->n += place->left < 0;
    *place = merge;
}

const struct pl_merge *pl_merges_find(const struct pl_merges *merges, int32_t left, int32_t right)
{
    const struct pl_merge *place = left < 0 ? NULL : place_of(merges, left, right);

    return place && place->left >= 0 ? place : NULL;
}

/* ---- joining -------------------------------------------------------------------------------- */

void pl_joiner_free(struct pl_joiner *joiner)
{
    free(joiner->next);
    free(joiner->previous);
    free(joiner->heap);
    *joiner = (struct pl_joiner){0};
}

static bool make_room(struct pl_joiner *j, size_t n)
{
    size_t room = n + n / 2 + 64;

    if (n <= j->room)
        return true;
    pl_joiner_free(j);
    j->next = pl_alloc(room, sizeof *j->next);
    j->previous = pl_alloc(room, sizeof *j->previous);
    /* n - 1 pairs at first, and at most two more for each of n - 1 joins, each taking one away */
    j->heap = pl_alloc(room, 2 * sizeof *j->heap);
    j->room = j->next && j->previous && j->heap ? room : 0;
    return j->room != 0;
}

static void push(struct pl_joiner *j, uint64_t entry)
{
    size_t i = j->n_heap++;

    for (; i > 0 && j->heap[(i - 1) / 2] > entry; i = (i - 1) / 2)
        j->heap[i] = j->heap[(i - 1) / 2];
    j->heap[i] = entry;
}

static uint64_t pop(struct pl_joiner *j)
{
    const uint64_t top = j->heap[0], last = j->heap[--j->n_heap];
    size_t i = 0, child;

    for (; (child = 2 * i + 1) < j->n_heap; i = child) {
        if (child + 1 < j->n_heap && j->heap[child + 1] < j->heap[child])
            child++;
        if (j->heap[child] >= last)
            break;
        j->heap[i] = j->heap[child];
    }
    j->heap[i] = last;
    return top;
}

static const struct pl_merge *merge_at(const struct pl_merges *m, const struct pl_joiner *j,
                                       const int32_t *ids, int32_t at)
{
    return at < 0 || j->next[at] < 0 ? NULL : pl_merges_find(m, ids[at], ids[j->next[at]]);
}

static void consider(const struct pl_merges *m, struct pl_joiner *j, const int32_t *ids, int32_t at)
{
    const struct pl_merge *merge = merge_at(m, j, ids, at);

    if (merge)
        push(j, (uint64_t)merge->rank << 32 | (uint32_t)at);
}

static void join(const struct pl_merges *m, struct pl_joiner *j, int32_t *ids, int32_t at,
                 int32_t joined)
{
    const int32_t eaten = j->next[at];

    ids[at] = joined;
    ids[eaten] = GONE;
    j->next[at] = j->next[eaten];
    j->next[eaten] = -1;
    if (j->next[at] >= 0)
        j->previous[j->next[at]] = at;
    consider(m, j, ids, j->previous[at]);
    consider(m, j, ids, at);
}

static void join_all(const struct pl_merges *m, struct pl_joiner *j, int32_t *ids, size_t n)
{
    j->n_heap = 0;
    for (size_t i = 0; i < n; i++) {
        j->next[i] = i + 1 < n ? (int32_t)(i + 1) : -1;
        j->previous[i] = (int32_t)i - 1;
    }
    for (size_t i = 0; i + 1 < n; i++)
        consider(m, j, ids, (int32_t)i);
    while (j->n_heap) {
        const uint64_t top = pop(j);
        const int32_t at = (int32_t)(top & UINT32_MAX);
        const struct pl_merge *merge = merge_at(m, j, ids, at);

        /* a neighbour may have been joined since: then this entry is of a pair that is gone */
        if (merge && merge->rank == top >> 32)
            join(m, j, ids, at, merge->joined);
    }
}

/* The list of neighbours begins with 0, for what is joined is where its left part was. */
static void tell_spans(struct pl_span *spans, const struct pl_joiner *j, size_t n)
{
    size_t kept = 0;

    for (int32_t at = 0, next; at >= 0; at = next) {
        next = j->next[at];
        spans[kept++] = (struct pl_span){(uint32_t)at, next < 0 ? (uint32_t)n : (uint32_t)next};
    }
}

size_t pl_merges_apply(const struct pl_merges *merges, struct pl_joiner *joiner, int32_t *ids,
                       size_t n, struct pl_span *spans)
{
    size_t kept = 0;

    if (n < 2) {
        if (spans && n)
            spans[0] = (struct pl_span){0, 1};
        return n;
    }
    if (n > INT32_MAX / 2 || !make_room(joiner, n))
        return SIZE_MAX;
    join_all(merges, joiner, ids, n);
    if (spans)
        tell_spans(spans, joiner, n);
    for (int32_t at = 0; at >= 0; at = joiner->next[at])
        ids[kept++] = ids[at];
    return kept;
}
