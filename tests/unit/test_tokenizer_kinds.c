/*
 * test_tokenizer_kinds.c - which tokenizer a folder has, and what WordPiece, byte-level BPE and
 * fairseq's numbering make of small vocabularies; broken and hostile files. The ids follow from the
 * algorithms as they are published; whole vocabularies are compared with Hugging Face's in
 * test_tokenizer.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "support/scratch.h"
#include "support/tokens.h"
#include "tok/tokenizer.h"

#define BERT    "../shared/reference/tokenizers/bert-base-uncased"
#define ROBERTA "../shared/reference/tokenizers/roberta-base"

static void put(const char *folder, const char *file, const char *data, size_t size)
{
    char name[300];

    snprintf(name, sizeof name, "%s/%s", folder, file);
    test_scratch_write(name, data, size);
}

/* A fresh folder with up to three files, name and text in turn; NULL ends the list. */
static const char *folder_of(const char *name, const char *const *files)
{
    assert_int_equal(mkdir(test_scratch_path(name), 0700), 0);
    for (; files[0]; files += 2)
        put(name, files[0], files[1], strlen(files[1]));
    return test_scratch_path(name);
}

#define FILES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void refused(const char *folder, enum prilora_status status, const char *words)
{
    struct prilora_error err = {0};
    struct pl_tokenizer *t = NULL;
    enum prilora_status rc = pl_tokenizer_open(&t, folder, &err);

    assert_null(t);
    if (rc != status || !strstr(err.message, words))
        fail_msg("%s \"%s\" does not say \"%s\"", prilora_status_name(rc), err.message, words);
}

/* The same tokens come out bare, with their places. */
static void assert_located(const struct pl_tokenizer *t, const char *text, const struct pl_ids *ids)
{
    struct pl_ids bare = {.located = true};

    assert_int_equal(pl_tokenizer_encode_bare(t, &bare, text, strlen(text), NULL), PRILORA_OK);
    assert_int_equal(bare.n + 2, ids->n);
    for (size_t i = 0; i < bare.n; i++) {
        assert_int_equal(bare.ids[i], ids->ids[i + 1]);
        assert_in_range(bare.spans[i].end, bare.spans[i].begin, strlen(text));
    }
    pl_ids_free(&bare);
}

/* The ids of a text as numbers with spaces between. */
static const char *ids_of(const struct pl_tokenizer *t, const char *text, const char *pair,
                          size_t max_length)
{
    static char line[4096];
    struct pl_ids ids = {0};
    size_t n = 0;

    assert_int_equal(pl_tokenizer_encode(t, &ids, text, strlen(text), pair, pair ? strlen(pair) : 0,
                                         max_length, NULL, NULL),
                     PRILORA_OK);
    line[0] = '\0';
    for (size_t i = 0; i < ids.n && n < sizeof line - 16; i++)
        n += (size_t)snprintf(line + n, sizeof line - n, "%s%d", i ? " " : "", (int)ids.ids[i]);
    if (!pair && !max_length)
        assert_located(t, text, &ids);
    pl_ids_free(&ids);
    return line;
}

/* The ids of words, in brackets where a word begins. */
static const char *ids_of_words(const struct pl_tokenizer *t, const char *const *words,
                                size_t max_length, bool *truncated)
{
    static char line[4096];
    struct prilora_word list[8] = {{0}};
    size_t firsts[8], n_words = 0, n = 0, next = 0;
    struct pl_ids ids = {0};

    for (; words[n_words]; n_words++)
        list[n_words] = (struct prilora_word){words[n_words], strlen(words[n_words])};
    assert_int_equal(pl_tokenizer_encode_words(t, &ids, list, n_words, max_length, firsts,
                                               truncated, NULL),
                     PRILORA_OK);
    for (size_t i = 0; i < ids.n; i++) {
        while (next < n_words && firsts[next] == SIZE_MAX)
            next++;
        n += (size_t)snprintf(line + n, sizeof line - n,
                              next < n_words && firsts[next] == i ? "%s[%d]" : "%s%d", i ? " " : "",
                              (int)ids.ids[i]);
        next += next < n_words && firsts[next] == i;
    }
    assert_true(next == n_words || firsts[next] == SIZE_MAX);
    pl_ids_free(&ids);
    return line;
}

static void encodes(const struct pl_tokenizer *t, const char *text, const char *want)
{
    assert_string_equal(ids_of(t, text, NULL, 0), want);
}

/* ---- WordPiece ------------------------------------------------------------------------------ */

/* 0 [PAD] 1 [UNK] 2 [CLS] 3 [SEP] 4 [MASK], then from 5 on */
#define SMALL_VOCAB                                                                                  \
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nun\n##aff\n##able\n!\nhello\n中\n国\nHello\né\ne\na\n##" \
    "a\n"

static void a_word_becomes_its_longest_pieces(void **state)
{
    struct pl_tokenizer *t = test_tokenizer(folder_of("pieces", FILES("vocab.txt", SMALL_VOCAB)));

    (void)state;
    encodes(t, "unaffable", "2 5 6 7 3"); /* the example of BERT's own documentation */
    encodes(t, "unaffablex hello", "2 1 9 3");
    encodes(t, "UNAFFABLE!!Hello", "2 5 6 7 8 8 9 3");
    encodes(t, "\xC3\x89 e\xCC\x81 \xC3\xA9", "2 14 14 14 3");
    encodes(t, "中国hello中", "2 10 11 9 10 3");
    encodes(t, "he\xC2\xADllo he\x01llo\thello\xE2\x80\xA8hello", "2 9 9 9 9 3");
    encodes(t, "", "2 3");
    pl_tokenizer_close(t);
}

static void options_change_how_words_are_made(void **state)
{
    static const char *const config[] = {
        "vocab.txt", SMALL_VOCAB, "tokenizer_config.json",
        "{\"do_lower_case\": false, \"tokenize_chinese_chars\": false}", NULL};
    static const char *const accents[] = {"vocab.txt", SMALL_VOCAB, "tokenizer_config.json",
                                          "{\"strip_accents\": false}", NULL};
    struct pl_tokenizer *t = test_tokenizer(folder_of("cased", config));

    (void)state;
    encodes(t, "Hello hello HELLO \xC3\xA9", "2 12 9 1 13 3");
    encodes(t, "中国", "2 1 3");
    pl_tokenizer_close(t);
    t = test_tokenizer(folder_of("accents", accents));
    encodes(t, "\xC3\x89 \xC3\xA9 Hello", "2 13 13 9 3");
    pl_tokenizer_close(t);
}

static void a_word_above_100_characters_is_unknown(void **state)
{
    struct pl_tokenizer *t = test_tokenizer(folder_of("long", FILES("vocab.txt", SMALL_VOCAB)));
    char word[102];
    struct pl_ids ids = {0};

    (void)state;
    memset(word, 'a', 101);
    word[101] = '\0';
    encodes(t, word, "2 1 3");
    assert_int_equal(pl_tokenizer_encode(t, &ids, word, 100, NULL, 0, 0, NULL, NULL), PRILORA_OK);
    assert_int_equal(ids.n, 102);
    pl_ids_free(&ids);
    pl_tokenizer_close(t);
}

static void special_tokens_in_text_are_themselves(void **state)
{
    struct pl_tokenizer *t = test_tokenizer(folder_of("special", FILES("vocab.txt", SMALL_VOCAB)));

    (void)state;
    encodes(t, "hello[SEP]hello [MASK] [sep]", "2 9 3 9 4 1 1 1 3");
    assert_string_equal(ids_of(t, "hello hello hello", "hello hello", 6), "2 9 9 3 9 3");
    pl_tokenizer_close(t);
}

static void a_vocabulary_may_have_holes_and_duplicates(void **state)
{
    /* of equal lines the last one counts; an empty line is an id that no text gets */
    struct pl_tokenizer *t = test_tokenizer(folder_of(
        "holes", FILES("vocab.txt", "[PAD]\r\n[UNK]\r\n[CLS]\na\n\na\n[SEP]\n[MASK]\n\n")));

    (void)state;
    encodes(t, "a b", "2 5 1 6");
    assert_int_equal(pl_tokenizer_vocabulary(t), 9);
    pl_tokenizer_close(t);
}

static void broken_vocabularies_are_refused(void **state)
{
    const size_t size = 10 << 20;
    char *line = malloc(size);

    (void)state;
    assert_non_null(line);
    memset(line, 'a', size);
    folder_of("wide", FILES("vocab.txt", ""));
    put("wide", "vocab.txt", line, size);
    refused(test_scratch_path("wide"), PRILORA_ELIMIT, "line 1: a token of 10485760 bytes");
    memset(line, '\n', size);
    put("wide", "vocab.txt", line, size);
    refused(test_scratch_path("wide"), PRILORA_EFORMAT, "has no \"[UNK]\"");
    free(line);
    put("wide", "vocab.txt", "[UNK]\nx\xFFy\n", 10);
    refused(test_scratch_path("wide"), PRILORA_EFORMAT, "line 2: not UTF-8");
    put("wide", "vocab.txt", "", 0);
    refused(test_scratch_path("wide"), PRILORA_EFORMAT, "no tokens");
    put("wide", "vocab.txt", "[UNK]\n\0\n[CLS]", 13);
    pl_tokenizer_close(test_tokenizer(test_scratch_path("wide")));
    put("wide", "tokenizer_config.json", "{\"never_split\": [\"x\"]}", 22);
    refused(test_scratch_path("wide"), PRILORA_EUNSUPPORTED, "never_split");
    put("wide", "tokenizer_config.json", "{\"do_basic_tokenize\": false}", 28);
    refused(test_scratch_path("wide"), PRILORA_EUNSUPPORTED, "do_basic_tokenize");
}

/* ---- byte-level BPE ------------------------------------------------------------------------- */

/* Ids: 0 <s> 1 <pad> 2 </s> 3 <unk>, byte b is 4 + b, then the words from 260 on, <mask> last. */
static json_t *small_vocabulary(const char *const *words)
{
    json_t *vocab = json_pack("{s:i, s:i, s:i, s:i}", "<s>", 0, "<pad>", 1, "</s>", 2, "<unk>", 3);
    int hidden = 0, id = 4;

    /* GPT-2's table as OpenAI published it: visible bytes stand for themselves, others follow */
    for (int b = 0; b < 256; b++, id++) {
        const int seen = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        const int c = seen ? b : 256 + hidden++;
        char text[3] = {(char)c};

        if (c >= 0x80) {
            text[0] = (char)(0xC0 | c >> 6);
            text[1] = (char)(0x80 | (c & 0x3F));
        }
        json_object_set_new(vocab, text, json_integer(id));
    }
    for (; *words; words++)
        json_object_set_new(vocab, *words, json_integer(id++));
    json_object_set_new(vocab, "<mask>", json_integer(id));
    return vocab;
}

/* 260 he 261 ll 262 hell 263 hello 264 Ġw 265 aa 266 aaaa, 267 <mask> */
static const char *const words[] = {"he", "ll", "hell", "hello", "\xC4\xA0w", "aa", "aaaa", NULL};
#define MERGES "#version: 0.2\nh e\nl l\nhe ll\nhell o\n\xC4\xA0 w\na a\naa aa\n"

static const char *bpe_folder(const char *name, const char *merges, const char *config)
{
    json_t *vocab = small_vocabulary(words);
    char *text = json_dumps(vocab, 0);
    const char *files[] = {
        "vocab.json", text, "merges.txt", merges, config ? "tokenizer_config.json" : NULL,
        config,       NULL};
    const char *folder = folder_of(name, files);

    json_decref(vocab);
    free(text);
    return folder;
}

static void merges_join_by_rank_and_from_the_left(void **state)
{
    struct pl_tokenizer *t = test_tokenizer(bpe_folder("bpe", MERGES, NULL));

    (void)state;
    encodes(t, "hello", "0 263 2");
    encodes(t, "hello w w", "0 263 264 264 2");
    encodes(t, "aaaaa", "0 266 101 2"); /* aa aa a, then aaaa a */
    encodes(t, "a  w", "0 101 36 264 2");
    encodes(t, "a  ", "0 101 36 36 2");
    encodes(t, "h's", "0 108 43 119 2");
    encodes(t, "\xC3\xA9\n", "0 199 173 14 2");
    encodes(t, "\xE1\xA0\x8E", "0 229 164 146 2"); /* U+180E is no white space */
    encodes(t, "he <mask> w", "0 260 267 264 2");  /* <mask> takes the space before it */
    encodes(t, "<s> he", "0 0 36 260 2");
    assert_int_equal(pl_tokenizer_vocabulary(t), 268);
    pl_tokenizer_close(t);
}

static void a_pair_has_two_separators_and_no_second_type(void **state)
{
    struct pl_tokenizer *t = test_tokenizer(bpe_folder("pair", MERGES, NULL));
    struct prilora_error err = {0};
    struct pl_ids ids = {0};

    (void)state;
    assert_string_equal(ids_of(t, "hello", "he", 0), "0 263 2 2 260 2");
    assert_string_equal(ids_of(t, "", "", 0), "0 2 2 2");
    assert_string_equal(ids_of(t, "hello w w", "he w w w w", 8), "0 263 264 2 2 260 264 2");
    assert_int_equal(pl_tokenizer_encode(t, &ids, "he", 2, "he", 2, 4, NULL, &err), PRILORA_EINVAL);
    assert_string_equal(err.message, "max_length 4 leaves no room beside 4 special tokens");
    assert_int_equal(pl_tokenizer_encode(t, &ids, "he", 2, "he", 2, 0, NULL, &err), PRILORA_OK);
    for (size_t i = 0; i < ids.n; i++)
        assert_int_equal(ids.type_ids[i], 0);
    pl_ids_free(&ids);
    pl_tokenizer_close(t);
}

static void a_space_is_put_first_where_the_configuration_says_so(void **state)
{
    struct pl_tokenizer *t =
        test_tokenizer(bpe_folder("prefix", MERGES, "{\"add_prefix_space\": true}"));

    (void)state;
    encodes(t, "w w", "0 264 264 2");
    encodes(t, " w", "0 264 2");
    pl_tokenizer_close(t);
}

static void a_megabyte_without_a_space_is_joined_soon(void **state)
{
    struct pl_tokenizer *t = test_tokenizer(bpe_folder("mega", MERGES, NULL));
    struct pl_ids ids = {0};
    char *text = malloc(PL_MAX_TEXT_BYTES);

    (void)state;
    assert_non_null(text);
    memset(text, 'a', PL_MAX_TEXT_BYTES);
    assert_int_equal(pl_tokenizer_encode(t, &ids, text, PL_MAX_TEXT_BYTES, NULL, 0, 0, NULL, NULL),
                     PRILORA_OK);
    assert_int_equal(ids.n, PL_MAX_TEXT_BYTES / 4 + 2);
    assert_int_equal(ids.ids[1], 266);
    ids.n = 0;
    memset(text, ' ', PL_MAX_TEXT_BYTES - 1);
    assert_int_equal(pl_tokenizer_encode(t, &ids, text, PL_MAX_TEXT_BYTES, NULL, 0, 0, NULL, NULL),
                     PRILORA_OK);
    assert_int_equal(ids.n, PL_MAX_TEXT_BYTES + 2); /* the last space is the word's, unmerged */
    pl_ids_free(&ids);
    free(text);
    pl_tokenizer_close(t);
}

static void broken_merges_and_ids_are_refused(void **state)
{
    static const struct {
        const char *name, *merges, *words;
    } cases[] = {
        {"absent", "h e\nh o\n", "merge 2: \"ho\" is not in the vocabulary"},
        {"stranger", "\xE4\xB8\xAD e\n", "is not in the vocabulary"},
        {"three", "#version: 0.2\nh e l\n", "merge 1: is not two tokens and a space"},
        {"one", "he\n", "merge 1: is not two tokens"},
        {"none", " e\n", "merge 1: is not two tokens"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(bpe_folder(cases[i].name, cases[i].merges, NULL), PRILORA_EFORMAT, cases[i].words);
    bpe_folder("ids", MERGES, NULL);
    put("ids", "vocab.json", "{\"a\": 1.5}", 10);
    refused(test_scratch_path("ids"), PRILORA_EFORMAT, "token \"a\" has no id from 0 to");
    put("ids", "vocab.json", "{\"a\": 99999999999}", 18);
    refused(test_scratch_path("ids"), PRILORA_EFORMAT, "token \"a\" has no id from 0 to");
    put("ids", "vocab.json", "{\"a\": 1, \"a\": 2}", 16);
    refused(test_scratch_path("ids"), PRILORA_EFORMAT, "vocab.json: line 1, column");
    put("ids", "vocab.json", "{\"a\\u0000\": 1}", 14);
    refused(test_scratch_path("ids"), PRILORA_EFORMAT, "NUL");
    put("ids", "vocab.json", "{}", 2);
    refused(test_scratch_path("ids"), PRILORA_EFORMAT, "no object from tokens to ids");
}

/* ---- words ---------------------------------------------------------------------------------- */

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void words_are_tokenized_one_by_one(void **state)
{
    struct pl_tokenizer *t = test_tokenizer(folder_of("words", FILES("vocab.txt", SMALL_VOCAB)));
    bool cut;

    (void)state;
    assert_string_equal(ids_of_words(t, WORDS("unaffable!", "hello", "[SEP]"), 0, &cut),
                        "2 [5] 6 7 8 [9] [3] 3");
    assert_false(cut);
    /* of a control character nothing is left, and an empty word is none */
    assert_string_equal(ids_of_words(t, WORDS("\x01", "un", "", "a"), 0, &cut), "2 [5] [15] 3");
    /* the end of a word may be cut off, and then all words behind it */
    assert_string_equal(ids_of_words(t, WORDS("un", "unaffable", "hello"), 5, &cut),
                        "2 [5] [5] 6 3");
    assert_true(cut);
    assert_string_equal(ids_of_words(t, WORDS("un", "hello"), 4, &cut), "2 [5] [9] 3");
    assert_false(cut);
    pl_tokenizer_close(t);
}

/* As Hugging Face asks of RoBERTa: words need add_prefix_space, whatever texts have. */
static void byte_level_words_have_a_space_before_them(void **state)
{
    struct pl_tokenizer *t = test_tokenizer(bpe_folder("spaced", MERGES, NULL));
    bool cut;

    (void)state;
    assert_string_equal(ids_of_words(t, WORDS("hello", "w", "<mask>", "he"), 0, &cut),
                        "0 [36] 263 [264] [267] [36] 260 2");
    encodes(t, "hello", "0 263 2");
    pl_tokenizer_close(t);
}

/* ---- fairseq's numbering -------------------------------------------------------------------- */

/* ModelProto: <unk> <s> </s> _a _b c, where _ is the library's mark of a space */
static const char pieces[] = "\x0A\x09\x0A\x05<unk>\x18\x02"
                             "\x0A\x07\x0A\x03<s>\x18\x03"
                             "\x0A\x08\x0A\x04</s>\x18\x03"
                             "\x0A\x0B\x0A\x04\xE2\x96\x81"
                             "a\x15\x00\x00\x80\xBF"
                             "\x0A\x0B\x0A\x04\xE2\x96\x81"
                             "b\x15\x00\x00\x80\xBF"
                             "\x0A\x08\x0A\x01"
                             "c\x15\x00\x00\x80\xBF";

static struct pl_tokenizer *open_pieces(const char *name, const char *config)
{
    const char *folder = folder_of(name, FILES("config.json", config));

    put(name, "sentencepiece.bpe.model", pieces, sizeof pieces - 1);
    return test_tokenizer(folder);
}

static void xlm_roberta_moves_every_piece_up_by_one(void **state)
{
    struct pl_tokenizer *t = open_pieces("xlm", "{\"model_type\": \"xlm-roberta\"}");
    bool cut;

    (void)state;
    encodes(t, "a bc", "0 4 5 6 2");
    encodes(t, "z", "0 3 2");
    encodes(t, "a <mask> b<pad></s>", "0 4 7 5 1 2 2");
    assert_string_equal(ids_of(t, "a", "b", 0), "0 4 2 2 5 2");
    assert_string_equal(ids_of_words(t, WORDS("a", "bc", "z"), 0, &cut), "0 [4] [5] 6 [3] 2");
    assert_int_equal(pl_tokenizer_vocabulary(t), 8);
    pl_tokenizer_close(t);
}

static void camembert_moves_every_piece_up_by_four(void **state)
{
    struct pl_tokenizer *t = open_pieces("camembert", "{\"model_type\": \"camembert\"}");

    (void)state;
    /* <s> and </s> are 5 and 6, as camembert-base's config.json has them; <mask> is last */
    encodes(t, "a bc", "5 7 8 9 6");
    encodes(t, "z<mask><s>NOTUSED<unk>NOTUSED", "5 3 10 0 4 6");
    assert_string_equal(ids_of(t, "a", "b", 0), "5 7 6 6 8 6");
    assert_int_equal(pl_tokenizer_vocabulary(t), 11);
    pl_tokenizer_close(t);
}

static void an_unknown_piece_elsewhere_is_refused(void **state)
{
    static const char moved[] = "\x0A\x03\x0A\x01"
                                "c\x0A\x09\x0A\x05<unk>\x18\x02";

    (void)state;
    folder_of("moved", FILES("config.json", "{\"model_type\": \"xlm-roberta\"}"));
    put("moved", "sentencepiece.bpe.model", moved, sizeof moved - 1);
    refused(test_scratch_path("moved"), PRILORA_EUNSUPPORTED, "what is unknown is piece 1");
}

/* ---- tokenizer.json alone ------------------------------------------------------------------- */

static void all_lines_equal(const char *folder, const char *lines)
{
    struct pl_tokenizer *t = test_tokenizer(folder);
    FILE *file = fopen(lines, "r");
    char *line = NULL;
    size_t room = 0, n = 0;

    assert_non_null(file);
    while (getline(&line, &room, file) > 0) {
        json_t *o = json_loads(line, JSON_ALLOW_NUL, NULL), *want = json_object_get(o, "ids");
        const json_t *text = json_object_get(o, "text"), *pair = json_object_get(o, "pair");
        const json_t *types = json_object_get(o, "type_ids");
        struct pl_ids ids = {0};

        n++;
        assert_int_equal(
            pl_tokenizer_encode(t, &ids, json_string_value(text), json_string_length(text),
                                json_string_value(pair), json_string_length(pair),
                                (size_t)json_integer_value(json_object_get(o, "max_length")), NULL,
                                NULL),
            PRILORA_OK);
        if (ids.n != json_array_size(want))
            fail_msg("%s:%zu", lines, n);
        for (size_t i = 0; i < ids.n; i++) {
            if (ids.ids[i] != json_integer_value(json_array_get(want, i)))
                fail_msg("%s:%zu", lines, n);
            if (types && ids.type_ids[i] != json_integer_value(json_array_get(types, i)))
                fail_msg("%s:%zu", lines, n);
        }
        pl_ids_free(&ids);
        json_decref(o);
    }
    free(line);
    fclose(file);
    pl_tokenizer_close(t);
    assert_int_equal(n, 740);
}

static void bert_from_tokenizer_json_alone_gives_all_740_lines(void **state)
{
    char *text;
    size_t size;

    (void)state;
    if (access(BERT "/expected.jsonl", R_OK) != 0)
        skip();
    text = test_file(BERT "/tokenizer.json", &size);
    folder_of("bert", FILES("tokenizer.json", text));
    free(text);
    all_lines_equal(test_scratch_path("bert"), BERT "/expected.jsonl");
}

/* As roberta-base has it, around its own vocabulary and merges. */
static json_t *roberta_json(json_t *vocab, const char *merges)
{
    json_t *list = json_array();

    while (merges && *merges) {
        const size_t n = strcspn(merges, "\n");

        if (n && merges[0] != '#')
            json_array_append_new(list, json_stringn(merges, n));
        merges += n + (merges[n] == '\n');
    }
    return json_pack(
        "{s:s, s:n, s:n, s:[{s:O, s:s, s:b, s:b, s:b, s:b, s:b}], s:n, s:{s:s, s:b, s:b},"
        " s:{s:s, s:[s,i], s:[s,i], s:b, s:b}, s:{s:s, s:n, s:n, s:s, s:s, s:b, s:o, s:o}}",
        "version", "1.0", "truncation", "padding", "added_tokens", "id",
        json_object_get(vocab, "<mask>"), "content", "<mask>", "single_word", 0, "lstrip", 1,
        "rstrip", 0, "normalized", 0, "special", 1, "normalizer", "pre_tokenizer", "type",
        "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "post_processor", "type",
        "RobertaProcessing", "sep", "</s>", 2, "cls", "<s>", 0, "trim_offsets", 1,
        "add_prefix_space", 0, "model", "type", "BPE", "dropout", "unk_token",
        "continuing_subword_prefix", "", "end_of_word_suffix", "", "fuse_unk", 0, "vocab", vocab,
        "merges", list);
}

/* A folder with that tokenizer.json, one place of it set to something else (taken over). */
static const char *json_folder(const char *name, const char *at, const char *member, json_t *value)
{
    json_t *whole = roberta_json(small_vocabulary(words), MERGES);
    char *text;
    const char *folder;

    if (member)
        json_object_set_new(at ? json_object_get(whole, at) : whole, member, value);
    text = json_dumps(whole, 0);
    folder = folder_of(name, FILES("tokenizer.json", text));
    free(text);
    json_decref(whole);
    return folder;
}

static void roberta_from_tokenizer_json_alone_gives_all_740_lines(void **state)
{
    char *merges, *text;
    size_t size;
    json_t *whole;
    static const char *const specials[] = {"<s>", "<pad>", "</s>", "<unk>"};

    (void)state;
    if (access(ROBERTA "/expected.jsonl", R_OK) != 0)
        skip();
    merges = test_file(ROBERTA "/merges.txt", &size);
    whole = roberta_json(json_load_file(ROBERTA "/vocab.json", 0, NULL), merges);
    for (int i = 0; i < 4; i++)
        json_array_append_new(json_object_get(whole, "added_tokens"),
                              json_pack("{s:i, s:s}", "id", i, "content", specials[i]));
    text = json_dumps(whole, 0);
    folder_of("roberta", FILES("tokenizer.json", text));
    free(merges);
    free(text);
    json_decref(whole);
    all_lines_equal(test_scratch_path("roberta"), ROBERTA "/expected.jsonl");
}

static void tokenizer_json_alone_is_read(void **state)
{
    struct pl_tokenizer *t = test_tokenizer(json_folder("alone", NULL, NULL, NULL));

    (void)state;
    encodes(t, "hello <mask> w", "0 263 267 264 2");
    assert_string_equal(ids_of(t, "hello", "he", 0), "0 263 2 2 260 2");
    assert_int_equal(pl_tokenizer_vocabulary(t), 268);
    pl_tokenizer_close(t);
}

static void the_post_processor_may_stand_in_a_sequence(void **state)
{
    json_t *sequence =
        json_pack("{s:s, s:[{s:s, s:[s,i], s:[s,i]}, {s:s}]}", "type", "Sequence", "processors",
                  "type", "BertProcessing", "sep", "</s>", 2, "cls", "<s>", 0, "type", "ByteLevel");
    struct pl_tokenizer *t = test_tokenizer(json_folder("seq", NULL, "post_processor", sequence));

    (void)state;
    assert_string_equal(ids_of(t, "hello", "he", 0), "0 263 2 260 2");
    pl_tokenizer_close(t);
}

static void what_tokenizer_json_asks_and_is_not_done_is_refused_by_name(void **state)
{
    struct {
        const char *name, *at, *member;
        json_t *value;
        const char *words;
    } cases[] = {
        {"r0", "model", "type", json_string("Unigram"), "spm.model or sentencepiece.bpe.model"},
        {"r1", "model", "type", json_string("WordLevel"), "type \"WordLevel\""},
        {"r2", "model", "byte_fallback", json_true(), "model.byte_fallback"},
        {"r3", "model", "ignore_merges", json_true(), "model.ignore_merges"},
        {"r4", "model", "end_of_word_suffix", json_string("</w>"), "model.end_of_word_suffix"},
        {"r5", "model", "dropout", json_real(0.1), "model.dropout"},
        {"r6", "pre_tokenizer", "type", json_string("Whitespace"), "no ByteLevel"},
        {"r7", "pre_tokenizer", "use_regex", json_false(), "regular expression"},
        {"r8", NULL, "normalizer", json_pack("{s:s}", "type", "NFC"), "normalizer"},
        {"r9", "post_processor", "type", json_string("Other"), "post_processor of type \"Other\""},
        {"r10", NULL, "post_processor", json_null(), "post_processor of type \"(none)\""},
        {"r11", "post_processor", "type", json_string("ByteLevel"), "adds no special tokens"},
        {"r12", "post_processor", "type", json_string("TemplateProcessing"), "a template other"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(json_folder(cases[i].name, cases[i].at, cases[i].member, cases[i].value),
                PRILORA_EUNSUPPORTED, cases[i].words);
}

static void broken_tokenizer_json_is_refused(void **state)
{
    char *deep = malloc(1 << 20);

    (void)state;
    refused(json_folder("b0", "model", "merges", json_integer(7)), PRILORA_EFORMAT, "is no list");
    refused(json_folder("b1", "model", "merges", json_pack("[[s]]", "a")), PRILORA_EFORMAT,
            "merge 1: is not two tokens");
    refused(json_folder("b2", "model", "vocab", json_array()), PRILORA_EFORMAT, "model.vocab");
    refused(json_folder("b3", "post_processor", "sep", json_pack("[s,i]", "</s>", 400)),
            PRILORA_EFORMAT, "the vocabulary ends at 268");
    refused(json_folder("b4", NULL, "added_tokens",
                        json_pack("[{s:s, s:i}]", "content", "x", "id", 7)),
            PRILORA_EFORMAT, "another token's");
    assert_non_null(deep);
    memset(deep, '[', 1 << 20);
    memcpy(deep, "{\"model\":", 9);
    folder_of("b5", FILES("tokenizer.json", ""));
    put("b5", "tokenizer.json", deep, 1 << 20);
    refused(test_scratch_path("b5"), PRILORA_EFORMAT, "maximum parsing depth");
    free(deep);
}

/* ---- which tokenizer ------------------------------------------------------------------------ */

static void the_class_goes_before_the_model_and_the_model_before_the_files(void **state)
{
    struct pl_tokenizer *t;

    (void)state;
    t = test_tokenizer(folder_of(
        "class", FILES("vocab.txt", SMALL_VOCAB, "config.json", "{\"model_type\": \"roberta\"}",
                       "tokenizer_config.json", "{\"tokenizer_class\": \"BertTokenizerFast\"}")));
    encodes(t, "hello", "2 9 3");
    pl_tokenizer_close(t);
    refused(folder_of("model", FILES("vocab.txt", SMALL_VOCAB, "config.json",
                                     "{\"model_type\": \"roberta\"}")),
            PRILORA_ENOENT, "roberta needs vocab.json and merges.txt, or tokenizer.json");
    refused(folder_of("t5", FILES("vocab.txt", SMALL_VOCAB, "tokenizer_config.json",
                                  "{\"tokenizer_class\": \"T5Tokenizer\"}")),
            PRILORA_EUNSUPPORTED, "BertTokenizer");
    t = test_tokenizer(folder_of("any", FILES("vocab.txt", SMALL_VOCAB, "config.json",
                                              "{\"model_type\": \"unheard-of\"}")));
    encodes(t, "hello", "2 9 3");
    pl_tokenizer_close(t);
}

static void an_added_token_that_is_normalised_is_refused(void **state)
{
    (void)state;
    refused(folder_of("normalized",
                      FILES("vocab.txt", SMALL_VOCAB, "tokenizer_config.json",
                            "{\"added_tokens_decoder\": {\"17\": {\"content\": \"X\", "
                            "\"normalized\": true, \"special\": false}}}")),
            PRILORA_EUNSUPPORTED, "normalized");
}

static void the_fingerprint_follows_every_file_that_is_read(void **state)
{
    static const char *const changed[] = {"vocab.json", "merges.txt", "tokenizer_config.json"};
    struct pl_tokenizer *t = test_tokenizer(bpe_folder("print", MERGES, "{}"));
    char before[65];
    size_t size;

    (void)state;
    snprintf(before, sizeof before, "%s", pl_tokenizer_fingerprint(t));
    pl_tokenizer_close(t);
    for (size_t i = 0; i < 3; i++) {
        char path[300], *text;

        snprintf(path, sizeof path, "%s/%s", test_scratch_path("print"), changed[i]);
        text = test_file(path, &size);
        text[size] = '\n'; /* in the place of the NUL */
        put("print", changed[i], text, size + 1);
        free(text);
        t = test_tokenizer(test_scratch_path("print"));
        assert_string_not_equal(before, pl_tokenizer_fingerprint(t));
        snprintf(before, sizeof before, "%s", pl_tokenizer_fingerprint(t));
        pl_tokenizer_close(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_becomes_its_longest_pieces),
        cmocka_unit_test(options_change_how_words_are_made),
        cmocka_unit_test(a_word_above_100_characters_is_unknown),
        cmocka_unit_test(special_tokens_in_text_are_themselves),
        cmocka_unit_test(a_vocabulary_may_have_holes_and_duplicates),
        cmocka_unit_test(broken_vocabularies_are_refused),
        cmocka_unit_test(merges_join_by_rank_and_from_the_left),
        cmocka_unit_test(a_pair_has_two_separators_and_no_second_type),
        cmocka_unit_test(a_space_is_put_first_where_the_configuration_says_so),
        cmocka_unit_test(words_are_tokenized_one_by_one),
        cmocka_unit_test(byte_level_words_have_a_space_before_them),
        cmocka_unit_test(a_megabyte_without_a_space_is_joined_soon),
        cmocka_unit_test(broken_merges_and_ids_are_refused),
        cmocka_unit_test(xlm_roberta_moves_every_piece_up_by_one),
        cmocka_unit_test(camembert_moves_every_piece_up_by_four),
        cmocka_unit_test(an_unknown_piece_elsewhere_is_refused),
        cmocka_unit_test(bert_from_tokenizer_json_alone_gives_all_740_lines),
        cmocka_unit_test(roberta_from_tokenizer_json_alone_gives_all_740_lines),
        cmocka_unit_test(tokenizer_json_alone_is_read),
        cmocka_unit_test(the_post_processor_may_stand_in_a_sequence),
        cmocka_unit_test(what_tokenizer_json_asks_and_is_not_done_is_refused_by_name),
        cmocka_unit_test(broken_tokenizer_json_is_refused),
        cmocka_unit_test(the_class_goes_before_the_model_and_the_model_before_the_files),
        cmocka_unit_test(an_added_token_that_is_normalised_is_refused),
        cmocka_unit_test(the_fingerprint_follows_every_file_that_is_read),
    };

    return cmocka_run_group_tests_name("tokenizer_kinds", tests, test_scratch_open,
                                       test_scratch_close);
}
