/*
 * squad.h - how SQuAD compares answers: in lower case, without ASCII punctuation and the articles
 * a, an and the, words parted by one space. An answer is right if it is then the same as one of the
 * right ones; its F1 is that of the words that it shares with the one it shares most with, each
 * counted as often as it occurs. Lower case is that of each character by itself, which differs from
 * the program's for a capital sigma at the end of a word and a capital I with a dot.
 *
 * Source   the official evaluation script of SQuAD 2.0; Rajpurkar et al. 2018, arXiv:1806.03822
 */
#ifndef PL_SQUAD_H
#define PL_SQUAD_H

#include "train/measure.h"

/* The normal form of a UTF-8 text, malloc'ed, its end a NUL that is not counted; NULL: no memory.
 */
char *pl_squad_normal(const char *text, size_t size, size_t *new_size);

struct pl_squad_score {
    double exact_match, f1; /* 0 to 1 */
};

/* Of two normal forms. False: out of memory. */
bool pl_squad_compare(struct pl_squad_score *out, const char *answer, size_t size,
                      const char *right, size_t right_size);

/* exact_match and f1, means over the questions. */
size_t pl_squad_measure(struct prilora_value *values, const struct pl_measured *measured);

#endif
