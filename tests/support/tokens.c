/* tokens.c - see tokens.h. */
#include "support/tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct pl_tokenizer *test_tokenizer(const char *folder)
{
    struct pl_tokenizer *t = NULL;
    struct prilora_error err = {0};

    if (pl_tokenizer_open(&t, folder, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    return t;
}

struct pl_ids test_located(const struct pl_tokenizer *t, const char *text, size_t size)
{
    struct pl_ids ids = {.located = true};
    struct prilora_error err = {0};

    if (pl_tokenizer_encode_bare(t, &ids, text, size, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    return ids;
}
