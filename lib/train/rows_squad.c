/*
 * rows_squad.c - SQuAD's own form: {"data": [{"paragraphs": [{"context", "qas": [...]}]}]}.
 *
 * A walk by hand down to the paragraphs, of which jansson parses one at a time: so memory does not
 * grow with the file. Members that have no meaning here (title, version) are passed over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/rows_json.h"
#include "train/rows_question.h"

/* What the next value belongs to. */
enum place { BEFORE, IN_ROOT, IN_DATA, IN_ARTICLE, IN_PARAGRAPHS, BEHIND };

struct squad {
    enum place place;
    bool first;          /* nothing stands in it yet, so no comma is due */
    bool has_paragraphs; /* of the article */
    json_t *paragraph;   /* NULL: none, or all its questions are told */
    size_t next;         /* of its questions */
    size_t line;         /* where it begins */
    struct pl_row_question question;
};

static enum prilora_status squad_open(struct pl_rows *rows, struct prilora_error *err)
{
    rows->state = pl_calloc(1, sizeof(struct squad));
    return rows->state ? PRILORA_OK : pl_fail(err, PRILORA_ENOMEM, "%s: out of memory", rows->name);
}

static void squad_close(struct pl_rows *rows)
{
    struct squad *s = rows->state;

    if (!s)
        return;
    json_decref(s->paragraph);
    pl_row_question_free(&s->question);
    free(s);
}

/* ---- the walk ------------------------------------------------------------------------------ */

/* Nothing after it can be read. */
static enum pl_row_result broken(struct pl_rows *rows, const char *what, char *reason)
{
    char copy[PL_MAX_REASON];

    snprintf(copy, sizeof copy, "%s", what);
    snprintf(reason, PL_MAX_REASON, "not JSON as SQuAD has it: %.200s", copy);
    rows->at = rows->end;
    ((struct squad *)rows->state)->place = BEHIND;
    return PL_ROW_BAD;
}

/* The value at rows->at; what is wrong with it ends the walk. */
static enum pl_row_result take_value(struct pl_rows *rows, size_t flags, json_t **out, char *reason)
{
    enum pl_row_result result = pl_rows_json_value(rows, flags, out, reason);

    return result == PL_ROW_BAD ? broken(rows, reason, reason) : result;
}

/* To what stands next in an object or a list: GOOD at it, END behind `close`. */
static enum pl_row_result to_next(struct pl_rows *rows, char close, char *reason)
{
    struct squad *s = rows->state;
    int c = pl_rows_json_space(rows);

    if (c == close) {
        rows->at++;
        s->first = false;
        return PL_ROW_END;
    }
    if (!s->first && c != ',')
        return broken(rows, close == '}' ? ", or } is expected" : ", or ] is expected", reason);
    if (!s->first) {
        rows->at++;
        pl_rows_json_space(rows);
    }
    s->first = false;
    return PL_ROW_GOOD;
}

/* To the value of the object's next member: GOOD, *is_list if it has that name and begins a list,
 * which is entered; otherwise it is passed over. END behind the object. */
static enum pl_row_result next_member(struct pl_rows *rows, const char *name, bool *is_list,
                                      char *reason)
{
    enum pl_row_result result = to_next(rows, '}', reason);
    json_t *key = NULL, *value = NULL;

    *is_list = false;
    if (result == PL_ROW_GOOD)
        result = take_value(rows, JSON_DECODE_ANY, &key, reason);
    if (result != PL_ROW_GOOD)
        return result;
    if (!json_is_string(key) || pl_rows_json_space(rows) != ':') {
        json_decref(key);
        return broken(rows, "a member's name and : are expected", reason);
    }
    rows->at++;
    *is_list = pl_rows_json_space(rows) == '[' && strcmp(json_string_value(key), name) == 0;
    json_decref(key);
    if (*is_list)
        rows->at++;
    else
        result = take_value(rows, JSON_DECODE_ANY, &value, reason);
    json_decref(value);
    return result;
}

static void enter(struct squad *s, enum place place)
{
    s->place = place;
    s->first = true;
}

static enum pl_row_result begin(struct pl_rows *rows, char *reason)
{
    if (pl_rows_json_space(rows) != '{')
        return broken(rows, "{ is expected", reason);
    rows->at++;
    enter(rows->state, IN_ROOT);
    return PL_ROW_GOOD;
}

static enum pl_row_result in_root(struct pl_rows *rows, char *reason)
{
    struct squad *s = rows->state;
    bool is_data;
    enum pl_row_result result = next_member(rows, "data", &is_data, reason);

    if (result == PL_ROW_GOOD && is_data)
        enter(s, IN_DATA);
    if (result != PL_ROW_END)
        return result;
    s->place = BEHIND;
    return pl_rows_json_space(rows) < 0 ? PL_ROW_GOOD : broken(rows, "text after }", reason);
}

static enum pl_row_result in_data(struct pl_rows *rows, char *reason)
{
    struct squad *s = rows->state;
    enum pl_row_result result = to_next(rows, ']', reason);

    if (result == PL_ROW_END)
        s->place = IN_ROOT;
    if (result != PL_ROW_GOOD)
        return result == PL_ROW_END ? PL_ROW_GOOD : result;
    if (pl_rows_json_space(rows) != '{')
        return broken(rows, "\"data\" is a list of objects with \"paragraphs\"", reason);
    rows->at++;
    s->has_paragraphs = false;
    enter(s, IN_ARTICLE);
    return PL_ROW_GOOD;
}

static enum pl_row_result in_article(struct pl_rows *rows, char *reason)
{
    struct squad *s = rows->state;
    bool is_list;
    enum pl_row_result result = next_member(rows, "paragraphs", &is_list, reason);

    if (result == PL_ROW_GOOD && is_list) {
        s->has_paragraphs = true;
        enter(s, IN_PARAGRAPHS);
    }
    if (result != PL_ROW_END)
        return result;
    s->place = IN_DATA;
    if (s->has_paragraphs)
        return PL_ROW_GOOD;
    snprintf(reason, PL_MAX_REASON, "an object in \"data\" without a list \"paragraphs\"");
    return PL_ROW_BAD;
}

static enum pl_row_result in_paragraphs(struct pl_rows *rows, char *reason)
{
    struct squad *s = rows->state;
    enum pl_row_result result = to_next(rows, ']', reason);

    if (result == PL_ROW_END)
        s->place = IN_ARTICLE;
    if (result != PL_ROW_GOOD)
        return result == PL_ROW_END ? PL_ROW_GOOD : result;
    s->line = rows->line;
    s->next = 0;
    result = take_value(rows, JSON_DECODE_ANY, &s->paragraph, reason);
    if (result != PL_ROW_GOOD || json_is_array(json_object_get(s->paragraph, "qas")))
        return result;
    json_decref(s->paragraph);
    s->paragraph = NULL;
    snprintf(reason, PL_MAX_REASON, "a paragraph without a list \"qas\"");
    return PL_ROW_BAD;
}

/* ---- questions ----------------------------------------------------------------------------- */

/* Says which question of a line it is: by its id, or its number. */
static void name_question(const json_t *question, size_t number, char *reason)
{
    const char *id = json_string_value(json_object_get(question, "id"));
    char quoted[PL_QUOTE_SIZE], copy[PL_MAX_REASON];

    snprintf(copy, sizeof copy, "%s", reason);
    if (id)
        snprintf(reason, PL_MAX_REASON, "question %s: %.220s",
                 pl_rows_quote(quoted, id, strlen(id)), copy);
    else
        snprintf(reason, PL_MAX_REASON, "question %zu of the paragraph: %.220s", number, copy);
}

static enum pl_row_result next_question(struct squad *s, struct pl_row *row, char *reason)
{
    const json_t *question = json_array_get(json_object_get(s->paragraph, "qas"), s->next);
    enum pl_row_result result = PL_ROW_BAD;

    if (!json_is_object(question))
        snprintf(reason, PL_MAX_REASON, "it is %s, an object is expected",
                 pl_json_type_name(question));
    else
        result =
            pl_row_question_read(&s->question, question, json_object_get(s->paragraph, "context"),
                                 s->next > 0, row, reason);
    s->next++;
    if (result == PL_ROW_BAD)
        name_question(question, s->next, reason);
    row->line = s->line;
    return result;
}

static enum pl_row_result squad_next(struct pl_rows *rows, struct pl_row *row, char *reason)
{
    static enum pl_row_result (*const steps[])(struct pl_rows *, char *) = {
        [BEFORE] = begin,
        [IN_ROOT] = in_root,
        [IN_DATA] = in_data,
        [IN_ARTICLE] = in_article,
        [IN_PARAGRAPHS] = in_paragraphs,
    };
    struct squad *s = rows->state;
    enum pl_row_result result = PL_ROW_GOOD;

    for (;;) {
        if (s->next < json_array_size(json_object_get(s->paragraph, "qas")))
            return next_question(s, row, reason);
        json_decref(s->paragraph);
        s->paragraph = NULL;
        if (s->place == BEHIND)
            return PL_ROW_END;
        result = steps[s->place](rows, reason);
        row->line = rows->line;
        if (result != PL_ROW_GOOD)
            return result;
    }
}

const struct pl_rows_format pl_rows_squad = {".json", squad_open, squad_next, squad_close};

/* A walk over the members of the file's object, up to that one. */
bool pl_rows_squad_here(const struct pl_rows *rows)
{
    struct squad state = {.place = BEFORE};
    struct pl_rows copy = *rows;
    char reason[PL_MAX_REASON];
    enum pl_row_result result;

    copy.state = &state;
    result = begin(&copy, reason);
    while (result == PL_ROW_GOOD && state.place == IN_ROOT)
        result = in_root(&copy, reason);
    return state.place == IN_DATA;
}
