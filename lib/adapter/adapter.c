/* adapter.c - see adapter.h. */
#include "adapter/adapter.h"

#include <stdio.h>
#include <stdlib.h>

#include "adapter/ranks.h"
#include "adapter/targets.h"
#include "base/memory.h"

#define MAX_NAME 256

/* Gives every site that is a target the rank of its layer. */
static enum prilora_status choose(struct pl_adapter *adapter, const struct pl_map_site *sites,
                                  const size_t *ranks, const struct prilora_spec *spec,
                                  struct prilora_error *err)
{
    struct pl_targets targets;
    enum prilora_status rc;
    char where[PL_WHERE_SIZE];
    bool matches;

    if (spec->method == PRILORA_METHOD_HEAD)
        return PRILORA_OK; /* no map is adapted */
    rc = pl_targets_new(&targets, spec, err);
    for (size_t i = 0; rc == PRILORA_OK && i < adapter->n_maps; i++) {
        rc = pl_targets_match(&targets, sites[i].path, sites[i].kind, &matches, err);
        if (rc != PRILORA_OK || !matches)
            continue;
        adapter->maps[i].rank = ranks[sites[i].layer];
        adapter->n_adapted++;
    }
    if (rc == PRILORA_OK && !adapter->n_adapted)
        rc =
            pl_fail_at(err, PRILORA_EINVAL, pl_spec_where(where, spec, "target_modules"),
                       "target_modules: \"%.200s\"%s matches none of the model's linear maps, such "
                       "as \"%s\"",
                       spec->n_targets ? spec->targets[0] : "all-linear",
                       spec->n_targets > 1 ? " and the rest" : "",
                       adapter->n_maps ? sites[0].path : "(none)");
    pl_targets_free(&targets);
    return rc;
}

/* PEFT multiplies by alpha / rank: a common scale s is written as alpha = s * rank. */
static void set_scales(struct pl_adapter *adapter, const struct prilora_spec *spec)
{
    size_t sum = 0;

    for (size_t i = 0; i < adapter->n_maps; i++)
        sum += adapter->maps[i].rank;
    for (size_t i = 0; i < adapter->n_maps; i++) {
        struct pl_lora *map = &adapter->maps[i];
        double mean;

        if (!map->rank)
            continue;
        mean = (double)sum / (double)adapter->n_adapted;
        map->alpha = spec->lora_alpha;
        if (spec->scaling == PRILORA_SCALING_COMMON)
            map->alpha = spec->lora_alpha / mean * (double)map->rank;
        map->scale = map->alpha / (double)map->rank;
    }
}

static enum prilora_status add_matrix(struct pl_layout *layout, const struct pl_map_site *site,
                                      enum pl_param_kind kind, size_t rows, size_t cols, size_t map,
                                      size_t *offset, size_t *index, struct prilora_error *err)
{
    char name[MAX_NAME];
    struct pl_param param = {.name = name, .kind = kind, .n_dims = 2, .rows = rows, .cols = cols};
    enum prilora_status rc;

    param.map = map;
    param.decay = true;
    snprintf(name, sizeof name, "%s.lora_%s", site->path, kind == PL_PARAM_LORA_A ? "A" : "B");
    rc = pl_layout_add(layout, &param, index, err);
    if (rc == PRILORA_OK)
        *offset = layout->params[*index].offset;
    return rc;
}

static enum prilora_status place(struct pl_adapter *adapter, struct pl_layout *layout,
                                 const struct pl_map_site *sites, struct prilora_error *err)
{
    for (size_t i = 0; i < adapter->n_maps; i++) {
        struct pl_lora *map = &adapter->maps[i];
        const struct pl_map_site *site = &sites[i];
        enum prilora_status rc;

        if (!map->rank)
            continue;
        rc = add_matrix(layout, site, PL_PARAM_LORA_A, map->rank, site->in, i, &map->a,
                        &map->param_a, err);
        if (rc == PRILORA_OK)
            rc = add_matrix(layout, site, PL_PARAM_LORA_B, site->out, map->rank, i, &map->b,
                            &map->param_b, err);
        if (rc != PRILORA_OK)
            return rc;
        adapter->n_parameters += map->rank * (site->in + site->out);
    }
    return PRILORA_OK;
}

enum prilora_status pl_adapter_plan(struct pl_adapter *out, struct pl_layout *layout,
                                    const struct pl_map_site *sites, size_t n_sites,
                                    size_t n_layers, const struct prilora_spec *spec,
                                    struct prilora_error *err)
{
    size_t ranks[PRILORA_MAX_LAYERS];
    enum prilora_status rc;

    *out = (struct pl_adapter){.n_maps = n_sites};
    if (n_layers > PRILORA_MAX_LAYERS)
        return pl_fail(err, PRILORA_ELIMIT, "the model has %zu layers, but at most %d are adapted",
                       n_layers, PRILORA_MAX_LAYERS);
    out->maps = pl_calloc(n_sites, sizeof *out->maps);
    if (!out->maps)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for %zu adapted maps", n_sites);
    rc = prilora_spec_ranks(spec, n_layers, ranks, err);
    if (rc == PRILORA_OK)
        rc = choose(out, sites, ranks, spec, err);
    if (rc == PRILORA_OK) {
        set_scales(out, spec);
        rc = place(out, layout, sites, err);
    }
    if (rc != PRILORA_OK)
        pl_adapter_free(out);
    return rc;
}

void pl_adapter_free(struct pl_adapter *adapter)
{
    if (!adapter)
        return;
    free(adapter->maps);
    *adapter = (struct pl_adapter){0};
}
