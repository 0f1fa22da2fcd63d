/*
 * entities.h - words with tags (B-PER, I-PER, O, ...) as the entities that they stand for.
 *
 * By the rules of conlleval, which seqeval follows by default: B and S begin an entity, E and S end
 * one, and so does any change of type; what stands within one without a beginning begins one. A tag
 * without a letter and "-" before it is a type by itself; where all tags are numbers, 0 is outside.
 *
 * Source   Tjong Kim Sang and De Meulder 2003, CoNLL-2003; Nakayama 2018, seqeval
 */
#ifndef PL_ENTITIES_H
#define PL_ENTITIES_H

#include <stdbool.h>

#include "base/error.h"
#include "train/measure.h"

struct pl_tag {
    char letter;      /* 'O': outside */
    size_t type;      /* the first label of that type */
    const char *name; /* of the type; the label's, or static */
};

/* [n] what the labels mean, malloc'ed; NULL: out of memory. `names` must outlive it. */
struct pl_tag *pl_tags_new(char *const *names, size_t n);

struct pl_entity {
    size_t first, end; /* words; end is behind the last */
    size_t type;
};

/* The next entity of words [n], which have these labels, at or after *at, which goes on behind it;
 * false: there is none. */
bool pl_entity_next(struct pl_entity *out, const struct pl_tag *tags, const uint32_t *labels,
                    size_t n, size_t *at);

/* Entities that are right if words [n], of one text, have the labels `actual`; counts are added to.
 */
void pl_entities_count(struct pl_entity_counts *counts, const struct pl_tag *tags,
                       const uint32_t *actual, const uint32_t *predicted, size_t n);

/* What evaluations report of token classification. */
size_t pl_entities_measure(struct prilora_value *values, const struct pl_measured *measured);

#endif
