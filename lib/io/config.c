/*
 * config.c - reads config.json. Each model type has a table of members: where each goes, what it is
 * when absent, what is allowed. What one member cannot tell alone is checked after the table.
 *
 * Source  defaults: transformers, configuration_deberta_v2.py and the getattr() calls of
 *         modeling_deberta_v2.py
 */
#include "io/config.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/memory.h"

/* Far above any published model, low enough that products of two of them fit easily. */
#define MAX_WIDTH     ((double)(1 << 18)) /* hidden and intermediate sizes */
#define MAX_LAYERS    ((double)(1 << 12))
#define MAX_VOCAB     ((double)(1 << 24))
#define MAX_POSITIONS ((double)(1 << 20))
#define MAX_KERNEL    255.0

enum kind { COUNT, INTEGER, REAL, PROBABILITY, FLAG, ACTIVATION };

struct member {
    const char *name;
    enum kind kind;
    size_t offset;
    double absent;   /* its value then; not checked against the range */
    double min, max; /* of a count, an integer or a real */
};

struct model_type {
    const char *name;
    const struct member *members;
    size_t n_members;
    enum prilora_status (*finish)(struct pl_config *config, const json_t *root, const char *path,
                                  struct prilora_error *err);
};

static const struct {
    const char *name;
    enum pl_activation value;
} activations[] = {
    {"gelu", PL_ACT_GELU},          {"gelu_python", PL_ACT_GELU},
    {"gelu_new", PL_ACT_GELU_TANH}, {"gelu_pytorch_tanh", PL_ACT_GELU_TANH},
    {"relu", PL_ACT_RELU},          {"tanh", PL_ACT_TANH},
    {"silu", PL_ACT_SILU},          {"swish", PL_ACT_SILU},
};

/* A member that is neither absent nor null. */
static const json_t *given(const json_t *root, const char *name)
{
    const json_t *value = json_object_get(root, name);

    return json_is_null(value) ? NULL : value;
}

static enum prilora_status fail_member(struct prilora_error *err, enum prilora_status status,
                                       const char *path, const char *name, const char *problem)
{
    char where[64];

    snprintf(where, sizeof where, "/%s", name);
    return pl_fail_at(err, status, where, "%s: %s %s", path, name, problem);
}

/* ---- one member --------------------------------------------------------------------------- */

static enum prilora_status set_number(void *to, const struct member *m, const json_t *value,
                                      const char *path, struct prilora_error *err)
{
    bool whole = m->kind == COUNT || m->kind == INTEGER, probability = m->kind == PROBABILITY;
    double number = value ? json_number_value(value) : m->absent;
    char problem[160];

    if (value && !(whole ? json_is_integer(value) : json_is_number(value)))
        return fail_member(err, PRILORA_EFORMAT, path, m->name,
                           whole ? "is not an integer" : "is not a number");
    if (value && probability && !(number >= 0 && number < 1)) {
        snprintf(problem, sizeof problem, "is %g, but must be at least 0 and below 1", number);
        return fail_member(err, PRILORA_EFORMAT, path, m->name, problem);
    }
    if (value && !probability && !(number >= m->min && number <= m->max)) {
        snprintf(problem, sizeof problem, "is %.12g, but must be from %.12g to %.12g", number,
                 m->min, m->max);
        return fail_member(err, PRILORA_EFORMAT, path, m->name, problem);
    }
    if (m->kind == COUNT)
        *(size_t *)to = (size_t)number;
    else if (m->kind == INTEGER)
        *(long *)to = (long)number;
    else
        *(double *)to = number;
    return PRILORA_OK;
}

static enum prilora_status set_flag(void *to, const struct member *m, const json_t *value,
                                    const char *path, struct prilora_error *err)
{
    if (value && !json_is_boolean(value))
        return fail_member(err, PRILORA_EFORMAT, path, m->name, "is not true or false");
    *(bool *)to = value ? json_is_true(value) : m->absent != 0;
    return PRILORA_OK;
}

static enum prilora_status set_activation(void *to, const struct member *m, const json_t *value,
                                          const char *path, struct prilora_error *err)
{
    const char *name = json_string_value(value);
    char problem[256];

    *(enum pl_activation *)to = (enum pl_activation)m->absent;
    if (!value)
        return PRILORA_OK;
    if (!name)
        return fail_member(err, PRILORA_EFORMAT, path, m->name, "is not a string");
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++) {
        if (strcmp(activations[i].name, name) == 0) {
            *(enum pl_activation *)to = activations[i].value;
            return PRILORA_OK;
        }
    }
    snprintf(problem, sizeof problem,
             "is '%.40s'; supported are gelu, gelu_python, gelu_new, gelu_pytorch_tanh, relu, "
             "tanh, silu and swish",
             name);
    return fail_member(err, PRILORA_EUNSUPPORTED, path, m->name, problem);
}

static enum prilora_status set_member(struct pl_config *config, const struct member *m,
                                      const json_t *root, const char *path,
                                      struct prilora_error *err)
{
    const json_t *value = given(root, m->name);
    void *to = (char *)config + m->offset;

    switch (m->kind) {
    case FLAG:
        return set_flag(to, m, value, path, err);
    case ACTIVATION:
        return set_activation(to, m, value, path, err);
    default:
        return set_number(to, m, value, path, err);
    }
}

/* ---- labels ------------------------------------------------------------------------------- */

/* "17" as 17, without sign, spaces or leading zeros; false otherwise or if not below `limit`. */
static bool parse_index(size_t *out, const char *text, size_t limit)
{
    size_t n = strspn(text, "0123456789");

    if (n == 0 || n > 9 || text[n] || (text[0] == '0' && n > 1))
        return false;
    *out = (size_t)strtoul(text, NULL, 10);
    return *out < limit;
}

/* id2label {"0": name, ...} with every index from 0 to n - 1. */
static enum prilora_status read_id2label(struct pl_config *config, const json_t *id2label,
                                         const char *path, struct prilora_error *err)
{
    size_t n = json_object_size(id2label);
    const char *key;
    json_t *name;

    if (!json_is_object(id2label) || n == 0)
        return fail_member(err, PRILORA_EFORMAT, path, "id2label", "is not an object of labels");
    if (n > PL_CONFIG_MAX_LABELS)
        return fail_member(err, PRILORA_ELIMIT, path, "id2label", "has more than 65536 labels");
    config->n_labels = n;
    config->labels = pl_calloc(n, sizeof *config->labels);
    if (!config->labels)
        return pl_fail(err, PRILORA_ENOMEM, "%s: no memory for %zu labels", path, n);
    json_object_foreach ((json_t *)(uintptr_t)id2label, key, name) {
        char number[32];
        size_t i;

        if (!parse_index(&i, key, n))
            return fail_member(err, PRILORA_EFORMAT, path, "id2label",
                               "does not number its labels from 0 on");
        if (!json_is_string(name) && !json_is_integer(name))
            return fail_member(err, PRILORA_EFORMAT, path, "id2label",
                               "has a label that is not a string");
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(name));
        config->labels[i] = pl_strdup(json_is_string(name) ? json_string_value(name) : number);
        if (!config->labels[i])
            return pl_fail(err, PRILORA_ENOMEM, "%s: no memory for %zu labels", path, n);
    }
    return PRILORA_OK;
}

static void free_labels(struct pl_config *config)
{
    for (size_t i = 0; config->labels && i < config->n_labels; i++)
        free(config->labels[i]);
    free(config->labels);
    config->labels = NULL;
}

/* Where both are given and disagree, num_labels wins and the names go, as in transformers. */
static enum prilora_status read_labels(struct pl_config *config, const json_t *root,
                                       const char *path, struct prilora_error *err)
{
    static const struct member num_labels = {"num_labels", COUNT, 0, 2, 1, PL_CONFIG_MAX_LABELS};
    const json_t *id2label = given(root, "id2label"), *number = given(root, "num_labels");
    enum prilora_status rc;
    size_t n;

    rc = set_number(&n, &num_labels, number, path, err);
    if (rc == PRILORA_OK && id2label)
        rc = read_id2label(config, id2label, path, err);
    if (rc != PRILORA_OK)
        return rc;
    if (!id2label || (number && n != config->n_labels)) {
        free_labels(config);
        config->n_labels = n;
    }
    return PRILORA_OK;
}

/* ---- deberta-v2 (DeBERTa v2 and v3) ------------------------------------------------------- */

#define PLACE(member) offsetof(struct pl_config, member)

static const struct member deberta_members[] = {
    {"vocab_size", COUNT, PLACE(vocab_size), 128100, 1, MAX_VOCAB},
    {"hidden_size", COUNT, PLACE(hidden_size), 1536, 1, MAX_WIDTH},
    {"embedding_size", COUNT, PLACE(embedding_size), 0, 1, MAX_WIDTH}, /* 0: hidden_size */
    {"num_hidden_layers", COUNT, PLACE(num_hidden_layers), 24, 1, MAX_LAYERS},
    {"num_attention_heads", COUNT, PLACE(num_attention_heads), 24, 1, MAX_WIDTH},
    {"intermediate_size", COUNT, PLACE(intermediate_size), 6144, 1, MAX_WIDTH},
    {"max_position_embeddings", COUNT, PLACE(max_position_embeddings), 512, 1, MAX_POSITIONS},
    {"type_vocab_size", COUNT, PLACE(type_vocab_size), 0, 0, MAX_VOCAB},
    {"layer_norm_eps", REAL, PLACE(layer_norm_eps), 1e-7, 0, 1},
    {"hidden_dropout_prob", PROBABILITY, PLACE(hidden_dropout_prob), 0.1, 0, 0},
    {"attention_probs_dropout_prob", PROBABILITY, PLACE(attention_probs_dropout_prob), 0.1, 0, 0},
    {"initializer_range", REAL, PLACE(initializer_range), 0.02, 0, 100},
    {"hidden_act", ACTIVATION, PLACE(hidden_act), PL_ACT_GELU, 0, 0},
    {"pad_token_id", INTEGER, PLACE(pad_token_id), 0, -1, MAX_VOCAB},
    {"relative_attention", FLAG, PLACE(relative_attention), false, 0, 0},
    {"share_att_key", FLAG, PLACE(share_att_key), false, 0, 0},
    {"position_biased_input", FLAG, PLACE(position_biased_input), true, 0, 0},
    {"position_buckets", INTEGER, PLACE(position_buckets), -1, -MAX_POSITIONS, MAX_POSITIONS},
    {"max_relative_positions", INTEGER, PLACE(max_relative_positions), -1, -MAX_POSITIONS,
     MAX_POSITIONS},
    {"conv_kernel_size", COUNT, PLACE(conv_kernel_size), 0, 0, MAX_KERNEL},
    {"conv_groups", COUNT, PLACE(conv_groups), 1, 1, MAX_WIDTH},
    {"conv_act", ACTIVATION, PLACE(conv_act), PL_ACT_TANH, 0, 0},
    {"pooler_hidden_size", COUNT, PLACE(pooler_hidden_size), 0, 1, MAX_WIDTH}, /* 0: hidden_size */
    {"pooler_dropout", PROBABILITY, PLACE(pooler_dropout), 0, 0, 0},
    {"pooler_hidden_act", ACTIVATION, PLACE(pooler_hidden_act), PL_ACT_GELU, 0, 0},
    {"cls_dropout", PROBABILITY, PLACE(cls_dropout), -1, 0, 0},
};

/* A member that lists words, and the flag that each raises; NULL: it means nothing. */
struct words {
    const char *member, *supported;
    struct {
        const char *text;
        bool *flag;
    } items[4];
};

static enum prilora_status take_word(const struct words *words, const char *text, size_t length,
                                     const char *path, struct prilora_error *err)
{
    char problem[128];

    for (; length && text[0] == ' '; length--)
        text++;
    while (length && text[length - 1] == ' ')
        length--;
    if (length == 0)
        return PRILORA_OK;
    for (size_t i = 0; i < 4 && words->items[i].text; i++) {
        if (strlen(words->items[i].text) == length &&
            strncasecmp(words->items[i].text, text, length) == 0) {
            if (words->items[i].flag)
                *words->items[i].flag = true;
            return PRILORA_OK;
        }
    }
    snprintf(problem, sizeof problem, "has '%.*s'; supported are %s",
             length > 40 ? 40 : (int)length, text, words->supported);
    return fail_member(err, PRILORA_EUNSUPPORTED, path, words->member, problem);
}

/* "a|b", or a list of strings */
static enum prilora_status take_words(const struct words *words, const json_t *value,
                                      const char *path, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    const char *text = json_string_value(value);

    if (value && !text && !json_is_array(value))
        return fail_member(err, PRILORA_EFORMAT, path, words->member,
                           "is neither a string nor a list of strings");
    while (text && rc == PRILORA_OK) {
        size_t length = strcspn(text, "|");

        rc = take_word(words, text, length, path, err);
        text = text[length] ? text + length + 1 : NULL;
    }
    for (size_t i = 0; i < json_array_size(value) && rc == PRILORA_OK; i++) {
        const char *item = json_string_value(json_array_get(value, i));

        if (!item)
            return fail_member(err, PRILORA_EFORMAT, path, words->member,
                               "is neither a string nor a list of strings");
        rc = take_word(words, item, strlen(item), path, err);
    }
    return rc;
}

/* What several members say together. */
static enum prilora_status check_deberta(const struct pl_config *c, const json_t *root,
                                         const char *path, struct prilora_error *err)
{
    const json_t *width = given(root, "attention_head_size");
    char problem[160];

    if (c->hidden_size % c->num_attention_heads != 0) {
        snprintf(problem, sizeof problem, "is %zu, which %zu attention heads do not divide",
                 c->hidden_size, c->num_attention_heads);
        return fail_member(err, PRILORA_EFORMAT, path, "hidden_size", problem);
    }
    if (width &&
        (!json_is_integer(width) ||
         json_integer_value(width) != (json_int_t)(c->hidden_size / c->num_attention_heads)))
        return fail_member(err, PRILORA_EUNSUPPORTED, path, "attention_head_size",
                           "is not hidden_size / num_attention_heads");
    if (c->pad_token_id >= 0 && (size_t)c->pad_token_id >= c->vocab_size) {
        snprintf(problem, sizeof problem, "is %ld, but the vocabulary has %zu entries",
                 c->pad_token_id, c->vocab_size);
        return fail_member(err, PRILORA_EFORMAT, path, "pad_token_id", problem);
    }
    if (c->pooler_hidden_size != c->hidden_size) {
        snprintf(problem, sizeof problem, "is %zu, but hidden_size is %zu", c->pooler_hidden_size,
                 c->hidden_size);
        return fail_member(err, PRILORA_EFORMAT, path, "pooler_hidden_size", problem);
    }
    if (c->conv_kernel_size && c->conv_kernel_size % 2 == 0) {
        snprintf(problem, sizeof problem, "is %zu, but must be odd", c->conv_kernel_size);
        return fail_member(err, PRILORA_EFORMAT, path, "conv_kernel_size", problem);
    }
    if (c->hidden_size % c->conv_groups != 0) {
        snprintf(problem, sizeof problem, "is %zu, which does not divide hidden_size %zu",
                 c->conv_groups, c->hidden_size);
        return fail_member(err, PRILORA_EFORMAT, path, "conv_groups", problem);
    }
    return PRILORA_OK;
}

static enum prilora_status finish_deberta(struct pl_config *config, const json_t *root,
                                          const char *path, struct prilora_error *err)
{
    const struct words positions = {"pos_att_type",
                                    "c2p and p2c",
                                    {{"c2p", &config->pos_c2p}, {"p2c", &config->pos_p2c}}};
    const struct words norms = {"norm_rel_ebd",
                                "layer_norm and none",
                                {{"layer_norm", &config->norm_rel_ebd}, {"none", NULL}}};
    enum prilora_status rc;

    if (!config->embedding_size)
        config->embedding_size = config->hidden_size;
    if (!config->pooler_hidden_size)
        config->pooler_hidden_size = config->hidden_size;
    rc = take_words(&positions, given(root, "pos_att_type"), path, err);
    if (rc == PRILORA_OK)
        rc = take_words(&norms, given(root, "norm_rel_ebd"), path, err);
    return rc == PRILORA_OK ? check_deberta(config, root, path, err) : rc;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static const struct model_type model_types[] = {
    {"deberta-v2", deberta_members, sizeof deberta_members / sizeof *deberta_members,
     finish_deberta},
};

#define N_MODEL_TYPES (sizeof model_types / sizeof *model_types)

static enum prilora_status find_type(const struct model_type **out, const json_t *root,
                                     const char *path, struct prilora_error *err)
{
    const char *name = json_string_value(json_object_get(root, "model_type"));
    char problem[256];
    size_t used;

    if (!name)
        return fail_member(err, PRILORA_EFORMAT, path, "model_type", "is missing");
    for (size_t i = 0; i < N_MODEL_TYPES; i++) {
        if (strcmp(model_types[i].name, name) == 0) {
            *out = &model_types[i];
            return PRILORA_OK;
        }
    }
    used = (size_t)snprintf(problem, sizeof problem, "is '%.40s'; supported:", name);
    for (size_t i = 0; i < N_MODEL_TYPES && used < sizeof problem; i++)
        used += (size_t)snprintf(problem + used, sizeof problem - used, "%s %s", i ? "," : "",
                                 model_types[i].name);
    return fail_member(err, PRILORA_EUNSUPPORTED, path, "model_type", problem);
}

static enum prilora_status fill(struct pl_config *config, const json_t *root, const char *path,
                                struct prilora_error *err)
{
    const struct model_type *type = NULL;
    enum prilora_status rc;

    if (!json_is_object(root))
        return pl_fail(err, PRILORA_EFORMAT, "%s: not a JSON object", path);
    rc = find_type(&type, root, path, err);
    if (rc != PRILORA_OK)
        return rc;
    snprintf(config->model_type, sizeof config->model_type, "%s", type->name);
    for (size_t i = 0; i < type->n_members && rc == PRILORA_OK; i++)
        rc = set_member(config, &type->members[i], root, path, err);
    if (rc == PRILORA_OK)
        rc = type->finish(config, root, path, err);
    return rc == PRILORA_OK ? read_labels(config, root, path, err) : rc;
}

enum prilora_status pl_config_parse(struct pl_config *out, const char *json, size_t length,
                                    const char *path, struct prilora_error *err)
{
    json_error_t problem;
    json_t *root = json_loadb(json, length, JSON_REJECT_DUPLICATES, &problem);
    enum prilora_status rc;

    *out = (struct pl_config){0};
    if (!root) {
        char where[192];

        snprintf(where, sizeof where, "%.160s:%d", path, problem.line);
        return pl_fail_at(err, PRILORA_EFORMAT, where, "%s: line %d: %s", path, problem.line,
                          problem.text);
    }
    rc = fill(out, root, path, err);
    json_decref(root);
    if (rc != PRILORA_OK)
        pl_config_free(out);
    return rc;
}

enum prilora_status pl_config_read(struct pl_config *out, const char *folder,
                                   struct prilora_error *err)
{
    char *path = pl_file_join(folder, "config.json"), *text = NULL;
    enum prilora_status rc;
    size_t length;

    *out = (struct pl_config){0};
    if (!path)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    rc = pl_file_read(&text, &length, path, PL_CONFIG_MAX_BYTES, err);
    if (rc == PRILORA_OK)
        rc = pl_config_parse(out, text, length, path, err);
    free(text);
    free(path);
    return rc;
}

void pl_config_free(struct pl_config *config)
{
    if (!config)
        return;
    free_labels(config);
    *config = (struct pl_config){0};
}
