/* suggest.c - see suggest.h. Levenshtein's distance, one row at a time. */
#include "api/suggest.h"

#include <stddef.h>
#include <string.h>

#define MAX_WORD 40

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t distance(const char *a, const char *b)
{
    size_t row[MAX_WORD + 1], n_b = strlen(b);

    if (strlen(a) > MAX_WORD || n_b > MAX_WORD)
        return MAX_WORD;
    for (size_t j = 0; j <= n_b; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t above_left = row[0];

        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t replace = above_left + (a[i - 1] != b[j - 1]);

            above_left = row[j];
            row[j] = least(replace, 1 + least(row[j], row[j - 1]));
        }
    }
    return row[n_b];
}

const char *suggest(const char *word, const char *const *names)
{
    size_t best = 1 + strlen(word) / 3; /* further away is another word */
    const char *nearest = NULL;

    for (; *names; names++) {
        size_t d = distance(word, *names);

        if (d <= best) {
            best = d - (d > 0);
            nearest = *names;
        }
    }
    return nearest;
}
