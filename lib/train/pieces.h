/*
 * pieces.h - which pieces of a context answer a question, by the logits of its windows.
 *
 * A piece's score is the start logit of its first token plus the end logit of its last. It lies in
 * one window, has at most so many tokens and some bytes of the context; bytes that are found twice,
 * in two windows or as different tokens, count with the better of their scores. "No answer" scores
 * the least of what the first tokens of the windows do, for a piece in any window is enough to
 * answer; it comes behind a piece that scores as much.
 *
 * Source   BERT's run_squad.py, whose n-best lists these are, but for its cut to the 20 best starts
 *          and ends
 */
#ifndef PL_PIECES_H
#define PL_PIECES_H

#include "base/real.h"
#include "train/windows.h"

#define PL_BEST_PIECES 20

struct pl_piece {
    size_t begin, end; /* bytes of the context; both 0: no answer */
    double score;
};

/* The best so far; start with {0}. */
struct pl_pieces {
    struct pl_piece list[PL_BEST_PIECES]; /* [n] the best first; of equal ones the earlier found */
    size_t n, n_windows;
    double none; /* score of "no answer" */
};

/*
 * pl_pieces_look - one more window.
 *
 * logits   [tokens of the window, 2]
 * spans    of the context's tokens
 * longest  tokens of a piece, at most
 */
void pl_pieces_look(struct pl_pieces *pieces, const pl_real *logits, const struct pl_window *window,
                    const struct pl_span *spans, size_t longest);

/* After the last window: "no answer" among the others. */
void pl_pieces_add_none(struct pl_pieces *pieces);

#endif
