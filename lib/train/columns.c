/* columns.c - see columns.h. The names are ours, those of GLUE's published files, and those
 * under which the hub has named entities and questions. */
#include "train/columns.h"

#include <stdio.h>
#include <string.h>

#include "train/glue.h"

#define OF(task) (1u << PRILORA_GLUE_##task)
#define PAIRS    (OF(MRPC) | OF(STSB) | OF(RTE) | OF(WNLI))

/* Earlier rows win where several fit. A GLUE task has its published row and the hub's. */
static const struct pl_columns table[] = {
    {"text", "text_pair", "label", true, false, 0},
    {"text", "text_pair", "labels", true, false, 0},
    {"question", "sentence", "label", false, false, OF(QNLI)},
    {"question1", "question2", "is_duplicate", false, true, OF(QQP)},
    {"question1", "question2", "label", false, false, OF(QQP)},
    {"#1 String", "#2 String", "Quality", false, false, OF(MRPC)},
    {"sentence1", "sentence2", "gold_label", false, true, OF(MNLI)},
    {"sentence1", "sentence2", "score", false, false, OF(STSB)},
    {"sentence1", "sentence2", "label", false, false, PAIRS},
    {"premise", "hypothesis", "label", false, false, OF(MNLI)},
    {"sentence", NULL, "label", false, false, OF(COLA) | OF(SST2)},
};
enum { N_ROWS = sizeof table / sizeof *table };

static void say_missing(const struct pl_columns *text, const struct pl_columns *both, char *reason,
                        size_t room)
{
    if (both)
        snprintf(reason, room, "no label: \"%s\" is expected beside \"%s\"", both->label,
                 both->text);
    else if (text)
        snprintf(reason, room, "no second text: \"%s\" is expected beside \"%s\"", text->pair,
                 text->text);
    else
        snprintf(reason, room,
                 "no text: \"text\" is expected, or a GLUE task's own names (\"sentence\", "
                 "\"sentence1\", \"question\", \"question1\", \"premise\", \"#1 String\")");
}

/* "what RTE has: "sentence1", "sentence2", "label"", and of some tasks the hub's names behind. */
static void say_expected(enum prilora_glue glue, char *reason, size_t room)
{
    size_t used = (size_t)snprintf(reason, room, "not what %s has:", pl_glue_of(glue)->title);
    const char *before = glue == PRILORA_GLUE_COLA ? " four columns without a header, or" : "";

    for (size_t i = 0; i < N_ROWS && used < room; i++) {
        const struct pl_columns *c = &table[i];

        if (!(c->tasks >> glue & 1))
            continue;
        used += (size_t)snprintf(reason + used, room - used, "%s \"%s\", %s%s%s\"%s\"", before,
                                 c->text, c->pair ? "\"" : "", c->pair ? c->pair : "",
                                 c->pair ? "\", " : "", c->label);
        before = ", or";
    }
    if (used < room)
        snprintf(reason + used, room - used, " (a test file has no labels)");
}

const struct pl_columns *pl_columns_choose(enum prilora_glue glue,
                                           bool (*has)(const void *context, const char *name),
                                           const void *context, char *reason, size_t room)
{
    const struct pl_columns *text = NULL, *both = NULL;

    for (size_t i = 0; i < N_ROWS; i++) {
        const struct pl_columns *c = &table[i];
        bool pair = !c->pair || c->pair_is_optional || has(context, c->pair);

        if ((glue && !(c->tasks >> glue & 1)) || !has(context, c->text))
            continue;
        if (pair && has(context, c->label))
            return c;
        text = text ? text : c;
        both = both || !pair ? both : c;
    }
    if (glue)
        say_expected(glue, reason, room);
    else
        say_missing(text, both, reason, room);
    return NULL;
}

bool pl_columns_tagged(bool (*has)(const void *context, const char *name),
                       bool (*is_list)(const void *context, const char *name), const void *context,
                       const char **words, const char **tags)
{
    static const char *const of_words[] = {"tokens", "words", NULL};
    static const char *const of_tags[] = {"ner_tags", "tags", "labels", NULL};
    size_t i = 0, k = 0;

    while (of_words[i] && !(has(context, of_words[i]) && is_list(context, of_words[i])))
        i++;
    while (of_tags[k] && !has(context, of_tags[k]))
        k++;
    *words = of_words[i];
    *tags = of_tags[k];
    return *words && (*tags || !has(context, "text"));
}

bool pl_columns_asked(bool (*has)(const void *context, const char *name), const void *context)
{
    if (!has(context, "question") || !has(context, "context"))
        return false;
    if (has(context, "label") || has(context, "labels"))
        return has(context, "answers") && !has(context, "text");
    return true;
}

bool pl_columns_is_text(const char *name, size_t size)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        const char *names[] = {table[i].text, table[i].pair};

        for (size_t j = 0; j < 2; j++)
            if (names[j] && strlen(names[j]) == size && memcmp(names[j], name, size) == 0)
                return true;
    }
    return false;
}
