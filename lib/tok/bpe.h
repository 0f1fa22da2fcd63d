/* bpe.h - an open tokenizer of byte-level BPE. */
#ifndef PL_BPE_H
#define PL_BPE_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "tok/kind.h"
#include "tok/merges.h"
#include "tok/vocab.h"

struct bpe {
    struct pl_vocab vocab;
    struct pl_merges merges;
    int32_t bytes[256]; /* first symbols; -1: not in the vocabulary, unknown */
    int32_t unknown;    /* -1: there is none, what is unknown is left out */
    bool add_prefix_space;
    pcre2_code *words;
};

/* See struct pl_tokenizer_kind. */
enum prilora_status pl_bpe_open(void **state, const struct pl_source *source,
                                struct prilora_error *err);
void pl_bpe_close(void *state);

#endif
