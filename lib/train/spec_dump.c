/* spec_dump.c - a specification as the JSON that parses back to it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "train/settings.h"

static json_t *targets_json(const struct prilora_spec *spec)
{
    json_t *list;

    if (spec->n_targets == 0)
        return json_string("all-linear");
    if (spec->targets_are_pattern)
        return json_string(spec->targets[0]);
    list = json_array();
    for (size_t i = 0; i < spec->n_targets; i++)
        pl_json_append(&list, json_string(spec->targets[i]));
    return list;
}

static json_t *ranks_json(const struct prilora_spec *spec)
{
    json_t *list = json_array();

    for (size_t i = 0; i < spec->n_ranks; i++)
        pl_json_append(&list, json_integer(spec->ranks[i]));
    return list;
}

static json_t *setting_json(const struct prilora_spec *spec, const struct pl_setting *s)
{
    const void *place = (const char *)spec + s->offset;

    switch (s->kind) {
    case PL_SETTING_INTEGER:
        return json_integer(*(const long *)place);
    case PL_SETTING_NUMBER:
        return json_real(*(const double *)place);
    case PL_SETTING_AUTO:
        return *(const double *)place < 0 ? json_string("auto") : json_real(*(const double *)place);
    case PL_SETTING_BOOL:
        return json_boolean(*(const bool *)place);
    case PL_SETTING_CHOICE:
        return json_string(pl_choice_word(s->choices, *(const int *)place));
    case PL_SETTING_RANKS:
        return ranks_json(spec);
    case PL_SETTING_TARGETS:
        return targets_json(spec);
    }
    return NULL;
}

/* Of the names that say the ranks, those that the schedule uses; a preset only if there is one. */
static bool belongs(const struct prilora_spec *spec, const char *name)
{
    enum prilora_rank_schedule schedule = spec->rank_schedule;

    if (strcmp(name, "preset") == 0)
        return spec->preset != PRILORA_PRESET_NONE;
    if (strcmp(name, "r") == 0)
        return schedule == PRILORA_RANK_UNIFORM;
    if (strcmp(name, "ranks") == 0)
        return schedule == PRILORA_RANK_LIST;
    if (strcmp(name, "rank_start") == 0 || strcmp(name, "rank_end") == 0)
        return schedule == PRILORA_RANK_LINEAR || schedule == PRILORA_RANK_DECREASING;
    return true;
}

static json_t *settings_json(const struct prilora_spec *spec, unsigned method)
{
    json_t *object = json_object();

    for (size_t i = 0; i < pl_n_settings; i++) {
        const struct pl_setting *s = &pl_settings[i];

        if ((s->methods & method) && belongs(spec, s->name))
            pl_json_set(&object, s->name, setting_json(spec, s));
    }
    return object;
}

static json_t *task_json(const struct prilora_spec *spec)
{
    json_t *object = json_object();

    if (spec->glue)
        pl_json_set(&object, "name", json_string(prilora_glue_name(spec->glue)));
    pl_json_set(&object, "type", json_string(pl_choice_word(pl_task_words, (int)spec->task)));
    pl_json_set(&object, "metric", json_string(pl_choice_word(pl_metric_words, (int)spec->metric)));
    if (spec->mismatched_file[0])
        pl_json_set(&object, "mismatched_file", json_string(spec->mismatched_file));
    if (spec->task != PRILORA_TASK_QUESTION_ANSWERING)
        return object;
    pl_json_set(&object, "doc_stride",
                spec->doc_stride < 0 ? json_string("auto") : json_integer(spec->doc_stride));
    pl_json_set(&object, "max_answer_length", json_integer(spec->max_answer_length));
    return object;
}

char *prilora_spec_dump(const struct prilora_spec *spec)
{
    const struct pl_method *method = pl_method_of(spec->method);
    json_t *root = json_pack("{s:I, s:o, s:{s:s, s:{s:o}}}", "seed", (json_int_t)spec->seed, "task",
                             task_json(spec), "method", "type", method->type, method->type,
                             "hyperparameters", settings_json(spec, method->bit));
    char *text = root ? pl_json_text(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;

    json_decref(root);
    return text;
}

/* ---- the table itself, for forms ---- */

static json_t *standard_json(const struct pl_setting *s)
{
    switch (s->kind) {
    case PL_SETTING_INTEGER:
        return json_integer((json_int_t)s->standard);
    case PL_SETTING_NUMBER:
        return json_real(s->standard);
    case PL_SETTING_BOOL:
        return json_boolean(s->standard != 0);
    case PL_SETTING_CHOICE:
        return json_string(pl_choice_word(s->choices, (int)s->standard));
    case PL_SETTING_TARGETS:
        return json_string("all-linear");
    case PL_SETTING_AUTO:
    case PL_SETTING_RANKS:
        return json_null();
    }
    return NULL;
}

static json_t *choices_json(const struct pl_setting *s)
{
    json_t *list = s->choices ? json_array() : json_null();

    for (const struct pl_choice *c = s->choices; c && c->word; c++)
        pl_json_append(&list, json_string(c->word));
    return list;
}

static json_t *methods_json(const struct pl_setting *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < pl_n_methods; i++)
        if (s->methods & pl_methods[i].bit)
            pl_json_append(&list, json_string(pl_methods[i].type));
    return list;
}

static json_t *limit_json(const struct pl_setting *s, double limit)
{
    switch (s->kind) {
    case PL_SETTING_INTEGER:
    case PL_SETTING_RANKS:
        return json_integer((json_int_t)limit);
    case PL_SETTING_NUMBER:
    case PL_SETTING_AUTO:
        return json_real(limit);
    default:
        return json_null();
    }
}

char *prilora_spec_settings(void)
{
    static const char *const types[] = {
        [PL_SETTING_INTEGER] = "integer", [PL_SETTING_NUMBER] = "number",
        [PL_SETTING_AUTO] = "number",     [PL_SETTING_BOOL] = "boolean",
        [PL_SETTING_CHOICE] = "choice",   [PL_SETTING_RANKS] = "ranks",
        [PL_SETTING_TARGETS] = "targets",
    };
    json_t *list = json_array();
    char *text;

    for (size_t i = 0; i < pl_n_settings; i++) {
        const struct pl_setting *s = &pl_settings[i];

        json_array_append_new(
            list, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:s}", "name", s->name, "type",
                            types[s->kind], "methods", methods_json(s), "minimum",
                            limit_json(s, s->min), "maximum", limit_json(s, s->max), "default",
                            standard_json(s), "choices", choices_json(s), "description", s->help));
    }
    text = list && json_array_size(list) == pl_n_settings
               ? pl_json_text(list, JSON_COMPACT | JSON_REAL_PRECISION(9))
               : NULL;
    json_decref(list);
    return text;
}
