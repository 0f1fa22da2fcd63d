/*
 * complete.c - what the last of some words may become: asked by prilora.bash, answered from the
 * table and, for ids, by the daemon, if it is quick. "@files" stands for whatever files there are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/cli/http.h"
#include "api/cli/json.h"
#include "api/cli/text.h"
#include "prilora.h"

#define PATIENCE_S 1

struct completing {
    struct call *call;
    const char *word;
    const struct command *command;
    size_t n_arguments; /* complete ones before the word */
};

static void offer(const struct completing *c, const char *candidate)
{
    if (strncmp(candidate, c->word, strlen(c->word)) == 0)
        text_say("%s", candidate);
}

/* Every id in a list of the daemon's that has (or lacks) a member; silent if it does not answer. */
static void offer_ids(const struct completing *c, const char *path, const char *having,
                      const char *lacking)
{
    struct http *http = http_new(&c->call->settings);
    struct http_reply reply;
    const json_t *element;
    size_t i;

    if (http_send(http,
                  &(struct http_request){.method = "GET", .path = path, .timeout_s = PATIENCE_S},
                  &reply)) {
        json_array_foreach ((json_t *)json_at(reply.json, "data"), i, element) {
            if ((!having || json_at(element, having)) && (!lacking || !json_at(element, lacking)))
                offer(c, json_text(element, "id"));
        }
    }
    http_reply_clear(&reply);
    http_free(http);
}

static void offer_settings(const struct completing *c)
{
    for (int i = 0; i < N_SETTINGS; i++)
        offer(c, setting_rows[i].name);
}

static void offer_tasks(const struct completing *c)
{
    static const char *const kinds[] = {"classification", "regression", "multi_label",
                                        "token_classification", "question_answering"};
    const char *name;

    for (int i = PRILORA_GLUE_NONE + 1; (name = prilora_glue_name((enum prilora_glue)i)); i++)
        offer(c, name);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        offer(c, kinds[i]);
}

/* The first words, or the second ones of the first that is there. */
static void offer_commands(const struct completing *c, const char *first)
{
    size_t n = first ? strlen(first) : 0;

    for (size_t i = 0; i < n_commands; i++) {
        const char *name = commands[i].name;
        bool is_second = strchr(name, ' ') != NULL;

        if (first && strncmp(name, first, n) == 0 && name[n] == ' ')
            offer(c, name + n + 1);
        else if (!first && !is_second && !commands[i].is_hidden)
            offer(c, name);
    }
}

static void offer_kind(const struct completing *c, enum completes kind)
{
    static const struct {
        const char *path, *having, *lacking;
    } lists[] = {
        [COMPLETE_DATA] = {"/v1/files?limit=100", NULL, NULL},
        [COMPLETE_FILE] = {"/v1/files?limit=100", NULL, NULL},
        [COMPLETE_JOB] = {"/v1/fine_tuning/jobs?limit=100", NULL, NULL},
        [COMPLETE_BASE] = {"/v1/models", NULL, "base_model"},
        [COMPLETE_ADAPTER] = {"/v1/models", "base_model", NULL},
        [COMPLETE_MODEL] = {"/v1/models", NULL, NULL},
        [COMPLETE_TARGET] = {"/v1/models", "base_model", NULL},
        [COMPLETE_KEY] = {"/v1/keys", NULL, NULL},
        [COMPLETE_PULL] = {"/v1/pulls", NULL, NULL},
        [COMPLETE_EXPERIMENT] = {"/v1/experiments?limit=100", NULL, NULL},
        [COMPLETE_COMMAND] = {NULL, NULL, NULL},
        [COMPLETE_TASK] = {NULL, NULL, NULL},
    };

    if (kind == COMPLETE_PATH || kind == COMPLETE_DATA)
        puts("@files");
    if (kind == COMPLETE_CONFIG)
        offer_settings(c);
    if (kind == COMPLETE_TASK)
        offer_tasks(c);
    if (kind == COMPLETE_COMMAND)
        offer_commands(c, NULL);
    if (kind == COMPLETE_JOB || kind == COMPLETE_TARGET || kind == COMPLETE_EXPERIMENT)
        offer(c, "last");
    if (kind == COMPLETE_TARGET)
        offer_ids(c, lists[COMPLETE_JOB].path, "fine_tuned_model", NULL);
    if (lists[kind].path)
        offer_ids(c, lists[kind].path, lists[kind].having, lists[kind].lacking);
}

/* "a|b|c": the words that an option takes. */
static void offer_words(const struct completing *c, const char *words)
{
    while (*words) {
        size_t n = strcspn(words, "|");
        char *word = must(strndup(words, n));

        offer(c, word);
        free(word);
        words += n + (words[n] == '|');
    }
}

static void offer_value(const struct completing *c, const struct option_spec *option)
{
    if (strchr(option->value, '|'))
        offer_words(c, option->value);
    offer_kind(c, option->completes);
}

static void offer_options(const struct completing *c)
{
    const struct option_spec *lists[] = {c->command ? c->command->options : NULL, common_options};

    for (size_t i = 0; i < 2; i++) {
        for (const struct option_spec *o = lists[i]; o && o->name; o++) {
            char *word = format("--%s", o->name);

            offer(c, word);
            free(word);
        }
    }
}

static const struct option_spec *find_letter(const struct command *command, char letter)
{
    for (const struct option_spec *o = command ? command->options : NULL; o && o->name; o++) {
        if (o->letter == letter)
            return o;
    }
    return NULL;
}

/* The option that this word is and that takes the next one as its value; NULL: none. */
static const struct option_spec *waiting_option(const struct command *command, const char *word)
{
    const struct option_spec *option = NULL;

    if (strncmp(word, "--", 2) == 0)
        option = command_option(command, word + 2, strlen(word + 2));
    else if (word[1] && !word[2])
        option = find_letter(command, word[1]);
    return option && option->value ? option : NULL;
}

/* Reads the complete words; the option whose value the last word is, if it is one. */
static const struct option_spec *read_words(struct completing *c, const char **words, size_t n,
                                            const char **first)
{
    const struct option_spec *waiting = NULL;

    *first = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t n_words = 0;

        if (waiting) {
            waiting = NULL;
        } else if (words[i][0] == '-' && words[i][1]) {
            waiting = waiting_option(c->command, words[i]);
        } else if (!c->command) {
            c->command = command_find(words + i, n - i, &n_words);
            if (!c->command)
                return NULL;
            *first = words[i];
            i += n_words - 1;
            if (n_words == 2)
                *first = NULL;
        } else {
            c->n_arguments++;
            *first = NULL;
        }
    }
    return waiting;
}

int run_complete(struct call *call)
{
    struct completing c = {.call = call};
    const char *first;
    const struct option_spec *waiting;

    if (call->n_args == 0)
        return EXIT_DONE;
    c.word = call->args[call->n_args - 1];
    waiting = read_words(&c, call->args, call->n_args - 1, &first);
    if (waiting) {
        offer_value(&c, waiting);
    } else if (c.word[0] == '-') {
        offer_options(&c);
    } else if (!c.command) {
        offer_commands(&c, NULL);
    } else {
        if (first)
            offer_commands(&c, first);
        if (c.n_arguments == 0 || c.command->most == ANY_NUMBER)
            offer_kind(&c, c.command->completes);
    }
    return EXIT_DONE;
}
