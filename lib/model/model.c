/* model.c - opens a checkpoint folder as a frozen model; the tensors' names are the
 * architecture's business. */
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/architecture.h"
#include "model/encoder.h"
#include "model/fingerprint.h"
#include "model/head.h"

/* Tensor `path`.`leaf`, if it is there with that many dimensions, the last of them `width`. */
static const struct pl_tensor *head_tensor(const struct pl_model *model, const char *path,
                                           const char *leaf, size_t n_dims, size_t width)
{
    char name[PL_BINDER_MAX_NAME];
    const struct pl_tensor *tensor;

    snprintf(name, sizeof name, "%s.%s", path, leaf);
    tensor = pl_tensors_find(model->tensors, name);
    if (!tensor || tensor->n_dims != n_dims || tensor->dims[n_dims - 1] != width ||
        tensor->dtype > PL_F64)
        return NULL;
    return tensor;
}

/* Its names as they are without the architecture's prefix, if that is how this checkpoint's are. */
static const char *dense_path(const struct pl_model *model, const struct pl_binder *binder)
{
    const struct pl_architecture *a = model->architecture;

    return a->head.dense_of_encoder && !*binder->prefix ? a->head.dense + strlen(a->prefix)
                                                        : a->head.dense;
}

/* First and last token of an answer. */
static void find_answers(struct pl_model *model)
{
    struct pl_head_tensors *head = &model->head;
    const struct pl_tensor *weight =
        head_tensor(model, PL_HEAD_OF_ANSWERS, "weight", 2, model->config.hidden_size);
    const struct pl_tensor *bias = head_tensor(model, PL_HEAD_OF_ANSWERS, "bias", 1, 2);

    if (!weight || !bias || weight->dims[0] != 2)
        return;
    head->answers_weight = weight;
    head->answers_bias = bias;
}

/* A head is taken only with weight and bias of one shape. */
static void find_head(struct pl_model *model, const struct pl_binder *binder)
{
    const struct pl_architecture *a = model->architecture;
    const char *dense = dense_path(model, binder);
    struct pl_head_tensors *head = &model->head;
    const size_t width = model->config.hidden_size;

    head->dense_weight = head_tensor(model, dense, "weight", 2, width);
    head->dense_bias = head_tensor(model, dense, "bias", 1, width);
    if (!head->dense_weight || !head->dense_bias || head->dense_weight->dims[0] != width)
        head->dense_weight = head->dense_bias = NULL;
    head->weight = head_tensor(model, a->head.classifier, "weight", 2, width);
    if (head->weight)
        head->bias = head_tensor(model, a->head.classifier, "bias", 1, head->weight->dims[0]);
    if (!head->bias)
        head->weight = NULL;
    find_answers(model);
}

bool pl_model_is_head(const struct pl_model *model, const struct pl_tensor *tensor)
{
    const struct pl_head_tensors *h = &model->head;

    return tensor == h->dense_weight || tensor == h->dense_bias || tensor == h->weight ||
           tensor == h->bias || tensor == h->answers_weight || tensor == h->answers_bias;
}

/* A dense map that came with the encoder stays as it is. */
static void bind_pooler(struct pl_model *model, struct pl_binder *binder)
{
    const struct pl_architecture *a = model->architecture;
    const size_t width = model->config.hidden_size;

    if (!a->head.dense_of_encoder || !model->head.dense_weight)
        return;
    pl_bind_linear(binder, &model->pooler, a->head.dense + strlen(a->prefix), width, width, true);
    model->head.dense_weight = model->head.dense_bias = NULL;
}

static enum prilora_status bind(struct pl_model *model, struct prilora_error *err)
{
    const struct pl_architecture *a = model->architecture;
    struct pl_binder binder = {.model = model, .prefix = a->prefix, .err = err};
    enum prilora_status rc;

    /* With neither name there, the error names the usual one, with the prefix. */
    if (pl_tensors_find(model->tensors, PL_ENCODER_WORDS))
        binder.prefix = "";
    find_head(model, &binder);
    a->bind(model, &binder);
    bind_pooler(model, &binder);
    rc = pl_binder_finish(&binder);
    if (rc == PRILORA_OK)
        pl_fingerprint(model->fingerprint, model, &binder);
    pl_binder_close(&binder);
    if (rc == PRILORA_OK && a->prepare)
        rc = a->prepare(model, err);
    return rc;
}

enum prilora_status pl_model_open(struct pl_model **out, const char *folder,
                                  struct prilora_error *err)
{
    struct pl_model *model = pl_calloc(1, sizeof *model);
    enum prilora_status rc;

    *out = NULL;
    if (!model)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    pthread_mutex_init(&model->lock, NULL);
    rc = pl_config_read(&model->config, folder, err);
    if (rc != PRILORA_OK)
        goto out;
    model->architecture = pl_architecture_find(model->config.model_type);
    if (!model->architecture) {
        rc = pl_fail(err, PRILORA_EUNSUPPORTED, "%s: model_type '%s' is not supported", folder,
                     model->config.model_type);
        goto out;
    }
    rc = pl_tensors_open_folder(&model->tensors, folder, err);
    if (rc == PRILORA_OK)
        rc = bind(model, err);
    if (rc != PRILORA_OK)
        goto out;
    *out = model;
    model = NULL;
out:
    pl_model_close(model);
    return rc;
}

void pl_model_close(struct pl_model *model)
{
    if (!model)
        return;
    if (model->architecture && model->architecture->unbind)
        model->architecture->unbind(model);
    pl_encoder_close(model);
    for (size_t i = 0; i < model->n_unused; i++)
        free(model->unused[i]);
    free(model->unused);
    free(model->forms[0]);
    free(model->forms[1]);
    pthread_mutex_destroy(&model->lock);
    free(model->widened);
    pl_tensors_close(model->tensors);
    pl_config_free(&model->config);
    free(model);
}

/* Relative positions would go on, but no model was made with longer texts. */
size_t pl_model_max_length(const struct pl_model *model)
{
    const size_t most = pl_encoder_max_length(model), named = model->config.max_position_embeddings;

    return most < named ? most : named;
}
