/* schedule.c - the learning rate of a step, and what "auto" becomes. */
#include <math.h>

#include "train/metrics.h"
#include "train/settings.h"
#include "train/spec.h"

#define PI 3.14159265358979323846

static uint64_t warmup_steps(const struct prilora_spec *spec, uint64_t total)
{
    if (spec->warmup_steps > 0)
        return (uint64_t)spec->warmup_steps;
    return (uint64_t)ceil((double)total * spec->warmup_ratio);
}

/*
 * As transformers' get_{linear,cosine,constant}_schedule_with_warmup: a straight rise from 0, then
 * the schedule's own shape.
 */
double pl_spec_learning_rate(const struct prilora_spec *spec, uint64_t step, uint64_t total)
{
    double rate = spec->learning_rate * spec->learning_rate_multiplier, progress;
    uint64_t warmup = warmup_steps(spec, total);

    if (step < warmup)
        return rate * (double)step / (double)warmup;
    if (spec->lr_scheduler_type == PRILORA_LR_CONSTANT)
        return rate;
    if (step >= total)
        return 0;
    progress = (double)(step - warmup) / (double)(total - warmup);
    if (spec->lr_scheduler_type == PRILORA_LR_COSINE)
        return rate * 0.5 * (1 + cos(PI * progress));
    return rate * (1 - progress);
}

const char *pl_task_word(enum prilora_task task)
{
    return pl_choice_word(pl_task_words, (int)task);
}

enum prilora_status pl_spec_check_metric(const struct prilora_spec *spec, enum prilora_task task,
                                         struct prilora_error *err)
{
    static const unsigned metrics[] = {
        [PRILORA_TASK_CLASSIFICATION] =
            1u << PRILORA_METRIC_ACCURACY | 1u << PRILORA_METRIC_F1 | 1u << PRILORA_METRIC_MATTHEWS,
        [PRILORA_TASK_REGRESSION] = 1u << PRILORA_METRIC_PEARSON | 1u << PRILORA_METRIC_SPEARMAN,
        [PRILORA_TASK_MULTI_LABEL] = 1u << PRILORA_METRIC_ACCURACY | 1u << PRILORA_METRIC_F1,
        [PRILORA_TASK_TOKEN_CLASSIFICATION] =
            1u << PRILORA_METRIC_ACCURACY | 1u << PRILORA_METRIC_F1,
        [PRILORA_TASK_QUESTION_ANSWERING] =
            1u << PRILORA_METRIC_F1 | 1u << PRILORA_METRIC_EXACT_MATCH,
    };
    unsigned any = 1u << PRILORA_METRIC_AUTO | 1u << PRILORA_METRIC_LOSS;

    if ((metrics[task] | any) >> spec->metric & 1)
        return PRILORA_OK;
    return pl_fail_at(err, PRILORA_EINVAL, "/task/metric", "a %s task has no metric \"%s\"",
                      pl_task_word(task), pl_choice_word(pl_metric_words, (int)spec->metric));
}

enum prilora_status pl_spec_resolve(struct prilora_spec *spec, enum prilora_task task,
                                    size_t n_layers, struct prilora_error *err)
{
    size_t ranks[PRILORA_MAX_LAYERS];
    enum prilora_status rc;

    if (spec->task != PRILORA_TASK_AUTO && spec->task != task)
        return pl_fail_at(err, PRILORA_EINVAL, "/task/type",
                          "the task is %s, but the data was read for %s", pl_task_word(spec->task),
                          pl_task_word(task));
    if (n_layers > PRILORA_MAX_LAYERS)
        return pl_fail(err, PRILORA_ELIMIT, "the model has %zu layers, but at most %d are trained",
                       n_layers, PRILORA_MAX_LAYERS);
    rc = pl_spec_check_metric(spec, task, err);
    if (rc == PRILORA_OK)
        rc = prilora_spec_ranks(spec, n_layers, ranks, err);
    if (rc != PRILORA_OK)
        return rc;
    spec->task = task;
    if (spec->metric == PRILORA_METRIC_AUTO)
        spec->metric = pl_metric_default(task);
    return PRILORA_OK;
}
