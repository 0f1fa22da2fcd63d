/*
 * rows_conll.c - sentences as the CoNLL tasks publish them: a word a line, its columns parted by
 * white space, the first the word and the last its tag; blank lines between sentences. Lines that
 * begin with -DOCSTART- end a sentence and are passed over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/rows.h"

#define DOCUMENT "-DOCSTART-"

static enum prilora_status conll_open(struct pl_rows *rows, struct prilora_error *err)
{
    rows->state = pl_calloc(1, sizeof(struct pl_row_words));
    return rows->state ? PRILORA_OK : pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", rows->name);
}

static void conll_close(struct pl_rows *rows)
{
    if (rows->state)
        pl_row_words_free(rows->state);
    free(rows->state);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static bool begins_document(const char *line, size_t size)
{
    return size >= strlen(DOCUMENT) && memcmp(line, DOCUMENT, strlen(DOCUMENT)) == 0;
}

/* A line without the white space around it. */
static enum pl_row_result next_line(struct pl_rows *rows, const char **line, size_t *size,
                                    char *reason)
{
    enum pl_row_result result = pl_rows_line(rows, line, size, reason);

    if (result != PL_ROW_GOOD)
        return result;
    while (*size && is_space((*line)[*size - 1]))
        --*size;
    while (*size && is_space(**line)) {
        ++*line;
        --*size;
    }
    return PL_ROW_GOOD;
}

/* First and last column of a line. */
static enum pl_row_result add_word(struct pl_row_words *words, const char *line, size_t size,
                                   char *reason)
{
    enum pl_row_result result = pl_row_words_room(words, words->n + 1, reason);
    size_t n_word = 0, tag = size;
    char quoted[PL_QUOTE_SIZE];

    while (n_word < size && !is_space(line[n_word]))
        n_word++;
    while (tag > 0 && !is_space(line[tag - 1]))
        tag--;
    if (result == PL_ROW_GOOD && tag == 0) {
        snprintf(reason, PL_MAX_REASON, "the word %s has no tag beside it",
                 pl_rows_quote(quoted, line, size));
        result = PL_ROW_BAD;
    }
    if (result != PL_ROW_GOOD)
        return result;
    words->words[words->n] = (struct prilora_word){line, n_word};
    words->labels[words->n] = (struct pl_label){PL_LABEL_TEXT, line + tag, size - tag, 0};
    words->n++;
    return PL_ROW_GOOD;
}

/* To the end of the sentence; of a wrong one the first fault is told, and nothing kept. */
static enum pl_row_result conll_next(struct pl_rows *rows, struct pl_row *row, char *reason)
{
    struct pl_row_words *words = rows->state;
    enum pl_row_result result = PL_ROW_GOOD, read = PL_ROW_GOOD;
    char ignored[PL_MAX_REASON];
    bool begun = false;
    const char *line;
    size_t size;

    words->n = 0;
    while (read != PL_ROW_NOMEM) {
        const size_t number = rows->line;

        read = next_line(rows, &line, &size, result == PL_ROW_GOOD ? reason : ignored);
        if (read == PL_ROW_END)
            break;
        if (read == PL_ROW_GOOD && (size == 0 || begins_document(line, size))) {
            if (begun)
                break;
            continue;
        }
        if (!begun)
            row->line = number;
        begun = true;
        if (read == PL_ROW_GOOD && result == PL_ROW_GOOD)
            read = add_word(words, line, size, reason);
        if (read == PL_ROW_BAD && result == PL_ROW_GOOD) {
            row->line = number;
            result = PL_ROW_BAD;
        }
    }
    if (read == PL_ROW_NOMEM)
        return PL_ROW_NOMEM;
    if (!begun)
        return PL_ROW_END;
    row->words = words->words;
    row->n_words = words->n;
    row->labels = words->labels;
    row->n_labels = words->n;
    return result;
}

const struct pl_rows_format pl_rows_conll = {".conll", conll_open, conll_next, conll_close};
const struct pl_rows_format pl_rows_bio = {".bio", conll_open, conll_next, conll_close};
const struct pl_rows_format pl_rows_txt = {".txt", conll_open, conll_next, conll_close};
