/*
 * bpe_open.c - a byte-level BPE out of vocab.json with merges.txt, or of tokenizer.json. In those
 * files a byte stands as one printable character.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "tok/bpe.h"
#include "tok/json_file.h"

/* White space is Unicode's property, which PCRE2's own \s is not quite. */
#define SPACES                                                                                     \
    "\\t-\\r "                                                                                     \
    "\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define WORDS                                                                                      \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" SPACES "\\p{L}\\p{N}]+|[" SPACES            \
    "]+(?![^" SPACES "])|[" SPACES "]+"

#define MAX_MERGES ((size_t)1 << 22)

void pl_bpe_close(void *state)
{
    struct bpe *bpe = state;

    if (!bpe)
        return;
    pl_vocab_free(&bpe->vocab);
    pl_merges_close(&bpe->merges);
    pcre2_code_free(bpe->words);
    free(bpe);
}

/* The character that stands for a byte: itself if it can be seen, else the next from U+0100 on. */
static void find_bytes(struct bpe *bpe)
{
    uint32_t next = 0x100;

    for (uint32_t b = 0; b < 256; b++) {
        const bool seen = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b != 0xAD);
        const uint32_t c = seen ? b : next++;
        const char text[2] = {(char)(c < 0x80 ? c : 0xC0 | c >> 6), (char)(0x80 | (c & 0x3F))};

        bpe->bytes[b] = pl_vocab_find(&bpe->vocab, text, c < 0x80 ? 1 : 2);
    }
}

static enum prilora_status no_memory(const struct pl_source *source, struct prilora_error *err)
{
    return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", source->folder);
}

/* left and right, in the vocabulary, join to what stands there too. */
static enum prilora_status add_merge(struct bpe *bpe, const char *left, size_t n_left,
                                     const char *right, size_t n_right, const char *file,
                                     size_t number, struct prilora_error *err)
{
    struct pl_merge merge = {.rank = (uint32_t)number};
    char both[2 * PL_VOCAB_MAX_TOKEN];

    if (n_left > PL_VOCAB_MAX_TOKEN || n_right > PL_VOCAB_MAX_TOKEN)
        return pl_fail(err, PRILORA_ELIMIT, "%s: merge %zu: a token of %zu bytes, at most %d", file,
                       number + 1, n_left > n_right ? n_left : n_right, PL_VOCAB_MAX_TOKEN);
    memcpy(both, left, n_left);
    memcpy(both + n_left, right, n_right);
    merge.left = pl_vocab_find(&bpe->vocab, left, n_left);
    merge.right = pl_vocab_find(&bpe->vocab, right, n_right);
    merge.joined = pl_vocab_find(&bpe->vocab, both, n_left + n_right);
    if (merge.left < 0 || merge.right < 0 || merge.joined < 0)
        return pl_fail(err, PRILORA_EFORMAT, "%s: merge %zu: \"%.*s\" is not in the vocabulary",
                       file, number + 1,
                       (int)(merge.left < 0    ? n_left
                             : merge.right < 0 ? n_right
                                               : n_left + n_right),
                       merge.left < 0    ? left
                       : merge.right < 0 ? right
                                         : both);
    pl_merges_add(&bpe->merges, merge);
    return PRILORA_OK;
}

/* "left right" */
static enum prilora_status add_pair(struct bpe *bpe, const char *text, size_t size,
                                    const char *file, size_t number, struct prilora_error *err)
{
    const char *space = memchr(text, ' ', size);
    size_t n_left = space ? (size_t)(space - text) : 0, n_right = space ? size - n_left - 1 : 0;

    if (!n_left || !n_right || memchr(space + 1, ' ', n_right))
        return pl_fail(err, PRILORA_EFORMAT, "%s: merge %zu: is not two tokens and a space", file,
                       number + 1);
    return add_merge(bpe, text, n_left, space + 1, n_right, file, number, err);
}

static enum prilora_status read_merges_text(struct bpe *bpe, const char *text, size_t size,
                                            const char *path, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    size_t number = 0;

    for (size_t at = 0; rc == PRILORA_OK && at < size;) {
        const char *line = text + at, *end = memchr(line, '\n', size - at);
        size_t n = end ? (size_t)(end - line) : size - at;

        at += n + 1;
        if (n && line[n - 1] == '\r')
            n--;
        if (n == 0 || (n >= 8 && memcmp(line, "#version", 8) == 0))
            continue;
        rc = add_pair(bpe, line, n, path, number++, err);
    }
    return rc;
}

static size_t count_lines(const char *text, size_t size)
{
    size_t n = 1;

    for (size_t i = 0; i < size; i++)
        n += text[i] == '\n';
    return n;
}

static enum prilora_status too_many(const char *file, size_t n, struct prilora_error *err)
{
    return pl_fail(err, PRILORA_ELIMIT, "%s: %zu merges, at most %zu are read", file, n,
                   MAX_MERGES);
}

static enum prilora_status read_merges_file(struct bpe *bpe, const struct pl_source *source,
                                            struct prilora_error *err)
{
    char *path = pl_file_join(source->folder, "merges.txt"), *text = NULL;
    size_t size = 0, n;
    enum prilora_status rc = path ? pl_file_read(&text, &size, path, PL_MAX_TOKENIZER_BYTES, err)
                                  : no_memory(source, err);

    if (rc == PRILORA_OK) {
        n = count_lines(text, size);
        if (n > MAX_MERGES)
            rc = too_many(path, n, err);
        else if (!pl_merges_open(&bpe->merges, n))
            rc = no_memory(source, err);
    }
    if (rc == PRILORA_OK)
        rc = read_merges_text(bpe, text, size, path, err);
    if (rc == PRILORA_OK)
        pl_digest_add(source->digest, text, size);
    free(path);
    free(text);
    return rc;
}

/* vocab.json and merges.txt. */
static enum prilora_status read_files(struct bpe *bpe, const struct pl_source *source,
                                      struct prilora_error *err)
{
    json_t *object = NULL;
    const json_t *space = json_object_get(source->config, "add_prefix_space");
    enum prilora_status rc = pl_json_file(&object, source->folder, "vocab.json",
                                          PL_MAX_TOKENIZER_BYTES, source->digest, err);

    if (rc == PRILORA_OK && !object)
        rc = pl_fail(err, PRILORA_ENOENT, "%s/vocab.json: no such file", source->folder);
    if (rc == PRILORA_OK)
        rc = pl_vocab_read_json(&bpe->vocab, object, "vocab.json", err);
    json_decref(object);
    if (rc == PRILORA_OK)
        rc = read_merges_file(bpe, source, err);
    bpe->add_prefix_space = json_is_true(space);
    return rc;
}

/* Members of the model in tokenizer.json that would make other ids. */
static enum prilora_status check_model(const struct pl_source *source, const json_t *model,
                                       struct prilora_error *err)
{
    static const char *const texts[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    static const char *const flags[] = {"fuse_unk", "byte_fallback", "ignore_merges"};
    const char *refused = NULL;

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (json_string_length(json_object_get(model, texts[i])))
            refused = texts[i];
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (json_is_true(json_object_get(model, flags[i])))
            refused = flags[i];
    if (json_number_value(json_object_get(model, "dropout")) != 0)
        refused = "dropout";
    if (!refused)
        return PRILORA_OK;
    return pl_fail(err, PRILORA_EUNSUPPORTED,
                   "%s/tokenizer.json: model.%s is set, which is not supported", source->folder,
                   refused);
}

static enum prilora_status check_words(struct bpe *bpe, const struct pl_source *source,
                                       struct prilora_error *err)
{
    const json_t *pre = json_object_get(source->whole, "pre_tokenizer");
    const char *type = json_string_value(json_object_get(pre, "type"));
    const json_t *space = json_object_get(source->config, "add_prefix_space");

    if (!type || strcmp(type, "ByteLevel") != 0 || json_is_false(json_object_get(pre, "use_regex")))
        return pl_fail(err, PRILORA_EUNSUPPORTED,
                       "%s/tokenizer.json: a pre_tokenizer that is no ByteLevel with its own "
                       "regular expression: not supported",
                       source->folder);
    if (json_is_object(json_object_get(source->whole, "normalizer")))
        return pl_fail(err, PRILORA_EUNSUPPORTED,
                       "%s/tokenizer.json: a normalizer before BPE: not supported", source->folder);
    bpe->add_prefix_space = json_is_boolean(space)
                                ? json_is_true(space)
                                : json_is_true(json_object_get(pre, "add_prefix_space"));
    return PRILORA_OK;
}

static enum prilora_status read_merges_json(struct bpe *bpe, const json_t *merges,
                                            struct prilora_error *err)
{
    static const char file[] = "tokenizer.json: model.merges";
    const size_t n = json_array_size(merges);
    enum prilora_status rc = PRILORA_OK;

    if (!json_is_array(merges))
        return pl_fail(err, PRILORA_EFORMAT, "%s: is no list", file);
    if (n > MAX_MERGES)
        return too_many(file, n, err);
    if (!pl_merges_open(&bpe->merges, n))
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", file);
    for (size_t i = 0; rc == PRILORA_OK && i < n; i++) {
        const json_t *merge = json_array_get(merges, i);
        const json_t *left = json_array_get(merge, 0), *right = json_array_get(merge, 1);

        if (json_is_string(merge))
            rc = add_pair(bpe, json_string_value(merge), json_string_length(merge), file, i, err);
        else if (json_array_size(merge) == 2 && json_is_string(left) && json_is_string(right))
            rc = add_merge(bpe, json_string_value(left), json_string_length(left),
                           json_string_value(right), json_string_length(right), file, i, err);
        else
            rc = pl_fail(err, PRILORA_EFORMAT, "%s: merge %zu: is not two tokens", file, i + 1);
    }
    return rc;
}

static enum prilora_status read_whole(struct bpe *bpe, const struct pl_source *source,
                                      struct prilora_error *err)
{
    const json_t *model = json_object_get(source->whole, "model");
    enum prilora_status rc = check_model(source, model, err);

    if (rc == PRILORA_OK)
        rc = check_words(bpe, source, err);
    if (rc == PRILORA_OK)
        rc = pl_vocab_read_json(&bpe->vocab, json_object_get(model, "vocab"),
                                "tokenizer.json: model.vocab", err);
    if (rc == PRILORA_OK)
        rc = read_merges_json(bpe, json_object_get(model, "merges"), err);
    return rc;
}

static enum prilora_status compile_words(struct bpe *bpe, const struct pl_source *source,
                                         struct prilora_error *err)
{
    PCRE2_SIZE at;
    int code;

    bpe->words = pcre2_compile((PCRE2_SPTR)WORDS, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP,
                               &code, &at, NULL);
    if (!bpe->words)
        return no_memory(source, err);
    /* where memory may not be both written and run, matching is interpreted instead */
    pcre2_jit_compile(bpe->words, PCRE2_JIT_COMPLETE);
    return PRILORA_OK;
}

enum prilora_status pl_bpe_open(void **state, const struct pl_source *source,
                                struct prilora_error *err)
{
    struct bpe *bpe = pl_calloc(1, sizeof *bpe);
    const char *unknown =
        json_string_value(json_object_get(json_object_get(source->whole, "model"), "unk_token"));
    enum prilora_status rc;

    *state = NULL;
    if (!bpe)
        return no_memory(source, err);
    rc = source->whole ? read_whole(bpe, source, err) : read_files(bpe, source, err);
    if (rc == PRILORA_OK)
        rc = compile_words(bpe, source, err);
    if (rc != PRILORA_OK) {
        pl_bpe_close(bpe);
        return rc;
    }
    if (!source->whole)
        unknown = pl_source_token(source, PL_ROLE_UNK);
    bpe->unknown = unknown ? pl_vocab_find(&bpe->vocab, unknown, strlen(unknown)) : -1;
    find_bytes(bpe);
    *state = bpe;
    return PRILORA_OK;
}
