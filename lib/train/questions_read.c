/* questions_read.c - see questions_read.h. */
#include "train/questions_read.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void pl_questions_reading_free(struct pl_questions_reading *r)
{
    pl_questions_free(r->questions);
    free(r->targets);
    pl_ids_free(&r->question);
    pl_ids_free(&r->context);
    *r = (struct pl_questions_reading){0};
}

static enum prilora_status no_memory(struct prilora_error *err)
{
    return pl_fail(err, PRILORA_ENOMEM, "out of memory for a question");
}

/* Whether the row's context is the one that was added last. */
static bool has_same_context(const struct pl_questions_reading *r, const struct pl_row *row)
{
    const struct pl_texts *contexts = &r->questions->contexts;
    const size_t last = contexts->n - 1;

    if (!contexts->n)
        return false;
    return row->same_pair || (pl_texts_size(contexts, last) == row->pair_size &&
                              memcmp(pl_texts_at(contexts, last), row->pair, row->pair_size) == 0);
}

static enum prilora_status read_context(struct pl_questions_reading *r, const struct pl_row *row,
                                        struct prilora_error *err)
{
    enum prilora_status rc;

    r->context.n = 0;
    r->context.located = true;
    rc = pl_tokenizer_encode_bare(r->tokenizer, &r->context, row->pair, row->pair_size, err);
    if (rc != PRILORA_OK)
        return rc;
    return pl_questions_add_context(r->questions, row->pair, row->pair_size, r->context.spans,
                                    r->context.n)
               ? PRILORA_OK
               : no_memory(err);
}

static enum prilora_status add_question(struct pl_questions_reading *r, const struct pl_row *row,
                                        struct prilora_error *err)
{
    bool enough = pl_questions_add(r->questions, r->questions->contexts.n - 1);

    for (size_t i = 0; enough && i < row->n_labels; i++)
        enough = pl_questions_add_answer(r->questions, row->labels[i].text, row->labels[i].size);
    if (!enough)
        return no_memory(err);
    r->is_answered = row->n_labels &&
                     pl_windows_tokens(r->context.spans, r->context.n, row->places[0],
                                       row->places[0] + row->labels[0].size, &r->first, &r->last);
    return PRILORA_OK;
}

enum prilora_status pl_questions_read(struct pl_questions_reading *r, const struct pl_row *row,
                                      struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    if (!r->questions)
        r->questions = pl_calloc(1, sizeof *r->questions);
    if (!r->questions)
        return no_memory(err);
    if (!has_same_context(r, row))
        rc = read_context(r, row, err);
    r->question.n = 0;
    if (rc == PRILORA_OK)
        rc = pl_tokenizer_encode_bare(r->tokenizer, &r->question, row->text, row->text_size, err);
    if (rc == PRILORA_OK)
        rc = pl_windows_plan(&r->windows, pl_tokenizer_pair_specials(r->tokenizer), r->max_length,
                             r->stride, r->question.n, r->context.n, err);
    if (rc == PRILORA_OK && r->windows.n > PL_MAX_WINDOWS)
        rc = pl_fail(err, PRILORA_ELIMIT,
                     "the context takes %zu windows, but at most %zu are made; a greater "
                     "max_length needs fewer",
                     r->windows.n, PL_MAX_WINDOWS);
    return rc == PRILORA_OK ? add_question(r, row, err) : rc;
}

bool pl_questions_read_cut(const struct pl_questions_reading *r)
{
    return r->question.n > r->windows.question;
}

enum prilora_status pl_questions_read_window(struct pl_questions_reading *r, struct pl_ids *ids,
                                             size_t i, struct prilora_error *err)
{
    struct pl_window window;
    enum prilora_status rc = pl_windows_append(ids, &window, r->tokenizer, &r->windows, i,
                                               r->question.ids, r->context.ids, err);
    const size_t end = (size_t)window.first + window.n;
    float *target;

    if (rc != PRILORA_OK)
        return rc;
    if (!pl_grow(&r->targets, &r->room, r->questions->n_windows + 1, 2 * sizeof *r->targets) ||
        !pl_questions_add_window(r->questions, &window))
        return no_memory(err);
    target = r->targets + 2 * (r->questions->n_windows - 1);
    target[0] = target[1] = 0; /* the first token: no answer */
    if (!r->is_answered || r->first < window.first || r->last >= end)
        return PRILORA_OK;
    target[0] = (float)(window.at + r->first - window.first);
    target[1] = (float)(window.at + r->last - window.first);
    return PRILORA_OK;
}
