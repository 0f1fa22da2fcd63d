/*
 * settings.h - where the daemon is and how to reach it: options win over the environment, and that
 * over the file $XDG_CONFIG_HOME/prilora/config (else ~/.config/prilora/config).
 */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

enum setting_index { SETTING_URL, SETTING_KEY, SETTING_SOCKET, SETTING_CACERT, SETTING_INSECURE };
#define N_SETTINGS 5

struct setting_row {
    const char *name; /* also of its option and in the file */
    const char *environment, *standard, *help;
    bool is_switch; /* true or false; its option takes no value */
    bool is_secret;
};
extern const struct setting_row setting_rows[N_SETTINGS];

struct settings {
    char *values[N_SETTINGS];
    const char *sources[N_SETTINGS]; /* "option", "environment", "file" or "default" */
    char *path;                      /* of the file; NULL: no home folder is known */
};

struct call;

int settings_load(struct settings *settings, const struct call *call);
void settings_free(struct settings *settings);
bool settings_is_on(const struct settings *settings, enum setting_index index);

/* Writes one line of the file, or takes it away (value NULL); it is the user's alone (0600). */
int settings_store(const struct settings *settings, const char *name, const char *value);
/* The row of this name; NULL, and the user has been told, if there is none. */
const struct setting_row *settings_find(const char *name);

#endif
