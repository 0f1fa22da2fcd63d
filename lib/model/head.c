/* head.c - see head.h. */
#include "model/head.h"

#include <stdio.h>
#include <string.h>

#include "math/blas.h"
#include "math/vector.h"
#include "model/architecture.h"
#include "model/flow.h"

/* ---- parameters --------------------------------------------------------------------------- */

static enum prilora_status add(struct pl_layout *layout, const char *path, const char *leaf,
                               size_t rows, size_t cols, size_t *offset, struct prilora_error *err)
{
    char name[PL_BINDER_MAX_NAME];
    struct pl_param param = {
        .name = name,
        .kind = PL_PARAM_HEAD,
        .n_dims = rows > 0 ? 2 : 1,
        .rows = rows > 0 ? rows : 1,
        .cols = cols,
        .decay = rows > 0,
    };
    enum prilora_status rc;
    size_t index;

    snprintf(name, sizeof name, "%s.%s", path, leaf);
    rc = pl_layout_add(layout, &param, &index, err);
    if (rc == PRILORA_OK)
        *offset = layout->params[index].offset;
    return rc;
}

static const struct pl_activation_map *activation_of(const struct pl_model *model)
{
    const int own = model->architecture->head.activation;

    return pl_activation_find(own == PL_ACT_CONFIGURED ? model->config.pooler_hidden_act
                                                       : (enum pl_activation)own);
}

static enum prilora_status plan(struct pl_head *head, struct pl_layout *layout,
                                const struct pl_model *model, size_t n_outputs,
                                struct prilora_error *err)
{
    const struct pl_head_shape *shape = &model->architecture->head;
    const size_t inner = model->config.hidden_size;
    enum prilora_status rc = PRILORA_OK;

    head->inner = inner;
    head->n_outputs = n_outputs;
    head->dense_trained = !model->pooler.weight;
    head->activation = activation_of(model);
    if (head->dense_trained)
        rc = add(layout, shape->dense, "weight", inner, inner, &head->dense_weight, err);
    if (rc == PRILORA_OK && head->dense_trained)
        rc = add(layout, shape->dense, "bias", 0, inner, &head->dense_bias, err);
    if (rc == PRILORA_OK)
        rc = add(layout, shape->classifier, "weight", n_outputs, inner, &head->weight, err);
    if (rc == PRILORA_OK)
        rc = add(layout, shape->classifier, "bias", 0, n_outputs, &head->bias, err);
    return rc;
}

static void draw(pl_real *to, size_t n, double range, uint64_t seed, size_t tensor)
{
    struct pl_random r = pl_random_at(seed, 0, PL_SITE_INIT_HEAD, tensor);

    for (size_t i = 0; i < n; i++)
        to[i] = (pl_real)(range * pl_random_normal(&r, i));
}

static bool init(const struct pl_head *head, const struct pl_model *model, pl_real *params,
                 uint64_t seed)
{
    const struct pl_head_tensors *from = &model->head;
    const double range = model->config.initializer_range;
    const size_t inner = head->inner, n = head->n_outputs;
    const bool has_dense = from->dense_weight != NULL;
    const bool classifier = from->weight && from->weight->dims[0] == n;

    if (has_dense) {
        pl_tensors_read(model->tensors, from->dense_weight, params + head->dense_weight, 0,
                        inner * inner);
        pl_tensors_read(model->tensors, from->dense_bias, params + head->dense_bias, 0, inner);
    } else if (head->dense_trained) {
        draw(params + head->dense_weight, inner * inner, range, seed, 0);
        memset(params + head->dense_bias, 0, inner * sizeof *params);
    }
    if (classifier) {
        pl_tensors_read(model->tensors, from->weight, params + head->weight, 0, n * inner);
        pl_tensors_read(model->tensors, from->bias, params + head->bias, 0, n);
    } else {
        draw(params + head->weight, n * inner, range, seed, 1);
        memset(params + head->bias, 0, n * sizeof *params);
    }
    return (has_dense || !head->dense_trained) && classifier;
}

/* ---- forward and backward ----------------------------------------------------------------- */

/* The share's sequences as rows, numbered as in the batch: what their dropout is drawn by. */
static struct pl_rows sequences(const struct pl_flow *f)
{
    return (struct pl_rows){f->share->n_sequences, f->share->n_sequences, f->ws->counting,
                            f->share->sequences};
}

static void dense(pl_real *y, const pl_real *x, const pl_real *weight, const pl_real *bias,
                  size_t n, size_t in, size_t out)
{
    pl_fill_rows(y, bias, n, out);
    pl_gemm(y, out, (struct pl_matrix){x, in, false}, (struct pl_matrix){weight, in, true}, n, out,
            in, 1, 1);
}

/* dweight and dbias are added to; dweight NULL: the map is frozen. */
static void dense_backward(pl_real *dx, pl_real *dweight, pl_real *dbias, const pl_real *dy,
                           const pl_real *x, const pl_real *weight, size_t n, size_t in, size_t out)
{
    if (dweight) {
        pl_gemm(dweight, in, (struct pl_matrix){dy, out, true}, (struct pl_matrix){x, in, false},
                out, in, n, 1, 1);
        pl_column_sums(dbias, dy, n, out);
    }
    pl_gemm(dx, in, (struct pl_matrix){dy, out, false}, (struct pl_matrix){weight, in, false}, n,
            in, out, 1, 0);
}

/* Where the dense map is trained, its weight and bias stand in the block. */
static const pl_real *dense_weight(const struct pl_flow *f)
{
    const struct pl_head *head = &f->net->head;

    return head->dense_trained ? f->pass->params + head->dense_weight
                               : f->net->model->pooler.weight;
}

static const pl_real *dense_bias(const struct pl_flow *f)
{
    const struct pl_head *head = &f->net->head;

    return head->dense_trained ? f->pass->params + head->dense_bias : f->net->model->pooler.bias;
}

static void forward(const struct pl_flow *f, const pl_real *x)
{
    const struct pl_head *head = &f->net->head;
    struct pl_head_scratch *s = &f->ws->head;
    const struct pl_rows rows = sequences(f);
    const pl_real *params = f->pass->params;
    const struct pl_dropout before = pl_pass_dropout(f->pass, head->dense_dropout,
                                                     PL_SITE_POOLER_DROPOUT, 0),
                            after =
                                pl_pass_dropout(f->pass, head->dropout, PL_SITE_HEAD_DROPOUT, 0);

    for (size_t k = 0; k < rows.n; k++)
        memcpy(s->first + k * head->inner, x + f->rows.starts[k] * head->inner,
               head->inner * sizeof *x);
    pl_dropout_rows(&before, &rows, s->first, s->first, head->inner);
    dense(s->before, s->first, dense_weight(f), dense_bias(f), rows.n, head->inner, head->inner);
    head->activation->forward(s->pooled, s->before, NULL, rows.n, head->inner);
    pl_dropout_rows(&after, &rows, s->dropped, s->pooled, head->inner);
    dense(s->logits, s->dropped, params + head->weight, params + head->bias, rows.n, head->inner,
          head->n_outputs);
}

static void backward(const struct pl_flow *f, const pl_real *x, pl_real *d)
{
    const struct pl_head *head = &f->net->head;
    struct pl_head_scratch *s = &f->ws->head;
    const struct pl_rows rows = sequences(f);
    const pl_real *params = f->pass->params;
    const struct pl_dropout before = pl_pass_dropout(f->pass, head->dense_dropout,
                                                     PL_SITE_POOLER_DROPOUT, 0),
                            after =
                                pl_pass_dropout(f->pass, head->dropout, PL_SITE_HEAD_DROPOUT, 0);

    (void)x; /* the first tokens are kept */
    dense_backward(s->gradient, f->grads + head->weight, f->grads + head->bias, s->dlogits,
                   s->dropped, params + head->weight, rows.n, head->inner, head->n_outputs);
    pl_dropout_rows(&after, &rows, s->gradient, s->gradient, head->inner);
    head->activation->backward(s->gradient, s->pooled, s->before, rows.n * head->inner);
    dense_backward(s->dropped, head->dense_trained ? f->grads + head->dense_weight : NULL,
                   f->grads + head->dense_bias, s->gradient, s->first, dense_weight(f), rows.n,
                   head->inner, head->inner);
    pl_dropout_rows(&before, &rows, d, s->dropped, head->inner);
}

static double dropout_told(const struct pl_model *model, double hidden_dropout)
{
    return model->config.cls_dropout >= 0 ? model->config.cls_dropout : hidden_dropout;
}

const struct pl_head_kind pl_head_of_sequences = {NULL, dropout_told, plan,
                                                  init, forward,      backward};

/* ---- the same head on every token --------------------------------------------------------- */

static enum prilora_status tokens_plan(struct pl_head *head, struct pl_layout *layout,
                                       const struct pl_model *model, size_t n_outputs,
                                       struct prilora_error *err)
{
    const size_t hidden = model->config.hidden_size;
    const char *path = head->kind->path;
    enum prilora_status rc;

    head->inner = hidden;
    head->n_outputs = n_outputs;
    rc = add(layout, path, "weight", n_outputs, hidden, &head->weight, err);
    return rc == PRILORA_OK ? add(layout, path, "bias", 0, n_outputs, &head->bias, err) : rc;
}

static const struct pl_tensor *find(const struct pl_model *model, const char *path,
                                    const char *leaf)
{
    char name[PL_BINDER_MAX_NAME];

    snprintf(name, sizeof name, "%s.%s", path, leaf);
    return pl_tensors_find(model->tensors, name);
}

static bool tokens_init(const struct pl_head *head, const struct pl_model *model, pl_real *params,
                        uint64_t seed)
{
    const struct pl_tensor *weight = find(model, head->kind->path, "weight");
    const struct pl_tensor *bias = find(model, head->kind->path, "bias");
    const size_t inner = head->inner, n = head->n_outputs;
    const bool known = weight && bias && weight->n_dims == 2 && weight->dims[0] == n &&
                       weight->dims[1] == inner && bias->n_dims == 1 && bias->dims[0] == n &&
                       pl_dtype_is_floating(weight->dtype) && pl_dtype_is_floating(bias->dtype);

    if (known) {
        pl_tensors_read(model->tensors, weight, params + head->weight, 0, n * inner);
        pl_tensors_read(model->tensors, bias, params + head->bias, 0, n);
    } else {
        draw(params + head->weight, n * inner, model->config.initializer_range, seed, 1);
        memset(params + head->bias, 0, n * sizeof *params);
    }
    return known;
}

static void tokens_forward(const struct pl_flow *f, const pl_real *x)
{
    const struct pl_head *head = &f->net->head;
    struct pl_head_scratch *s = &f->ws->head;
    const struct pl_dropout dropout =
        pl_pass_dropout(f->pass, head->dropout, PL_SITE_HEAD_DROPOUT, 0);
    const pl_real *params = f->pass->params;

    if (s->dropped) {
        pl_dropout_rows(&dropout, &f->rows, s->dropped, x, head->inner);
        x = s->dropped;
    }
    dense(s->logits, x, params + head->weight, params + head->bias, f->rows.n, head->inner,
          head->n_outputs);
}

static void tokens_backward(const struct pl_flow *f, const pl_real *x, pl_real *d)
{
    const struct pl_head *head = &f->net->head;
    const struct pl_head_scratch *s = &f->ws->head;
    const struct pl_dropout dropout =
        pl_pass_dropout(f->pass, head->dropout, PL_SITE_HEAD_DROPOUT, 0);

    dense_backward(d, f->grads + head->weight, f->grads + head->bias, s->dlogits,
                   s->dropped ? s->dropped : x, f->pass->params + head->weight, f->rows.n,
                   head->inner, head->n_outputs);
    if (s->dropped)
        pl_dropout_rows(&dropout, &f->rows, d, d, head->inner);
}

static double tokens_dropout(const struct pl_model *model, double hidden_dropout)
{
    return model->architecture->head.own_dropout ? hidden_dropout
                                                 : dropout_told(model, hidden_dropout);
}

static double answers_dropout(const struct pl_model *model, double hidden_dropout)
{
    (void)hidden_dropout;
    return model->config.qa_dropout;
}

const struct pl_head_kind pl_head_of_tokens = {PL_HEAD_OF_TOKENS, tokens_dropout, tokens_plan,
                                               tokens_init,       tokens_forward, tokens_backward};
const struct pl_head_kind pl_head_of_answers = {PL_HEAD_OF_ANSWERS, answers_dropout,
                                                tokens_plan,        tokens_init,
                                                tokens_forward,     tokens_backward};

const char *pl_head_path(const struct pl_head_kind *kind, const struct pl_model *model)
{
    return kind->path ? kind->path : model->architecture->head.classifier;
}
