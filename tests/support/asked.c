/* asked.c - see asked.h. A name, a town and a month are drawn for each context; what a question
 * asks for is told by its first word. */
#include "support/asked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

#define N(list)  (sizeof(list) / sizeof *(list))
#define N_ASKED  3
#define NOT_SAID 2 /* every so many contexts */

static const char *const names[] = {"Anna", "Peter", "Maria", "John", "Laura", "Thomas"};
static const char *const verbs[] = {"came to", "went to", "moved to"};
static const char *const towns[] = {"London", "Paris", "Berlin", "Rome", "New York", "Madrid"};
static const char *const months[] = {"March", "April", "August", "October"};
static const char *const questions[N_ASKED] = {"Who was it?", "Where was it?", "When was it?"};

struct writing {
    FILE *out;
    enum test_asked_format format;
    struct pl_random random;
    uint64_t drawn;
    char context[200];
    const char *answers[N_ASKED]; /* NULL: it is not said */
    size_t places[N_ASKED];       /* in code points, which here are bytes but for "ü" */
};

static const char *draw(struct writing *w, const char *const *list, size_t n)
{
    return list[pl_random_u32(&w->random, w->drawn++) % n];
}

static void make_context(struct writing *w, size_t number)
{
    const char *verb = draw(w, verbs, N(verbs));
    size_t n = (size_t)snprintf(w->context, sizeof w->context, "Gr\xc3\xbcnau %zu: ", number);

    w->answers[0] = draw(w, names, N(names));
    w->answers[1] = draw(w, towns, N(towns));
    w->answers[2] = number % NOT_SAID == 0 ? NULL : draw(w, months, N(months));
    w->places[0] = n - 1;
    w->places[1] = w->places[0] + strlen(w->answers[0]) + strlen(verb) + 2;
    w->places[2] = w->places[1] + strlen(w->answers[1]) + strlen(" in ");
    snprintf(w->context + n, sizeof w->context - n, "%s %s %s%s%s.", w->answers[0], verb,
             w->answers[1], w->answers[2] ? " in " : "", w->answers[2] ? w->answers[2] : "");
}

static void put_paragraph(struct writing *w, size_t number)
{
    fprintf(w->out, "%s{\"context\": \"%s\", \"qas\": [", number ? ",\n" : "", w->context);
    for (size_t i = 0; i < N_ASKED; i++) {
        fprintf(w->out, "%s{\"id\": \"%zu-%zu\", \"question\": \"%s\", \"answers\": [",
                i ? ", " : "", number, i, questions[i]);
        if (w->answers[i])
            fprintf(w->out, "{\"text\": \"%s\", \"answer_start\": %zu}", w->answers[i],
                    w->places[i]);
        fprintf(w->out, "], \"is_impossible\": %s}", w->answers[i] ? "false" : "true");
    }
    fputs("]}", w->out);
}

static void put_lines(struct writing *w)
{
    for (size_t i = 0; i < N_ASKED; i++) {
        fprintf(w->out, "{\"question\": \"%s\", \"context\": \"%s\", \"answers\": ", questions[i],
                w->context);
        if (w->answers[i])
            fprintf(w->out, "{\"text\": [\"%s\"], \"answer_start\": [%zu]}}\n", w->answers[i],
                    w->places[i]);
        else
            fputs("{\"text\": [], \"answer_start\": []}}\n", w->out);
    }
}

char *test_asked(size_t n, unsigned seed, enum test_asked_format format)
{
    char *text = NULL;
    size_t size;
    struct writing w = {.out = open_memstream(&text, &size),
                        .format = format,
                        .random = pl_random_at(seed, 0, PL_SITE_SPLIT, 0)};

    assert_non_null(w.out);
    if (format == TEST_ASKED_SQUAD)
        fputs("{\"version\": \"v2.0\", \"data\": [{\"title\": \"Journeys\", \"paragraphs\": [\n",
              w.out);
    for (size_t i = 0; i < n; i++) {
        make_context(&w, i);
        if (format == TEST_ASKED_SQUAD)
            put_paragraph(&w, i);
        else
            put_lines(&w);
    }
    if (format == TEST_ASKED_SQUAD)
        fputs("\n]}]}\n", w.out);
    assert_int_equal(fclose(w.out), 0);
    return text;
}
