/*
 * fuzz_tokenizer.c - any bytes as a spm.model, and, after the marker "\n{", as a
 * tokenizer_config.json beside it; a model that opens must then encode and locate.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/folder.h"
#include "fuzz/located.h"
#include "tok/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "Hello, World! a ab abc \xEF\xBC\xA1\xC3\xA9 [MASK] <x>";
    const uint8_t *config = memmem(data, size, "\n{", 2);
    size_t config_size = config ? size - (size_t)(config - data) - 1 : 0;
    struct pl_tokenizer *tokenizer = NULL;
    struct prilora_error err;

    fuzz_write("spm.model", data, config ? (size_t)(config - data) : size);
    fuzz_write("tokenizer_config.json", config ? (const char *)config + 1 : "{}",
               config ? config_size : 2);
    if (pl_tokenizer_open(&tokenizer, fuzz_folder(), &err) == PRILORA_OK) {
        struct pl_ids ids = {0};

        pl_tokenizer_encode(tokenizer, &ids, text, sizeof text, text, 5, 24, NULL, &err);
        pl_ids_free(&ids);
        fuzz_located(tokenizer, text, sizeof text);
    }
    pl_tokenizer_close(tokenizer);
    return 0;
}
