/* asked.h - questions about short texts, with their answers, made from templates. */
#ifndef TEST_ASKED_H
#define TEST_ASKED_H

#include <stdbool.h>
#include <stddef.h>

enum test_asked_format { TEST_ASKED_JSONL, TEST_ASKED_SQUAD };

struct test_asked {
    size_t n; /* questions */
    unsigned seed;
    size_t n_sentences;            /* of a context */
    bool some_without;             /* a fourth of the questions has no answer */
    enum test_asked_format format; /* of SQuAD's, two questions share a context */
};

/* The file's text; free it. */
char *test_asked(const struct test_asked *asked);

#endif
