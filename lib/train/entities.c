/* entities.c - see entities.h. */
#include "train/entities.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define OUTSIDE 'O'

/* ---- tags --------------------------------------------------------------------------------- */

static bool is_number(const char *name)
{
    return *name && name[strspn(name, "0123456789")] == '\0';
}

static struct pl_tag parse(const char *name, bool numbers)
{
    if (strcmp(name, numbers ? "0" : "O") == 0)
        return (struct pl_tag){OUTSIDE, SIZE_MAX, ""};
    if (name[0] && name[1] == '-')
        return (struct pl_tag){name[0], 0, name + 2};
    if (strchr("BIES", name[0]) && name[1] == '\0')
        return (struct pl_tag){name[0], 0, "_"};
    return (struct pl_tag){'I', 0, name};
}

struct pl_tag *pl_tags_new(char *const *names, size_t n)
{
    struct pl_tag *tags = pl_calloc(n, sizeof *tags);
    bool numbers = true;

    for (size_t i = 0; i < n; i++)
        numbers = numbers && is_number(names[i]);
    for (size_t i = 0; tags && i < n; i++) {
        size_t k = 0;

        tags[i] = parse(names[i], numbers);
        while (k < i && (tags[k].letter == OUTSIDE || strcmp(tags[k].name, tags[i].name) != 0))
            k++;
        if (tags[i].letter != OUTSIDE)
            tags[i].type = k;
    }
    return tags;
}

/* ---- entities ----------------------------------------------------------------------------- */

static bool is_one_of(char letter, const char *letters)
{
    return letter && strchr(letters, letter);
}

/* Between a word and the next, tagged so, an entity ends. */
static bool ends(const struct pl_tag *word, const struct pl_tag *next)
{
    if (word->letter == OUTSIDE)
        return false;
    return word->type != next->type || is_one_of(word->letter, "ES") ||
           (is_one_of(word->letter, "BI") && is_one_of(next->letter, "BSO"));
}

/* With this word, after the one before, an entity begins. */
static bool begins(const struct pl_tag *before, const struct pl_tag *word)
{
    if (word->letter == OUTSIDE)
        return false;
    return word->type != before->type || is_one_of(word->letter, "BS") ||
           (is_one_of(before->letter, "ESO") && is_one_of(word->letter, "EI"));
}

bool pl_entity_next(struct pl_entity *out, const struct pl_tag *tags, const uint32_t *labels,
                    size_t n, size_t *at)
{
    static const struct pl_tag outside = {OUTSIDE, SIZE_MAX, ""};
    size_t i = *at;

    while (i < n && !begins(i ? &tags[labels[i - 1]] : &outside, &tags[labels[i]]))
        i++;
    *at = i;
    if (i == n)
        return false;
    *out = (struct pl_entity){i, i + 1, tags[labels[i]].type};
    while (out->end < n && !ends(&tags[labels[out->end - 1]], &tags[labels[out->end]]))
        out->end++;
    *at = out->end;
    return true;
}

void pl_entities_count(struct pl_entity_counts *counts, const struct pl_tag *tags,
                       const uint32_t *actual, const uint32_t *predicted, size_t n)
{
    struct pl_entity real, guess;
    size_t at_real = 0, at_guess = 0;
    bool has_guess = pl_entity_next(&guess, tags, predicted, n, &at_guess);

    counts->predicted += has_guess;
    while (pl_entity_next(&real, tags, actual, n, &at_real)) {
        counts->actual++;
        while (has_guess && guess.first < real.first) {
            has_guess = pl_entity_next(&guess, tags, predicted, n, &at_guess);
            counts->predicted += has_guess;
        }
        counts->right += has_guess && guess.first == real.first && guess.end == real.end &&
                         guess.type == real.type;
    }
    while (has_guess) {
        has_guess = pl_entity_next(&guess, tags, predicted, n, &at_guess);
        counts->predicted += has_guess;
    }
    for (size_t i = 0; i < n; i++)
        counts->right_words += actual[i] == predicted[i];
    counts->words += n;
}

/* ---- evaluations -------------------------------------------------------------------------- */

static uint32_t largest(const pl_real *row, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        if (row[i] > row[best])
            best = i;
    return (uint32_t)best;
}

/* Of one example: the labels of the words that have one. */
static size_t read_words(const struct pl_measured *m, size_t example, uint32_t *actual,
                         uint32_t *predicted)
{
    const size_t *start = &m->data->starts[example];
    size_t n = 0;

    for (size_t i = start[0]; i < start[1]; i++) {
        if (m->labels[i] < 0)
            continue;
        actual[n] = (uint32_t)m->labels[i];
        predicted[n++] = largest(m->logits + i * m->n_outputs, m->n_outputs);
    }
    return n;
}

size_t pl_entities_measure(struct prilora_value *values, const struct pl_measured *m)
{
    struct pl_tag *tags = pl_tags_new(m->names, m->n_outputs);
    uint32_t *actual = pl_calloc(m->data->longest, sizeof *actual);
    uint32_t *predicted = pl_calloc(m->data->longest, sizeof *predicted);
    struct pl_entity_counts counts = {0};
    size_t n_values = 0;

    if (tags && actual && predicted) {
        for (size_t i = 0; i < m->data->n; i++)
            pl_entities_count(&counts, tags, actual, predicted,
                              read_words(m, i, actual, predicted));
        n_values = pl_metrics_entities(values, &counts);
    }
    free(tags);
    free(actual);
    free(predicted);
    return n_values;
}
