/*
 * test_tokenizer.c - against what the Hugging Face tokenizers give (tests/golden/tokenizers, and
 * ../shared/reference where it is present), and what broken folders and texts do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <unistd.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <jansson.h>

#include "support/scratch.h"
#include "support/tokens.h"
#include "tok/tokenizer.h"
#include "tok/utf8.h"

#define SMALL       "examples/prilora-mini-en"
#define SMALL_LINES "tests/golden/tokenizers/prilora-mini-en.jsonl"
#define LARGE       "../shared/reference/tokenizers/deberta-v3"
#define LARGE_LINES LARGE "/expected.jsonl"

#define BERT          "../shared/reference/tokenizers/bert-base-uncased"
#define BERT_LINES    BERT "/expected.jsonl"
#define ROBERTA       "../shared/reference/tokenizers/roberta-base"
#define ROBERTA_LINES ROBERTA "/expected.jsonl"

/* The ids of one text, as a list to be freed. */
static struct pl_ids encode(const struct pl_tokenizer *t, const char *text, size_t size)
{
    struct pl_ids ids = {0};

    assert_int_equal(pl_tokenizer_encode(t, &ids, text, size, NULL, 0, 0, NULL, NULL), PRILORA_OK);
    return ids;
}

static void assert_ids(const struct pl_ids *got, const int32_t *want, size_t n)
{
    assert_int_equal(got->n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(got->ids[i], want[i]);
}

static bool array_equal(const json_t *want, const struct pl_ids *got, bool types)
{
    if (json_array_size(want) != got->n)
        return false;
    for (size_t i = 0; i < got->n; i++)
        if (json_integer_value(json_array_get(want, i)) != (types ? got->type_ids[i] : got->ids[i]))
            return false;
    return true;
}

/* Whether one line of the expected file comes out as it says. */
static bool line_equal(const struct pl_tokenizer *t, const char *line)
{
    json_t *o = json_loads(line, JSON_ALLOW_NUL, NULL);
    const json_t *text = json_object_get(o, "text"), *pair = json_object_get(o, "pair");
    const json_t *types = json_object_get(o, "type_ids");
    size_t max_length = (size_t)json_integer_value(json_object_get(o, "max_length"));
    struct pl_ids got = {0};
    bool truncated = false, equal;

    assert_true(json_is_string(text));
    assert_int_equal(pl_tokenizer_encode(t, &got, json_string_value(text), json_string_length(text),
                                         json_string_value(pair), json_string_length(pair),
                                         max_length, &truncated, NULL),
                     PRILORA_OK);
    equal = array_equal(json_object_get(o, "ids"), &got, false) &&
            (!types || array_equal(types, &got, true)) &&
            (!truncated || (max_length && got.n == max_length));
    pl_ids_free(&got);
    json_decref(o);
    return equal;
}

static void check_lines(const char *folder, const char *lines, size_t n_expected)
{
    struct pl_tokenizer *t = test_tokenizer(folder);
    FILE *file = fopen(lines, "r");
    char *line = NULL;
    size_t room = 0, n = 0, n_wrong = 0;

    assert_non_null(file);
    while (getline(&line, &room, file) > 0) {
        n++;
        if (!line_equal(t, line)) {
            n_wrong++;
            print_error("%s:%zu differs: %.200s\n", lines, n, line);
        }
    }
    free(line);
    fclose(file);
    pl_tokenizer_close(t);
    assert_int_equal(n_wrong, 0);
    assert_int_equal(n, n_expected);
}

static void the_small_base_tokenizes_all_270_lines_as_hugging_face(void **state)
{
    (void)state;
    check_lines(SMALL, SMALL_LINES, 270);
}

static void deberta_v3_tokenizes_all_740_lines_as_hugging_face(void **state)
{
    (void)state;
    if (access(LARGE_LINES, R_OK) != 0)
        skip();
    check_lines(LARGE, LARGE_LINES, 740);
}

static void bert_base_uncased_tokenizes_all_740_lines_as_hugging_face(void **state)
{
    (void)state;
    if (access(BERT_LINES, R_OK) != 0)
        skip();
    check_lines(BERT, BERT_LINES, 740);
}

static void roberta_base_tokenizes_all_740_lines_as_hugging_face(void **state)
{
    (void)state;
    if (access(ROBERTA_LINES, R_OK) != 0)
        skip();
    check_lines(ROBERTA, ROBERTA_LINES, 740);
}

static void the_vocabulary_counts_the_mask(void **state)
{
    struct pl_tokenizer *t = test_tokenizer(SMALL);

    (void)state;
    /* 8000 pieces and [MASK], as the model's README says */
    assert_int_equal(pl_tokenizer_vocabulary(t), 8001);
    assert_int_equal(strlen(pl_tokenizer_fingerprint(t)), 64);
    pl_tokenizer_close(t);
}

static void invalid_utf8_is_read_as_the_replacement_character(void **state)
{
    /* pairs of bytes and what Python's bytes.decode("utf-8", "replace") makes of them */
    static const char *const pairs[][2] = {
        {"a\xFFz", "a\uFFFDz"},
        {"a\xC3", "a\uFFFD"},
        {"a\xE2\x82z", "a\uFFFDz"},
        {"a\xF0\x9F\x98z", "a\uFFFDz"},
        {"a\xC0\xAFz", "a\uFFFD\uFFFDz"},
        {"a\xED\xA0\x80z", "a\uFFFD\uFFFD\uFFFDz"},
        {"a\xF4\x90\x80\x80z", "a\uFFFD\uFFFD\uFFFD\uFFFDz"},
        {"[SEP]\x80[SEP]", "[SEP]\uFFFD[SEP]"},
    };
    struct pl_tokenizer *t = test_tokenizer(SMALL);

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct pl_ids got = encode(t, pairs[i][0], strlen(pairs[i][0]));
        struct pl_ids want = encode(t, pairs[i][1], strlen(pairs[i][1]));

        assert_ids(&got, want.ids, want.n);
        pl_ids_free(&got);
        pl_ids_free(&want);
    }
    pl_tokenizer_close(t);
}

static void utf8_is_checked_against_every_code_point(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x120000; c++) {
        /* the bytes as RFC 3629 defines them, surrogates and what lies above U+10FFFF too */
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        bool right = (c < 0xD800 || c > 0xDFFF) && c <= 0x10FFFF, valid;
        char bytes[4];
        uint32_t code;

        for (size_t i = n - 1; i > 0; i--)
            bytes[i] = (char)(0x80 | (c >> (6 * (n - 1 - i)) & 0x3F));
        bytes[0] = (char)(n == 1 ? c : (0xF00u >> n & 0xFF) | c >> (6 * (n - 1)));
        if (pl_utf8_next(bytes, n, &code, &valid) != (right ? n : 1) || valid != right ||
            code != (right ? c : 0xFFFD) || (pl_utf8_check(bytes, n) == n) != right)
            fail_msg("U+%04X", c);
    }
    assert_int_equal(pl_utf8_check("ab\xE2\x82", 4), 2);
}

static void a_nul_in_the_text_is_a_character_like_others(void **state)
{
    struct pl_tokenizer *t = test_tokenizer(SMALL);
    struct pl_ids whole = encode(t, "good\0bad", 8), cut = encode(t, "good", 4);

    (void)state;
    assert_true(whole.n > cut.n);
    assert_int_equal(whole.ids[1], cut.ids[1]);
    pl_ids_free(&whole);
    pl_ids_free(&cut);
    pl_tokenizer_close(t);
}

static void an_empty_text_has_only_its_special_tokens(void **state)
{
    static const int32_t single[] = {1, 2}, twice[] = {1, 2, 2};
    struct pl_tokenizer *t = test_tokenizer(SMALL);
    struct pl_ids ids = encode(t, "", 0);

    (void)state;
    assert_ids(&ids, single, 2);
    ids.n = 0;
    assert_int_equal(pl_tokenizer_encode(t, &ids, NULL, 0, "", 0, 0, NULL, NULL), PRILORA_OK);
    assert_ids(&ids, twice, 3);
    assert_int_equal(ids.type_ids[1], 0);
    assert_int_equal(ids.type_ids[2], 1);
    pl_ids_free(&ids);
    pl_tokenizer_close(t);
}

static void examples_are_appended_and_a_failure_leaves_the_list_as_it_was(void **state)
{
    struct pl_tokenizer *t = test_tokenizer(SMALL);
    struct pl_ids one = encode(t, "A good day.", 11), ids = encode(t, "A good day.", 11);
    struct prilora_error err = {0};
    char *large = calloc(PL_MAX_TEXT_BYTES + 1, 1);

    (void)state;
    assert_int_equal(pl_tokenizer_encode(t, &ids, "A good day.", 11, NULL, 0, 0, NULL, NULL),
                     PRILORA_OK);
    assert_int_equal(ids.n, 2 * one.n);
    assert_memory_equal(ids.ids + one.n, one.ids, one.n * sizeof *one.ids);
    assert_non_null(large);
    assert_int_equal(pl_tokenizer_encode(t, &ids, "first", 5, large, PL_MAX_TEXT_BYTES + 1, 0, NULL,
                                         &err),
                     PRILORA_ELIMIT);
    assert_non_null(strstr(err.message, "1048577 bytes"));
    assert_int_equal(ids.n, 2 * one.n);
    free(large);
    pl_ids_free(&one);
    pl_ids_free(&ids);
    pl_tokenizer_close(t);
}

static void max_length_must_leave_room_for_text(void **state)
{
    struct pl_tokenizer *t = test_tokenizer(SMALL);
    struct prilora_error err = {0};
    struct pl_ids ids = {0};
    bool truncated = false;

    (void)state;
    assert_int_equal(pl_tokenizer_encode(t, &ids, "a", 1, NULL, 0, 2, NULL, &err), PRILORA_EINVAL);
    assert_string_equal(err.message, "max_length 2 leaves no room beside 2 special tokens");
    assert_int_equal(pl_tokenizer_encode(t, &ids, "a", 1, "b", 1, 3, NULL, &err), PRILORA_EINVAL);
    assert_int_equal(ids.n, 0);
    assert_int_equal(pl_tokenizer_encode(t, &ids, "a b c d", 7, "b", 1, 4, &truncated, &err),
                     PRILORA_OK);
    assert_int_equal(ids.n, 4);
    assert_true(truncated);
    pl_ids_free(&ids);
    pl_tokenizer_close(t);
}

/* ---- folders -------------------------------------------------------------------------------- */

/* A scratch folder with the small base's spm.model (a link) and one more file. */
static const char *folder_with(const char *name, const char *file, const char *content)
{
    static char folder[1024];
    char path[1100], *target = realpath(SMALL "/spm.model", NULL);

    snprintf(folder, sizeof folder, "%s", test_scratch_path(name));
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_non_null(target);
    snprintf(path, sizeof path, "%s/spm.model", folder);
    assert_int_equal(symlink(target, path), 0);
    free(target);
    snprintf(path, sizeof path, "%s/%s", name, file);
    test_scratch_write(path, content, strlen(content));
    return folder;
}

static void refused(const char *name, const char *file, const char *content,
                    enum prilora_status status, const char *words)
{
    struct prilora_error err = {0};
    struct pl_tokenizer *t = NULL;

    assert_int_equal(pl_tokenizer_open(&t, folder_with(name, file, content), &err), status);
    assert_null(t);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

static void a_folder_without_a_tokenizer_is_told_so(void **state)
{
    struct prilora_error err = {0};
    struct pl_tokenizer *t = NULL;

    (void)state;
    assert_int_equal(pl_tokenizer_open(&t, "tests", &err), PRILORA_ENOENT);
    assert_string_equal(err.message,
                        "tests: no tokenizer: there is no spm.model, vocab.txt, vocab.json with "
                        "merges.txt, sentencepiece.bpe.model or tokenizer.json");
    assert_int_equal(pl_tokenizer_open(&t, "tests", NULL), PRILORA_ENOENT);
}

static void options_that_are_not_done_are_refused(void **state)
{
    (void)state;
    refused("lower", "tokenizer_config.json", "{\"do_lower_case\": true}", PRILORA_EUNSUPPORTED,
            "do_lower_case is true");
    refused("punct", "tokenizer_config.json", "{\"split_by_punct\": true}", PRILORA_EUNSUPPORTED,
            "split_by_punct is true");
    refused("class", "tokenizer_config.json", "{\"tokenizer_class\": \"T5Tokenizer\"}",
            PRILORA_EUNSUPPORTED, "tokenizer_class \"T5Tokenizer\"");
    refused("word", "tokenizer_config.json",
            "{\"mask_token\": {\"content\": \"[MASK]\", \"single_word\": true}}",
            PRILORA_EUNSUPPORTED, "single_word");
}

static void broken_token_files_are_refused(void **state)
{
    (void)state;
    refused("json", "tokenizer_config.json", "{\"do_lower_case\": fals}", PRILORA_EFORMAT,
            "line 1, column");
    refused("list", "special_tokens_map.json", "[]", PRILORA_EFORMAT, "not a JSON object");
    refused("kind", "tokenizer_config.json", "{\"sep_token\": 7}", PRILORA_EFORMAT, "sep_token");
    refused("taken", "added_tokens.json", "{\"[MASK]\": 17}", PRILORA_EFORMAT, "another token's");
    refused("minus", "added_tokens.json", "{\"[MASK]\": -1}", PRILORA_EFORMAT, "has id -1");
    refused("real", "added_tokens.json", "{\"[MASK]\": 1.5}", PRILORA_EFORMAT, "[MASK]");
    refused("huge", "added_tokens.json", "{\"[MASK]\": 99999999999}", PRILORA_EFORMAT,
            "99999999999");
    refused("empty", "added_tokens.json", "{\"\": 8000}", PRILORA_ELIMIT, "0 bytes");
    refused("key", "tokenizer_config.json", "{\"added_tokens_decoder\": {\"x\": \"[MASK]\"}}",
            PRILORA_EFORMAT, "has id -1");
}

static void an_added_token_has_the_id_and_the_stripping_of_its_files(void **state)
{
    static const char config[] =
        "{\"added_tokens_decoder\": {\"9000\": {\"content\": \"<x>\", \"lstrip\": true, "
        "\"rstrip\": true}}, \"additional_special_tokens\": [\"<x>y\"]}";
    struct pl_tokenizer *t = test_tokenizer(folder_with("added", "tokenizer_config.json", config));
    struct pl_ids plain = encode(t, "good", 4), got = encode(t, "\xC2\xA0 <x> \n<x>y", 12);
    /* <x> eats the spaces around it, so that nothing but the two tokens is left; the longer
     * spelling wins, and has the next id after [MASK] got 9001 */
    static const int32_t want[] = {1, 9000, 9002, 2};

    (void)state;
    assert_ids(&got, want, 4);
    assert_int_equal(plain.n, 3);
    assert_int_equal(pl_tokenizer_vocabulary(t), 9003);
    pl_ids_free(&plain);
    pl_ids_free(&got);
    pl_tokenizer_close(t);
}

/* ---- broken models -------------------------------------------------------------------------- */

/* The small base's model with n bytes replaced; opened, and what it says. */
static void model_refused(const char *name, const char *data, size_t size,
                          enum prilora_status status, const char *words)
{
    struct prilora_error err = {0};
    struct pl_tokenizer *t = NULL;
    char file[64];

    assert_int_equal(mkdir(test_scratch_path(name), 0700), 0);
    snprintf(file, sizeof file, "%s/spm.model", name);
    test_scratch_write(file, data, size);
    assert_int_equal(pl_tokenizer_open(&t, test_scratch_path(name), &err), status);
    assert_null(t);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

/* Offset of the compiled normalisation table in the model; the name of its rule stands before. */
static size_t charsmap_at(const char *model, size_t size)
{
    const char *name = memmem(model, size, "nmt_nfkc", 8);

    assert_non_null(name);
    return (size_t)(name - model) + 8 + 4; /* a tag and a three-byte length between them */
}

static void a_model_cut_short_or_empty_is_refused(void **state)
{
    size_t size;
    char *model = test_file(SMALL "/spm.model", &size);

    (void)state;
    model_refused("none", model, 0, PRILORA_EFORMAT, "no pieces");
    model_refused("cut", model, size - 1, PRILORA_EFORMAT, "a broken field at byte");
    model_refused("text", "this is not a model", 19, PRILORA_EFORMAT, "not a SentencePiece model");
    free(model);
}

static void a_normalisation_table_that_points_outside_is_refused(void **state)
{
    size_t size, at;
    char *model = test_file(SMALL "/spm.model", &size);

    (void)state;
    at = charsmap_at(model, size);
    memcpy(model + at + 4, "\x00\xFC\xFF\x7F", 4); /* the root's children far away */
    model_refused("far", model, size, PRILORA_EFORMAT, "points outside itself");
    memcpy(model + at + 4, "\x00\xFC\xFF\xFF", 4); /* a leaf, which the library follows there */
    model_refused("leaf", model, size, PRILORA_EFORMAT, "points outside itself");
    free(model);
    model = test_file(SMALL "/spm.model", &size);
    memcpy(model + at, "\xFF\xFF\xFF\x7F", 4);
    model_refused("long", model, size, PRILORA_EFORMAT, "sizes do not fit");
    free(model);
    /* the table is 237561 bytes (its length stands in the file), its texts the last 60405 */
    model = test_file(SMALL "/spm.model", &size);
    memset(model + at + 237561 - 60405, 'a', 200);
    model_refused("grow", model, size, PRILORA_EFORMAT, "too long");
    free(model);
}

static void hostile_pieces_are_refused(void **state)
{
    /* ModelProto.pieces = 1 {piece = 1, score = 2, type = 3}; trainer_spec = 2 {model_type = 3} */
    static const char nul[] = "\x0A\x05\x0A\x03"
                              "a\0b",
                      nan[] = "\x0A\x08\x0A\x01"
                              "a\x15\x00\x00\xC0\x7F",
                      word[] = "\x0A\x03\x0A\x01"
                               "a\x12\x02\x18\x03",
                      no_unknown[] = "\x0A\x03\x0A\x01"
                                     "a",
                      group[] = "\x0B\x0C";

    (void)state;
    model_refused("nul", nul, sizeof nul - 1, PRILORA_EFORMAT, "with a NUL");
    model_refused("nan", nan, sizeof nan - 1, PRILORA_EFORMAT, "not finite");
    model_refused("words", word, sizeof word - 1, PRILORA_EUNSUPPORTED, "model type 3");
    model_refused("unknown", no_unknown, sizeof no_unknown - 1, PRILORA_EFORMAT,
                  "0 pieces for what is unknown");
    model_refused("group", group, sizeof group - 1, PRILORA_EFORMAT, "a broken field");
}

/* What only the library sees is refused before the first text, each time. */
static void a_model_that_the_library_refuses_encodes_nothing(void **state)
{
    static const char twice[] = "\x0A\x05\x0A\x01u\x18\x02\x0A\x03\x0A\x01"
                                "a\x0A\x03\x0A\x01"
                                "a";
    struct prilora_error err = {0};
    struct pl_ids ids = {0};
    struct pl_tokenizer *t;

    (void)state;
    assert_int_equal(mkdir(test_scratch_path("twice"), 0700), 0);
    test_scratch_write("twice/spm.model", twice, sizeof twice - 1);
    t = test_tokenizer(test_scratch_path("twice"));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pl_tokenizer_prepare(t, &err), PRILORA_EFORMAT);
        assert_non_null(strstr(err.message, "twice/spm.model: SentencePiece refuses it"));
        assert_int_equal(pl_tokenizer_encode(t, &ids, "a", 1, NULL, 0, 0, NULL, &err),
                         PRILORA_EFORMAT);
        assert_int_equal(ids.n, 0);
    }
    pl_ids_free(&ids);
    pl_tokenizer_close(t);
}

/* ---- threads -------------------------------------------------------------------------------- */

static void *encode_often(void *context)
{
    static const char text[] = "The quick brown fox [MASK] jumps over the lazy dog.";
    struct pl_tokenizer *t = context;
    struct pl_ids first = encode(t, text, strlen(text));
    void *result = t;

    for (int i = 0; i < 200; i++) {
        struct pl_ids again = encode(t, text, strlen(text));

        if (again.n != first.n || memcmp(again.ids, first.ids, first.n * sizeof *first.ids) != 0)
            result = NULL;
        pl_ids_free(&again);
    }
    pl_ids_free(&first);
    return result;
}

static void several_threads_encode_at_once(void **state)
{
    struct pl_tokenizer *t = test_tokenizer(SMALL);
    pthread_t threads[3];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, encode_often, t), 0);
    for (size_t i = 0; i < 3; i++) {
        void *result = NULL;

        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, t);
    }
    pl_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_small_base_tokenizes_all_270_lines_as_hugging_face),
        cmocka_unit_test(deberta_v3_tokenizes_all_740_lines_as_hugging_face),
        cmocka_unit_test(bert_base_uncased_tokenizes_all_740_lines_as_hugging_face),
        cmocka_unit_test(roberta_base_tokenizes_all_740_lines_as_hugging_face),
        cmocka_unit_test(the_vocabulary_counts_the_mask),
        cmocka_unit_test(invalid_utf8_is_read_as_the_replacement_character),
        cmocka_unit_test(utf8_is_checked_against_every_code_point),
        cmocka_unit_test(a_nul_in_the_text_is_a_character_like_others),
        cmocka_unit_test(an_empty_text_has_only_its_special_tokens),
        cmocka_unit_test(examples_are_appended_and_a_failure_leaves_the_list_as_it_was),
        cmocka_unit_test(max_length_must_leave_room_for_text),
        cmocka_unit_test(a_folder_without_a_tokenizer_is_told_so),
        cmocka_unit_test(options_that_are_not_done_are_refused),
        cmocka_unit_test(broken_token_files_are_refused),
        cmocka_unit_test(an_added_token_has_the_id_and_the_stripping_of_its_files),
        cmocka_unit_test(a_model_cut_short_or_empty_is_refused),
        cmocka_unit_test(a_normalisation_table_that_points_outside_is_refused),
        cmocka_unit_test(hostile_pieces_are_refused),
        cmocka_unit_test(a_model_that_the_library_refuses_encodes_nothing),
        cmocka_unit_test(several_threads_encode_at_once),
    };

    return cmocka_run_group_tests_name("tokenizer", tests, test_scratch_open, test_scratch_close);
}
