/*
 * questions.h - what a data set of question answering has beside its examples, which are windows:
 * the contexts, each once though several questions share it, where their tokens stand, and the
 * answers that count as right.
 */
#ifndef PL_QUESTIONS_H
#define PL_QUESTIONS_H

#include "train/windows.h"

/* Texts end to end; start with {0}. */
struct pl_texts {
    char *bytes;
    size_t *starts; /* [n + 1] */
    size_t n, room, room_bytes;
};
bool pl_texts_add(struct pl_texts *texts, const char *text, size_t size); /* false: no memory */
void pl_texts_free(struct pl_texts *texts);
size_t pl_texts_size(const struct pl_texts *texts, size_t i);
const char *pl_texts_at(const struct pl_texts *texts, size_t i);

struct pl_question {
    uint32_t context;         /* number */
    size_t answer, n_answers; /* the first; none: it cannot be answered from the context */
    size_t window, n_windows; /* the first; questions follow each other in the data set */
};

struct pl_questions {
    struct pl_texts contexts, answers;
    struct pl_span *spans; /* of the contexts' tokens, end to end */
    size_t *span_starts;   /* [contexts.n + 1] */
    struct pl_question *list;
    size_t n, n_windows;
    struct pl_window *windows; /* [n_windows] */
    size_t room_spans, room_contexts, room, room_windows;
};

/* Each false: out of memory. */

/* A context, behind the others, and its tokens. */
bool pl_questions_add_context(struct pl_questions *q, const char *text, size_t size,
                              const struct pl_span *spans, size_t n_tokens);
/* A question about context `context`; its answers and windows are added next. */
bool pl_questions_add(struct pl_questions *q, size_t context);
/* Of the question added last. */
bool pl_questions_add_answer(struct pl_questions *q, const char *text, size_t size);
bool pl_questions_add_window(struct pl_questions *q, const struct pl_window *window);

/* Those with chosen[its first window] == want, in their order; *out may be used by nobody yet. */
bool pl_questions_extract(struct pl_questions **out, const struct pl_questions *q,
                          const uint8_t *chosen, uint8_t want);

void pl_questions_free(struct pl_questions *q); /* accepts NULL */
size_t pl_questions_bytes(const struct pl_questions *q);

/* Whether some question has no answer. */
bool pl_questions_some_unanswered(const struct pl_questions *q);

/* Tokens of a context, and where they stand in it. */
const struct pl_span *pl_questions_spans(const struct pl_questions *q, size_t context, size_t *n);

#endif
