/*
 * start_spec.c - settings that follow from the adapter that a run starts from. Ours says in
 * labels.json with which it was made; of PEFT's they are told from tensors and configuration.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/settings.h"
#include "train/spec.h"
#include "train/start.h"

#define SAME_ALPHA 1e-9 /* relative */

/* ---- told from the tensors ---- */

/* What all adapted maps have in common. */
struct common {
    size_t n_maps, sum_ranks;
    double alpha, scale; /* of the first */
    bool same_alpha, same_scale;
};

static bool close_to(double a, double b)
{
    return fabs(a - b) <= SAME_ALPHA * fabs(b);
}

static enum prilora_status look(struct common *out, bool *adapted, const struct pl_import *in,
                                const struct pl_model *model, struct prilora_error *err)
{
    *out = (struct common){.same_alpha = true, .same_scale = true};
    for (size_t i = 0; i < model->n_sites; i++) {
        size_t rank;
        double scale, alpha;
        enum prilora_status rc = pl_import_map(in, &model->sites[i], &rank, &scale, err);

        if (rc != PRILORA_OK)
            return rc;
        adapted[i] = rank != 0;
        if (!rank)
            continue;
        alpha = scale * (double)rank;
        if (!out->n_maps) {
            out->alpha = alpha;
            out->scale = scale;
        }
        out->same_alpha = out->same_alpha && close_to(alpha, out->alpha);
        out->same_scale = out->same_scale && close_to(scale, out->scale);
        out->n_maps++;
        out->sum_ranks += rank;
    }
    return PRILORA_OK;
}

static enum prilora_status set_scale(struct prilora_spec *spec, const struct common *c,
                                     const struct pl_import *in, struct prilora_error *err)
{
    const struct pl_setting *setting = &pl_settings[pl_setting_index("lora_alpha")];
    double alpha = c->alpha;

    spec->scaling = PRILORA_SCALING_LAYER;
    if (!c->same_alpha && c->same_scale) {
        spec->scaling = PRILORA_SCALING_COMMON;
        alpha = c->scale * (double)c->sum_ranks / (double)c->n_maps;
    }
    spec->lora_alpha = alpha;
    if (alpha >= setting->min && alpha <= setting->max)
        return PRILORA_OK;
    return pl_fail(err, PRILORA_EMISMATCH, "%s: an alpha of %.9g, but lora_alpha is from %g to %g",
                   in->path, alpha, setting->min, setting->max);
}

/* "attention.self.query_proj" of "deberta.encoder.layer.0.attention.self.query_proj". */
static const char *within_layer(const struct pl_map_site *site)
{
    char number[32];
    const char *found;

    snprintf(number, sizeof number, ".%zu.", site->layer);
    found = strstr(site->path, number);
    return found ? found + strlen(number) : site->path;
}

/* Text as a regular expression that matches it alone. */
static void write_escaped(FILE *pattern, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '.')
            fputc('\\', pattern);
        fputc(text[i], pattern);
    }
}

static bool same_layer(const struct pl_map_site *a, const struct pl_map_site *b)
{
    return a->layer == b->layer;
}

static bool same_name(const struct pl_map_site *a, const struct pl_map_site *b)
{
    return strcmp(within_layer(a), within_layer(b)) == 0;
}

/* "(?:a|b|c)": the first of all adapted maps that are the same; what stands before the name in the
 * layer, or that name. */
static void write_choice(FILE *pattern, const struct pl_model *model, const bool *adapted,
                         bool (*same)(const struct pl_map_site *a, const struct pl_map_site *b))
{
    const char *before = "(?:";

    for (size_t i = 0; i < model->n_sites; i++) {
        const struct pl_map_site *site = &model->sites[i];
        const char *name = within_layer(site);
        bool known = !adapted[i];

        for (size_t k = 0; !known && k < i; k++)
            known = adapted[k] && same(&model->sites[k], site);
        if (known)
            continue;
        fputs(before, pattern);
        if (same == same_layer)
            write_escaped(pattern, site->path, (size_t)(name - site->path));
        else
            write_escaped(pattern, name, strlen(name));
        before = "|";
    }
    fputc(')', pattern);
}

/* Exact for every adapter that has the same maps in each of its layers; of others pl_start_check
 * tells where they differ. */
static enum prilora_status set_targets(struct prilora_spec *spec, const struct pl_model *model,
                                       const bool *adapted, size_t n_adapted,
                                       struct prilora_error *err)
{
    char *text = NULL;
    size_t size = 0;
    FILE *pattern;

    if (n_adapted == model->n_sites)
        return PRILORA_OK; /* "all-linear" */
    pattern = open_memstream(&text, &size);
    if (pattern) {
        write_choice(pattern, model, adapted, same_layer);
        write_choice(pattern, model, adapted, same_name);
    }
    if (!pattern || fclose(pattern) != 0) {
        free(text);
        return pl_fail(err, PRILORA_ENOMEM, "no memory for target_modules");
    }
    if (size > PL_PATTERN_MAX) {
        free(text);
        return pl_fail(err, PRILORA_ELIMIT, "a pattern for %zu adapted maps would have %zu bytes",
                       n_adapted, size);
    }
    spec->targets[0] = text;
    spec->n_targets = 1;
    spec->targets_are_pattern = true;
    return PRILORA_OK;
}

static enum prilora_status tell(struct prilora_spec **out, const struct pl_import *in,
                                const struct pl_model *model, struct prilora_error *err)
{
    bool *adapted = pl_calloc(model->n_sites, sizeof *adapted);
    struct common common;
    enum prilora_status rc = pl_import_spec(out, in, model, err);

    if (rc == PRILORA_OK && in->is_head_only)
        goto out;
    if (rc == PRILORA_OK && !adapted)
        rc = pl_fail(err, PRILORA_ENOMEM, "no memory for %zu maps", model->n_sites);
    if (rc == PRILORA_OK)
        rc = look(&common, adapted, in, model, err);
    if (rc == PRILORA_OK && !common.n_maps)
        rc = pl_fail(err, PRILORA_EMISMATCH, "%s: adapts no map of this base", in->path);
    if (rc == PRILORA_OK)
        rc = set_scale(*out, &common, in, err);
    if (rc == PRILORA_OK)
        rc = set_targets(*out, model, adapted, common.n_maps, err);
out:
    free(adapted);
    return rc;
}

/* ---- taking them over ---- */

static void adopt_ranks(struct prilora_spec *spec, const struct pl_spec_given *given,
                        const struct prilora_spec *parent)
{
    static const char *const names[] = {"rank_schedule", "ranks", "r", "rank_start", "rank_end"};
    bool any = false, has_r = pl_spec_is_given(given, "r");

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        any = any || pl_spec_is_given(given, names[i]);
    if (!any)
        spec->rank_schedule = parent->rank_schedule;
    if (spec->rank_schedule != parent->rank_schedule)
        return; /* said in another way: pl_start_check tells whether it is the same */
    if (!pl_spec_is_given(given, "ranks")) {
        memcpy(spec->ranks, parent->ranks, sizeof spec->ranks);
        spec->n_ranks = parent->n_ranks;
    }
    if (!has_r && !pl_spec_is_given(given, "rank_start"))
        spec->rank_start = parent->rank_start;
    if (!has_r && !pl_spec_is_given(given, "rank_end"))
        spec->rank_end = parent->rank_end;
}

/* Plain LoRA has one rank: ranks that are all the same are said that way. */
static enum prilora_status make_uniform(struct prilora_spec *spec, size_t n_layers,
                                        struct prilora_error *err)
{
    size_t ranks[PRILORA_MAX_LAYERS];
    enum prilora_status rc;

    if (spec->method != PRILORA_METHOD_LORA || spec->rank_schedule == PRILORA_RANK_UNIFORM)
        return PRILORA_OK;
    if (n_layers > PRILORA_MAX_LAYERS)
        return pl_fail(err, PRILORA_ELIMIT, "the model has %zu layers, but at most %d are trained",
                       n_layers, PRILORA_MAX_LAYERS);
    rc = prilora_spec_ranks(spec, n_layers, ranks, err);
    if (rc != PRILORA_OK)
        return rc;
    for (size_t l = 1; l < n_layers; l++) {
        if (ranks[l] != ranks[0])
            return pl_fail_at(err, PRILORA_EMISMATCH, "/method/type",
                              "type: \"lora\" has one rank for all layers, but the adapter that "
                              "the run starts from has %zu in layer 0 and %zu in layer %zu; "
                              "\"prilora\" can have both",
                              ranks[0], ranks[l], l);
    }
    spec->rank_schedule = PRILORA_RANK_UNIFORM;
    spec->rank_start = spec->rank_end = (long)ranks[0];
    return PRILORA_OK;
}

static enum prilora_status adopt_targets(struct prilora_spec *spec,
                                         const struct prilora_spec *parent,
                                         struct prilora_error *err)
{
    spec->targets_are_pattern = parent->targets_are_pattern;
    while (spec->n_targets < parent->n_targets) {
        spec->targets[spec->n_targets] = pl_strdup(parent->targets[spec->n_targets]);
        if (!spec->targets[spec->n_targets])
            return pl_fail(err, PRILORA_ENOMEM, "no memory for target_modules");
        spec->n_targets++;
    }
    return PRILORA_OK;
}

/* A target_modules of "all-linear" counts as given, and leaves nothing to adopt. */
static enum prilora_status adopt(struct prilora_spec *spec, const struct pl_spec_given *given,
                                 const struct prilora_spec *parent, size_t n_layers,
                                 struct prilora_error *err)
{
    if (spec->task == PRILORA_TASK_QUESTION_ANSWERING && parent->task == spec->task) {
        if (!given->doc_stride)
            spec->doc_stride = parent->doc_stride;
        if (!given->max_answer_length)
            spec->max_answer_length = parent->max_answer_length;
    }
    if (!given->method && parent->method != PRILORA_METHOD_PRILORA) {
        spec->method = parent->method;
        spec->prune_ratio = 0;
    }
    if (parent->method == PRILORA_METHOD_HEAD || spec->method == PRILORA_METHOD_HEAD)
        return PRILORA_OK; /* one of the two has no adapters */
    adopt_ranks(spec, given, parent);
    if (!pl_spec_is_given(given, "lora_alpha"))
        spec->lora_alpha = parent->lora_alpha;
    if (!pl_spec_is_given(given, "scaling"))
        spec->scaling = parent->scaling;
    if (!pl_spec_is_given(given, "target_modules") &&
        adopt_targets(spec, parent, err) != PRILORA_OK)
        return PRILORA_ENOMEM;
    return make_uniform(spec, n_layers, err);
}

static enum prilora_status adopt_task(struct prilora_spec *spec, enum prilora_task task,
                                      struct prilora_error *err)
{
    if (task == PRILORA_TASK_AUTO || spec->task == task)
        return PRILORA_OK;
    if (spec->task != PRILORA_TASK_AUTO)
        return pl_fail_at(err, PRILORA_EMISMATCH, "/task/type",
                          "type: the task is %s, but that of the adapter that the run starts from "
                          "is %s",
                          pl_task_word(spec->task), pl_task_word(task));
    spec->task = task;
    return pl_spec_check_metric(spec, task, err);
}

/* The same check that opening the run makes, by a plan without a net. */
static enum prilora_status check_plan(const struct prilora_spec *spec, const struct pl_import *in,
                                      const struct pl_model *model, struct prilora_error *err)
{
    struct pl_layout layout = {0};
    struct pl_adapter adapter;
    enum prilora_status rc = pl_adapter_plan(&adapter, &layout, model->sites, model->n_sites,
                                             model->config.num_hidden_layers, spec, err);

    if (rc == PRILORA_OK) {
        rc = pl_start_check(in, model, spec, &adapter, err);
        pl_adapter_free(&adapter);
    }
    pl_layout_free(&layout);
    return rc;
}

static enum prilora_status go_on(struct prilora_spec *spec, const struct pl_spec_given *given,
                                 const struct prilora_base *base, const char *folder,
                                 struct prilora_error *err)
{
    const struct pl_model *model = base->model;
    struct prilora_spec *told = NULL;
    struct pl_labels_file labels;
    struct pl_import in = {0};
    enum prilora_status rc = pl_labels_file_read(&labels, folder, err);

    if (rc == PRILORA_OK)
        rc = pl_start_check_base(&labels, base, folder, err);
    if (rc == PRILORA_OK)
        rc = adopt_task(spec, labels.task, err);
    if (rc == PRILORA_OK)
        rc = pl_import_open(&in, folder, err);
    if (rc == PRILORA_OK && labels.task == PRILORA_TASK_AUTO)
        rc = adopt_task(spec, in.config.task, err);
    if (rc == PRILORA_OK && !labels.spec)
        rc = tell(&told, &in, model, err);
    if (rc == PRILORA_OK)
        rc = adopt(spec, given, told ? told : labels.spec, model->config.num_hidden_layers, err);
    if (rc == PRILORA_OK)
        rc = check_plan(spec, &in, model, err);
    prilora_spec_free(told);
    pl_import_close(&in);
    pl_labels_file_free(&labels);
    return rc;
}

enum prilora_status prilora_spec_continue(struct prilora_spec **out, const char *json,
                                          size_t length, const struct prilora_base *base,
                                          const char *folder, struct prilora_error *err)
{
    struct pl_spec_given given;
    enum prilora_status rc = pl_spec_parse(out, &given, json, length, err);

    if (rc == PRILORA_OK)
        rc = go_on(*out, &given, base, folder, err);
    if (rc != PRILORA_OK) {
        prilora_spec_free(*out);
        *out = NULL;
    }
    return rc;
}
