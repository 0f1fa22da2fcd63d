/*
 * settings.c - see settings.h. A setting is called what OpenAI calls it, else PEFT, else the
 * Hugging Face Trainer, else by the paper's word.
 */
#include "train/settings.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "adapter/ranks.h"

static const struct pl_choice schedulers[] = {
    {"linear", PRILORA_LR_LINEAR},
    {"cosine", PRILORA_LR_COSINE},
    {"constant", PRILORA_LR_CONSTANT},
    {0},
};
static const struct pl_choice rank_schedules[] = {
    {"linear", PRILORA_RANK_LINEAR},
    {"uniform", PRILORA_RANK_UNIFORM},
    {"decreasing", PRILORA_RANK_DECREASING},
    {"list", PRILORA_RANK_LIST},
    {0},
};
static const struct pl_choice scalings[] = {
    {"layer", PRILORA_SCALING_LAYER},
    {"common", PRILORA_SCALING_COMMON},
    {0},
};
static const struct pl_choice presets[] = {
    {"none", PRILORA_PRESET_NONE},
    {"adalora", PRILORA_PRESET_ADALORA},
    {0},
};
static const struct pl_choice computes[] = {
    {"float32", PRILORA_COMPUTE_FLOAT32},
    {"bf16", PRILORA_COMPUTE_BF16},
    {0},
};
const struct pl_choice pl_task_words[] = {
    {"auto", PRILORA_TASK_AUTO},
    {"classification", PRILORA_TASK_CLASSIFICATION},
    {"regression", PRILORA_TASK_REGRESSION},
    {"multi_label", PRILORA_TASK_MULTI_LABEL},
    {"token_classification", PRILORA_TASK_TOKEN_CLASSIFICATION},
    {"question_answering", PRILORA_TASK_QUESTION_ANSWERING},
    {0},
};
const struct pl_choice pl_metric_words[] = {
    {"auto", PRILORA_METRIC_AUTO},
    {"accuracy", PRILORA_METRIC_ACCURACY},
    {"f1", PRILORA_METRIC_F1},
    {"matthews", PRILORA_METRIC_MATTHEWS},
    {"pearson", PRILORA_METRIC_PEARSON},
    {"spearman", PRILORA_METRIC_SPEARMAN},
    {"exact_match", PRILORA_METRIC_EXACT_MATCH},
    {"loss", PRILORA_METRIC_LOSS},
    {0},
};

const struct pl_method pl_methods[] = {
    {"prilora", PL_IN_PRILORA, PRILORA_METHOD_PRILORA},
    {"lora", PL_IN_LORA, PRILORA_METHOD_LORA},
    {"head", PL_IN_HEAD, PRILORA_METHOD_HEAD},
    {"supervised", PL_IN_SUPERVISED, PRILORA_METHOD_PRILORA},
};
const size_t pl_n_methods = sizeof pl_methods / sizeof *pl_methods;

const struct pl_method *pl_method_of(enum prilora_method method)
{
    size_t i = 0;

    while (pl_methods[i].method != method)
        i++;
    return &pl_methods[i];
}

#define ALL     (OURS | PL_IN_SUPERVISED)
#define OURS    (ADAPTED | PL_IN_HEAD)
#define ADAPTED (PL_IN_PRILORA | PL_IN_LORA)
#define METHOD  PL_IN_PRILORA

#define INTEGER(name, methods, min, max, standard, help)                                           \
    {                                                                                              \
#name, PL_SETTING_INTEGER, methods, offsetof(struct prilora_spec, name), min, max,         \
            standard, NULL, help                                                                   \
    }
#define NUMBER(name, methods, min, max, standard, help)                                            \
    {                                                                                              \
#name, PL_SETTING_NUMBER, methods, offsetof(struct prilora_spec, name), min, max,          \
            standard, NULL, help                                                                   \
    }
#define DROPOUT(name, help)                                                                        \
    {                                                                                              \
#name, PL_SETTING_AUTO, OURS, offsetof(struct prilora_spec, name), 0, 0.9, -1, NULL, help  \
    }
#define BOOL(name, methods, standard, help)                                                        \
    {                                                                                              \
#name, PL_SETTING_BOOL, methods, offsetof(struct prilora_spec, name), 0, 1, standard,      \
            NULL, help                                                                             \
    }
#define CHOICE(name, methods, words, standard, help)                                               \
    {                                                                                              \
#name, PL_SETTING_CHOICE, methods, offsetof(struct prilora_spec, name), 0, 0, standard,    \
            words, help                                                                            \
    }

const struct pl_setting pl_settings[] = {
    CHOICE(preset, OURS, presets, PRILORA_PRESET_NONE,
           "published settings of a GLUE task; what is given wins over them"),
    INTEGER(n_epochs, ALL, 1, 10000, 3, "times through the training data"),
    INTEGER(batch_size, ALL, 1, 4096, 32, "examples per step"),
    NUMBER(learning_rate_multiplier, ALL, 1e-4, 1e4, 1, "scales learning_rate"),
    NUMBER(learning_rate, OURS, 1e-9, 10, 8e-4, "the highest rate of the schedule"),
    CHOICE(lr_scheduler_type, OURS, schedulers, PRILORA_LR_LINEAR,
           "how the rate falls after the warm-up"),
    NUMBER(warmup_ratio, OURS, 0, 1, 0.06, "part of all steps in which the rate rises"),
    INTEGER(warmup_steps, OURS, 0, 1e9, 0, "above 0: instead of warmup_ratio"),
    NUMBER(weight_decay, OURS, 0, 1, 0.01, "decoupled, not for biases"),
    NUMBER(adam_beta1, OURS, 0, 0.9999, 0.9, "decay of the first moment"),
    NUMBER(adam_beta2, OURS, 0, 0.999999, 0.999, "decay of the second moment"),
    NUMBER(adam_epsilon, OURS, 1e-12, 1, 1e-8, "added to the root of the second moment"),
    NUMBER(max_grad_norm, OURS, 0, 1e6, 1, "longer gradients are cut to it; 0: never"),
    INTEGER(gradient_accumulation_steps, OURS, 1, 1024, 1, "batches per optimiser step"),
    INTEGER(max_steps, OURS, 0, 1e9, 0, "optimiser steps; 0: what n_epochs make"),
    INTEGER(max_length, OURS, 8, 4096, 128, "tokens per example, special ones included"),
    INTEGER(eval_steps, OURS, 0, 1e9, 0, "steps between evaluations; 0: every epoch"),
    INTEGER(early_stopping_patience, OURS, 0, 1000, 0,
            "evaluations without a better metric; 0: never stops early"),
    INTEGER(checkpoint_steps, OURS, 0, 1e9, 0,
            "steps between checkpoints; 0: at evaluations and every five minutes"),
    CHOICE(compute, OURS, computes, PRILORA_COMPUTE_FLOAT32,
           "of the frozen maps: bf16 is faster and smaller"),
    BOOL(recompute, OURS, false, "keep one layer's activations: less memory, more time, same bits"),
    DROPOUT(hidden_dropout, "auto: as the base's config.json"),
    DROPOUT(attention_dropout, "auto: as the base's config.json"),
    DROPOUT(classifier_dropout, "auto: as the base's config.json"),

    CHOICE(rank_schedule, METHOD, rank_schedules, PRILORA_RANK_LINEAR,
           "how rank goes from the first layer to the last"),
    INTEGER(rank_start, METHOD, 1, PL_MAX_RANK, 4, "rank of the layer nearest the input"),
    INTEGER(rank_end, METHOD, 1, PL_MAX_RANK, 12, "rank of the last layer"),
    {"r", PL_SETTING_INTEGER, ADAPTED, offsetof(struct prilora_spec, rank_start), 1, PL_MAX_RANK, 8,
     NULL, "one rank for every layer"},
    {"ranks", PL_SETTING_RANKS, METHOD, 0, 1, PL_MAX_RANK, 0, NULL, "rank of each layer"},
    NUMBER(lora_alpha, ADAPTED, 1e-3, 1e6, 16, "the update is scaled by alpha / rank"),
    NUMBER(lora_dropout, ADAPTED, 0, 0.9, 0, "of the adapters' inputs"),
    CHOICE(scaling, ADAPTED, scalings, PRILORA_SCALING_LAYER,
           "by each layer's rank or by the mean"),
    {"target_modules", PL_SETTING_TARGETS, ADAPTED, 0, 0, 0, 0, NULL,
     "\"all-linear\", names or kinds of maps, or one pattern for whole paths"},

    NUMBER(prune_ratio, METHOD, 0, 0.99, 0.5, "part of each row of A that becomes zero"),
    INTEGER(prune_interval, METHOD, 1, 1e9, 40, "optimiser steps between prunings"),
    INTEGER(prune_start, METHOD, 0, 1e9, 0, "no pruning before this step"),
    NUMBER(prune_decay, METHOD, 0, 0.99999, 0.9, "of the input statistic"),
    BOOL(prune_regrow, METHOD, true, "pruned entries may grow back until the next pruning"),
    BOOL(prune_reset_moments, METHOD, false, "clear Adam's moments of pruned entries"),
};
const size_t pl_n_settings = sizeof pl_settings / sizeof *pl_settings;

_Static_assert(sizeof pl_settings / sizeof *pl_settings <= PL_MAX_SETTINGS, "settings fit a set");
_Static_assert(sizeof(enum prilora_scaling) == sizeof(int), "enums are read and set as int");

const struct pl_setting *pl_setting_find(const char *name, unsigned method)
{
    for (size_t i = 0; i < pl_n_settings; i++) {
        if ((pl_settings[i].methods & method) && strcmp(pl_settings[i].name, name) == 0)
            return &pl_settings[i];
    }
    return NULL;
}

size_t pl_setting_index(const char *name)
{
    const struct pl_setting *setting = pl_setting_find(name, ALL);

    assert(setting);
    return (size_t)(setting - pl_settings);
}

bool pl_choice_value(const struct pl_choice *choices, const char *word, int *value)
{
    for (; choices->word; choices++) {
        if (strcmp(choices->word, word) == 0) {
            *value = choices->value;
            return true;
        }
    }
    return false;
}

const char *pl_choice_word(const struct pl_choice *choices, int value)
{
    while (choices->word && choices->value != value)
        choices++;
    return choices->word ? choices->word : "";
}

const char *pl_choice_list(const struct pl_choice *choices, char *text, size_t room)
{
    size_t used = 0;

    for (const struct pl_choice *c = choices; c->word && used < room; c++) {
        const char *between = c == choices ? "" : c[1].word ? ", " : " or ";
        int n = snprintf(text + used, room - used, "%s\"%s\"", between, c->word);

        used += n < 0 ? 0 : (size_t)n;
    }
    return text;
}

#define MAX_NAME 40

size_t pl_name_distance(const char *a, const char *b, size_t limit)
{
    size_t row[MAX_NAME + 1], n = strlen(a), m = strlen(b);

    if (n > MAX_NAME || m > MAX_NAME)
        return limit + 1;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            row[j] = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            if (change < row[j])
                row[j] = change;
        }
    }
    return row[m] > limit ? limit + 1 : row[m];
}
