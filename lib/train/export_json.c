/* export_json.c - adapter_config.json as PEFT 0.11 to 0.18 read it, and labels.json of ours. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "train/export.h"
#include "train/naming.h"
#include "train/settings.h"
#include "train/spec.h"

/* Whether a path has that component: "bert.pooler.dense.weight" has "pooler". */
static bool has_component(const char *path, const char *name)
{
    size_t n = strlen(name);

    for (; path; path = strchr(path, '.'), path += path ? 1 : 0)
        if (strncmp(path, name, n) == 0 && (path[n] == '.' || !path[n]))
            return true;
    return false;
}

static const char *const modules[] = {"classifier", "pre_classifier", "pooler", "qa_outputs"};
#define N_MODULES (sizeof modules / sizeof *modules)

const char *pl_export_saved_module(const char *tensor)
{
    for (size_t m = 0; m < N_MODULES; m++)
        if (has_component(tensor, modules[m]))
            return modules[m];
    return NULL;
}

static json_t *saved_modules(const struct pl_export *x)
{
    json_t *list = json_array();

    for (size_t m = 0; m < N_MODULES; m++) {
        bool found = false;

        for (size_t i = 0; !found && i < x->layout->n; i++) {
            const struct pl_param *param = &x->layout->params[i];

            found =
                param->kind == PL_PARAM_HEAD && pl_export_saved_module(param->name) == modules[m];
        }
        if (found)
            pl_json_append(&list, json_string(modules[m]));
    }
    return list;
}

/* What the export says of one adapted map; a placeholder's rank is 1 and its alpha, too. */
static struct pl_lora shown_map(const struct pl_export *x, size_t i)
{
    static const struct pl_lora placeholder = {.rank = 1, .alpha = 1, .scale = 1};

    return &x->sites[i] == pl_export_placeholder(x) ? placeholder : x->adapter->maps[i];
}

/* The adapted map that stands for all in "r" and "lora_alpha": one of the most frequent rank. */
static size_t typical_map(const struct pl_export *x)
{
    const struct pl_adapter *adapter = x->adapter;
    size_t best = adapter->n_adapted ? 0 : adapter->n_maps - 1, most = 0;

    for (size_t i = 0; i < adapter->n_maps; i++) {
        size_t count = 0;

        for (size_t k = 0; adapter->maps[i].rank && k < adapter->n_maps; k++)
            count += adapter->maps[k].rank == adapter->maps[i].rank;
        if (count > most) {
            most = count;
            best = i;
        }
    }
    return best;
}

/* Whole numbers as integers, as PEFT writes them itself. */
static json_t *number(double value)
{
    return value == (double)(long)value ? json_integer((long)value) : json_real(value);
}

static json_t *patterns(const struct pl_export *x, bool alpha)
{
    json_t *object = json_object();

    for (size_t i = 0; i < x->adapter->n_maps; i++) {
        struct pl_lora map = shown_map(x, i);

        if (map.rank)
            pl_json_set(&object, x->sites[i].path,
                        alpha ? number(map.alpha) : json_integer((json_int_t)map.rank));
    }
    return object;
}

static json_t *target_paths(const struct pl_export *x)
{
    json_t *list = json_array();

    for (size_t i = 0; i < x->adapter->n_maps; i++) {
        if (shown_map(x, i).rank)
            pl_json_append(&list, json_string(x->sites[i].path));
    }
    return list;
}

/* As text, and the object released. */
static char *dump(json_t *object)
{
    char *text = object ? pl_json_text(object, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;

    json_decref(object);
    return text;
}

char *pl_export_config(const struct pl_export *x)
{
    const struct pl_lora typical = shown_map(x, typical_map(x));

    return dump(json_pack(
        "{s:s, s:s, s:s, s:b, s:I, s:o, s:o, s:o, s:o, s:o, s:f, s:s, s:b, s:b, s:b, s:b, s:n}",
        "peft_type", "LORA", "task_type", pl_naming_of(x->task)->peft_type,
        "base_model_name_or_path", x->base_name, "inference_mode", 1, "r", (json_int_t)typical.rank,
        "lora_alpha", number(typical.alpha), "target_modules", target_paths(x), "rank_pattern",
        patterns(x, false), "alpha_pattern", patterns(x, true), "modules_to_save", saved_modules(x),
        "lora_dropout", x->spec->lora_dropout, "bias", "none", "fan_in_fan_out", 0, "use_rslora", 0,
        "use_dora", 0, "init_lora_weights", 1, "revision"));
}

static json_t *label_names(const struct pl_export *x, bool by_id)
{
    json_t *object = json_object();

    for (size_t i = 0; i < x->n_labels; i++) {
        char id[24];

        snprintf(id, sizeof id, "%zu", i);
        if (by_id)
            pl_json_set(&object, id, json_string(x->labels[i]));
        else
            pl_json_set(&object, x->labels[i], json_integer((json_int_t)i));
    }
    return object;
}

static json_t *metrics(const struct prilora_result *result)
{
    json_t *object = json_object();

    for (size_t i = 0; i < result->n_values; i++)
        pl_json_set(&object, result->values[i].name, json_real(result->values[i].value));
    return object;
}

/* What answering needs to be told, where it is looked for first. */
static void set_answers(json_t **object, const struct pl_export *x)
{
    json_t *names = json_array();

    for (size_t i = 0; i < x->n_labels; i++)
        pl_json_append(&names, json_string(x->labels[i]));
    pl_json_set(object, "labels", names);
    pl_json_set(object, "max_length", json_integer(x->spec->max_length));
    pl_json_set(object, "doc_stride", json_integer(x->spec->doc_stride));
    pl_json_set(object, "max_answer_length", json_integer(x->spec->max_answer_length));
    pl_json_set(object, "null_answers", json_boolean(x->answers.none));
}

char *pl_export_labels(const struct pl_export *x)
{
    const struct prilora_result *result = x->result;
    char *spec = prilora_spec_dump(x->spec);
    json_t *settings = spec ? json_loads(spec, 0, NULL) : NULL, *object;

    free(spec);
    object = json_pack("{s:s, s:o, s:o, s:o, s:{s:I, s:I, s:I, s:I}, s:{s:s, s:s}, s:s, s:o}",
                       "task", pl_task_word(x->task), "id2label", label_names(x, true), "label2id",
                       label_names(x, false), "metrics", metrics(result), "training", "step",
                       (json_int_t)result->best_step, "tokens", (json_int_t)result->n_tokens,
                       "nonzero_in_A", (json_int_t)result->n_nonzero, "entries_of_A",
                       (json_int_t)result->n_prunable, "base", "name", x->base_name, "fingerprint",
                       x->base_fingerprint, "prilora_version", PRILORA_VERSION, "specification",
                       settings);
    if (x->task == PRILORA_TASK_QUESTION_ANSWERING)
        set_answers(&object, x);
    return dump(object);
}
