/* reading.c - see reading.h: JSON values into a specification, each checked once. */
#include "train/reading.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "adapter/pattern.h"
#include "base/memory.h"

#define MAX_TARGET   512 /* bytes of one name */
#define MAX_DISTANCE 2   /* slips of the finger that a suggestion forgives */

const char *pl_reading_point(struct pl_reading *r, const char *name)
{
    size_t room = sizeof r->pointer - 1, used;

    snprintf(r->pointer, room, "%.150s/", r->where);
    used = strlen(r->pointer);
    for (; *name && used + 3 < room; name++) {
        if (*name == '~' || *name == '/') {
            r->pointer[used++] = '~';
            r->pointer[used++] = *name == '~' ? '0' : '1';
        } else {
            r->pointer[used++] = *name;
        }
    }
    r->pointer[used] = '\0';
    return r->pointer;
}

const char *pl_reading_show(const json_t *value, char text[64])
{
    char *json = pl_json_text(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));

    snprintf(text, 64, "%s%s", "", json ? json : "?");
    if (json && strlen(json) > 63)
        memcpy(text + 60, "...", 4);
    free(json);
    return text;
}

static enum prilora_status fail_range(struct pl_reading *r, const struct pl_setting *s,
                                      const json_t *value)
{
    char seen[64];

    return pl_fail_at(r->err, PRILORA_EINVAL, r->pointer, "%s: %s, but %s from %.10g to %.10g",
                      s->name, pl_reading_show(value, seen),
                      s->kind == PL_SETTING_INTEGER ? "must be an integer" : "must be a number",
                      s->min, s->max);
}

static enum prilora_status read_number(struct pl_reading *r, const struct pl_setting *s,
                                       const json_t *value)
{
    char *place = (char *)r->spec + s->offset;
    bool integer = s->kind == PL_SETTING_INTEGER;
    double number = json_number_value(value);

    if (!(integer ? json_is_integer(value) : json_is_number(value)) || !(number >= s->min) ||
        !(number <= s->max))
        return fail_range(r, s, value);
    if (integer)
        *(long *)(void *)place = (long)json_integer_value(value);
    else
        *(double *)(void *)place = number;
    return PRILORA_OK;
}

static enum prilora_status read_bool(struct pl_reading *r, const struct pl_setting *s,
                                     const json_t *value)
{
    char seen[64];

    if (!json_is_boolean(value))
        return pl_fail_at(r->err, PRILORA_EINVAL, r->pointer, "%s: %s, but must be true or false",
                          s->name, pl_reading_show(value, seen));
    *(bool *)((char *)r->spec + s->offset) = json_is_true(value);
    return PRILORA_OK;
}

enum prilora_status pl_reading_word(struct pl_reading *r, const char *name,
                                    const struct pl_choice *choices, const json_t *value,
                                    int *place)
{
    char seen[64], words[256];

    if (json_is_string(value) && pl_choice_value(choices, json_string_value(value), place))
        return PRILORA_OK;
    return pl_fail_at(r->err, PRILORA_EINVAL, r->pointer, "%s: %s, but must be %s", name,
                      pl_reading_show(value, seen), pl_choice_list(choices, words, sizeof words));
}

static enum prilora_status read_ranks(struct pl_reading *r, const struct pl_setting *s,
                                      const json_t *value)
{
    size_t n = json_array_size(value);
    char seen[64];

    if (n < 1 || n > PRILORA_MAX_LAYERS)
        return pl_fail_at(r->err, PRILORA_EINVAL, r->pointer,
                          "ranks: %s, but must be a list of 1 to %d integers",
                          pl_reading_show(value, seen), PRILORA_MAX_LAYERS);
    for (size_t i = 0; i < n; i++) {
        const json_t *rank = json_array_get(value, i);
        json_int_t number = json_integer_value(rank);

        if (!json_is_integer(rank) || number < (json_int_t)s->min || number > (json_int_t)s->max) {
            snprintf(r->pointer + strlen(r->pointer), sizeof r->pointer - strlen(r->pointer),
                     "/%zu", i);
            return pl_fail_at(r->err, PRILORA_EINVAL, r->pointer,
                              "ranks: %s, but must be an integer from %.0f to %.0f",
                              pl_reading_show(rank, seen), s->min, s->max);
        }
        r->spec->ranks[i] = (long)number;
    }
    r->spec->n_ranks = n;
    return PRILORA_OK;
}

static enum prilora_status add_target(struct pl_reading *r, const json_t *value, size_t limit)
{
    struct prilora_spec *spec = r->spec;
    char seen[64];

    if (!json_is_string(value) || json_string_length(value) < 1 ||
        json_string_length(value) > limit)
        return pl_fail_at(r->err, PRILORA_EINVAL, r->pointer,
                          "target_modules: %s, but must be a string of 1 to %zu bytes",
                          pl_reading_show(value, seen), limit);
    spec->targets[spec->n_targets] = pl_strdup(json_string_value(value));
    if (!spec->targets[spec->n_targets])
        return pl_fail(r->err, PRILORA_ENOMEM, "no memory for target_modules");
    spec->n_targets++;
    return PRILORA_OK;
}

static enum prilora_status read_targets(struct pl_reading *r, const json_t *value)
{
    enum prilora_status rc = PRILORA_OK;
    size_t n = json_array_size(value);
    char seen[64];

    if (json_is_string(value)) {
        if (strcmp(json_string_value(value), "all-linear") == 0)
            return PRILORA_OK;
        r->spec->targets_are_pattern = true;
        return add_target(r, value, PL_PATTERN_MAX);
    }
    if (n < 1 || n > PRILORA_MAX_TARGETS)
        return pl_fail_at(r->err, PRILORA_EINVAL, r->pointer,
                          "target_modules: %s, but must be \"all-linear\", a pattern or a list of "
                          "1 to %d names",
                          pl_reading_show(value, seen), PRILORA_MAX_TARGETS);
    for (size_t i = 0; rc == PRILORA_OK && i < n; i++)
        rc = add_target(r, json_array_get(value, i), MAX_TARGET);
    return rc;
}

static enum prilora_status read_setting(struct pl_reading *r, const struct pl_setting *s,
                                        const json_t *value)
{
    switch (s->kind) {
    case PL_SETTING_INTEGER:
    case PL_SETTING_NUMBER:
    case PL_SETTING_AUTO:
        return read_number(r, s, value);
    case PL_SETTING_BOOL:
        return read_bool(r, s, value);
    case PL_SETTING_CHOICE:
        return pl_reading_word(r, s->name, s->choices, value, (int *)((char *)r->spec + s->offset));
    case PL_SETTING_RANKS:
        return read_ranks(r, s, value);
    case PL_SETTING_TARGETS:
        return read_targets(r, value);
    }
    return PRILORA_OK;
}

enum prilora_status pl_reading_fail_unknown(struct pl_reading *r, const char *name,
                                            const char *const *known)
{
    const char *nearest = NULL;
    size_t best = 3; /* two slips of the finger */

    pl_reading_point(r, name);
    for (; *known; known++) {
        size_t distance = pl_name_distance(name, *known, best);

        if (distance < best && distance < strlen(*known)) {
            best = distance;
            nearest = *known;
        }
    }
    if (nearest)
        return pl_fail_at(r->err, PRILORA_EINVAL, r->pointer,
                          "\"%.60s\" is not known here; did you mean \"%s\"?", name, nearest);
    return pl_fail_at(r->err, PRILORA_EINVAL, r->pointer, "\"%.60s\" is not known here", name);
}

static enum prilora_status fail_unknown_setting(struct pl_reading *r, const char *name,
                                                const char *method)
{
    const char *known[PL_MAX_SETTINGS + 1];
    size_t n = 0;

    if (pl_setting_find(name, PL_IN_PRILORA | PL_IN_LORA | PL_IN_HEAD))
        return pl_fail_at(r->err, PRILORA_EINVAL, pl_reading_point(r, name),
                          "%s is not a setting of method \"%s\"", name, method);
    for (size_t i = 0; i < pl_n_settings; i++) {
        if (pl_settings[i].methods & r->method)
            known[n++] = pl_settings[i].name;
    }
    known[n] = NULL;
    return pl_reading_fail_unknown(r, name, known);
}

enum prilora_status pl_reading_settings(struct pl_reading *r, json_t *object, const char *method)
{
    const char *name;
    json_t *value;
    char seen[64];

    if (!json_is_object(object))
        return pl_fail_at(r->err, PRILORA_EINVAL, r->where,
                          "hyperparameters: %s, but must be an object",
                          pl_reading_show(object, seen));
    json_object_foreach (object, name, value) {
        const struct pl_setting *s = pl_setting_find(name, r->method);
        enum prilora_status rc;
        uint64_t bit;

        if (!s)
            return fail_unknown_setting(r, name, method);
        if (json_is_string(value) && strcmp(json_string_value(value), "auto") == 0)
            continue;
        pl_reading_point(r, name);
        bit = (uint64_t)1 << (s - pl_settings);
        if (r->given & bit)
            return pl_fail_at(r->err, PRILORA_EINVAL, r->pointer,
                              "%s is given here and in the method's hyperparameters", name);
        r->given |= bit;
        rc = read_setting(r, s, value);
        if (rc != PRILORA_OK)
            return rc;
    }
    return PRILORA_OK;
}
