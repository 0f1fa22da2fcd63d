/* windows.c - see windows.h. */
#include "train/windows.h"

static size_t lesser(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Tokens of the longest question, where so many are left beside the special ones. */
static size_t most_of_question(size_t room)
{
    return lesser(PL_QUESTION_TOKENS, room - (room + 3) / 4);
}

size_t pl_windows_stride(size_t n_specials, size_t max_length)
{
    const size_t room = max_length > n_specials ? max_length - n_specials : 0;

    return lesser(PL_STRIDE, (room - most_of_question(room)) / 2);
}

enum prilora_status pl_windows_plan(struct pl_windows *out, size_t n_specials, size_t max_length,
                                    size_t stride, size_t n_question, size_t n_context,
                                    struct prilora_error *err)
{
    const size_t all = max_length > n_specials ? max_length - n_specials : 0;

    *out = (struct pl_windows){.n = 1, .context = n_context};
    if (all < 2)
        return pl_fail(err, PRILORA_EINVAL,
                       "max_length %zu leaves no room for a question and a context beside %zu "
                       "special tokens",
                       max_length, n_specials);
    out->question = lesser(n_question, most_of_question(all));
    out->room = all - out->question;
    stride = stride ? stride : pl_windows_stride(n_specials, max_length);
    out->step = out->room - lesser(stride, out->room / 2);
    if (n_context > out->room)
        out->n += (n_context - out->room + out->step - 1) / out->step;
    return PRILORA_OK;
}

enum prilora_status pl_windows_append(struct pl_ids *ids, struct pl_window *out,
                                      const struct pl_tokenizer *tokenizer,
                                      const struct pl_windows *windows, size_t i,
                                      const int32_t *question, const int32_t *context,
                                      struct prilora_error *err)
{
    const size_t begin = ids->n, first = i * windows->step;
    const size_t n = lesser(windows->room, windows->context - first);
    const struct pl_piece_of_ids a = {.ids = question, .n = windows->question};
    const struct pl_piece_of_ids b = {.ids = n ? context + first : NULL, .n = n};
    size_t at = 0;
    enum prilora_status rc = pl_tokenizer_join(tokenizer, ids, a, b, &at, err);

    *out = (struct pl_window){(uint32_t)first, (uint32_t)n, (uint32_t)(at - begin)};
    return rc;
}

bool pl_windows_tokens(const struct pl_span *spans, size_t n, size_t begin, size_t end,
                       size_t *first, size_t *last)
{
    size_t low = 0, high = n;

    /* spans never go back: those that end at or before `begin` come first */
    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (spans[middle].end <= begin)
            low = middle + 1;
        else
            high = middle;
    }
    while (low < n && spans[low].begin == spans[low].end) /* of white space */
        low++;
    *first = *last = low;
    for (size_t i = low; i < n && spans[i].begin < end; i++)
        if (spans[i].begin < spans[i].end)
            *last = i;
    return low < n && spans[low].begin < end;
}
