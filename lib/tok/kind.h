/*
 * kind.h - what a kind of tokenizer supplies (how text is split), and what a family of models adds
 * (its special tokens, their places); tokenizer.c and encode.c do the rest for all of them.
 */
#ifndef PL_TOKENIZER_KIND_H
#define PL_TOKENIZER_KIND_H

#include <jansson.h>

#include "base/digest.h"
#include "tok/tokenizer.h"

#define PL_MAX_TOKEN_ID (1 << 24) /* vocabularies end below */

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

/* How a SentencePiece model's own numbers become the model's ids (spm.c). */
enum pl_spm_layout { PL_SPM_AS_IS, PL_SPM_XLM_ROBERTA, PL_SPM_CAMEMBERT };

struct pl_family {
    const char *classes;     /* tokenizer_class: one of these words, or with "Fast" after it */
    const char *model_types; /* of config.json, where no class is given */
    const char *files[2];    /* the kind's own; the second may be NULL */
    const struct pl_tokenizer_kind *kind;
    const char *defaults[PL_N_ROLES];
    const char *more;           /* further special tokens, words, or NULL */
    bool mask_lstrip;           /* the mask takes the white space before it away */
    enum pl_role first, last;   /* before the first text; after every text */
    unsigned char n_separators; /* times that `last` stands between two texts */
    unsigned char pair_type;    /* type id of the second text */
    enum pl_spm_layout spm_layout;
};

/* What a tokenizer is opened from. */
struct pl_source {
    const char *folder;
    const struct pl_family *family;
    json_t *config; /* tokenizer_config.json, or NULL */
    json_t *whole;  /* tokenizer.json, if that is all there is; else NULL: the family's files */
    struct pl_digest *digest;
};

struct pl_tokenizer_kind {
    const char *model;   /* "type" of the model in tokenizer.json; NULL: not read from there */
    bool normalizes;     /* changes text before it looks for tokens */
    const char *refused; /* members of tokenizer_config.json that must not be true, words */

    /* Reads the kind's own files, adding their bytes to source->digest; tokenizer.json's are. */
    enum prilora_status (*open)(void **state, const struct pl_source *source,
                                struct prilora_error *err);
    void (*close)(void *state);                                         /* accepts NULL */
    size_t (*size)(const void *state);                                  /* ids are below this */
    size_t (*bytes)(const void *state, bool prepared);                  /* see pl_tokenizer_bytes */
    int32_t (*find)(const void *state, const char *token, size_t size); /* -1: none */
    /* Makes what encode needs, which may take long; does nothing the second time. Any thread. */
    enum prilora_status (*prepare)(void *state, struct prilora_error *err);
    /* After prepare: appends the ids of valid UTF-8 without special tokens, with type 0; of a word,
     * as if a space stood before it. If located, with the bytes of `text` that they were made of,
     * which do not go back; white space and parts of characters are encode.c's to put right. */
    enum prilora_status (*encode)(const void *state, struct pl_ids *out, const char *text,
                                  size_t size, bool is_word, struct prilora_error *err);
};

extern const struct pl_tokenizer_kind pl_tokenizer_spm, pl_tokenizer_wordpiece, pl_tokenizer_bpe;

/* Appends n ids of one type, with empty spans if located; false: out of memory. */
bool pl_ids_add(struct pl_ids *out, const int32_t *ids, size_t n, uint8_t type_id);

/* The text of the token in `role` as the configuration has it, or the family's. */
const char *pl_source_token(const struct pl_source *source, enum pl_role role);

/* The members' names, by role: "bos_token" and so on. */
extern const char *const pl_role_keys[PL_N_ROLES];

#endif
