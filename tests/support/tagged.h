/* tagged.h - sentences whose words have tags, made from templates. */
#ifndef TEST_TAGGED_H
#define TEST_TAGGED_H

#include <stddef.h>

enum test_tagged_format { TEST_TAGGED_JSONL, TEST_TAGGED_CONLL };

/* n sentences about people, places and firms, which depend on `seed`; free it. */
char *test_tagged(size_t n, unsigned seed, enum test_tagged_format format);

#endif
