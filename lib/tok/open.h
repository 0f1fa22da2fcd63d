/* open.h - what an open tokenizer consists of. */
#ifndef PL_TOKENIZER_OPEN_H
#define PL_TOKENIZER_OPEN_H

#include "base/digest.h"
#include "tok/frame.h"
#include "tok/kind.h"
#include "tok/specials.h"

struct pl_tokenizer {
    const struct pl_tokenizer_kind *kind;
    void *state; /* the kind's */
    struct pl_specials specials;
    struct pl_frame frame;
    char fingerprint[PL_DIGEST_SIZE];
};

#endif
