/*
 * random_model.c - a DeBERTa-v3 checkpoint of a published shape, filled with random numbers of the
 * usual initialiser range: as much work as the real one, without its gigabyte of download.
 */
#include "random_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "io/tensors.h"

#define SPM "examples/prilora-mini-en/spm.model"

struct shape {
    const char *name;
    size_t hidden, layers, heads, intermediate, vocab;
};

/* config.json of microsoft/deberta-v3-* */
static const struct shape shapes[] = {
    {"deberta-v3-small", 768, 6, 12, 3072, 128100},
    {"deberta-v3-base", 768, 12, 12, 3072, 128100},
    {"deberta-v3-large", 1024, 24, 16, 4096, 128100},
};

struct writer {
    struct pl_tensor tensors[1024];
    size_t n;
    bool out_of_memory;
};

static void add(struct writer *w, const char *name, size_t rows, size_t cols, float mean)
{
    size_t n = rows * cols;
    float *data = pl_alloc(n, sizeof *data);
    char *copy = pl_strdup(name);
    struct pl_random r = pl_random_at(7, 0, PL_SITE_INIT_HEAD, w->n);

    if (!data || !copy) {
        w->out_of_memory = true;
        free(data);
        free(copy);
        return;
    }
    /* uniform of the same deviation as a normal of 0.02: quick to make */
    for (size_t i = 0; i < n; i += 4) {
        uint32_t four[4];

        pl_random_block(&r, i / 4, four);
        for (size_t k = 0; k < 4 && i + k < n; k++)
            data[i + k] = mean + (float)((double)four[k] * 0x1p-32 - 0.5) * 0.0693f;
    }
    w->tensors[w->n++] = (struct pl_tensor){
        .name = copy,
        .dtype = PL_F32,
        .n_dims = rows == 1 ? 1 : 2,
        .dims = {rows == 1 ? cols : rows, cols},
        .n_elements = n,
        .data = data,
    };
}

static void add_linear(struct writer *w, const char *path, size_t out, size_t in)
{
    char name[160];

    snprintf(name, sizeof name, "%s.weight", path);
    add(w, name, out, in, 0);
    snprintf(name, sizeof name, "%s.bias", path);
    add(w, name, 1, out, 0);
}

static void add_norm(struct writer *w, const char *path, size_t width)
{
    char name[160];

    snprintf(name, sizeof name, "%s.LayerNorm.weight", path);
    add(w, name, 1, width, 1);
    snprintf(name, sizeof name, "%s.LayerNorm.bias", path);
    add(w, name, 1, width, 0);
}

static void add_layer(struct writer *w, const struct shape *s, size_t layer)
{
    static const char *const square[] = {"self.query_proj", "self.key_proj", "self.value_proj",
                                         "output.dense"};
    char path[128];

    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "deberta.encoder.layer.%zu.attention.%s", layer, square[i]);
        add_linear(w, path, s->hidden, s->hidden);
    }
    snprintf(path, sizeof path, "deberta.encoder.layer.%zu.attention.output", layer);
    add_norm(w, path, s->hidden);
    snprintf(path, sizeof path, "deberta.encoder.layer.%zu.intermediate.dense", layer);
    add_linear(w, path, s->intermediate, s->hidden);
    snprintf(path, sizeof path, "deberta.encoder.layer.%zu.output.dense", layer);
    add_linear(w, path, s->hidden, s->intermediate);
    snprintf(path, sizeof path, "deberta.encoder.layer.%zu.output", layer);
    add_norm(w, path, s->hidden);
}

static enum prilora_status write_config(const char *folder, const struct shape *s,
                                        struct prilora_error *err)
{
    char text[1024], *path = pl_file_join(folder, "config.json");
    enum prilora_status rc;

    if (!path)
        return pl_fail(err, PRILORA_ENOMEM, "out of memory");
    snprintf(text, sizeof text,
             "{\"model_type\": \"deberta-v2\", \"hidden_size\": %zu, \"num_hidden_layers\": %zu, "
             "\"num_attention_heads\": %zu, \"intermediate_size\": %zu, \"vocab_size\": %zu, "
             "\"attention_probs_dropout_prob\": 0.1, \"hidden_dropout_prob\": 0.1, "
             "\"hidden_act\": \"gelu\", \"initializer_range\": 0.02, "
             "\"max_position_embeddings\": 512, \"relative_attention\": true, "
             "\"position_buckets\": 256, \"norm_rel_ebd\": \"layer_norm\", "
             "\"share_att_key\": true, \"pos_att_type\": \"p2c|c2p\", \"layer_norm_eps\": 1e-7, "
             "\"max_relative_positions\": -1, \"position_biased_input\": false, "
             "\"pooler_hidden_size\": %zu, \"pooler_dropout\": 0, "
             "\"pooler_hidden_act\": \"gelu\", \"type_vocab_size\": 0}\n",
             s->hidden, s->layers, s->heads, s->intermediate, s->vocab, s->hidden);
    rc = pl_file_replace_bytes(path, text, strlen(text), err);
    free(path);
    return rc;
}

static enum prilora_status copy_tokenizer(const char *folder, struct prilora_error *err)
{
    char *path = pl_file_join(folder, "spm.model"), *data = NULL;
    size_t size = 0;
    enum prilora_status rc = pl_file_read(&data, &size, SPM, (size_t)64 << 20, err);

    if (rc == PRILORA_OK && path)
        rc = pl_file_replace_bytes(path, data, size, err);
    free(data);
    free(path);
    return rc;
}

static enum prilora_status write_weights(const char *folder, const struct shape *s,
                                         struct prilora_error *err)
{
    struct writer *w = pl_calloc(1, sizeof *w);
    char *path = pl_file_join(folder, "model.safetensors");
    enum prilora_status rc;

    if (!w || !path) {
        free(w);
        free(path);
        return pl_fail(err, PRILORA_ENOMEM, "out of memory");
    }
    add(w, "deberta.embeddings.word_embeddings.weight", s->vocab, s->hidden, 0);
    add_norm(w, "deberta.embeddings", s->hidden);
    for (size_t l = 0; l < s->layers; l++)
        add_layer(w, s, l);
    add(w, "deberta.encoder.rel_embeddings.weight", 512, s->hidden, 0);
    add_norm(w, "deberta.encoder", s->hidden);
    rc = w->out_of_memory ? pl_fail(err, PRILORA_ENOMEM, "out of memory")
                          : pl_safetensors_write(path, w->tensors, w->n, NULL, err);
    for (size_t i = 0; i < w->n; i++) {
        free((void *)(uintptr_t)w->tensors[i].name);
        free((void *)(uintptr_t)w->tensors[i].data);
    }
    free(w);
    free(path);
    return rc;
}

enum prilora_status random_model_write(const char *folder, const char *shape,
                                       struct prilora_error *err)
{
    enum prilora_status rc;

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (strcmp(shapes[i].name, shape) != 0)
            continue;
        rc = pl_file_make_folder(folder, err);
        if (rc == PRILORA_OK)
            rc = write_weights(folder, &shapes[i], err);
        if (rc == PRILORA_OK)
            rc = copy_tokenizer(folder, err);
        return rc == PRILORA_OK ? write_config(folder, &shapes[i], err) : rc;
    }
    return pl_fail(err, PRILORA_EINVAL,
                   "shape \"%s\"; known are deberta-v3-small, -base and -large", shape);
}
