/* predict.h - inside view of an opened adapter, and texts that are tokenized already. */
#ifndef PL_PREDICT_H
#define PL_PREDICT_H

#include <stdatomic.h>

#include "train/adapter_labels.h"
#include "train/base.h"
#include "train/entities.h"
#include "train/opened.h"

#define PL_PREDICT_SEQUENCES 1024 /* computed together, at most */
#define PL_PREDICT_TOKENS    8192 /* the same, and one text's more */

struct prilora_adapter {
    struct prilora_base *base;
    struct pl_adapter_labels labels; /* complete: task, names, max_length */
    struct pl_tag *tags;             /* [labels.n] of token classification; else NULL */
    struct pl_opened opened;
    /* of the texts that are computed now */
    struct pl_ids ids;
    struct pl_shares cut;
    size_t *starts;  /* [PL_PREDICT_SEQUENCES + 1] */
    pl_real *logits; /* [PL_PREDICT_SEQUENCES, labels.n]; of tokens and answers [most tokens,
                        labels.n] */
};

/*
 * pl_adapter_compute - a->logits of a batch: finite, and of files that are as they were opened.
 * Errors: those of prilora_adapter_predict.
 */
enum prilora_status pl_adapter_compute(struct prilora_adapter *adapter,
                                       const struct pl_batch *batch, const atomic_int *stop,
                                       struct prilora_error *err);

/* The `n` sequences that are in a->ids and a->starts now. */
struct pl_batch pl_adapter_batch(const struct prilora_adapter *adapter, size_t n);

/* values f64[n_sequences, labels], as prilora_adapter_predict gives them; batch->labels is not
 * looked at. Errors: ESTOPPED. */
enum prilora_status pl_adapter_predict_batch(struct prilora_adapter *adapter,
                                             const struct pl_batch *batch, const atomic_int *stop,
                                             double *values, struct prilora_error *err);

#endif
