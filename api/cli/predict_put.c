/* predict_put.c - see predict_put.h. */
#include "api/cli/predict_put.h"

#include <stdio.h>

#include "api/cli/json.h"
#include "api/cli/text.h"

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

/* What varies from one to the next: the context if all have the same question. */
static void put_answer(const struct call *call, const json_t *answer, const json_t *input)
{
    const char *text = json_text(answer, "answer");
    const bool one_question = call_has(call, "question") && !call_has(call, "context");

    put_label(*text ? text : "-", answer, "score");
    text_put(stdout, json_text(input, one_question ? "context" : "question"));
    putchar('\n');
}

static void put_labels(const json_t *labels, const json_t *input)
{
    const json_t *label;
    size_t i;

    json_array_foreach ((json_t *)labels, i, label) {
        fputs(i ? "," : "", stdout);
        text_put(stdout,
                 json_is_string(label) ? json_string_value(label) : json_text(label, "label"));
    }
    putchar('\t');
    put_text(input);
}

void predict_put(const struct call *call, const json_t *prediction, const json_t *input,
                 int64_t top)
{
    const json_t *labels = json_at(prediction, "labels");
    const json_t *entities = json_at(prediction, "entities");
    const json_t *answers = json_at(prediction, "answers"), *answer;
    double value;
    size_t i;

    if (answers && top > 0) {
        json_array_foreach ((json_t *)answers, i, answer)
            put_answer(call, answer, input);
    } else if (answers) {
        put_answer(call, prediction, input);
    } else if (entities && call_has(call, "words")) {
        put_tags(json_at(prediction, "words"));
    } else if (entities) {
        put_entities(entities, input);
    } else if (json_number(prediction, "value", &value)) {
        printf("%.6g\t", value);
        put_text(input);
    } else if (top > 0) {
        put_top(prediction, input, top);
    } else if (labels) {
        put_labels(labels, input);
    } else {
        put_label(json_text(prediction, "label"), prediction, "score");
        put_text(input);
    }
}
