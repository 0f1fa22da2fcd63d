/*
 * test_plain.c - logits of every variant of the architecture against a second implementation that
 * is nothing but the definitions: loops over single numbers, tensors read by name, no packing, no
 * products of matrices, positions looked up pair by pair. The reference data in tests/golden has
 * only the v3 form; this has the others. In double, so that only an error can differ by more than
 * 1e-11.
 *
 * Source   the formulas of He et al. 2020 (arXiv:2006.03654), operations in the order of
 *          transformers' DebertaV2Model
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "support/rig.h"
#include "support/scratch.h"
#include "support/tiny.h"

_Static_assert(sizeof(pl_real) == sizeof(double), "compared in double");

enum { MAX_WIDTH = 32, MAX_TOKENS = 12, OUTPUTS = 3 };

static struct test_rig rig;

/* The tensor `path` of the checkpoint. */
static const struct pl_tensor *tensor(const char *path)
{
    char name[200];
    const struct pl_tensor *t;

    snprintf(name, sizeof name, "deberta.%s", path);
    t = pl_tensors_find(rig.model->tensors, name);
    if (!t)
        fail_msg("no %s", name);
    return t;
}

static double number(const struct pl_tensor *t, size_t i)
{
    double x;

    pl_tensor_read(t, &x, i, 1);
    return x;
}

static double element(const char *path, size_t i)
{
    return number(tensor(path), i);
}

static double param(const char *name, size_t i)
{
    return rig.params[pl_layout_find(pl_net_layout(rig.net), name)->offset + i];
}

/* y [out] = W x + b, and the adapter of the map if it has one. */
static void linear(double *y, const double *x, const char *base, const char *path, size_t out,
                   size_t in)
{
    char weight[160], bias[160], a[160], b[160];
    const struct pl_param *at_a, *at_b;
    const struct pl_tensor *w;

    snprintf(weight, sizeof weight, "%s%s.weight", base, path);
    snprintf(bias, sizeof bias, "%s%s.bias", base, path);
    snprintf(a, sizeof a, "deberta.%s%s.lora_A", base, path);
    snprintf(b, sizeof b, "deberta.%s%s.lora_B", base, path);
    w = tensor(weight);
    at_a = pl_layout_find(pl_net_layout(rig.net), a);
    at_b = pl_layout_find(pl_net_layout(rig.net), b);
    for (size_t i = 0; i < out; i++) {
        const size_t r = at_a ? at_a->rows : 0;

        y[i] = element(bias, i);
        for (size_t j = 0; j < in; j++)
            y[i] += number(w, i * in + j) * x[j];
        for (size_t k = 0; k < r; k++)
            for (size_t j = 0; j < in; j++)
                y[i] += 16.0 / (double)r * rig.params[at_b->offset + i * r + k] *
                        rig.params[at_a->offset + k * in + j] * x[j];
    }
}

static void norm(double *x, const char *base, const char *path)
{
    const size_t n = rig.model->config.hidden_size;
    double mean = 0, variance = 0;
    char weight[160], bias[160];

    snprintf(weight, sizeof weight, "%s%s.weight", base, path);
    snprintf(bias, sizeof bias, "%s%s.bias", base, path);
    for (size_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (size_t i = 0; i < n; i++)
        x[i] =
            (x[i] - mean) / sqrt(variance + rig.model->config.layer_norm_eps) * element(weight, i) +
            element(bias, i);
}

static double gelu(double x)
{
    return x * 0.5 * (1 + erf(x / sqrt(2)));
}

static void embed(double *x, size_t token, size_t position)
{
    const struct pl_config *c = &rig.model->config;
    double e[MAX_WIDTH];

    for (size_t i = 0; i < c->embedding_size; i++) {
        e[i] = element("embeddings.word_embeddings.weight",
                       (size_t)rig.ids[token] * c->embedding_size + i);
        if (c->position_biased_input)
            e[i] +=
                element("embeddings.position_embeddings.weight", position * c->embedding_size + i);
        if (c->type_vocab_size)
            e[i] += element("embeddings.token_type_embeddings.weight",
                            rig.type_ids[token] * c->embedding_size + i);
    }
    for (size_t i = 0; i < c->hidden_size; i++) {
        x[i] = c->embedding_size == c->hidden_size ? e[i] : 0;
        for (size_t j = 0; c->embedding_size != c->hidden_size && j < c->embedding_size; j++)
            x[i] += element("embeddings.embed_proj.weight", i * c->embedding_size + j) * e[j];
    }
    norm(x, "", "embeddings.LayerNorm");
}

/* Row of the table for a distance: the published formula, number by number. */
static size_t row_of(long distance)
{
    const struct pl_config *c = &rig.model->config;
    const long most = c->max_relative_positions > 0 ? c->max_relative_positions
                                                    : (long)c->max_position_embeddings;
    const long span = c->position_buckets > 0 ? c->position_buckets : most;
    const long mid = c->position_buckets / 2, size = labs(distance);
    long row = distance;

    if (c->position_buckets > 0 && size > mid)
        row = (distance < 0 ? -1 : 1) *
              (mid + (long)ceil(log((double)size / (double)mid) /
                                log((double)(most - 1) / (double)mid) * (double)(mid - 1)));
    row += span;
    return (size_t)(row < 0 ? 0 : row > 2 * span - 1 ? 2 * span - 1 : row);
}

/* The layer's projection of the table's row for a distance. */
static void position(double *y, size_t layer, const char *shared, const char *own, long distance)
{
    const struct pl_config *c = &rig.model->config;
    double x[MAX_WIDTH];
    char path[100];

    for (size_t i = 0; i < c->hidden_size; i++)
        x[i] = element("encoder.rel_embeddings.weight", row_of(distance) * c->hidden_size + i);
    if (c->norm_rel_ebd)
        norm(x, "", "encoder.LayerNorm");
    snprintf(path, sizeof path, "encoder.layer.%zu.attention.self.", layer);
    linear(y, x, path, c->share_att_key ? shared : own, c->hidden_size, c->hidden_size);
}

static double product(const double *x, const double *y, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

static void scores_of(double *scores, size_t layer, size_t head, size_t i, size_t n,
                      double (*q)[MAX_WIDTH], double (*k)[MAX_WIDTH])
{
    const struct pl_config *c = &rig.model->config;
    const size_t d = c->hidden_size / c->num_attention_heads, at = head * d;
    const double terms = 1 + (c->pos_c2p ? 1 : 0) + (c->pos_p2c ? 1 : 0);
    double table[MAX_WIDTH];

    for (size_t j = 0; j < n; j++) {
        const long distance = (long)i - (long)j;

        scores[j] = product(q[i] + at, k[j] + at, d);
        if (c->relative_attention && c->pos_c2p) {
            position(table, layer, "key_proj", "pos_key_proj", distance);
            scores[j] += product(q[i] + at, table + at, d);
        }
        if (c->relative_attention && c->pos_p2c) {
            position(table, layer, "query_proj", "pos_query_proj", distance);
            scores[j] += product(k[j] + at, table + at, d);
        }
        scores[j] /= (double)sqrtf((float)d * (float)terms); /* in float, as published */
    }
}

static void attend(double *context, size_t layer, size_t i, size_t n, double (*q)[MAX_WIDTH],
                   double (*k)[MAX_WIDTH], double (*v)[MAX_WIDTH])
{
    const struct pl_config *c = &rig.model->config;
    const size_t d = c->hidden_size / c->num_attention_heads;

    for (size_t head = 0; head < c->num_attention_heads; head++) {
        double scores[MAX_TOKENS], sum = 0;

        scores_of(scores, layer, head, i, n, q, k);
        for (size_t j = 0; j < n; j++)
            sum += scores[j] = exp(scores[j]);
        for (size_t m = head * d; m < (head + 1) * d; m++) {
            context[m] = 0;
            for (size_t j = 0; j < n; j++)
                context[m] += scores[j] / sum * v[j][m];
        }
    }
}

static void plain_layer(double (*x)[MAX_WIDTH], size_t layer, size_t n)
{
    const struct pl_config *c = &rig.model->config;
    const size_t hidden = c->hidden_size, wide = c->intermediate_size;
    static double q[MAX_TOKENS][MAX_WIDTH], k[MAX_TOKENS][MAX_WIDTH], v[MAX_TOKENS][MAX_WIDTH];
    double context[MAX_WIDTH], t[MAX_WIDTH], u[MAX_WIDTH];
    char base[60];

    snprintf(base, sizeof base, "encoder.layer.%zu.", layer);
    for (size_t i = 0; i < n; i++) {
        linear(q[i], x[i], base, "attention.self.query_proj", hidden, hidden);
        linear(k[i], x[i], base, "attention.self.key_proj", hidden, hidden);
        linear(v[i], x[i], base, "attention.self.value_proj", hidden, hidden);
    }
    for (size_t i = 0; i < n; i++) {
        attend(context, layer, i, n, q, k, v);
        linear(t, context, base, "attention.output.dense", hidden, hidden);
        for (size_t m = 0; m < hidden; m++)
            x[i][m] += t[m];
        norm(x[i], base, "attention.output.LayerNorm");
        linear(u, x[i], base, "intermediate.dense", wide, hidden);
        for (size_t m = 0; m < wide; m++)
            u[m] = gelu(u[m]);
        linear(t, u, base, "output.dense", hidden, wide);
        for (size_t m = 0; m < hidden; m++)
            x[i][m] += t[m];
        norm(x[i], base, "output.LayerNorm");
    }
}

/* x: after the first layer; e: what went into it. */
static void convolve(double (*x)[MAX_WIDTH], double (*e)[MAX_WIDTH], size_t n)
{
    const struct pl_config *c = &rig.model->config;
    const size_t hidden = c->hidden_size, width = hidden / c->conv_groups;
    const long half = (long)c->conv_kernel_size / 2;

    for (size_t i = 0; i < n; i++) {
        for (size_t o = 0; o < hidden; o++) {
            double sum = element("encoder.conv.conv.bias", o);

            for (size_t in = 0; in < width; in++) {
                for (size_t tap = 0; tap < c->conv_kernel_size; tap++) {
                    const long from = (long)i + (long)tap - half;

                    if (from >= 0 && from < (long)n)
                        sum += element("encoder.conv.conv.weight",
                                       (o * width + in) * c->conv_kernel_size + tap) *
                               e[from][o / width * width + in];
                }
            }
            x[i][o] += tanh(sum);
        }
        norm(x[i], "", "encoder.conv.LayerNorm");
    }
}

static void plain_logits(double *logits, size_t sequence)
{
    const struct pl_config *c = &rig.model->config;
    const size_t from = rig.starts[sequence], n = rig.starts[sequence + 1] - from;
    static double x[MAX_TOKENS][MAX_WIDTH], e[MAX_TOKENS][MAX_WIDTH];
    double pooled[MAX_WIDTH];

    for (size_t i = 0; i < n; i++)
        embed(e[i], from + i, i);
    memcpy(x, e, sizeof x);
    for (size_t layer = 0; layer < c->num_hidden_layers; layer++) {
        plain_layer(x, layer, n);
        if (layer == 0 && c->conv_kernel_size)
            convolve(x, e, n);
    }
    for (size_t i = 0; i < c->hidden_size; i++) {
        pooled[i] = param("pooler.dense.bias", i);
        for (size_t j = 0; j < c->hidden_size; j++)
            pooled[i] += param("pooler.dense.weight", i * c->hidden_size + j) * x[0][j];
        pooled[i] = gelu(pooled[i]);
    }
    for (size_t o = 0; o < OUTPUTS; o++) {
        logits[o] = param("classifier.bias", o);
        for (size_t j = 0; j < c->hidden_size; j++)
            logits[o] += param("classifier.weight", o * c->hidden_size + j) * pooled[j];
    }
}

static void agrees(const struct test_tiny *tiny)
{
    static const long ranks[] = {3, 2};
    static const size_t lengths[] = {5, 1, 12, 3};
    const struct pl_net_options options = {.task = PRILORA_TASK_CLASSIFICATION,
                                           .n_outputs = OUTPUTS,
                                           .max_tokens = 32,
                                           .max_sequences = 4,
                                           .max_length = MAX_TOKENS + 2};
    double logits[OUTPUTS];

    test_rig_open(&rig, test_tiny_write("model", tiny), ranks, 2, NULL, 0, &options);
    test_rig_batch(&rig, lengths, 4);
    test_fill(rig.params, pl_net_layout(rig.net)->size, 0.3, 99);
    test_rig_loss(&rig);
    for (size_t s = 0; s < 4; s++) {
        plain_logits(logits, s);
        for (size_t o = 0; o < OUTPUTS; o++)
            if (!(fabs(logits[o] - rig.logits[s * OUTPUTS + o]) < 1e-11))
                fail_msg("sequence %zu output %zu is %.15g, by definition %.15g", s, o,
                         rig.logits[s * OUTPUTS + o], logits[o]);
    }
    test_rig_close(&rig);
}

#define V3_TINY .pos_att_type = "p2c|c2p", .buckets = 6, .norm_rel = true

static void version_three_is_its_definition(void **state)
{
    (void)state;
    agrees(&(struct test_tiny){V3_TINY});
}

static void the_convolution_is_its_definition(void **state)
{
    (void)state;
    agrees(&(struct test_tiny){V3_TINY, .conv_kernel = 3});
    agrees(&(struct test_tiny){V3_TINY, .conv_kernel = 7, .conv_groups = 4});
}

static void separate_projections_are_their_definition(void **state)
{
    (void)state;
    agrees(&(struct test_tiny){V3_TINY, .separate = true});
}

static void single_position_terms_are_their_definition(void **state)
{
    (void)state;
    agrees(&(struct test_tiny){.pos_att_type = "c2p", .buckets = 6});
    agrees(&(struct test_tiny){.pos_att_type = "p2c", .buckets = 8, .separate = true});
}

static void tables_without_buckets_are_their_definition(void **state)
{
    (void)state;
    agrees(&(struct test_tiny){.pos_att_type = "p2c|c2p"});
    agrees(&(struct test_tiny){.pos_att_type = "p2c|c2p", .max_relative = 5});
}

static void all_embeddings_are_their_definition(void **state)
{
    (void)state;
    agrees(&(struct test_tiny){.biased = true, .types = 2});
    agrees(&(struct test_tiny){V3_TINY, .biased = true, .types = 2, .embedding = 10});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_three_is_its_definition),
        cmocka_unit_test(the_convolution_is_its_definition),
        cmocka_unit_test(separate_projections_are_their_definition),
        cmocka_unit_test(single_position_terms_are_their_definition),
        cmocka_unit_test(tables_without_buckets_are_their_definition),
        cmocka_unit_test(all_embeddings_are_their_definition),
    };

    return cmocka_run_group_tests_name("plain", tests, test_scratch_open, test_scratch_close);
}
