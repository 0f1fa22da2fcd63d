/*
 * predict.c - texts labelled, or questions answered, by a finished adapter: those on the command
 * line, or the lines of a file, a batch at a time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/cli/http.h"
#include "api/cli/json.h"
#include "api/cli/list.h"
#include "api/cli/predict_put.h"
#include "api/cli/value.h"

#define TEXTS_AT_ONCE 32
#define MOST_AT_ONCE  1024
#define BYTES_AT_ONCE 1048576 /* of texts; contexts go with each of their questions */

struct predicting {
    const struct call *call;
    char *model;
    json_t *question, *context; /* that all have, or NULL */
    int64_t top, batch;
    json_t *texts; /* waiting to be sent */
    size_t bytes;  /* of them */
    size_t line;   /* of the last of them */
};

/* ---- what goes ---- */

static int send_batch(struct predicting *p)
{
    struct http_reply reply = {0};
    const json_t *prediction;
    json_t *body;
    size_t i;
    int rc;

    if (json_array_size(p->texts) == 0)
        return EXIT_DONE;
    body = must(json_pack("{s:s, s:O}", "model", p->model, "input", p->texts));
    if (p->top > 0)
        json_object_set_new(body, "top_k", json_integer((json_int_t)p->top));
    rc = post(p->call, &reply, "/v1/predictions", NULL, body);
    if (rc == EXIT_DONE && !show_json(p->call, &reply)) {
        json_array_foreach ((json_t *)json_at(reply.json, "data"), i, prediction)
            predict_put(p->call, prediction,
                        json_array_get(p->texts, (size_t)json_whole(prediction, "index")), p->top);
    }
    fflush(stdout);
    http_reply_clear(&reply);
    json_decref(body);
    json_array_clear(p->texts);
    p->bytes = 0;
    return rc;
}

/* About as much as it is in JSON. */
static size_t size_of(const json_t *input)
{
    size_t n = json_is_string(input) ? json_string_length(input) : 0;
    const char *name;
    json_t *member;

    json_object_foreach ((json_t *)input, name, member)
        n += json_string_length(member);
    return n;
}

/* Takes `input`; NULL: it could not be made. */
static int add(struct predicting *p, json_t *input)
{
    if (!input)
        return fail(EXIT_FAILED, "line %zu: is not UTF-8", p->line);
    json_array_append_new(p->texts, input);
    p->bytes += size_of(input);
    return json_array_size(p->texts) >= (size_t)p->batch || p->bytes >= BYTES_AT_ONCE
               ? send_batch(p)
               : EXIT_DONE;
}

static bool are_texts(const json_t *list)
{
    const json_t *word;
    size_t i;

    json_array_foreach ((json_t *)list, i, word)
        if (!json_is_string(word))
            return false;
    return json_array_size(list) > 0;
}

/* What is asked of a line's JSON; a row of training data will do: its label is left out. NULL: it
 * is no input. Takes `line`. */
static json_t *input_of(json_t *line)
{
    const json_t *tokens = json_at(line, "tokens");
    json_t *words = (json_t *)(json_is_array(line) ? line
                               : tokens            ? tokens
                                                   : json_at(line, "words"));
    json_t *input = NULL;

    if (are_texts(words))
        input = must(json_pack("{s:O}", "words", words));
    else if (json_is_string(line))
        input = json_incref(line);
    else if (json_at(line, "question") && json_at(line, "context"))
        input = must(json_pack("{s:O, s:O}", "question", json_object_get(line, "question"),
                               "context", json_object_get(line, "context")));
    else if (*json_text(line, "text"))
        input = must(json_pack("{s:O, s:O*}", "text", json_object_get(line, "text"), "text_pair",
                               json_object_get(line, "text_pair")));
    json_decref(line);
    return input;
}

/* The line is what not all have. */
static int add_question(struct predicting *p, const char *line)
{
    json_t *given = json_string(line), *input = NULL;

    if (given)
        input = must(json_pack("{s:O, s:O}", "question", p->question ? p->question : given,
                               "context", p->context ? p->context : given));
    json_decref(given);
    return add(p, input);
}

static int add_line(struct predicting *p, char *line)
{
    char *tab = strchr(line, '\t');
    json_t *input;

    if (p->question || p->context)
        return add_question(p, line);
    if (call_has(p->call, "jsonl")) {
        input = input_of(json_loads(line, JSON_DECODE_ANY, NULL));
        return input ? add(p, input)
                     : fail(EXIT_FAILED,
                            "line %zu: must be a JSON string, a list of words, or an object with "
                            "\"text\", \"words\", or \"question\" and \"context\"",
                            p->line);
    }
    if (!call_has(p->call, "pairs"))
        return add(p, json_string(line));
    if (!tab)
        return fail(EXIT_FAILED, "line %zu: has no tab between two texts", p->line);
    *tab = '\0';
    return add(p, json_pack("{s:s, s:s}", "text", line, "text_pair", tab + 1));
}

static int add_lines(struct predicting *p, const char *path)
{
    FILE *file = !path || strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int rc = EXIT_DONE;

    if (!file)
        return fail(EXIT_FAILED, "%s: %s", path, strerror(errno));
    while (rc == EXIT_DONE && (n = getline(&line, &room, file)) >= 0) {
        p->line++;
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            line[--n] = '\0';
        if (n > 0)
            rc = add_line(p, line);
    }
    if (rc == EXIT_DONE && ferror(file))
        rc = fail(EXIT_FAILED, "%s: %s", path ? path : "stdin", strerror(errno));
    free(line);
    if (file != stdin)
        fclose(file);
    return rc;
}

static int add_all(struct predicting *p)
{
    int rc = EXIT_DONE;

    if (p->question && p->context)
        rc = add(p, must(json_pack("{s:O, s:O}", "question", p->question, "context", p->context)));
    else if (p->call->n_args == 1 || call_has(p->call, "file"))
        rc = add_lines(p, call_option(p->call, "file"));
    for (size_t i = 1; i < p->call->n_args && rc == EXIT_DONE; i++) {
        char *line = must(strdup(p->call->args[i]));

        p->line = i;
        rc = add_line(p, line);
        free(line);
    }
    return rc == EXIT_DONE ? send_batch(p) : rc;
}

/* What is asked of all texts, or all questions are asked of. */
static int read_question(struct predicting *p)
{
    const struct call *call = p->call;
    const bool both = call_has(call, "question") && call_has(call, "context");
    int rc = EXIT_DONE;

    if (!call_has(call, "question") && !call_has(call, "context"))
        return EXIT_DONE;
    if (call_has(call, "jsonl") || call_has(call, "pairs"))
        return fail(EXIT_USAGE, "predict: --question and --context are for lines of plain text");
    if (both && (call->n_args > 1 || call_has(call, "file")))
        return fail(EXIT_USAGE, "predict: --question and --context leave no room for other texts");
    if (call_has(call, "question"))
        rc = value_read_text(call_option(call, "question"), "question", &p->question);
    if (rc == EXIT_DONE && call_has(call, "context"))
        rc = value_read_text(call_option(call, "context"), "context", &p->context);
    return rc;
}

int run_predict(struct call *call)
{
    struct predicting p = {.call = call, .texts = must(json_array())};
    int rc = call_integer(call, "top", 1, 1000, 0, &p.top);

    if (rc == EXIT_DONE)
        rc = call_integer(call, "batch", 1, MOST_AT_ONCE, TEXTS_AT_ONCE, &p.batch);
    if (rc == EXIT_DONE)
        rc = read_question(&p);
    if (rc == EXIT_DONE)
        rc = resolve(call, THING_MODEL, call->args[0], &p.model);
    if (rc == EXIT_DONE)
        rc = add_all(&p);
    json_decref(p.texts);
    json_decref(p.question);
    json_decref(p.context);
    free(p.model);
    return rc;
}
