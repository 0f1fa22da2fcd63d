/* targets.c - see targets.h. */
#include "adapter/targets.h"

#include <string.h>

#include "adapter/ranks.h"

enum prilora_status pl_targets_new(struct pl_targets *out, const struct prilora_spec *spec,
                                   struct prilora_error *err)
{
    char where[PL_WHERE_SIZE];

    *out = (struct pl_targets){.spec = spec};
    if (!spec->targets_are_pattern || !spec->n_targets)
        return PRILORA_OK;
    return pl_pattern_new(&out->pattern, spec->targets[0],
                          pl_spec_where(where, spec, "target_modules"), err);
}

void pl_targets_free(struct pl_targets *targets)
{
    pl_pattern_free(targets->pattern);
    targets->pattern = NULL;
}

static bool is_suffix(const char *path, const char *entry)
{
    size_t length = strlen(path), tail = strlen(entry);

    if (tail > length || strcmp(path + length - tail, entry) != 0)
        return false;
    return tail == length || path[length - tail - 1] == '.';
}

enum prilora_status pl_targets_match(const struct pl_targets *targets, const char *path,
                                     const char *kind, bool *matches, struct prilora_error *err)
{
    const struct prilora_spec *spec = targets->spec;

    if (targets->pattern)
        return pl_pattern_match(targets->pattern, path, matches, err);
    *matches = spec->n_targets == 0;
    for (size_t i = 0; !*matches && i < spec->n_targets; i++)
        *matches = is_suffix(path, spec->targets[i]) || strcmp(kind, spec->targets[i]) == 0;
    return PRILORA_OK;
}
