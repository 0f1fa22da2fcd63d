/* tiny.h - writes small random checkpoints, for tests. */
#ifndef TEST_TINY_H
#define TEST_TINY_H

#include <stdbool.h>
#include <stddef.h>

/* Zero members get the defaults in brackets. */
struct test_tiny {
    const char *type;                /* model_type; NULL: "deberta-v2" */
    size_t vocab, hidden, embedding; /* [30], [16], hidden */
    size_t layers, heads, wide;      /* [2], [2], [24] */
    size_t positions, types;         /* max_position_embeddings [16], type_vocab_size */
    long padding;                    /* pad_token_id; of RoBERTa and the like 0: 1 */
    long buckets, max_relative;      /* [-1], [-1] */
    const char *pos_att_type;        /* "c2p|p2c", ...; NULL: no relative attention */
    bool separate, biased, norm_rel; /* not share_att_key, position_biased_input, norm_rel_ebd */
    size_t conv_kernel, conv_groups; /* 0, [1] */
    const char *hidden_act, *conv_act, *pooler_act; /* ["gelu"], ["tanh"], ["gelu"] */
    double dropout, pooler_dropout;                 /* of hidden states and attention */
    double classifier_dropout;                      /* of other types; 0: absent */
    size_t labels;     /* of a classifier in the checkpoint; 0: none, nor a pooler */
    bool pooler;       /* a pooler all the same */
    size_t answers;    /* outputs of a head for answers in the checkpoint; 0: none */
    bool bare;         /* names without "deberta." or the like */
    bool old_norms;    /* gamma and beta of norms */
    const char *omit;  /* leave this tensor out */
    const char *widen; /* give this tensor one row more */
    const char *extra; /* add a tensor of this name */
};

/* The model types that there are; ends in NULL. */
extern const char *const test_tiny_types[];

/* Makes the folder `name` in the scratch folder; returns its path. Fails the test on any error. */
const char *test_tiny_write(const char *name, const struct test_tiny *tiny);

/* The same with a small tokenizer of the type's kind, so that it is a base; `vocab` is set to its
 * size. DeBERTa has the bundled SentencePiece model. */
const char *test_tiny_write_base(const char *name, const struct test_tiny *tiny);

#endif
