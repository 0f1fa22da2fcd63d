/*
 * answering.c - an opened adapter of question answering, and questions that it answers from their
 * contexts. Windows are computed some at a time, as texts are in predict.c: a batch may have those
 * of many questions, and a question's may be spread over many batches.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tok/utf8.h"
#include "train/pieces.h"
#include "train/predict.h"
#include "train/spec.h"

/* A question some of whose windows are not computed yet. */
struct asked {
    size_t number; /* among the texts */
    struct pl_ids question, context;
    struct pl_windows windows;
    size_t n_computed;
    struct pl_pieces pieces;
};

struct batch {
    struct prilora_adapter *adapter;
    const struct prilora_text *texts;
    struct prilora_answering *out;
    size_t n_best;
    struct asked asked[PL_PREDICT_SEQUENCES]; /* [n_asked] those of the windows below */
    size_t n_asked;
    struct pl_window windows[PL_PREDICT_SEQUENCES]; /* [n] */
    size_t owners[PL_PREDICT_SEQUENCES];            /* [n] which of the asked they belong to */
    size_t n;
};

static void asked_free(struct asked *asked)
{
    pl_ids_free(&asked->question);
    pl_ids_free(&asked->context);
}

/* ---- tokens ------------------------------------------------------------------------------- */

static enum prilora_status encode(struct asked *asked, const struct prilora_adapter *a,
                                  const struct prilora_text *text, struct prilora_error *err)
{
    const struct pl_tokenizer *tokenizer = a->base->tokenizer;
    struct pl_windows *w = &asked->windows;
    enum prilora_status rc;

    if (!text->text || !text->pair)
        return pl_fail(err, PRILORA_EINVAL, "a question (text) and a context (pair) are needed");
    asked->context.located = true;
    rc = pl_tokenizer_encode_bare(tokenizer, &asked->question, text->text, text->text_size, err);
    if (rc == PRILORA_OK)
        rc = pl_tokenizer_encode_bare(tokenizer, &asked->context, text->pair, text->pair_size, err);
    if (rc == PRILORA_OK)
        rc = pl_windows_plan(w, pl_tokenizer_pair_specials(tokenizer), a->labels.max_length,
                             a->labels.doc_stride, asked->question.n, asked->context.n, err);
    if (rc == PRILORA_OK && w->n > PL_MAX_WINDOWS)
        rc = pl_fail(err, PRILORA_ELIMIT,
                     "the context takes %zu windows of %zu tokens, but at most %zu are read", w->n,
                     a->labels.max_length, PL_MAX_WINDOWS);
    return rc;
}

/* One more question; there is room for it. */
static enum prilora_status ask(struct batch *b, size_t number, struct prilora_error *err)
{
    struct asked *asked = &b->asked[b->n_asked++];
    enum prilora_status rc;

    *asked = (struct asked){.number = number};
    rc = encode(asked, b->adapter, &b->texts[number], err);
    if (rc != PRILORA_OK)
        snprintf(err->where, sizeof err->where, "/%zu", number);
    b->out[number].n_windows = asked->windows.n;
    b->out[number].truncated = asked->question.n > asked->windows.question;
    return rc;
}

/* One more window of the question asked last. */
static enum prilora_status append(struct batch *b, size_t i, struct prilora_error *err)
{
    struct prilora_adapter *a = b->adapter;
    const struct asked *asked = &b->asked[b->n_asked - 1];
    enum prilora_status rc =
        pl_windows_append(&a->ids, &b->windows[b->n], a->base->tokenizer, &asked->windows, i,
                          asked->question.ids, asked->context.ids, err);

    if (rc != PRILORA_OK)
        return rc;
    b->owners[b->n++] = b->n_asked - 1;
    a->starts[b->n] = a->ids.n;
    b->out[asked->number].n_tokens += a->starts[b->n] - a->starts[b->n - 1];
    return PRILORA_OK;
}

/* ---- answers ------------------------------------------------------------------------------ */

/* "No answer" has no bytes. */
static void place(struct prilora_answer *out, const struct pl_piece *piece, const char *context)
{
    out->byte = piece->begin;
    out->size = piece->end - piece->begin;
    out->start = pl_utf8_count(context, out->byte);
    out->end = out->start + pl_utf8_count(context + out->byte, out->size);
}

static enum prilora_status tell(struct batch *b, struct asked *asked, struct prilora_error *err)
{
    struct prilora_answering *out = &b->out[asked->number];
    struct pl_pieces *p = &asked->pieces;
    double sum = 0;

    if (b->adapter->labels.answers.none)
        pl_pieces_add_none(p);
    for (size_t i = 0; i < p->n; i++)
        sum += exp(p->list[i].score - p->list[0].score);
    out->answers = pl_calloc(p->n + 1, sizeof *out->answers);
    if (!out->answers)
        return pl_fail(err, PRILORA_ENOMEM, "no memory for the answers to a question");
    out->n_answers = p->n < b->n_best ? p->n : b->n_best;
    for (size_t i = 0; i < out->n_answers; i++) {
        place(&out->answers[i], &p->list[i], b->texts[asked->number].pair);
        out->answers[i].score = exp(p->list[i].score - p->list[0].score) / sum;
    }
    return PRILORA_OK;
}

/* Answers those whose windows are all computed now, which may leave the last one. */
static enum prilora_status finish(struct batch *b, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    size_t left = 0;

    for (size_t i = 0; i < b->n_asked; i++) {
        struct asked *asked = &b->asked[i];

        if (rc == PRILORA_OK && asked->n_computed < asked->windows.n) {
            b->asked[left++] = *asked;
            continue;
        }
        if (rc == PRILORA_OK)
            rc = tell(b, asked, err);
        asked_free(asked);
    }
    b->n_asked = left;
    b->n = 0;
    b->adapter->ids.n = 0;
    return rc;
}

static enum prilora_status compute(struct batch *b, const atomic_int *stop,
                                   struct prilora_error *err)
{
    struct prilora_adapter *a = b->adapter;
    const struct pl_batch batch = pl_adapter_batch(a, b->n);
    enum prilora_status rc = pl_adapter_compute(a, &batch, stop, err);

    if (rc != PRILORA_OK)
        return rc;
    for (size_t k = 0; k < b->n; k++) {
        struct asked *asked = &b->asked[b->owners[k]];

        pl_pieces_look(&asked->pieces, a->logits + 2 * a->starts[k], &b->windows[k],
                       asked->context.spans, a->labels.answers.longest);
        asked->n_computed++;
    }
    return finish(b, err);
}

static bool is_full(const struct batch *b)
{
    return b->n == PL_PREDICT_SEQUENCES || b->adapter->ids.n >= PL_PREDICT_TOKENS;
}

static enum prilora_status answer(struct batch *b, size_t n, const atomic_int *stop,
                                  struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    b->adapter->ids.n = 0;
    for (size_t number = 0; rc == PRILORA_OK && number < n; number++) {
        size_t n_windows;

        if (is_full(b))
            rc = compute(b, stop, err);
        if (rc == PRILORA_OK)
            rc = ask(b, number, err);
        n_windows = rc == PRILORA_OK ? b->out[number].n_windows : 0;
        for (size_t i = 0; rc == PRILORA_OK && i < n_windows; i++) {
            if (is_full(b))
                rc = compute(b, stop, err);
            if (rc == PRILORA_OK)
                rc = append(b, i, err);
        }
    }
    return rc == PRILORA_OK && b->n ? compute(b, stop, err) : rc;
}

/* ---- all questions ------------------------------------------------------------------------ */

void prilora_answering_clear(struct prilora_answering *answering)
{
    free(answering->answers);
    *answering = (struct prilora_answering){0};
}

enum prilora_status prilora_adapter_answer(struct prilora_adapter *adapter,
                                           const struct prilora_text *texts, size_t n,
                                           size_t n_best, const atomic_int *stop,
                                           struct prilora_answering *out, struct prilora_error *err)
{
    struct batch *b = pl_calloc(1, sizeof *b);
    struct prilora_error local;
    enum prilora_status rc;

    err = err ? err : &local;
    memset(out, 0, n * sizeof *out);
    if (adapter->labels.task != PRILORA_TASK_QUESTION_ANSWERING) {
        rc = pl_fail(err, PRILORA_EINVAL, "the adapter's task is %s: it answers no questions",
                     pl_task_word(adapter->labels.task));
    } else if (n_best < 1 || n_best > PL_BEST_PIECES) {
        rc = pl_fail(err, PRILORA_EINVAL, "%zu answers to a question, but must be 1 to %d", n_best,
                     PL_BEST_PIECES);
    } else if (!b) {
        rc = pl_fail(err, PRILORA_ENOMEM, "no memory for a batch of questions");
    } else {
        b->adapter = adapter;
        b->texts = texts;
        b->out = out;
        b->n_best = n_best;
        rc = answer(b, n, stop, err);
    }
    for (size_t i = 0; b && i < b->n_asked; i++)
        asked_free(&b->asked[i]);
    for (size_t i = 0; rc != PRILORA_OK && i < n; i++)
        prilora_answering_clear(&out[i]);
    free(b);
    return rc;
}
