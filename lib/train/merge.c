/*
 * merge.c - an adapter merged into its base: W + scale * B * A, computed element by element when it
 * is read. The sum over the rank is always taken in the same order, so that a byte does not depend
 * on the piece that it is read with.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "math/vector.h"
#include "model/architecture.h"
#include "model/encoder.h"
#include "train/adapter_labels.h"
#include "train/base.h"
#include "train/form.h"
#include "train/naming.h"

/* Where a tensor's numbers come from. */
struct source {
    const struct pl_tensor *frozen; /* NULL: `trained` alone */
    const pl_real *trained;         /* of the head */
    const struct pl_lora *lora;     /* what is added; NULL: nothing */
    size_t in;                      /* numbers of a row that it is added to */
};

struct merge {
    struct prilora_base *base;
    struct pl_adapter_labels labels;
    struct prilora_spec *spec;
    struct pl_net *net;
    pl_real *params; /* block */
    struct source *sources;
    size_t n_sources;
};

static void merge_free(void *context)
{
    struct merge *m = context;

    if (!m)
        return;
    free(m->sources);
    free(m->params);
    pl_net_free(m->net);
    prilora_spec_free(m->spec);
    pl_adapter_labels_free(&m->labels);
    prilora_base_close(m->base);
    free(m);
}

/* ---- numbers ------------------------------------------------------------------------------ */

/* out [n] += scale * B A, elements from `first` on, all in one row. */
static void add_update(const struct merge *m, const struct source *s, pl_real *out, size_t first,
                       size_t n)
{
    const struct pl_lora *lora = s->lora;
    const size_t row = first / s->in, column = first % s->in;
    const pl_real *a = m->params + lora->a + column, *b = m->params + lora->b + row * lora->rank;
    pl_real update[PL_FORM_CHUNK] = {0};

    for (size_t k = 0; k < lora->rank; k++)
        pl_add_scaled(update, a + k * s->in, n, lora->scale * (double)b[k]);
    pl_add(out, update, n);
}

static void merge_read(void *context, const struct pl_tensor *tensor, pl_real *out, size_t first,
                       size_t n)
{
    const struct merge *m = context;
    const struct source *s = tensor->data;

    if (!s->frozen) {
        memcpy(out, s->trained + first, n * sizeof *out);
        return;
    }
    pl_tensors_read(m->base->model->tensors, s->frozen, out, first, n);
    while (s->lora && n > 0) {
        size_t rest = s->in - first % s->in, some = n < rest ? n : rest;

        add_update(m, s, out, first, some);
        out += some;
        first += some;
        n -= some;
    }
}

static void merge_digest(void *context, struct pl_digest *digest)
{
    const struct merge *m = context;
    const struct pl_adapter *adapter = pl_net_adapter(m->net);

    pl_digest_add(digest, m->base->fingerprint, strlen(m->base->fingerprint));
    for (size_t i = 0; i < adapter->n_maps; i++)
        pl_digest_add(digest, &adapter->maps[i].scale, sizeof adapter->maps[i].scale);
    pl_digest_add(digest, m->params, pl_net_layout(m->net)->size * sizeof *m->params);
}

static enum prilora_status merge_check(const void *context, struct prilora_error *err)
{
    const struct merge *m = context;

    return prilora_base_check(m->base, err);
}

static const struct pl_form_source merge_source = {merge_read, merge_digest, merge_free,
                                                   merge_check};

/* ---- the tensors -------------------------------------------------------------------------- */

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n > m && strcmp(name + n - m, end) == 0;
}

/* A frozen tensor's name as Hugging Face writes it today; NULL: no memory. */
static char *name_of(const struct pl_tensor *tensor, const char *prefix)
{
    static const char *const old[][2] = {{".gamma", ".weight"}, {".beta", ".bias"}};
    size_t room = strlen(prefix) + strlen(tensor->name) + sizeof ".weight";
    char *name = pl_alloc(room, 1);

    if (!name)
        return NULL;
    snprintf(name, room, "%s%s", prefix, tensor->name);
    for (size_t i = 0; i < sizeof old / sizeof *old; i++) {
        size_t n = strlen(name);

        if (ends_in(name, old[i][0]))
            snprintf(name + n - strlen(old[i][0]), strlen(old[i][1]) + 1, "%s", old[i][1]);
    }
    return name;
}

/* What is added to a frozen tensor, if it is the weight of an adapted map. */
static struct source frozen_source(const struct merge *m, const struct pl_tensor *tensor)
{
    const struct pl_model *model = m->base->model;
    const struct pl_adapter *adapter = pl_net_adapter(m->net);
    struct source s = {.frozen = tensor};

    for (size_t i = 0; i < model->n_sites; i++) {
        if (model->maps[i].tensor == tensor && adapter->maps[i].rank) {
            s.lora = &adapter->maps[i];
            s.in = model->sites[i].in;
        }
    }
    return s;
}

static enum prilora_status add_frozen(struct prilora_form *form, struct merge *m,
                                      const struct pl_tensor *tensor, const char *prefix,
                                      struct prilora_error *err)
{
    struct source *s = &m->sources[m->n_sources++];
    size_t cols = tensor->n_elements;

    *s = frozen_source(m, tensor);
    if (tensor->n_dims == 2)
        return pl_form_add_tensor(form, name_of(tensor, prefix), tensor->dims[0], tensor->dims[1],
                                  s, err);
    if (tensor->n_dims > 2) {
        enum prilora_status rc = pl_form_add_tensor(form, name_of(tensor, prefix), 1, cols, s, err);
        struct pl_tensor *added = &form->tensors[form->n_tensors - 1];

        if (rc != PRILORA_OK)
            return rc;
        added->n_dims = tensor->n_dims;
        memcpy(added->dims, tensor->dims, sizeof added->dims);
        return PRILORA_OK;
    }
    return pl_form_add_tensor(form, name_of(tensor, prefix), 0, cols, s, err);
}

/* Everything of the checkpoint that the model uses; both lists are by name. */
static enum prilora_status add_all_frozen(struct prilora_form *form, struct merge *m,
                                          struct prilora_error *err)
{
    const struct pl_model *model = m->base->model;
    const struct pl_architecture *a = model->architecture;
    const char *prefix = pl_tensors_find(model->tensors, PL_ENCODER_WORDS) ? a->prefix : "";
    enum prilora_status rc = PRILORA_OK;
    size_t unused = 0;

    for (size_t i = 0; rc == PRILORA_OK && i < pl_tensors_count(model->tensors); i++) {
        const struct pl_tensor *tensor = pl_tensors_at(model->tensors, i);

        if (unused < model->n_unused && strcmp(model->unused[unused], tensor->name) == 0)
            unused++;
        else if (!pl_model_is_head(model, tensor))
            rc = add_frozen(form, m, tensor, prefix, err);
    }
    return rc;
}

static enum prilora_status add_head(struct prilora_form *form, struct merge *m,
                                    struct prilora_error *err)
{
    const struct pl_layout *layout = pl_net_layout(m->net);
    enum prilora_status rc = PRILORA_OK;

    for (size_t i = 0; rc == PRILORA_OK && i < layout->n; i++) {
        const struct pl_param *param = &layout->params[i];

        if (param->kind != PL_PARAM_HEAD)
            continue;
        m->sources[m->n_sources] = (struct source){.trained = m->params + param->offset};
        rc = pl_form_add_tensor(form, pl_strdup(param->name), param->n_dims == 2 ? param->rows : 0,
                                param->cols, &m->sources[m->n_sources++], err);
    }
    return rc;
}

static enum prilora_status add_tensors(struct prilora_form *form, struct merge *m,
                                       struct prilora_error *err)
{
    size_t most = pl_tensors_count(m->base->model->tensors) + pl_net_layout(m->net)->n;
    enum prilora_status rc;

    m->sources = pl_calloc(most, sizeof *m->sources);
    if (!m->sources)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for %zu tensors", most);
    rc = add_all_frozen(form, m, err);
    if (rc == PRILORA_OK)
        rc = add_head(form, m, err);
    return rc == PRILORA_OK ? pl_form_add_tensors(form, "model.safetensors", err) : rc;
}

/* ---- the other files ---------------------------------------------------------------------- */

/* False: no memory. */
static bool set_labels(json_t *config, const struct pl_adapter_labels *labels)
{
    json_t *id2label = json_object(), *label2id = json_object();

    for (size_t i = 0; i < labels->n; i++) {
        char id[24];

        snprintf(id, sizeof id, "%zu", i);
        pl_json_set(&id2label, id, json_string(labels->names[i]));
        pl_json_set(&label2id, labels->names[i], json_integer((json_int_t)i));
    }
    if (json_object_set_new(config, "id2label", id2label) != 0) {
        json_decref(label2id);
        return false;
    }
    return json_object_set_new(config, "label2id", label2id) == 0 &&
           json_object_set_new(config, "num_labels", json_integer((json_int_t)labels->n)) == 0;
}

/* "DebertaV2ForTokenClassification" of "DebertaV2ForSequenceClassification"; malloc'ed. */
static char *class_name(const struct merge *m)
{
    const char *name = m->base->model->architecture->class_name, *end = strstr(name, "For");
    const char *own = pl_naming_of(m->labels.task)->class_end;
    const size_t n = end ? (size_t)(end - name) : strlen(name);
    char *out = pl_alloc(n + strlen(own) + 1, 1);

    if (out)
        snprintf(out, n + strlen(own) + 1, "%.*s%s", (int)n, name, own);
    return out;
}

/* The base's configuration with what the adapter makes of it; NULL: out of memory. */
static char *config_text(json_t *config, const void *context)
{
    const struct merge *m = context;
    const char *problem = pl_naming_of(m->labels.task)->problem_type;
    char *name = class_name(m);
    bool made = name && set_labels(config, &m->labels) &&
                json_object_set_new(config, "architectures", json_pack("[s]", name)) == 0 &&
                json_object_set_new(config, "torch_dtype", json_string("float32")) == 0;

    free(name);
    if (made && problem)
        made = json_object_set_new(config, "problem_type", json_string(problem)) == 0;
    if (!made)
        return NULL;
    return pl_json_text(config, JSON_INDENT(2));
}

static enum prilora_status add_tokenizer(struct prilora_form *form, const char *folder,
                                         struct prilora_error *err)
{
    static const char *const names[] = {
        "added_tokens.json", "merges.txt", "sentencepiece.bpe.model", "special_tokens_map.json",
        "spiece.model",      "spm.model",  "tokenizer.json",          "tokenizer_config.json",
        "vocab.json",        "vocab.txt",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        enum prilora_status rc = pl_form_add_copy(form, folder, names[i], err);

        if (rc != PRILORA_OK && rc != PRILORA_ENOENT)
            return rc;
    }
    return PRILORA_OK;
}

/* ---- opening ------------------------------------------------------------------------------ */

/* A net alone, without the room to compute: its layout and scales are what is wanted. */
static enum prilora_status fill(struct merge *m, const char *folder, struct prilora_error *err)
{
    struct pl_model *model = m->base->model;
    struct pl_engine_limits limits = {.longest = 2, .step_tokens = 1};
    struct pl_net_options options;
    struct pl_import in = {0};
    enum prilora_status rc = pl_import_open(&in, folder, err);

    if (rc == PRILORA_OK)
        rc = pl_adapter_labels_read(&m->labels, folder, m->base->fingerprint, err);
    if (rc == PRILORA_OK)
        rc = pl_adapter_labels_complete(&m->labels, &in, model, err);
    if (rc == PRILORA_OK)
        rc = pl_import_spec(&m->spec, &in, model, err);
    if (rc == PRILORA_OK) {
        limits.n_outputs = m->labels.n;
        options = pl_engine_net_options(m->spec, m->labels.task, &limits);
        rc = pl_net_new(&m->net, model, m->spec, &options, err);
    }
    if (rc == PRILORA_OK) {
        m->params = pl_calloc_aligned(pl_net_layout(m->net)->size, sizeof *m->params);
        rc = m->params ? pl_import_fill_net(&in, model, m->net, m->params, 0, err)
                       : pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    }
    pl_import_close(&in);
    return rc;
}

enum prilora_status prilora_form_merged(struct prilora_form **out, struct prilora_base *base,
                                        const char *base_folder, const char *adapter_folder,
                                        struct prilora_error *err)
{
    struct merge *m = pl_calloc(1, sizeof *m);
    struct prilora_form *form;
    enum prilora_status rc;

    *out = NULL;
    if (!m)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", adapter_folder);
    m->base = prilora_base_ref(base);
    rc = pl_form_new(&form, &merge_source, m, err);
    if (rc != PRILORA_OK)
        return rc;
    rc = fill(m, adapter_folder, err);
    if (rc == PRILORA_OK)
        rc = pl_form_add_config(form, base_folder, "config.json", config_text, m, err);
    if (rc == PRILORA_OK)
        rc = add_tensors(form, m, err);
    if (rc == PRILORA_OK)
        rc = add_tokenizer(form, base_folder, err);
    if (rc == PRILORA_OK)
        *out = form;
    else
        prilora_form_close(form);
    return rc;
}
