/* import.c - see import.h. */
#include "train/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapter/ranks.h"
#include "base/file.h"
#include "base/memory.h"
#include "math/vector.h"
#include "model/architecture.h"
#include "model/task.h"

#define MAX_CONFIG ((size_t)16 << 20) /* bytes */
#define MAX_NAME   320
#define PREFIX     "base_model.model."

static enum prilora_status open_tensors(struct pl_import *in, const char *folder,
                                        struct prilora_error *err)
{
    char *other = pl_file_join(folder, "adapter_model.bin");
    enum prilora_status rc;

    in->path = pl_file_join(folder, "adapter_model.safetensors");
    if (!in->path || !other) {
        rc = pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    } else if (access(in->path, F_OK) != 0 && access(other, F_OK) == 0) {
        free(in->path);
        in->path = other;
        return pl_tensors_open_torch(&in->tensors, in->path, err);
    } else {
        rc = pl_tensors_open_safetensors(&in->tensors, in->path, err);
    }
    free(other);
    return rc;
}

static bool is_lora(const struct pl_tensor *t)
{
    size_t n = strlen(t->name), end = strlen(".lora_A.weight");

    return n > end && (strcmp(t->name + n - end, ".lora_A.weight") == 0 ||
                       strcmp(t->name + n - end, ".lora_B.weight") == 0);
}

static bool is_zero(const struct pl_tensor *t)
{
    pl_real numbers[1024];

    for (size_t at = 0, n; at < t->n_elements; at += n) {
        n = t->n_elements - at < 1024 ? t->n_elements - at : 1024;
        pl_tensor_read(t, numbers, at, n);
        for (size_t i = 0; i < n; i++)
            if (numbers[i] != 0)
                return false;
    }
    return true;
}

/* Stops at the first number that is not zero: of any other adapter one of the first. */
static bool has_only_zeros(const struct pl_import *in)
{
    for (size_t i = 0; i < pl_tensors_count(in->tensors); i++) {
        const struct pl_tensor *t = pl_tensors_at(in->tensors, i);

        if (is_lora(t) && !(pl_dtype_is_floating(t->dtype) && is_zero(t)))
            return false;
    }
    return true;
}

enum prilora_status pl_import_open(struct pl_import *out, const char *folder,
                                   struct prilora_error *err)
{
    char *path = pl_file_join(folder, "adapter_config.json"), *json = NULL;
    enum prilora_status rc;
    size_t size;

    *out = (struct pl_import){0};
    if (!path)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    rc = pl_file_read(&json, &size, path, MAX_CONFIG, err);
    if (rc == PRILORA_OK)
        rc = pl_peft_config_parse(&out->config, json, size, path, err);
    if (rc == PRILORA_OK)
        rc = open_tensors(out, folder, err);
    if (rc == PRILORA_OK)
        out->is_head_only = has_only_zeros(out);
    free(json);
    free(path);
    if (rc != PRILORA_OK)
        pl_import_close(out);
    return rc;
}

void pl_import_close(struct pl_import *in)
{
    pl_peft_config_free(&in->config);
    pl_tensors_close(in->tensors);
    free(in->path);
    *in = (struct pl_import){0};
}

static const struct pl_tensor *find(const struct pl_import *in, const char *module, const char *end)
{
    char name[MAX_NAME];

    snprintf(name, sizeof name, PREFIX "%s%s", module, end);
    return pl_tensors_find(in->tensors, name);
}

static enum prilora_status fail_shape(const struct pl_import *in, const struct pl_tensor *t,
                                      size_t rows, size_t cols, struct prilora_error *err)
{
    char shape[128];

    return pl_fail(err, PRILORA_EFORMAT, "%s: %s is %s, but must be [%zu, %zu]", in->path, t->name,
                   pl_tensor_shape(t, shape, sizeof shape), rows, cols);
}

static bool has_shape(const struct pl_tensor *t, size_t rows, size_t cols)
{
    return t->n_dims == 2 && t->dims[0] == rows && t->dims[1] == cols &&
           pl_dtype_is_floating(t->dtype);
}

/* A and B of a site, both or neither; *rank 0 for neither. */
static enum prilora_status find_pair(const struct pl_import *in, const struct pl_map_site *site,
                                     const struct pl_tensor **a, const struct pl_tensor **b,
                                     size_t *rank, struct prilora_error *err)
{
    *a = find(in, site->path, ".lora_A.weight");
    *b = find(in, site->path, ".lora_B.weight");
    *rank = 0;
    if (!*a && !*b)
        return PRILORA_OK;
    if (!*a || !*b)
        return pl_fail(err, PRILORA_EFORMAT, "%s: %s has lora_%c but no lora_%c", in->path,
                       site->path, *a ? 'A' : 'B', *a ? 'B' : 'A');
    *rank = (*a)->n_dims == 2 ? (*a)->dims[0] : 0;
    if (*rank < 1 || *rank > PL_MAX_RANK)
        return pl_fail(err, PRILORA_ELIMIT, "%s: %s has rank %zu, but 1 to %d are read", in->path,
                       site->path, *rank, PL_MAX_RANK);
    if (!has_shape(*a, *rank, site->in))
        return fail_shape(in, *a, *rank, site->in, err);
    if (!has_shape(*b, site->out, *rank))
        return fail_shape(in, *b, site->out, *rank, err);
    return PRILORA_OK;
}

enum prilora_status pl_import_map(const struct pl_import *in, const struct pl_map_site *site,
                                  size_t *rank, double *scale, struct prilora_error *err)
{
    const struct pl_tensor *a, *b;
    enum prilora_status rc = find_pair(in, site, &a, &b, rank, err);

    *scale = 0;
    if (rc == PRILORA_OK && *rank)
        rc = pl_peft_config_scale(&in->config, site->path, *rank, scale, err);
    return rc;
}

enum prilora_status pl_import_spec(struct prilora_spec **out, const struct pl_import *in,
                                   const struct pl_model *model, struct prilora_error *err)
{
    const struct pl_tensor *a, *b;
    enum prilora_status rc = prilora_spec_parse(out, "{}", 2, err);
    struct prilora_spec *spec = *out;
    size_t rank;

    if (rc != PRILORA_OK)
        return rc;
    if (in->is_head_only) {
        spec->method = PRILORA_METHOD_HEAD;
        spec->prune_ratio = 0;
        return PRILORA_OK;
    }
    spec->rank_schedule = PRILORA_RANK_LIST;
    spec->n_ranks = model->config.num_hidden_layers;
    if (spec->n_ranks > PRILORA_MAX_LAYERS)
        rc = pl_fail(err, PRILORA_ELIMIT, "the model has %zu layers, but at most %d are adapted",
                     spec->n_ranks, PRILORA_MAX_LAYERS);
    for (size_t l = 0; rc == PRILORA_OK && l < spec->n_ranks; l++)
        spec->ranks[l] = 1;
    for (size_t i = 0; rc == PRILORA_OK && i < model->n_sites; i++) {
        long *largest = &spec->ranks[model->sites[i].layer];

        rc = find_pair(in, &model->sites[i], &a, &b, &rank, err);
        if (rc == PRILORA_OK && (long)rank > *largest)
            *largest = (long)rank;
    }
    if (rc != PRILORA_OK) {
        prilora_spec_free(spec);
        *out = NULL;
    }
    return rc;
}

static enum prilora_status read_finite(const struct pl_import *in, const struct pl_tensor *t,
                                       pl_real *out, size_t first, size_t n,
                                       struct prilora_error *err)
{
    pl_tensor_read(t, out, first, n);
    if (pl_all_finite(out, n))
        return PRILORA_OK;
    return pl_fail(err, PRILORA_EFORMAT, "%s: %s holds numbers that are not finite", in->path,
                   t->name);
}

enum prilora_status pl_import_read_map(const struct pl_import *in, const struct pl_map_site *site,
                                       pl_real *to_a, pl_real *to_b, struct prilora_error *err)
{
    const struct pl_tensor *a, *b;
    size_t rank;
    enum prilora_status rc = find_pair(in, site, &a, &b, &rank, err);

    if (rc == PRILORA_OK)
        rc = read_finite(in, a, to_a, 0, a->n_elements, err);
    return rc == PRILORA_OK ? read_finite(in, b, to_b, 0, b->n_elements, err) : rc;
}

/* One map: A into the first rows, B into the first columns, times what the net's scale lacks. */
static enum prilora_status fill_map(const struct pl_import *in, const struct pl_map_site *site,
                                    const struct pl_lora *lora, pl_real *params, size_t *n_used,
                                    struct prilora_error *err)
{
    pl_real *to_a = params + lora->a, *to_b = params + lora->b;
    const struct pl_tensor *a, *b;
    size_t rank;
    double scale;
    enum prilora_status rc = find_pair(in, site, &a, &b, &rank, err);

    memset(to_a, 0, lora->rank * site->in * sizeof *to_a);
    memset(to_b, 0, lora->rank * site->out * sizeof *to_b);
    if (rc != PRILORA_OK || !rank)
        return rc;
    rc = pl_peft_config_scale(&in->config, site->path, rank, &scale, err);
    if (rc != PRILORA_OK)
        return rc;
    rc = read_finite(in, a, to_a, 0, a->n_elements, err);
    for (size_t o = 0; rc == PRILORA_OK && o < site->out; o++) {
        pl_real *row = to_b + o * lora->rank;

        rc = read_finite(in, b, row, o * rank, rank, err);
        for (size_t k = 0; k < rank && scale != lora->scale; k++)
            row[k] = (pl_real)((double)row[k] * (scale / lora->scale));
    }
    *n_used += 2;
    return rc;
}

static enum prilora_status fill_head(const struct pl_import *in, const struct pl_param *param,
                                     bool known, pl_real *params, size_t *n_used,
                                     struct prilora_error *err)
{
    const struct pl_tensor *t = find(in, param->name, "");
    bool fits;

    if (!t && known)
        return PRILORA_OK; /* the base's own head, which was not trained */
    if (!t)
        return pl_fail(err, PRILORA_EFORMAT, "%s: has no %s%s", in->path, PREFIX, param->name);
    fits = param->n_dims == 2 ? has_shape(t, param->rows, param->cols)
                              : t->n_dims == 1 && t->dims[0] == param->cols;
    if (!fits || !pl_dtype_is_floating(t->dtype))
        return fail_shape(in, t, param->rows, param->cols, err);
    ++*n_used;
    return read_finite(in, t, params + param->offset, 0, t->n_elements, err);
}

/* An unread tensor would silently make this another adapter. */
static enum prilora_status check_unread(const struct pl_import *in, const struct pl_model *model,
                                        const struct pl_layout *layout, struct prilora_error *err)
{
    for (size_t i = 0; i < pl_tensors_count(in->tensors); i++) {
        const char *name = pl_tensors_at(in->tensors, i)->name;
        const char *path =
            strncmp(name, PREFIX, strlen(PREFIX)) == 0 ? name + strlen(PREFIX) : name;
        bool known = pl_layout_find(layout, path) != NULL;

        for (size_t k = 0; !known && path != name && k < model->n_sites; k++) {
            size_t n = strlen(model->sites[k].path);

            known = strncmp(path, model->sites[k].path, n) == 0 &&
                    (strcmp(path + n, ".lora_A.weight") == 0 ||
                     strcmp(path + n, ".lora_B.weight") == 0);
        }
        if (!known)
            return pl_fail(err, PRILORA_EUNSUPPORTED,
                           "%s: %.160s belongs to nothing that is adapted here", in->path, name);
    }
    return PRILORA_OK;
}

enum prilora_status pl_import_fill_net(const struct pl_import *in, const struct pl_model *model,
                                       const struct pl_net *net, pl_real *params, uint64_t seed,
                                       struct prilora_error *err)
{
    const struct pl_layout *layout = pl_net_layout(net);
    const struct pl_adapter *adapter = pl_net_adapter(net);
    enum prilora_status rc = PRILORA_OK;
    size_t n_used = 0;
    bool known = false;

    pl_net_init(net, params, seed, &known);
    for (size_t i = 0; rc == PRILORA_OK && !in->is_head_only && i < model->n_sites; i++)
        rc = fill_map(in, &model->sites[i], &adapter->maps[i], params, &n_used, err);
    for (size_t i = 0; rc == PRILORA_OK && i < layout->n; i++) {
        if (layout->params[i].kind == PL_PARAM_HEAD)
            rc = fill_head(in, &layout->params[i], known, params, &n_used, err);
    }
    if (rc == PRILORA_OK && n_used != pl_tensors_count(in->tensors))
        rc = check_unread(in, model, layout, err);
    return rc;
}

enum prilora_status pl_import_fill(const struct pl_import *in, const struct pl_model *model,
                                   const struct pl_engine *engine, pl_real *params, uint64_t seed,
                                   struct prilora_error *err)
{
    return pl_import_fill_net(in, model, engine->net, params, seed, err);
}

size_t pl_import_n_outputs(const struct pl_import *in, const struct pl_model *model,
                           enum prilora_task task)
{
    const struct pl_head_kind *head =
        task == PRILORA_TASK_AUTO ? &pl_head_of_sequences : pl_task_of(task)->head;
    const struct pl_tensor *t = find(in, pl_head_path(head, model), ".weight");
    char name[MAX_NAME];

    snprintf(name, sizeof name, "%s.weight", pl_head_path(head, model));
    if (!t)
        t = head->path ? pl_tensors_find(model->tensors, name) : model->head.weight;
    return t && t->n_dims == 2 ? t->dims[0] : 0;
}
