/* located.h - what must hold of the spans of any text's tokens. */
#ifndef FUZZ_LOCATED_H
#define FUZZ_LOCATED_H

#include <assert.h>
#include <string.h>

#include "tok/tokenizer.h"

/* The tokens are the same with and without spans, which stay inside the text and do not go back. */
static void fuzz_located(const struct pl_tokenizer *t, const char *text, size_t size)
{
    struct pl_ids plain = {0}, located = {.located = true};
    const enum prilora_status rc = pl_tokenizer_encode_bare(t, &plain, text, size, NULL);
    struct pl_span last = {0};

    assert(pl_tokenizer_encode_bare(t, &located, text, size, NULL) == rc);
    assert(located.n == plain.n);
    assert(!plain.n || memcmp(located.ids, plain.ids, plain.n * sizeof *plain.ids) == 0);
    for (size_t i = 0; i < located.n; i++) {
        const struct pl_span s = located.spans[i];

        assert(s.begin <= s.end && s.end <= size);
        assert(s.begin >= last.begin && s.end >= last.end);
        last = s;
    }
    pl_ids_free(&plain);
    pl_ids_free(&located);
}

#endif
