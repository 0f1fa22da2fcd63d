/*
 * fuzz_encode.c - any bytes as text, or as a pair cut at the first newline, for the small base's
 * tokenizer. The first byte is max_length.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/located.h"
#include "tok/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pl_tokenizer *tokenizer;
    const char *text = (const char *)data + 1, *pair;
    struct pl_ids ids = {0};
    size_t max_length, pair_size = 0;

    if (!tokenizer && pl_tokenizer_open(&tokenizer, "examples/prilora-mini-en", NULL) != PRILORA_OK)
        abort();
    if (size == 0)
        return 0;
    max_length = data[0];
    size--;
    pair = memchr(text, '\n', size);
    if (pair) {
        pair_size = size - (size_t)(pair - text) - 1;
        size = (size_t)(pair - text);
        pair++;
    }
    if (pl_tokenizer_encode(tokenizer, &ids, text, size, pair, pair_size, max_length, NULL, NULL) ==
        PRILORA_OK) {
        assert(ids.n >= 2 && (!max_length || ids.n <= max_length));
        assert(ids.ids[0] == 1 && ids.ids[ids.n - 1] == 2);
        for (size_t i = 0; i < ids.n; i++)
            assert(ids.ids[i] >= 0 && (size_t)ids.ids[i] < pl_tokenizer_vocabulary(tokenizer));
    }
    pl_ids_free(&ids);
    fuzz_located(tokenizer, text, size);
    return 0;
}
