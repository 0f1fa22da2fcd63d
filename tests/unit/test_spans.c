/*
 * test_spans.c - where tokens stand in their text, worked out by hand for small vocabularies; whole
 * ones are test_span_spellings.c's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/changed.h"
#include "support/scratch.h"
#include "support/spellings.h"
#include "support/tokens.h"
#include "tok/tokenizer.h"

/* ---- small vocabularies ---------------------------------------------------------------------- */

/* The tokens of a text and their spans, as "hello:0-5 <mask>:6-12". */
static void stands(const char *folder, const char *text, size_t size, const char *want)
{
    struct pl_tokenizer *t = test_tokenizer(folder);
    struct spellings *s = spellings_open(folder);
    struct pl_ids ids = test_located(t, text, size);
    char line[4096] = "";
    size_t n = 0;

    for (size_t i = 0; i < ids.n && n < sizeof line - 300; i++)
        n += (size_t)snprintf(line + n, sizeof line - n, "%s%s:%u-%u", i ? " " : "",
                              spelling_of(s, ids.ids[i]), ids.spans[i].begin, ids.spans[i].end);
    assert_string_equal(line, want);
    pl_ids_free(&ids);
    spellings_close(s);
    pl_tokenizer_close(t);
}

struct example {
    const char *text, *want;
};

static void all_stand(const char *folder, const struct example *examples, size_t n)
{
    for (size_t i = 0; i < n; i++)
        stands(folder, examples[i].text, strlen(examples[i].text), examples[i].want);
}

#define ALL_STAND(folder, examples)                                                                \
    all_stand(folder, examples, sizeof(examples) / sizeof *(examples))

static const char words[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nun\n##aff\n##able\n!\nhello\n中\n"
                            "国\ncafe\na\n##a\ni\n##\u0307\n";

static const char *words_folder(const char *name)
{
    return changed_folder(name, NULL, "vocab.txt", words, sizeof words - 1);
}

static void a_piece_of_a_word_stands_where_its_letters_were(void **state)
{
    static const struct example examples[] = {
        {"unaffable!", "un:0-2 ##aff:2-5 ##able:5-9 !:9-10"},
        {"  Hello  HELLO  ", "hello:2-7 hello:9-14"},
        {"H\u00E9llo", "hello:0-6"},
        {"he\u0301llo hello", "hello:0-7 hello:8-13"},
        {"cafe\u0301 a", "cafe:0-4 a:7-8"}, /* the accent, at the end, is nothing's */
        {"\u00C0a", "a:0-2 ##a:2-3"},
        {"中国hello", "中:0-3 国:3-6 hello:6-11"},
        {"hello\U0001F600 hello", "[UNK]:0-9 hello:10-15"},
        {"he\x01llo\u00ADhello", "[UNK]:0-13"},
        {"\x01hello\x01", "hello:1-6"},
        {"\uFB01 a", "[UNK]:0-3 a:4-5"},
        {"", ""},
        {" \t\n", ""},
    };
    (void)state;
    ALL_STAND(words_folder("words"), examples);
}

static void a_letter_that_became_two_is_both_of_theirs(void **state)
{
    static const char config[] = "{\"strip_accents\": false}";
    static const struct example examples[] = {{"a \u0130 a", "a:0-1 i:2-4 ##\u0307:2-4 a:5-6"}};
    const char *folder = words_folder("two");

    (void)state;
    test_scratch_write("two/tokenizer_config.json", config, sizeof config - 1);
    ALL_STAND(folder, examples);
}

static void a_special_token_stands_where_it_is_spelled(void **state)
{
    static const struct example examples[] = {
        {"hello[MASK] hello", "hello:0-5 [MASK]:5-11 hello:12-17"},
        {"[SEP]", "[SEP]:0-5"},
        {"[CLS] [SEP]a", "[CLS]:0-5 [SEP]:6-11 a:11-12"},
    };
    (void)state;
    ALL_STAND(words_folder("special"), examples);
}

static void bytes_that_are_not_utf8_are_counted_as_they_were_given(void **state)
{
    static const struct example examples[] = {
        {"hello\xFF hello\xE2\x82", "hello:0-5 hello:7-12"},
        {"\x80\x80 hello\xF0\x9F\x98[MASK]\xC3", "hello:3-8 [MASK]:11-17"},
        {"he\xC3\xC3\xA9llo a", "[UNK]:0-8 a:9-10"},
    };
    (void)state;
    ALL_STAND(words_folder("broken"), examples);
}

/* Bytes that are seen stand for themselves; these are all that the examples need of the others. */
#define G "\u0120"
static const char bpe[] =
    "{\"version\": \"1.0\", \"added_tokens\": [{\"id\": 0, \"content\": \"<s>\"}, {\"id\": 2, "
    "\"content\": \"</s>\"}, {\"id\": 3, \"content\": \"<mask>\", \"lstrip\": true}], "
    "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": %s}, \"post_processor\": "
    "{\"type\": \"RobertaProcessing\", \"sep\": [\"</s>\", 2], \"cls\": [\"<s>\", 0]}, "
    "\"model\": {\"type\": \"BPE\", \"vocab\": {\"<s>\": 0, \"</s>\": 2, \"<mask>\": 3, "
    "\"h\": 4, \"e\": 5, \"l\": 6, \"o\": 7, \"w\": 8, \"a\": 9, \"" G "\": 10, \"\u00C3\": 11, "
    "\"\u00A9\": 12, \"\u00EF\": 13, \"\u00BF\": 14, \"\u00BD\": 15, \"\u00E3\": 16, \"\u0122\": "
    "17, \"he\": 18, \"ll\": 19, \"hell\": 20, \"hello\": 21, \"" G "w\": 22, \"\u00AC\": 23, "
    "\"\u0123\": 24, \"" G "a\": 25, \"\u00EF\u00AC\": 26, \"" G "" G "\": 27, \"" G "\u00C3\": "
    "28}, \"merges\": [\"h e\", \"l l\", \"he ll\", \"hell o\", \"" G " w\", \"" G " a\", "
    "\"\u00EF \u00AC\", \"" G " " G "\", \"" G " \u00C3\"]}}";

static const char *bpe_folder(const char *name, bool spaced)
{
    char text[2 * sizeof bpe];
    const int n = snprintf(text, sizeof text, bpe, spaced ? "true" : "false");

    return changed_folder(name, NULL, "tokenizer.json", text, (size_t)n);
}

static void a_byte_of_a_character_stands_for_all_of_it(void **state)
{
    static const struct example examples[] = {
        {"hello w", "hello:0-5 " G "w:6-7"},
        {" hello", G ":1-1 hello:1-6"},
        {"a  w", "a:0-1 " G ":2-2 " G "w:3-4"},
        {"a  ", "a:0-1 " G G ":3-3"},
        {"a \u00E9", "a:0-1 " G "\u00C3:2-4 \u00A9:2-4"},
        {"\uFB01", "\u00EF\u00AC:0-3 \u0123:0-3"},
        {"a\u3000a", "a:0-1 \u00E3:4-4 \u0122:4-4 \u0122:4-4 a:4-5"},
        {"a\xFF"
         "e",
         "a:0-1 \u00EF:1-2 \u00BF:1-2 \u00BD:1-2 e:2-3"},
        {"a\xE3\x80"
         "e",
         "a:0-1 \u00EF:1-3 \u00BF:1-3 \u00BD:1-3 e:3-4"},
        {"he <mask> w", "he:0-2 <mask>:3-9 " G "w:10-11"},
        {"\u0416e", "e:2-3"}, /* no token, and none for what is unknown */
    };
    (void)state;
    ALL_STAND(bpe_folder("bpe", false), examples);
}

static void a_space_that_is_put_first_is_nowhere(void **state)
{
    static const struct example examples[] = {
        {"w w", G "w:0-1 " G "w:2-3"},           {"hello", G ":0-0 hello:0-5"},
        {" hello", G ":1-1 hello:1-6"},          {"\u00E9", G "\u00C3:0-2 \u00A9:0-2"},
        {"w<s>w", G "w:0-1 <s>:1-4 " G "w:4-5"},
    };
    (void)state;
    ALL_STAND(bpe_folder("spaced", true), examples);
}

/*
 * Two pieces added to the small base's, with a score of 2, above all others, in the wire form of
 * ModelProto.pieces = 1 {piece = 1, score = 2}. It has z, \u2581z, \u25811 and \u2581 of its own.
 */
#define LETTERS                                                                                    \
    "\x0A\x09\x0A\x02xf\x15\0\0\0\x40"                                                             \
    "\x0A\x0B\x0A\x04\u2581q\x15\0\0\0\x40"

static void a_piece_stands_where_what_was_normalised_stood(void **state)
{
    static const struct example examples[] = {
        {"zz", U "z:0-1 z:1-2"},
        {"  q  q  ", U "q:2-3 " U "q:5-6"},
        {"x\uFB01 q", U ":0-0 xf:0-1 i:1-4 " U "q:5-6"}, /* the ligature is all of the last */
        {"\u00BDz", U "1:0-2 \u2044:0-2 2:0-2 z:2-3"},
        {"z\x01\x02z\x01", U "z:0-3 z:3-5"},  /* what becomes nothing is its neighbour's */
        {"z\u200Bq", U "z:0-1 " U "q:1-5"},   /* what becomes a space is one */
        {"z\xFF\xC3q", U "z:0-1 " U "q:1-4"}, /* and so does U+FFFD */
        {"z\u00B4z", U "z:0-1 " U ":1-1 [UNK]:1-3 z:3-4"}, /* a space and an accent, of one */
        {"z[MASK]z", U "z:0-1 [MASK]:1-7 " U "z:7-8"},
        {"z \U0001F600\U0001F600", U "z:0-1 " U ":2-2 [UNK]:2-10"},
        {"z\u3000\u4E2Dq", U "z:0-1 " U ":4-4 [UNK]:4-7 q:7-8"},
        {"", ""},
        {"  ", ""},
    };
    (void)state;
    ALL_STAND(MINI_AND("letters", LETTERS), examples);
}

static void spaces_are_where_the_model_has_them(void **state)
{
    static const struct example last[] = {{" q z ", "q:1-2 " U "z:3-4 " U ":4-4"},
                                          {"q z", "q:0-1 " U "z:2-3 " U ":3-3"},
                                          {" ", ""}};
    static const struct example none[] = {{"z q", "z:0-1 " U "q:2-3"}};
    static const struct example all[] = {
        {"  z  q ", U ":0-0 " U ":1-1 " U "z:2-3 " U ":4-4 " U "q:5-6 " U ":7-7"}};
    static const struct example plain[] = {{"z  z", "[UNK]:0-1 z:0-1 [UNK]:3-3 z:3-4"}};

    (void)state;
    ALL_STAND(MINI_AND("last", LETTERS SPACE_LAST), last);
    ALL_STAND(MINI_AND("none", LETTERS NO_SPACE), none);
    ALL_STAND(MINI_AND("all", LETTERS ALL_SPACES), all);
    ALL_STAND(MINI_AND("plain", LETTERS PLAIN_SPACES), plain);
}

/* of type 4 too */
#define SPACED_SYMBOL "\x0A\x07\x0A\x03x y\x18\x04"

static void a_symbol_is_found_before_it_is_normalised(void **state)
{
    static const struct example examples[] = {
        {"\uFB01xz", U ":0-0 \uFB01x:0-4 z:4-5"},
        {"\uFB01z", U ":0-0 \uFB01:0-3 z:3-4"},
        {"x yz", U "x:0-1 " U ":0-0 y:0-3 z:3-4"}, /* whose space is seen after that */
    };
    (void)state;
    ALL_STAND(MINI_AND("symbols", LETTERS SYMBOLS SPACED_SYMBOL), examples);
}

/* {trainer_spec = 2 {byte_fallback = 35}}, and a piece of type 6 for each byte */
static void a_byte_piece_stands_for_the_whole_character(void **state)
{
    static const struct example examples[] = {
        {"z\u4E2D\u4E2D", U "z:0-1 <0xE4>:1-4 <0xB8>:1-4 <0xAD>:1-4 <0xE4>:4-7 <0xB8>:4-7 "
                            "<0xAD>:4-7"},
        {"\U0001F600z", U ":0-0 <0xF0>:0-4 <0x9F>:0-4 <0x98>:0-4 <0x80>:0-4 z:4-5"},
    };
    static const char fallback[] = LETTERS "\x12\x03\x98\x02\x01";
    char more[sizeof fallback + 256 * 12];
    size_t n = sizeof fallback - 1;

    (void)state;
    memcpy(more, fallback, n);
    for (unsigned b = 0; b < 256; b++, n += 12)
        snprintf(more + n, 13, "\x0A\x0A\x0A\x06<0x%02X>\x18\x06", b);
    ALL_STAND(changed_folder("bytes", MINI "/spm.model", "spm.model", more, n), examples);
}

/* ---- beside the ids ------------------------------------------------------------------------- */

static void assert_spans(const struct pl_ids *ids, const struct pl_span *want, size_t n)
{
    assert_int_equal(ids->n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(ids->spans[i].begin, want[i].begin);
        assert_int_equal(ids->spans[i].end, want[i].end);
    }
}

static void spans_stay_beside_ids_that_are_framed_and_cut(void **state)
{
    struct pl_tokenizer *t = test_tokenizer(words_folder("cut"));
    static const struct pl_span pair[] = {{0, 0}, {0, 5}, {6, 11}, {0, 0}, {1, 2}, {3, 5}, {0, 0}};
    static const struct pl_span split[] = {{0, 0}, {0, 2}, {2, 5}, {5, 9}, {1, 6}, {0, 0}};
    const struct prilora_word list[] = {{"unaffable", 9}, {" hello", 6}, {"a", 1}};
    struct pl_ids ids = {.located = true};
    size_t firsts[3];
    bool truncated = false;

    (void)state;
    assert_int_equal(pl_tokenizer_encode(t, &ids, "hello hello a a a", 17, " a un a", 7, 7,
                                         &truncated, NULL),
                     PRILORA_OK);
    assert_true(truncated);
    assert_spans(&ids, pair, 7);
    ids.n = 0;
    assert_int_equal(pl_tokenizer_encode_words(t, &ids, list, 3, 6, firsts, &truncated, NULL),
                     PRILORA_OK);
    assert_true(truncated);
    assert_spans(&ids, split, 6);
    pl_ids_free(&ids);
    pl_tokenizer_close(t);
}

static void parts_are_joined_with_the_special_tokens_between(void **state)
{
    struct pl_tokenizer *t = test_tokenizer(words_folder("join"));
    struct pl_ids a = test_located(t, "hello a", 7), b = test_located(t, "unaffable !", 11);
    const struct pl_piece_of_ids middle = {b.ids + 1, b.spans + 1, 2};
    const struct pl_piece_of_ids whole = {a.ids, a.spans, a.n}, nowhere = {a.ids, NULL, a.n};
    static const struct pl_span spans[] = {{0, 0}, {0, 0}, {0, 0}, {0, 0}, {2, 5}, {5, 9}, {0, 0}};
    static const int32_t want[] = {2, 9, 13, 3, 6, 7, 3};
    static const uint8_t types[] = {0, 0, 0, 0, 1, 1, 1};
    struct pl_ids ids = {.located = true}, plain = {0};
    size_t at_b = 0;

    (void)state;
    assert_int_equal(pl_tokenizer_pair_specials(t), 3);
    assert_int_equal(pl_tokenizer_join(t, &ids, nowhere, middle, &at_b, NULL), PRILORA_OK);
    assert_int_equal(at_b, 4);
    assert_spans(&ids, spans, 7);
    assert_memory_equal(ids.ids, want, sizeof want);
    assert_memory_equal(ids.type_ids, types, sizeof types);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pl_tokenizer_join(t, &plain, whole, middle, &at_b, NULL), PRILORA_OK);
    assert_int_equal(plain.n, 14);
    assert_int_equal(at_b, 11);
    assert_null(plain.spans);
    assert_memory_equal(plain.ids + 7, want, sizeof want);
    pl_ids_free(&a);
    pl_ids_free(&b);
    pl_ids_free(&ids);
    pl_ids_free(&plain);
    pl_tokenizer_close(t);
}

static void a_text_that_is_too_long_leaves_the_list_as_it_was(void **state)
{
    struct pl_tokenizer *t = test_tokenizer(words_folder("long"));
    struct pl_ids ids = test_located(t, "hello", 5);
    char *large = calloc(PL_MAX_TEXT_BYTES + 1, 1);
    struct prilora_error err = {0};

    (void)state;
    assert_non_null(large);
    assert_int_equal(pl_tokenizer_encode_bare(t, &ids, large, PL_MAX_TEXT_BYTES + 1, &err),
                     PRILORA_ELIMIT);
    assert_non_null(strstr(err.message, "1048577 bytes"));
    assert_int_equal(ids.n, 1);
    free(large);
    pl_ids_free(&ids);
    pl_tokenizer_close(t);
}

/* Spans may be asked for from a list that had none, once it is empty. */
static void a_list_that_is_used_again_may_be_located(void **state)
{
    struct pl_tokenizer *t = test_tokenizer(words_folder("again"));
    static const struct pl_span want[] = {{0, 5}};
    struct pl_ids ids = {0};

    (void)state;
    assert_int_equal(pl_tokenizer_encode_bare(t, &ids, "a", 1, NULL), PRILORA_OK);
    assert_null(ids.spans);
    ids.n = 0;
    ids.located = true;
    assert_int_equal(pl_tokenizer_encode_bare(t, &ids, "hello", 5, NULL), PRILORA_OK);
    assert_spans(&ids, want, 1);
    pl_ids_free(&ids);
    assert_null(ids.spans);
    pl_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_piece_of_a_word_stands_where_its_letters_were),
        cmocka_unit_test(a_letter_that_became_two_is_both_of_theirs),
        cmocka_unit_test(a_special_token_stands_where_it_is_spelled),
        cmocka_unit_test(bytes_that_are_not_utf8_are_counted_as_they_were_given),
        cmocka_unit_test(a_byte_of_a_character_stands_for_all_of_it),
        cmocka_unit_test(a_space_that_is_put_first_is_nowhere),
        cmocka_unit_test(a_piece_stands_where_what_was_normalised_stood),
        cmocka_unit_test(spaces_are_where_the_model_has_them),
        cmocka_unit_test(a_symbol_is_found_before_it_is_normalised),
        cmocka_unit_test(a_byte_piece_stands_for_the_whole_character),
        cmocka_unit_test(spans_stay_beside_ids_that_are_framed_and_cut),
        cmocka_unit_test(parts_are_joined_with_the_special_tokens_between),
        cmocka_unit_test(a_text_that_is_too_long_leaves_the_list_as_it_was),
        cmocka_unit_test(a_list_that_is_used_again_may_be_located),
    };

    return cmocka_run_group_tests_name("spans", tests, test_scratch_open, test_scratch_close);
}
