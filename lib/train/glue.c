/*
 * glue.c - see glue.h. Class numbers and label names are those of the GLUE tasks on the Hugging
 * Face hub, metrics those of the benchmark (Wang et al. 2019, arXiv:1804.07461). Which columns a
 * task's files have stands in columns.c.
 */
#include "train/glue.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "train/metrics.h"

#define BIT(metric) (1u << PRILORA_METRIC_##metric)
#define CLASSES     PRILORA_TASK_CLASSIFICATION

static const struct pl_glue tasks[] = {
    [PRILORA_GLUE_COLA] = {"cola",
                           NULL,
                           "CoLA",
                           CLASSES,
                           PRILORA_METRIC_MATTHEWS,
                           BIT(MATTHEWS),
                           {"unacceptable", "acceptable"},
                           false},
    [PRILORA_GLUE_SST2] = {"sst2",
                           "sst-2",
                           "SST-2",
                           CLASSES,
                           PRILORA_METRIC_ACCURACY,
                           BIT(ACCURACY),
                           {"negative", "positive"},
                           false},
    [PRILORA_GLUE_MRPC] = {"mrpc",
                           NULL,
                           "MRPC",
                           CLASSES,
                           PRILORA_METRIC_ACCURACY,
                           BIT(ACCURACY) | BIT(F1),
                           {"not_equivalent", "equivalent"},
                           false},
    [PRILORA_GLUE_STSB] = {"stsb",
                           "sts-b",
                           "STS-B",
                           PRILORA_TASK_REGRESSION,
                           PRILORA_METRIC_PEARSON,
                           BIT(PEARSON) | BIT(SPEARMAN),
                           {NULL},
                           false},
    [PRILORA_GLUE_QQP] = {"qqp",
                          NULL,
                          "QQP",
                          CLASSES,
                          PRILORA_METRIC_ACCURACY,
                          BIT(ACCURACY) | BIT(F1),
                          {"not_duplicate", "duplicate"},
                          true},
    [PRILORA_GLUE_MNLI] = {"mnli",
                           NULL,
                           "MNLI",
                           CLASSES,
                           PRILORA_METRIC_ACCURACY,
                           BIT(ACCURACY),
                           {"entailment", "neutral", "contradiction"},
                           true},
    [PRILORA_GLUE_QNLI] = {"qnli",
                           NULL,
                           "QNLI",
                           CLASSES,
                           PRILORA_METRIC_ACCURACY,
                           BIT(ACCURACY),
                           {"entailment", "not_entailment"},
                           false},
    [PRILORA_GLUE_RTE] = {"rte",
                          NULL,
                          "RTE",
                          CLASSES,
                          PRILORA_METRIC_ACCURACY,
                          BIT(ACCURACY),
                          {"entailment", "not_entailment"},
                          false},
    [PRILORA_GLUE_WNLI] = {"wnli",
                           NULL,
                           "WNLI",
                           CLASSES,
                           PRILORA_METRIC_ACCURACY,
                           BIT(ACCURACY),
                           {"not_entailment", "entailment"},
                           false},
};
enum { N_TASKS = sizeof tasks / sizeof *tasks };

const struct pl_glue *pl_glue_of(enum prilora_glue task)
{
    return task > PRILORA_GLUE_NONE && (int)task < N_TASKS ? &tasks[task] : NULL;
}

const char *prilora_glue_name(enum prilora_glue task)
{
    const struct pl_glue *glue = pl_glue_of(task);

    return glue ? glue->name : NULL;
}

enum prilora_glue prilora_glue_find(const char *name)
{
    for (int i = PRILORA_GLUE_NONE + 1; name && i < N_TASKS; i++) {
        if (strcasecmp(tasks[i].name, name) == 0 ||
            (tasks[i].other && strcasecmp(tasks[i].other, name) == 0))
            return (enum prilora_glue)i;
    }
    return PRILORA_GLUE_NONE;
}

const char *pl_glue_list(char *text, size_t room)
{
    struct pl_choice names[N_TASKS] = {{0}};

    for (int i = PRILORA_GLUE_NONE + 1; i < N_TASKS; i++)
        names[i - 1].word = tasks[i].name;
    return pl_choice_list(names, text, room);
}

/* ---- metrics --------------------------------------------------------------------------------- */

static bool belongs(const struct pl_glue *glue, enum prilora_metric chosen, const char *name)
{
    for (int m = PRILORA_METRIC_AUTO + 1; m <= PRILORA_METRIC_LOSS; m++) {
        if (strcmp(pl_metric_name((enum prilora_metric)m), name) == 0)
            return glue->reported >> m & 1 || m == (int)chosen || m == PRILORA_METRIC_LOSS;
    }
    return false;
}

void pl_glue_keep(enum prilora_glue task, enum prilora_metric chosen, struct prilora_value *values,
                  size_t *n)
{
    const struct pl_glue *glue = pl_glue_of(task);
    size_t kept = 0;

    if (!glue)
        return;
    for (size_t i = 0; i < *n; i++) {
        if (belongs(glue, chosen, values[i].name))
            values[kept++] = values[i];
    }
    *n = kept;
}

/* ---- presets --------------------------------------------------------------------------------- */

/*
 * What AdaLoRA's authors trained DeBERTa-v3-base with: Zhang et al. 2023, arXiv:2303.10512, as in
 * the scripts that they published with it (their NLU/scripts/run_debertav3_*.sh). They have none
 * for WNLI. A value below zero leaves the setting as it is.
 */
static const char *const preset_settings[] = {
    "learning_rate", "n_epochs",           "batch_size",   "warmup_steps", "warmup_ratio",
    "max_length",    "classifier_dropout", "weight_decay", "lora_alpha",
};
enum { N_PRESET = sizeof preset_settings / sizeof *preset_settings };

static const double adalora[N_TASKS][N_PRESET] = {
    [PRILORA_GLUE_MNLI] = {5e-4, 7, 32, 1000, -1, 256, 0.15, 0, 16},
    [PRILORA_GLUE_SST2] = {8e-4, 24, 32, 1000, -1, 128, 0, 0.01, 16},
    [PRILORA_GLUE_COLA] = {8e-4, 25, 32, 100, -1, 64, 0.10, 0, 32},
    [PRILORA_GLUE_QQP] = {8e-4, 5, 32, 2000, -1, 320, 0.15, 0.01, 16},
    [PRILORA_GLUE_QNLI] = {5e-4, 5, 32, 500, -1, 512, 0.10, 0.01, 32},
    [PRILORA_GLUE_RTE] = {1.2e-3, 50, 32, 200, -1, 320, 0.20, 0.01, 32},
    [PRILORA_GLUE_MRPC] = {1e-3, 30, 32, 0, 0.1, 320, 0, 0.01, 32},
    [PRILORA_GLUE_STSB] = {2.2e-3, 25, 32, 100, -1, 128, 0.20, 0.1, 32},
};

static void set(struct prilora_spec *spec, const struct pl_setting *setting, double value)
{
    void *place = (char *)spec + setting->offset;

    if (setting->kind == PL_SETTING_INTEGER)
        *(long *)place = (long)value;
    else
        *(double *)place = value;
}

/* warmup_steps and warmup_ratio say the same in two ways: who gives one has said it. */
static uint64_t with_warmup(uint64_t given)
{
    uint64_t both = (uint64_t)1 << pl_setting_index("warmup_steps") |
                    (uint64_t)1 << pl_setting_index("warmup_ratio");

    return given & both ? given | both : given;
}

enum prilora_status pl_glue_preset(struct prilora_spec *spec, unsigned method, uint64_t given,
                                   const char *where, struct prilora_error *err)
{
    const double *values = adalora[spec->glue];

    if (spec->preset == PRILORA_PRESET_NONE)
        return PRILORA_OK;
    if (values[0] == 0)
        return pl_fail_at(err, PRILORA_EINVAL, where,
                          "preset: \"adalora\" has settings for GLUE's tasks by name, but for "
                          "wnli: %s%s",
                          spec->glue ? "the task is " : "the job's task is none of these",
                          spec->glue ? prilora_glue_name(spec->glue) : "");
    given = with_warmup(given);
    for (size_t i = 0; i < N_PRESET; i++) {
        const struct pl_setting *setting = pl_setting_find(preset_settings[i], method);

        if (setting && values[i] >= 0 && !(given >> (setting - pl_settings) & 1))
            set(spec, setting, values[i]);
    }
    return PRILORA_OK;
}
