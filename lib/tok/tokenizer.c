/*
 * tokenizer.c - what every kind of tokenizer shares: special tokens inside text, pairs, truncation.
 * Which one a folder has is family.c's, files and splitting are the kind's (kind.h).
 */
#include "tok/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/memory.h"
#include "tok/family.h"
#include "tok/frame.h"
#include "tok/json_file.h"
#include "tok/kind.h"
#include "tok/specials.h"
#include "tok/utf8.h"

struct pl_tokenizer {
    const struct pl_tokenizer_kind *kind;
    void *state;
    struct pl_specials specials;
    struct pl_frame frame;
    char fingerprint[PL_DIGEST_SIZE];
};

void pl_ids_free(struct pl_ids *ids)
{
    free(ids->ids);
    free(ids->type_ids);
    *ids = (struct pl_ids){0};
}

bool pl_ids_add(struct pl_ids *out, const int32_t *ids, size_t n, uint8_t type_id)
{
    if (n > out->capacity - out->n) {
        size_t capacity = out->capacity + out->capacity / 2 + n + 64;
        int32_t *more = pl_realloc(out->ids, capacity, sizeof *more);
        uint8_t *types;

        if (!more)
            return false;
        out->ids = more;
        types = pl_realloc(out->type_ids, capacity, sizeof *types);
        if (!types)
            return false;
        out->type_ids = types;
        out->capacity = capacity;
    }
    if (n) {
        memcpy(out->ids + out->n, ids, n * sizeof *ids);
        memset(out->type_ids + out->n, type_id, n);
    }
    out->n += n;
    return true;
}

static enum prilora_status find_frame(struct pl_tokenizer *t, const struct pl_source *source,
                                      struct prilora_error *err)
{
    const struct pl_family *f = source->family;

    if (source->whole)
        return pl_frame_read(&t->frame, json_object_get(source->whole, "post_processor"),
                             source->folder, err);
    t->frame = (struct pl_frame){t->specials.roles[f->first], t->specials.roles[f->last],
                                 f->n_separators, f->pair_type};
    return PRILORA_OK;
}

/* The ids that tokenizer.json puts around texts are ids like others. */
static enum prilora_status check_frame(const struct pl_tokenizer *t, const char *folder,
                                       struct prilora_error *err)
{
    const size_t end = t->specials.vocabulary;

    if ((size_t)t->frame.first < end && (size_t)t->frame.last < end)
        return PRILORA_OK;
    return pl_fail(err, PRILORA_EFORMAT,
                   "%s/tokenizer.json: post_processor adds the ids %d and %d, but the vocabulary "
                   "ends at %zu",
                   folder, (int)t->frame.first, (int)t->frame.last, end);
}

static enum prilora_status open_parts(struct pl_tokenizer *t, struct pl_source *source,
                                      struct prilora_error *err)
{
    enum prilora_status rc = pl_json_file(&source->config, source->folder, "tokenizer_config.json",
                                          PL_MAX_JSON_BYTES, NULL, err);

    if (rc == PRILORA_OK)
        rc = pl_family_choose(source, err);
    if (rc != PRILORA_OK)
        return rc;
    t->kind = source->family->kind;
    rc = t->kind->open(&t->state, source, err);
    if (rc == PRILORA_OK)
        rc = pl_specials_open(&t->specials, source, t->state, err);
    if (rc == PRILORA_OK)
        rc = find_frame(t, source, err);
    return rc == PRILORA_OK ? check_frame(t, source->folder, err) : rc;
}

enum prilora_status pl_tokenizer_open(struct pl_tokenizer **out, const char *folder,
                                      struct prilora_error *err)
{
    enum prilora_status rc;
    struct pl_tokenizer *t = pl_calloc(1, sizeof *t);
    struct pl_digest digest;
    struct pl_source source = {.folder = folder, .digest = &digest};

    *out = NULL;
    if (!t)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", folder);
    pl_digest_init(&digest);
    rc = open_parts(t, &source, err);
    json_decref(source.config);
    json_decref(source.whole);
    if (rc == PRILORA_OK) {
        pl_digest_hex(&digest, t->fingerprint);
        *out = t;
        t = NULL;
    }
    pl_tokenizer_close(t);
    return rc;
}

void pl_tokenizer_close(struct pl_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    pl_specials_close(&tokenizer->specials);
    if (tokenizer->kind)
        tokenizer->kind->close(tokenizer->state);
    free(tokenizer);
}

size_t pl_tokenizer_vocabulary(const struct pl_tokenizer *tokenizer)
{
    return tokenizer->specials.vocabulary;
}

const char *pl_tokenizer_fingerprint(const struct pl_tokenizer *tokenizer)
{
    return tokenizer->fingerprint;
}

enum prilora_status pl_tokenizer_prepare(const struct pl_tokenizer *tokenizer,
                                         struct prilora_error *err)
{
    return tokenizer->kind->prepare(tokenizer->state, err);
}

size_t pl_tokenizer_bytes(const struct pl_tokenizer *tokenizer, bool prepared)
{
    return tokenizer->kind->bytes(tokenizer->state, prepared);
}

/* ---- encoding ------------------------------------------------------------------------------- */

static enum prilora_status add(struct pl_ids *out, int32_t id, struct prilora_error *err)
{
    if (!pl_ids_add(out, &id, 1, 0))
        return pl_fail(err, PRILORA_ENOMEM, "tokenizer: out of memory for %zu tokens", out->n);
    return PRILORA_OK;
}

static enum prilora_status encode_plain(const struct pl_tokenizer *t, struct pl_ids *out,
                                        const char *text, size_t size, bool is_word,
                                        struct prilora_error *err)
{
    return size ? t->kind->encode(t->state, out, text, size, is_word, err) : PRILORA_OK;
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
        size_t n = i - start;

        if (!s) {
            i++;
            continue;
        }
        if (s->lstrip)
            n -= pl_utf8_spaces_at_end(text + start, n);
        rc = encode_plain(t, out, text + start, n, is_word, err);
        if (rc == PRILORA_OK)
            rc = add(out, s->id, err);
        if (rc != PRILORA_OK)
            return rc;
        i += s->size;
        if (s->rstrip)
            i += pl_utf8_spaces_at_start(text + i, size - i);
        start = i;
    }
    return encode_plain(t, out, text + start, size - start, is_word, err);
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

        memcpy(to, valid ? text + i : "\xEF\xBF\xBD", valid ? n : 3);
        to += valid ? n : 3;
        i += n;
    }
    *new_size = (size_t)(to - copy);
    return copy;
}

static enum prilora_status encode_text(const struct pl_tokenizer *t, struct pl_ids *out,
                                       const char *text, size_t size, bool is_word,
                                       struct prilora_error *err)
{
    enum prilora_status rc;
    char *copy;

    if (size > PL_MAX_TEXT_BYTES)
        return pl_fail(err, PRILORA_ELIMIT, "a text of %zu bytes, but at most %zu are read", size,
                       PL_MAX_TEXT_BYTES);
    if (pl_utf8_check(text, size) == size)
        return encode_valid(t, out, text, size, is_word, err);
    copy = repaired(text, size, &size);
    if (!copy)
        return pl_fail(err, PRILORA_ENOMEM, "tokenizer: out of memory for %zu bytes", size);
    rc = encode_valid(t, out, copy, size, is_word, err);
    free(copy);
    return rc;
}

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
    for (size_t i = a + keep_a; i < b; i++)
        out->ids[i] = t->frame.last;
    out->ids[b + keep_b] = t->frame.last;
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
