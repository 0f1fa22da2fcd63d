/* export.c - the tensors of an adapter folder, and the folder itself: all of it or nothing. */
#include "train/export.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/tensors.h"
#include "math/vector.h"
#include "train/folder.h"
#include "train/inputs_file.h"
#include "train/run.h"

#define PREFIX "base_model.model."

/* "<path>.lora_A" becomes PEFT's "base_model.model.<path>.lora_A.weight"; malloc'ed. */
static char *peft_name(const struct pl_param *param)
{
    const char *end = param->kind == PL_PARAM_HEAD ? "" : ".weight";
    size_t room = sizeof PREFIX + strlen(param->name) + strlen(end);
    char *name = pl_alloc(room, 1);

    if (name)
        snprintf(name, room, "%s%s%s", PREFIX, param->name, end);
    return name;
}

static enum prilora_status fill_tensors(struct pl_tensor *tensors, float *numbers,
                                        const struct pl_export *x, struct prilora_error *err)
{
    for (size_t i = 0; i < x->layout->n; i++) {
        const struct pl_param *param = &x->layout->params[i];
        struct pl_tensor *t = &tensors[i];
        float *to = numbers + param->offset;

        t->name = peft_name(param);
        if (!t->name)
            return pl_fail(err, PRILORA_ENOMEM, "no memory to export %s", param->name);
        t->dtype = PL_F32;
        t->n_dims = param->n_dims;
        t->dims[0] = param->n_dims == 2 ? param->rows : param->cols;
        t->dims[1] = param->n_dims == 2 ? param->cols : 0;
        t->n_elements = param->rows * param->cols;
        t->data = to;
        for (size_t k = 0; k < t->n_elements; k++)
            to[k] = (float)x->params[param->offset + k];
    }
    return PRILORA_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pl_tensor *)a)->name, ((const struct pl_tensor *)b)->name);
}

const struct pl_map_site *pl_export_placeholder(const struct pl_export *x)
{
    return x->adapter->n_adapted ? NULL : &x->sites[x->adapter->n_maps - 1];
}

/* A [1, in] and B [out, 1] of the placeholder, from the zeros behind the block. */
static enum prilora_status fill_placeholder(struct pl_tensor *tensors, const float *zeros,
                                            const struct pl_map_site *site,
                                            struct prilora_error *err)
{
    static const char *const ends[] = {".lora_A", ".lora_B"};

    for (size_t i = 0; i < 2; i++) {
        struct pl_param param = {.kind = i ? PL_PARAM_LORA_B : PL_PARAM_LORA_A};
        struct pl_tensor *t = &tensors[i];
        size_t n = i ? site->out : site->in;
        char name[256];

        snprintf(name, sizeof name, "%s%s", site->path, ends[i]);
        param.name = name;
        *t = (struct pl_tensor){.name = peft_name(&param), .dtype = PL_F32, .n_dims = 2};
        if (!t->name)
            return pl_fail(err, PRILORA_ENOMEM, "no memory to export %s", name);
        t->dims[0] = i ? n : 1;
        t->dims[1] = i ? 1 : n;
        t->n_elements = n;
        t->data = zeros;
    }
    return PRILORA_OK;
}

static enum prilora_status write_tensors(const struct pl_export *x, const char *folder,
                                         struct prilora_error *err)
{
    const struct pl_map_site *placeholder = pl_export_placeholder(x);
    size_t n_zeros = placeholder ? placeholder->in + placeholder->out : 0;
    size_t n = x->layout->n + (placeholder ? 2 : 0);
    struct pl_tensor *tensors = pl_calloc(n, sizeof *tensors);
    float *numbers = pl_calloc(x->layout->size + n_zeros, sizeof *numbers);
    char *path = pl_file_join(folder, "adapter_model.safetensors");
    enum prilora_status rc;

    if (!tensors || !numbers || !path) {
        rc = pl_fail(err, PRILORA_ENOMEM, "no memory to export %zu tensors", n);
        goto out;
    }
    rc = fill_tensors(tensors, numbers, x, err);
    if (rc == PRILORA_OK && placeholder)
        rc = fill_placeholder(tensors + x->layout->n, numbers + x->layout->size, placeholder, err);
    if (rc != PRILORA_OK)
        goto out;
    qsort(tensors, n, sizeof *tensors, by_name);
    rc = pl_safetensors_write(path, tensors, n, NULL, err);
out:
    for (size_t i = 0; tensors && i < n; i++)
        free((void *)(uintptr_t)tensors[i].name);
    free(tensors);
    free(numbers);
    free(path);
    return rc;
}

static enum prilora_status write_text(const char *folder, const char *name, char *text,
                                      struct prilora_error *err)
{
    char *path = pl_file_join(folder, name);
    enum prilora_status rc;

    if (!path || !text)
        rc = pl_fail(err, PRILORA_ENOMEM, "%s/%s: out of memory", folder, name);
    else
        rc = pl_file_replace_bytes(path, text, strlen(text), err);
    free(path);
    free(text);
    return rc;
}

static enum prilora_status fill_folder(const char *folder, void *context, struct prilora_error *err)
{
    const struct pl_export *x = context;
    enum prilora_status rc = write_tensors(x, folder, err);

    if (rc == PRILORA_OK)
        rc = write_text(folder, "adapter_config.json", pl_export_config(x), err);
    if (rc == PRILORA_OK)
        rc = write_text(folder, "labels.json", pl_export_labels(x), err);
    if (rc == PRILORA_OK)
        rc = write_text(folder, "README.md", pl_export_card(x), err);
    if (rc == PRILORA_OK && x->pruner && x->pruner->n_updates)
        rc = pl_inputs_file_write(folder, x->pruner, err);
    return rc;
}

enum prilora_status pl_export_write(const struct pl_export *x, const char *folder,
                                    struct prilora_error *err)
{
    return pl_folder_replace(folder, fill_folder, (void *)(uintptr_t)x, err);
}

/* Numbers that are not finite make no adapter, whatever the metrics say of them. */
static enum prilora_status check_finite(const struct prilora_run *run, const pl_real *block,
                                        struct prilora_error *err)
{
    const struct pl_layout *layout = run->engine->layout;

    for (size_t i = 0; i < layout->n; i++) {
        const struct pl_param *param = &layout->params[i];

        if (!pl_all_finite(block + param->offset, param->rows * param->cols))
            return pl_fail(err, PRILORA_ENUMERIC,
                           "%s came out of training with numbers that are not finite; a "
                           "learning_rate below %g may help",
                           param->name, run->spec->learning_rate);
    }
    if (run->valid && !pl_run_measured_finite(run))
        return pl_fail(err, PRILORA_ENUMERIC,
                       "what came out of training gives numbers that are not finite on the "
                       "validation data; a learning_rate below %g may help",
                       run->spec->learning_rate);
    return PRILORA_OK;
}

enum prilora_status prilora_run_export(struct prilora_run *run, const char *folder,
                                       const char *base_name, struct prilora_result *result,
                                       struct prilora_error *err)
{
    pl_real *block = run->engine->total; /* scratch between steps */
    struct prilora_result ended = {
        .best_step = run->state.has_best ? run->state.best_step : run->state.step,
        .n_tokens = run->state.n_tokens,
        .n_prunable = run->pruner->n_prunable,
    };
    struct pl_export x = {
        .layout = run->engine->layout,
        .adapter = run->engine->adapter,
        .sites = run->base->model->sites,
        .params = block,
        .spec = run->spec,
        .base_name = base_name,
        .base_fingerprint = run->base->fingerprint,
        .task = run->train->task,
        .labels = run->train->labels,
        .n_labels = run->train->n_labels,
        .result = &ended,
        .n_train = run->train->n,
        .pruner = run->pruner,
        .answers = pl_run_answer_rules(run),
    };
    struct prilora_value mismatched;
    enum prilora_status rc = PRILORA_OK;

    /* the best state was pruned before it was measured */
    if (run->state.has_best)
        memcpy(block, run->best, run->engine->layout->size * sizeof *block);
    else
        pl_run_candidate(run, block);
    if (run->mismatched)
        rc = pl_run_measure_mismatched(run, block, &mismatched, err);
    if (rc != PRILORA_OK)
        return rc;
    if (run->valid) {
        pl_run_measure(run, block, NULL); /* the last one: check_finite looks at it */
        memcpy(ended.values, run->values, sizeof ended.values);
        ended.n_values = run->n_values;
    }
    if (run->mismatched && ended.n_values < PRILORA_MAX_VALUES)
        ended.values[ended.n_values++] = mismatched;
    ended.n_nonzero = pl_prune_nonzero(run->pruner, block);
    pl_board_publish(run, block);
    rc = prilora_base_check(run->base, err); /* what was measured is true */
    if (rc == PRILORA_OK)
        rc = check_finite(run, block, err);
    if (rc == PRILORA_OK)
        rc = pl_export_write(&x, folder, err);
    if (rc == PRILORA_OK && result)
        *result = ended;
    return rc;
}
