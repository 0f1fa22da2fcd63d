/* start.c - see start.h; the settings that follow from an adapter are in start_spec.c. */
#include "train/start.h"

#include <math.h>
#include <string.h>

#include "adapter/ranks.h"
#include "base/digest.h"
#include "train/spec.h"

#define SAME_SCALE 1e-9 /* relative: one that was written with nine digits is the same */

/* ---- maps ---- */

static enum prilora_status fail_target(const struct pl_map_site *site,
                                       const struct prilora_spec *spec, bool ours,
                                       struct prilora_error *err)
{
    char where[PL_WHERE_SIZE];

    return pl_fail_at(err, PRILORA_EMISMATCH, pl_spec_where(where, spec, "target_modules"),
                      "target_modules: %s is adapted by the %s, but not by the %s", site->path,
                      ours ? "settings" : "adapter that the run starts from",
                      ours ? "adapter that the run starts from" : "settings");
}

/* Of the settings that say the ranks, the one that says this layer's. */
static const char *rank_setting(const struct prilora_spec *spec, size_t layer)
{
    if (spec->rank_schedule == PRILORA_RANK_LIST)
        return "ranks";
    if (spec->rank_schedule == PRILORA_RANK_UNIFORM)
        return "r";
    return layer == 0 ? "rank_start" : "rank_end";
}

static enum prilora_status fail_rank(const struct pl_map_site *site,
                                     const struct prilora_spec *spec, size_t ours, size_t theirs,
                                     struct prilora_error *err)
{
    const char *name = rank_setting(spec, site->layer);
    char where[PL_WHERE_SIZE];

    return pl_fail_at(err, PRILORA_EMISMATCH, pl_spec_where(where, spec, name),
                      "%s: the settings give %s rank %zu, but the adapter that the run starts from "
                      "has %zu there",
                      name, site->path, ours, theirs);
}

static enum prilora_status fail_scale(const struct pl_map_site *site,
                                      const struct prilora_spec *spec, double ours, double theirs,
                                      struct prilora_error *err)
{
    const char *name = spec->scaling == PRILORA_SCALING_COMMON ? "scaling" : "lora_alpha";
    char where[PL_WHERE_SIZE];

    return pl_fail_at(
        err, PRILORA_EMISMATCH, pl_spec_where(where, spec, name),
        "lora_alpha, scaling: the settings give %s alpha %.9g, but the adapter that the run "
        "starts from has %.9g there",
        site->path, ours, theirs);
}

static enum prilora_status check_shape(const struct pl_import *in, const struct pl_map_site *site,
                                       const struct prilora_spec *spec, const struct pl_lora *map,
                                       struct prilora_error *err)
{
    size_t rank;
    double scale;
    enum prilora_status rc = pl_import_map(in, site, &rank, &scale, err);

    if (rc != PRILORA_OK || rank == map->rank)
        return rc;
    if (!rank != !map->rank)
        return fail_target(site, spec, map->rank != 0, err);
    return fail_rank(site, spec, map->rank, rank, err);
}

static enum prilora_status check_scale(const struct pl_import *in, const struct pl_map_site *site,
                                       const struct prilora_spec *spec, const struct pl_lora *map,
                                       struct prilora_error *err)
{
    size_t rank;
    double scale;
    enum prilora_status rc = pl_import_map(in, site, &rank, &scale, err);

    if (rc != PRILORA_OK || !rank || fabs(scale - map->scale) <= SAME_SCALE * fabs(map->scale))
        return rc;
    return fail_scale(site, spec, map->alpha, scale * (double)rank, err);
}

/* Ranks of the first layer, then from the last: there the settings are what they say. Scales may
 * follow from ranks, so they come after them. */
enum prilora_status pl_start_check(const struct pl_import *in, const struct pl_model *model,
                                   const struct prilora_spec *spec,
                                   const struct pl_adapter *adapter, struct prilora_error *err)
{
    const struct pl_map_site *sites = model->sites;
    const struct pl_lora *maps = adapter->maps;
    enum prilora_status rc = PRILORA_OK;

    if (in->is_head_only)
        return PRILORA_OK; /* adapters, if there are any, start afresh */
    if (spec->method == PRILORA_METHOD_HEAD)
        return pl_fail_at(err, PRILORA_EMISMATCH, "/method/type",
                          "type: \"head\" trains no adapters, but the adapter that the run starts "
                          "from has some");
    for (size_t i = 0; rc == PRILORA_OK && i < model->n_sites; i++) {
        if (sites[i].layer == 0)
            rc = check_shape(in, &sites[i], spec, &maps[i], err);
    }
    for (size_t i = model->n_sites; rc == PRILORA_OK && i > 0; i--)
        rc = check_shape(in, &sites[i - 1], spec, &maps[i - 1], err);
    for (size_t i = 0; rc == PRILORA_OK && i < model->n_sites; i++)
        rc = check_scale(in, &sites[i], spec, &maps[i], err);
    return rc;
}

/* ---- base and labels ---- */

enum prilora_status pl_start_check_base(const struct pl_labels_file *labels,
                                        const struct prilora_base *base, const char *folder,
                                        struct prilora_error *err)
{
    if (!labels->base[0] || strcmp(labels->base, base->fingerprint) == 0)
        return PRILORA_OK;
    return pl_fail(err, PRILORA_EMISMATCH,
                   "%s: the adapter was trained on another base (fingerprint %.12s, here %.12s)",
                   folder, labels->base, base->fingerprint);
}

/* A folder of PEFT's has no names: then the head's shape decides. */
static enum prilora_status check_labels(const struct pl_labels_file *labels,
                                        const struct prilora_dataset *train, const char *folder,
                                        struct prilora_error *err)
{
    if (labels->task == PRILORA_TASK_AUTO)
        return PRILORA_OK;
    if (labels->task != train->task)
        return pl_fail(err, PRILORA_EMISMATCH, "%s: the adapter's task is %s, the data's is %s",
                       folder, pl_task_word(labels->task), pl_task_word(train->task));
    if (labels->n != train->n_labels)
        return pl_fail(err, PRILORA_EMISMATCH, "%s: the adapter has %zu labels, the data %zu",
                       folder, labels->n, train->n_labels);
    for (size_t i = 0; i < labels->n; i++) {
        if (strcmp(labels->names[i], train->labels[i]) != 0)
            return pl_fail(err, PRILORA_EMISMATCH,
                           "%s: label %zu is \"%.80s\" to the adapter, \"%.80s\" to the data",
                           folder, i, labels->names[i], train->labels[i]);
    }
    return PRILORA_OK;
}

/* ---- values ---- */

static enum prilora_status fill(struct prilora_run *run, const struct pl_import *in,
                                struct prilora_error *err)
{
    const struct pl_engine *engine = run->engine;
    const struct pl_model *model = run->base->model;
    struct pl_digest digest;
    enum prilora_status rc = pl_start_check(in, model, run->spec, engine->adapter, err);

    if (rc == PRILORA_OK)
        rc = pl_import_fill(in, model, engine, run->params, run->spec->seed, err);
    if (rc != PRILORA_OK)
        return rc;
    pl_digest_init(&digest);
    pl_digest_add(&digest, run->params, engine->layout->size * sizeof *run->params);
    pl_digest_hex(&digest, run->start);
    return PRILORA_OK;
}

enum prilora_status pl_start_fill(struct prilora_run *run, const char *folder,
                                  struct prilora_error *err)
{
    struct pl_labels_file labels;
    struct pl_import in = {0};
    enum prilora_status rc = pl_labels_file_read(&labels, folder, err);

    if (rc == PRILORA_OK)
        rc = pl_start_check_base(&labels, run->base, folder, err);
    if (rc == PRILORA_OK)
        rc = check_labels(&labels, run->train, folder, err);
    if (rc == PRILORA_OK)
        rc = pl_import_open(&in, folder, err);
    if (rc == PRILORA_OK)
        rc = fill(run, &in, err);
    pl_import_close(&in);
    pl_labels_file_free(&labels);
    return rc;
}
