/* shares.c - see shares.h. Nothing here allocates after pl_shares_new. */
#include "train/shares.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"

enum prilora_status pl_shares_new(struct pl_shares *out, size_t capacity, struct prilora_error *err)
{
    *out = (struct pl_shares){.capacity = capacity};
    out->shares = pl_calloc(capacity, sizeof *out->shares);
    out->sequences = pl_calloc(capacity, sizeof *out->sequences);
    out->owner = pl_calloc(capacity, sizeof *out->owner);
    out->order = pl_calloc(capacity, sizeof *out->order);
    out->load = pl_calloc(capacity, sizeof *out->load);
    out->tokens = pl_calloc(capacity, sizeof *out->tokens);
    if (out->shares && out->sequences && out->owner && out->order && out->load && out->tokens)
        return PRILORA_OK;
    pl_shares_free(out);
    return pl_fail(err, PRILORA_ENOMEM, "no memory to share out %zu sequences", capacity);
}

void pl_shares_free(struct pl_shares *shares)
{
    free(shares->shares);
    free(shares->sequences);
    free(shares->owner);
    free(shares->order);
    free(shares->load);
    free(shares->tokens);
    *shares = (struct pl_shares){0};
}

size_t pl_shares_bytes(size_t capacity)
{
    return capacity * (sizeof(struct pl_share) + 4 * sizeof(size_t) + sizeof(double));
}

static size_t length_of(const size_t *starts, size_t i)
{
    return starts[i + 1] - starts[i];
}

/* Shell's sort by falling cost, then rising number: no two compare equal, so it needs no stability,
 * and unlike qsort(3) it never allocates. */
static void sort_by_cost(size_t *order, const size_t *starts, const double *cost, size_t n)
{
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    for (size_t gap = n / 2; gap > 0; gap = gap > 2 ? gap * 5 / 11 : gap / 2) {
        for (size_t i = gap; i < n; i++) {
            size_t one = order[i], j = i;
            double c = cost[length_of(starts, one)];

            for (; j >= gap; j -= gap) {
                double before = cost[length_of(starts, order[j - gap])];

                if (before > c || (before == c && order[j - gap] < one))
                    break;
                order[j] = order[j - gap];
            }
            order[j] = one;
        }
    }
}

/* Deals into n_shares; false if some sequence finds no room. */
static bool deal(struct pl_shares *s, const size_t *starts, size_t n, const double *cost,
                 size_t budget, size_t n_shares)
{
    for (size_t k = 0; k < n_shares; k++) {
        s->load[k] = 0;
        s->tokens[k] = 0;
    }
    for (size_t i = 0; i < n; i++) {
        size_t one = s->order[i], length = length_of(starts, one), best = n_shares;

        for (size_t k = 0; k < n_shares; k++) {
            if (length <= budget - s->tokens[k] && (best == n_shares || s->load[k] < s->load[best]))
                best = k;
        }
        if (best == n_shares)
            return false;
        s->owner[one] = best;
        s->load[best] += cost[length];
        s->tokens[best] += length;
    }
    return true;
}

/* Lists every share's sequences, ascending, from s->owner and s->tokens. */
static void list(struct pl_shares *s, size_t n, size_t n_shares)
{
    size_t next = 0;

    s->n = n_shares;
    for (size_t k = 0; k < n_shares; k++)
        s->shares[k] = (struct pl_share){.n_tokens = s->tokens[k]};
    for (size_t i = 0; i < n; i++)
        s->shares[s->owner[i]].n_sequences++;
    for (size_t k = 0; k < n_shares; k++) {
        s->shares[k].sequences = s->sequences + next;
        s->order[k] = next;
        next += s->shares[k].n_sequences;
    }
    for (size_t i = 0; i < n; i++)
        s->sequences[s->order[s->owner[i]]++] = i;
}

void pl_shares_cut(struct pl_shares *shares, const size_t *starts, size_t n, const double *cost,
                   size_t budget)
{
    size_t least = (starts[n] - starts[0] + budget - 1) / budget;
    size_t n_shares = (least + PL_MIN_SHARES - 1) / PL_MIN_SHARES * PL_MIN_SHARES;

    assert(n > 0 && n <= shares->capacity);
    sort_by_cost(shares->order, starts, cost, n);
    /* with as many shares as sequences each has its own: the loop ends */
    while (n_shares < n && !deal(shares, starts, n, cost, budget, n_shares))
        n_shares += PL_MIN_SHARES;
    if (n_shares >= n)
        deal(shares, starts, n, cost, budget, n_shares = n);
    list(shares, n, n_shares);
}

void pl_shares_fill(struct pl_shares *shares, const size_t *starts, size_t n, size_t budget)
{
    size_t k = 0;

    assert(n > 0 && n <= shares->capacity);
    shares->tokens[0] = 0;
    for (size_t i = 0; i < n; i++) {
        size_t length = length_of(starts, i);

        if (shares->tokens[k] > 0 && length > budget - shares->tokens[k])
            shares->tokens[++k] = 0;
        shares->owner[i] = k;
        shares->tokens[k] += length;
    }
    list(shares, n, k + 1);
}
