/* tokens.h - tokenizers that open, and tokens with their places; what fails ends the test. */
#ifndef TEST_TOKENS_H
#define TEST_TOKENS_H

#include "tok/tokenizer.h"

struct pl_tokenizer *test_tokenizer(const char *folder);

/* The bare tokens of a text, located; release with pl_ids_free. */
struct pl_ids test_located(const struct pl_tokenizer *t, const char *text, size_t size);

#endif
