/*
 * prediction_decode.c - see prediction_codec.h. Input is a text, {"text", "text_pair"?}, or a list
 * in which each element is a text, such an object, or a pair of texts in a list. Where words are
 * tagged there are no pairs: an object may have "words", a list of them, and an element may be such
 * a list. Where questions are answered input is {"question", "context"} or a list of these.
 */
#include "api/prediction_codec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/member.h"
#include "api/suggest.h"
#include "api/utf8.h"

static const char *const members[] = {"model", "input", "top_k", NULL};

#define MAX_POINTER 120 /* bytes of one to a member that nobody knows */

static const char *kind_of(const json_t *value)
{
    static const char *const kinds[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list",  [JSON_STRING] = "a text",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number", [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };

    return value ? kinds[json_typeof(value)] : "absent";
}

/* A fault at "/input/3/text"; the parameter is "input.3.text". */
static bool fail_at(struct fault *fault, const char *pointer, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool fail_at(struct fault *fault, const char *pointer, const char *format, ...)
{
    char param[sizeof fault->param], what[512];
    va_list arguments;

    fault_dotted(param, sizeof param, pointer);
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    fault_set(fault, 400, "invalid_value", param, "%s: %s", param, what);
    snprintf(fault->pointer, sizeof fault->pointer, "%s", pointer);
    utf8_repair(fault->pointer);
    return false;
}

static bool fail_unknown(struct fault *fault, const char *where, const char *name,
                         const char *const *known)
{
    const char *meant = suggest(name, known);
    char pointer[sizeof fault->pointer];
    size_t n = (size_t)snprintf(pointer, sizeof pointer, "%s/", where);

    for (; *name && n + 3 < MAX_POINTER; name++) { /* RFC 6901's escapes */
        if (*name == '~' || *name == '/')
            pointer[n++] = '~';
        pointer[n++] = *name == '~' ? '0' : *name == '/' ? '1' : *name;
    }
    pointer[n] = '\0';
    return fail_at(fault, pointer, "not known here%s%s%s", meant ? "; did you mean \"" : "",
                   meant ? meant : "", meant ? "\"?" : "");
}

static bool check_members(json_t *object, const char *where, const char *const *known,
                          struct fault *fault)
{
    const char *name;
    json_t *value;

    json_object_foreach (object, name, value) {
        size_t i = 0;

        while (known[i] && strcmp(known[i], name) != 0)
            i++;
        if (!known[i])
            return fail_unknown(fault, where, name, known);
    }
    return true;
}

/* ---- one input ---- */

static bool read_text(const json_t *value, const char *pointer, const char **text, size_t *size,
                      struct fault *fault)
{
    if (!json_is_string(value))
        return fail_at(fault, pointer, "is %s, but must be a text", kind_of(value));
    *text = json_string_value(value);
    *size = json_string_length(value);
    if (*size > PRILORA_MAX_TEXT_BYTES)
        return fail_at(fault, pointer, "the text has %zu bytes, but at most %zu are read", *size,
                       PRILORA_MAX_TEXT_BYTES);
    return true;
}

static bool read_pair_object(json_t *value, const char *pointer, struct prilora_text *out,
                             struct fault *fault)
{
    const json_t *pair = json_object_get(value, "text_pair");
    char inner[64];

    snprintf(inner, sizeof inner, "%s/text", pointer);
    if (!read_text(json_object_get(value, "text"), inner, &out->text, &out->text_size, fault))
        return false;
    snprintf(inner, sizeof inner, "%s/text_pair", pointer);
    return !pair || json_is_null(pair) ||
           read_text(pair, inner, &out->pair, &out->pair_size, fault);
}

static bool read_pair_list(const json_t *value, const char *pointer, struct prilora_text *out,
                           struct fault *fault)
{
    char inner[64];

    if (json_array_size(value) != 2)
        return fail_at(fault, pointer, "a list of %zu, but a pair has two texts",
                       json_array_size(value));
    snprintf(inner, sizeof inner, "%s/0", pointer);
    if (!read_text(json_array_get(value, 0), inner, &out->text, &out->text_size, fault))
        return false;
    snprintf(inner, sizeof inner, "%s/1", pointer);
    return read_text(json_array_get(value, 1), inner, &out->pair, &out->pair_size, fault);
}

static bool read_word_list(const json_t *value, const char *pointer, struct prilora_text *out,
                           struct fault *fault)
{
    const size_t n = json_array_size(value);
    struct prilora_word *words;
    size_t total = 0;
    char inner[96];

    if (!json_is_array(value) || n < 1)
        return fail_at(fault, pointer, "is %s, but must be a list of words",
                       json_is_array(value) ? "an empty list" : kind_of(value));
    out->words = words = calloc(n, sizeof *words);
    if (!words)
        return fault_set(fault, 503, "out_of_memory", NULL, "out of memory");
    for (; out->n_words < n; out->n_words++) {
        struct prilora_word *word = &words[out->n_words];

        snprintf(inner, sizeof inner, "%s/%zu", pointer, out->n_words);
        if (!read_text(json_array_get(value, out->n_words), inner, &word->text, &word->size, fault))
            return false;
        total += word->size;
    }
    if (total > PRILORA_MAX_TEXT_BYTES)
        return fail_at(fault, pointer, "the words have %zu bytes, but at most %zu are read", total,
                       PRILORA_MAX_TEXT_BYTES);
    return true;
}

static bool read_word_object(json_t *value, const char *pointer, struct prilora_text *out,
                             struct fault *fault)
{
    const json_t *text = json_object_get(value, "text"), *words = json_object_get(value, "words");
    char inner[64];

    if (text && words)
        return fail_at(fault, pointer, "has both \"text\" and \"words\"");
    snprintf(inner, sizeof inner, "%s/%s", pointer, words ? "words" : "text");
    return words ? read_word_list(words, inner, out, fault)
                 : read_text(text, inner, &out->text, &out->text_size, fault);
}

static bool read_question(json_t *value, const char *pointer, struct prilora_text *out,
                          struct fault *fault)
{
    char inner[64];

    snprintf(inner, sizeof inner, "%s/question", pointer);
    if (!read_text(json_object_get(value, "question"), inner, &out->text, &out->text_size, fault))
        return false;
    snprintf(inner, sizeof inner, "%s/context", pointer);
    return read_text(json_object_get(value, "context"), inner, &out->pair, &out->pair_size, fault);
}

/* What an input may be. */
struct forms {
    const char *all;
    bool has_texts;         /* a text alone is one */
    const char *members[3]; /* of an object; NULL-terminated */
    bool (*object)(json_t *value, const char *pointer, struct prilora_text *out,
                   struct fault *fault);
    bool (*list)(const json_t *value, const char *pointer, struct prilora_text *out,
                 struct fault *fault); /* NULL: none is one */
};

static const struct forms of_pairs = {"a text, {\"text\", \"text_pair\"} or [text, text]",
                                      true,
                                      {"text", "text_pair", NULL},
                                      read_pair_object,
                                      read_pair_list};
static const struct forms of_words = {"a text, {\"text\"}, {\"words\"} or [word, word, ...]",
                                      true,
                                      {"text", "words", NULL},
                                      read_word_object,
                                      read_word_list};
static const struct forms of_questions = {
    "{\"question\", \"context\"}", false, {"question", "context", NULL}, read_question, NULL};

static const struct forms *forms_of(enum prilora_task task)
{
    if (task == PRILORA_TASK_QUESTION_ANSWERING)
        return &of_questions;
    return task == PRILORA_TASK_TOKEN_CLASSIFICATION ? &of_words : &of_pairs;
}

static bool read_one(const struct forms *forms, json_t *value, const char *pointer,
                     struct prilora_text *out, struct fault *fault)
{
    if (json_is_object(value))
        return check_members(value, pointer, forms->members, fault) &&
               forms->object(value, pointer, out, fault);
    if (json_is_array(value) && forms->list)
        return forms->list(value, pointer, out, fault);
    if (!json_is_string(value) || !forms->has_texts)
        return fail_at(fault, pointer, "is %s, but must be %s", kind_of(value), forms->all);
    return read_text(value, pointer, &out->text, &out->text_size, fault);
}

/* ---- all of it ---- */

/* Of a question the best answer alone unless more are asked for. */
static bool fit_top_k(struct prediction_request *out, enum prilora_task task, struct fault *fault)
{
    bool answers = task == PRILORA_TASK_QUESTION_ANSWERING;

    if (out->top_k == 0)
        out->top_k = answers ? 1 : PREDICTION_TOP_K;
    if (answers && out->top_k > PREDICTION_BEST)
        return fail_at(fault, "/top_k", "%zu, but must be an integer from 1 to %d for answers",
                       out->top_k, PREDICTION_BEST);
    return true;
}

bool prediction_decode_input(struct prediction_request *out, enum prilora_task task,
                             struct fault *fault)
{
    const struct forms *forms = forms_of(task);
    json_t *input = json_object_get(out->root, "input");
    bool is_list = json_is_array(input);
    char pointer[32] = "/input";

    if (!fit_top_k(out, task, fault))
        return false;
    if (!input)
        return fault_set(fault, 400, "missing_required_parameter", "input",
                         "input is missing: it must be %s, or a list of these", forms->all);
    out->n = is_list ? json_array_size(input) : 1;
    if (out->n < 1 || out->n > PREDICTION_MAX_INPUTS)
        return fail_at(fault, pointer, "a list of %zu, but must hold 1 to %d", out->n,
                       PREDICTION_MAX_INPUTS);
    out->texts = calloc(out->n, sizeof *out->texts);
    if (!out->texts)
        return fault_set(fault, 503, "out_of_memory", NULL, "out of memory");
    for (size_t i = 0; i < out->n; i++) {
        if (is_list)
            snprintf(pointer, sizeof pointer, "/input/%zu", i);
        if (!read_one(forms, is_list ? json_array_get(input, i) : input, pointer, &out->texts[i],
                      fault))
            return false;
    }
    return true;
}

static bool read_top_k(struct prediction_request *out, const json_t *value, struct fault *fault)
{
    json_int_t n = json_integer_value(value);

    out->top_k = 0;
    if (!value || json_is_null(value))
        return true;
    if (!json_is_integer(value))
        return fail_at(fault, "/top_k", "is %s, but must be an integer from 1 to 1000",
                       kind_of(value));
    if (n < 1 || n > 1000)
        return fail_at(fault, "/top_k",
                       "%" JSON_INTEGER_FORMAT ", but must be an integer from 1 to 1000", n);
    out->top_k = (size_t)n;
    return true;
}

static bool read_body(struct prediction_request *out, struct fault *fault)
{
    const json_t *model = json_object_get(out->root, "model");

    if (!check_members(out->root, "", members, fault))
        return false;
    out->model = json_string_value(model);
    if (!model)
        return fault_set(fault, 400, "missing_required_parameter", "model",
                         "model is missing: it must be the id of a finished adapter");
    if (!out->model)
        return fail_at(fault, "/model", "is %s, but must be the id of a finished adapter",
                       kind_of(model));
    return read_top_k(out, json_object_get(out->root, "top_k"), fault);
}

bool prediction_decode(const char *body, size_t size, struct prediction_request *out,
                       struct fault *fault)
{
    *out = (struct prediction_request){0};
    out->root = member_body(body, size, fault);
    if (!out->root)
        return false;
    if (read_body(out, fault))
        return true;
    prediction_request_clear(out);
    return false;
}

void prediction_request_clear(struct prediction_request *request)
{
    for (size_t i = 0; request->texts && i < request->n; i++)
        free((void *)(uintptr_t)request->texts[i].words);
    json_decref(request->root);
    free(request->texts);
    *request = (struct prediction_request){0};
}
