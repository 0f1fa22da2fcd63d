/*
 * test_entities.c - entities and their F1: worked out by hand after conlleval's rules, and the
 * results that seqeval documents of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/close.h"
#include "train/entities.h"

#define MAX_WORDS 16

static char *names[] = {"O",      "B-PER",  "I-PER", "B-LOC", "I-LOC",
                        "B-MISC", "I-MISC", "E-LOC", "S-PER", "E-PER"};
enum { N_NAMES = sizeof names / sizeof *names };

static struct pl_tag *tags;

static int open_tags(void **state)
{
    (void)state;
    tags = pl_tags_new(names, N_NAMES);
    return tags ? 0 : -1;
}

static int close_tags(void **state)
{
    (void)state;
    free(tags);
    return 0;
}

/* "B-PER I-PER O" as numbers. */
static size_t labels_of(const char *line, uint32_t labels[MAX_WORDS])
{
    char copy[400], *rest = copy, *word;
    size_t n = 0;

    snprintf(copy, sizeof copy, "%s", line);
    while ((word = strsep(&rest, " "))) {
        uint32_t k = 0;

        while (k < N_NAMES && strcmp(names[k], word) != 0)
            k++;
        assert_true(k < N_NAMES && n < MAX_WORDS);
        labels[n++] = k;
    }
    return n;
}

/* "PER 0-1, LOC 3-3" */
static const char *entities_of(const char *line)
{
    static char text[400];
    uint32_t labels[MAX_WORDS];
    size_t n = labels_of(line, labels), at = 0, used = 0;
    struct pl_entity e;

    text[0] = '\0';
    while (pl_entity_next(&e, tags, labels, n, &at))
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s %zu-%zu", used ? ", " : "",
                                 tags[e.type].name, e.first, e.end - 1);
    return text;
}

static void tags_become_entities(void **state)
{
    static const struct {
        const char *tags, *entities;
    } rows[] = {
        {"B-PER I-PER O B-LOC", "PER 0-1, LOC 3-3"}, /* as seqeval documents get_entities */
        {"O O O", ""},
        {"B-PER B-PER", "PER 0-0, PER 1-1"},
        {"B-PER I-LOC", "PER 0-0, LOC 1-1"},
        /* IOB1, and what models say: an entity without a beginning begins anyway */
        {"I-PER I-PER O I-LOC", "PER 0-1, LOC 3-3"},
        {"I-PER B-PER I-PER", "PER 0-0, PER 1-2"},
        {"O I-LOC I-PER I-PER", "LOC 1-1, PER 2-3"},
        {"B-LOC O I-LOC", "LOC 0-0, LOC 2-2"},
        /* ends and single words are named */
        {"S-PER B-LOC I-LOC E-LOC I-LOC", "PER 0-0, LOC 1-3, LOC 4-4"},
        {"E-PER E-PER O E-LOC", "PER 0-0, PER 1-1, LOC 3-3"},
        {"S-PER I-PER", "PER 0-0, PER 1-1"},
        {"I-PER S-PER", "PER 0-0, PER 1-1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(entities_of(rows[i].tags), rows[i].entities) != 0)
            fail_msg("%s: %s, but should be %s", rows[i].tags, entities_of(rows[i].tags),
                     rows[i].entities);
}

static void tags_without_letters_are_types(void **state)
{
    char *words[] = {"NOUN", "VERB", "O", "B"}, *numbers[] = {"0", "1", "2"};
    const uint32_t of_words[] = {0, 0, 1, 2, 0, 3, 3}, of_numbers[] = {1, 1, 0, 2, 1};
    struct pl_tag *t = pl_tags_new(words, 4);
    struct pl_entity e;
    size_t at = 0, n = 0;

    (void)state;
    while (pl_entity_next(&e, t, of_words, 7, &at))
        n++;
    assert_int_equal(n, 5); /* NOUN NOUN, VERB, NOUN, B, B */
    free(t);
    t = pl_tags_new(numbers, 3);
    at = n = 0;
    while (pl_entity_next(&e, t, of_numbers, 5, &at))
        n++;
    assert_int_equal(n, 3); /* 1 1, 2, 1: 0 is outside where all are numbers */
    free(t);
}

struct pairs {
    const char *actual, *predicted;
};

static struct pl_entity_counts count(const struct pairs *pairs, size_t n)
{
    struct pl_entity_counts counts = {0};

    for (size_t i = 0; i < n; i++) {
        uint32_t actual[MAX_WORDS], predicted[MAX_WORDS];
        size_t words = labels_of(pairs[i].actual, actual);

        assert_int_equal(labels_of(pairs[i].predicted, predicted), words);
        pl_entities_count(&counts, tags, actual, predicted, words);
    }
    return counts;
}

static double value_of(const struct pl_entity_counts *counts, const char *name)
{
    struct prilora_value values[PRILORA_MAX_VALUES];
    size_t n = pl_metrics_entities(values, counts);

    for (size_t i = 0; i < n; i++)
        if (strcmp(values[i].name, name) == 0)
            return values[i].value;
    fail_msg("no %s", name);
    return 0;
}

/* Its README: f1_score 0.50, accuracy_score 0.80, precision and recall 0.50. */
static void seqeval_s_own_example_has_its_own_result(void **state)
{
    static const struct pairs pairs[] = {
        {"O O O B-MISC I-MISC I-MISC O", "O O B-MISC I-MISC I-MISC I-MISC O"},
        {"B-PER I-PER O", "B-PER I-PER O"},
    };
    struct pl_entity_counts c = count(pairs, 2);

    (void)state;
    test_close(value_of(&c, "f1"), 0.5, 1e-15);
    test_close(value_of(&c, "precision"), 0.5, 1e-15);
    test_close(value_of(&c, "recall"), 0.5, 1e-15);
    test_close(value_of(&c, "accuracy"), 0.8, 1e-15);
}

static void an_entity_is_right_as_a_whole_only(void **state)
{
    static const struct pairs pairs[] = {
        {"B-PER I-PER O B-LOC", "B-PER O O B-LOC"}, /* PER too short; LOC right */
        {"B-PER I-PER O O", "I-PER I-PER O B-LOC"}, /* right, whatever it begins with; one more */
        {"B-LOC I-LOC O O", "B-PER I-PER O O"},     /* another type */
        {"O B-PER O O", "O O O O"},                 /* missed */
        {"O B-PER B-PER O", "O B-PER I-PER O"},     /* two taken for one */
    };
    struct pl_entity_counts c = count(pairs, 5);

    (void)state;
    assert_int_equal(c.actual, 7);
    assert_int_equal(c.predicted, 6);
    assert_int_equal(c.right, 2);
    assert_int_equal(c.words, 20);
    assert_int_equal(c.right_words, 20 - 1 - 2 - 2 - 1 - 1);
    test_close(value_of(&c, "precision"), 2.0 / 6, 1e-15);
    test_close(value_of(&c, "recall"), 2.0 / 7, 1e-15);
    test_close(value_of(&c, "f1"), 4.0 / 13, 1e-15);
}

static void no_entities_at_all_are_no_division_by_zero(void **state)
{
    struct pl_entity_counts none = {0};
    struct pl_entity_counts c = count(&(struct pairs){"O O", "O O"}, 1);

    (void)state;
    assert_true(value_of(&none, "f1") == 0 && value_of(&none, "accuracy") == 0);
    assert_true(value_of(&c, "f1") == 0 && value_of(&c, "accuracy") == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_become_entities),
        cmocka_unit_test(tags_without_letters_are_types),
        cmocka_unit_test(seqeval_s_own_example_has_its_own_result),
        cmocka_unit_test(an_entity_is_right_as_a_whole_only),
        cmocka_unit_test(no_entities_at_all_are_no_division_by_zero),
    };

    return cmocka_run_group_tests_name("entities", tests, open_tags, close_tags);
}
