/*
 * deberta.c - DeBERTa v2 and v3: their tensors, embeddings and layers.
 *
 * Source   He et al. 2020, arXiv:2006.03654, and 2021, arXiv:2111.09543; names and order of
 *          operations are those of transformers' DebertaV2Model
 */
#include "model/deberta.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "math/blas.h"
#include "math/vector.h"
#include "model/architecture.h"

static const struct {
    const char *kind, *path; /* below deberta.encoder.layer.N. */
    size_t stage;
} layer_maps[PL_LAYER_MAPS] = {
    [PL_QUERY] = {"query", "attention.self.query_proj", PL_STAGE_ATTENTION},
    [PL_KEY] = {"key", "attention.self.key_proj", PL_STAGE_ATTENTION},
    [PL_VALUE] = {"value", "attention.self.value_proj", PL_STAGE_ATTENTION},
    [PL_ATTENTION_OUTPUT] = {"attention_output", "attention.output.dense", PL_STAGE_CONTEXT},
    [PL_INTERMEDIATE] = {"intermediate", "intermediate.dense", PL_STAGE_INTERMEDIATE},
    [PL_OUTPUT] = {"output", "output.dense", PL_STAGE_OUTPUT},
};

/* ---- opening ------------------------------------------------------------------------------ */

static void bind_embeddings(struct pl_deberta *w, const struct pl_config *c,
                            struct pl_binder *binder)
{
    const size_t width = c->embedding_size;

    w->words = pl_bind_tensor(binder, "embeddings.word_embeddings.weight",
                              (const size_t[]){c->vocab_size, width}, 2);
    if (c->position_biased_input)
        pl_bind(binder, &w->positions, "embeddings.position_embeddings.weight",
                (const size_t[]){c->max_position_embeddings, width}, 2);
    if (c->type_vocab_size)
        pl_bind(binder, &w->types, "embeddings.token_type_embeddings.weight",
                (const size_t[]){c->type_vocab_size, width}, 2);
    if (width != c->hidden_size)
        pl_bind(binder, &w->embed_proj, "embeddings.embed_proj.weight",
                (const size_t[]){c->hidden_size, width}, 2);
    pl_bind_norm(binder, &w->embeddings_norm, "embeddings.LayerNorm", c->hidden_size,
                 c->layer_norm_eps);
}

static void bind_encoder(struct pl_deberta *w, const struct pl_config *c, struct pl_binder *binder)
{
    const size_t hidden = c->hidden_size, span = pl_position_span(c);

    if (span) {
        pl_bind(binder, &w->raw_table, "encoder.rel_embeddings.weight",
                (const size_t[]){2 * span, hidden}, 2);
        if (c->norm_rel_ebd)
            pl_bind_norm(binder, &w->table_norm, "encoder.LayerNorm", hidden, c->layer_norm_eps);
    }
    w->conv.kernel = c->conv_kernel_size;
    w->conv.groups = c->conv_groups;
    if (c->conv_kernel_size) {
        pl_bind(binder, &w->conv.raw, "encoder.conv.conv.weight",
                (const size_t[]){hidden, hidden / c->conv_groups, c->conv_kernel_size}, 3);
        pl_bind(binder, &w->conv.bias, "encoder.conv.conv.bias", &hidden, 1);
        pl_bind_norm(binder, &w->conv.norm, "encoder.conv.LayerNorm", hidden, c->layer_norm_eps);
    }
}

static void bind_layer(struct pl_model *model, struct pl_deberta *w, size_t layer,
                       struct pl_binder *binder)
{
    const struct pl_config *c = &model->config;
    const size_t hidden = c->hidden_size;
    struct pl_deberta_layer *own = &w->layers[layer];
    const bool separate = pl_position_span(c) && !c->share_att_key;
    char path[PL_BINDER_MAX_NAME];

    for (size_t k = 0; k < PL_LAYER_MAPS; k++) {
        struct pl_linear *map = &model->maps[PL_LAYER_MAPS * layer + k];

        snprintf(path, sizeof path, "encoder.layer.%zu.%s", layer, layer_maps[k].path);
        pl_bind_map(binder, map, path, k == PL_OUTPUT ? c->intermediate_size : hidden,
                    k == PL_INTERMEDIATE ? c->intermediate_size : hidden);
    }
    snprintf(path, sizeof path, "encoder.layer.%zu.attention.output.LayerNorm", layer);
    pl_bind_norm(binder, &own->norms[0], path, hidden, c->layer_norm_eps);
    snprintf(path, sizeof path, "encoder.layer.%zu.output.LayerNorm", layer);
    pl_bind_norm(binder, &own->norms[1], path, hidden, c->layer_norm_eps);
    snprintf(path, sizeof path, "encoder.layer.%zu.attention.self.pos_key_proj", layer);
    if (separate && c->pos_c2p)
        pl_bind_linear(binder, &own->position_key, path, hidden, hidden);
    snprintf(path, sizeof path, "encoder.layer.%zu.attention.self.pos_query_proj", layer);
    if (separate && c->pos_p2c)
        pl_bind_linear(binder, &own->position_query, path, hidden, hidden);
}

/* The adaptable maps, layer by layer; false if out of memory. */
static bool make_sites(struct pl_model *model)
{
    const size_t n = PL_LAYER_MAPS * model->config.num_hidden_layers;

    model->sites = pl_calloc(n, sizeof *model->sites);
    model->maps = pl_calloc(n, sizeof *model->maps);
    if (!model->sites || !model->maps)
        return false;
    for (model->n_sites = 0; model->n_sites < n; model->n_sites++) {
        const size_t layer = model->n_sites / PL_LAYER_MAPS, k = model->n_sites % PL_LAYER_MAPS;
        struct pl_map_site *site = &model->sites[model->n_sites];
        char path[PL_BINDER_MAX_NAME];

        snprintf(path, sizeof path, "%sencoder.layer.%zu.%s", model->architecture->prefix, layer,
                 layer_maps[k].path);
        site->path = pl_strdup(path);
        if (!site->path)
            return false;
        site->kind = layer_maps[k].kind;
        site->layer = layer;
        site->in = k == PL_OUTPUT ? model->config.intermediate_size : model->config.hidden_size;
        site->out =
            k == PL_INTERMEDIATE ? model->config.intermediate_size : model->config.hidden_size;
        site->input = PL_STAGES * layer + layer_maps[k].stage;
    }
    model->n_inputs = PL_STAGES * model->config.num_hidden_layers;
    return true;
}

static void deberta_bind(struct pl_model *model, struct pl_binder *binder)
{
    const size_t layers = model->config.num_hidden_layers;
    struct pl_deberta *w = pl_calloc(1, sizeof *w);

    model->weights = w;
    if (w)
        w->layers = pl_calloc(layers, sizeof *w->layers);
    if (!w || !w->layers || !make_sites(model)) {
        pl_binder_fail(binder, PRILORA_ENOMEM, "no memory for the model's layers");
        return;
    }
    bind_embeddings(w, &model->config, binder);
    bind_encoder(w, &model->config, binder);
    for (size_t layer = 0; layer < layers; layer++)
        bind_layer(model, w, layer, binder);
}

static void deberta_unbind(struct pl_model *model)
{
    struct pl_deberta *w = model->weights;

    if (!w)
        return;
    free(w->table);
    free(w->conv.taps);
    free(w->layers);
    free(w);
    model->weights = NULL;
}

/* [out, in, kernel] to [kernel, out, in]. */
static void transpose_taps(pl_real *to, const pl_real *from, size_t outer, size_t kernel)
{
    for (size_t i = 0; i < outer; i++)
        for (size_t t = 0; t < kernel; t++)
            to[t * outer + i] = from[i * kernel + t];
}

static enum prilora_status deberta_prepare(struct pl_model *model, struct prilora_error *err)
{
    const struct pl_config *c = &model->config;
    const size_t rows = 2 * pl_position_span(c),
                 taps = c->hidden_size / c->conv_groups * c->hidden_size * c->conv_kernel_size;
    struct pl_deberta *w = model->weights;

    w->table = pl_calloc_aligned(rows * c->hidden_size, sizeof *w->table);
    w->conv.taps = pl_calloc_aligned(taps, sizeof *w->conv.taps);
    if (!w->table || !w->conv.taps)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for %zu relative positions", rows);
    model->resident_bytes += (rows * c->hidden_size + taps) * sizeof(pl_real);
    if (c->conv_kernel_size)
        transpose_taps(w->conv.taps, w->conv.raw, taps / c->conv_kernel_size, c->conv_kernel_size);
    if (rows && c->norm_rel_ebd)
        pl_norm_forward(w->table, NULL, NULL, w->raw_table, NULL, NULL, &w->table_norm, rows,
                        c->hidden_size);
    else if (rows)
        pl_add(w->table, w->raw_table, rows * c->hidden_size); /* which is zero */
    return PRILORA_OK;
}

static size_t deberta_max_length(const struct pl_model *model)
{
    return model->config.position_biased_input ? model->config.max_position_embeddings : SIZE_MAX;
}

/* ---- embeddings --------------------------------------------------------------------------- */

/* One sequence's rows e [n, embedding]. */
static void gather(const struct pl_model *model, const struct pl_batch *batch, size_t from,
                   size_t n, pl_real *e)
{
    const struct pl_deberta *w = model->weights;
    const struct pl_config *c = &model->config;
    const size_t width = c->embedding_size;

    for (size_t i = 0; i < n; i++, e += width) {
        const size_t id = (size_t)batch->ids[from + i];

        assert(batch->ids[from + i] >= 0 && id < c->vocab_size);
        pl_tensors_read(model->tensors, w->words, e, id * width, width);
        if (w->positions)
            pl_add(e, w->positions + i * width, width);
        if (w->types) {
            const size_t type = batch->type_ids[from + i];

            /* A tokenizer may number more segments than the model tells apart. */
            pl_add(e, w->types + (type < c->type_vocab_size ? type : 0) * width, width);
        }
    }
}

static void deberta_embed(const struct pl_flow *f, pl_real *x)
{
    const struct pl_config *c = &f->net->model->config;
    const struct pl_deberta *w = f->net->model->weights;
    pl_real *e = w->embed_proj ? f->ws->embedded : x;
    const struct pl_dropout dropout =
        pl_pass_dropout(f->pass, f->net->options.hidden_dropout, PL_SITE_EMBEDDING_DROPOUT, 0);

    for (size_t k = 0; k < f->rows.n_runs; k++)
        gather(f->net->model, f->pass->batch, f->rows.first[k],
               f->rows.starts[k + 1] - f->rows.starts[k],
               e + f->rows.starts[k] * c->embedding_size);
    if (w->embed_proj)
        pl_gemm(x, c->hidden_size, (struct pl_matrix){e, c->embedding_size, false},
                (struct pl_matrix){w->embed_proj, c->embedding_size, true}, f->rows.n,
                c->hidden_size, c->embedding_size, 1, 0);
    pl_norm_forward(x, NULL, NULL, x, NULL, NULL, &w->embeddings_norm, f->rows.n, c->hidden_size);
    pl_dropout_rows(&dropout, &f->rows, x, x, c->hidden_size);
}

/* ---- layers ------------------------------------------------------------------------------- */

/* The published code takes this root in float whatever it computes in, and counts the terms that
 * are listed, used or not. */
static double score_scale(const struct pl_config *c)
{
    const size_t terms = 1 + (size_t)c->pos_c2p + (size_t)c->pos_p2c;
    const size_t width = c->hidden_size / c->num_attention_heads;

    return 1 / (double)sqrtf((float)(width * terms));
}

static struct pl_block block_of(const struct pl_flow *f, size_t layer)
{
    const struct pl_net *net = f->net;
    const struct pl_config *c = &net->model->config;
    const struct pl_deberta *w = net->model->weights;
    const bool c2p = net->positions.span && c->pos_c2p, p2c = net->positions.span && c->pos_p2c;
    struct pl_block block = {
        .layer = layer,
        .norms = {&w->layers[layer].norms[0], &w->layers[layer].norms[1]},
        .activation = pl_activation_find(c->hidden_act),
        .attention = {.hidden = c->hidden_size,
                      .heads = c->num_attention_heads,
                      .positions = &net->positions,
                      .scratch = f->ws->attention,
                      .half = net->options.half ? &f->ws->half : NULL},
    };

    block.attention.scale = score_scale(c);
    block.attention.dropout =
        pl_pass_dropout(f->pass, net->options.attention_dropout, PL_SITE_ATTENTION_DROPOUT, layer);
    if (c2p || p2c)
        block.attention.table = &f->pass->tables->layers[layer];
    if (f->grads && net->positions.span) {
        const struct pl_table_sums sums = net->table_sums[layer];

        block.table.table_key = sums.key ? f->grads + sums.key : NULL;
        block.table.table_query = sums.query ? f->grads + sums.query : NULL;
        block.table.table_first = net->positions.first[net->positions.max_length];
    }
    return block;
}

static void deberta_forward(const struct pl_flow *f, size_t layer, const pl_real *x, pl_real *y)
{
    const struct pl_deberta *w = f->net->model->weights;
    const struct pl_block block = block_of(f, layer);

    pl_block_forward(f, &block, x, y);
    if (layer == 0 && w->conv.kernel && !f->again)
        pl_conv_forward(f, &w->conv, x, y);
}

static void deberta_backward(const struct pl_flow *f, size_t layer, const pl_real *x, pl_real *d)
{
    const struct pl_deberta *w = f->net->model->weights;
    const struct pl_block block = block_of(f, layer);

    struct pl_flow whole = *f;

    if (layer == 0 && w->conv.kernel) {
        if (f->firsts)
            pl_spread_rows(d, &f->rows, f->net->model->config.hidden_size);
        whole.firsts = false;
        pl_conv_backward(f, &w->conv, d);
    }
    pl_block_backward(&whole, &block, x, d);
}

const struct pl_architecture pl_architecture_deberta_v2 = {
    .model_type = "deberta-v2",
    .prefix = "deberta.",
    .probe = "embeddings.word_embeddings.weight",
    .pooler = "pooler.dense",
    .classifier = "classifier",
    .class_name = "DebertaV2ForSequenceClassification",
    .bind = deberta_bind,
    .prepare = deberta_prepare,
    .unbind = deberta_unbind,
    .max_length = deberta_max_length,
    .embed = deberta_embed,
    .forward = deberta_forward,
    .backward = deberta_backward,
    .begin_layer = pl_deberta_begin_layer,
    .finish_layer = pl_deberta_finish_layer,
};
