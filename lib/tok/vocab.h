/*
 * vocab.h - a table from the bytes of a token to its id.
 *
 * The hash is keyed by random numbers, so that no vocabulary can be written whose tokens all meet
 * in one place; and it goes byte by byte, so that all beginnings of a word are hashed in one pass.
 */
#ifndef PL_VOCAB_H
#define PL_VOCAB_H

#include <jansson.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"

#define PL_VOCAB_MAX_TOKEN 1024 /* bytes of one */

struct pl_vocab_token {
    uint32_t at; /* in text */
    uint32_t size;
    int32_t id;
};

struct pl_vocab {
    char *text; /* all tokens' bytes */
    size_t text_size, text_room;
    struct pl_vocab_token *tokens; /* [n] */
    size_t n, room;
    uint32_t *places; /* [mask + 1] index + 1 of a token, 0: free */
    size_t mask;
    uint64_t start, factor; /* the hash's key */
    size_t size;            /* largest id + 1 */
    size_t longest;         /* bytes of the longest token */
};

/*
 * pl_vocab_read_lines - a token per line, its number the id; of equal tokens the last one counts,
 * as in Hugging Face. An empty line has an id that no text gets.
 * pl_vocab_read_json - an object from tokens to ids; `where` names it in messages.
 *
 * Errors: EFORMAT (line or token named: not UTF-8, no id below PL_MAX_TOKEN_ID), ELIMIT (a token's
 * length, the number of tokens), ENOENT, EIO, ENOMEM. The vocabulary is to be freed anyway.
 */
enum prilora_status pl_vocab_read_lines(struct pl_vocab *vocab, const char *path,
                                        struct pl_digest *digest, struct prilora_error *err);
enum prilora_status pl_vocab_read_json(struct pl_vocab *vocab, const json_t *object,
                                       const char *where, struct prilora_error *err);
void pl_vocab_free(struct pl_vocab *vocab);
size_t pl_vocab_bytes(const struct pl_vocab *vocab);

/* The hash of some bytes followed by one more; it begins with vocab->start. */
static inline uint64_t pl_vocab_hash(const struct pl_vocab *vocab, uint64_t hash, char byte)
{
    hash = (hash ^ (unsigned char)byte) * vocab->factor;
    return hash ^ hash >> 29;
}

/* The id of prefix followed by text, whose hash is given; -1: none. */
int32_t pl_vocab_find_hashed(const struct pl_vocab *vocab, uint64_t hash, const char *prefix,
                             size_t prefix_size, const char *text, size_t size);
int32_t pl_vocab_find(const struct pl_vocab *vocab, const char *text, size_t size);

/* Two odd numbers that nobody can foresee. */
void pl_vocab_key(uint64_t *start, uint64_t *factor);

#endif
