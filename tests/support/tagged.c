/* tagged.c - see tagged.h. The names of a sentence are drawn from lists; first and last names, and
 * the parts of a firm's name, are drawn apart, so that most combinations are met only once. */
#include "support/tagged.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

#define N(list) (sizeof(list) / sizeof *(list))

static const char *const templates[] = {
    "P lives in L .",          "Yesterday P came to L .",     "The firm F is in L .",
    "P works for F .",         "F has sold its house in L .", "We met P and P in L .",
    "Nobody knows who P is .", "It rained in L again .",      "The weather was very good .",
    "P of F spoke first .",    "He said that F will go .",    "L and L are far away .",
};
static const char *const first_names[] = {"Anna", "Peter", "Maria", "John", "Laura", "Thomas"};
static const char *const last_names[] = {"Smith", "Miller", "Brown", "Jones", "Clark"};
static const char *const places[] = {"London", "Paris", "Berlin", "Rome", "New York", "Madrid"};
static const char *const firms[] = {"Steel", "Motor", "Water", "Paper"};
static const char *const ends[] = {"Company", "Limited", "Group"};

struct writing {
    FILE *out;
    enum test_tagged_format format;
    struct pl_random random;
    uint64_t drawn;
    char tags[600]; /* of the row, as JSON has them */
    size_t n_tags, n_words;
};

static const char *draw(struct writing *w, const char *const *list, size_t n)
{
    return list[pl_random_u32(&w->random, w->drawn++) % n];
}

static void put_word(struct writing *w, const char *word, const char *tag)
{
    if (w->format == TEST_TAGGED_CONLL) {
        fprintf(w->out, "%s NN %s\n", word, tag);
        return;
    }
    fprintf(w->out, "%s\"%s\"", w->n_words ? ", " : "", word);
    w->n_tags += (size_t)snprintf(w->tags + w->n_tags, sizeof w->tags - w->n_tags, "%s\"%s\"",
                                  w->n_words ? ", " : "", tag);
    w->n_words++;
}

/* Words with a space between are one entity. */
static void put_entity(struct writing *w, const char *text, const char *type)
{
    char copy[100], *rest = copy, *word, tag[16];
    const char *letter = "B";

    snprintf(copy, sizeof copy, "%s", text);
    for (; (word = strsep(&rest, " ")); letter = "I") {
        snprintf(tag, sizeof tag, "%s-%s", letter, type);
        put_word(w, word, tag);
    }
}

static void put_two(struct writing *w, const char *a, const char *b, const char *type)
{
    char both[100];

    snprintf(both, sizeof both, "%s %s", a, b);
    put_entity(w, both, type);
}

static void put_sentence(struct writing *w)
{
    char copy[100], *rest = copy, *word;

    snprintf(copy, sizeof copy, "%s", draw(w, templates, N(templates)));
    w->n_words = w->n_tags = 0;
    if (w->format == TEST_TAGGED_JSONL)
        fputs("{\"tokens\": [", w->out);
    while ((word = strsep(&rest, " "))) {
        const char *first, *last;

        if (strcmp(word, "P") == 0) {
            first = draw(w, first_names, N(first_names));
            last = draw(w, last_names, N(last_names));
            put_two(w, first, last, "PER");
        } else if (strcmp(word, "L") == 0) {
            put_entity(w, draw(w, places, N(places)), "LOC");
        } else if (strcmp(word, "F") == 0) {
            first = draw(w, firms, N(firms));
            last = draw(w, ends, N(ends));
            put_two(w, first, last, "ORG");
        } else {
            put_word(w, word, "O");
        }
    }
    if (w->format == TEST_TAGGED_JSONL)
        fprintf(w->out, "], \"ner_tags\": [%s]}", w->tags);
    fputc('\n', w->out);
}

char *test_tagged(size_t n, unsigned seed, enum test_tagged_format format)
{
    char *text = NULL;
    size_t size;
    struct writing w = {.out = open_memstream(&text, &size),
                        .format = format,
                        .random = pl_random_at(seed, 0, PL_SITE_SPLIT, 0)};

    assert_non_null(w.out);
    if (format == TEST_TAGGED_CONLL)
        fputs("-DOCSTART- -X- O\n\n", w.out);
    for (size_t i = 0; i < n; i++)
        put_sentence(&w);
    assert_int_equal(fclose(w.out), 0);
    return text;
}
