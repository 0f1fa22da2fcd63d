/* tokenizer_folder.h - a folder of a tokenizer's files that a fuzz target fills anew for every
 * input. */
#ifndef FUZZ_TOKENIZER_FOLDER_H
#define FUZZ_TOKENIZER_FOLDER_H

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "folder.h"
#include "located.h"
#include "tok/tokenizer.h"

/* The part of *data before the next line "---", which is taken away with it. */
static size_t fuzz_part(const char **data, size_t *size, const char **part)
{
    const char *end = memmem(*data, *size, "\n---\n", 5);
    const size_t n = end ? (size_t)(end - *data) : *size;

    *part = *data;
    *data += end ? n + 5 : n;
    *size -= end ? n + 5 : n;
    return n;
}

/* Every id is one that the tokenizer has, the limit holds, and the tokens can be located. */
static void fuzz_encode(const struct pl_tokenizer *t, const char *text, size_t size,
                        size_t max_length)
{
    struct pl_ids ids = {0};

    if (pl_tokenizer_encode(t, &ids, text, size, "pair [SEP] </s>", 15, max_length, NULL, NULL) ==
        PRILORA_OK)
        assert(ids.n >= 3 && (!max_length || ids.n <= max_length));
    for (size_t i = 0; i < ids.n; i++)
        assert(ids.ids[i] >= 0 && (size_t)ids.ids[i] < pl_tokenizer_vocabulary(t));
    pl_ids_free(&ids);
    fuzz_located(t, text, size);
}

/* The files, in order, and then a text, each but the last ended by a line "---". */
static void fuzz_tokenizer_folder(const char *const *files, size_t n, const char *data, size_t size)
{
    static const char text[] = "Hello, W\xC3\xB6rld! a ab abc \xE4\xB8\xAD [MASK] <mask>  <x>";
    struct pl_tokenizer *tokenizer = NULL;
    struct prilora_error err;
    const char *part;

    for (size_t i = 0; i < n; i++) {
        const size_t part_size = fuzz_part(&data, &size, &part);

        fuzz_write(files[i], part_size ? part : "{}", part_size ? part_size : 2);
    }
    if (pl_tokenizer_open(&tokenizer, fuzz_folder(), &err) == PRILORA_OK) {
        fuzz_encode(tokenizer, data, size, 0);
        fuzz_encode(tokenizer, text, sizeof text, 24);
    }
    pl_tokenizer_close(tokenizer);
}

#endif
