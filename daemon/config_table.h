/* config_table.h - the table of settings, between config.c and config_print.c. */
#ifndef CONFIG_TABLE_H
#define CONFIG_TABLE_H

#include "daemon/config.h"

/* SETTING_SECRET: a text that is never shown. */
enum setting_type { SETTING_TEXT, SETTING_NUMBER, SETTING_CHOICE, SETTING_SECRET };

/* When a new value holds: after a restart; from SIGHUP on; or likewise if it takes the place of
 * another one, for to set what was empty, or the other way, takes a restart. */
enum setting_change { CHANGE_RESTART, CHANGE_LIVE, CHANGE_WHILE_SET };

struct setting {
    enum setting_change change;
    const char *section, *key;
    const char *alias; /* "--state-dir" beside "--storage.state_dir", or NULL */
    enum setting_type type;
    size_t offset;        /* in struct config: char * or long */
    const char *standard; /* the default as text; NULL: config_complete finds it */
    long least, most;     /* SETTING_NUMBER */
    const char *choices;  /* SETTING_CHOICE: "a b c" */
    /* SETTING_TEXT: NULL, or what is wrong with the value (NULL: nothing) */
    const char *(*check)(const char *value);
    const char *help;
};

/* All sources, as config_load; prints nothing. After an error what was read is to be freed, too. */
enum prilora_status config_read(struct config *out, int argc, char **argv,
                                struct prilora_error *err);
/* The setting of *from in *to, which owns a copy. */
enum prilora_status config_copy_value(const struct setting *setting, struct config *to,
                                      const struct config *from, struct prilora_error *err);

extern const struct setting config_settings[];
extern const size_t config_n_settings;

/* Where each value came from: "default", "file:12", "environment", "command line". */
struct config_sources {
    char *of[CONFIG_MAX_SETTINGS];
};

/* PRILORAD_SERVER_LISTEN for server.listen. */
void config_environment_name(const struct setting *setting, char *out, size_t room);
/* The value as text, into `room` bytes for numbers, or the text itself. */
const char *config_value(const struct setting *setting, const struct config *config, char *out,
                         size_t room);

void config_print(FILE *out, const struct config *config, const struct config_sources *sources);
void config_print_help(FILE *out);

#endif
