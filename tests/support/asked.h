/* asked.h - questions about contexts of one sentence, made from templates. */
#ifndef TEST_ASKED_H
#define TEST_ASKED_H

#include <stddef.h>

enum test_asked_format { TEST_ASKED_SQUAD, TEST_ASKED_JSONL };

/*
 * n contexts, which depend on `seed`, of three questions each: who came, where to, and when. Every
 * second does not say when. SQuAD's own form, or the hub's, a question a line; free it.
 */
char *test_asked(size_t n, unsigned seed, enum test_asked_format format);

#endif
