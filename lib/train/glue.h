/* glue.h - what follows from the name of a GLUE task: one table. */
#ifndef PL_GLUE_H
#define PL_GLUE_H

#include "train/columns.h"
#include "train/settings.h"

#define PL_GLUE_MOST_LABELS 3

struct pl_glue {
    const char *name, *other; /* other spelling of the name, or NULL */
    const char *title;        /* as its authors write it */
    enum prilora_task task;
    enum prilora_metric metric;                  /* chooses the best state */
    unsigned reported;                           /* bit m: metric m belongs to the task */
    const char *labels[PL_GLUE_MOST_LABELS + 1]; /* by class number, NULL-ended; a regression: none
                                                  */
    bool has_gaps;                               /* some published texts are empty */
};

/* NULL for PRILORA_GLUE_NONE. */
const struct pl_glue *pl_glue_of(enum prilora_glue task);
/* `room` bytes of the names, as "a", "b" or "c"; returns text. */
const char *pl_glue_list(char *text, size_t room);

/* Scores of STS-B, the one regression. */
enum { PL_GLUE_LOWEST_SCORE = 0, PL_GLUE_HIGHEST_SCORE = 5 };

/* Of an evaluation: metrics that do not belong to the task are taken out, but for `chosen`. */
void pl_glue_keep(enum prilora_glue task, enum prilora_metric chosen, struct prilora_value *values,
                  size_t *n);

/*
 * pl_glue_preset - the settings of spec->preset for spec->glue, where `method` (PL_IN_...) knows
 * them and their bit in `given` is not set.
 * Errors: EINVAL at `where` if the task is none of those that the preset was published for.
 */
enum prilora_status pl_glue_preset(struct prilora_spec *spec, unsigned method, uint64_t given,
                                   const char *where, struct prilora_error *err);

#endif
