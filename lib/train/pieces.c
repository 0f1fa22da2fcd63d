/* pieces.c - see pieces.h. */
#include "train/pieces.h"

#include <math.h>
#include <string.h>

/* Where the piece is in the list; n: nowhere. */
static size_t place_of(const struct pl_pieces *p, size_t begin, size_t end)
{
    size_t i = 0;

    while (i < p->n && !(p->list[i].begin == begin && p->list[i].end == end))
        i++;
    return i;
}

/* Whether a piece of that score has a place in the list, as far as the score goes. */
static bool beats_the_last(const struct pl_pieces *p, double score)
{
    return p->n < PL_BEST_PIECES || score > p->list[p->n - 1].score;
}

/* Into the list, unless it holds better ones only. */
static void offer(struct pl_pieces *p, const struct pl_piece *piece)
{
    size_t at, to = 0;

    if (!beats_the_last(p, piece->score))
        return;
    at = place_of(p, piece->begin, piece->end);
    if (at < p->n && !(piece->score > p->list[at].score))
        return;
    if (at == PL_BEST_PIECES)
        at--; /* instead of the last */
    else if (at == p->n)
        p->n++;
    while (to < at && p->list[to].score >= piece->score)
        to++;
    memmove(&p->list[to + 1], &p->list[to], (at - to) * sizeof *p->list);
    p->list[to] = *piece;
}

void pl_pieces_look(struct pl_pieces *p, const pl_real *logits, const struct pl_window *window,
                    const struct pl_span *spans, size_t longest)
{
    const double none = (double)logits[0] + (double)logits[1];
    const pl_real *of_context = logits + 2 * (size_t)window->at;
    const struct pl_span *own = window->n ? spans + window->first : NULL;

    double top = -HUGE_VAL; /* of the ends */

    for (size_t k = 0; k < window->n; k++)
        top = fmax(top, (double)of_context[2 * k + 1]);
    if (p->n_windows++ == 0 || none < p->none)
        p->none = none;
    for (size_t i = 0; i < window->n; i++) {
        const size_t most = longest < window->n - i ? longest : window->n - i;
        const double start = (double)of_context[2 * i];

        if (!beats_the_last(p, start + top))
            continue;

        for (size_t k = i; k < i + most; k++) {
            const struct pl_piece piece = {own[i].begin, own[k].end,
                                           start + (double)of_context[2 * k + 1]};

            if (piece.begin < piece.end)
                offer(p, &piece);
        }
    }
}

void pl_pieces_add_none(struct pl_pieces *p)
{
    const struct pl_piece none = {0, 0, p->none};

    offer(p, &none);
}
