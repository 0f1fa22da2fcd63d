/* vocab.c - see vocab.h. Which files hold it, and how text meets it, is the kinds'. */
#include "tok/vocab.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/file.h"
#include "base/memory.h"
#include "tok/json_file.h"
#include "tok/kind.h"
#include "tok/utf8.h"

void pl_vocab_key(uint64_t *start, uint64_t *factor)
{
    uint64_t key[2] = {0x9E3779B97F4A7C15u, 0xD6E8FEB86659FD93u};

    /* without random numbers (a very old kernel) the table works all the same */
    if (getrandom(key, sizeof key, GRND_NONBLOCK) < 0)
        key[0] ^= (uint64_t)(uintptr_t)start;
    *start = key[0] | 1;
    *factor = key[1] | 1;
}

static uint64_t hash_all(const struct pl_vocab *v, const char *text, size_t size)
{
    uint64_t hash = v->start;

    for (size_t i = 0; i < size; i++)
        hash = pl_vocab_hash(v, hash, text[i]);
    return hash;
}

/* The place of the token, or the free one where it belongs. */
static uint32_t *place_of(const struct pl_vocab *v, uint64_t hash, const char *prefix,
                          size_t prefix_size, const char *text, size_t size)
{
    for (size_t i = hash & v->mask;; i = (i + 1) & v->mask) {
        const struct pl_vocab_token *t;
        const char *known;

        if (!v->places[i])
            return &v->places[i];
        t = &v->tokens[v->places[i] - 1];
        known = v->text + t->at;
        if (t->size == prefix_size + size && memcmp(known, prefix, prefix_size) == 0 &&
            memcmp(known + prefix_size, text, size) == 0)
            return &v->places[i];
    }
}

int32_t pl_vocab_find_hashed(const struct pl_vocab *vocab, uint64_t hash, const char *prefix,
                             size_t prefix_size, const char *text, size_t size)
{
    const uint32_t place = *place_of(vocab, hash, prefix, prefix_size, text, size);

    return place ? vocab->tokens[place - 1].id : -1;
}

int32_t pl_vocab_find(const struct pl_vocab *vocab, const char *text, size_t size)
{
    return pl_vocab_find_hashed(vocab, hash_all(vocab, text, size), "", 0, text, size);
}

/* A table that is half empty. */
static bool make_places(struct pl_vocab *v)
{
    size_t n = 16;

    while (n < 2 * v->n)
        n *= 2;
    v->places = pl_calloc(n, sizeof *v->places);
    if (!v->places)
        return false;
    v->mask = n - 1;
    pl_vocab_key(&v->start, &v->factor);
    for (size_t i = 0; i < v->n; i++) {
        const char *text = v->text + v->tokens[i].at;
        const size_t size = v->tokens[i].size;

        *place_of(v, hash_all(v, text, size), "", 0, text, size) = (uint32_t)i + 1;
    }
    return true;
}

static enum prilora_status no_memory(const char *where, struct prilora_error *err)
{
    return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", where);
}

static enum prilora_status add_token(struct pl_vocab *v, size_t at, size_t size, int32_t id,
                                     const char *where, struct prilora_error *err)
{
    if (v->n == v->room) {
        const size_t room = v->room + v->room / 2 + 1024;
        struct pl_vocab_token *more = pl_realloc(v->tokens, room, sizeof *more);

        if (!more)
            return no_memory(where, err);
        v->tokens = more;
        v->room = room;
    }
    v->tokens[v->n++] = (struct pl_vocab_token){(uint32_t)at, (uint32_t)size, id};
    if ((size_t)id >= v->size)
        v->size = (size_t)id + 1;
    if (size > v->longest)
        v->longest = size;
    return PRILORA_OK;
}

/* ---- a token per line ----------------------------------------------------------------------- */

static enum prilora_status add_line(struct pl_vocab *v, size_t at, size_t size, size_t line,
                                    const char *path, struct prilora_error *err)
{
    const char *text = v->text + at;

    if (size && text[size - 1] == '\r')
        size--;
    if (size > PL_VOCAB_MAX_TOKEN)
        return pl_fail(err, PRILORA_ELIMIT, "%s: line %zu: a token of %zu bytes, at most %d", path,
                       line + 1, size, PL_VOCAB_MAX_TOKEN);
    if (line >= PL_MAX_TOKEN_ID)
        return pl_fail(err, PRILORA_ELIMIT, "%s: more than %d tokens", path, PL_MAX_TOKEN_ID);
    if (pl_utf8_check(text, size) != size)
        return pl_fail(err, PRILORA_EFORMAT, "%s: line %zu: not UTF-8", path, line + 1);
    return add_token(v, at, size, (int32_t)line, path, err);
}

enum prilora_status pl_vocab_read_lines(struct pl_vocab *vocab, const char *path,
                                        struct pl_digest *digest, struct prilora_error *err)
{
    enum prilora_status rc =
        pl_file_read(&vocab->text, &vocab->text_size, path, PL_MAX_TOKENIZER_BYTES, err);
    size_t line = 0;

    for (size_t at = 0; rc == PRILORA_OK && at < vocab->text_size; line++) {
        const char *end = memchr(vocab->text + at, '\n', vocab->text_size - at);
        const size_t size = end ? (size_t)(end - vocab->text) - at : vocab->text_size - at;

        rc = add_line(vocab, at, size, line, path, err);
        at += size + 1;
    }
    if (rc == PRILORA_OK && vocab->n == 0)
        rc = pl_fail(err, PRILORA_EFORMAT, "%s: no tokens", path);
    if (rc == PRILORA_OK && !make_places(vocab))
        rc = no_memory(path, err);
    if (rc == PRILORA_OK)
        pl_digest_add(digest, vocab->text, vocab->text_size);
    return rc;
}

/* ---- a JSON object -------------------------------------------------------------------------- */

static enum prilora_status add_member(struct pl_vocab *v, const char *token, const json_t *value,
                                      const char *where, struct prilora_error *err)
{
    const json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
    const size_t size = strlen(token);

    if (size > PL_VOCAB_MAX_TOKEN)
        return pl_fail(err, PRILORA_ELIMIT, "%s: a token of %zu bytes, at most %d", where, size,
                       PL_VOCAB_MAX_TOKEN);
    if (id < 0 || id >= PL_MAX_TOKEN_ID)
        return pl_fail(err, PRILORA_EFORMAT, "%s: token \"%.80s\" has no id from 0 to %d", where,
                       token, PL_MAX_TOKEN_ID - 1);
    if (size >= v->text_room - v->text_size) { /* so that there is text even if it is empty */
        const size_t room = v->text_room + v->text_room / 2 + size + 4096;
        char *more = pl_realloc(v->text, room, 1);

        if (!more)
            return no_memory(where, err);
        v->text = more;
        v->text_room = room;
    }
    memcpy(v->text + v->text_size, token, size);
    v->text_size += size;
    return add_token(v, v->text_size - size, size, (int32_t)id, where, err);
}

enum prilora_status pl_vocab_read_json(struct pl_vocab *vocab, const json_t *object,
                                       const char *where, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    const char *token;
    json_t *value;

    if (!json_is_object(object) || json_object_size(object) == 0)
        return pl_fail(err, PRILORA_EFORMAT, "%s: is no object from tokens to ids", where);
    json_object_foreach ((json_t *)object, token, value) {
        if (rc == PRILORA_OK)
            rc = add_member(vocab, token, value, where, err);
    }
    if (rc == PRILORA_OK && !make_places(vocab))
        rc = no_memory(where, err);
    return rc;
}

void pl_vocab_free(struct pl_vocab *vocab)
{
    free(vocab->text);
    free(vocab->tokens);
    free(vocab->places);
    *vocab = (struct pl_vocab){0};
}

size_t pl_vocab_bytes(const struct pl_vocab *vocab)
{
    return vocab->text_size + vocab->n * sizeof *vocab->tokens +
           (vocab->mask + 1) * sizeof *vocab->places;
}
