/*
 * predict.c - texts labelled by a finished adapter: those on the command line, or the lines of a
 * file, a batch at a time.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/cli/http.h"
#include "api/cli/json.h"
#include "api/cli/list.h"
#include "api/cli/text.h"

#define TEXTS_AT_ONCE 32
#define MOST_AT_ONCE  1024

struct predicting {
    const struct call *call;
    char *model;
    int64_t top, batch;
    json_t *texts; /* waiting to be sent */
    size_t line;   /* of the last of them */
};

/* ---- what comes back ---- */

/* Words with spaces between. */
static void put_words(const json_t *words)
{
    const json_t *word;
    size_t i;

    json_array_foreach ((json_t *)words, i, word) {
        fputs(i ? " " : "", stdout);
        text_put(stdout, json_string_value(word));
    }
}

static void put_text(const json_t *input)
{
    const char *pair = json_text(input, "text_pair");
    const json_t *words = json_at(input, "words");

    if (words) {
        put_words(words);
        putchar('\n');
        return;
    }

    text_put(stdout, json_is_string(input) ? json_string_value(input) : json_text(input, "text"));
    if (*pair) {
        putchar('\t');
        text_put(stdout, pair);
    }
    putchar('\n');
}

static void put_label(const char *label, const json_t *object, const char *member)
{
    double value;

    text_put(stdout, label);
    if (json_number(object, member, &value))
        printf("\t%.4f", value);
    putchar('\t');
}

/* A line for each of the most probable labels. */
static void put_top(const json_t *prediction, const json_t *input, int64_t top)
{
    const json_t *row;
    size_t i;

    json_array_foreach ((json_t *)json_at(prediction, "probabilities"), i, row) {
        if ((int64_t)i >= top)
            return;
        put_label(json_text(row, "label"), row, "probability");
        put_text(input);
    }
}

/* A line for each entity, or one that says that there is none. */
static void put_entities(const json_t *entities, const json_t *input)
{
    const json_t *entity;
    size_t i;

    json_array_foreach ((json_t *)entities, i, entity) {
        put_label(json_text(entity, "label"), entity, "score");
        text_put(stdout, json_text(entity, "text"));
        putchar('\t');
        put_text(input);
    }
    if (json_array_size(entities) == 0) {
        fputs("-\t-\t-\t", stdout);
        put_text(input);
    }
}

/* As a CoNLL file has them: a word a line with its tag, and a blank line after them. */
static void put_tags(const json_t *words)
{
    const json_t *word;
    size_t i;

    json_array_foreach ((json_t *)words, i, word) {
        const char *tag = json_text(word, "tag");

        text_put(stdout, json_text(word, "word"));
        putchar('\t');
        text_put(stdout, *tag ? tag : "-");
        putchar('\n');
    }
    putchar('\n');
}

static void put_prediction(const struct predicting *p, const json_t *prediction)
{
    const json_t *input = json_array_get(p->texts, (size_t)json_whole(prediction, "index"));
    const json_t *labels = json_at(prediction, "labels"), *label;
    const json_t *entities = json_at(prediction, "entities");
    double value;
    size_t i;

    if (entities && call_has(p->call, "words"))
        put_tags(json_at(prediction, "words"));
    else if (entities)
        put_entities(entities, input);
    else if (json_number(prediction, "value", &value)) {
        printf("%.6g\t", value);
        put_text(input);
    } else if (p->top > 0) {
        put_top(prediction, input, p->top);
    } else if (labels) {
        json_array_foreach ((json_t *)labels, i, label) {
            fputs(i ? "," : "", stdout);
            text_put(stdout,
                     json_is_string(label) ? json_string_value(label) : json_text(label, "label"));
        }
        putchar('\t');
        put_text(input);
    } else {
        put_label(json_text(prediction, "label"), prediction, "score");
        put_text(input);
    }
}

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
            put_prediction(p, prediction);
    }
    fflush(stdout);
    http_reply_clear(&reply);
    json_decref(body);
    json_array_clear(p->texts);
    return rc;
}

/* Takes `input`; NULL: it could not be made. */
static int add(struct predicting *p, json_t *input)
{
    if (!input)
        return fail(EXIT_FAILED, "line %zu: is not UTF-8", p->line);
    json_array_append_new(p->texts, input);
    return json_array_size(p->texts) >= (size_t)p->batch ? send_batch(p) : EXIT_DONE;
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
    else if (*json_text(line, "text"))
        input = must(json_pack("{s:O, s:O*}", "text", json_object_get(line, "text"), "text_pair",
                               json_object_get(line, "text_pair")));
    json_decref(line);
    return input;
}

static int add_line(struct predicting *p, char *line)
{
    char *tab = strchr(line, '\t');
    json_t *input;

    if (call_has(p->call, "jsonl")) {
        input = input_of(json_loads(line, JSON_DECODE_ANY, NULL));
        return input ? add(p, input)
                     : fail(EXIT_FAILED,
                            "line %zu: must be a JSON string, a list of words, or an object with "
                            "\"text\" or \"words\"",
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

    if (p->call->n_args == 1 || call_has(p->call, "file"))
        rc = add_lines(p, call_option(p->call, "file"));
    for (size_t i = 1; i < p->call->n_args && rc == EXIT_DONE; i++) {
        char *line = must(strdup(p->call->args[i]));

        p->line = i;
        rc = add_line(p, line);
        free(line);
    }
    return rc == EXIT_DONE ? send_batch(p) : rc;
}

int run_predict(struct call *call)
{
    struct predicting p = {.call = call, .texts = must(json_array())};
    int rc = call_integer(call, "top", 1, 1000, 0, &p.top);

    if (rc == EXIT_DONE)
        rc = call_integer(call, "batch", 1, MOST_AT_ONCE, TEXTS_AT_ONCE, &p.batch);
    if (rc == EXIT_DONE)
        rc = resolve(call, THING_MODEL, call->args[0], &p.model);
    if (rc == EXIT_DONE)
        rc = add_all(&p);
    json_decref(p.texts);
    free(p.model);
    return rc;
}
