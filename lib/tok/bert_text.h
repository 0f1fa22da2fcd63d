/*
 * bert_text.h - BERT's way from text to words: cleaning, lower case, accents, Chinese characters,
 * punctuation. utf8proc knows the characters.
 *
 * Source  Devlin et al. 2018, arXiv:1810.04805, and what Hugging Face documents of BertNormalizer
 *         and BertPreTokenizer
 */
#ifndef PL_BERT_TEXT_H
#define PL_BERT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "tok/tokenizer.h"

struct pl_bert_options {
    bool clean_text;    /* control characters go, white space becomes a space */
    bool lower_case;    /* one character at a time */
    bool strip_accents; /* canonical decomposition, then no nonspacing marks */
    bool chinese_chars; /* every CJK ideograph is a word */
};

/* A word as it came out, valid UTF-8, for as long as `take` runs. */
struct pl_bert_word {
    const char *text;
    size_t size, characters;
    const struct pl_span *sources; /* [size] of each byte, the character it came of; or NULL */
};

/*
 * pl_bert_words - gives every word of valid UTF-8 to `take`, in order, with its sources if
 * `located`; stops at the first status that is not OK, and returns it.
 * Memory  buffers of the longest word
 */
enum prilora_status
pl_bert_words(const struct pl_bert_options *options, const char *text, size_t size, bool located,
              enum prilora_status (*take)(void *context, const struct pl_bert_word *word,
                                          struct prilora_error *err),
              void *context, struct prilora_error *err);

#endif
