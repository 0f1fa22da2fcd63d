/*
 * test_span_spellings.c - where the tokens of whole vocabularies stand (tests/golden/tokenizers,
 * and ../shared/reference where it is present): what is there spells the token, bare tokens are
 * those of whole examples, and joined they are a pair.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "support/changed.h"
#include "support/scratch.h"
#include "support/spellings.h"
#include "support/tokens.h"
#include "tok/tokenizer.h"
#include "tok/utf8.h"

#define MINI_LINES "tests/golden/tokenizers/prilora-mini-en.jsonl"
#define REFERENCE  "../shared/reference/tokenizers/"
#define DEBERTA    REFERENCE "deberta-v3"
#define BERT       REFERENCE "bert-base-uncased"
#define ROBERTA    REFERENCE "roberta-base"

/* A text, its tokens, and what is checked of each of them. */
struct text {
    const char *data;
    size_t size, at; /* at: what of it the tokens before have spelled */
    bool is_ascii;
};

typedef bool spelled_right(struct text *t, const char *spelling, struct pl_span span);

static bool is_boundary(const struct text *t, size_t at)
{
    return at == t->size || ((unsigned char)t->data[at] & 0xC0) != 0x80;
}

static bool are_spaces(const struct text *t, size_t begin, size_t end)
{
    return begin >= end || pl_utf8_spaces_at_start(t->data + begin, end - begin) == end - begin;
}

/* Begins and ends with no white space, or is empty. */
static bool is_trimmed(const struct text *t, struct pl_span s)
{
    const char *at = t->data + s.begin;
    const size_t n = s.end - s.begin;

    return pl_utf8_spaces_at_start(at, n) == 0 && pl_utf8_spaces_at_end(at, n) == 0;
}

static bool is_special(const char *spelling)
{
    const size_t n = strlen(spelling);

    return n > 2 && ((spelling[0] == '[' && spelling[n - 1] == ']') ||
                     (spelling[0] == '<' && spelling[n - 1] == '>'));
}

static bool is_text(const struct text *t, struct pl_span s, const char *text, size_t size)
{
    return s.end - s.begin == size && memcmp(t->data + s.begin, text, size) == 0;
}

/* The tokens' bytes, one after another, are the text; a special one has none of the spaces before
 * it. */
static bool bpe_is_right(struct text *t, const char *spelling, struct pl_span span)
{
    struct pl_span want;
    char bytes[1024];
    size_t n = spelling_bytes(spelling, bytes, sizeof bytes), begin = t->at, end;

    if (is_special(spelling) && n > 3)
        begin += pl_utf8_spaces_at_start(t->data + begin, t->size - begin);
    if (n > t->size - begin || memcmp(t->data + begin, bytes, n) != 0)
        return false;
    t->at = end = begin + n;
    while (!is_boundary(t, begin))
        begin--;
    while (!is_boundary(t, end))
        end++;
    while (begin < end && pl_utf8_spaces_at_start(t->data + begin, end - begin))
        begin += pl_utf8_spaces_at_start(t->data + begin, end - begin);
    want = (struct pl_span){(uint32_t)begin,
                            (uint32_t)(end - pl_utf8_spaces_at_end(t->data + begin, end - begin))};
    return span.begin == want.begin && span.end == want.end;
}

/* A special token as it is; of other ASCII, in lower case, without what says that it continues. */
static bool wordpiece_is_right(struct text *t, const char *spelling, struct pl_span span)
{
    const size_t n_prefix = strncmp(spelling, "##", 2) == 0 && spelling[2] ? 2 : 0;
    const size_t n = strlen(spelling) - n_prefix;

    if (span.begin == span.end)
        return false; /* there is none of white space */
    if (!t->is_ascii || strcmp(spelling, "[UNK]") == 0 || is_text(t, span, spelling, n))
        return true;
    return span.end - span.begin == n &&
           strncasecmp(t->data + span.begin, spelling + n_prefix, n) == 0;
}

/* Of ASCII, U+2581 and white space are the same, and at the ends nothing. */
static bool spm_is_right(struct text *t, const char *spelling, struct pl_span span)
{
    const char *at = t->data + span.begin, *end = t->data + span.end;
    const size_t n_visible = sizeof U - 1;

    if (!t->is_ascii || strcmp(spelling, "[UNK]") == 0 || strncmp(spelling, "<0x", 3) == 0)
        return true;
    while (strncmp(spelling, U, n_visible) == 0)
        spelling += n_visible;
    while (*spelling) {
        if (strncmp(spelling, U, n_visible) == 0) {
            const size_t n = pl_utf8_spaces_at_start(at, (size_t)(end - at));

            if (!n && at != end)
                return false;
            at += n;
            spelling += n_visible;
        } else if (at == end || *at++ != *spelling++) {
            return false;
        }
    }
    return at == end;
}

static bool is_printable(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] >= 0x7F ||
            ((unsigned char)text[i] < 0x20 && text[i] != '\t' && text[i] != '\n'))
            return false;
    return true;
}

/* What holds of all spans, and of the spellings; of ASCII, nothing but white space is left out. */
static bool spans_are_right(const struct pl_ids *ids, const char *data, size_t size,
                            const struct spellings *s, spelled_right *right)
{
    struct text t = {.data = data, .size = size, .is_ascii = is_printable(data, size)};
    struct pl_span last = {0};

    for (size_t i = 0; i < ids->n; i++) {
        const struct pl_span span = ids->spans[i];

        if (span.begin > span.end || span.end > size || span.begin < last.begin ||
            span.end < last.end || !is_boundary(&t, span.begin) || !is_boundary(&t, span.end) ||
            !is_trimmed(&t, span) || !right(&t, spelling_of(s, ids->ids[i]), span))
            return false;
        if (t.is_ascii && !are_spaces(&t, last.end, span.begin))
            return false;
        last = span;
    }
    return !t.is_ascii || are_spaces(&t, last.end, size);
}

/* The tokens are those of pl_tokenizer_encode between its special tokens. */
static bool is_bare(const struct pl_tokenizer *t, const struct pl_ids *ids, const char *text,
                    size_t size)
{
    struct pl_ids whole = {0};
    bool equal;

    assert_int_equal(pl_tokenizer_encode(t, &whole, text, size, NULL, 0, 0, NULL, NULL),
                     PRILORA_OK);
    equal = whole.n == ids->n + 2 &&
            (!ids->n || memcmp(whole.ids + 1, ids->ids, ids->n * sizeof *ids->ids) == 0);
    pl_ids_free(&whole);
    return equal;
}

static struct pl_piece_of_ids all_of(const struct pl_ids *ids)
{
    return (struct pl_piece_of_ids){ids->ids, ids->spans, ids->n};
}

/* Joining a and b gives what encoding their texts does, with and without spans. */
static bool is_joined(const struct pl_tokenizer *t, const json_t *a_text, const json_t *b_text,
                      const struct pl_ids *a, const struct pl_ids *b)
{
    struct pl_ids whole = {.located = true}, got = {.located = true};
    size_t at_b = 0;
    bool equal;

    assert_int_equal(pl_tokenizer_encode(t, &whole, json_string_value(a_text),
                                         json_string_length(a_text), json_string_value(b_text),
                                         json_string_length(b_text), 0, NULL, NULL),
                     PRILORA_OK);
    assert_int_equal(pl_tokenizer_join(t, &got, all_of(a), all_of(b), &at_b, NULL), PRILORA_OK);
    equal = got.n == whole.n && got.n == a->n + b->n + pl_tokenizer_pair_specials(t) &&
            at_b == got.n - 1 - b->n && memcmp(got.ids, whole.ids, got.n * sizeof *got.ids) == 0 &&
            memcmp(got.type_ids, whole.type_ids, got.n) == 0 &&
            memcmp(got.spans, whole.spans, got.n * sizeof *got.spans) == 0;
    pl_ids_free(&whole);
    pl_ids_free(&got);
    return equal;
}

/* One line of the expected file: its texts by themselves, and as a pair (of a text with itself). */
static bool line_is_right(const struct pl_tokenizer *t, const struct spellings *s,
                          spelled_right *right, const char *line)
{
    json_t *o = json_loads(line, JSON_ALLOW_NUL, NULL);
    const json_t *texts[2] = {json_object_get(o, "text"), json_object_get(o, "pair")};
    struct pl_ids ids[2];
    bool ok = true;

    assert_true(json_is_string(texts[0]));
    texts[1] = json_is_string(texts[1]) ? texts[1] : texts[0];
    for (int i = 0; i < 2; i++) {
        const char *text = json_string_value(texts[i]);
        const size_t size = json_string_length(texts[i]);

        ids[i] = test_located(t, text, size);
        ok =
            ok && is_bare(t, &ids[i], text, size) && spans_are_right(&ids[i], text, size, s, right);
    }
    ok = ok && is_joined(t, texts[0], texts[1], &ids[0], &ids[1]);
    pl_ids_free(&ids[0]);
    pl_ids_free(&ids[1]);
    json_decref(o);
    return ok;
}

static void check_lines(const char *folder, const char *lines, spelled_right *right)
{
    struct pl_tokenizer *t = test_tokenizer(folder);
    struct spellings *s = spellings_open(folder);
    FILE *file = fopen(lines, "r");
    char *line = NULL;
    size_t room = 0, n = 0, n_wrong = 0;

    assert_non_null(file);
    for (; getline(&line, &room, file) > 0; n++) {
        if (line_is_right(t, s, right, line))
            continue;
        n_wrong++;
        print_error("%s:%zu: %.200s\n", lines, n + 1, line);
    }
    free(line);
    fclose(file);
    spellings_close(s);
    pl_tokenizer_close(t);
    assert_int_equal(n_wrong, 0);
    assert_true(n >= 270);
}

static void check_reference(const char *folder, const char *lines, spelled_right *right)
{
    if (access(lines, R_OK) != 0)
        skip();
    check_lines(folder, lines, right);
}

static void spans_of_the_small_base_spell_its_tokens(void **state)
{
    (void)state;
    check_lines(MINI, MINI_LINES, spm_is_right);
}

/* The same texts however a model treats white space. */
static void spans_hold_for_other_rules_of_spaces(void **state)
{
    (void)state;
    check_lines(MINI_AND("lines_last", SPACE_LAST), MINI_LINES, spm_is_right);
    check_lines(MINI_AND("lines_none", NO_SPACE), MINI_LINES, spm_is_right);
    check_lines(MINI_AND("lines_all", ALL_SPACES), MINI_LINES, spm_is_right);
    check_lines(MINI_AND("lines_plain", PLAIN_SPACES), MINI_LINES, spm_is_right);
    check_lines(MINI_AND("lines_symbols", SYMBOLS), MINI_LINES, spm_is_right);
}

static void spans_of_deberta_v3_spell_its_tokens(void **state)
{
    (void)state;
    check_reference(DEBERTA, DEBERTA "/expected.jsonl", spm_is_right);
}

static void spans_of_bert_base_uncased_spell_its_tokens(void **state)
{
    (void)state;
    check_reference(BERT, BERT "/expected.jsonl", wordpiece_is_right);
}

static void spans_of_roberta_base_spell_its_tokens(void **state)
{
    (void)state;
    check_reference(ROBERTA, ROBERTA "/expected.jsonl", bpe_is_right);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_of_the_small_base_spell_its_tokens),
        cmocka_unit_test(spans_hold_for_other_rules_of_spaces),
        cmocka_unit_test(spans_of_deberta_v3_spell_its_tokens),
        cmocka_unit_test(spans_of_bert_base_uncased_spell_its_tokens),
        cmocka_unit_test(spans_of_roberta_base_spell_its_tokens),
    };

    return cmocka_run_group_tests_name("span_spellings", tests, test_scratch_open,
                                       test_scratch_close);
}
