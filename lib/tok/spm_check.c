/*
 * spm_check.c - see spm_check.h. Reads sentencepiece_model.proto's wire form just far enough to
 * judge it; the meaning of a model stays with the library, but for its normalisation.
 */
#include "tok/spm_check.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

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
    struct pl_spm_rules *rules;
    size_t n_unknown, symbols_room;
};

enum { WIRE_VARINT = 0, WIRE_8 = 1, WIRE_BYTES = 2, WIRE_4 = 5 };
enum { MODEL_PIECE = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3, MODEL_DENORMALIZER = 5 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum { PIECE_IS_UNKNOWN = 2, PIECE_IS_SYMBOL = 4, PIECE_TYPES = 6 };
enum { NORMALIZER_CHARSMAP = 2, NORMALIZER_ADDS_SPACE, NORMALIZER_SINGLES, NORMALIZER_SHOWS };
enum { TRAINER_MODEL_TYPE = 3, TRAINER_SPACE_LAST = 24 };

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

/* The last piece is one that is looked for before normalisation. */
static enum prilora_status add_symbol(struct check *c)
{
    struct pl_spm_rules *r = c->rules;
    const struct pl_spm_pieces *p = c->pieces;

    if (r->n_symbols == c->symbols_room) {
        const size_t room = 2 * c->symbols_room + 64;
        struct pl_spm_symbol *more = pl_realloc(r->symbols, room, sizeof *more);

        if (!more)
            return pl_fail(c->err, PRILORA_ENOMEM, "%s: out of memory", c->path);
        r->symbols = more;
        c->symbols_room = room;
    }
    r->symbols[r->n_symbols++] =
        (struct pl_spm_symbol){c->start + p->at[p->n - 1], p->sizes[p->n - 1]};
    return PRILORA_OK;
}

static enum prilora_status check_piece(struct check *c, struct span piece)
{
    enum prilora_status rc = add_piece(c);
    uint32_t type = 0;
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
            if ((uint32_t)f.value - 1 <
                PIECE_TYPES) /* the library keeps 32 bits, and ignores others */
                type = (uint32_t)f.value;
            if (f.value != PIECE_IS_UNKNOWN)
                continue;
            c->n_unknown++;
            c->pieces->unknown = c->pieces->n - 1;
        }
    }
    return type == PIECE_IS_SYMBOL ? add_symbol(c) : PRILORA_OK;
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
    return PRILORA_OK;
}

/* What has been checked; the last one given counts. */
static void keep_charsmap(struct pl_spm_rules *rules, struct span map)
{
    rules->trie = NULL;
    if (map.at == map.end)
        return;
    rules->trie = map.at + 4;
    rules->texts = (const char *)rules->trie + load_u32(map.at);
}

static void keep_flag(struct pl_spm_rules *rules, const struct field *f)
{
    if (f->wire != WIRE_VARINT)
        return;
    if (f->number == NORMALIZER_ADDS_SPACE)
        rules->space_first = f->value != 0;
    else if (f->number == NORMALIZER_SINGLES)
        rules->single_spaces = f->value != 0;
    else if (f->number == NORMALIZER_SHOWS)
        rules->visible_spaces = f->value != 0;
}

/* rules NULL: of the denormalizer, which nobody asks for. */
static enum prilora_status check_normalizer(struct check *c, struct span message,
                                            struct pl_spm_rules *rules)
{
    struct field f;

    while (message.at < message.end) {
        const unsigned char *at = message.at;
        enum prilora_status rc;

        if (!read_field(&message, &f))
            return broken(c, at, "a broken normalizer_spec");
        if (rules)
            keep_flag(rules, &f);
        if (f.number != NORMALIZER_CHARSMAP || f.wire != WIRE_BYTES)
            continue;
        rc = check_charsmap(c, f.bytes);
        if (rc != PRILORA_OK)
            return rc;
        if (rules)
            keep_charsmap(rules, f.bytes);
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
        if (f.number == TRAINER_SPACE_LAST && f.wire == WIRE_VARINT)
            c->rules->space_last = f.value != 0;
    }
    return PRILORA_OK;
}

void pl_spm_pieces_free(struct pl_spm_pieces *pieces)
{
    free(pieces->at);
    free(pieces->sizes);
    *pieces = (struct pl_spm_pieces){0};
}

void pl_spm_rules_free(struct pl_spm_rules *rules)
{
    free(rules->symbols);
    *rules = (struct pl_spm_rules){0};
}

static int compare_symbols(const void *a, const void *b)
{
    const struct pl_spm_symbol *x = a, *y = b;
    const int order = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);

    return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* What was read of them all. */
static void finish_rules(struct pl_spm_rules *rules)
{
    const bool adds_space = rules->space_first;

    rules->space_first = adds_space && !rules->space_last;
    rules->space_last = adds_space && rules->space_last;
    if (rules->n_symbols)
        qsort(rules->symbols, rules->n_symbols, sizeof *rules->symbols, compare_symbols);
}

static enum prilora_status check_field(struct check *c, const struct field *f)
{
    switch (f->number) {
    case MODEL_PIECE:
        return check_piece(c, f->bytes);
    case MODEL_TRAINER:
        return check_trainer(c, f->bytes);
    case MODEL_NORMALIZER:
        return check_normalizer(c, f->bytes, c->rules);
    case MODEL_DENORMALIZER:
        return check_normalizer(c, f->bytes, NULL);
    default:
        return PRILORA_OK;
    }
}

enum prilora_status pl_spm_check(struct pl_spm_pieces *pieces, struct pl_spm_rules *rules,
                                 const char *data, size_t size, const char *path,
                                 struct prilora_error *err)
{
    const unsigned char *start = (const unsigned char *)data;
    struct check c = {.start = start, .path = path, .err = err, .pieces = pieces, .rules = rules};
    struct span file = {start, start + size};
    struct field f;

    *pieces = (struct pl_spm_pieces){0};
    *rules =
        (struct pl_spm_rules){.space_first = true, .single_spaces = true, .visible_spaces = true};
    while (file.at < file.end) {
        const unsigned char *at = file.at;
        enum prilora_status rc;

        if (!read_field(&file, &f))
            return broken(&c, at, "a broken field");
        if (f.number >= MODEL_PIECE && f.number <= MODEL_DENORMALIZER && f.wire != WIRE_BYTES)
            return broken(&c, at, "a field of the wrong kind");
        rc = check_field(&c, &f);
        if (rc != PRILORA_OK)
            return rc;
    }
    if (pieces->n == 0)
        return broken(&c, start, "no pieces");
    if (c.n_unknown != 1)
        return pl_fail(err, PRILORA_EFORMAT,
                       "%s: not a SentencePiece model: %zu pieces for what is unknown, not one",
                       path, c.n_unknown);
    finish_rules(rules);
    return PRILORA_OK;
}
