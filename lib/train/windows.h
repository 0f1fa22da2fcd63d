/*
 * windows.h - a question and a context as sequences of at most max_length tokens:
 *
 *     [CLS] question [SEP] piece of the context [SEP]
 *
 * A question is cut to PL_QUESTION_TOKENS, and to what leaves the context a quarter of the room
 * beside the special tokens. Pieces are as long as there is room, and neighbours share a number of
 * tokens, the stride, of which at most half of a piece counts: so a window goes on by half a piece
 * at least.
 *
 * Source   BERT's run_squad.py (64 tokens of a question, doc_stride); the stride is counted as in
 *          transformers' run_qa.py, where it is what windows share
 */
#ifndef PL_WINDOWS_H
#define PL_WINDOWS_H

#include "tok/tokenizer.h"

#define PL_QUESTION_TOKENS ((size_t)64)
#define PL_MAX_WINDOWS     ((size_t)1024) /* of one question */

/* Settings of the task. */
#define PL_STRIDE            128 /* at most, unless it is given */
#define PL_MAX_STRIDE        4096
#define PL_ANSWER_LENGTH     30 /* tokens, unless it is given */
#define PL_MAX_ANSWER_LENGTH 512

/* How one question's windows are cut. */
struct pl_windows {
    size_t n;
    size_t question; /* tokens that are kept of it */
    size_t context;  /* all tokens of the context */
    size_t room;     /* of them in a window, at most */
    size_t step;     /* from the beginning of one to that of the next */
};

/* A piece of the context in a window. */
struct pl_window {
    uint32_t first, n; /* tokens of the context */
    uint32_t at;       /* where they begin in the window */
};

/*
 * pl_windows_plan - stride 0: the default. There is one window at least, of a context without
 * tokens, too. Errors: EINVAL: max_length leaves no room beside the special tokens.
 */
enum prilora_status pl_windows_plan(struct pl_windows *out, size_t n_specials, size_t max_length,
                                    size_t stride, size_t n_question, size_t n_context,
                                    struct prilora_error *err);

/* The default stride: PL_STRIDE, or half of the room that is left beside the longest question. */
size_t pl_windows_stride(size_t n_specials, size_t max_length);

/* pl_windows_append - tokens of window i behind those in `ids`. Errors: ENOMEM. */
enum prilora_status pl_windows_append(struct pl_ids *ids, struct pl_window *out,
                                      const struct pl_tokenizer *tokenizer,
                                      const struct pl_windows *windows, size_t i,
                                      const int32_t *question, const int32_t *context,
                                      struct prilora_error *err);

/*
 * pl_windows_tokens - the tokens of a context that bytes begin..end-1 of it touch: the first, and
 * the last, counted. False: none.
 */
bool pl_windows_tokens(const struct pl_span *spans, size_t n, size_t begin, size_t end,
                       size_t *first, size_t *last);

#endif
