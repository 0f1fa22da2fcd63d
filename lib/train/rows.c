/* rows.c - choosing a row reader, and what all readers share. Formats: rows_jsonl.c, _squad.c,
 * _delimited.c, _conll.c. */
#include "train/rows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "tok/tokenizer.h"
#include "tok/utf8.h"
#include "train/glue.h"

static const struct pl_rows_format *const formats[] = {
    &pl_rows_jsonl, &pl_rows_ndjson, &pl_rows_json, &pl_rows_csv,
    &pl_rows_tsv,   &pl_rows_conll,  &pl_rows_bio,  &pl_rows_txt,
};

static const struct pl_rows_format *format_of(const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        size_t n = strlen(formats[i]->ending);

        if (length > n && strcasecmp(name + length - n, formats[i]->ending) == 0)
            return formats[i];
    }
    return NULL;
}

void pl_rows_where(char *out, size_t room, const char *name, size_t line)
{
    int n = (int)pl_utf8_check(name, strnlen(name, 160));

    snprintf(out, room, "%.*s:%zu", n, name, line);
}

const char *pl_rows_quote(char out[PL_QUOTE_SIZE], const char *text, size_t size)
{
    size_t n = pl_utf8_check(text, size < 40 ? size : 40), at = 0;

    out[at++] = '"';
    for (size_t i = 0; i < n; i++)
        out[at++] = (unsigned char)text[i] < 0x20 || text[i] == 0x7F ? '?' : text[i];
    snprintf(out + at, PL_QUOTE_SIZE - at, n < size ? "...\"" : "\"");
    return out;
}

enum prilora_status pl_rows_open(struct pl_rows *rows, const char *data, size_t size,
                                 const char *name, enum prilora_glue glue,
                                 struct prilora_error *err)
{
    enum prilora_status rc;

    *rows = (struct pl_rows){.name = name, .glue = glue, .at = data, .end = data + size, .line = 1};
    rows->format = format_of(name);
    if (!rows->format)
        return pl_fail_at(err, PRILORA_EINVAL, name,
                          "%s: the ending of the name must tell the format: .jsonl, .ndjson, "
                          ".json, .csv, .tsv, .conll, .bio or .txt",
                          name);
    if (size >= 2 && (memcmp(data, "\xFF\xFE", 2) == 0 || memcmp(data, "\xFE\xFF", 2) == 0))
        return pl_fail_at(err, PRILORA_EFORMAT, name, "%s: is written in UTF-16; UTF-8 is expected",
                          name);
    if (size >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0)
        rows->at += 3;
    rc = rows->format->open(rows, err);
    if (rc != PRILORA_OK)
        pl_rows_close(rows);
    return rc;
}

void pl_rows_close(struct pl_rows *rows)
{
    if (rows->format)
        rows->format->close(rows);
    *rows = (struct pl_rows){0};
}

enum pl_row_result pl_rows_check(const char *text, size_t size, char *reason)
{
    size_t bad;

    if (size > PL_MAX_LINE) {
        snprintf(reason, PL_MAX_REASON, "%zu bytes, but a row may have at most %zu", size,
                 PL_MAX_LINE);
        return PL_ROW_BAD;
    }
    bad = pl_utf8_check(text, size);
    if (bad < size) {
        snprintf(reason, PL_MAX_REASON, "not UTF-8: byte %zu of the row is 0x%02X", bad + 1,
                 (unsigned char)text[bad]);
        return PL_ROW_BAD;
    }
    return PL_ROW_GOOD;
}

enum pl_row_result pl_rows_line(struct pl_rows *rows, const char **line, size_t *size, char *reason)
{
    const char *newline;
    size_t left = (size_t)(rows->end - rows->at), n;

    if (left == 0)
        return PL_ROW_END;
    *line = rows->at;
    newline = memchr(rows->at, '\n', left);
    n = newline ? (size_t)(newline - rows->at) : left;
    rows->at += newline ? n + 1 : n;
    rows->line++;
    *size = n > 0 && (*line)[n - 1] == '\r' ? n - 1 : n;
    return pl_rows_check(*line, *size, reason);
}

static bool blank(const char *text, size_t size)
{
    return pl_utf8_spaces_at_start(text, size) == size;
}

enum pl_row_result pl_row_words_room(struct pl_row_words *words, size_t n, char *reason)
{
    const size_t room = words->room + words->room / 2 + 64;
    struct prilora_word *more;
    struct pl_label *labels;

    if (n > PL_MAX_WORDS) {
        snprintf(reason, PL_MAX_REASON, "more than %zu words", PL_MAX_WORDS);
        return PL_ROW_BAD;
    }
    if (n <= words->room)
        return PL_ROW_GOOD;
    n = n > room ? n : room;
    more = pl_realloc(words->words, n, sizeof *more);
    words->words = more ? more : words->words;
    labels = pl_realloc(words->labels, n, sizeof *labels);
    words->labels = labels ? labels : words->labels;
    if (!more || !labels)
        return PL_ROW_NOMEM;
    words->room = n;
    return PL_ROW_GOOD;
}

void pl_row_words_free(struct pl_row_words *words)
{
    free(words->words);
    free(words->labels);
    *words = (struct pl_row_words){0};
}

static enum pl_row_result check_words(const struct pl_row *row, char *reason)
{
    size_t total = 0;

    for (size_t i = 0; i < row->n_words; i++)
        total += row->words[i].size;
    if (total > PL_MAX_TEXT_BYTES) {
        snprintf(reason, PL_MAX_REASON, "words of %zu bytes, but at most %zu are read", total,
                 PL_MAX_TEXT_BYTES);
        return PL_ROW_BAD;
    }
    return row->n_words ? PL_ROW_GOOD : PL_ROW_SKIPPED;
}

static enum pl_row_result check_texts(const struct pl_row *row, char *reason)
{
    if (row->text_size > PL_MAX_TEXT_BYTES || row->pair_size > PL_MAX_TEXT_BYTES)
        snprintf(reason, PL_MAX_REASON, "a text of %zu bytes, but at most %zu are read",
                 row->pair_size > row->text_size ? row->pair_size : row->text_size,
                 PL_MAX_TEXT_BYTES);
    else if (!row->may_be_empty && blank(row->text, row->text_size))
        snprintf(reason, PL_MAX_REASON, "the %s is empty", row->is_question ? "question" : "text");
    else if (!row->may_be_empty && !row->same_pair && row->pair && blank(row->pair, row->pair_size))
        snprintf(reason, PL_MAX_REASON, "the %s is empty",
                 row->is_question ? "context" : "second text");
    else
        return PL_ROW_GOOD;
    return PL_ROW_BAD;
}

enum pl_row_result pl_rows_next(struct pl_rows *rows, struct pl_row *row, char *reason)
{
    enum pl_row_result result;

    *row = (struct pl_row){.line = rows->line};
    result = rows->format->next(rows, row, reason);
    if (result != PL_ROW_GOOD)
        return result;
    if (row->words)
        return check_words(row, reason);
    row->may_be_empty = row->may_be_empty || (rows->glue && pl_glue_of(rows->glue)->has_gaps);
    return check_texts(row, reason);
}
