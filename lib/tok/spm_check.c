/*
 * spm_check.c - see spm_check.h. Reads sentencepiece_model.proto's wire form just far enough to
 * judge it; the meaning of a model stays with the library.
 */
#include "tok/spm_check.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tok/spm_nest.h"

/* One message, or what is left of it. */
struct span {
    const unsigned char *at, *end;
};

struct field {
    uint64_t number, value; /* value of a varint */
    unsigned wire;
    struct span bytes; /* of wire types 1, 2 and 5 */
};

struct check {
    const unsigned char *start; /* of the file, for offsets */
    const char *path;
    struct prilora_error *err;
    struct pl_spm_pieces *pieces;
    size_t n_unknown;
    struct pl_spm_symbol *symbols; /* [symbols_room] user-defined pieces */
    size_t n_symbols, symbols_room;
};

enum { WIRE_VARINT = 0, WIRE_8 = 1, WIRE_BYTES = 2, WIRE_4 = 5 };
enum { MODEL_PIECE = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3, MODEL_DENORMALIZER = 5 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum { PIECE_IS_UNKNOWN = 2, PIECE_IS_SYMBOL = 4 };
enum { NORMALIZER_CHARSMAP = 2, TRAINER_MODEL_TYPE = 3 };

static enum prilora_status broken(const struct check *c, const unsigned char *at, const char *what)
{
    return pl_fail(c->err, PRILORA_EFORMAT, "%s: not a SentencePiece model: %s at byte %zu",
                   c->path, what, (size_t)(at - c->start));
}

static bool read_varint(struct span *s, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && s->at < s->end; shift += 7) {
        unsigned char byte = *s->at++;

        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* The next field of `s`, moved behind it. */
static bool read_field(struct span *s, struct field *field)
{
    uint64_t key, size;

    if (!read_varint(s, &key))
        return false;
    field->number = key >> 3;
    field->wire = (unsigned)(key & 7);
    switch (field->wire) {
    case WIRE_VARINT:
        return read_varint(s, &field->value);
    case WIRE_8:
        size = 8;
        break;
    case WIRE_4:
        size = 4;
        break;
    case WIRE_BYTES:
        if (!read_varint(s, &size))
            return false;
        break;
    default:
        return false;
    }
    if (size > (uint64_t)(s->end - s->at))
        return false;
    field->bytes = (struct span){s->at, s->at + size};
    s->at += size;
    return true;
}

static uint32_t load_u32(const unsigned char *p)
{
    return pl_spm_unit(p, 0);
}

/* One more piece, whose text is not known yet. */
static enum prilora_status add_piece(struct check *c)
{
    struct pl_spm_pieces *p = c->pieces;

    if (p->n == PL_SPM_MAX_PIECES)
        return pl_fail(c->err, PRILORA_ELIMIT, "%s: more than %zu pieces", c->path,
                       PL_SPM_MAX_PIECES);
    if (p->n == p->room) {
        size_t room = 2 * p->room + 8192;
        uint32_t *at = pl_realloc(p->at, room, sizeof *at);
        uint16_t *sizes;

        p->at = at ? at : p->at;
        sizes = at ? pl_realloc(p->sizes, room, sizeof *sizes) : NULL;
        if (!sizes)
            return pl_fail(c->err, PRILORA_ENOMEM, "%s: out of memory", c->path);
        p->sizes = sizes;
        p->room = room;
    }
    p->at[p->n] = 0;
    p->sizes[p->n++] = 0;
    return PRILORA_OK;
}

/* The last piece is a user-defined one. */
static enum prilora_status add_symbol(struct check *c)
{
    const struct pl_spm_pieces *p = c->pieces;

    if (!pl_grow(&c->symbols, &c->symbols_room, c->n_symbols + 1, sizeof *c->symbols))
        return pl_fail(c->err, PRILORA_ENOMEM, "%s: out of memory", c->path);
    c->symbols[c->n_symbols++] =
        (struct pl_spm_symbol){c->start + p->at[p->n - 1], p->sizes[p->n - 1]};
    return PRILORA_OK;
}

static enum prilora_status check_piece(struct check *c, struct span piece)
{
    enum prilora_status rc = add_piece(c);
    bool is_symbol = false;
    struct field f;

    if (rc != PRILORA_OK)
        return rc;
    while (piece.at < piece.end) {
        const unsigned char *at = piece.at;

        if (!read_field(&piece, &f))
            return broken(c, at, "a broken piece");
        if (f.number == PIECE_TEXT && f.wire == WIRE_BYTES) {
            size_t size = (size_t)(f.bytes.end - f.bytes.at);

            if (size > PL_SPM_MAX_PIECE)
                return pl_fail(c->err, PRILORA_ELIMIT, "%s: a piece of %zu bytes, at most %zu",
                               c->path, size, PL_SPM_MAX_PIECE);
            if (size == 0 || memchr(f.bytes.at, '\0', size))
                return broken(c, at, "an empty piece or one with a NUL");
            c->pieces->at[c->pieces->n - 1] = (uint32_t)(f.bytes.at - c->start);
            c->pieces->sizes[c->pieces->n - 1] = (uint16_t)size;
        } else if (f.number == PIECE_SCORE && f.wire == WIRE_4) {
            uint32_t bits = load_u32(f.bytes.at);
            float score;

            memcpy(&score, &bits, sizeof score);
            if (!isfinite(score))
                return broken(c, at, "a score that is not finite");
        } else if (f.number == PIECE_TYPE && f.wire == WIRE_VARINT) {
            is_symbol = is_symbol || (uint32_t)f.value == PIECE_IS_SYMBOL;
            if (f.value != PIECE_IS_UNKNOWN)
                continue;
            c->n_unknown++;
            c->pieces->unknown = c->pieces->n - 1;
        }
    }
    return is_symbol ? add_symbol(c) : PRILORA_OK;
}

/* NUL-terminated texts, none of them long. */
static bool texts_are_short(const unsigned char *at, const unsigned char *end)
{
    while (at < end) {
        const unsigned char *nul = memchr(at, '\0', (size_t)(end - at));

        if (!nul || (size_t)(nul - at) > PL_SPM_MAX_REPLACEMENT)
            return false;
        at = nul + 1;
    }
    return true;
}

/*
 * A charsmap is u32 trie bytes, the trie (32-bit units of darts-clone), NUL-terminated texts.
 * A unit's children lie at its own index xor its offset xor the label, a leaf's text position at
 * label 0; the library follows them unchecked.
 */
static enum prilora_status check_charsmap(struct check *c, struct span map)
{
    size_t size = (size_t)(map.end - map.at), trie, n, texts;
    const unsigned char *units = map.at + 4;

    if (size == 0)
        return PRILORA_OK;
    if (size < 4 || (trie = load_u32(map.at)) > size - 4 || trie == 0 || trie % 4 != 0)
        return broken(c, map.at, "a normalisation table whose sizes do not fit");
    n = trie / 4;
    texts = size - 4 - trie;
    if (texts == 0 || !texts_are_short(map.end - texts, map.end))
        return broken(c, map.at, "normalisation texts that do not end or are too long");
    for (size_t i = 0; i < n; i++) {
        uint32_t unit = load_u32(units + 4 * i);
        size_t child = pl_spm_children(unit, i);

        if (unit >> 31 && i > 0)
            continue; /* a leaf: reached through its parent, but the root is always followed */
        if ((child | 0xFF) >= n)
            return broken(c, units + 4 * i, "a normalisation table that points outside itself");
        if ((unit & 0x100) && (load_u32(units + 4 * child) & 0x7FFFFFFF) >= texts)
            return broken(c, units + 4 * i, "a normalisation that points outside its texts");
    }
    switch (pl_spm_nested_rules(units, n)) {
    case PRILORA_OK:
        return PRILORA_OK;
    case PRILORA_ENOMEM:
        return pl_fail(c->err, PRILORA_ENOMEM, "%s: out of memory", c->path);
    default:
        return pl_fail(c->err, PRILORA_ELIMIT,
                       "%s: a normalisation table with sequences of more than %d bytes, or more "
                       "than %d of which each begins with the one before",
                       c->path, PL_SPM_MAX_RULE, PL_SPM_MAX_NESTED_RULES);
    }
}

static enum prilora_status check_normalizer(struct check *c, struct span message)
{
    struct field f;

    while (message.at < message.end) {
        const unsigned char *at = message.at;
        enum prilora_status rc;

        if (!read_field(&message, &f))
            return broken(c, at, "a broken normalizer_spec");
        if (f.number != NORMALIZER_CHARSMAP || f.wire != WIRE_BYTES)
            continue;
        rc = check_charsmap(c, f.bytes);
        if (rc != PRILORA_OK)
            return rc;
    }
    return PRILORA_OK;
}

static enum prilora_status check_trainer(struct check *c, struct span message)
{
    struct field f;

    while (message.at < message.end) {
        const unsigned char *at = message.at;

        if (!read_field(&message, &f))
            return broken(c, at, "a broken trainer_spec");
        if (f.number == TRAINER_MODEL_TYPE && f.wire == WIRE_VARINT && f.value != 1 && f.value != 2)
            return pl_fail(c->err, PRILORA_EUNSUPPORTED,
                           "%s: SentencePiece model type %llu, but only unigram (1) and BPE (2) "
                           "are read",
                           c->path, (unsigned long long)f.value);
    }
    return PRILORA_OK;
}

void pl_spm_pieces_free(struct pl_spm_pieces *pieces)
{
    free(pieces->at);
    free(pieces->sizes);
    *pieces = (struct pl_spm_pieces){0};
}

static enum prilora_status check_file(struct check *c, struct span file)
{
    struct field f;

    while (file.at < file.end) {
        const unsigned char *at = file.at;
        enum prilora_status rc = PRILORA_OK;

        if (!read_field(&file, &f))
            return broken(c, at, "a broken field");
        if (f.number >= MODEL_PIECE && f.number <= MODEL_DENORMALIZER && f.wire != WIRE_BYTES)
            return broken(c, at, "a field of the wrong kind");
        if (f.number == MODEL_PIECE)
            rc = check_piece(c, f.bytes);
        else if (f.number == MODEL_TRAINER)
            rc = check_trainer(c, f.bytes);
        else if (f.number == MODEL_NORMALIZER || f.number == MODEL_DENORMALIZER)
            rc = check_normalizer(c, f.bytes);
        if (rc != PRILORA_OK)
            return rc;
    }
    return PRILORA_OK;
}

/* What the pieces are together. */
static enum prilora_status check_pieces(const struct check *c)
{
    if (c->pieces->n == 0)
        return broken(c, c->start, "no pieces");
    if (c->n_unknown != 1)
        return pl_fail(c->err, PRILORA_EFORMAT,
                       "%s: not a SentencePiece model: %zu pieces for what is unknown, not one",
                       c->path, c->n_unknown);
    if (pl_spm_nested_symbols(c->symbols, c->n_symbols) > PL_SPM_MAX_NESTED_SYMBOLS)
        return pl_fail(c->err, PRILORA_ELIMIT,
                       "%s: more than %zu user-defined pieces of which each begins with the one "
                       "before",
                       c->path, PL_SPM_MAX_NESTED_SYMBOLS);
    return PRILORA_OK;
}

enum prilora_status pl_spm_check(struct pl_spm_pieces *pieces, const char *data, size_t size,
                                 const char *path, struct prilora_error *err)
{
    const unsigned char *start = (const unsigned char *)data;
    struct check c = {.start = start, .path = path, .err = err, .pieces = pieces};
    enum prilora_status rc;

    *pieces = (struct pl_spm_pieces){0};
    rc = check_file(&c, (struct span){start, start + size});
    if (rc == PRILORA_OK)
        rc = check_pieces(&c);
    free(c.symbols);
    return rc;
}
