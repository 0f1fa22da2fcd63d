/* tiny.c - see tiny.h. Names and shapes are those of transformers' classes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "io/tensors.h"
#include "support/scratch.h"
#include "support/tiny.h"

enum { MAX_TENSORS = 200 };

/* What a type's classes call things; below the prefix, but for the head. */
struct family {
    const char *type, *prefix;
    const char *layers, *maps[6], *norms[2];
    const char *dense, *classifier;
    bool pads; /* position 0 is after that of the padding */
    /* of config.json */
    const char *hidden, *n_layers, *heads, *wide, *act, *dropout, *attention, *classifier_dropout;
};

#define BERT_LAYER                                                                                 \
    "encoder.layer", {"attention.self.query",   "attention.self.key", "attention.self.value",      \
                      "attention.output.dense", "intermediate.dense", "output.dense"},             \
    {                                                                                              \
        "attention.output.LayerNorm", "output.LayerNorm"                                           \
    }
#define BERT_CONFIG                                                                                \
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act",  \
        "hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"

static const struct family families[] = {
    {"deberta-v2",
     "deberta.",
     "encoder.layer",
     {"attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj",
      "attention.output.dense", "intermediate.dense", "output.dense"},
     {"attention.output.LayerNorm", "output.LayerNorm"},
     "pooler.dense",
     "classifier",
     false,
     BERT_CONFIG},
    {"bert", "bert.", BERT_LAYER, "bert.pooler.dense", "classifier", false, BERT_CONFIG},
    {"distilbert",
     "distilbert.",
     "transformer.layer",
     {"attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "ffn.lin1",
      "ffn.lin2"},
     {"sa_layer_norm", "output_layer_norm"},
     "pre_classifier",
     "classifier",
     false,
     "dim",
     "n_layers",
     "n_heads",
     "hidden_dim",
     "activation",
     "dropout",
     "attention_dropout",
     "seq_classif_dropout"},
    {"electra", "electra.", BERT_LAYER, "classifier.dense", "classifier.out_proj", false,
     BERT_CONFIG},
    {"roberta", "roberta.", BERT_LAYER, "classifier.dense", "classifier.out_proj", true,
     BERT_CONFIG},
    {"xlm-roberta", "roberta.", BERT_LAYER, "classifier.dense", "classifier.out_proj", true,
     BERT_CONFIG},
    {"camembert", "roberta.", BERT_LAYER, "classifier.dense", "classifier.out_proj", true,
     BERT_CONFIG},
};

const char *const test_tiny_types[] = {"deberta-v2", "bert",        "distilbert", "electra",
                                       "roberta",    "xlm-roberta", "camembert",  NULL};

static const struct family *family_of(const struct test_tiny *tiny)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(families[i].type, tiny->type) == 0)
            return &families[i];
    fail_msg("%s: no such type", tiny->type);
    return NULL;
}

static bool is_deberta(const struct test_tiny *tiny)
{
    return strcmp(tiny->type, "deberta-v2") == 0;
}

struct maker {
    const struct test_tiny *tiny;
    const struct family *family;
    struct pl_tensor tensors[MAX_TENSORS];
    size_t n;
};

static void add_full(struct maker *m, const char *name, size_t n_dims, const size_t *dims,
                     double middle)
{
    struct pl_tensor *t = &m->tensors[m->n];
    struct pl_random r = pl_random_at(m->n + 1, 0, PL_SITE_INIT_A, 0);
    float *data;

    if (m->tiny->omit && strcmp(m->tiny->omit, name) == 0)
        return;
    assert_true(m->n < MAX_TENSORS);
    *t = (struct pl_tensor){.dtype = PL_F32, .n_dims = n_dims, .n_elements = 1};
    for (size_t i = 0; i < n_dims; i++) {
        t->dims[i] = dims[i];
        if (i == 0 && m->tiny->widen && strcmp(m->tiny->widen, name) == 0)
            t->dims[i]++;
        t->n_elements *= t->dims[i];
    }
    t->name = pl_strdup(name);
    data = pl_alloc(t->n_elements, sizeof *data);
    assert_true(t->name && data);
    for (size_t i = 0; i < t->n_elements; i++)
        data[i] = (float)(middle + 0.4 * pl_random_normal(&r, i));
    t->data = data;
    m->n++;
}

static void add(struct maker *m, const char *name, size_t n_dims, const size_t *dims, double middle)
{
    char full[256];

    snprintf(full, sizeof full, "%s%s", m->tiny->bare ? "" : m->family->prefix, name);
    add_full(m, full, n_dims, dims, middle);
}

static void add_norm(struct maker *m, const char *path, size_t width)
{
    char name[200];

    snprintf(name, sizeof name, "%s.%s", path, m->tiny->old_norms ? "gamma" : "weight");
    add(m, name, 1, &width, 1);
    snprintf(name, sizeof name, "%s.%s", path, m->tiny->old_norms ? "beta" : "bias");
    add(m, name, 1, &width, 0);
}

static void add_linear(struct maker *m, const char *path, size_t out, size_t in)
{
    char name[200];

    snprintf(name, sizeof name, "%s.weight", path);
    add(m, name, 2, (const size_t[]){out, in}, 0);
    snprintf(name, sizeof name, "%s.bias", path);
    add(m, name, 1, &out, 0);
}

static void add_layer(struct maker *m, size_t layer)
{
    const struct test_tiny *t = m->tiny;
    const struct family *f = m->family;
    const struct {
        const char *path;
        size_t out, in;
        bool wanted;
    } maps[] = {
        {f->maps[0], t->hidden, t->hidden, true},
        {f->maps[1], t->hidden, t->hidden, true},
        {f->maps[2], t->hidden, t->hidden, true},
        {"attention.self.pos_key_proj", t->hidden, t->hidden,
         t->separate && strstr(t->pos_att_type, "c2p")},
        {"attention.self.pos_query_proj", t->hidden, t->hidden,
         t->separate && strstr(t->pos_att_type, "p2c")},
        {f->maps[3], t->hidden, t->hidden, true},
        {f->maps[4], t->wide, t->hidden, true},
        {f->maps[5], t->hidden, t->wide, true},
    };
    char path[160];

    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        snprintf(path, sizeof path, "%s.%zu.%s", f->layers, layer, maps[i].path);
        if (maps[i].wanted)
            add_linear(m, path, maps[i].out, maps[i].in);
    }
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s.%zu.%s", f->layers, layer, f->norms[i]);
        add_norm(m, path, t->hidden);
    }
}

static size_t table_rows(const struct test_tiny *t)
{
    if (t->buckets > 0)
        return 2 * (size_t)t->buckets;
    return 2 * (t->max_relative > 0 ? (size_t)t->max_relative : t->positions);
}

static void add_embeddings(struct maker *m)
{
    const struct test_tiny *t = m->tiny;
    const bool electra = strcmp(t->type, "electra") == 0;

    add(m, "embeddings.word_embeddings.weight", 2, (const size_t[]){t->vocab, t->embedding}, 0);
    if (t->biased)
        add(m, "embeddings.position_embeddings.weight", 2,
            (const size_t[]){t->positions, t->embedding}, 0);
    if (t->types)
        add(m, "embeddings.token_type_embeddings.weight", 2,
            (const size_t[]){t->types, t->embedding}, 0);
    if (t->embedding != t->hidden && !electra)
        add(m, "embeddings.embed_proj.weight", 2, (const size_t[]){t->hidden, t->embedding}, 0);
    add_norm(m, "embeddings.LayerNorm", electra ? t->embedding : t->hidden);
    if (t->embedding != t->hidden && electra)
        add_linear(m, "embeddings_project", t->hidden, t->embedding);
}

static void add_relative(struct maker *m)
{
    const struct test_tiny *t = m->tiny;

    if (t->pos_att_type)
        add(m, "encoder.rel_embeddings.weight", 2, (const size_t[]){table_rows(t), t->hidden}, 0);
    if (t->norm_rel)
        add_norm(m, "encoder.LayerNorm", t->hidden);
    if (t->conv_kernel) {
        add(m, "encoder.conv.conv.weight", 3,
            (const size_t[]){t->hidden, t->hidden / t->conv_groups, t->conv_kernel}, 0);
        add(m, "encoder.conv.conv.bias", 1, &t->hidden, 0);
        add_norm(m, "encoder.conv.LayerNorm", t->hidden);
    }
}

static void add_head(struct maker *m, const char *path, size_t out)
{
    char name[200];

    snprintf(name, sizeof name, "%s.weight", path);
    add_full(m, name, 2, (const size_t[]){out, m->tiny->hidden}, 0);
    snprintf(name, sizeof name, "%s.bias", path);
    add_full(m, name, 1, &out, 0);
}

static void add_all(struct maker *m)
{
    const struct test_tiny *t = m->tiny;
    const struct family *f = m->family;
    const size_t skip = t->bare && strstr(f->dense, f->prefix) ? strlen(f->prefix) : 0;

    add_embeddings(m);
    add_relative(m);
    for (size_t l = 0; l < t->layers; l++)
        add_layer(m, l);
    if (t->labels || t->pooler)
        add_head(m, f->dense + skip, t->hidden);
    if (t->labels)
        add_head(m, f->classifier, t->labels);
    if (t->answers)
        add_head(m, "qa_outputs", t->answers);
    if (t->extra)
        add_full(m, t->extra, 1, &t->hidden, 0);
}

static int write_other(char *json, size_t room, const struct test_tiny *t, const struct family *f)
{
    char more[256] = "";

    if (t->classifier_dropout > 0)
        snprintf(more, sizeof more, ", \"%s\": %g", f->classifier_dropout, t->classifier_dropout);
    if (strcmp(t->type, "electra") == 0)
        snprintf(more + strlen(more), sizeof more - strlen(more), ", \"embedding_size\": %zu",
                 t->embedding);
    if (strcmp(t->type, "distilbert") != 0)
        snprintf(more + strlen(more), sizeof more - strlen(more), ", \"type_vocab_size\": %zu",
                 t->types);
    return snprintf(json, room,
                    "{\"model_type\": \"%s\", \"vocab_size\": %zu, \"%s\": %zu, \"%s\": %zu, "
                    "\"%s\": %zu, \"%s\": %zu, \"max_position_embeddings\": %zu, \"%s\": \"%s\", "
                    "\"%s\": %g, \"%s\": %g, \"pad_token_id\": %ld, "
                    "\"initializer_range\": 0.5%s}",
                    t->type, t->vocab, f->hidden, t->hidden, f->n_layers, t->layers, f->heads,
                    t->heads, f->wide, t->wide, t->positions, f->act, t->hidden_act, f->dropout,
                    t->dropout, f->attention, t->dropout, t->padding, more);
}

static int write_deberta(char *json, size_t room, const struct test_tiny *t)
{
    return snprintf(
        json, room,
        "{\"model_type\": \"deberta-v2\", \"vocab_size\": %zu, \"hidden_size\": %zu, "
        "\"embedding_size\": %zu, \"num_hidden_layers\": %zu, \"num_attention_heads\": %zu, "
        "\"intermediate_size\": %zu, \"max_position_embeddings\": %zu, \"type_vocab_size\": %zu, "
        "\"position_buckets\": %ld, \"max_relative_positions\": %ld, \"pos_att_type\": \"%s\", "
        "\"relative_attention\": %s, \"share_att_key\": %s, \"position_biased_input\": %s, "
        "\"norm_rel_ebd\": \"%s\", \"conv_kernel_size\": %zu, \"conv_groups\": %zu, "
        "\"hidden_act\": \"%s\", \"conv_act\": \"%s\", \"pooler_hidden_act\": \"%s\", "
        "\"hidden_dropout_prob\": %g, \"attention_probs_dropout_prob\": %g, "
        "\"pooler_dropout\": %g, \"initializer_range\": 0.5}",
        t->vocab, t->hidden, t->embedding, t->layers, t->heads, t->wide, t->positions, t->types,
        t->buckets, t->max_relative, t->pos_att_type ? t->pos_att_type : "",
        t->pos_att_type ? "true" : "false", t->separate ? "false" : "true",
        t->biased ? "true" : "false", t->norm_rel ? "layer_norm" : "none", t->conv_kernel,
        t->conv_groups, t->hidden_act, t->conv_act, t->pooler_act, t->dropout, t->dropout,
        t->pooler_dropout);
}

static void write_config(const char *path, const struct test_tiny *t)
{
    struct prilora_error err = {0};
    char json[2048];
    int n = is_deberta(t) ? write_deberta(json, sizeof json, t)
                          : write_other(json, sizeof json, t, family_of(t));

    assert_true(n > 0 && (size_t)n < sizeof json);
    if (pl_file_replace_bytes(path, json, (size_t)n, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
}

static struct test_tiny completed(const struct test_tiny *given)
{
    struct test_tiny t = *given;
    const struct family *f;

    t.type = t.type ? t.type : "deberta-v2";
    f = family_of(&t);
    if (!is_deberta(&t)) {
        t.biased = true;
        t.types = strcmp(t.type, "distilbert") == 0 ? 0 : t.types ? t.types : f->pads ? 1 : 2;
        t.padding = f->pads && !t.padding ? 1 : t.padding;
    }
    t.vocab = t.vocab ? t.vocab : 30;
    t.hidden = t.hidden ? t.hidden : 16;
    t.embedding = t.embedding ? t.embedding : t.hidden;
    t.layers = t.layers ? t.layers : 2;
    t.heads = t.heads ? t.heads : 2;
    t.wide = t.wide ? t.wide : 24;
    t.positions = t.positions ? t.positions : f->pads ? (size_t)(17 + t.padding) : 16;
    t.buckets = t.buckets ? t.buckets : -1;
    t.max_relative = t.max_relative ? t.max_relative : -1;
    t.conv_groups = t.conv_groups ? t.conv_groups : 1;
    t.hidden_act = t.hidden_act ? t.hidden_act : "gelu";
    t.conv_act = t.conv_act ? t.conv_act : "tanh";
    t.pooler_act = t.pooler_act ? t.pooler_act : "gelu";
    return t;
}

const char *test_tiny_write(const char *name, const struct test_tiny *given)
{
    const struct test_tiny tiny = completed(given);
    struct maker *m = pl_calloc(1, sizeof *m);
    struct prilora_error err = {0};
    const char *folder = test_scratch_path(name);
    char path[512];

    assert_non_null(m);
    m->tiny = &tiny;
    m->family = family_of(&tiny);
    if (pl_file_make_folder(folder, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    snprintf(path, sizeof path, "%s/config.json", folder);
    write_config(path, &tiny);
    add_all(m);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    if (pl_safetensors_write(path, m->tensors, m->n, NULL, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < m->n; i++) {
        free((char *)(uintptr_t)m->tensors[i].name);
        free((void *)(uintptr_t)m->tensors[i].data);
    }
    free(m);
    return folder;
}
