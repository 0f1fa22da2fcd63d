/* tiny.h - writes small random DeBERTa checkpoints, for tests. */
#ifndef TEST_TINY_H
#define TEST_TINY_H

#include <stdbool.h>
#include <stddef.h>

/* Zero members get the defaults in brackets. */
struct test_tiny {
    size_t vocab, hidden, embedding; /* [30], [16], hidden */
    size_t layers, heads, wide;      /* [2], [2], [24] */
    size_t positions, types;         /* max_position_embeddings [16], type_vocab_size */
    long buckets, max_relative;      /* [-1], [-1] */
    const char *pos_att_type;        /* "c2p|p2c", ...; NULL: no relative attention */
    bool separate, biased, norm_rel; /* not share_att_key, position_biased_input, norm_rel_ebd */
    size_t conv_kernel, conv_groups; /* 0, [1] */
    const char *hidden_act, *conv_act, *pooler_act; /* ["gelu"], ["tanh"], ["gelu"] */
    double dropout, pooler_dropout;                 /* of hidden states and attention */
    size_t labels;     /* of a classifier in the checkpoint; 0: none, nor a pooler */
    bool bare;         /* names without "deberta." */
    const char *omit;  /* leave this tensor out */
    const char *widen; /* give this tensor one row more */
    const char *extra; /* add a tensor of this name */
};

/* Makes the folder `name` in the scratch folder; returns its path. Fails the test on any error. */
const char *test_tiny_write(const char *name, const struct test_tiny *tiny);

#endif
