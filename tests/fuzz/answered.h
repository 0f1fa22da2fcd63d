/* answered.h - what holds of any data set of question answering, however it came about. */
#ifndef FUZZ_ANSWERED_H
#define FUZZ_ANSWERED_H

#include <assert.h>
#include <stdlib.h>

#include "train/dataset.h"
#include "train/measure.h"
#include "train/questions.h"

/* Each question's windows follow those of the one before, and answers can be looked for in them. */
static inline void fuzz_check_answered(const struct prilora_dataset *d)
{
    const size_t n = 2 * pl_dataset_logit_rows(d);
    pl_real *logits = calloc(n, sizeof *logits);
    const struct pl_measured measured = {.data = d, .logits = logits, .answers = {3, n % 3 == 0}};
    struct prilora_value values[PRILORA_MAX_VALUES];
    size_t next = 0;

    assert(logits && d->n_labels == 2 && d->questions->n >= 1);
    for (size_t i = 0; i < n; i++)
        logits[i] = (pl_real)(i * 7 % 11);
    for (size_t i = 0; i < d->questions->n; i++) {
        assert(d->questions->list[i].window == next && d->questions->list[i].n_windows >= 1);
        next += d->questions->list[i].n_windows;
    }
    assert(next == d->n);
    for (size_t i = 0; i < d->n; i++) {
        const struct pl_window *w = &d->questions->windows[i];

        assert(w->at > 0 && w->at + (size_t)w->n < d->starts[i + 1] - d->starts[i]);
    }
    assert(pl_measure(values, &measured) == 2);
    for (size_t i = 0; i < 2; i++)
        assert(values[i].value >= 0 && values[i].value <= 1);
    free(logits);
}

#endif
