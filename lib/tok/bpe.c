/*
 * bpe.c - GPT-2's and RoBERTa's kind of tokenizer. A regular expression cuts text into words with
 * the space before them; the bytes of each are its first symbols, and merges join those. Its files
 * are bpe_open.c's.
 */
#include "tok/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static size_t bpe_size(const void *state)
{
    return ((const struct bpe *)state)->vocab.size;
}

static size_t bpe_bytes(const void *state, bool prepared)
{
    const struct bpe *bpe = state;

    (void)prepared;
    return pl_vocab_bytes(&bpe->vocab) + (bpe->merges.mask + 1) * sizeof *bpe->merges.places;
}

static int32_t bpe_find(const void *state, const char *token, size_t size)
{
    return pl_vocab_find(&((const struct bpe *)state)->vocab, token, size);
}

static enum prilora_status bpe_prepare(void *state, struct prilora_error *err)
{
    (void)state;
    (void)err;
    return PRILORA_OK;
}

/* ---- encoding ------------------------------------------------------------------------------- */

struct encoding {
    const struct bpe *bpe;
    struct pl_ids *out;
    struct pl_joiner joiner;
    pcre2_match_data *match;
    size_t n_put; /* bytes put before the text */
};

/* From places in a word, which begins at `at` of what was cut, to those in the text. */
static void move_spans(const struct encoding *e, struct pl_span *spans, size_t n, size_t at)
{
    for (size_t i = 0; i < n; i++) {
        const size_t begin = at + spans[i].begin, end = at + spans[i].end;

        spans[i].begin = (uint32_t)(begin > e->n_put ? begin - e->n_put : 0);
        spans[i].end = (uint32_t)(end > e->n_put ? end - e->n_put : 0);
    }
}

/* A word that begins at `at` of what was cut. */
static bool add_word(struct encoding *e, const char *word, size_t size, size_t at)
{
    struct pl_ids *out = e->out;
    const size_t start = out->n;
    struct pl_span *spans;
    size_t n, kept = 0;
    int32_t *ids;

    for (size_t i = 0; i < size; i++)
        if (!pl_ids_add(out, &e->bpe->bytes[(unsigned char)word[i]], 1, 0))
            return false;
    ids = out->ids + start;
    spans = out->located ? out->spans + start : NULL;
    n = pl_merges_apply(&e->bpe->merges, &e->joiner, ids, out->n - start, spans);
    if (n == SIZE_MAX)
        return false;
    if (spans)
        move_spans(e, spans, n, at);
    for (size_t i = 0; i < n; i++) {
        ids[kept] = ids[i] < 0 ? e->bpe->unknown : ids[i];
        if (spans)
            spans[kept] = spans[i];
        kept += ids[kept] >= 0;
    }
    out->n = start + kept;
    return true;
}

static bool cut_words(struct encoding *e, const char *text, size_t size)
{
    bool ok = true;

    for (size_t at = 0; ok && at < size;) {
        const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(e->match);

        /* every character begins a word, so a match that is not found is a lack of memory */
        if (pcre2_match(e->bpe->words, (PCRE2_SPTR)text, size, at,
                        PCRE2_NO_UTF_CHECK | PCRE2_ANCHORED, e->match, NULL) < 0 ||
            ends[1] <= at)
            return false;
        ok = add_word(e, text + at, ends[1] - at, at);
        at = ends[1];
    }
    return ok;
}

static bool encode_spaced(struct encoding *e, const char *text, size_t size)
{
    char *copy = pl_alloc(size + 1, 1);
    bool ok = copy != NULL;

    if (ok) {
        copy[0] = ' ';
        memcpy(copy + 1, text, size);
        e->n_put = 1;
        ok = cut_words(e, copy, size + 1);
    }
    free(copy);
    return ok;
}

static enum prilora_status bpe_encode(const void *state, struct pl_ids *out, const char *text,
                                      size_t size, bool is_word, struct prilora_error *err)
{
    struct encoding e = {.bpe = state, .out = out, .match = pcre2_match_data_create(1, NULL)};
    const bool spaced = (e.bpe->add_prefix_space || is_word) && text[0] != ' ';
    const bool ok = e.match && (spaced ? encode_spaced(&e, text, size) : cut_words(&e, text, size));

    pcre2_match_data_free(e.match);
    pl_joiner_free(&e.joiner);
    if (!ok)
        return pl_fail(err, PRILORA_ENOMEM, "tokenizer: out of memory for a text of %zu bytes",
                       size);
    return PRILORA_OK;
}

const struct pl_tokenizer_kind pl_tokenizer_bpe = {
    .model = "BPE",
    .normalizes = false,
    .refused = "",
    .open = pl_bpe_open,
    .close = pl_bpe_close,
    .size = bpe_size,
    .bytes = bpe_bytes,
    .find = bpe_find,
    .prepare = bpe_prepare,
    .encode = bpe_encode,
};
