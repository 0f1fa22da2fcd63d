/* spec.c - a run's specification, read from JSON; the settings themselves are in settings.c. */
#include "train/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/glue.h"
#include "train/reading.h"
#include "train/windows.h"

#define MAX_SPEC ((size_t)1 << 20) /* bytes of JSON */
#define MAX_SEED 9007199254740991  /* 2^53 - 1: what every JSON reader keeps exactly */

bool pl_spec_is_given(const struct pl_spec_given *given, const char *setting)
{
    return given->settings >> pl_setting_index(setting) & 1;
}

static bool given(const struct pl_reading *r, const char *name)
{
    return r->given >> pl_setting_index(name) & 1;
}

/*
 * r, ranks, rank_start and rank_end say the same in different ways: what was given decides the
 * schedule, and a schedule that was named must agree.
 */
static enum prilora_status settle_ranks(struct pl_reading *r)
{
    static const struct {
        const char *name;
        unsigned schedules; /* bit s: belongs to schedule s */
        int implies;        /* -1: the default */
    } rules[] = {
        {"ranks", 1u << PRILORA_RANK_LIST, PRILORA_RANK_LIST},
        {"r", 1u << PRILORA_RANK_UNIFORM, PRILORA_RANK_UNIFORM},
        {"rank_start", 1u << PRILORA_RANK_LINEAR | 1u << PRILORA_RANK_DECREASING, -1},
        {"rank_end", 1u << PRILORA_RANK_LINEAR | 1u << PRILORA_RANK_DECREASING, -1},
    };
    struct prilora_spec *spec = r->spec;
    const struct pl_setting *schedule = &pl_settings[pl_setting_index("rank_schedule")];

    if (spec->method != PRILORA_METHOD_PRILORA)
        spec->rank_schedule = PRILORA_RANK_UNIFORM;
    for (size_t i = 0; i < sizeof rules / sizeof *rules && r->method == PL_IN_PRILORA; i++) {
        if (given(r, rules[i].name) && !given(r, "rank_schedule") && rules[i].implies >= 0 &&
            spec->rank_schedule == PRILORA_RANK_LINEAR)
            spec->rank_schedule = (enum prilora_rank_schedule)rules[i].implies;
        if (given(r, rules[i].name) && !(rules[i].schedules >> spec->rank_schedule & 1))
            return pl_fail_at(r->err, PRILORA_EINVAL, pl_reading_point(r, rules[i].name),
                              "%s does not go with a rank_schedule of \"%s\"", rules[i].name,
                              pl_choice_word(schedule->choices, (int)spec->rank_schedule));
    }
    if (spec->rank_schedule == PRILORA_RANK_LIST && !spec->n_ranks)
        return pl_fail_at(r->err, PRILORA_EINVAL, pl_reading_point(r, "ranks"),
                          "ranks must be given with a rank_schedule of \"list\"");
    if (spec->rank_schedule == PRILORA_RANK_UNIFORM) {
        if (!given(r, "r"))
            spec->rank_start = (long)pl_settings[pl_setting_index("r")].standard;
        spec->rank_end = spec->rank_start;
    }
    return PRILORA_OK;
}

/* {"type": "prilora", "prilora": {"hyperparameters": {...}}} */
static enum prilora_status read_method(struct pl_reading *r, json_t *object)
{
    const json_t *type = json_object_get(object, "type");
    const char *known[] = {"type", NULL, NULL}, *inner[] = {"hyperparameters", NULL}, *name;
    json_t *value, *body, *settings;
    char seen[64];
    size_t m = 0;

    if (!json_is_object(object))
        return pl_fail_at(r->err, PRILORA_EINVAL, "/method", "method: %s, but must be an object",
                          pl_reading_show(object, seen));
    while (m < pl_n_methods &&
           (!json_is_string(type) || strcmp(pl_methods[m].type, json_string_value(type)) != 0))
        m++;
    if (m == pl_n_methods)
        return pl_fail_at(r->err, PRILORA_EINVAL, "/method/type",
                          "type: %s, but must be \"prilora\", \"lora\", \"head\" or \"supervised\"",
                          type ? pl_reading_show(type, seen) : "absent");
    r->has_method = true;
    r->method = pl_methods[m].bit;
    r->spec->method = pl_methods[m].method;
    known[1] = pl_methods[m].type;
    snprintf(r->where, sizeof r->where, "/method");
    json_object_foreach (object, name, value) {
        if (strcmp(name, "type") != 0 && strcmp(name, known[1]) != 0)
            return pl_reading_fail_unknown(r, name, known);
    }
    body = json_object_get(object, known[1]);
    snprintf(r->where, sizeof r->where, "/method/%s", known[1]);
    if (body && !json_is_object(body))
        return pl_fail_at(r->err, PRILORA_EINVAL, r->where, "%s: %s, but must be an object",
                          known[1], pl_reading_show(body, seen));
    json_object_foreach (body, name, value) {
        if (strcmp(name, *inner) != 0)
            return pl_reading_fail_unknown(r, name, inner);
    }
    settings = json_object_get(body, *inner);
    snprintf(r->where, sizeof r->where, "/method/%s/hyperparameters", known[1]);
    return settings ? pl_reading_settings(r, settings, known[1]) : PRILORA_OK;
}

static enum prilora_status read_seed(struct pl_reading *r, const json_t *value)
{
    json_int_t seed = json_integer_value(value);
    char seen[64];

    if (!json_is_integer(value) || seed < 0 || seed > MAX_SEED)
        return pl_fail_at(r->err, PRILORA_EINVAL, "/seed",
                          "seed: %s, but must be an integer from 0 to %lld",
                          pl_reading_show(value, seen), (long long)MAX_SEED);
    r->spec->seed = (uint64_t)seed;
    return PRILORA_OK;
}

/* The members of the whole, in the order in which they are to be read. */
static enum prilora_status read_members(struct pl_reading *r, json_t *root)
{
    const char *const known[] = {"seed", "task", "method", "hyperparameters", NULL};
    json_t *member[4], *value;
    enum prilora_status rc = PRILORA_OK;
    const char *name;
    char seen[64];

    if (!json_is_object(root))
        return pl_fail(r->err, PRILORA_EINVAL, "the specification is %s, but must be an object",
                       pl_reading_show(root, seen));
    json_object_foreach (root, name, value) {
        size_t k = 0;

        while (known[k] && strcmp(known[k], name) != 0)
            k++;
        if (!known[k])
            return pl_reading_fail_unknown(r, name, known);
    }
    for (size_t k = 0; k < 4; k++) {
        member[k] = json_object_get(root, known[k]);
        if (json_is_null(member[k]))
            member[k] = NULL;
    }
    if (member[0])
        rc = read_seed(r, member[0]);
    if (rc == PRILORA_OK && member[1])
        rc = pl_reading_task(r, member[1]);
    if (rc == PRILORA_OK && member[2])
        rc = read_method(r, member[2]);
    if (rc == PRILORA_OK)
        rc = settle_ranks(r);
    if (rc == PRILORA_OK)
        rc = pl_glue_preset(r->spec, r->method, r->given, pl_reading_point(r, "preset"), r->err);
    if (rc == PRILORA_OK && member[3]) {
        snprintf(r->where, sizeof r->where, "/hyperparameters");
        r->method = PL_IN_SUPERVISED;
        rc = pl_reading_settings(r, member[3], "supervised");
    }
    return rc;
}

static void set_defaults(struct prilora_spec *spec)
{
    spec->doc_stride = -1;
    spec->max_answer_length = PL_ANSWER_LENGTH;
    for (size_t i = 0; i < pl_n_settings; i++) {
        const struct pl_setting *s = &pl_settings[i];
        void *place = (char *)spec + s->offset;

        if (strcmp(s->name, "r") == 0)
            continue; /* shares its place with rank_start */
        if (s->kind == PL_SETTING_INTEGER)
            *(long *)place = (long)s->standard;
        else if (s->kind == PL_SETTING_NUMBER || s->kind == PL_SETTING_AUTO)
            *(double *)place = s->standard;
        else if (s->kind == PL_SETTING_BOOL)
            *(bool *)place = s->standard != 0;
        else if (s->kind == PL_SETTING_CHOICE)
            *(int *)place = (int)s->standard;
    }
}

enum prilora_status pl_spec_parse(struct prilora_spec **out, struct pl_spec_given *given,
                                  const char *json, size_t length, struct prilora_error *err)
{
    struct prilora_spec *spec = pl_calloc(1, sizeof *spec);
    struct pl_reading r = {.spec = spec, .err = err, .method = PL_IN_PRILORA};
    enum prilora_status rc;
    json_error_t reason;
    json_t *root = NULL;

    *out = NULL;
    if (!spec)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for a specification");
    set_defaults(spec);
    snprintf(r.where, sizeof r.where, "%s", "");
    if (length > MAX_SPEC) {
        rc = pl_fail(err, PRILORA_ELIMIT, "a specification of %zu bytes, but at most %zu are read",
                     length, MAX_SPEC);
        goto out;
    }
    root = json_loadb(json, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &reason);
    if (!root) {
        rc = pl_fail(err, PRILORA_EINVAL, "not JSON: line %d, column %d: %s", reason.line,
                     reason.column, reason.text);
        goto out;
    }
    rc = read_members(&r, root);
    if (rc == PRILORA_OK && spec->method != PRILORA_METHOD_PRILORA)
        spec->prune_ratio = 0;
    if (rc == PRILORA_OK) {
        *given = (struct pl_spec_given){r.given, r.has_method, r.has_stride, r.has_longest};
        *out = spec;
        spec = NULL;
    }
out:
    json_decref(root);
    prilora_spec_free(spec);
    return rc;
}

enum prilora_status prilora_spec_parse(struct prilora_spec **out, const char *json, size_t length,
                                       struct prilora_error *err)
{
    struct pl_spec_given given;

    return pl_spec_parse(out, &given, json, length, err);
}

struct prilora_spec *prilora_spec_copy(const struct prilora_spec *spec)
{
    struct prilora_spec *copy = pl_calloc(1, sizeof *copy);

    if (!copy)
        return NULL;
    *copy = *spec;
    copy->n_targets = 0;
    for (size_t i = 0; i < spec->n_targets; i++) {
        copy->targets[i] = pl_strdup(spec->targets[i]);
        if (!copy->targets[i]) {
            prilora_spec_free(copy);
            return NULL;
        }
        copy->n_targets++;
    }
    return copy;
}

void prilora_spec_free(struct prilora_spec *spec)
{
    if (!spec)
        return;
    for (size_t i = 0; i < spec->n_targets; i++)
        free(spec->targets[i]);
    free(spec);
}
