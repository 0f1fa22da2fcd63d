/*
 * specials.h - special and added tokens: their ids from a tokenizer's JSON files, and their
 * spellings inside text.
 *
 * Read are tokenizer_config.json, special_tokens_map.json and added_tokens.json, each optional, and
 * the added_tokens of tokenizer.json where that is the source. An id comes from those, else from
 * the vocabulary, else it is the next one after all others, as Hugging Face numbers them. Options
 * that would change how text is split and are not done here (single_word, what the kind refuses, an
 * added token that is looked for in normalised text) are EUNSUPPORTED.
 */
#ifndef PL_SPECIALS_H
#define PL_SPECIALS_H

#include "tok/kind.h"

#define PL_MAX_SPECIALS 1024
#define PL_MAX_SPECIAL  256 /* bytes of one */

struct pl_special {
    char *text;
    size_t size;
    int32_t id;          /* -1 until known */
    bool lstrip, rstrip; /* white space before, after it is taken away */
};

struct pl_specials {
    struct pl_special *list; /* longest first */
    size_t n;
    int32_t roles[PL_N_ROLES]; /* -1: there is none, which only tokenizer.json may say */
    size_t vocabulary;         /* largest id + 1, the kind's own ids included */
    bool starts[256];          /* first bytes */
};

enum prilora_status pl_specials_open(struct pl_specials *out, const struct pl_source *source,
                                     const void *state, struct prilora_error *err);
void pl_specials_close(struct pl_specials *specials);

/* The longest special token that text[0..size) begins with, or NULL. */
const struct pl_special *pl_specials_match(const struct pl_specials *specials, const char *text,
                                           size_t size);

#endif
