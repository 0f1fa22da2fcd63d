/*
 * ranks.c - the rank of every layer. Integer arithmetic throughout: the same table everywhere.
 */
#include "adapter/ranks.h"

#include <stdio.h>

const char *pl_spec_where(char *out, const struct prilora_spec *spec, const char *setting)
{
    static const char *const methods[] = {
        [PRILORA_METHOD_PRILORA] = "prilora",
        [PRILORA_METHOD_LORA] = "lora",
        [PRILORA_METHOD_HEAD] = "head",
    };

    snprintf(out, PL_WHERE_SIZE, "/method/%s/hyperparameters/%s", methods[spec->method], setting);
    return out;
}

/*
 * round(first + (last - first) * l / (L - 1)) for l = 0 .. L - 1, halves away from zero; one layer
 * takes the mean. Ranks are positive, so away from zero is up.
 */
static size_t on_line(size_t first, size_t last, size_t l, size_t n_layers)
{
    size_t n = n_layers - 1;

    if (n == 0)
        return (first + last + 1) / 2;
    return (2 * (first * (n - l) + last * l) + n) / (2 * n);
}

enum prilora_status prilora_spec_ranks(const struct prilora_spec *spec, size_t n_layers,
                                       size_t *ranks, struct prilora_error *err)
{
    size_t first = (size_t)spec->rank_start, last = (size_t)spec->rank_end;
    char where[PL_WHERE_SIZE];

    if (spec->rank_schedule == PRILORA_RANK_LIST && spec->n_ranks != n_layers)
        return pl_fail_at(err, PRILORA_EINVAL, pl_spec_where(where, spec, "ranks"),
                          "ranks: %zu given, but the model has %zu layers", spec->n_ranks,
                          n_layers);
    /* "decreasing" says which way, in whatever order the two ends were given */
    if (spec->rank_schedule == PRILORA_RANK_DECREASING && first < last) {
        first = (size_t)spec->rank_end;
        last = (size_t)spec->rank_start;
    }
    for (size_t l = 0; l < n_layers; l++)
        ranks[l] = spec->rank_schedule == PRILORA_RANK_LIST ? (size_t)spec->ranks[l]
                                                            : on_line(first, last, l, n_layers);
    return PRILORA_OK;
}
