/* columns.c - see columns.h. The names are ours, those of GLUE's published files, and those
 * under which the hub has named entities. */
#include "train/columns.h"

#include <stdio.h>
#include <string.h>

/* Earlier rows win where several fit. */
static const struct pl_columns table[] = {
    {"text", "text_pair", "label", true, false},
    {"text", "text_pair", "labels", true, false},
    {"question", "sentence", "label", false, false},         /* QNLI */
    {"question1", "question2", "is_duplicate", false, true}, /* QQP */
    {"question1", "question2", "label", false, false},
    {"#1 String", "#2 String", "Quality", false, false},   /* MRPC */
    {"sentence1", "sentence2", "gold_label", false, true}, /* MNLI */
    {"sentence1", "sentence2", "score", false, false},     /* STS-B */
    {"sentence1", "sentence2", "label", false, false},     /* RTE, WNLI */
    {"premise", "hypothesis", "label", false, false},
    {"sentence", NULL, "label", false, false}, /* SST-2 */
};
enum { N_ROWS = sizeof table / sizeof *table };

const struct pl_columns *pl_columns_choose(bool (*has)(const void *context, const char *name),
                                           const void *context, char *reason, size_t room)
{
    const struct pl_columns *text = NULL, *both = NULL;

    for (size_t i = 0; i < N_ROWS; i++) {
        const struct pl_columns *c = &table[i];
        bool pair = !c->pair || c->pair_is_optional || has(context, c->pair);

        if (!has(context, c->text))
            continue;
        if (pair && has(context, c->label))
            return c;
        text = text ? text : c;
        both = both || !pair ? both : c;
    }
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
