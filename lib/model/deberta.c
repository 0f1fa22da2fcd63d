/*
 * deberta.c - DeBERTa v2 and v3: what they have beside a plain encoder, relative positions and the
 * convolution of the first layer.
 *
 * Source   He et al. 2020, arXiv:2006.03654, and 2021, arXiv:2111.09543; names and order of
 *          operations are those of transformers' DebertaV2Model
 */
#include "model/deberta.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "math/vector.h"
#include "model/architecture.h"

/* ---- opening ------------------------------------------------------------------------------ */

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

/* Position maps of its own, where a layer does not send the table through its query and key. */
static void bind_positions(struct pl_model *model, struct pl_deberta *w, size_t layer,
                           struct pl_binder *binder)
{
    const struct pl_config *c = &model->config;
    struct pl_deberta_layer *own = &w->layers[layer];
    const bool separate = pl_position_span(c) && !c->share_att_key;
    char path[PL_BINDER_MAX_NAME];

    snprintf(path, sizeof path, "encoder.layer.%zu.attention.self.pos_key_proj", layer);
    if (separate && c->pos_c2p)
        pl_bind_linear(binder, &own->position_key, path, c->hidden_size, c->hidden_size, true);
    snprintf(path, sizeof path, "encoder.layer.%zu.attention.self.pos_query_proj", layer);
    if (separate && c->pos_p2c)
        pl_bind_linear(binder, &own->position_query, path, c->hidden_size, c->hidden_size, true);
}

static void deberta_bind(struct pl_model *model, struct pl_binder *binder)
{
    const size_t layers = model->config.num_hidden_layers;
    struct pl_deberta *w = pl_calloc(1, sizeof *w);

    model->own = w;
    if (w)
        w->layers = pl_calloc(layers, sizeof *w->layers);
    if (!w || !w->layers) {
        pl_binder_fail(binder, PRILORA_ENOMEM, "no memory for the model's layers");
        return;
    }
    if (!pl_encoder_open(model, binder))
        return;
    pl_encoder_bind_embeddings(model, binder);
    bind_encoder(w, &model->config, binder);
    for (size_t layer = 0; layer < layers; layer++) {
        pl_encoder_bind_layer(model, layer, binder);
        bind_positions(model, w, layer, binder);
    }
}

static void deberta_unbind(struct pl_model *model)
{
    struct pl_deberta *w = model->own;

    if (!w)
        return;
    free(w->table);
    free(w->conv.taps);
    free(w->layers);
    free(w);
    model->own = NULL;
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
    struct pl_deberta *w = model->own;

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
    const bool c2p = net->positions.span && c->pos_c2p, p2c = net->positions.span && c->pos_p2c;
    struct pl_block block = pl_encoder_block(f, layer);

    block.attention.scale = score_scale(c);
    block.attention.positions = &net->positions;
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
    const struct pl_deberta *w = f->net->model->own;
    const struct pl_block block = block_of(f, layer);

    pl_block_forward(f, &block, x, y);
    if (layer == 0 && w->conv.kernel && !f->again)
        pl_conv_forward(f, &w->conv, x, y);
}

static void deberta_backward(const struct pl_flow *f, size_t layer, const pl_real *x, pl_real *d)
{
    const struct pl_deberta *w = f->net->model->own;
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
    .class_name = "DebertaV2ForSequenceClassification",
    .encoder = {.layers = "encoder.layer",
                .maps = {"attention.self.query_proj", "attention.self.key_proj",
                         "attention.self.value_proj", "attention.output.dense",
                         "intermediate.dense", "output.dense"},
                .norms = {"attention.output.LayerNorm", "output.LayerNorm"},
                .projection = "embeddings.embed_proj"},
    .head = {.dense = "pooler.dense",
             .classifier = "classifier",
             .own_dropout = true,
             .activation = PL_ACT_CONFIGURED},
    .bind = deberta_bind,
    .prepare = deberta_prepare,
    .unbind = deberta_unbind,
    .forward = deberta_forward,
    .backward = deberta_backward,
    .begin_layer = pl_deberta_begin_layer,
    .finish_layer = pl_deberta_finish_layer,
};
