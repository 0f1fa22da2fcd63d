/* bert_text.c - see bert_text.h. What becomes of the words is wordpiece.c's. */
#include "tok/bert_text.h"

#include <stdlib.h>
#include <stdint.h>
#include <string.h>
#include <utf8proc.h>

#include "base/memory.h"
#include "tok/utf8.h"

#define MAX_DECOMPOSED                                                                             \
    4 /* characters that one decomposes to, canonically (Unicode's own bound)                      \
       */

#define MAX_BYTES 4 /* of a character */

struct words {
    const struct pl_bert_options *options;
    enum prilora_status (*take)(void *context, const struct pl_bert_word *word,
                                struct prilora_error *err);
    void *context;
    char *word;
    struct pl_span *sources; /* NULL unless located */
    size_t bytes, characters, room;
    bool located;
    struct pl_span source; /* the character that is being read */
    struct prilora_error *err;
};

struct range {
    uint32_t first, last;
};

static bool is_in(uint32_t c, const struct range *ranges, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}

static bool is_chinese(uint32_t c)
{
    static const struct range ranges[] = {
        {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},   {0x20000, 0x2A6DF},
        {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F},
    };

    return is_in(c, ranges, sizeof ranges / sizeof *ranges);
}

/*
 * What Unicode 15 added. Hugging Face's tables are of version 14, to which these are not assigned;
 * utf8proc's may be newer.
 */
static bool is_late(uint32_t c)
{
    static const struct range ranges[] = {
        {0xCF3, 0xCF3},     {0xECE, 0xECE},     {0x10EFD, 0x10EFF}, {0x1123F, 0x11241},
        {0x11B00, 0x11B09}, {0x11F00, 0x11F10}, {0x11F12, 0x11F3A}, {0x11F3E, 0x11F59},
        {0x1342F, 0x1342F}, {0x13439, 0x13455}, {0x1B132, 0x1B132}, {0x1B155, 0x1B155},
        {0x1D2C0, 0x1D2D3}, {0x1DF25, 0x1DF2A}, {0x1E030, 0x1E06D}, {0x1E08F, 0x1E08F},
        {0x1E4D0, 0x1E4F9}, {0x1F6DC, 0x1F6DC}, {0x1F774, 0x1F776}, {0x1F77B, 0x1F77F},
        {0x1F7D9, 0x1F7D9}, {0x1FA75, 0x1FA77}, {0x1FA87, 0x1FA88}, {0x1FAAD, 0x1FAAF},
        {0x1FABB, 0x1FABD}, {0x1FABF, 0x1FABF}, {0x1FACE, 0x1FACF}, {0x1FADA, 0x1FADB},
        {0x1FAE8, 0x1FAE8}, {0x1FAF7, 0x1FAF8}, {0x2B739, 0x2B739}, {0x31350, 0x323AF},
    };

    return is_in(c, ranges, sizeof ranges / sizeof *ranges);
}

/* White space as Unicode's property has it: without the separators U+001C to U+001F. */
static bool is_space(uint32_t c)
{
    return pl_utf8_is_space(c) && !(c >= 0x1C && c <= 0x1F);
}

static bool is_ascii_punctuation(uint32_t c)
{
    return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
           (c >= 123 && c <= 126);
}

static bool is_punctuation(uint32_t c)
{
    utf8proc_category_t category;

    if (c < 0x80)
        return is_ascii_punctuation(c);
    category = utf8proc_category((utf8proc_int32_t)c);
    return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

/* Control, format and private characters, and those that are not assigned. */
static bool is_control(uint32_t c)
{
    utf8proc_category_t category;

    if (c < 0x80)
        return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F;
    category = utf8proc_category((utf8proc_int32_t)c);
    return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
           category == UTF8PROC_CATEGORY_CO || category == UTF8PROC_CATEGORY_CN || is_late(c);
}

static enum prilora_status flush(struct words *w)
{
    const struct pl_bert_word word = {w->word, w->bytes, w->characters, w->sources};

    w->bytes = w->characters = 0;
    return word.size ? w->take(w->context, &word, w->err) : PRILORA_OK;
}

static enum prilora_status grow(struct words *w)
{
    const size_t room = w->room + w->room / 2 + 512;
    char *word = pl_realloc(w->word, room, 1);
    struct pl_span *sources;

    w->word = word ? word : w->word;
    if (word && w->located) {
        sources = pl_realloc(w->sources, room, sizeof *sources);
        w->sources = sources ? sources : w->sources;
        word = sources ? word : NULL;
    }
    if (!word)
        return pl_fail(w->err, PRILORA_ENOMEM, "tokenizer: out of memory for a word");
    w->room = room;
    return PRILORA_OK;
}

static void add_sources(struct words *w, size_t n)
{
    for (size_t i = 0; i < n; i++)
        w->sources[w->bytes + i] = w->source;
}

static enum prilora_status join_any(struct words *w, uint32_t c)
{
    size_t n = 1;

    if (w->room - w->bytes < MAX_BYTES) {
        const enum prilora_status rc = grow(w);

        if (rc != PRILORA_OK)
            return rc;
    }
    if (c < 0x80)
        w->word[w->bytes] = (char)c;
    else
        n = (size_t)utf8proc_encode_char((utf8proc_int32_t)c,
                                         (utf8proc_uint8_t *)w->word + w->bytes);
    if (w->located)
        add_sources(w, n);
    w->bytes += n;
    w->characters++;
    return PRILORA_OK;
}

static inline enum prilora_status join(struct words *w, uint32_t c)
{
    if (c >= 0x80 || w->located || w->room - w->bytes < MAX_BYTES)
        return join_any(w, c);
    w->word[w->bytes++] = (char)c; /* nearly every character there is */
    w->characters++;
    return PRILORA_OK;
}

/* A character that is as it will be. */
static enum prilora_status put(struct words *w, uint32_t c)
{
    enum prilora_status rc;

    if (is_space(c))
        return flush(w);
    if (!is_punctuation(c))
        return join(w, c);
    rc = flush(w);
    if (rc == PRILORA_OK)
        rc = join(w, c);
    return rc == PRILORA_OK ? flush(w) : rc;
}

static enum prilora_status put_lowered(struct words *w, uint32_t c)
{
    enum prilora_status rc;

    if (!w->options->lower_case)
        return put(w, c);
    if (c != 0x130) /* the only one whose lower case is two */
        return put(w, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
    rc = put(w, 'i');
    return rc == PRILORA_OK ? put(w, 0x307) : rc;
}

/* A character above ASCII that stays. */
static enum prilora_status put_wide(struct words *w, uint32_t c)
{
    utf8proc_int32_t parts[MAX_DECOMPOSED] = {(utf8proc_int32_t)c};
    utf8proc_ssize_t n = 1;
    enum prilora_status rc = PRILORA_OK;
    int boundary = 0;

    if (w->options->strip_accents)
        n = utf8proc_decompose_char((utf8proc_int32_t)c, parts, MAX_DECOMPOSED, UTF8PROC_DECOMPOSE,
                                    &boundary);
    for (utf8proc_ssize_t i = 0; rc == PRILORA_OK && i < n && i < MAX_DECOMPOSED; i++)
        if (!w->options->strip_accents || utf8proc_category(parts[i]) != UTF8PROC_CATEGORY_MN)
            rc = put_lowered(w, (uint32_t)parts[i]);
    return rc;
}

static enum prilora_status add(struct words *w, uint32_t c)
{
    const bool alone = w->options->chinese_chars && c >= 0x3400 && is_chinese(c);
    enum prilora_status rc;

    if (w->options->clean_text && (c == PL_UTF8_REPLACEMENT || is_control(c)))
        return PRILORA_OK;
    rc = alone ? flush(w) : PRILORA_OK;
    if (rc == PRILORA_OK)
        rc = put_wide(w, c);
    return rc == PRILORA_OK && alone ? flush(w) : rc;
}

static enum prilora_status add_ascii(struct words *w, unsigned char c)
{
    if (c >= 'A' && c <= 'Z' && w->options->lower_case)
        return join(w, c + 32u);
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'))
        return join(w, c);
    return c == ' ' ? flush(w) : add(w, c);
}

enum prilora_status
pl_bert_words(const struct pl_bert_options *options, const char *text, size_t size, bool located,
              enum prilora_status (*take)(void *context, const struct pl_bert_word *word,
                                          struct prilora_error *err),
              void *context, struct prilora_error *err)
{
    struct words w = {
        .options = options, .take = take, .context = context, .located = located, .err = err};
    enum prilora_status rc = PRILORA_OK;

    for (size_t i = 0; rc == PRILORA_OK && i < size; i = w.source.end) {
        uint32_t code;
        bool valid;

        w.source.begin = (uint32_t)i;
        w.source.end = (uint32_t)i + 1;
        if ((unsigned char)text[i] < 0x80) {
            rc = add_ascii(&w, (unsigned char)text[i]);
        } else {
            w.source.end = (uint32_t)(i + pl_utf8_next(text + i, size - i, &code, &valid));
            rc = add(&w, code);
        }
    }
    if (rc == PRILORA_OK)
        rc = flush(&w);
    free(w.word);
    free(w.sources);
    return rc;
}
