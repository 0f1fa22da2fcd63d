/*
 * arguments.c - the command line, read by the table. Options may stand anywhere; those before the
 * command are the common ones. "--" ends them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"
#include "api/suggest.h"

#define MAX_NAMES 128

struct reading {
    struct call *call;
    char **argv;
    int argc, i; /* the word in hand */
    bool ended;  /* after "--" */
};

static int refuse_option(const struct reading *r, const char *name, size_t n)
{
    const char *names[MAX_NAMES + 1] = {0}, *meant;
    const struct option_spec *lists[] = {r->call->command ? r->call->command->options : NULL,
                                         common_options};
    char *word = must(strndup(name, n));
    size_t n_names = 0;

    for (size_t i = 0; i < 2; i++) {
        for (const struct option_spec *o = lists[i]; o && o->name && n_names < MAX_NAMES; o++)
            names[n_names++] = o->name;
    }
    meant = suggest(word, names);
    fail(EXIT_USAGE, "%s%sno option --%s%s%s%s", r->call->command ? r->call->command->name : "",
         r->call->command ? ": " : "", word, meant ? "; did you mean --" : "", meant ? meant : "",
         meant ? "?" : "");
    free(word);
    return EXIT_USAGE;
}

static void add_given(struct call *call, const struct option_spec *option, const char *value)
{
    call->given = must(reallocarray(call->given, call->n_given + 1, sizeof *call->given));
    call->given[call->n_given++] = (struct given){option, value};
}

/* `attached`: what stands in the same word, NULL for nothing. */
static int take_value(struct reading *r, const struct option_spec *option, const char *attached)
{
    if (!option->value && attached)
        return fail(EXIT_USAGE, "--%s takes no value", option->name);
    if (option->value && !attached) {
        if (r->i + 1 >= r->argc)
            return fail(EXIT_USAGE, "--%s needs a value: %s", option->name, option->value);
        attached = r->argv[++r->i];
    }
    add_given(r->call, option, attached);
    return EXIT_DONE;
}

static int take_long(struct reading *r, const char *word)
{
    size_t n = strcspn(word, "=");
    const struct option_spec *option = command_option(r->call->command, word, n);

    if (!option)
        return refuse_option(r, word, n);
    return take_value(r, option, word[n] == '=' ? word + n + 1 : NULL);
}

static const struct option_spec *find_letter(const struct command *command, char letter)
{
    const struct option_spec *lists[] = {command ? command->options : NULL, common_options};

    for (size_t i = 0; i < 2; i++) {
        for (const struct option_spec *o = lists[i]; o && o->name; o++) {
            if (o->letter == letter)
                return o;
        }
    }
    return NULL;
}

/* "-w", "-oDIR", "-o DIR" */
static int take_short(struct reading *r, const char *word)
{
    const struct option_spec *option = find_letter(r->call->command, word[0]);

    if (!option)
        return fail(EXIT_USAGE, "no option -%s (prilora %s--help tells which there are)", word,
                    r->call->command ? "COMMAND " : "");
    if (!option->value && word[1])
        return fail(EXIT_USAGE, "-%c takes no value", word[0]);
    return take_value(r, option, word[1] ? word + 1 : NULL);
}

static int refuse_command(const char *word)
{
    const char *names[MAX_NAMES + 1] = {0}, *meant;
    size_t n = 0;

    for (size_t i = 0; i < n_commands && n < MAX_NAMES; i++) {
        if (!commands[i].is_hidden && !strchr(commands[i].name, ' '))
            names[n++] = commands[i].name;
    }
    meant = suggest(word, names);
    if (meant)
        return fail(EXIT_USAGE, "no command \"%s\"; did you mean \"%s\"?", word, meant);
    return fail(EXIT_USAGE, "no command \"%s\" (prilora --help lists them)", word);
}

static int take_command(struct reading *r)
{
    const char *words[2] = {r->argv[r->i], r->i + 1 < r->argc ? r->argv[r->i + 1] : NULL};
    size_t n_words;

    r->call->command = command_find(words, words[1] ? 2 : 1, &n_words);
    if (!r->call->command)
        return refuse_command(words[0]);
    r->i += (int)n_words - 1;
    /* everything that follows is the words of another command line */
    r->ended = strcmp(r->call->command->name, "complete") == 0;
    return EXIT_DONE;
}

/* A negative number is an argument, and so is "-". */
static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && !(word[1] >= '0' && word[1] <= '9');
}

static int take_word(struct reading *r)
{
    const char *word = r->argv[r->i];

    if (!r->ended && strcmp(word, "--") == 0) {
        r->ended = true;
        return EXIT_DONE;
    }
    if (!r->ended && is_option(word)) {
        if (!r->call->command && strcmp(word, "--version") == 0) {
            r->call->command = command_find((const char *[]){"version"}, 1, &(size_t){0});
            return EXIT_DONE;
        }
        return word[1] == '-' ? take_long(r, word + 2) : take_short(r, word + 1);
    }
    if (!r->call->command)
        return take_command(r);
    r->call->args[r->call->n_args++] = word;
    return EXIT_DONE;
}

/* "files shwo": the second word was meant as part of the command. */
static int refuse_argument(const struct command *command, const char *word)
{
    const char *names[MAX_NAMES + 1] = {0}, *meant;
    size_t n = 0, first = strlen(command->name);

    for (size_t i = 0; i < n_commands && n < MAX_NAMES; i++) {
        if (strncmp(commands[i].name, command->name, first) == 0 && commands[i].name[first] == ' ')
            names[n++] = commands[i].name + first + 1;
    }
    meant = suggest(word, names);
    if (meant)
        return fail(EXIT_USAGE, "no command \"%s %s\"; did you mean \"%s %s\"?", command->name,
                    word, command->name, meant);
    return fail(EXIT_USAGE, "%s: \"%s\" is one argument too many (usage: prilora %s %s)",
                command->name, word, command->name, command->arguments);
}

static int check_count(const struct call *call)
{
    const struct command *command = call->command;

    if (call->n_args < command->least)
        return fail(EXIT_USAGE, "%s: something is missing (usage: prilora %s %s)", command->name,
                    command->name, command->arguments);
    if (call->n_args > command->most)
        return refuse_argument(command, call->args[command->most]);
    return EXIT_DONE;
}

int arguments_parse(struct call *call, int argc, char **argv)
{
    struct reading r = {call, argv, argc, 1, false};
    int rc = EXIT_DONE;

    call->args = must(calloc((size_t)argc + 1, sizeof *call->args));
    for (; r.i < argc && rc == EXIT_DONE; r.i++)
        rc = take_word(&r);
    if (rc == EXIT_DONE && call->command && !call_has(call, "help"))
        rc = check_count(call);
    call->json = call_has(call, "json");
    return rc;
}
