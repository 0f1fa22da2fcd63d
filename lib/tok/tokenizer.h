/*
 * tokenizer.h - text to token ids, as the model's own tokenizer in Hugging Face gives them.
 *
 * One interface; the kinds (SentencePiece, WordPiece, byte-level BPE) stand behind a struct of
 * functions. A sentence becomes [CLS] a [SEP], a pair [CLS] a [SEP] b [SEP]; in RoBERTa's families
 * <s> a </s> and <s> a </s></s> b </s>.
 *
 * Threads  encoding is safe from several threads at once on one tokenizer.
 */
#ifndef PL_TOKENIZER_H
#define PL_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct pl_tokenizer;

#define PL_MAX_TEXT_BYTES PRILORA_MAX_TEXT_BYTES /* of one text of an example */

/* Where a token stands in its text, in bytes. */
struct pl_span {
    uint32_t begin, end;
};

/*
 * A growing list of ids; start with {0}, release with pl_ids_free. type_ids runs beside ids, and so
 * do spans if `located` was set before the first id.
 */
struct pl_ids {
    int32_t *ids;
    uint8_t *type_ids; /* 0 for the first text and its special tokens, 1 (RoBERTa: 0) for others */
    struct pl_span *spans; /* NULL unless located; each in its own text, or its own word; {0, 0} of
                            * special tokens around a text */
    size_t n, capacity;
    bool located;
};
void pl_ids_free(struct pl_ids *ids);

/*
 * pl_tokenizer_open - by tokenizer_class of tokenizer_config.json, else by model_type of
 * config.json, else by the files in `folder`; tokenizer.json is read where the family's own files
 * are not there. Errors: ENOENT names what was looked for; EUNSUPPORTED what is not done; EFORMAT
 * file and place; ELIMIT; EIO; ENOMEM.
 */
enum prilora_status pl_tokenizer_open(struct pl_tokenizer **out, const char *folder,
                                      struct prilora_error *err);
void pl_tokenizer_close(struct pl_tokenizer *tokenizer);
size_t pl_tokenizer_vocabulary(const struct pl_tokenizer *tokenizer); /* largest id + 1 */
/* Bytes of the files that define it, hashed: part of a base's fingerprint. */
const char *pl_tokenizer_fingerprint(const struct pl_tokenizer *tokenizer);

/*
 * pl_tokenizer_prepare - makes what encoding needs beyond the vocabulary, which takes a while; the
 * first pl_tokenizer_encode does it otherwise. Errors: EFORMAT: the kind's library refuses its
 * file; ENOMEM.
 */
enum prilora_status pl_tokenizer_prepare(const struct pl_tokenizer *tokenizer,
                                         struct prilora_error *err);

/* Memory that it takes now, or, if `prepared`, will take after pl_tokenizer_prepare. */
size_t pl_tokenizer_bytes(const struct pl_tokenizer *tokenizer, bool prepared);

/*
 * pl_tokenizer_encode - appends one example to `out`.
 *
 * text, pair   UTF-8 of the given lengths (invalid bytes are read as U+FFFD); pair NULL: none
 * max_length   special tokens included; longer input is truncated longest-first; 0: no limit
 * truncated    set to whether it was; may be NULL
 * Errors       those of pl_tokenizer_prepare; ENOMEM; ELIMIT above PL_MAX_TEXT_BYTES; EINVAL if
 * max_length leaves no room beside the special tokens. `out` is then as it was.
 *
 * Spellings of special tokens inside the text ("[SEP]") become their ids, as in Hugging Face.
 */
enum prilora_status pl_tokenizer_encode(const struct pl_tokenizer *tokenizer, struct pl_ids *out,
                                        const char *text, size_t text_size, const char *pair,
                                        size_t pair_size, size_t max_length, bool *truncated,
                                        struct prilora_error *err);

/*
 * pl_tokenizer_encode_words - the same for a text that is cut into words already, each of which is
 * tokenized by itself (Hugging Face's is_split_into_words; byte-level BPE as with
 * add_prefix_space). Longer input loses its last tokens.
 *
 * firsts [n]   where in out->ids a word's first token is; SIZE_MAX if it has none, or lost it
 */
enum prilora_status pl_tokenizer_encode_words(const struct pl_tokenizer *tokenizer,
                                              struct pl_ids *out, const struct prilora_word *words,
                                              size_t n, size_t max_length, size_t *firsts,
                                              bool *truncated, struct prilora_error *err);

/*
 * pl_tokenizer_encode_bare - appends the tokens of one text as pl_tokenizer_encode makes them, with
 * no special tokens around it, and nothing cut. With out->located, each token's span: the bytes of
 * `text` that it was made of (offset_mapping in Hugging Face, in bytes), white space at its ends
 * not counted; all that a character became shares the character's bytes; a token of white space
 * alone has an empty span where it ends. Spans never go back.
 * Errors: as of pl_tokenizer_encode.
 */
enum prilora_status pl_tokenizer_encode_bare(const struct pl_tokenizer *tokenizer,
                                             struct pl_ids *out, const char *text, size_t size,
                                             struct prilora_error *err);

/* A piece of what pl_tokenizer_encode_bare made; spans NULL: none. */
struct pl_piece_of_ids {
    const int32_t *ids;
    const struct pl_span *spans;
    size_t n;
};

/* Special tokens around a pair. */
size_t pl_tokenizer_pair_specials(const struct pl_tokenizer *tokenizer);

/*
 * pl_tokenizer_join - appends the pair a, b with its special tokens and type ids, as
 * pl_tokenizer_encode would; *at_b is where in `out` the ids of b begin. Errors: ENOMEM.
 */
enum prilora_status pl_tokenizer_join(const struct pl_tokenizer *tokenizer, struct pl_ids *out,
                                      struct pl_piece_of_ids a, struct pl_piece_of_ids b,
                                      size_t *at_b, struct prilora_error *err);

#endif
