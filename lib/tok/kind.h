/* kind.h - what a kind of tokenizer supplies; tokenizer.c does the rest for all of them. */
#ifndef PL_TOKENIZER_KIND_H
#define PL_TOKENIZER_KIND_H

#include "base/digest.h"
#include "tok/tokenizer.h"

/* The places of special tokens, in the order in which Hugging Face numbers new ones. */
enum pl_role {
    PL_ROLE_BOS,
    PL_ROLE_EOS,
    PL_ROLE_UNK,
    PL_ROLE_SEP,
    PL_ROLE_PAD,
    PL_ROLE_CLS,
    PL_ROLE_MASK,
    PL_N_ROLES,
};

struct pl_tokenizer_kind {
    const char *file;    /* whose presence in the folder tells this kind */
    const char *classes; /* tokenizer_class may be this or this + "Fast" */
    const char *defaults[PL_N_ROLES];
    enum pl_role first, last; /* before the first text; after every text */

    /* Reads the kind's own files, adding their bytes to `digest`. */
    enum prilora_status (*open)(void **state, const char *folder, struct pl_digest *digest,
                                struct prilora_error *err);
    void (*close)(void *state);                                         /* accepts NULL */
    size_t (*size)(const void *state);                                  /* ids are below this */
    size_t (*bytes)(const void *state, bool prepared);                  /* see pl_tokenizer_bytes */
    int32_t (*find)(const void *state, const char *token, size_t size); /* -1: none */
    /* Makes what encode needs, which may take long; does nothing the second time. Any thread. */
    enum prilora_status (*prepare)(void *state, struct prilora_error *err);
    /* After prepare: appends the ids of valid UTF-8 without special tokens, with type 0. */
    enum prilora_status (*encode)(const void *state, struct pl_ids *out, const char *text,
                                  size_t size, struct prilora_error *err);
};

extern const struct pl_tokenizer_kind pl_tokenizer_spm;

/* Appends n ids of one type; false: out of memory. */
bool pl_ids_add(struct pl_ids *out, const int32_t *ids, size_t n, uint8_t type_id);

#endif
