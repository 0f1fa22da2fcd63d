/* net.c - makes a net from a model and settings, and runs shares through it; the layers themselves
 * are the architecture's. */
#include "model/net.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/denormal.h"
#include "math/vector.h"
#include "model/architecture.h"
#include "model/encoder.h"
#include "model/flow.h"
#include "model/precision.h"

/* ---- making one --------------------------------------------------------------------------- */

static void resolve_dropouts(struct pl_net *net)
{
    const struct pl_config *c = &net->model->config;
    struct pl_net_options *o = &net->options;

    if (o->hidden_dropout < 0)
        o->hidden_dropout = c->hidden_dropout_prob;
    if (o->attention_dropout < 0)
        o->attention_dropout = c->attention_probs_dropout_prob;
    if (o->classifier_dropout < 0)
        o->classifier_dropout = net->head.kind->dropout(net->model, o->hidden_dropout);
    net->head.dropout = o->classifier_dropout;
    net->head.dense_dropout =
        net->model->architecture->head.same_dropout ? o->classifier_dropout : c->pooler_dropout;
}

static enum prilora_status check_lengths(const struct pl_net *net, struct prilora_error *err)
{
    const struct pl_net_options *o = &net->options;
    const size_t limit = pl_encoder_max_length(net->model);

    assert(o->max_length && o->max_tokens >= o->max_length && o->max_sequences);
    if (o->max_length > limit)
        return pl_fail(err, PRILORA_EINVAL,
                       "max_length is %zu, but the model has positions for %zu tokens",
                       o->max_length, limit);
    return PRILORA_OK;
}

/* What follows from which maps are adapted. */
static enum prilora_status plan_inputs(struct pl_net *net, struct prilora_error *err)
{
    const struct pl_model *model = net->model;

    net->stats_offsets = pl_calloc(model->n_inputs + 1, sizeof *net->stats_offsets);
    net->stats_wanted = pl_calloc(model->n_inputs, sizeof *net->stats_wanted);
    if (!net->stats_offsets || !net->stats_wanted)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for %zu input statistics", model->n_inputs);
    net->lowest = model->n_inputs;
    for (size_t i = 0; i < model->n_sites; i++) {
        const struct pl_map_site *site = &model->sites[i];
        const size_t rank = net->adapter.maps[i].rank;

        net->stats_offsets[site->input + 1] = site->in;
        if (!rank)
            continue;
        net->stats_wanted[site->input] = true;
        net->lowest = site->input < net->lowest ? site->input : net->lowest;
        net->max_rank = rank > net->max_rank ? rank : net->max_rank;
    }
    for (size_t i = 0; i < model->n_inputs; i++)
        net->stats_offsets[i + 1] += net->stats_offsets[i];
    return PRILORA_OK;
}

/* Place for the gradients of the projected tables that adapted maps made. */
static enum prilora_status plan_sums(struct pl_net *net, struct prilora_error *err)
{
    const struct pl_config *c = &net->model->config;
    const size_t rows = net->positions.span ? net->positions.n[net->options.max_length] : 0;

    net->sum_size = net->layout.size;
    net->table_sums = pl_calloc(c->num_hidden_layers, sizeof *net->table_sums);
    if (!net->table_sums)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for %zu layers", c->num_hidden_layers);
    for (size_t l = 0; rows && c->share_att_key && l < c->num_hidden_layers; l++) {
        const struct pl_lora *maps = &net->adapter.maps[PL_LAYER_MAPS * l];

        if (c->pos_c2p && maps[PL_KEY].rank) {
            net->table_sums[l].key = net->sum_size;
            net->sum_size += rows * c->hidden_size;
        }
        if (c->pos_p2c && maps[PL_QUERY].rank) {
            net->table_sums[l].query = net->sum_size;
            net->sum_size += rows * c->hidden_size;
        }
    }
    return PRILORA_OK;
}

static enum prilora_status plan(struct pl_net *net, const struct prilora_spec *spec,
                                struct prilora_error *err)
{
    const struct pl_model *model = net->model;
    enum prilora_status rc = check_lengths(net, err);

    net->options.half = net->options.half && pl_model_half_possible(model);
    net->head.kind = pl_task_of(net->options.task)->head;
    resolve_dropouts(net);
    if (rc == PRILORA_OK)
        rc = pl_adapter_plan(&net->adapter, &net->layout, model->sites, model->n_sites,
                             model->config.num_hidden_layers, spec, err);
    if (rc == PRILORA_OK)
        rc = net->head.kind->plan(&net->head, &net->layout, model, net->options.n_outputs, err);
    if (rc == PRILORA_OK)
        rc = pl_positions_new(&net->positions, &model->config, net->options.max_length, err);
    if (rc == PRILORA_OK)
        rc = plan_inputs(net, err);
    return rc == PRILORA_OK ? plan_sums(net, err) : rc;
}

enum prilora_status pl_net_new(struct pl_net **out, const struct pl_model *model,
                               const struct prilora_spec *spec,
                               const struct pl_net_options *options, struct prilora_error *err)
{
    struct pl_net *net = pl_calloc(1, sizeof *net);
    enum prilora_status rc;

    *out = NULL;
    if (!net)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for a net");
    net->model = model;
    net->options = *options;
    rc = plan(net, spec, err);
    if (rc == PRILORA_OK)
        *out = net;
    else
        pl_net_free(net);
    return rc;
}

void pl_net_free(struct pl_net *net)
{
    if (!net)
        return;
    pl_adapter_free(&net->adapter);
    pl_layout_free(&net->layout);
    pl_positions_free(&net->positions);
    free(net->stats_offsets);
    free(net->stats_wanted);
    free(net->table_sums);
    free(net);
}

const struct pl_layout *pl_net_layout(const struct pl_net *net)
{
    return &net->layout;
}

const struct pl_adapter *pl_net_adapter(const struct pl_net *net)
{
    return &net->adapter;
}

const struct pl_net_options *pl_net_options(const struct pl_net *net)
{
    return &net->options;
}

size_t pl_net_sum_size(const struct pl_net *net)
{
    return net->sum_size;
}

size_t pl_net_stats_size(const struct pl_net *net)
{
    return net->stats_offsets[net->model->n_inputs];
}

size_t pl_net_stats_offset(const struct pl_net *net, size_t input)
{
    return net->stats_offsets[input];
}

void pl_net_init(const struct pl_net *net, pl_real *params, uint64_t seed,
                 bool *head_from_checkpoint)
{
    bool from_checkpoint;

    memset(params, 0, net->layout.size * sizeof *params);
    for (size_t i = 0; i < net->adapter.n_maps; i++) {
        const struct pl_lora *map = &net->adapter.maps[i];
        const size_t in = net->model->sites[i].in;
        const struct pl_random r = pl_random_at(seed, 0, PL_SITE_INIT_A, i);

        for (size_t j = 0; j < map->rank * in; j++)
            params[map->a + j] = (pl_real)((2 * pl_random_uniform(&r, j) - 1) / sqrt((double)in));
    }
    from_checkpoint = net->head.kind->init(&net->head, net->model, params, seed);
    if (head_from_checkpoint)
        *head_from_checkpoint = from_checkpoint;
}

/* ---- a share ------------------------------------------------------------------------------ */

struct pl_dropout pl_pass_dropout(const struct pl_pass *pass, double p, enum pl_site site,
                                  size_t index)
{
    return pass->train ? pl_dropout_at(p, pass->seed, pass->step, site, index) : pl_dropout_none();
}

void pl_flow_observe(const struct pl_flow *f, size_t layer, size_t stage, const pl_real *x,
                     size_t width)
{
    const size_t input = PL_STAGES * layer + stage;

    enum pl_part before;

    if (!f->stats || !f->net->stats_wanted[input])
        return;
    before = pl_meter_turn(&f->ws->meter, PL_PART_STATISTICS);
    pl_column_squares(f->stats + f->net->stats_offsets[input], x, f->rows.n, width);
    pl_meter_turn(&f->ws->meter, before);
}

void pl_gather_rows(pl_real *x, const struct pl_rows *rows, size_t width)
{
    for (size_t k = 0; k < rows->n_runs; k++)
        memmove(x + k * width, x + rows->starts[k] * width, width * sizeof *x);
}

void pl_spread_rows(pl_real *x, const struct pl_rows *rows, size_t width)
{
    for (size_t k = rows->n_runs; k-- > 0;) {
        const size_t from = rows->starts[k], to = rows->starts[k + 1];

        memmove(x + from * width, x + k * width, width * sizeof *x);
        memset(x + (from + 1) * width, 0, (to - from - 1) * width * sizeof *x);
    }
}

const struct pl_activation_map *pl_activation_find(enum pl_activation activation)
{
    static const struct pl_activation_map *const maps[] = {
        [PL_ACT_GELU] = &pl_map_gelu, [PL_ACT_GELU_TANH] = &pl_map_gelu_tanh,
        [PL_ACT_RELU] = &pl_map_relu, [PL_ACT_TANH] = &pl_map_tanh,
        [PL_ACT_SILU] = &pl_map_silu,
    };

    return maps[activation];
}

/* The share's tokens as runs, one per sequence; the workspace then fits them. */
static struct pl_rows lay_out(struct pl_workspace *ws, const struct pl_net *net,
                              const struct pl_pass *pass, const struct pl_share *share)
{
    struct pl_rows rows = {.n_runs = share->n_sequences, .starts = ws->starts, .first = ws->first};
    struct pl_extent extent = {.n_sequences = share->n_sequences};
    const struct pl_batch *batch = pass->batch;

    assert(share->n_sequences <= net->options.max_sequences);
    ws->starts[0] = 0;
    for (size_t k = 0; k < share->n_sequences; k++) {
        const size_t from = batch->starts[share->sequences[k]];
        const size_t n = batch->starts[share->sequences[k] + 1] - from;

        assert(n > 0 && n <= net->options.max_length);
        ws->first[k] = from;
        ws->starts[k + 1] = ws->starts[k] + n;
        extent.squares += n * n;
    }
    rows.n = extent.n_tokens = ws->starts[share->n_sequences];
    assert(rows.n == share->n_tokens && rows.n <= net->options.max_tokens);
    pl_workspace_fit(ws, net, &extent, pass->train);
    return rows;
}

/* What a sequence of the batch has rows of logits for: itself, or each of its tokens. */
static size_t rows_of(const struct pl_flow *f, size_t sequence, size_t *first)
{
    const size_t *start = &f->pass->batch->starts[sequence];
    const bool tokens = pl_task_of(f->net->options.task)->tokens;

    *first = tokens ? start[0] : sequence;
    return tokens ? start[1] - start[0] : 1;
}

/* The share's part of the mean loss; its gradient into ws->head.dlogits. */
static double losses(const struct pl_flow *f, pl_real *logits)
{
    const struct pl_net *net = f->net;
    const struct pl_batch *batch = f->pass->batch;
    const struct pl_task *task = pl_task_of(net->options.task);
    const size_t n = net->head.n_outputs, width = pl_label_width(net->options.task, n);
    const double weight = 1 / (double)(batch->n_counted ? batch->n_counted : batch->n_sequences);
    const pl_real *z = f->ws->head.logits;
    pl_real *d = f->grads ? f->ws->head.dlogits : NULL;
    double sum = 0;

    for (size_t k = 0; k < f->share->n_sequences; k++) {
        const size_t sequence = f->share->sequences[k];
        size_t first, rows = rows_of(f, sequence, &first), at_once = task->whole ? rows : 1;

        if (logits)
            memcpy(logits + first * n, z, rows * n * sizeof *z);
        for (size_t i = 0; i < rows; i += at_once, z += at_once * n) {
            const size_t row = task->labelled ? first + i : sequence;

            if (batch->labels)
                sum += pl_loss(net->options.task, z, batch->labels + row * width, at_once, n,
                               weight, d);
            d = d ? d + at_once * n : NULL;
        }
    }
    return sum;
}

static void forward(const struct pl_flow *f)
{
    const struct pl_architecture *a = f->net->model->architecture;
    pl_real **hidden = f->ws->hidden;
    const size_t layers = f->net->model->config.num_hidden_layers;

    pl_encoder_embed(f, hidden[0]);
    for (size_t l = 0; l < layers; l++)
        a->forward(f, l, hidden[l], hidden[l + 1]);
    f->net->head.kind->forward(f, hidden[layers]);
}

/* The layers share one place: only the last one's activations are still there. */
static void restore(const struct pl_flow *f, size_t layer)
{
    struct pl_flow again = *f;

    if (!f->net->options.recompute || layer + 1 == f->net->model->config.num_hidden_layers)
        return;
    again.again = true;
    again.stats = NULL;
    f->net->model->architecture->forward(&again, layer, f->ws->hidden[layer],
                                         f->ws->hidden[layer + 1]);
}

static void backward(struct pl_flow *f)
{
    const struct pl_architecture *a = f->net->model->architecture;
    const size_t lowest = f->net->lowest / PL_STAGES;
    const size_t layers = f->net->model->config.num_hidden_layers;

    f->net->head.kind->backward(f, f->ws->hidden[layers], f->ws->gradient);
    f->firsts = !pl_task_of(f->net->options.task)->tokens;
    for (size_t l = layers; l-- > lowest; f->firsts = false) {
        restore(f, l);
        a->backward(f, l, f->ws->hidden[l], f->ws->gradient);
    }
}

void pl_net_share(const struct pl_net *net, const struct pl_pass *pass,
                  const struct pl_share *share, struct pl_workspace *ws, pl_real *grads,
                  pl_real *stats, double *loss, pl_real *logits)
{
    struct pl_flow flow = {.net = net, .pass = pass, .share = share, .ws = ws};
    const uint64_t kept = pl_denormals_flush();
    double part;

    assert(!pass->train || (ws->train && grads && stats));
    pl_meter_start(&ws->meter);
    if (pass->train) {
        flow.grads = grads;
        flow.stats = stats;
        memset(grads, 0, net->sum_size * sizeof *grads);
        memset(stats, 0, pl_net_stats_size(net) * sizeof *stats);
    }
    flow.rows = lay_out(ws, net, pass, share);
    forward(&flow);
    part = losses(&flow, logits);
    if (loss)
        *loss = part;
    if (pass->train)
        backward(&flow);
    pl_meter_turn(&ws->meter, PL_PART_OTHER);
    pl_denormals_restore(kept);
}

void pl_net_begin_layer(const struct pl_net *net, const struct pl_pass *pass, size_t layer,
                        struct pl_workspace *ws)
{
    const struct pl_flow flow = {.net = net, .pass = pass, .ws = ws};
    uint64_t kept;

    if (!net->model->architecture->begin_layer)
        return;
    kept = pl_denormals_flush();
    pl_meter_start(&ws->meter);
    net->model->architecture->begin_layer(&flow, layer);
    pl_meter_turn(&ws->meter, PL_PART_OTHER);
    pl_denormals_restore(kept);
}

void pl_net_finish_layer(const struct pl_net *net, const struct pl_pass *pass, size_t layer,
                         struct pl_workspace *ws, pl_real *grads)
{
    const struct pl_flow flow = {.net = net, .pass = pass, .ws = ws, .grads = grads};
    uint64_t kept;

    if (!net->model->architecture->finish_layer)
        return;
    kept = pl_denormals_flush();
    pl_meter_start(&ws->meter);
    net->model->architecture->finish_layer(&flow, layer);
    pl_meter_turn(&ws->meter, PL_PART_OTHER);
    pl_denormals_restore(kept);
}

/* ---- cost --------------------------------------------------------------------------------- */

/* Of one layer's attention over n tokens: scores, context, and a score for each position term. */
static double attention_operations(const struct pl_net *net, double n)
{
    const struct pl_config *c = &net->model->config;
    const size_t terms = 2 + (net->positions.span ? (size_t)c->pos_c2p + (size_t)c->pos_p2c : 0);

    return 2 * n * n * (double)c->hidden_size * (double)terms;
}

/* Of one product with each of a layer's maps and updates over n tokens, or with the updates alone;
 * over n_after tokens for the maps that follow attention. */
static double map_operations(const struct pl_net *net, size_t layer, double n, double n_after,
                             bool updates_alone)
{
    double sum = 0;

    for (size_t k = 0; k < PL_LAYER_MAPS; k++) {
        const size_t i = PL_LAYER_MAPS * layer + k;
        const struct pl_map_site *site = &net->model->sites[i];
        const double tokens = k < PL_ATTENTION_OUTPUT ? n : n_after;

        if (!updates_alone)
            sum += 2 * tokens * (double)site->in * (double)site->out;
        sum += 2 * tokens * (double)(net->adapter.maps[i].rank * (site->in + site->out));
    }
    return sum;
}

static double forward_operations(const struct pl_net *net, size_t layer, double n)
{
    return attention_operations(net, n) + map_operations(net, layer, n, n, false);
}

/* Gradients of inputs, of both factors of attention's products, and of the updates. After the
 * attention of the last layer only first tokens have any, unless all have labels. */
static double backward_operations(const struct pl_net *net, size_t layer, double n)
{
    const bool last = layer + 1 == net->model->config.num_hidden_layers;
    const double n_after = last && !pl_task_of(net->options.task)->tokens ? 1 : n;

    return 2 * attention_operations(net, n) + map_operations(net, layer, n, n_after, false) +
           map_operations(net, layer, n, n_after, true);
}

/* Of a text of n tokens: one product with each map, and one each for the gradients of inputs and
 * weights. */
static double head_operations(const struct pl_net *net, double n, bool train)
{
    const double inner = (double)net->head.inner, outputs = (double)net->head.n_outputs;
    const int dense = !train ? 1 : net->head.dense_trained ? 3 : 2;

    if (pl_task_of(net->options.task)->tokens)
        return 2 * n * inner * outputs * (train ? 3 : 1);
    return 2 * inner * (inner * dense + outputs * (train ? 3 : 1));
}

/* Of the embeddings' n tokens to the width of the hidden states; nothing goes back through it. */
static double projection_operations(const struct pl_net *net, double n)
{
    const struct pl_linear *projection = &net->model->encoder->projection;

    return projection->weight ? 2 * n * (double)projection->in * (double)projection->out : 0;
}

double pl_net_operations(const struct pl_net *net, size_t n_tokens, bool train)
{
    const size_t lowest = net->lowest / PL_STAGES;
    const double n = (double)n_tokens;
    double sum = head_operations(net, n, train) + projection_operations(net, n);

    for (size_t l = 0; l < net->model->config.num_hidden_layers; l++) {
        sum += forward_operations(net, l, n);
        if (train && l >= lowest)
            sum += backward_operations(net, l, n);
    }
    return sum;
}

double pl_net_repeated_operations(const struct pl_net *net, size_t n_tokens)
{
    const struct pl_config *c = &net->model->config;
    const double n = (double)n_tokens;
    double sum = 0;

    for (size_t l = net->lowest / PL_STAGES; l + 1 < c->num_hidden_layers; l++) {
        const size_t last = PL_LAYER_MAPS * l + PL_OUTPUT;
        const double in = (double)c->intermediate_size, out = (double)c->hidden_size;

        sum += forward_operations(net, l, n) -
               2 * n * (in * out + (double)net->adapter.maps[last].rank * (in + out));
    }
    return net->options.recompute ? sum : 0;
}
