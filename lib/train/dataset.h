/* dataset.h - inside view of struct prilora_dataset (the public functions are in prilora.h). */
#ifndef PL_DATASET_H
#define PL_DATASET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct pl_questions;
struct pl_tokenizer;

#define PL_MAX_ROWS          ((size_t)20000000)
#define PL_MAX_WINDOW_TOKENS ((size_t)1 << 28) /* of all windows: one context may serve many */
#define PL_MAX_LABELS        1000
#define PL_MAX_LABEL         256 /* bytes of a label's name */

struct prilora_dataset {
    enum prilora_task task;
    size_t n, width;    /* examples; numbers of label per example (n_labels if multi-label, 2 of
                           answers, else 1) */
    size_t n_labels;    /* outputs of the head */
    char **labels;      /* [n_labels] names; regression: one, "score" */
    size_t *starts;     /* [n + 1] into ids */
    int32_t *ids;       /* [starts[n]] */
    uint8_t *type_ids;  /* [starts[n]] */
    float *targets;     /* [n, width]: class number, 0/1 of every label, the real number, or an
                           answer's first and last token in the example, 0 and 0: none; of tokens
                           [starts[n]]: class number, or PL_LABEL_IGNORED */
    uint8_t *truncated; /* [n] whether the example was cut to max_length */
    uint32_t *cut; /* [n] words that were cut off, as read; NULL: of a saved set, or no words */
    size_t longest, n_truncated, majority;
    struct pl_questions *questions; /* of question answering, whose examples are windows; or NULL */
    size_t n_skipped; /* rows of a published table that its own readers pass over too */
    char fingerprint[65];
};

/* prilora_dataset_read, given the tokenizer itself. */
enum prilora_status pl_dataset_read(struct prilora_dataset **out,
                                    const struct pl_tokenizer *tokenizer, const char *path,
                                    const struct prilora_dataset_options *options,
                                    struct prilora_error *err);

/* The same from memory: what the fuzz target feeds. */
enum prilora_status pl_dataset_parse(struct prilora_dataset **out,
                                     const struct pl_tokenizer *tokenizer, const char *data,
                                     size_t size, const struct prilora_dataset_options *options,
                                     struct prilora_error *err);

/* Arrays of the given counts, zeroed, labels and starts included, `cut` and `questions` not; NULL:
 * out of memory. */
struct prilora_dataset *pl_dataset_new(enum prilora_task task, size_t n, size_t n_tokens,
                                       size_t n_labels, size_t width);

/* Rows of targets: one for every example, or for every token. */
size_t pl_dataset_rows(const struct prilora_dataset *dataset);
/* The same of logits. */
size_t pl_dataset_logit_rows(const struct prilora_dataset *dataset);
/* Of the targets' rows, one example's; *first is the first. */
size_t pl_dataset_rows_of(const struct prilora_dataset *dataset, size_t example, size_t *first);
/* Rows that are not ignored. */
size_t pl_dataset_counted(const struct prilora_dataset *dataset);

/*
 * pl_dataset_finish - what follows from the examples: longest, n_truncated, majority, fingerprint.
 * Errors: ENOMEM.
 */
enum prilora_status pl_dataset_finish(struct prilora_dataset *dataset, struct prilora_error *err);

/*
 * pl_dataset_decode - a saved data set from memory. check: it ends with its digest, which must
 * agree; without (the fuzz target, which could never guess one) it ends with the targets.
 */
enum prilora_status pl_dataset_decode(struct prilora_dataset **out, const unsigned char *data,
                                      size_t size, bool check, const char *path,
                                      struct prilora_error *err);

/* Memory of the examples. */
size_t pl_dataset_bytes(const struct prilora_dataset *dataset);

/* SHA-256 of what prilora_dataset_save writes before its own digest. */
void pl_dataset_fingerprint(const struct prilora_dataset *dataset, char out[65]);

#endif
