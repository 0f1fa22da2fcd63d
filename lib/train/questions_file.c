/*
 * questions_file.c - see questions_file.h.
 *
 *     u64         n_contexts, their bytes, their tokens, n_questions, n_answers, their bytes
 *     n_contexts  u32 bytes, then u32 tokens of each, then the bytes
 *     tokens      u32 begin, end
 *     n_questions u32 context, answers, windows
 *     n_answers   u32 bytes of each, then the bytes
 *     n           u32 first, n, at of each window (struct pl_window)
 */
#include "train/questions_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tok/utf8.h"
#include "train/questions.h"

_Static_assert(sizeof(struct pl_span) == 8 && sizeof(struct pl_window) == 12,
               "they are written as numbers of 32 bits");

enum { CONTEXTS, CONTEXT_BYTES, TOKENS, QUESTIONS, ANSWERS, ANSWER_BYTES, N_COUNTS };

/* ---- writing --------------------------------------------------------------------------------- */

static size_t size_of(const struct pl_texts *texts)
{
    return texts->n ? texts->starts[texts->n] : 0;
}

void pl_questions_put(struct pl_sink *sink, const struct pl_questions *q)
{
    const size_t n_tokens = q->span_starts[q->contexts.n];
    const uint64_t counts[N_COUNTS] = {q->contexts.n, size_of(&q->contexts), n_tokens,
                                       q->n,          q->answers.n,          size_of(&q->answers)};

    for (size_t i = 0; i < N_COUNTS; i++)
        pl_put_u64(sink, counts[i]);
    pl_put_lengths(sink, q->contexts.starts, q->contexts.n);
    pl_put_lengths(sink, q->span_starts, q->contexts.n);
    pl_put(sink, q->contexts.bytes, size_of(&q->contexts));
    pl_put_u32s(sink, q->spans, 2 * n_tokens);
    for (size_t i = 0; i < q->n; i++) {
        const uint32_t numbers[] = {q->list[i].context, (uint32_t)q->list[i].n_answers,
                                    (uint32_t)q->list[i].n_windows};

        pl_put_u32s(sink, numbers, 3);
    }
    pl_put_lengths(sink, q->answers.starts, q->answers.n);
    pl_put(sink, q->answers.bytes, size_of(&q->answers));
    pl_put_u32s(sink, q->windows, 3 * q->n_windows);
}

/* ---- reading --------------------------------------------------------------------------------- */

static enum prilora_status no_memory(const struct pl_source *s)
{
    return pl_fail(s->err, PRILORA_ENOMEM, "%s: out of memory", s->path);
}

/* The section's arrays, as they lie in the file. */
struct arrays {
    uint64_t counts[N_COUNTS];
    const unsigned char *context_sizes, *context_tokens, *contexts, *spans;
    const unsigned char *questions, *answer_sizes, *answers, *windows;
};

static enum prilora_status take_arrays(struct arrays *a, struct pl_source *s, size_t n_windows)
{
    for (size_t i = 0; i < N_COUNTS; i++)
        if (!pl_take_u64(s, &a->counts[i]))
            return pl_broken(s, "its questions are cut short");
    if (!(a->context_sizes = pl_take(s, (size_t)a->counts[CONTEXTS], 4)) ||
        !(a->context_tokens = pl_take(s, (size_t)a->counts[CONTEXTS], 4)) ||
        !(a->contexts = pl_take(s, (size_t)a->counts[CONTEXT_BYTES], 1)) ||
        !(a->spans = pl_take(s, (size_t)a->counts[TOKENS], 8)) ||
        !(a->questions = pl_take(s, (size_t)a->counts[QUESTIONS], 12)) ||
        !(a->answer_sizes = pl_take(s, (size_t)a->counts[ANSWERS], 4)) ||
        !(a->answers = pl_take(s, (size_t)a->counts[ANSWER_BYTES], 1)) ||
        !(a->windows = pl_take(s, n_windows, 12)))
        return pl_broken(s, "its questions are cut short");
    return PRILORA_OK;
}

/* The places of one context's tokens. */
static bool spans_are_right(const struct pl_span *spans, size_t n, const char *text, size_t size)
{
    struct pl_span before = {0, 0};

    for (size_t i = 0; i < n; before = spans[i++]) {
        const struct pl_span *p = &spans[i];

        if (p->begin < before.begin || p->end < before.end || p->begin > p->end || p->end > size ||
            !pl_utf8_is_boundary(text, size, p->begin) || !pl_utf8_is_boundary(text, size, p->end))
            return false;
    }
    return true;
}

static enum prilora_status add_contexts(struct pl_questions *q, const struct arrays *a,
                                        const struct pl_source *s)
{
    size_t left = (size_t)a->counts[CONTEXT_BYTES], tokens = (size_t)a->counts[TOKENS];
    const char *text = (const char *)a->contexts;
    struct pl_span *spans = pl_calloc(tokens, sizeof *spans), *at = spans;
    enum prilora_status rc = spans ? PRILORA_OK : no_memory(s);

    for (size_t i = 0; spans && i < 2 * tokens; i++)
        *(i % 2 ? &spans[i / 2].end : &spans[i / 2].begin) = pl_taken_u32(a->spans, i);
    for (size_t i = 0; rc == PRILORA_OK && i < a->counts[CONTEXTS]; i++) {
        const size_t size = pl_taken_u32(a->context_sizes, i);
        const size_t n = pl_taken_u32(a->context_tokens, i);

        if (size == 0 || size > left || size > PL_MAX_TEXT_BYTES || n > tokens ||
            pl_utf8_check(text, size) != size)
            rc = pl_broken(s, "a broken context");
        else if (!spans_are_right(at, n, text, size))
            rc = pl_broken(s, "a token that stands nowhere in its context");
        else if (!pl_questions_add_context(q, text, size, at, n))
            rc = no_memory(s);
        text += size;
        left -= size;
        at += n;
        tokens -= n;
    }
    free(spans);
    if (rc == PRILORA_OK && (left || tokens || !q->contexts.n))
        rc = pl_broken(s, "the contexts do not add up");
    return rc;
}

/* A window against the example that it is, and the target against both. */
static bool window_is_right(const struct pl_window *w, const struct prilora_dataset *d, size_t i,
                            size_t n_tokens)
{
    const size_t length = d->starts[i + 1] - d->starts[i];
    const size_t first = (size_t)d->targets[2 * i], last = (size_t)d->targets[2 * i + 1];

    if (w->first > n_tokens || w->n > n_tokens - w->first || w->at == 0 || w->at >= length ||
        w->n >= length - w->at)
        return false;
    return (first == 0 && last == 0) ||
           (first >= w->at && first <= last && last < (size_t)w->at + w->n);
}

static enum prilora_status add_windows(struct prilora_dataset *d, size_t n, const struct arrays *a,
                                       const struct pl_source *s)
{
    struct pl_questions *q = d->questions;
    size_t n_tokens;

    pl_questions_spans(q, q->list[q->n - 1].context, &n_tokens);
    if (n == 0 || n > d->n - q->n_windows)
        return pl_broken(s, "a question with too few or too many windows");
    for (size_t k = 0; k < n; k++) {
        const size_t i = q->n_windows;
        const struct pl_window window = {pl_taken_u32(a->windows, 3 * i),
                                         pl_taken_u32(a->windows, 3 * i + 1),
                                         pl_taken_u32(a->windows, 3 * i + 2)};

        if (!window_is_right(&window, d, i, n_tokens))
            return pl_broken(s, "a window that is not in its example");
        if (!pl_questions_add_window(q, &window))
            return no_memory(s);
    }
    return PRILORA_OK;
}

/* *answer: the bytes of those that are left. */
static enum prilora_status add_question(struct prilora_dataset *d, size_t i, const struct arrays *a,
                                        const char **answer, const struct pl_source *s)
{
    struct pl_questions *q = d->questions;
    const size_t context = pl_taken_u32(a->questions, 3 * i);
    const size_t n_answers = pl_taken_u32(a->questions, 3 * i + 1);
    const char *end = (const char *)a->answers + a->counts[ANSWER_BYTES];

    if (context >= q->contexts.n || n_answers > a->counts[ANSWERS] - q->answers.n)
        return pl_broken(s, "a broken question");
    if (!pl_questions_add(q, context))
        return no_memory(s);
    for (size_t k = 0; k < n_answers; k++) {
        const size_t size = pl_taken_u32(a->answer_sizes, q->answers.n);

        if (size == 0 || size > (size_t)(end - *answer) || pl_utf8_check(*answer, size) != size)
            return pl_broken(s, "a broken answer");
        if (!pl_questions_add_answer(q, *answer, size))
            return no_memory(s);
        *answer += size;
    }
    return add_windows(d, pl_taken_u32(a->questions, 3 * i + 2), a, s);
}

enum prilora_status pl_questions_take(struct pl_source *s, struct prilora_dataset *dataset)
{
    struct pl_questions *q = dataset->questions = pl_calloc(1, sizeof *q);
    enum prilora_status rc;
    const char *answer;
    struct arrays a;

    if (!q)
        return no_memory(s);
    rc = take_arrays(&a, s, dataset->n);
    if (rc == PRILORA_OK)
        rc = add_contexts(q, &a, s);
    answer = rc == PRILORA_OK ? (const char *)a.answers : NULL;
    for (size_t i = 0; rc == PRILORA_OK && i < a.counts[QUESTIONS]; i++)
        rc = add_question(dataset, i, &a, &answer, s);
    if (rc == PRILORA_OK && (q->n_windows != dataset->n || q->answers.n != a.counts[ANSWERS] ||
                             answer != (const char *)a.answers + a.counts[ANSWER_BYTES]))
        rc = pl_broken(s, "the questions do not add up");
    return rc;
}
