/*
 * spm_nest.h - how many entries of a SentencePiece model can begin at one place of a text. The
 * library (0.1.97) has fixed room for those that it finds, and reads as many as there are.
 */
#ifndef PL_SPM_NEST_H
#define PL_SPM_NEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define PL_SPM_MAX_NESTED_SYMBOLS ((size_t)64) /* user-defined pieces */
#define PL_SPM_MAX_NESTED_RULES   32           /* sequences that are normalised */
#define PL_SPM_MAX_RULE           250          /* bytes of one */

/* A piece that is looked for before anything is normalised. */
struct pl_spm_symbol {
    const unsigned char *text;
    size_t size;
};

/* The most of the symbols, which are sorted, that one of them begins with, itself counted. */
size_t pl_spm_nested_symbols(struct pl_spm_symbol *symbols, size_t n);

/* One unit of a double-array trie (darts-clone), and where its children are, before the label is
 * joined to it by xor. */
static inline uint32_t pl_spm_unit(const unsigned char *units, size_t i)
{
    const unsigned char *p = units + 4 * i;

    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline size_t pl_spm_children(uint32_t unit, size_t i)
{
    return i ^ (size_t)(unit >> 10) << ((unit & 0x200) >> 6);
}

/*
 * pl_spm_nested_rules - whether a trie of n units, none of which points outside it, keeps to the
 * two limits above. Errors: ELIMIT if not, or if it has a loop; ENOMEM. The caller says where.
 */
enum prilora_status pl_spm_nested_rules(const unsigned char *units, size_t n);

#endif
