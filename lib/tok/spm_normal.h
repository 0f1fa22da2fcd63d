/*
 * spm_normal.h - SentencePiece's normalisation, followed to tell where each byte of it comes from.
 *
 * The library says where a piece begins, but not where a character ends that has become several,
 * nor what it left out.
 */
#ifndef PL_SPM_NORMAL_H
#define PL_SPM_NORMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tok/tokenizer.h"

/* A piece that is looked for before anything is normalised. */
struct pl_spm_symbol {
    const unsigned char *text;
    size_t size;
};

/* What a model says of it; points into the model's bytes, which pl_spm_check has passed. */
struct pl_spm_rules {
    const unsigned char *trie;     /* units of four bytes; NULL: characters stay as they are */
    const char *texts;             /* what they become, each ended by a NUL */
    bool space_first;              /* a space is added before the text */
    bool space_last;               /* after it, if any is added */
    bool single_spaces;            /* none at the ends, no two together */
    bool visible_spaces;           /* a space becomes U+2581, three bytes */
    struct pl_spm_symbol *symbols; /* [n_symbols] in the order of their bytes */
    size_t n_symbols;
};

/* One unit of a double-array trie. */
static inline uint32_t pl_spm_unit(const unsigned char *trie, size_t i)
{
    const unsigned char *p = trie + 4 * i;

    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Where a unit's children are, before the label is joined to it by xor. */
static inline size_t pl_spm_children(uint32_t unit, size_t i)
{
    return i ^ (size_t)(unit >> 10) << ((unit & 0x200) >> 6);
}

/* A walk over the bytes of a normalised text. */
struct pl_spm_walk {
    const struct pl_spm_rules *rules;
    const char *text;
    size_t size, at;
    const char *out; /* what is left of that which text[source] became */
    size_t n_out;
    int n_symbol; /* bytes that are left of a visible space */
    bool after_space, ended;

    /* of the byte that pl_spm_next went to: */
    struct pl_span source;
    bool is_space; /* the source became nothing but spaces */
};

/* text, not empty, is valid UTF-8 that stays where it is. */
void pl_spm_start(struct pl_spm_walk *walk, const struct pl_spm_rules *rules, const char *text,
                  size_t size);

/* The next byte; false: there are no more. Spaces at the end, which the library takes away, come
 * all the same. */
bool pl_spm_next(struct pl_spm_walk *walk);

#endif
