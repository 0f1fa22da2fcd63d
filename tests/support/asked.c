/* asked.c - see asked.h. A context tells of somebody who put something somewhere, among sentences
 * about nothing of that; a question asks for one of the three, or for what the context does not
 * tell.
 */
#include "support/asked.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

#define N(list) (sizeof(list) / sizeof *(list))

static const char *const names[] = {"Anna", "Peter", "Maria", "John", "Laura", "Thomas", "Paul"};
static const char *const things[] = {"the book", "the cup",  "a letter", "the lamp",
                                     "a coat",   "the ball", "the money"};
static const char *const places[] = {"in the kitchen",  "on the table", "under the bed",
                                     "in the garden",   "in the car",   "behind the house",
                                     "near the window", "on the roof"};
static const char *const others[] = {"It rained all day.", "Nobody said a word.",
                                     "The weather was very good.", "We had a long talk."};
static const char *const questions[] = {"Who put it there?", "What was put there?",
                                        "Where is it now?", "Why was it done?"};
enum { WHO, WHAT, WHERE, N_ANSWERED };

struct writing {
    FILE *out;
    struct pl_random random;
    uint64_t drawn;
    char context[4000];
    const char *answers[N_ANSWERED];
    size_t starts[N_ANSWERED]; /* in the context */
};

static size_t draw(struct writing *w, size_t n)
{
    return pl_random_u32(&w->random, w->drawn++) % n;
}

static void put_text(struct writing *w, size_t *used, const char *text)
{
    *used += (size_t)snprintf(w->context + *used, sizeof w->context - *used, "%s", text);
    assert_true(*used < sizeof w->context);
}

static void put_answer(struct writing *w, size_t *used, int which, const char *text)
{
    w->answers[which] = text;
    w->starts[which] = *used;
    put_text(w, used, text);
}

static void make_context(struct writing *w, size_t n_sentences)
{
    const size_t told = draw(w, n_sentences);
    size_t used = 0;

    for (size_t i = 0; i < n_sentences; i++) {
        if (i)
            put_text(w, &used, " ");
        if (i != told) {
            put_text(w, &used, others[draw(w, N(others))]);
            continue;
        }
        put_answer(w, &used, WHO, names[draw(w, N(names))]);
        put_text(w, &used, " put ");
        put_answer(w, &used, WHAT, things[draw(w, N(things))]);
        put_text(w, &used, " ");
        put_answer(w, &used, WHERE, places[draw(w, N(places))]);
        put_text(w, &used, ".");
    }
}

static void put_question(struct writing *w, const struct test_asked *asked, size_t i)
{
    const bool squad = asked->format == TEST_ASKED_SQUAD;
    const size_t which = draw(w, asked->some_without ? N(questions) : N_ANSWERED);

    fprintf(w->out, "{\"id\": \"q%zu\", \"question\": \"%s\", ", i, questions[which]);
    if (!squad)
        fprintf(w->out, "\"context\": \"%s\", ", w->context);
    if (which == N_ANSWERED)
        fprintf(w->out, squad ? "\"is_impossible\": true, \"answers\": []}"
                              : "\"answers\": {\"text\": [], \"answer_start\": []}}");
    else
        fprintf(w->out,
                squad ? "\"answers\": [{\"text\": \"%s\", \"answer_start\": %zu}]}"
                      : "\"answers\": {\"text\": [\"%s\"], \"answer_start\": [%zu]}}",
                w->answers[which], w->starts[which]);
}

char *test_asked(const struct test_asked *asked)
{
    const bool squad = asked->format == TEST_ASKED_SQUAD;
    char *text = NULL;
    size_t size;
    struct writing w = {.out = open_memstream(&text, &size),
                        .random = pl_random_at(asked->seed, 0, PL_SITE_SPLIT, 0)};

    assert_non_null(w.out);
    if (squad)
        fputs("{\"version\": \"v2.0\", \"data\": [{\"title\": \"Things\", \"paragraphs\": [\n",
              w.out);
    for (size_t i = 0; i < asked->n; i++) {
        if (!squad || i % 2 == 0)
            make_context(&w, asked->n_sentences);
        if (squad && i % 2 == 0)
            fprintf(w.out, "%s{\"context\": \"%s\", \"qas\": [\n", i ? "]},\n" : "", w.context);
        if (squad && i % 2)
            fputs(", ", w.out);
        put_question(&w, asked, i);
        fputc('\n', w.out);
    }
    if (squad)
        fputs(asked->n ? "]}]}]}\n" : "]}]}\n", w.out);
    assert_int_equal(fclose(w.out), 0);
    return text;
}
