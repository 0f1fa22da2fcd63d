/* spec_dump.c - a specification as the JSON that parses back to it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        json_array_append_new(list, json_string(spec->targets[i]));
    return list;
}

static json_t *ranks_json(const struct prilora_spec *spec)
{
    json_t *list = json_array();

    for (size_t i = 0; i < spec->n_ranks; i++)
        json_array_append_new(list, json_integer(spec->ranks[i]));
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

/* Of the names that say the ranks, those that the schedule uses. */
static bool belongs(const struct prilora_spec *spec, const char *name)
{
    enum prilora_rank_schedule schedule = spec->rank_schedule;

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
            json_object_set_new(object, s->name, setting_json(spec, s));
    }
    return object;
}

char *prilora_spec_dump(const struct prilora_spec *spec)
{
    bool lora = spec->method == PRILORA_METHOD_LORA;
    const char *method = lora ? "lora" : "prilora";
    json_t *root =
        json_pack("{s:I, s:{s:s, s:s}, s:{s:s, s:{s:o}}}", "seed", (json_int_t)spec->seed, "task",
                  "type", pl_choice_word(pl_task_words, (int)spec->task), "metric",
                  pl_choice_word(pl_metric_words, (int)spec->metric), "method", "type", method,
                  method, "hyperparameters",
                  settings_json(spec, lora ? PL_IN_LORA : PL_IN_PRILORA));
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;

    json_decref(root);
    return text;
}
