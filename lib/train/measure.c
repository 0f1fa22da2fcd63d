/* measure.c - see measure.h. */
#include "train/measure.h"

#include "train/entities.h"
#include "train/squad.h"

static size_t measure_rows(struct prilora_value *values, const struct pl_measured *m)
{
    return pl_metrics_compute(values, m->data->task, m->logits, m->labels, m->data->n, m->n_outputs,
                              m->width);
}

size_t pl_measure(struct prilora_value *values, const struct pl_measured *measured)
{
    static size_t (*const tasks[])(struct prilora_value *, const struct pl_measured *) = {
        [PRILORA_TASK_CLASSIFICATION] = measure_rows,
        [PRILORA_TASK_REGRESSION] = measure_rows,
        [PRILORA_TASK_MULTI_LABEL] = measure_rows,
        [PRILORA_TASK_TOKEN_CLASSIFICATION] = pl_entities_measure,
        [PRILORA_TASK_QUESTION_ANSWERING] = pl_squad_measure,
    };

    return tasks[measured->data->task](values, measured);
}
