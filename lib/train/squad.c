/* squad.c - see squad.h. */
#include "train/squad.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/memory.h"
#include "base/pulse.h"
#include "tok/utf8.h"
#include "train/pieces.h"
#include "train/questions.h"

/* ---- the normal form ------------------------------------------------------------------------- */

/* Python's string.punctuation. */
static bool is_punctuation(uint32_t c)
{
    return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
           (c >= 123 && c <= 126);
}

/* What a word of a regular expression is made of, "_" being gone: letters and numbers. */
static bool is_of_word(uint32_t c)
{
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);

    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO &&
           !(category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME);
}

/* In lower case, without punctuation; three times the size is room enough. */
static size_t lower(char *to, const char *text, size_t size)
{
    size_t used = 0;

    for (size_t at = 0; at < size;) {
        uint32_t c;
        bool valid;

        at += pl_utf8_next(text + at, size - at, &c, &valid);
        if (!is_punctuation(c))
            used += (size_t)utf8proc_encode_char(utf8proc_tolower((utf8proc_int32_t)c),
                                                 (utf8proc_uint8_t *)to + used);
    }
    return used;
}

static bool is_article(const char *word, size_t size)
{
    return (size == 1 && *word == 'a') || (size == 2 && memcmp(word, "an", 2) == 0) ||
           (size == 3 && memcmp(word, "the", 3) == 0);
}

/* Bytes of the word that begins there; 0: none does. */
static size_t word_at(const char *text, size_t size)
{
    size_t n = 0;

    while (n < size) {
        uint32_t c;
        bool valid;
        const size_t bytes = pl_utf8_next(text + n, size - n, &c, &valid);

        if (!is_of_word(c))
            break;
        n += bytes;
    }
    return n;
}

/* Articles and white space become one space, or nothing at the ends; in place. */
static size_t tidy(char *text, size_t size)
{
    size_t used = 0, at = 0;
    bool space = false; /* one is due */

    while (at < size) {
        size_t n = word_at(text + at, size - at);
        bool kept = n && !is_article(text + at, n);

        if (!n) {
            uint32_t c;
            bool valid;

            n = pl_utf8_next(text + at, size - at, &c, &valid);
            kept = !pl_utf8_is_space(c);
        }
        if (kept && space && used)
            text[used++] = ' ';
        if (kept) {
            memmove(text + used, text + at, n);
            used += n;
        }
        space = !kept;
        at += n;
    }
    return used;
}

char *pl_squad_normal(const char *text, size_t size, size_t *new_size)
{
    char *out = pl_alloc(size + 1, 3);

    if (!out)
        return NULL;
    *new_size = tidy(out, lower(out, text, size));
    out[*new_size] = '\0';
    return out;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static int compare_words(const void *a, const void *b)
{
    const struct prilora_word *x = a, *y = b;
    const int order = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);

    return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* The words of a normal form, sorted, malloc'ed. */
static struct prilora_word *words_of(const char *text, size_t size, size_t *n)
{
    struct prilora_word *words = pl_calloc(size / 2 + 1, sizeof *words);

    *n = 0;
    for (size_t at = 0; words && at < size;) {
        const char *space = memchr(text + at, ' ', size - at);
        const size_t end = space ? (size_t)(space - text) : size;

        words[(*n)++] = (struct prilora_word){text + at, end - at};
        at = end + 1;
    }
    if (words)
        qsort(words, *n, sizeof *words, compare_words);
    return words;
}

static size_t count_shared(const struct prilora_word *a, size_t n_a, const struct prilora_word *b,
                           size_t n_b)
{
    size_t shared = 0;

    for (size_t i = 0, k = 0; i < n_a && k < n_b;) {
        const int order = compare_words(&a[i], &b[k]);

        shared += order == 0;
        i += order <= 0;
        k += order >= 0;
    }
    return shared;
}

bool pl_squad_compare(struct pl_squad_score *out, const char *answer, size_t size,
                      const char *right, size_t right_size)
{
    const bool same = size == right_size && memcmp(answer, right, size) == 0;
    struct prilora_word *a, *b;
    size_t n_a, n_b, shared;

    *out = (struct pl_squad_score){same, same};
    if (same || size == 0 || right_size == 0)
        return true;
    a = words_of(answer, size, &n_a);
    b = words_of(right, right_size, &n_b);
    shared = a && b ? count_shared(a, n_a, b, n_b) : 0;
    out->f1 = 2 * (double)shared / (double)(n_a + n_b);
    shared = a && b;
    free(a);
    free(b);
    return shared;
}

/* ---- evaluations ----------------------------------------------------------------------------- */

/* What the model answers, in its normal form; malloc'ed. */
static char *answer_of(const struct pl_measured *m, const struct pl_question *question,
                       size_t *size)
{
    const struct pl_questions *q = m->data->questions;
    struct pl_pieces pieces = {0};
    size_t n, begin = 0, end = 0;
    const struct pl_span *spans = pl_questions_spans(q, question->context, &n);

    for (size_t i = question->window; i < question->window + question->n_windows; i++)
        pl_pieces_look(&pieces, m->logits + 2 * m->data->starts[i], &q->windows[i], spans,
                       m->answers.longest);
    if (m->answers.none)
        pl_pieces_add_none(&pieces);
    if (pieces.n) {
        begin = pieces.list[0].begin;
        end = pieces.list[0].end;
    }
    return pl_squad_normal(pl_texts_at(&q->contexts, question->context) + begin, end - begin, size);
}

/* The better of what was found and of the comparison with one right answer. */
static bool improve(struct pl_squad_score *best, const char *answer, size_t size, const char *right,
                    size_t right_size)
{
    struct pl_squad_score score;

    if (!pl_squad_compare(&score, answer, size, right, right_size))
        return false;
    best->exact_match =
        score.exact_match > best->exact_match ? score.exact_match : best->exact_match;
    best->f1 = score.f1 > best->f1 ? score.f1 : best->f1;
    return true;
}

/* Right answers of which nothing is left in normal form do not count; without any that does, none
 * is right. */
static bool score_answer(struct pl_squad_score *out, const struct pl_questions *q,
                         const struct pl_question *question, const char *answer, size_t size)
{
    bool enough = true, any = false;

    *out = (struct pl_squad_score){0, 0};
    for (size_t i = 0; enough && i < question->n_answers; i++) {
        const size_t k = question->answer + i;
        size_t right_size;
        char *right = pl_squad_normal(pl_texts_at(&q->answers, k), pl_texts_size(&q->answers, k),
                                      &right_size);

        enough = right != NULL;
        if (enough && right_size) {
            any = true;
            enough = improve(out, answer, size, right, right_size);
        }
        free(right);
    }
    return any || !enough ? enough : improve(out, answer, size, "", 0);
}

size_t pl_squad_measure(struct prilora_value *values, const struct pl_measured *m)
{
    const struct pl_questions *q = m->data->questions;
    struct pl_squad_score sum = {0, 0};
    bool enough = true;

    for (size_t i = 0; enough && i < q->n; i++) {
        struct pl_squad_score score = {0, 0};
        size_t size;
        char *answer = answer_of(m, &q->list[i], &size);

        pl_pulse_beat();
        enough = answer && score_answer(&score, q, &q->list[i], answer, size);
        sum.exact_match += score.exact_match;
        sum.f1 += score.f1;
        free(answer);
    }
    return enough ? pl_metrics_answers(values, sum.exact_match, sum.f1, q->n) : 0;
}
