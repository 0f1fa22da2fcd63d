/*
 * rows_jsonl.c - rows as JSON objects: one a line, or all in one array (also spread over lines).
 *
 * jansson parses; here are the members' meaning and the walk through an array. Members that have
 * no meaning here (an id, say) are ignored.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tok/utf8.h"
#include "train/columns.h"
#include "train/dataset.h"
#include "train/rows_json.h"
#include "train/rows_question.h"

struct jsonl {
    enum prilora_glue glue;
    bool is_array;
    bool is_open;   /* of an array: '[' read, ']' not */
    json_t *object; /* the row that the caller holds pointers into */
    struct pl_label *labels;
    char (*numbers)[24]; /* spellings of integer labels */
    struct pl_row_words words;
    struct pl_row_question question;
    char (*tag_numbers)[24]; /* [words.room] the same of tags */
    size_t room;             /* of tag_numbers */
};

/* The first byte that is not white space; -1: there is none. */
static int first_byte(const struct pl_rows *rows)
{
    const char *p = rows->at;

    while (p < rows->end && strchr(" \t\r\n", *p) && *p)
        p++;
    return p < rows->end ? (unsigned char)*p : -1;
}

/* A row may hold as many labels as a data set; both arrays are made once. Those of words grow. */
static enum prilora_status jsonl_open(struct pl_rows *rows, struct prilora_error *err)
{
    struct jsonl *s = pl_calloc(1, sizeof *s);

    rows->state = s;
    if (s) {
        s->glue = rows->glue;
        s->labels = pl_alloc(PL_MAX_LABELS, sizeof *s->labels);
        s->numbers = pl_alloc(PL_MAX_LABELS, sizeof *s->numbers);
    }
    if (!s || !s->labels || !s->numbers)
        return pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", rows->name);
    s->is_array = first_byte(rows) == '[';
    return PRILORA_OK;
}

/* Such a file may also be SQuAD's own. */
static enum prilora_status json_open(struct pl_rows *rows, struct prilora_error *err)
{
    if (first_byte(rows) != '{' || !pl_rows_squad_here(rows))
        return jsonl_open(rows, err);
    rows->format = &pl_rows_squad;
    return pl_rows_squad.open(rows, err);
}

static void jsonl_close(struct pl_rows *rows)
{
    struct jsonl *s = rows->state;

    if (!s)
        return;
    json_decref(s->object);
    free(s->labels);
    free(s->numbers);
    free(s->tag_numbers);
    pl_row_words_free(&s->words);
    pl_row_question_free(&s->question);
    free(s);
}

/* ---- one object ------------------------------------------------------------------------------ */

static bool has_member(const void *context, const char *name)
{
    return json_object_get(context, name) != NULL;
}

static enum pl_row_result read_text(const json_t *object, const char *name, const char **text,
                                    size_t *size, char *reason)
{
    const json_t *value = json_object_get(object, name);

    if (!json_is_string(value)) {
        snprintf(reason, PL_MAX_REASON, "\"%s\" is %s, a string is expected", name,
                 pl_json_type_name(value));
        return PL_ROW_BAD;
    }
    *text = json_string_value(value);
    *size = json_string_length(value);
    return PL_ROW_GOOD;
}

/* A string or a number; false if it is neither. */
static bool read_label(const json_t *value, struct pl_label *label, char number[24])
{
    if (json_is_string(value)) {
        *label = (struct pl_label){PL_LABEL_TEXT, json_string_value(value),
                                   json_string_length(value), 0};
        return true;
    }
    if (!json_is_number(value))
        return false;
    *label = (struct pl_label){PL_LABEL_REAL, number, 0, json_number_value(value)};
    if (json_is_integer(value)) {
        label->kind = PL_LABEL_INTEGER;
        snprintf(number, 24, "%lld", (long long)json_integer_value(value));
    } else {
        snprintf(number, 24, "%.15g", label->value);
    }
    label->size = strlen(number);
    return true;
}

static enum pl_row_result read_labels(struct jsonl *s, const char *name, struct pl_row *row,
                                      char *reason)
{
    json_t *value = json_object_get(s->object, name);
    size_t n = json_is_array(value) ? json_array_size(value) : 1;

    row->is_list = json_is_array(value);
    row->labels = s->labels;
    row->n_labels = n;
    if (n > PL_MAX_LABELS) {
        snprintf(reason, PL_MAX_REASON, "%zu labels, but at most %d are read", n, PL_MAX_LABELS);
        return PL_ROW_BAD;
    }
    for (size_t i = 0; i < n; i++) {
        json_t *one = row->is_list ? json_array_get(value, i) : value;

        if (read_label(one, &s->labels[i], s->numbers[i]) && !(row->is_list && json_is_real(one)))
            continue;
        snprintf(reason, PL_MAX_REASON, "\"%s\" %s %s; %s expected", name,
                 row->is_list ? "holds" : "is", pl_json_type_name(one),
                 row->is_list ? "strings or integers are" : "a string, a number or a list is");
        return PL_ROW_BAD;
    }
    return PL_ROW_GOOD;
}

/* ---- one object with words and tags ---------------------------------------------------------- */

static bool is_list(const void *context, const char *name)
{
    return json_is_array(json_object_get(context, name));
}

static enum pl_row_result room_for_words(struct jsonl *s, size_t n, char *reason)
{
    enum pl_row_result result = pl_row_words_room(&s->words, n, reason);
    char(*more)[24];

    if (result != PL_ROW_GOOD || s->room >= s->words.room)
        return result;
    more = pl_realloc(s->tag_numbers, s->words.room, sizeof *more);
    if (!more)
        return PL_ROW_NOMEM;
    s->tag_numbers = more;
    s->room = s->words.room;
    return PL_ROW_GOOD;
}

/* The i-th word and its tag. */
static enum pl_row_result read_word(struct jsonl *s, size_t i, const json_t *word,
                                    const json_t *tag, char *reason)
{
    if (!json_is_string(word)) {
        snprintf(reason, PL_MAX_REASON, "word %zu is %s, a string is expected", i + 1,
                 pl_json_type_name(word));
        return PL_ROW_BAD;
    }
    if (!read_label(tag, &s->words.labels[i], s->tag_numbers[i]) || json_is_real(tag)) {
        snprintf(reason, PL_MAX_REASON,
                 "the tag of word %zu is %s; a string or an integer is "
                 "expected",
                 i + 1, pl_json_type_name(tag));
        return PL_ROW_BAD;
    }
    s->words.words[i] = (struct prilora_word){json_string_value(word), json_string_length(word)};
    return PL_ROW_GOOD;
}

static enum pl_row_result read_words(struct jsonl *s, const char *words_name, const char *tags_name,
                                     struct pl_row *row, char *reason)
{
    const json_t *words = json_object_get(s->object, words_name);
    const json_t *tags = tags_name ? json_object_get(s->object, tags_name) : NULL;
    const size_t n = json_array_size(words);
    enum pl_row_result result = PL_ROW_BAD;

    if (!tags)
        snprintf(reason, PL_MAX_REASON, "no tags: \"ner_tags\" is expected beside \"%s\"",
                 words_name);
    else if (!json_is_array(tags))
        snprintf(reason, PL_MAX_REASON, "\"%s\" is %s, a list is expected beside \"%s\"", tags_name,
                 pl_json_type_name(tags), words_name);
    else if (json_array_size(tags) != n)
        snprintf(reason, PL_MAX_REASON, "%zu words, but %zu tags", n, json_array_size(tags));
    else
        result = room_for_words(s, n + 1, reason); /* an array, though there be no words */
    for (size_t i = 0; result == PL_ROW_GOOD && i < n; i++)
        result = read_word(s, i, json_array_get(words, i), json_array_get(tags, i), reason);
    row->words = s->words.words;
    row->n_words = n;
    row->labels = s->words.labels;
    row->n_labels = n;
    return result;
}

/* ---- one object, whatever it has ------------------------------------------------------------- */

static enum pl_row_result read_object(struct jsonl *s, struct pl_row *row, char *reason)
{
    const struct pl_columns *c;
    enum pl_row_result result;
    const char *words, *tags;
    const json_t *pair;

    if (!json_is_object(s->object)) {
        snprintf(reason, PL_MAX_REASON, "the row is %s, an object is expected",
                 pl_json_type_name(s->object));
        return PL_ROW_BAD;
    }
    if (pl_columns_asked(has_member, s->object))
        return pl_row_question_read(&s->question, s->object, json_object_get(s->object, "context"),
                                    false, row, reason);
    if (pl_columns_tagged(has_member, is_list, s->object, &words, &tags))
        return read_words(s, words, tags, row, reason);
    c = pl_columns_choose(s->glue, has_member, s->object, reason, PL_MAX_REASON);
    if (!c)
        return PL_ROW_BAD;
    result = read_text(s->object, c->text, &row->text, &row->text_size, reason);
    pair = c->pair ? json_object_get(s->object, c->pair) : NULL;
    if (result == PL_ROW_GOOD && pair && !(c->pair_is_optional && json_is_null(pair)))
        result = read_text(s->object, c->pair, &row->pair, &row->pair_size, reason);
    if (result == PL_ROW_GOOD)
        result = read_labels(s, c->label, row, reason);
    return result;
}

/* ---- one object a line ----------------------------------------------------------------------- */

static enum pl_row_result next_line(struct pl_rows *rows, struct pl_row *row, char *reason)
{
    struct jsonl *s = rows->state;
    enum pl_row_result result;
    json_error_t e;
    const char *line;
    size_t size;

    do {
        row->line = rows->line;
        result = pl_rows_line(rows, &line, &size, reason);
        if (result != PL_ROW_GOOD)
            return result;
    } while (pl_utf8_spaces_at_start(line, size) == size);
    s->object = json_loadb(line, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
    if (!s->object && json_error_code(&e) == json_error_out_of_memory)
        return PL_ROW_NOMEM;
    if (!s->object) {
        snprintf(reason, PL_MAX_REASON, "not JSON: column %d: %s", e.column, e.text);
        return PL_ROW_BAD;
    }
    return read_object(s, row, reason);
}

/* ---- an array of objects --------------------------------------------------------------------- */

/* What is wrong with the array itself; nothing after it can be read. */
static enum pl_row_result array_broken(struct pl_rows *rows, struct pl_row *row, const char *what,
                                       char *reason)
{
    row->line = rows->line;
    rows->at = rows->end;
    ((struct jsonl *)rows->state)->is_open = false;
    snprintf(reason, PL_MAX_REASON, "not a JSON list of rows: %.250s", what);
    return PL_ROW_BAD;
}

/* From the end of one element to the beginning of the next: GOOD, or END after ']'. */
static enum pl_row_result to_element(struct pl_rows *rows, struct pl_row *row, char *reason)
{
    struct jsonl *s = rows->state;
    int c = pl_rows_json_space(rows);
    bool first = false;

    if (c < 0 && !s->is_open)
        return PL_ROW_END;
    if (!s->is_open && c == '[') {
        first = s->is_open = true;
        rows->at++;
        c = pl_rows_json_space(rows);
    }
    if (!s->is_open)
        return array_broken(rows, row, "text after ]", reason);
    if (c == ']') {
        s->is_open = false;
        rows->at++;
        return pl_rows_json_space(rows) < 0 ? PL_ROW_END
                                            : array_broken(rows, row, "text after ]", reason);
    }
    if (!first && c != ',')
        return array_broken(rows, row, ", or ] is expected after a row", reason);
    if (!first) {
        rows->at++;
        c = pl_rows_json_space(rows);
    }
    return c == '{' ? PL_ROW_GOOD : array_broken(rows, row, "{ is expected", reason);
}

static enum pl_row_result next_element(struct pl_rows *rows, struct pl_row *row, char *reason)
{
    struct jsonl *s = rows->state;
    enum pl_row_result result = to_element(rows, row, reason);
    char what[PL_MAX_REASON];

    if (result != PL_ROW_GOOD)
        return result;
    row->line = rows->line;
    result = pl_rows_json_value(rows, 0, &s->object, what);
    if (result == PL_ROW_BAD)
        return array_broken(rows, row, what, reason);
    return result == PL_ROW_GOOD ? read_object(s, row, reason) : result;
}

static enum pl_row_result jsonl_next(struct pl_rows *rows, struct pl_row *row, char *reason)
{
    struct jsonl *s = rows->state;

    json_decref(s->object);
    s->object = NULL;
    return s->is_array ? next_element(rows, row, reason) : next_line(rows, row, reason);
}

const struct pl_rows_format pl_rows_jsonl = {".jsonl", jsonl_open, jsonl_next, jsonl_close};
const struct pl_rows_format pl_rows_ndjson = {".ndjson", jsonl_open, jsonl_next, jsonl_close};
const struct pl_rows_format pl_rows_json = {".json", json_open, jsonl_next, jsonl_close};
