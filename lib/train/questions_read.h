/* questions_read.h - rows that are questions about contexts, as examples: tokens, windows, targets.
 */
#ifndef PL_QUESTIONS_READ_H
#define PL_QUESTIONS_READ_H

#include "train/questions.h"
#include "train/rows.h"

/* Start with tokenizer, max_length and stride (0: the default), all else zero. */
struct pl_questions_reading {
    const struct pl_tokenizer *tokenizer;
    size_t max_length, stride;
    struct pl_questions *questions; /* NULL: no row yet */
    float *targets;                 /* [questions->n_windows, 2] */
    size_t room;
    /* of the row */
    struct pl_ids question, context;
    struct pl_windows windows;
    bool is_answered;
    size_t first, last; /* tokens of the context that the answer is in */
};
void pl_questions_reading_free(struct pl_questions_reading *r);

/*
 * pl_questions_read - a row's tokens and answers; its windows, r->windows.n of them, are asked for
 * one by one then. Errors: those of pl_tokenizer_encode_bare; EINVAL: max_length has no room for
 * it; ELIMIT above PL_MAX_WINDOWS.
 */
enum prilora_status pl_questions_read(struct pl_questions_reading *r, const struct pl_row *row,
                                      struct prilora_error *err);
/* Tokens of window i behind those in `ids`, its place and its target. Errors: ENOMEM. */
enum prilora_status pl_questions_read_window(struct pl_questions_reading *r, struct pl_ids *ids,
                                             size_t i, struct prilora_error *err);
/* Whether some of the question's tokens were cut off. */
bool pl_questions_read_cut(const struct pl_questions_reading *r);

#endif
