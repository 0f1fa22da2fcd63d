/* config.c - the client's own settings, shown and kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "api/cli/commands.h"
#include "api/cli/table.h"
#include "api/cli/text.h"

#define MAX_VALUE 4096

/* A secret is told from another by its beginning, and used by nobody who looks on. */
static char *shown(const struct setting_row *row, const char *value)
{
    if (!row->is_secret || !*value)
        return must(strdup(*value ? value : "-"));
    return format("%.*s... (%zu characters)", strlen(value) > 20 ? 8 : 0, value, strlen(value));
}

static void print_json(const struct settings *settings)
{
    json_t *object = must(json_object());
    char *text;

    for (int i = 0; i < N_SETTINGS; i++) {
        char *value = shown(&setting_rows[i], settings->values[i]);

        json_object_set_new(object, setting_rows[i].name,
                            json_pack("{s:s, s:s}", "value", value, "source",
                                      settings->sources[i]));
        free(value);
    }
    text = must(json_dumps(object, JSON_COMPACT));
    puts(text);
    free(text);
    json_decref(object);
}

int run_config(struct call *call)
{
    static const struct column columns[] = {{"NAME", COLUMN_LEFT},
                                            {"VALUE", COLUMN_LEFT},
                                            {"FROM", COLUMN_LEFT}};
    struct table *table;

    if (call->json) {
        print_json(&call->settings);
        return EXIT_DONE;
    }
    table = table_new(columns, 3);
    for (int i = 0; i < N_SETTINGS; i++) {
        const char *source = call->settings.sources[i];
        char *value = shown(&setting_rows[i], call->settings.values[i]);

        table_cell(table, setting_rows[i].name);
        table_cell(table, value);
        table_cell(table, strcmp(source, "environment") == 0 ? setting_rows[i].environment
                          : strcmp(source, "file") == 0      ? call->settings.path
                                                             : source);
        free(value);
    }
    table_print(table);
    table_free(table);
    return EXIT_DONE;
}

static int check_value(const struct setting_row *row, const char *value)
{
    if (!*value || strpbrk(value, "\r\n"))
        return fail(EXIT_USAGE, "%s: must be one line that is not empty", row->name);
    if (row == &setting_rows[SETTING_URL] && strncmp(value, "http://", 7) != 0 &&
        strncmp(value, "https://", 8) != 0)
        return fail(EXIT_USAGE, "url: \"%s\", but must begin with http:// or https://", value);
    if (row->is_switch && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
        return fail(EXIT_USAGE, "%s: \"%s\", but must be true or false", row->name, value);
    return EXIT_DONE;
}

/* One line of stdin, so that a key need not stand in the shell's history; nor is it seen when it is
 * typed. */
static bool read_value(const struct setting_row *row, char *line, size_t size)
{
    struct termios shown, hidden;
    bool hides = row->is_secret && isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &shown) == 0;
    bool read;

    if (hides) {
        hidden = shown;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSADRAIN, &hidden);
    }
    if (isatty(STDIN_FILENO))
        fprintf(stderr, "%s: ", row->name);
    read = fgets(line, (int)size, stdin) != NULL;
    if (hides) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &shown);
        fputc('\n', stderr);
    }
    line[read ? strcspn(line, "\r\n") : 0] = '\0';
    return read;
}

int run_config_set(struct call *call)
{
    const struct setting_row *row = settings_find(call->args[0]);
    const char *value = call->args[1];
    char line[MAX_VALUE];
    int rc;

    if (!row)
        return EXIT_USAGE;
    if (strcmp(value, "-") == 0) {
        if (!read_value(row, line, sizeof line))
            return fail(EXIT_FAILED, "%s: nothing came from stdin", row->name);
        value = line;
    }
    rc = check_value(row, value);
    return rc == EXIT_DONE ? settings_store(&call->settings, row->name, value) : rc;
}

int run_config_unset(struct call *call)
{
    const struct setting_row *row = settings_find(call->args[0]);

    return row ? settings_store(&call->settings, row->name, NULL) : EXIT_USAGE;
}
