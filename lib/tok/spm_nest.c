/* spm_nest.c - see spm_nest.h. */
#include "tok/spm_nest.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* ---- symbols ------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
    const struct pl_spm_symbol *x = a, *y = b;
    const int order = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);

    return order ? order : (x->size > y->size) - (x->size < y->size);
}

static bool begins_with(const struct pl_spm_symbol *symbol, const struct pl_spm_symbol *with)
{
    return with->size < symbol->size && memcmp(symbol->text, with->text, with->size) == 0;
}

size_t pl_spm_nested_symbols(struct pl_spm_symbol *symbols, size_t n)
{
    const struct pl_spm_symbol
        *open[PL_SPM_MAX_NESTED_SYMBOLS + 1]; /* each begins with those before */
    size_t n_open = 0, most = 0;

    if (n)
        qsort(symbols, n, sizeof *symbols, compare);
    for (size_t i = 0; i < n && most <= PL_SPM_MAX_NESTED_SYMBOLS; i++) {
        while (n_open && !begins_with(&symbols[i], open[n_open - 1]))
            n_open--;
        open[n_open++] = &symbols[i];
        most = n_open > most ? n_open : most;
    }
    return most;
}

/* ---- rules -------------------------------------------------------------------------------- */

#define ON_PATH 255 /* a height above all others */
#define NONE    UINT32_MAX

struct walk {
    const unsigned char *units;
    uint32_t
        *firsts;     /* [n] the first unit whose index xor its label is this; NONE: there is none */
    uint32_t *nexts; /* [n] the next of the same */
    uint8_t *heights; /* [n] bytes below the unit, and one; 0: not seen */
    uint8_t *nested;  /* [n] the most rules on one way down from it, itself counted */
};

/* Every unit under the place that its parent, if it has one, calls that of its children. */
static void list_children(struct walk *w, size_t n)
{
    memset(w->firsts, 0xFF, n * sizeof *w->firsts);
    for (size_t i = 0; i < n; i++) {
        const uint32_t unit = pl_spm_unit(w->units, i);
        const size_t place = i ^ (unit & 0xFF);

        if (unit >> 31 || place >= n)
            continue;
        w->nexts[i] = w->firsts[place];
        w->firsts[place] = (uint32_t)i;
    }
}

/* False: a limit is passed, or the way leads back to where it was. */
static bool visit(struct walk *w, size_t i, size_t depth)
{
    const uint32_t unit = pl_spm_unit(w->units, i);
    const size_t children = pl_spm_children(unit, i);
    unsigned height = 0, nested = 0;

    if (depth > PL_SPM_MAX_RULE)
        return false;
    w->heights[i] = ON_PATH;
    for (uint32_t child = w->firsts[children]; child != NONE; child = w->nexts[child]) {
        if (w->heights[child] == ON_PATH || (!w->heights[child] && !visit(w, child, depth + 1)))
            return false;
        height = w->heights[child] > height ? w->heights[child] : height;
        nested = w->nested[child] > nested ? w->nested[child] : nested;
    }
    nested += depth && unit & 0x100;
    if (depth + height > PL_SPM_MAX_RULE || nested > PL_SPM_MAX_NESTED_RULES)
        return false;
    w->heights[i] = (uint8_t)(height + 1);
    w->nested[i] = (uint8_t)nested;
    return true;
}

enum prilora_status pl_spm_nested_rules(const unsigned char *units, size_t n)
{
    struct walk w = {
        .units = units,
        .firsts = pl_alloc(n, sizeof *w.firsts),
        .nexts = pl_alloc(n, sizeof *w.nexts),
        .heights = pl_calloc(n, 1),
        .nested = pl_calloc(n, 1),
    };
    enum prilora_status rc = PRILORA_ENOMEM;

    if (w.firsts && w.nexts && w.heights && w.nested) {
        list_children(&w, n);
        rc = visit(&w, 0, 0) ? PRILORA_OK : PRILORA_ELIMIT;
    }
    free(w.firsts);
    free(w.nexts);
    free(w.heights);
    free(w.nested);
    return rc;
}
