/* questions.c - see questions.h. The saved form is questions_file.c's. */
#include "train/questions.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* ---- texts -------------------------------------------------------------------------------- */

bool pl_texts_add(struct pl_texts *t, const char *text, size_t size)
{
    const size_t used = t->n ? t->starts[t->n] : 0;

    if (!pl_grow(&t->starts, &t->room, t->n + 2, sizeof *t->starts) ||
        !pl_grow(&t->bytes, &t->room_bytes, used + size + 1, 1))
        return false;
    if (size)
        memcpy(t->bytes + used, text, size);
    t->starts[t->n] = used;
    t->starts[++t->n] = used + size;
    return true;
}

void pl_texts_free(struct pl_texts *t)
{
    free(t->bytes);
    free(t->starts);
    *t = (struct pl_texts){0};
}

size_t pl_texts_size(const struct pl_texts *t, size_t i)
{
    return t->starts[i + 1] - t->starts[i];
}

const char *pl_texts_at(const struct pl_texts *t, size_t i)
{
    return t->bytes + t->starts[i];
}

static size_t texts_bytes(const struct pl_texts *t)
{
    return t->n ? t->starts[t->n] + t->n * sizeof *t->starts : 0;
}

/* ---- adding ------------------------------------------------------------------------------- */

static size_t n_spans(const struct pl_questions *q)
{
    return q->contexts.n ? q->span_starts[q->contexts.n] : 0;
}

bool pl_questions_add_context(struct pl_questions *q, const char *text, size_t size,
                              const struct pl_span *spans, size_t n_tokens)
{
    const size_t used = n_spans(q);

    if (!pl_grow(&q->spans, &q->room_spans, used + n_tokens + 1, sizeof *q->spans) ||
        !pl_grow(&q->span_starts, &q->room_contexts, q->contexts.n + 2, sizeof *q->span_starts) ||
        !pl_texts_add(&q->contexts, text, size))
        return false;
    if (n_tokens)
        memcpy(q->spans + used, spans, n_tokens * sizeof *spans);
    q->span_starts[q->contexts.n - 1] = used;
    q->span_starts[q->contexts.n] = used + n_tokens;
    return true;
}

bool pl_questions_add(struct pl_questions *q, size_t context)
{
    if (!pl_grow(&q->list, &q->room, q->n + 1, sizeof *q->list))
        return false;
    q->list[q->n++] = (struct pl_question){.context = (uint32_t)context,
                                           .answer = q->answers.n,
                                           .window = q->n_windows};
    return true;
}

bool pl_questions_add_answer(struct pl_questions *q, const char *text, size_t size)
{
    if (!pl_texts_add(&q->answers, text, size))
        return false;
    q->list[q->n - 1].n_answers++;
    return true;
}

bool pl_questions_add_window(struct pl_questions *q, const struct pl_window *window)
{
    if (!pl_grow(&q->windows, &q->room_windows, q->n_windows + 1, sizeof *q->windows))
        return false;
    q->windows[q->n_windows++] = *window;
    q->list[q->n - 1].n_windows++;
    return true;
}

/* ---- a part ------------------------------------------------------------------------------- */

/* Question i of `from`, whose context comes with it unless it did with the one before. */
static bool take(struct pl_questions *to, const struct pl_questions *from, size_t i,
                 size_t *context)
{
    const struct pl_question *one = &from->list[i];

    if (*context != one->context) {
        size_t n;
        const struct pl_span *spans = pl_questions_spans(from, one->context, &n);

        if (!pl_questions_add_context(to, pl_texts_at(&from->contexts, one->context),
                                      pl_texts_size(&from->contexts, one->context), spans, n))
            return false;
        *context = one->context;
    }
    if (!pl_questions_add(to, to->contexts.n - 1))
        return false;
    for (size_t k = one->answer; k < one->answer + one->n_answers; k++)
        if (!pl_questions_add_answer(to, pl_texts_at(&from->answers, k),
                                     pl_texts_size(&from->answers, k)))
            return false;
    for (size_t k = one->window; k < one->window + one->n_windows; k++)
        if (!pl_questions_add_window(to, &from->windows[k]))
            return false;
    return true;
}

bool pl_questions_extract(struct pl_questions **out, const struct pl_questions *q,
                          const uint8_t *chosen, uint8_t want)
{
    size_t context = SIZE_MAX;

    *out = pl_calloc(1, sizeof **out);
    for (size_t i = 0; *out && i < q->n; i++) {
        if (chosen[q->list[i].window] != want || take(*out, q, i, &context))
            continue;
        pl_questions_free(*out);
        *out = NULL;
    }
    return *out != NULL;
}

/* ---- what there is ------------------------------------------------------------------------ */

void pl_questions_free(struct pl_questions *q)
{
    if (!q)
        return;
    pl_texts_free(&q->contexts);
    pl_texts_free(&q->answers);
    free(q->spans);
    free(q->span_starts);
    free(q->list);
    free(q->windows);
    free(q);
}

size_t pl_questions_bytes(const struct pl_questions *q)
{
    return texts_bytes(&q->contexts) + texts_bytes(&q->answers) + n_spans(q) * sizeof *q->spans +
           q->contexts.n * sizeof *q->span_starts + q->n * sizeof *q->list +
           q->n_windows * sizeof *q->windows;
}

bool pl_questions_some_unanswered(const struct pl_questions *q)
{
    for (size_t i = 0; i < q->n; i++)
        if (!q->list[i].n_answers)
            return true;
    return false;
}

const struct pl_span *pl_questions_spans(const struct pl_questions *q, size_t context, size_t *n)
{
    *n = q->span_starts[context + 1] - q->span_starts[context];
    return q->spans + q->span_starts[context];
}
