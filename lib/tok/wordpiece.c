/*
 * wordpiece.c - BERT's kind of tokenizer: vocab.txt, or tokenizer.json with a WordPiece model.
 *
 * A word becomes the longest token that it begins with, then, of the rest, the longest that
 * continues a word ("##" before it), and so on; where none fits, the whole word is unknown.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "tok/bert_text.h"
#include "tok/kind.h"
#include "tok/vocab.h"

#define MAX_PREFIX 16

struct wordpiece {
    struct pl_vocab vocab;
    struct pl_bert_options options;
    char prefix[MAX_PREFIX + 1]; /* of a token that continues a word */
    uint64_t continued;          /* the hash after it */
    int32_t unknown;
    size_t max_characters; /* longer words are unknown */
};

static void wordpiece_close(void *state)
{
    struct wordpiece *wp = state;

    if (wp)
        pl_vocab_free(&wp->vocab);
    free(wp);
}

/* ---- opening -------------------------------------------------------------------------------- */

/* A member that is true, false, or null and absent for `otherwise`. */
static bool flag(const json_t *object, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(object, key);

    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

/* Both spellings: of tokenizer_config.json, and of tokenizer.json's BertNormalizer. */
static void read_options(struct pl_bert_options *options, const json_t *object, const char *lower,
                         const char *chinese)
{
    options->lower_case = flag(object, lower, options->lower_case);
    options->chinese_chars = flag(object, chinese, options->chinese_chars);
}

static enum prilora_status refuse(const struct pl_source *source, const char *what,
                                  struct prilora_error *err)
{
    return pl_fail(err, PRILORA_EUNSUPPORTED, "%s/%s: not supported", source->folder, what);
}

/* Words that the slow tokenizer would leave whole. That special tokens are whole is so anyway. */
static enum prilora_status check_config(const struct pl_source *source, struct prilora_error *err)
{
    const json_t *kept = json_object_get(source->config, "never_split");
    const json_t *basic = json_object_get(source->config, "do_basic_tokenize");

    for (size_t i = 0; i < json_array_size(kept); i++) {
        const char *word = json_string_value(json_array_get(kept, i));
        int role = 0;

        while (word && role < PL_N_ROLES &&
               strcmp(word, pl_source_token(source, (enum pl_role)role)) != 0)
            role++;
        if (!word || role == PL_N_ROLES)
            return refuse(source,
                          "tokenizer_config.json: never_split names other than special tokens",
                          err);
    }
    if (json_is_false(basic))
        return refuse(source, "tokenizer_config.json: do_basic_tokenize is false", err);
    return PRILORA_OK;
}

static bool has_type(const json_t *object, const char *type)
{
    const char *found = json_string_value(json_object_get(object, "type"));

    return found && strcmp(found, type) == 0;
}

/* tokenizer.json but for its vocabulary. */
static enum prilora_status read_whole(struct wordpiece *wp, const struct pl_source *source,
                                      struct prilora_error *err)
{
    const json_t *model = json_object_get(source->whole, "model");
    const json_t *normalizer = json_object_get(source->whole, "normalizer");
    const json_t *prefix = json_object_get(model, "continuing_subword_prefix");
    const json_t *longest = json_object_get(model, "max_input_chars_per_word");

    if (!has_type(json_object_get(source->whole, "pre_tokenizer"), "BertPreTokenizer"))
        return refuse(source, "tokenizer.json: a pre_tokenizer that is no BertPreTokenizer", err);
    wp->options = (struct pl_bert_options){0};
    if (has_type(normalizer, "BertNormalizer")) {
        wp->options = (struct pl_bert_options){true, true, false, true};
        wp->options.clean_text = flag(normalizer, "clean_text", true);
        read_options(&wp->options, normalizer, "lowercase", "handle_chinese_chars");
    } else if (json_is_object(normalizer)) {
        return refuse(source, "tokenizer.json: a normalizer that is no BertNormalizer", err);
    }
    wp->options.strip_accents = flag(normalizer, "strip_accents", wp->options.lower_case);
    if (json_string_length(prefix) > MAX_PREFIX)
        return refuse(source, "tokenizer.json: a continuing_subword_prefix above 16 bytes", err);
    if (json_is_string(prefix))
        snprintf(wp->prefix, sizeof wp->prefix, "%s", json_string_value(prefix));
    if (json_is_integer(longest) && json_integer_value(longest) >= 0)
        wp->max_characters = (size_t)json_integer_value(longest);
    return pl_vocab_read_json(&wp->vocab, json_object_get(model, "vocab"),
                              "tokenizer.json: model.vocab", err);
}

static enum prilora_status read_vocabulary(struct wordpiece *wp, const struct pl_source *source,
                                           struct prilora_error *err)
{
    enum prilora_status rc;
    char *path;

    if (source->whole)
        return read_whole(wp, source, err);
    path = pl_file_join(source->folder, "vocab.txt");
    rc = path ? pl_vocab_read_lines(&wp->vocab, path, source->digest, err)
              : pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", source->folder);
    free(path);
    return rc;
}

static enum prilora_status find_unknown(struct wordpiece *wp, const struct pl_source *source,
                                        struct prilora_error *err)
{
    const char *unknown =
        json_string_value(json_object_get(json_object_get(source->whole, "model"), "unk_token"));

    if (!unknown)
        unknown = pl_source_token(source, PL_ROLE_UNK);
    wp->unknown = pl_vocab_find(&wp->vocab, unknown, strlen(unknown));
    if (wp->unknown >= 0)
        return PRILORA_OK;
    return pl_fail(err, PRILORA_EFORMAT, "%s: the vocabulary has no \"%s\" for what is unknown",
                   source->folder, unknown);
}

static enum prilora_status wordpiece_open(void **state, const struct pl_source *source,
                                          struct prilora_error *err)
{
    struct wordpiece *wp = pl_calloc(1, sizeof *wp);
    enum prilora_status rc;

    *state = NULL;
    if (!wp)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", source->folder);
    *wp = (struct wordpiece){.options = {true, true, true, true}, .prefix = "##"};
    wp->max_characters = 100;
    rc = check_config(source, err);
    if (rc == PRILORA_OK)
        rc = read_vocabulary(wp, source, err);
    if (rc == PRILORA_OK)
        rc = find_unknown(wp, source, err);
    if (rc != PRILORA_OK) {
        wordpiece_close(wp);
        return rc;
    }
    read_options(&wp->options, source->config, "do_lower_case", "tokenize_chinese_chars");
    if (!source->whole)
        wp->options.strip_accents = wp->options.lower_case;
    wp->options.strip_accents = flag(source->config, "strip_accents", wp->options.strip_accents);
    wp->continued = wp->vocab.start;
    for (const char *p = wp->prefix; *p; p++)
        wp->continued = pl_vocab_hash(&wp->vocab, wp->continued, *p);
    *state = wp;
    return PRILORA_OK;
}

static size_t wordpiece_size(const void *state)
{
    return ((const struct wordpiece *)state)->vocab.size;
}

static size_t wordpiece_bytes(const void *state, bool prepared)
{
    (void)prepared;
    return pl_vocab_bytes(&((const struct wordpiece *)state)->vocab);
}

static int32_t wordpiece_find(const void *state, const char *token, size_t size)
{
    return pl_vocab_find(&((const struct wordpiece *)state)->vocab, token, size);
}

static enum prilora_status wordpiece_prepare(void *state, struct prilora_error *err)
{
    (void)state;
    (void)err;
    return PRILORA_OK;
}

/* ---- encoding ------------------------------------------------------------------------------- */

struct encoding {
    const struct wordpiece *wp;
    struct pl_ids *out;
};

/* The longest token that text[0..size) begins with; *taken bytes. -1: none. */
static int32_t longest_token(const struct wordpiece *wp, bool first, const char *text, size_t size,
                             size_t *taken)
{
    const char *prefix = first ? "" : wp->prefix;
    const size_t n_prefix = strlen(prefix);
    uint64_t hashes[PL_VOCAB_MAX_TOKEN + 1];
    size_t n = size;

    if (wp->vocab.longest < n_prefix)
        return -1;
    if (n > wp->vocab.longest - n_prefix)
        n = wp->vocab.longest - n_prefix;
    hashes[0] = first ? wp->vocab.start : wp->continued;
    for (size_t i = 0; i < n; i++)
        hashes[i + 1] = pl_vocab_hash(&wp->vocab, hashes[i], text[i]);
    for (; n > 0; n--) {
        int32_t id;

        if (n < size && ((unsigned char)text[n] & 0xC0) == 0x80)
            continue; /* within a character */
        id = pl_vocab_find_hashed(&wp->vocab, hashes[n], prefix, n_prefix, text, n);
        *taken = n;
        if (id >= 0)
            return id;
    }
    return -1;
}

/* A token of word[at..end). */
static bool add_token(struct pl_ids *out, int32_t id, const struct pl_bert_word *word, size_t at,
                      size_t end)
{
    if (!pl_ids_add(out, &id, 1, 0))
        return false;
    if (word->sources)
        out->spans[out->n - 1] =
            (struct pl_span){word->sources[at].begin, word->sources[end - 1].end};
    return true;
}

static enum prilora_status take_word(void *context, const struct pl_bert_word *word,
                                     struct prilora_error *err)
{
    const struct encoding *e = context;
    const size_t start = e->out->n;
    bool known = word->characters <= e->wp->max_characters, room = true;

    for (size_t at = 0, taken = 0; known && room && at < word->size; at += taken) {
        const int32_t id = longest_token(e->wp, at == 0, word->text + at, word->size - at, &taken);

        known = id >= 0;
        room = !known || add_token(e->out, id, word, at, at + taken);
    }
    if (!known) {
        e->out->n = start;
        room = add_token(e->out, e->wp->unknown, word, 0, word->size);
    }
    if (!room)
        return pl_fail(err, PRILORA_ENOMEM, "tokenizer: out of memory for %zu tokens", e->out->n);
    return PRILORA_OK;
}

static enum prilora_status wordpiece_encode(const void *state, struct pl_ids *out, const char *text,
                                            size_t size, bool is_word, struct prilora_error *err)
{
    const struct wordpiece *wp = state;
    struct encoding e = {wp, out};

    (void)is_word; /* spaces are nothing but ends of words */
    return pl_bert_words(&wp->options, text, size, out->located, take_word, &e, err);
}

const struct pl_tokenizer_kind pl_tokenizer_wordpiece = {
    .model = "WordPiece",
    .normalizes = true,
    .refused = "",
    .open = wordpiece_open,
    .close = wordpiece_close,
    .size = wordpiece_size,
    .bytes = wordpiece_bytes,
    .find = wordpiece_find,
    .prepare = wordpiece_prepare,
    .encode = wordpiece_encode,
};
