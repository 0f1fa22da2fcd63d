/*
 * test_families.c - checkpoints of other types and spellings that compute what the reference models
 * do, made of their tensors: XLM-R and CamemBERT are RoBERTa by another name; DistilBERT and
 * ELECTRA have BERT's layers; and files say the same with other names.
 *
 * What is folded into another tensor is folded in double and written so. Tolerances are those of
 * test_reference.c.
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
#include <jansson.h>

#include "base/file.h"
#include "base/memory.h"
#include "support/rig.h"
#include "support/scratch.h"

enum { LAYERS = 3, SEQUENCES = 5, PADDED = 40, OUTPUTS = 4, MAX_TENSORS = 80, HIDDEN = 64 };

static const size_t lengths[SEQUENCES] = {40, 3, 17, 31, 26};

static void must(enum prilora_status rc, const struct prilora_error *err)
{
    if (rc != PRILORA_OK)
        fail_msg("%s: %s", prilora_status_name(rc), err->message);
}

/* ---- making a checkpoint of another's tensors --------------------------------------------- */

struct checkpoint {
    struct pl_tensors *from;
    struct pl_tensor tensors[MAX_TENSORS];
    size_t n;
    json_t *config;
};

static struct checkpoint checkpoint_of(const char *model)
{
    struct checkpoint c = {0};
    struct prilora_error err;
    char path[128];

    snprintf(path, sizeof path, "tests/golden/models/%s/model.safetensors", model);
    must(pl_tensors_open_safetensors(&c.from, path, &err), &err);
    snprintf(path, sizeof path, "tests/golden/models/%s/config.json", model);
    c.config = json_load_file(path, 0, NULL);
    assert_non_null(c.config);
    return c;
}

static double *add(struct checkpoint *c, const char *name, size_t n_dims, const size_t *dims)
{
    struct pl_tensor *t = &c->tensors[c->n++];
    double *data;

    assert_true(c->n <= MAX_TENSORS);
    *t = (struct pl_tensor){.name = pl_strdup(name), .dtype = PL_F64, .n_dims = n_dims};
    memcpy(t->dims, dims, n_dims * sizeof *dims);
    t->n_elements = n_dims == 2 ? dims[0] * dims[1] : dims[0];
    t->data = data = pl_calloc(t->n_elements, sizeof *data);
    assert_true(t->name && data);
    return data;
}

static double value(const struct pl_tensor *t, size_t i)
{
    float x;

    assert_int_equal(t->dtype, PL_F32);
    memcpy(&x, (const char *)t->data + i * sizeof x, sizeof x);
    return (double)x;
}

static const struct pl_tensor *original(const struct checkpoint *c, const char *name)
{
    const struct pl_tensor *t = pl_tensors_find(c->from, name);

    if (!t)
        fail_msg("there is no %s", name);
    return t;
}

static double *copy(struct checkpoint *c, const char *name, const struct pl_tensor *t)
{
    double *to = add(c, name, t->n_dims, t->dims);

    for (size_t i = 0; i < t->n_elements; i++)
        to[i] = value(t, i);
    return to;
}

/* "from" becomes "to", the first time that it stands there. */
static void replace(char *name, size_t room, const char *from, const char *to)
{
    char *at = strstr(name, from), rest[256];

    if (!at)
        return;
    snprintf(rest, sizeof rest, "%s", at + strlen(from));
    snprintf(at, room - (size_t)(at - name), "%s%s", to, rest);
}

/* All tensors whose names do not have `without` in them, with changes of names in turn. */
static void copy_all(struct checkpoint *c, const char *without, const char *const (*changes)[2],
                     size_t n_changes)
{
    for (size_t i = 0; i < pl_tensors_count(c->from); i++) {
        const struct pl_tensor *t = pl_tensors_at(c->from, i);
        char name[256];

        if (without && strstr(t->name, without))
            continue;
        snprintf(name, sizeof name, "%s", t->name);
        for (size_t k = 0; k < n_changes; k++)
            replace(name, sizeof name, changes[k][0], changes[k][1]);
        copy(c, name, t);
    }
}

static void set(struct checkpoint *c, const char *member, json_t *value_of)
{
    assert_int_equal(json_object_set_new(c->config, member, value_of), 0);
}

static void free_checkpoint(struct checkpoint *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free((char *)(uintptr_t)c->tensors[i].name);
        free((void *)(uintptr_t)c->tensors[i].data);
    }
    json_decref(c->config);
    pl_tensors_close(c->from);
}

/* The folder, with config.json; and `file` in it. */
static const char *folder_of(const struct checkpoint *c, const char *name, char *path, size_t room,
                             const char *file)
{
    const char *folder = test_scratch_path(name);
    struct prilora_error err;

    must(pl_file_make_folder(folder, &err), &err);
    snprintf(path, room, "%s/config.json", folder);
    assert_int_equal(json_dump_file(c->config, path, 0), 0);
    snprintf(path, room, "%s/%s", folder, file);
    return folder;
}

/* Writes it into the scratch folder `name`, and lets go of it. */
static const char *written(struct checkpoint *c, const char *name)
{
    struct prilora_error err;
    char path[600];
    const char *folder = folder_of(c, name, path, sizeof path, "model.safetensors");

    must(pl_safetensors_write(path, c->tensors, c->n, NULL, &err), &err);
    free_checkpoint(c);
    return folder;
}

static void put_number(FILE *file, uint64_t number, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fputc((int)(number >> 8 * i & 0xFF), file);
}

/* A string, and an integer, of a pickle. */
static void pickle_text(FILE *file, const char *text)
{
    fputc('X', file);
    put_number(file, strlen(text), 4);
    fputs(text, file);
}

static void pickle_number(FILE *file, size_t number)
{
    fputc('J', file);
    put_number(file, number, 4);
}

/* _rebuild_tensor_v2(storage, 0, size, stride, False, OrderedDict()); storages are called by
 * number.
 */
static void pickle_tensor(FILE *file, const struct pl_tensor *t, size_t number)
{
    char key[24];

    snprintf(key, sizeof key, "%zu", number);
    pickle_text(file, t->name);
    fputs("ctorch._utils\n_rebuild_tensor_v2\n((", file);
    pickle_text(file, "storage");
    fputs("ctorch\nFloatStorage\n", file);
    pickle_text(file, key);
    pickle_text(file, "cpu");
    pickle_number(file, t->n_elements);
    fputs("NtQ", file);
    pickle_number(file, 0);
    fputc('(', file);
    for (size_t d = 0; d < t->n_dims; d++)
        pickle_number(file, t->dims[d]);
    fputs("t(", file);
    for (size_t d = 0; d < t->n_dims; d++)
        pickle_number(file, d + 1 < t->n_dims ? t->dims[1] : 1);
    fputs("t\x89"
          "ccollections\nOrderedDict\n)RtR",
          file);
}

static void write_storages(FILE *file, const struct checkpoint *c)
{
    fputs("\x80\x02](", file);
    for (size_t i = 0; i < c->n; i++) {
        char key[24];

        snprintf(key, sizeof key, "%zu", i);
        pickle_text(file, key);
    }
    fputs("e.", file);
    for (size_t i = 0; i < c->n; i++) {
        const double *x = c->tensors[i].data;

        put_number(file, c->tensors[i].n_elements, 8);
        for (size_t k = 0; k < c->tensors[i].n_elements; k++) {
            const float single = (float)x[k];

            fwrite(&single, sizeof single, 1, file);
        }
    }
}

/* The same as pytorch_model.bin, in the form that torch wrote before 1.6; in float, as all came. */
static const char *written_by_torch(struct checkpoint *c, const char *name)
{
    static const char head[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
                               "\x80\x02M\xe9\x03.\x80\x02}";
    char path[600];
    const char *folder = folder_of(c, name, path, sizeof path, "pytorch_model.bin");
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    fwrite(head, sizeof head - 1, 1, file);
    pickle_text(file, "little_endian");
    fputs("\x88s.\x80\x02}(", file);
    for (size_t i = 0; i < c->n; i++)
        pickle_tensor(file, &c->tensors[i], i);
    fputs("u.", file);
    write_storages(file, c);
    assert_int_equal(fclose(file), 0);
    free_checkpoint(c);
    return folder;
}

/* ---- comparing ---------------------------------------------------------------------------- */

struct compared {
    struct pl_tensors *wide, *narrow; /* the reference in F64 and in F32 */
    const char *const (*names)[2];    /* what the checkpoint calls what the reference does */
    size_t n_names;
    struct test_rig rig;
};

static const struct pl_tensor *reference(const struct compared *c, bool single, const char *kind,
                                         const char *name)
{
    const struct pl_tensor *t;
    char full[256], own[256];

    snprintf(own, sizeof own, "%s", name);
    for (size_t k = 0; k < c->n_names; k++)
        replace(own, sizeof own, c->names[k][1], c->names[k][0]);
    snprintf(full, sizeof full, "%s%s", kind, own);
    t = pl_tensors_find(single ? c->narrow : c->wide, full);
    if (!t)
        fail_msg("the reference lacks %s", full);
    return t;
}

static pl_real *numbers(const struct pl_tensor *tensor)
{
    pl_real *x = pl_alloc(tensor->n_elements, sizeof *x);

    assert_non_null(x);
    pl_tensor_read(tensor, x, 0, tensor->n_elements);
    return x;
}

static void compare(const struct compared *c, const char *kind, const char *name, const pl_real *x,
                    size_t n, double tolerance)
{
    pl_real *want = numbers(reference(c, false, kind, name));
    pl_real *single = numbers(reference(c, true, kind, name));
    double distance = test_distance(x, want, n);

    if (sizeof(pl_real) == sizeof(float))
        tolerance = fmax(1e-4, 10 * test_distance(single, want, n));
    if (!(distance <= tolerance))
        fail_msg("%s%s is off by %.3g, allowed are %.3g", kind, name, distance, tolerance);
    free(want);
    free(single);
}

static int64_t integer(const struct compared *c, const char *name, size_t i)
{
    int64_t number;

    memcpy(&number, (const char *)reference(c, false, "in.", name)->data + i * sizeof number,
           sizeof number);
    return number;
}

static void load_batch(struct compared *c)
{
    test_rig_batch(&c->rig, lengths, SEQUENCES);
    memset(c->rig.type_ids, 0, c->rig.starts[SEQUENCES] * sizeof *c->rig.type_ids);
    for (size_t k = 0; k < SEQUENCES; k++) {
        for (size_t i = 0; i < lengths[k]; i++)
            c->rig.ids[c->rig.starts[k] + i] = (int32_t)integer(c, "ids", k * PADDED + i);
        c->rig.labels[k] = (float)integer(c, "labels", k);
    }
}

/* Adapters as the reference has them; a head that it has not keeps what the checkpoint has. */
static void load_params(struct compared *c, bool head)
{
    const struct pl_layout *layout = pl_net_layout(c->rig.net);
    bool from_checkpoint = false;

    pl_net_init(c->rig.net, c->rig.params, 1, &from_checkpoint);
    assert_true(from_checkpoint);
    for (size_t i = 0; i < layout->n; i++) {
        const struct pl_param *p = &layout->params[i];
        const bool is_head = p->kind == PL_PARAM_HEAD;

        if (!is_head || head)
            pl_tensor_read(reference(c, false, is_head ? "head." : "lora.", p->name),
                           c->rig.params + p->offset, 0, p->rows * p->cols);
    }
}

static void open_compared(struct compared *c, const char *folder, const char *model, bool head)
{
    static const long ranks[LAYERS] = {4, 8, 2};
    const struct pl_net_options options = {.task = PRILORA_TASK_CLASSIFICATION,
                                           .n_outputs = OUTPUTS,
                                           .max_tokens = SEQUENCES * PADDED,
                                           .max_sequences = SEQUENCES,
                                           .max_length = PADDED};
    struct prilora_error err;
    char path[128];

    snprintf(path, sizeof path, "tests/golden/expected/%s/f64.safetensors", model);
    must(pl_tensors_open_safetensors(&c->wide, path, &err), &err);
    snprintf(path, sizeof path, "tests/golden/expected/%s/f32.safetensors", model);
    must(pl_tensors_open_safetensors(&c->narrow, path, &err), &err);
    test_rig_open(&c->rig, folder, ranks, LAYERS, NULL, 0, &options);
    load_params(c, head);
    load_batch(c);
    test_rig_loss(&c->rig);
}

static void close_compared(struct compared *c)
{
    test_rig_close(&c->rig);
    pl_tensors_close(c->wide);
    pl_tensors_close(c->narrow);
}

/* Rows of the sequences' tokens out of [SEQUENCES, PADDED, HIDDEN]. */
static void compare_hidden(const struct compared *c)
{
    for (size_t l = 0; l <= LAYERS; l++) {
        const pl_real *x = pl_workspace_hidden(c->rig.ws, l);
        char name[8];
        pl_real *want;

        snprintf(name, sizeof name, "%zu", l);
        want = numbers(reference(c, false, "hid.", name));
        for (size_t k = 0; k < SEQUENCES; k++) {
            double off = test_distance(x + c->rig.starts[k] * HIDDEN, want + k * PADDED * HIDDEN,
                                       lengths[k] * HIDDEN);

            if (!(off <= (sizeof(pl_real) == sizeof(float) ? 1e-4 : 1e-9)))
                fail_msg("hidden state %zu is off by %.3g", l, off);
        }
        free(want);
    }
}

/* Everything that the reference says, of a model with the same head. */
static void is_the_reference(const char *folder, const char *model, const char *const (*names)[2],
                             size_t n_names)
{
    struct compared c = {.names = names, .n_names = n_names};
    const struct pl_layout *layout;

    open_compared(&c, folder, model, true);
    compare_hidden(&c);
    compare(&c, "out.", "logits", c.rig.logits, SEQUENCES * OUTPUTS, 1e-9);
    layout = pl_net_layout(c.rig.net);
    for (size_t i = 0; i < layout->n; i++) {
        const struct pl_param *p = &layout->params[i];

        compare(&c, "grad.", p->name, c.rig.grads + p->offset, p->rows * p->cols, 1e-6);
    }
    close_compared(&c);
}

/* ---- the same by another name ------------------------------------------------------------- */

static void xlm_roberta_and_camembert_are_roberta(void **state)
{
    static const char *const types[] = {"xlm-roberta", "camembert"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct checkpoint c = checkpoint_of("tiny-roberta");

        copy_all(&c, NULL, NULL, 0);
        set(&c, "model_type", json_string(types[i]));
        is_the_reference(written(&c, types[i]), "tiny-roberta", NULL, 0);
    }
}

/* bert-base-uncased and others of its time, with what it has of its training. */
static struct checkpoint old_bert(void)
{
    static const char *const old[][2] = {{"LayerNorm.weight", "LayerNorm.gamma"},
                                         {"LayerNorm.bias", "LayerNorm.beta"}};
    struct checkpoint c = checkpoint_of("tiny-bert");

    copy_all(&c, NULL, old, 2);
    add(&c, "cls.predictions.bias", 1, (const size_t[]){320});
    add(&c, "cls.seq_relationship.weight", 2, (const size_t[]){2, HIDDEN});
    return c;
}

static void gamma_and_beta_are_weight_and_bias(void **state)
{
    struct checkpoint c = old_bert();

    (void)state;
    is_the_reference(written(&c, "old"), "tiny-bert", NULL, 0);
}

static void pytorch_model_bin_says_the_same(void **state)
{
    struct checkpoint c = old_bert();

    (void)state;
    is_the_reference(written_by_torch(&c, "torch"), "tiny-bert", NULL, 0);
}

/* Of BertModel, its pooler too; and of RobertaModel, whose pooler means nothing here. */
static void names_may_lack_the_prefix(void **state)
{
    static const char *const bare_bert[][2] = {{"bert.", ""}}, *const bare[][2] = {
                                                                   {"roberta.", ""}};
    struct checkpoint c = checkpoint_of("tiny-bert");
    double *w;

    (void)state;
    copy_all(&c, NULL, bare_bert, 1);
    is_the_reference(written(&c, "bare-bert"), "tiny-bert", NULL, 0);
    c = checkpoint_of("tiny-roberta");
    copy_all(&c, NULL, bare, 1);
    w = add(&c, "pooler.dense.weight", 2, (const size_t[]){HIDDEN, HIDDEN});
    w[0] = 7;
    add(&c, "lm_head.bias", 1, (const size_t[]){320});
    is_the_reference(written(&c, "bare-roberta"), "tiny-roberta", NULL, 0);
}

/* ---- BERT's layers under other embeddings and heads --------------------------------------- */

/* A dense map of width HIDDEN, drawn. */
static void add_dense(struct checkpoint *c, const char *path, size_t out, uint64_t seed)
{
    pl_real drawn[HIDDEN * HIDDEN];
    char name[128];
    double *to;

    test_fill(drawn, out * HIDDEN, 0.5, seed);
    snprintf(name, sizeof name, "%s.weight", path);
    to = add(c, name, 2, (const size_t[]){out, HIDDEN});
    for (size_t i = 0; i < out * HIDDEN; i++)
        to[i] = (double)drawn[i];
    snprintf(name, sizeof name, "%s.bias", path);
    to = add(c, name, 1, &out);
    for (size_t i = 0; i < out; i++)
        to[i] = (double)drawn[i] / 2;
}

static double relu(double x)
{
    return x > 0 ? x : 0;
}

static double gelu(double x)
{
    return x * 0.5 * erfc(-x / sqrt(2));
}

static double row(const double *w, const double *bias, const double *x, size_t i)
{
    double sum = bias[i];

    for (size_t j = 0; j < HIDDEN; j++)
        sum += w[i * HIDDEN + j] * x[j];
    return sum;
}

static double *read_wide(const struct pl_model *model, const char *name)
{
    const struct pl_tensor *t = pl_tensors_find(model->tensors, name);
    double *x = pl_calloc(t->n_elements, sizeof *x);

    memcpy(x, t->data, t->n_elements * sizeof *x);
    return x;
}

/* outer(f(inner(first token))) in double, of the reference's last hidden state. */
static void compare_head(const struct compared *c, const char *inner, const char *outer,
                         double (*f)(double))
{
    const struct pl_tensor *hidden = pl_tensors_find(c->wide, "hid.3");
    double *parts[4], middle[HIDDEN], x[HIDDEN];
    char name[128];

    for (size_t k = 0; k < 4; k++) {
        snprintf(name, sizeof name, "%s.%s", k < 2 ? inner : outer, k % 2 ? "bias" : "weight");
        parts[k] = read_wide(c->rig.model, name);
    }
    for (size_t s = 0; s < SEQUENCES; s++) {
        memcpy(x, (const char *)hidden->data + s * PADDED * sizeof x, sizeof x);
        for (size_t i = 0; i < HIDDEN; i++)
            middle[i] = f(row(parts[0], parts[1], x, i));
        for (size_t o = 0; o < OUTPUTS; o++) {
            double want = row(parts[2], parts[3], middle, o);
            double got = (double)c->rig.logits[s * OUTPUTS + o];

            if (!(fabs(got - want) <=
                  (sizeof(pl_real) == sizeof(float) ? 1e-4 : 1e-9) * (1 + fabs(want))))
                fail_msg("logit %zu of text %zu is %.12g, not %.12g", o, s, got, want);
        }
    }
    for (size_t k = 0; k < 4; k++)
        free(parts[k]);
}

/* BERT's first token type is part of every position. */
static void add_typed_positions(struct checkpoint *c, const char *name)
{
    const struct pl_tensor *types = original(c, "bert.embeddings.token_type_embeddings.weight");
    const struct pl_tensor *from = original(c, "bert.embeddings.position_embeddings.weight");
    double *to = copy(c, name, from);

    for (size_t i = 0; i < from->n_elements; i++)
        to[i] += value(types, i % HIDDEN);
}

static void distilbert_has_bert_s_layers(void **state)
{
    static const char *const names[][2] = {
        {"bert.encoder.layer.", "distilbert.transformer.layer."},
        {"bert.", "distilbert."},
        {"attention.self.query", "attention.q_lin"},
        {"attention.self.key", "attention.k_lin"},
        {"attention.self.value", "attention.v_lin"},
        {"attention.output.dense", "attention.out_lin"},
        {"attention.output.LayerNorm", "sa_layer_norm"},
        {"intermediate.dense", "ffn.lin1"},
        {"output.dense", "ffn.lin2"},
        {"output.LayerNorm", "output_layer_norm"},
    };
    struct checkpoint c = checkpoint_of("tiny-bert");
    struct compared compared = {.names = names, .n_names = sizeof names / sizeof *names};

    (void)state;
    for (size_t i = 0; i < pl_tensors_count(c.from); i++) {
        const struct pl_tensor *t = pl_tensors_at(c.from, i);
        char name[256];

        if (strstr(t->name, "pooler") || strstr(t->name, "classifier") ||
            strstr(t->name, "position_embeddings") || strstr(t->name, "token_type"))
            continue;
        snprintf(name, sizeof name, "%s", t->name);
        replace(name, sizeof name, names[strstr(name, "layer.") ? 0 : 1][0],
                names[strstr(name, "layer.") ? 0 : 1][1]);
        for (size_t k = 2; k < sizeof names / sizeof *names && strstr(name, "layer."); k++)
            replace(name, sizeof name, names[k][0], names[k][1]);
        copy(&c, name, t);
    }
    add_typed_positions(&c, "distilbert.embeddings.position_embeddings.weight");
    add_dense(&c, "pre_classifier", HIDDEN, 1);
    add_dense(&c, "classifier", OUTPUTS, 2);
    json_object_clear(c.config);
    json_object_update_new(c.config, json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f}",
                                               "model_type", "distilbert", "dim", 64, "n_layers", 3,
                                               "n_heads", 4, "hidden_dim", 160, "vocab_size", 320,
                                               "max_position_embeddings", 64, "dropout", 0.0,
                                               "attention_dropout", 0.0));
    open_compared(&compared, written(&c, "distilbert"), "tiny-bert", false);
    compare_hidden(&compared);
    compare_head(&compared, "pre_classifier", "classifier", relu);
    close_compared(&compared);
}

static void copy_electra(struct checkpoint *c, bool embeddings)
{
    for (size_t i = 0; i < pl_tensors_count(c->from); i++) {
        const struct pl_tensor *t = pl_tensors_at(c->from, i);
        char name[256];

        if (strstr(t->name, "pooler") || strstr(t->name, "classifier") ||
            (!embeddings && strstr(t->name, "bert.embeddings.")))
            continue;
        snprintf(name, sizeof name, "%s", t->name);
        replace(name, sizeof name, "bert.", "electra.");
        copy(c, name, t);
    }
    add_dense(c, "classifier.dense", HIDDEN, 3);
    add_dense(c, "classifier.out_proj", OUTPUTS, 4);
    set(c, "model_type", json_string("electra"));
}

static void check_electra(const char *folder)
{
    static const char *const names[][2] = {{"bert.", "electra."}};
    struct compared compared = {.names = names, .n_names = 1};

    open_compared(&compared, folder, "tiny-bert", false);
    compare_hidden(&compared);
    compare_head(&compared, "classifier.dense", "classifier.out_proj", gelu);
    close_compared(&compared);
}

static void electra_has_bert_s_layers(void **state)
{
    struct checkpoint c = checkpoint_of("tiny-bert");

    (void)state;
    copy_electra(&c, true);
    set(&c, "embedding_size", json_integer(HIDDEN));
    check_electra(written(&c, "electra"));
}

/* Each half of the embeddings is BERT's, so that norm and mean are, too: a projection that takes
 * the mean of both halves, and the norm's shift as its bias, gives BERT's first hidden state. */
static void electra_s_projection_follows_the_norm(void **state)
{
    static const char *const tables[] = {"word", "position", "token_type"};
    struct checkpoint c = checkpoint_of("tiny-bert");
    const struct pl_tensor *norm, *shift;
    double *to;

    (void)state;
    copy_electra(&c, false);
    for (size_t k = 0; k < 3; k++) {
        char name[128];
        const struct pl_tensor *from;

        snprintf(name, sizeof name, "bert.embeddings.%s_embeddings.weight", tables[k]);
        from = original(&c, name);
        replace(name, sizeof name, "bert.", "electra.");
        to = add(&c, name, 2, (const size_t[]){from->dims[0], 2 * HIDDEN});
        for (size_t i = 0; i < 2 * from->n_elements; i++)
            to[i] = value(from, i / (2 * HIDDEN) * HIDDEN + i % HIDDEN);
    }
    norm = original(&c, "bert.embeddings.LayerNorm.weight");
    shift = original(&c, "bert.embeddings.LayerNorm.bias");
    to = add(&c, "electra.embeddings.LayerNorm.weight", 1, (const size_t[]){2 * HIDDEN});
    for (size_t i = 0; i < 2 * HIDDEN; i++)
        to[i] = value(norm, i % HIDDEN);
    add(&c, "electra.embeddings.LayerNorm.bias", 1, (const size_t[]){2 * HIDDEN});
    to = add(&c, "electra.embeddings_project.weight", 2, (const size_t[]){HIDDEN, 2 * HIDDEN});
    for (size_t i = 0; i < HIDDEN; i++)
        to[i * 2 * HIDDEN + i] = to[i * 2 * HIDDEN + HIDDEN + i] = 0.5;
    copy(&c, "electra.embeddings_project.bias", shift);
    set(&c, "embedding_size", json_integer(2 * HIDDEN));
    check_electra(written(&c, "projected"));
}

/* ---- positions ---------------------------------------------------------------------------- */

static void fill(double *to, size_t n, double with)
{
    for (size_t i = 0; i < n; i++)
        to[i] = with;
}

/* transformers counts the tokens that are not padding, and gives padding the place before the
 * first: here position p has a one in column p and nothing else says anything. */
static void padding_inside_a_text_has_its_own_position(void **state)
{
    static const int32_t ids[] = {0, 7, 1, 9, 2};
    static const size_t positions[] = {2, 3, 1, 4, 5}, length = 5;
    const struct pl_net_options options = {.task = PRILORA_TASK_CLASSIFICATION,
                                           .n_outputs = OUTPUTS,
                                           .max_tokens = 8,
                                           .max_sequences = 1,
                                           .max_length = 8};
    struct checkpoint c = checkpoint_of("tiny-roberta");
    struct test_rig rig;

    (void)state;
    for (size_t i = 0; i < pl_tensors_count(c.from); i++) {
        const struct pl_tensor *t = pl_tensors_at(c.from, i);
        double *to = copy(&c, t->name, t);

        if (!strstr(t->name, "roberta.embeddings."))
            continue;
        fill(to, t->n_elements, strstr(t->name, "LayerNorm.weight") ? 1 : 0);
        for (size_t p = 0; strstr(t->name, "position") && p < 8; p++)
            to[p * HIDDEN + p] = 1;
    }
    test_rig_open(&rig, written(&c, "positions"), (const long[]){1, 1, 1}, LAYERS, NULL, 0,
                  &options);
    pl_net_init(rig.net, rig.params, 1, NULL);
    test_rig_batch(&rig, &length, 1);
    memcpy(rig.ids, ids, sizeof ids);
    test_rig_loss(&rig);
    for (size_t i = 0; i < length; i++) {
        const pl_real *x = pl_workspace_hidden(rig.ws, 0) + i * HIDDEN;
        size_t top = 0;

        for (size_t j = 1; j < HIDDEN; j++)
            top = x[j] > x[top] ? j : top;
        assert_int_equal(top, positions[i]);
    }
    test_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xlm_roberta_and_camembert_are_roberta),
        cmocka_unit_test(gamma_and_beta_are_weight_and_bias),
        cmocka_unit_test(pytorch_model_bin_says_the_same),
        cmocka_unit_test(names_may_lack_the_prefix),
        cmocka_unit_test(distilbert_has_bert_s_layers),
        cmocka_unit_test(electra_has_bert_s_layers),
        cmocka_unit_test(electra_s_projection_follows_the_norm),
        cmocka_unit_test(padding_inside_a_text_has_its_own_position),
    };

    return cmocka_run_group_tests_name("families", tests, test_scratch_open, test_scratch_close);
}
