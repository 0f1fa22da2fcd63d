/*
 * fuzz_bpe.c - any bytes as vocab.json, merges.txt and tokenizer_config.json, and a text; a
 * folder that opens must then encode.
 */
#include "tokenizer_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const files[] = {"vocab.json", "merges.txt", "tokenizer_config.json"};

    fuzz_tokenizer_folder(files, sizeof files / sizeof *files, (const char *)data, size);
    return 0;
}
