/* rows_question.c - see rows_question.h. */
#include "train/rows_question.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "tok/utf8.h"
#include "train/rows_json.h"

#define MAX_ANSWERS ((size_t)1000) /* of a question */
#define SLIP        2              /* code points that a start may be off */
#define BLOCK       ((size_t)256)  /* code points between two entries of the index */

void pl_row_question_free(struct pl_row_question *q)
{
    free(q->labels);
    free(q->places);
    free(q->index);
    *q = (struct pl_row_question){0};
}

static enum pl_row_result bad_type(const char *name, const json_t *value, const char *expected,
                                   char *reason)
{
    if (value)
        snprintf(reason, PL_MAX_REASON, "\"%s\" is %s, %s is expected", name,
                 pl_json_type_name(value), expected);
    else
        snprintf(reason, PL_MAX_REASON, "no \"%s\": %s is expected", name, expected);
    return PL_ROW_BAD;
}

static enum pl_row_result read_text(const char *name, const json_t *value, const char **text,
                                    size_t *size, char *reason)
{
    if (!json_is_string(value))
        return bad_type(name, value, "a string", reason);
    *text = json_string_value(value);
    *size = json_string_length(value);
    return PL_ROW_GOOD;
}

/* ---- code points of the context ------------------------------------------------------------ */

/* Bytes of the character at text, which is UTF-8. */
static size_t character(const char *text)
{
    const unsigned char c = (unsigned char)*text;

    return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

static enum pl_row_result index_context(struct pl_row_question *q, const char *text, size_t size)
{
    const size_t most = size / BLOCK + 1;
    size_t codes = 0;

    if (most > q->room_index) {
        size_t *more = pl_realloc(q->index, most, sizeof *more);

        if (!more)
            return PL_ROW_NOMEM;
        q->index = more;
        q->room_index = most;
    }
    q->n_index = 0;
    for (size_t at = 0; at < size; at += character(text + at)) {
        if (codes % BLOCK == 0)
            q->index[q->n_index++] = at;
        codes++;
    }
    q->n_codes = codes;
    return PL_ROW_GOOD;
}

/* Where code point `code` of the context is, in bytes; code <= n_codes. */
static size_t byte_of(const struct pl_row_question *q, const struct pl_row *row, size_t code)
{
    size_t at;

    if (code == q->n_codes)
        return row->pair_size;
    at = q->index[code / BLOCK];
    for (size_t i = 0; i < code % BLOCK; i++)
        at += character(row->pair + at);
    return at;
}

/* ---- answers ------------------------------------------------------------------------------- */

static bool stands_at(const struct pl_row *row, size_t at, const char *text, size_t size)
{
    return size <= row->pair_size - at && memcmp(row->pair + at, text, size) == 0;
}

/* Whether the text stands at a code point of the context, or near it; *place in bytes. */
static bool find(const struct pl_row_question *q, const struct pl_row *row, json_int_t start,
                 const char *text, size_t size, size_t *place)
{
    for (json_int_t slip = 0; slip <= SLIP; slip++) {
        for (int sign = 1; sign >= -1; sign -= 2) {
            const json_int_t code = start + sign * slip;

            if (code < 0 || code > (json_int_t)q->n_codes)
                continue;
            *place = byte_of(q, row, (size_t)code);
            if (stands_at(row, *place, text, size))
                return true;
        }
    }
    return false;
}

static enum pl_row_result bad_member(size_t i, const char *name, const json_t *value,
                                     const char *expected, char *reason)
{
    snprintf(reason, PL_MAX_REASON, "answer %zu: \"%s\" is %s, %s is expected", i + 1, name,
             value ? pl_json_type_name(value) : "not there", expected);
    return PL_ROW_BAD;
}

/* Answer i of the row. */
static enum pl_row_result read_answer(struct pl_row_question *q, size_t i, const json_t *answer,
                                      const json_t *answer_start, const struct pl_row *row,
                                      char *reason)
{
    const json_int_t start = json_integer_value(answer_start);
    const char *text = json_string_value(answer);
    size_t size = json_string_length(answer), spaces;
    char quoted[PL_QUOTE_SIZE];

    if (!text)
        return bad_member(i, "text", answer, "a string", reason);
    if (!json_is_integer(answer_start))
        return bad_member(i, "answer_start", answer_start, "an integer", reason);
    spaces = pl_utf8_spaces_at_start(text, size);
    if (spaces == size) {
        snprintf(reason, PL_MAX_REASON, "answer %zu is empty", i + 1);
        return PL_ROW_BAD;
    }
    size -= spaces + pl_utf8_spaces_at_end(text + spaces, size - spaces);
    q->labels[i] = (struct pl_label){PL_LABEL_TEXT, text + spaces, size, 0};
    if (start >= 0 && start <= (json_int_t)q->n_codes &&
        find(q, row, start + (json_int_t)pl_utf8_count(text, spaces), text + spaces, size,
             &q->places[i]))
        return PL_ROW_GOOD;
    snprintf(reason, PL_MAX_REASON, "answer %zu, %s, does not stand at %lld in the context", i + 1,
             pl_rows_quote(quoted, text + spaces, size), (long long)start);
    return PL_ROW_BAD;
}

static enum pl_row_result make_room(struct pl_row_question *q, size_t n, char *reason)
{
    struct pl_label *labels;
    size_t *places;

    if (n > MAX_ANSWERS) {
        snprintf(reason, PL_MAX_REASON, "%zu answers, but at most %zu are read", n, MAX_ANSWERS);
        return PL_ROW_BAD;
    }
    if (n <= q->room && q->labels)
        return PL_ROW_GOOD;
    labels = pl_realloc(q->labels, n + 8, sizeof *labels);
    q->labels = labels ? labels : q->labels;
    places = pl_realloc(q->places, n + 8, sizeof *places);
    q->places = places ? places : q->places;
    if (!labels || !places)
        return PL_ROW_NOMEM;
    q->room = n + 8;
    return PL_ROW_GOOD;
}

/* {"text": [...], "answer_start": [...]}: lists of one length. */
static enum pl_row_result check_lists(const json_t *texts, const json_t *starts, char *reason)
{
    if (!json_is_array(texts))
        return bad_type("text", texts, "a list", reason);
    if (!json_is_array(starts))
        return bad_type("answer_start", starts, "a list", reason);
    if (json_array_size(texts) == json_array_size(starts))
        return PL_ROW_GOOD;
    snprintf(reason, PL_MAX_REASON, "%zu answers, but %zu starts", json_array_size(texts),
             json_array_size(starts));
    return PL_ROW_BAD;
}

static enum pl_row_result read_answers(struct pl_row_question *q, const json_t *answers,
                                       struct pl_row *row, char *reason)
{
    const json_t *texts = json_object_get(answers, "text");
    const json_t *starts = json_object_get(answers, "answer_start");
    const bool lists = json_is_object(answers);
    const size_t n = json_array_size(lists ? texts : answers);
    enum pl_row_result result = PL_ROW_GOOD;

    if (lists)
        result = check_lists(texts, starts, reason);
    else if (!json_is_array(answers))
        result = bad_type("answers", answers, "a list or an object of lists", reason);
    if (result == PL_ROW_GOOD)
        result = make_room(q, n, reason);
    for (size_t i = 0; result == PL_ROW_GOOD && i < n; i++) {
        const json_t *one = json_array_get(lists ? texts : answers, i);
        const json_t *start =
            lists ? json_array_get(starts, i) : json_object_get(one, "answer_start");

        result = read_answer(q, i, lists ? one : json_object_get(one, "text"), start, row, reason);
    }
    row->labels = q->labels;
    row->places = q->places;
    row->n_labels = n;
    return result;
}

/* ---- the row ------------------------------------------------------------------------------- */

/* "id" is a string, "is_impossible" true or false; both may be absent. */
static enum pl_row_result check_others(const json_t *object, const struct pl_row *row, char *reason)
{
    const json_t *id = json_object_get(object, "id");
    const json_t *impossible = json_object_get(object, "is_impossible");

    if (id && !json_is_null(id) && !json_is_string(id))
        return bad_type("id", id, "a string", reason);
    if (impossible && !json_is_null(impossible) && !json_is_boolean(impossible))
        return bad_type("is_impossible", impossible, "true or false", reason);
    if (!json_is_true(impossible) || !row->n_labels)
        return PL_ROW_GOOD;
    snprintf(reason, PL_MAX_REASON, "\"is_impossible\" is true, but there is an answer");
    return PL_ROW_BAD;
}

enum pl_row_result pl_row_question_read(struct pl_row_question *q, const json_t *object,
                                        const json_t *context, bool same_pair, struct pl_row *row,
                                        char *reason)
{
    enum pl_row_result result;

    row->is_question = row->is_list = true;
    row->same_pair = same_pair;
    result = read_text("context", context, &row->pair, &row->pair_size, reason);
    if (result == PL_ROW_GOOD && !same_pair)
        result = index_context(q, row->pair, row->pair_size);
    if (result == PL_ROW_GOOD)
        result = read_text("question", json_object_get(object, "question"), &row->text,
                           &row->text_size, reason);
    if (result == PL_ROW_GOOD)
        result = read_answers(q, json_object_get(object, "answers"), row, reason);
    return result == PL_ROW_GOOD ? check_others(object, row, reason) : result;
}
