/* encoder.c - see encoder.h. */
#include "model/encoder.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "math/blas.h"
#include "math/vector.h"
#include "model/architecture.h"

/* ---- opening ------------------------------------------------------------------------------ */

static const struct {
    const char *kind;
    size_t stage;
} layer_maps[PL_LAYER_MAPS] = {
    [PL_QUERY] = {"query", PL_STAGE_ATTENTION},
    [PL_KEY] = {"key", PL_STAGE_ATTENTION},
    [PL_VALUE] = {"value", PL_STAGE_ATTENTION},
    [PL_ATTENTION_OUTPUT] = {"attention_output", PL_STAGE_CONTEXT},
    [PL_INTERMEDIATE] = {"intermediate", PL_STAGE_INTERMEDIATE},
    [PL_OUTPUT] = {"output", PL_STAGE_OUTPUT},
};

/* Of something in a layer, below the prefix. */
static const char *layer_path(char *path, const struct pl_model *model, size_t layer,
                              const char *name)
{
    snprintf(path, PL_BINDER_MAX_NAME, "%s.%zu.%s", model->architecture->encoder.layers, layer,
             name);
    return path;
}

static bool make_site(struct pl_model *model, size_t layer, size_t k)
{
    const struct pl_architecture *a = model->architecture;
    const struct pl_config *c = &model->config;
    struct pl_map_site *site = &model->sites[PL_LAYER_MAPS * layer + k];
    char path[PL_BINDER_MAX_NAME], full[2 * PL_BINDER_MAX_NAME];

    snprintf(full, sizeof full, "%s%s", a->prefix,
             layer_path(path, model, layer, a->encoder.maps[k]));
    *site = (struct pl_map_site){
        .path = pl_strdup(full),
        .kind = layer_maps[k].kind,
        .layer = layer,
        .in = k == PL_OUTPUT ? c->intermediate_size : c->hidden_size,
        .out = k == PL_INTERMEDIATE ? c->intermediate_size : c->hidden_size,
        .input = PL_STAGES * layer + layer_maps[k].stage,
    };
    return site->path != NULL;
}

bool pl_encoder_open(struct pl_model *model, struct pl_binder *binder)
{
    const size_t layers = model->config.num_hidden_layers, n = PL_LAYER_MAPS * layers;
    struct pl_encoder *e = pl_calloc(1, sizeof *e);
    bool made = true;

    model->encoder = e;
    model->sites = pl_calloc(n, sizeof *model->sites);
    model->maps = pl_calloc(n, sizeof *model->maps);
    if (e)
        e->norms = pl_calloc(layers, sizeof *e->norms);
    made = e && e->norms && model->sites && model->maps;
    for (; made && model->n_sites < n; model->n_sites++)
        made = make_site(model, model->n_sites / PL_LAYER_MAPS, model->n_sites % PL_LAYER_MAPS);
    model->n_inputs = PL_STAGES * layers;
    if (!made)
        pl_binder_fail(binder, PRILORA_ENOMEM, "no memory for the model's layers");
    return made;
}

void pl_encoder_close(struct pl_model *model)
{
    for (size_t i = 0; model->sites && i < model->n_sites; i++)
        free((char *)(uintptr_t)model->sites[i].path);
    free(model->sites);
    free(model->maps);
    if (model->encoder)
        free(model->encoder->norms);
    free(model->encoder);
    model->encoder = NULL;
}

static void bind_projection(struct pl_model *model, struct pl_binder *binder)
{
    const struct pl_encoder_shape *shape = &model->architecture->encoder;
    const struct pl_config *c = &model->config;
    struct pl_linear *projection = &model->encoder->projection;

    pl_bind_linear(binder, projection, shape->projection, c->embedding_size, c->hidden_size,
                   shape->projection_last);
}

void pl_encoder_bind_embeddings(struct pl_model *model, struct pl_binder *binder)
{
    const struct pl_encoder_shape *shape = &model->architecture->encoder;
    const struct pl_config *c = &model->config;
    struct pl_encoder *e = model->encoder;
    const size_t width = c->embedding_size;
    const bool projected = width != c->hidden_size;

    e->words = pl_bind_tensor(binder, PL_ENCODER_WORDS, (const size_t[]){c->vocab_size, width}, 2);
    if (c->position_biased_input)
        pl_bind(binder, &e->positions, "embeddings.position_embeddings.weight",
                (const size_t[]){c->max_position_embeddings, width}, 2);
    if (c->type_vocab_size)
        pl_bind(binder, &e->types, "embeddings.token_type_embeddings.weight",
                (const size_t[]){c->type_vocab_size, width}, 2);
    if (projected && !shape->projection_last)
        bind_projection(model, binder);
    pl_bind_norm(binder, &e->norm, "embeddings.LayerNorm",
                 shape->projection_last ? width : c->hidden_size, c->layer_norm_eps);
    if (projected && shape->projection_last)
        bind_projection(model, binder);
}

void pl_encoder_bind_layer(struct pl_model *model, size_t layer, struct pl_binder *binder)
{
    const struct pl_encoder_shape *shape = &model->architecture->encoder;
    char path[PL_BINDER_MAX_NAME];

    for (size_t k = 0; k < PL_LAYER_MAPS; k++) {
        const size_t i = PL_LAYER_MAPS * layer + k;

        pl_bind_map(binder, &model->maps[i], layer_path(path, model, layer, shape->maps[k]),
                    model->sites[i].in, model->sites[i].out);
    }
    for (size_t half = 0; half < 2; half++)
        pl_bind_norm(binder, &model->encoder->norms[layer][half],
                     layer_path(path, model, layer, shape->norms[half]), model->config.hidden_size,
                     model->config.layer_norm_eps);
}

void pl_encoder_bind(struct pl_model *model, struct pl_binder *binder)
{
    if (!pl_encoder_open(model, binder))
        return;
    pl_encoder_bind_embeddings(model, binder);
    for (size_t layer = 0; layer < model->config.num_hidden_layers; layer++)
        pl_encoder_bind_layer(model, layer, binder);
}

/* ---- embeddings --------------------------------------------------------------------------- */

/* The row of the table that the first token has that is not padding. */
static size_t first_position(const struct pl_model *model)
{
    return model->architecture->encoder.positions_after_padding
               ? (size_t)model->config.pad_token_id + 1
               : 0;
}

size_t pl_encoder_max_length(const struct pl_model *model)
{
    const struct pl_config *c = &model->config;

    return c->position_biased_input ? c->max_position_embeddings - first_position(model) : SIZE_MAX;
}

/* One sequence's rows e [n, embedding]. */
static void gather(const struct pl_model *model, const struct pl_batch *batch, size_t from,
                   size_t n, pl_real *e)
{
    const struct pl_encoder *w = model->encoder;
    const struct pl_config *c = &model->config;
    const bool after_padding = model->architecture->encoder.positions_after_padding;
    const size_t width = c->embedding_size;
    size_t next = first_position(model);

    for (size_t i = 0; i < n; i++, e += width) {
        const size_t id = (size_t)batch->ids[from + i];
        /* where positions begin after it, the padding's token has its own wherever it stands */
        const bool padding = after_padding && id == (size_t)c->pad_token_id;

        assert(batch->ids[from + i] >= 0 && id < c->vocab_size);
        pl_tensors_read(model->tensors, w->words, e, id * width, width);
        if (w->positions)
            pl_add(e, w->positions + (padding ? id : next) * width, width);
        next += padding ? 0 : 1;
        if (w->types) {
            const size_t type = batch->type_ids[from + i];

            /* A tokenizer may number more segments than the model tells apart. */
            pl_add(e, w->types + (type < c->type_vocab_size ? type : 0) * width, width);
        }
    }
}

/* x [n, hidden] of e [n, embedding] */
static void project(const struct pl_linear *projection, const pl_real *e, pl_real *x, size_t n)
{
    const size_t in = projection->in, out = projection->out;

    if (projection->bias)
        pl_fill_rows(x, projection->bias, n, out);
    pl_gemm(x, out, (struct pl_matrix){e, in, false},
            (struct pl_matrix){projection->weight, in, true}, n, out, in, 1,
            projection->bias != NULL);
}

static void normalize(const struct pl_flow *f, pl_real *x, size_t width)
{
    const struct pl_encoder *w = f->net->model->encoder;
    const struct pl_dropout dropout =
        pl_pass_dropout(f->pass, f->net->options.hidden_dropout, PL_SITE_EMBEDDING_DROPOUT, 0);

    pl_norm_forward(x, NULL, NULL, x, NULL, NULL, &w->norm, f->rows.n, width);
    pl_dropout_rows(&dropout, &f->rows, x, x, width);
}

void pl_encoder_embed(const struct pl_flow *f, pl_real *x)
{
    const struct pl_model *model = f->net->model;
    const struct pl_linear *projection = &model->encoder->projection;
    const bool projected = projection->weight != NULL;
    const bool last = projected && model->architecture->encoder.projection_last;
    const size_t width = model->config.embedding_size;
    pl_real *e = projected ? f->ws->embedded : x;

    for (size_t k = 0; k < f->rows.n_runs; k++)
        gather(model, f->pass->batch, f->rows.first[k], f->rows.starts[k + 1] - f->rows.starts[k],
               e + f->rows.starts[k] * width);
    if (last)
        normalize(f, e, width);
    if (projected)
        project(projection, e, x, f->rows.n);
    if (!last)
        normalize(f, x, model->config.hidden_size);
}

/* ---- layers ------------------------------------------------------------------------------- */

struct pl_block pl_encoder_block(const struct pl_flow *f, size_t layer)
{
    const struct pl_net *net = f->net;
    const struct pl_config *c = &net->model->config;
    const struct pl_encoder *w = net->model->encoder;
    const size_t head_size = c->hidden_size / c->num_attention_heads;

    return (struct pl_block){
        .layer = layer,
        .norms = {&w->norms[layer][0], &w->norms[layer][1]},
        .activation = pl_activation_find(c->hidden_act),
        .attention_output_kept = net->model->architecture->encoder.attention_output_kept,
        .attention = {.hidden = c->hidden_size,
                      .heads = c->num_attention_heads,
                      .scale = 1 / sqrt((double)head_size),
                      .dropout = pl_pass_dropout(f->pass, net->options.attention_dropout,
                                                 PL_SITE_ATTENTION_DROPOUT, layer),
                      .scratch = f->ws->attention,
                      .half = net->options.half ? &f->ws->half : NULL},
    };
}

void pl_encoder_forward(const struct pl_flow *f, size_t layer, const pl_real *x, pl_real *y)
{
    const struct pl_block block = pl_encoder_block(f, layer);

    pl_block_forward(f, &block, x, y);
}

void pl_encoder_backward(const struct pl_flow *f, size_t layer, const pl_real *x, pl_real *d)
{
    const struct pl_block block = pl_encoder_block(f, layer);

    pl_block_backward(f, &block, x, d);
}
