/*
 * spm_normal.c - see spm_normal.h.
 *
 * Again and again the longest symbol that the rest of the text begins with stays as it is; else the
 * longest entry of the trie becomes its text; else one character stays. Spaces are joined after
 * that, and made visible last.
 */
#include "tok/spm_normal.h"

#include <string.h>

#include "tok/utf8.h"

/* What the beginning of a text becomes. */
struct step {
    const char *out;
    size_t n_out, taken;
};

/* Orders symbols that have their first `depth` bytes in common; the one that ends there first. */
static unsigned key(const struct pl_spm_symbol *symbol, size_t depth)
{
    return symbol->size > depth ? symbol->text[depth] + 1u : 0;
}

/* The first of symbols[low..high) whose key is not below `least`. */
static size_t lower_bound(const struct pl_spm_symbol *symbols, size_t low, size_t high,
                          size_t depth, unsigned least)
{
    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (key(&symbols[middle], depth) < least)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Bytes of the longest symbol that text begins with; 0: none. */
static size_t longest_symbol(const struct pl_spm_rules *rules, const char *text, size_t size)
{
    size_t low = 0, high = rules->n_symbols, longest = 0;

    for (size_t depth = 0; low < high && depth < size; depth++) {
        const unsigned least = (unsigned char)text[depth] + 1u;

        low = lower_bound(rules->symbols, low, high, depth, least);
        high = lower_bound(rules->symbols, low, high, depth, least + 1);
        if (low < high && rules->symbols[low].size == depth + 1)
            longest = depth + 1;
    }
    return longest;
}

/* The longest entry of the trie; false: none. */
static bool look_up(struct step *step, const struct pl_spm_rules *rules, const char *text,
                    size_t size)
{
    size_t at = pl_spm_children(pl_spm_unit(rules->trie, 0), 0);

    step->taken = 0;
    for (size_t i = 0; i < size; i++) {
        const unsigned char byte = (unsigned char)text[i];
        const size_t child = at ^ byte;
        const uint32_t unit = pl_spm_unit(rules->trie, child);

        if ((unit & 0x800000FF) != byte)
            break;
        at = pl_spm_children(unit, child);
        if (unit & 0x100) {
            step->out = rules->texts + (pl_spm_unit(rules->trie, at) & 0x7FFFFFFF);
            step->taken = i + 1;
        }
    }
    if (step->taken)
        step->n_out = strlen(step->out);
    return step->taken != 0;
}

static struct step next_step(const struct pl_spm_rules *rules, const char *text, size_t size)
{
    struct step step = {.out = text, .taken = longest_symbol(rules, text, size)};
    uint32_t code;
    bool valid = true;

    if (!step.taken && rules->trie && look_up(&step, rules, text, size))
        return step;
    if (!step.taken)
        step.taken = pl_utf8_next(text, size, &code, &valid);
    step.n_out = step.taken;
    if (!valid) { /* an entry of the trie has ended within a character */
        step.out = "\xEF\xBF\xBD";
        step.n_out = PL_UTF8_REPLACEMENT_BYTES;
    }
    return step;
}

/* A space that no character became. */
static void add_space(struct pl_spm_walk *w)
{
    w->out = " ";
    w->n_out = 1;
    w->source = (struct pl_span){(uint32_t)w->at, (uint32_t)w->at};
    w->is_space = true;
}

void pl_spm_start(struct pl_spm_walk *walk, const struct pl_spm_rules *rules, const char *text,
                  size_t size)
{
    *walk = (struct pl_spm_walk){.rules = rules, .text = text, .size = size};
    walk->after_space = rules->single_spaces;
    while (rules->single_spaces && walk->at < size) {
        const struct step step = next_step(rules, text + walk->at, size - walk->at);

        if (step.n_out != 1 || step.out[0] != ' ')
            break;
        walk->at += step.taken;
    }
    walk->ended = walk->at == size || !rules->space_last;
    if (walk->at < size && rules->space_first)
        add_space(walk);
}

/* Reads on in the text; false at its end. */
static bool read_step(struct pl_spm_walk *w)
{
    struct step step;

    if (w->at == w->size) {
        if (w->ended)
            return false;
        w->ended = true;
        add_space(w);
        return true;
    }
    step = next_step(w->rules, w->text + w->at, w->size - w->at);
    w->source = (struct pl_span){(uint32_t)w->at, (uint32_t)(w->at + step.taken)};
    w->at += step.taken;
    for (; w->after_space && step.n_out && step.out[0] == ' '; step.n_out--)
        step.out++;
    w->out = step.out;
    w->n_out = step.n_out;
    w->is_space = true;
    for (size_t i = 0; i < w->n_out; i++)
        w->is_space = w->is_space && w->out[i] == ' ';
    if (w->n_out)
        w->after_space = w->rules->single_spaces && w->out[w->n_out - 1] == ' ';
    return true;
}

bool pl_spm_next(struct pl_spm_walk *walk)
{
    if (walk->n_symbol) {
        walk->n_symbol--;
        return true;
    }
    while (!walk->n_out)
        if (!read_step(walk))
            return false;
    walk->n_out--;
    if (*walk->out++ == ' ' && walk->rules->visible_spaces)
        walk->n_symbol = 2;
    return true;
}
