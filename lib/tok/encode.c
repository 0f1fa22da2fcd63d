/*
 * encode.c - what every kind of tokenizer does with texts: special tokens inside them, repair of
 * what is not UTF-8, pairs, truncation. Splitting is the kind's (kind.h).
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tok/open.h"
#include "tok/spans.h"
#include "tok/utf8.h"

static enum prilora_status no_memory(const struct pl_ids *out, struct prilora_error *err)
{
    return pl_fail(err, PRILORA_ENOMEM, "tokenizer: out of memory for %zu tokens", out->n);
}

static enum prilora_status add(struct pl_ids *out, int32_t id, struct prilora_error *err)
{
    return pl_ids_add(out, &id, 1, 0) ? PRILORA_OK : no_memory(out, err);
}

/* ---- one text ------------------------------------------------------------------------------- */

/* text[begin..end) has no special tokens. */
static enum prilora_status encode_plain(const struct pl_tokenizer *t, struct pl_ids *out,
                                        const char *text, size_t begin, size_t end, bool is_word,
                                        struct prilora_error *err)
{
    const size_t first = out->n;
    enum prilora_status rc;

    if (begin == end)
        return PRILORA_OK;
    rc = t->kind->encode(t->state, out, text + begin, end - begin, is_word, err);
    for (size_t i = first; out->located && i < out->n; i++) {
        out->spans[i].begin += (uint32_t)begin;
        out->spans[i].end += (uint32_t)begin;
    }
    return rc;
}

static enum prilora_status add_special(struct pl_ids *out, const struct pl_special *special,
                                       size_t begin, struct prilora_error *err)
{
    const enum prilora_status rc = add(out, special->id, err);

    if (rc == PRILORA_OK && out->located)
        out->spans[out->n - 1] =
            (struct pl_span){(uint32_t)begin, (uint32_t)(begin + special->size)};
    return rc;
}

/* Valid UTF-8: special spellings become their ids, the kind splits what lies between. */
static enum prilora_status encode_valid(const struct pl_tokenizer *t, struct pl_ids *out,
                                        const char *text, size_t size, bool is_word,
                                        struct prilora_error *err)
{
    enum prilora_status rc;
    size_t start = 0, i = 0;

    while (i < size) {
        const struct pl_special *s = pl_specials_match(&t->specials, text + i, size - i);
        size_t end = i;

        if (!s) {
            i++;
            continue;
        }
        if (s->lstrip)
            end -= pl_utf8_spaces_at_end(text + start, end - start);
        rc = encode_plain(t, out, text, start, end, is_word, err);
        if (rc == PRILORA_OK)
            rc = add_special(out, s, i, err);
        if (rc != PRILORA_OK)
            return rc;
        i += s->size;
        if (s->rstrip)
            i += pl_utf8_spaces_at_start(text + i, size - i);
        start = i;
    }
    return encode_plain(t, out, text, start, size, is_word, err);
}

/* text with U+FFFD for what is not UTF-8: at most three bytes for one. */
static char *repaired(const char *text, size_t size, size_t *new_size)
{
    char *copy = pl_alloc(size, 3), *to = copy;

    if (!copy)
        return NULL;
    for (size_t i = 0; i < size;) {
        uint32_t code;
        bool valid;
        size_t n = pl_utf8_next(text + i, size - i, &code, &valid);

        memcpy(to, valid ? text + i : "\xEF\xBF\xBD", valid ? n : PL_UTF8_REPLACEMENT_BYTES);
        to += valid ? n : PL_UTF8_REPLACEMENT_BYTES;
        i += n;
    }
    *new_size = (size_t)(to - copy);
    return copy;
}

static enum prilora_status encode_text(const struct pl_tokenizer *t, struct pl_ids *out,
                                       const char *text, size_t size, bool is_word,
                                       struct prilora_error *err)
{
    const size_t first = out->n;
    const char *valid = text;
    size_t valid_size = size;
    char *copy = NULL;
    enum prilora_status rc;

    if (size > PL_MAX_TEXT_BYTES)
        return pl_fail(err, PRILORA_ELIMIT, "a text of %zu bytes, but at most %zu are read", size,
                       PL_MAX_TEXT_BYTES);
    if (pl_utf8_check(text, size) != size) {
        valid = copy = repaired(text, size, &valid_size);
        if (!copy)
            return pl_fail(err, PRILORA_ENOMEM, "tokenizer: out of memory for %zu bytes", size);
    }
    rc = encode_valid(t, out, valid, valid_size, is_word, err);
    if (rc == PRILORA_OK && out->located && out->n > first) {
        pl_spans_trim(out->spans + first, out->n - first, valid, valid_size);
        if (copy)
            pl_spans_restore(out->spans + first, out->n - first, text, size);
    }
    free(copy);
    return rc;
}

/* ---- with special tokens around it ---------------------------------------------------------- */

/*
 * Longest-first: one token at a time from the end of the longer text, of the second if both are
 * equally long, until n_a + n_b fits `room`.
 */
static void truncate_pair(size_t *n_a, size_t *n_b, size_t room)
{
    size_t excess = *n_a + *n_b > room ? *n_a + *n_b - room : 0;
    size_t *longer = *n_a > *n_b ? n_a : n_b;
    size_t gap = *n_a > *n_b ? *n_a - *n_b : *n_b - *n_a;

    if (gap > excess)
        gap = excess;
    *longer -= gap;
    excess -= gap;
    *n_a -= excess / 2;
    *n_b -= excess - excess / 2;
}

static size_t specials_of_frame(const struct pl_frame *frame, bool has_pair)
{
    return 2 + (has_pair ? frame->n_separators : 0);
}

static void put_last(const struct pl_tokenizer *t, struct pl_ids *out, size_t at)
{
    out->ids[at] = t->frame.last;
    if (out->located)
        out->spans[at] = (struct pl_span){0};
}

/* out->ids[start..] is first, a, b; becomes first a last, or first a last... b last. */
static enum prilora_status assemble(const struct pl_tokenizer *t, struct pl_ids *out, size_t start,
                                    size_t n_a, size_t n_b, bool has_pair, size_t room,
                                    struct prilora_error *err)
{
    const size_t n_between = has_pair ? t->frame.n_separators : 0;
    size_t keep_a = n_a, keep_b = n_b, a = start + 1, b;
    enum prilora_status rc = PRILORA_OK;

    truncate_pair(&keep_a, &keep_b, room);
    for (size_t i = 0; rc == PRILORA_OK && i < 1 + n_between; i++)
        rc = add(out, t->frame.last, err); /* so much longer, then everything has its place */
    if (rc != PRILORA_OK)
        return rc;
    b = a + keep_a + n_between;
    memmove(out->ids + b, out->ids + a + n_a, keep_b * sizeof *out->ids);
    if (out->located)
        memmove(out->spans + b, out->spans + a + n_a, keep_b * sizeof *out->spans);
    for (size_t i = a + keep_a; i < b; i++)
        put_last(t, out, i);
    put_last(t, out, b + keep_b);
    out->n = b + keep_b + 1;
    if (has_pair)
        memset(out->type_ids + b, t->frame.pair_type, keep_b + 1);
    return PRILORA_OK;
}

/* Tokens that max_length leaves for texts. */
static enum prilora_status find_room(size_t *room, const struct pl_tokenizer *t, bool has_pair,
                                     size_t max_length, struct prilora_error *err)
{
    const size_t n_special = specials_of_frame(&t->frame, has_pair);

    if (max_length && max_length <= n_special)
        return pl_fail(err, PRILORA_EINVAL,
                       "max_length %zu leaves no room beside %zu special tokens", max_length,
                       n_special);
    *room = max_length ? max_length - n_special : SIZE_MAX;
    return PRILORA_OK;
}

enum prilora_status pl_tokenizer_encode(const struct pl_tokenizer *tokenizer, struct pl_ids *out,
                                        const char *text, size_t text_size, const char *pair,
                                        size_t pair_size, size_t max_length, bool *truncated,
                                        struct prilora_error *err)
{
    size_t start = out->n, n_a, n_b = 0, room = 0;
    enum prilora_status rc = find_room(&room, tokenizer, pair != NULL, max_length, err);

    if (rc == PRILORA_OK)
        rc = pl_tokenizer_prepare(tokenizer, err);
    if (rc == PRILORA_OK)
        rc = add(out, tokenizer->frame.first, err);
    if (rc == PRILORA_OK)
        rc = encode_text(tokenizer, out, text, text_size, false, err);
    n_a = out->n - start - 1;
    if (rc == PRILORA_OK && pair)
        rc = encode_text(tokenizer, out, pair, pair_size, false, err);
    if (rc == PRILORA_OK) {
        n_b = out->n - start - 1 - n_a;
        rc = assemble(tokenizer, out, start, n_a, n_b, pair != NULL, room, err);
    }
    if (rc != PRILORA_OK)
        out->n = start;
    else if (truncated)
        *truncated = n_a + n_b > room;
    return rc;
}

enum prilora_status pl_tokenizer_encode_words(const struct pl_tokenizer *tokenizer,
                                              struct pl_ids *out, const struct prilora_word *words,
                                              size_t n, size_t max_length, size_t *firsts,
                                              bool *truncated, struct prilora_error *err)
{
    size_t start = out->n, n_all, room = 0;
    enum prilora_status rc = find_room(&room, tokenizer, false, max_length, err);

    if (rc == PRILORA_OK)
        rc = pl_tokenizer_prepare(tokenizer, err);
    if (rc == PRILORA_OK)
        rc = add(out, tokenizer->frame.first, err);
    for (size_t i = 0; rc == PRILORA_OK && i < n; i++) {
        const size_t at = out->n;

        rc = encode_text(tokenizer, out, words[i].text, words[i].size, true, err);
        firsts[i] = out->n > at && at - start - 1 < room ? at : SIZE_MAX;
    }
    n_all = out->n - start - 1;
    if (rc == PRILORA_OK) {
        rc = assemble(tokenizer, out, start, n_all, 0, false, room, err);
        *truncated = n_all > room;
    }
    if (rc != PRILORA_OK)
        out->n = start;
    return rc;
}

/* ---- bare, to be put together later --------------------------------------------------------- */

enum prilora_status pl_tokenizer_encode_bare(const struct pl_tokenizer *tokenizer,
                                             struct pl_ids *out, const char *text, size_t size,
                                             struct prilora_error *err)
{
    const size_t start = out->n;
    enum prilora_status rc = pl_tokenizer_prepare(tokenizer, err);

    if (rc == PRILORA_OK)
        rc = encode_text(tokenizer, out, text, size, false, err);
    if (rc != PRILORA_OK)
        out->n = start;
    return rc;
}

size_t pl_tokenizer_pair_specials(const struct pl_tokenizer *tokenizer)
{
    return specials_of_frame(&tokenizer->frame, true);
}

static bool add_piece(struct pl_ids *out, struct pl_piece_of_ids piece, uint8_t type_id)
{
    const size_t first = out->n;

    if (!pl_ids_add(out, piece.ids, piece.n, type_id))
        return false;
    if (out->located && piece.spans && piece.n)
        memcpy(out->spans + first, piece.spans, piece.n * sizeof *piece.spans);
    return true;
}

enum prilora_status pl_tokenizer_join(const struct pl_tokenizer *tokenizer, struct pl_ids *out,
                                      struct pl_piece_of_ids a, struct pl_piece_of_ids b,
                                      size_t *at_b, struct prilora_error *err)
{
    const struct pl_frame *f = &tokenizer->frame;
    const size_t start = out->n;
    bool room = pl_ids_add(out, &f->first, 1, 0) && add_piece(out, a, 0);

    for (size_t i = 0; room && i < f->n_separators; i++)
        room = pl_ids_add(out, &f->last, 1, 0);
    *at_b = out->n;
    room = room && add_piece(out, b, f->pair_type) && pl_ids_add(out, &f->last, 1, f->pair_type);
    if (room)
        return PRILORA_OK;
    out->n = start;
    return no_memory(out, err);
}
