/* config_member.c - see config_member.h. */
#include "io/config_member.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    enum pl_activation value;
} activations[] = {
    {"gelu", PL_ACT_GELU},           {"gelu_python", PL_ACT_GELU},
    {"gelu_new", PL_ACT_GELU_TANH},  {"gelu_pytorch_tanh", PL_ACT_GELU_TANH},
    {"gelu_fast", PL_ACT_GELU_TANH}, {"relu", PL_ACT_RELU},
    {"tanh", PL_ACT_TANH},           {"silu", PL_ACT_SILU},
    {"swish", PL_ACT_SILU},
};

const json_t *pl_member_given(const json_t *root, const char *name)
{
    const json_t *value = json_object_get(root, name);

    return json_is_null(value) ? NULL : value;
}

enum prilora_status pl_member_fail(struct prilora_error *err, enum prilora_status status,
                                   const char *path, const char *name, const char *problem)
{
    char where[64];

    snprintf(where, sizeof where, "/%s", name);
    return pl_fail_at(err, status, where, "%s: %s %s", path, name, problem);
}

enum prilora_status pl_member_number(void *to, const struct pl_member *m, const json_t *value,
                                     const char *path, struct prilora_error *err)
{
    bool whole = m->kind == PL_COUNT || m->kind == PL_INTEGER,
         probability = m->kind == PL_PROBABILITY;
    double number = value ? json_number_value(value) : m->absent;
    char problem[160];

    if (value && !(whole ? json_is_integer(value) : json_is_number(value)))
        return pl_member_fail(err, PRILORA_EFORMAT, path, m->name,
                              whole ? "is not an integer" : "is not a number");
    if (value && probability && !(number >= 0 && number < 1)) {
        snprintf(problem, sizeof problem, "is %g, but must be at least 0 and below 1", number);
        return pl_member_fail(err, PRILORA_EFORMAT, path, m->name, problem);
    }
    if (value && !probability && !(number >= m->min && number <= m->max)) {
        snprintf(problem, sizeof problem, "is %.12g, but must be from %.12g to %.12g", number,
                 m->min, m->max);
        return pl_member_fail(err, PRILORA_EFORMAT, path, m->name, problem);
    }
    if (m->kind == PL_COUNT)
        *(size_t *)to = (size_t)number;
    else if (m->kind == PL_INTEGER)
        *(long *)to = (long)number;
    else
        *(double *)to = number;
    return PRILORA_OK;
}

static enum prilora_status set_flag(void *to, const struct pl_member *m, const json_t *value,
                                    const char *path, struct prilora_error *err)
{
    if (value && !json_is_boolean(value))
        return pl_member_fail(err, PRILORA_EFORMAT, path, m->name, "is not true or false");
    *(bool *)to = value ? json_is_true(value) : m->absent != 0;
    return PRILORA_OK;
}

static enum prilora_status set_activation(void *to, const struct pl_member *m, const json_t *value,
                                          const char *path, struct prilora_error *err)
{
    const char *name = json_string_value(value);
    char problem[256];

    *(enum pl_activation *)to = (enum pl_activation)m->absent;
    if (!value)
        return PRILORA_OK;
    if (!name)
        return pl_member_fail(err, PRILORA_EFORMAT, path, m->name, "is not a string");
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++) {
        if (strcmp(activations[i].name, name) == 0) {
            *(enum pl_activation *)to = activations[i].value;
            return PRILORA_OK;
        }
    }
    snprintf(problem, sizeof problem,
             "is '%.40s'; supported are gelu, gelu_python, gelu_new, gelu_pytorch_tanh, gelu_fast, "
             "relu, tanh, silu and swish",
             name);
    return pl_member_fail(err, PRILORA_EUNSUPPORTED, path, m->name, problem);
}

enum prilora_status pl_member_read(struct pl_config *config, const struct pl_member *m,
                                   const json_t *root, const char *path, struct prilora_error *err)
{
    const json_t *value = pl_member_given(root, m->name);
    void *to = (char *)config + m->offset;

    switch (m->kind) {
    case PL_FLAG:
        return set_flag(to, m, value, path, err);
    case PL_ACTIVATION:
        return set_activation(to, m, value, path, err);
    default:
        return pl_member_number(to, m, value, path, err);
    }
}

static enum prilora_status take_word(const struct pl_member_words *words, const char *text,
                                     size_t length, const char *path, struct prilora_error *err)
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
    return pl_member_fail(err, PRILORA_EUNSUPPORTED, path, words->member, problem);
}

/* "a|b", or a list of strings */
enum prilora_status pl_member_words_read(const struct pl_member_words *words, const json_t *value,
                                         const char *path, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    const char *text = json_string_value(value);

    if (value && !text && !json_is_array(value))
        return pl_member_fail(err, PRILORA_EFORMAT, path, words->member,
                              "is neither a string nor a list of strings");
    while (text && rc == PRILORA_OK) {
        size_t length = strcspn(text, "|");

        rc = take_word(words, text, length, path, err);
        text = text[length] ? text + length + 1 : NULL;
    }
    for (size_t i = 0; i < json_array_size(value) && rc == PRILORA_OK; i++) {
        const char *item = json_string_value(json_array_get(value, i));

        if (!item)
            return pl_member_fail(err, PRILORA_EFORMAT, path, words->member,
                                  "is neither a string nor a list of strings");
        rc = take_word(words, item, strlen(item), path, err);
    }
    return rc;
}
