/*
 * rows_question.h - a question with a context and answers, as a row: SQuAD's own form and the
 * hub's.
 *
 *     "answers": [{"text": "...", "answer_start": 12}, ...]
 *     "answers": {"text": ["...", ...], "answer_start": [12, ...]}
 *
 * answer_start counts code points of the context. An answer must stand there, but for what
 * published files need: white space at its ends, and a start that is up to two code points off.
 */
#ifndef PL_ROWS_QUESTION_H
#define PL_ROWS_QUESTION_H

#include <jansson.h>

#include "train/rows.h"

/* What a row's pointers lead to; start with {0}. */
struct pl_row_question {
    struct pl_label *labels; /* [room] */
    size_t *places;          /* [room] */
    size_t room;
    /* of the context of the row before */
    size_t *index; /* [n_index] bytes before every so many code points */
    size_t n_index, room_index;
    size_t n_codes; /* of the whole context */
};
void pl_row_question_free(struct pl_row_question *q);

/*
 * pl_row_question_read - `object` has "question" and "answers"; same_pair: the context is that of
 * the call before. JSON values must outlive the row.
 */
enum pl_row_result pl_row_question_read(struct pl_row_question *q, const json_t *object,
                                        const json_t *context, bool same_pair, struct pl_row *row,
                                        char *reason);

#endif
