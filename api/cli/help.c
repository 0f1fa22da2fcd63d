/* help.c - --help, from the table. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/commands.h"

#define COLUMN 27

static void put_row(FILE *out, const char *left, const char *right)
{
    int width = fprintf(out, "  %s", left);

    if (width + 2 > COLUMN) {
        fputc('\n', out);
        width = 0;
    }
    fprintf(out, "%*s%s\n", COLUMN - width, "", right);
}

static void put_options(FILE *out, const struct option_spec *options)
{
    for (; options->name; options++) {
        char *left =
            format("%c%c%c --%s%s%s", options->letter ? '-' : ' ',
                   options->letter ? options->letter : ' ', options->letter ? ',' : ' ',
                   options->name, options->value ? " " : "", options->value ? options->value : "");

        put_row(out, left, options->help);
        free(left);
    }
}

void help_program(FILE *out)
{
    fputs("Usage: prilora [OPTION]... COMMAND [ARGUMENT]...\n\n"
          "Trains language models with a prilorad daemon, and uses what comes of it.\n\n",
          out);
    for (size_t i = 0; i < n_commands; i++) {
        char *left;

        if (commands[i].is_hidden)
            continue;
        left = format("%s %s", commands[i].name, commands[i].arguments);
        put_row(out, left, commands[i].summary);
        free(left);
    }
    fputs("\nFor every command:\n", out);
    put_options(out, common_options);
    put_row(out, "    --version", "print the version");
    fputs("\nIds may be shortened to any beginning or end that only one has; \"last\" is the newest"
          "\njob or experiment. The environment and ~/.config/prilora/config (prilora config) say "
          "where the"
          "\ndaemon is: PRILORA_URL, PRILORA_API_KEY, PRILORA_SOCKET, PRILORA_CACERT,"
          "\nPRILORA_INSECURE. NO_COLOR: no colours.\n\n"
          "Exit status: 0 done; 1 failed, or the watched job did; 2 wrong usage; 3 the daemon\n"
          "does not answer; 4 no such thing; 5 the key is missing or may not; 6 timed out;\n"
          "130 interrupted.\n",
          out);
}

void help_command(FILE *out, const struct command *command)
{
    fprintf(out, "Usage: prilora %s [OPTION]...%s%s\n\n%c%s.\n", command->name,
            *command->arguments ? " " : "", command->arguments,
            toupper((unsigned char)command->summary[0]), command->summary + 1);
    if (command->details)
        fprintf(out, "%s", command->details);
    fputc('\n', out);
    if (command->options[0].name) {
        put_options(out, command->options);
        fputs("\nFor every command:\n", out);
    }
    put_options(out, common_options);
}

int run_help(struct call *call)
{
    size_t n_words;
    const struct command *command;

    if (call->n_args == 0) {
        help_program(stdout);
        return EXIT_DONE;
    }
    command = command_find(call->args, call->n_args, &n_words);
    if (!command || n_words != call->n_args)
        return fail(EXIT_USAGE, "no command \"%s%s%s\" (prilora --help lists them)", call->args[0],
                    call->n_args > 1 ? " " : "", call->n_args > 1 ? call->args[1] : "");
    help_command(stdout, command);
    return EXIT_DONE;
}
