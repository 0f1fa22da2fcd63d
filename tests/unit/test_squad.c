/*
 * test_squad.c - answers compared as SQuAD's own program does, by cases worked out by hand after
 * its rules; and the best pieces of a context against a search of all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "support/close.h"
#include "train/dataset.h"
#include "train/pieces.h"
#include "train/questions.h"
#include "train/squad.h"

/* ---- the normal form ---- */

static void the_normal_form_is_squad_s(void **state)
{
    static const char *const rows[][2] = {
        {"Denver Broncos", "denver broncos"},
        {"the Denver Broncos!", "denver broncos"},
        {"  The\t Answer\n", "answer"},
        {"a An THE", ""},
        {"another theory, anna", "another theory anna"},
        {"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", ""},
        {"U.S.A.", "usa"},
        {"the-end", "theend"}, /* punctuation goes first */
        {"a.m.", "am"},
        {"x the y", "x y"},
        {"1,000", "1000"},
        {"", ""},
        {"\xC3\x89T\xC3\x89 \xC3\x9C"
         "ber",
         "\xC3\xA9t\xC3\xA9 \xC3\xBC"
         "ber"},
        {"\xE2\x80\x9Cthe end\xE2\x80\x9D", "\xE2\x80\x9C end\xE2\x80\x9D"}, /* no ASCII: stays */
        {"the\xC2\xA0"
         "end",
         "end"},                        /* a space, too */
        {"the\xC3\xA9", "the\xC3\xA9"}, /* a letter: another word */
        {"\xE4\xB8\xAD the \xE6\x96\x87", "\xE4\xB8\xAD \xE6\x96\x87"},
        {"5 a 6", "5 6"},
        {"a1", "a1"},
        {"\xC8\xBA", "\xE2\xB1\xA5"}, /* longer in lower case */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t size;
        char *normal = pl_squad_normal(rows[i][0], strlen(rows[i][0]), &size);

        assert_string_equal(normal, rows[i][1]);
        assert_int_equal(size, strlen(rows[i][1]));
        free(normal);
    }
}

static struct pl_squad_score compare(const char *answer, const char *right)
{
    struct pl_squad_score score;
    size_t n, m;
    char *a = pl_squad_normal(answer, strlen(answer), &n);
    char *b = pl_squad_normal(right, strlen(right), &m);

    assert_true(pl_squad_compare(&score, a, n, b, m));
    free(a);
    free(b);
    return score;
}

/* F1 of words: 2 shared / (words of both). */
static void answers_are_scored_by_their_words(void **state)
{
    static const struct {
        const char *answer, *right;
        double exact_match, f1;
    } rows[] = {
        {"the Denver Broncos!", "Denver Broncos", 1, 1},
        {"Broncos", "Denver Broncos", 0, 2.0 / 3},
        {"Broncos Denver", "Denver Broncos", 0, 1},
        {"Carolina Panthers", "Denver Broncos", 0, 0},
        {"one two two", "two two two four", 0, 4.0 / 7}, /* as often as both have it */
        {"", "Denver", 0, 0},
        {"Denver", "", 0, 0},
        {"", "", 1, 1},
        {"the", "an", 1, 1}, /* nothing is left of either */
        {"ab", "a b", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct pl_squad_score score = compare(rows[i].answer, rows[i].right);

        test_close(score.exact_match, rows[i].exact_match, 0);
        test_close(score.f1, rows[i].f1, 1e-15);
    }
}

/* ---- evaluations ---- */

/* Tokens of "The cat sat on the mat." are its words; two of a question and the special ones stand
 * before them. */
#define CONTEXT "The cat sat on the mat."
static const struct pl_span words[] = {{0, 3},   {4, 7},   {8, 11}, {12, 14},
                                       {15, 18}, {19, 22}, {22, 23}};
enum { N_WORDS = sizeof words / sizeof *words, AT = 4, LENGTH = AT + N_WORDS + 1 };

struct asked {
    const char *right[3];
    size_t first, last; /* words that the logits say; first above last: no answer */
};

static struct prilora_dataset *dataset(const struct asked *asked, size_t n, pl_real **logits)
{
    struct prilora_dataset *d =
        pl_dataset_new(PRILORA_TASK_QUESTION_ANSWERING, n, n * LENGTH, 2, 2);
    struct pl_questions *q = calloc(1, sizeof *q);
    const struct pl_window window = {0, N_WORDS, AT};

    d->questions = q;
    *logits = calloc(2 * n * LENGTH, sizeof **logits);
    assert_true(pl_questions_add_context(q, CONTEXT, strlen(CONTEXT), words, N_WORDS));
    for (size_t i = 0; i < n; i++) {
        const bool none = asked[i].first > asked[i].last;

        d->starts[i + 1] = d->starts[i] + LENGTH;
        assert_true(pl_questions_add(q, 0) && pl_questions_add_window(q, &window));
        for (size_t k = 0; k < 3 && asked[i].right[k]; k++)
            assert_true(pl_questions_add_answer(q, asked[i].right[k], strlen(asked[i].right[k])));
        (*logits)[2 * (d->starts[i] + (none ? 0 : AT + asked[i].first))] = 5;
        (*logits)[2 * (d->starts[i] + (none ? 0 : AT + asked[i].last)) + 1] = 5;
    }
    return d;
}

static void measure(const struct asked *asked, size_t n, struct pl_answer_rules rules,
                    double exact_match, double f1)
{
    pl_real *logits;
    struct prilora_dataset *d = dataset(asked, n, &logits);
    const struct pl_measured measured = {.data = d, .logits = logits, .answers = rules};
    struct prilora_value values[PRILORA_MAX_VALUES];

    assert_int_equal(pl_measure(values, &measured), 2);
    assert_string_equal(values[0].name, "exact_match");
    test_close(values[0].value, exact_match, 1e-15);
    assert_string_equal(values[1].name, "f1");
    test_close(values[1].value, f1, 1e-15);
    free(logits);
    prilora_dataset_free(d);
}

static void evaluations_take_the_best_of_the_right_answers(void **state)
{
    static const struct asked asked[] = {
        {{"the mat"}, 4, 5},                    /* 1, 1 */
        {{"dog", "the cat sat", "cat!"}, 0, 1}, /* 1, 1 */
        {{"dog", "the cat sat"}, 1, 1},         /* 0, 2/3 */
        {{"dog"}, 1, 1},                        /* 0, 0 */
        {{"the", "cat"}, 4, 4},                 /* "the" does not count, so 0, 0 */
    };
    static const struct asked none[] = {
        {{NULL}, 1, 0},       /* 1, 1 */
        {{NULL}, 1, 2},       /* 0, 0 */
        {{"cat"}, 1, 0},      /* 0, 0 */
        {{"a", "the"}, 1, 0}, /* nothing is left that were right: 1, 1 */
    };

    (void)state;
    measure(asked, 5, (struct pl_answer_rules){30, false}, 2.0 / 5, (2 + 2.0 / 3) / 5);
    measure(none, 4, (struct pl_answer_rules){30, true}, 2.0 / 4, 2.0 / 4);
}

/* Where the model may not say so, it has some answer all the same: the first of equal ones. */
static void no_answer_is_given_only_where_it_may_be(void **state)
{
    static const struct asked asked[] = {{{NULL}, 1, 0}, {{"cat"}, 1, 1}};

    (void)state;
    /* the first piece is "The", of which nothing is left: as good as no answer */
    measure(asked, 2, (struct pl_answer_rules){30, false}, 1, 1);
    measure(asked, 2, (struct pl_answer_rules){30, true}, 1, 1);
    measure((const struct asked[]){{{"cat"}, 1, 0}}, 1, (struct pl_answer_rules){30, true}, 0, 0);
}

static void answers_are_no_longer_than_they_may_be(void **state)
{
    static const struct asked asked[] = {{{"cat sat on the mat"}, 1, 5}};

    (void)state;
    measure(asked, 1, (struct pl_answer_rules){5, false}, 1, 1);
    /* of four words, two ends of 5 cannot be: one that begins or ends so is found */
    measure(asked, 1, (struct pl_answer_rules){1, false}, 0, 2.0 / 5);
}

/* ---- pieces ---- */

struct found {
    size_t begin, end, order; /* bytes */
    double score;
};

static int better(const void *a, const void *b)
{
    const struct found *x = a, *y = b;

    return x->score < y->score ? 1 : x->score > y->score ? -1 : x->order > y->order ? 1 : -1;
}

/* All pieces of all windows, the same bytes once with their best score. */
static size_t search(struct found *out, const struct pl_window *windows, size_t n,
                     pl_real *const *logits, const struct pl_span *spans, size_t longest)
{
    size_t n_found = 0;

    for (size_t w = 0; w < n; w++) {
        for (size_t i = 0; i < windows[w].n; i++) {
            for (size_t k = 0; k < windows[w].n; k++) {
                const size_t first = windows[w].first + i, last = windows[w].first + k;
                const double score = (double)logits[w][2 * (windows[w].at + i)] +
                                     (double)logits[w][2 * (windows[w].at + k) + 1];
                size_t at = 0;

                const size_t begin = spans[first].begin, end = spans[last].end;

                if (k < i || k - i >= longest || begin >= end)
                    continue;
                while (at < n_found && (out[at].begin != begin || out[at].end != end))
                    at++;
                if (at == n_found)
                    out[n_found++] = (struct found){begin, end, 0, score};
                else if (score > out[at].score)
                    out[at].score = score;
            }
        }
    }
    qsort(out, n_found, sizeof *out, better);
    return n_found;
}

/* Random windows and logits; scores that are all different, or nearly so. */
static void the_best_pieces_are_those_of_a_search(void **state)
{
    enum { TOKENS = 40, WINDOWS = 4 };
    const struct pl_random r = pl_random_at(3, 0, PL_SITE_SPLIT, 0);
    struct found *found = calloc(TOKENS * TOKENS, sizeof *found);
    uint64_t drawn = 0;

    (void)state;
    for (size_t trial = 0; trial < 60; trial++) {
        struct pl_window windows[WINDOWS];
        pl_real *logits[WINDOWS];
        struct pl_span spans[TOKENS];
        struct pl_pieces pieces = {0};
        const size_t longest = 1 + trial % 9;
        double none = HUGE_VAL;
        size_t n, at = 0;

        for (size_t i = 0; i < TOKENS; i++) {
            const uint32_t size = i % 5 == 3 ? 0 : 2; /* some are white space, some share a place */

            spans[i] = (struct pl_span){(uint32_t)at, (uint32_t)at + size};
            at += i % 7 == 4 ? 0 : size;
        }
        for (size_t w = 0; w < WINDOWS; w++) {
            windows[w].first = pl_random_u32(&r, drawn++) % (TOKENS - 1);
            windows[w].n =
                pl_random_u32(&r, drawn++) % (TOKENS - windows[w].first) % (uint32_t)(trial + 1);
            windows[w].at = (uint32_t)(1 + w);
            logits[w] = calloc(2 * (TOKENS + 8), sizeof **logits);
            for (size_t i = 0; i < 2 * (TOKENS + 8); i++)
                logits[w][i] = (pl_real)pl_random_normal(&r, drawn++);
            none = fmin(none, (double)logits[w][0] + (double)logits[w][1]);
            pl_pieces_look(&pieces, logits[w], &windows[w], spans, longest);
        }
        n = search(found, windows, WINDOWS, logits, spans, longest);
        assert_int_equal(pieces.n, n < PL_BEST_PIECES ? n : PL_BEST_PIECES);
        for (size_t i = 0; i < pieces.n; i++) {
            test_close(pieces.list[i].score, found[i].score, 0);
            assert_int_equal(pieces.list[i].begin, found[i].begin);
            assert_int_equal(pieces.list[i].end, found[i].end);
        }
        test_close(pieces.none, none, 0);
        pl_pieces_add_none(&pieces);
        for (size_t i = 0; i < pieces.n; i++)
            if (pieces.list[i].end == 0)
                test_close(pieces.list[i].score, none, 0);
        for (size_t i = 1; i < pieces.n; i++)
            assert_true(pieces.list[i - 1].score >= pieces.list[i].score);
        for (size_t w = 0; w < WINDOWS; w++)
            free(logits[w]);
    }
    free(found);
}

/* "No answer" comes behind a piece with as much, and before those with less. */
static void no_answer_has_its_place_among_the_others(void **state)
{
    static const struct pl_span spans[] = {{0, 1}, {1, 2}};
    const struct pl_window window = {0, 2, 1};
    const pl_real logits[] = {1, 1, 2, 0, 0, 0}; /* none 2; pieces 2, 2 and 0 */
    struct pl_pieces pieces = {0};

    (void)state;
    pl_pieces_look(&pieces, logits, &window, spans, 2);
    pl_pieces_add_none(&pieces);
    assert_int_equal(pieces.n, 4);
    assert_int_equal(pieces.list[0].end, 1);
    assert_int_equal(pieces.list[1].end, 2);
    assert_int_equal(pieces.list[2].end, 0);
    assert_int_equal(pieces.list[3].begin, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_normal_form_is_squad_s),
        cmocka_unit_test(answers_are_scored_by_their_words),
        cmocka_unit_test(evaluations_take_the_best_of_the_right_answers),
        cmocka_unit_test(no_answer_is_given_only_where_it_may_be),
        cmocka_unit_test(answers_are_no_longer_than_they_may_be),
        cmocka_unit_test(the_best_pieces_are_those_of_a_search),
        cmocka_unit_test(no_answer_has_its_place_among_the_others),
    };

    return cmocka_run_group_tests_name("squad", tests, NULL, NULL);
}
