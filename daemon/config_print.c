/* config_print.c - --help and --print-config, from the table of settings. */
#include "daemon/config_table.h"

#include <string.h>

#define HELP_COLUMN 34

void config_print(FILE *out, const struct config *config, const struct config_sources *sources)
{
    const char *section = "";

    for (size_t i = 0; i < config_n_settings; i++) {
        const struct setting *setting = &config_settings[i];
        char number[32];

        if (strcmp(section, setting->section) != 0)
            fprintf(out, "%s[%s]\n", *section ? "\n" : "", setting->section);
        section = setting->section;
        if (setting->type == SETTING_SECRET)
            fprintf(out, "; %s\n;%s = (%s)\n", sources->of[i] ? sources->of[i] : "default",
                    setting->key,
                    *config_value(setting, config, number, sizeof number) ? "not shown" : "none");
        else
            fprintf(out, "; %s\n%s = %s\n", sources->of[i] ? sources->of[i] : "default",
                    setting->key, config_value(setting, config, number, sizeof number));
    }
}

/* Of a setting whose default config_complete finds. */
static const char *found_default(const char *key)
{
    static const char *const defaults[][2] = {
        {"state_dir", "$STATE_DIRECTORY, else /var/lib/prilorad"},
        {"models_dirs", "<state_dir>/models"},
        {"endpoint", "$HF_ENDPOINT, else https://huggingface.co"},
        {"token", "$HF_TOKEN, unless there is a token_file"},
    };

    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        if (strcmp(defaults[i][0], key) == 0)
            return defaults[i][1];
    return "none";
}

static const char *const changes[] = {
    [CHANGE_RESTART] = "; needs a restart",
    [CHANGE_LIVE] = "",
    [CHANGE_WHILE_SET] = "; needs a restart to be set first or taken away",
};

static void print_setting(FILE *out, const struct setting *setting)
{
    char name[100];
    int width = fprintf(out, "  --%s.%s=%s", setting->section, setting->key,
                        setting->type == SETTING_NUMBER   ? "N"
                        : setting->type == SETTING_CHOICE ? "WORD"
                                                          : "TEXT");

    if (setting->alias)
        width += fprintf(out, ", %s", setting->alias);
    if (width >= HELP_COLUMN) {
        fputc('\n', out);
        width = 0;
    }
    fprintf(out, "%*s%s", HELP_COLUMN - width, "", setting->help);
    fprintf(out, "\n%*s", HELP_COLUMN, "");
    if (setting->type == SETTING_NUMBER)
        fprintf(out, "%ld to %ld; ", setting->least, setting->most);
    if (setting->type == SETTING_CHOICE)
        fprintf(out, "one of: %s; ", setting->choices);
    if (setting->standard)
        fprintf(out, "default: %s", *setting->standard ? setting->standard : "none");
    else
        fprintf(out, "default: %s", found_default(setting->key));
    config_environment_name(setting, name, sizeof name);
    fprintf(out, "\n%*s$%s%s\n", HELP_COLUMN, "", name, changes[setting->change]);
}

void config_print_help(FILE *out)
{
    const char *section = "";

    fputs("Usage: prilorad [OPTION]...\n\n"
          "Fine-tunes language models on CPUs with PRILoRA; serves jobs over HTTP.\n\n"
          "  --config FILE                   read settings from FILE (INI)\n"
          "                                  default: " CONFIG_DEFAULT_FILE ", if it exists\n"
          "  --check-config                  check all settings and exit\n"
          "  --print-config                  print all settings and where each came from\n"
          "  --help, -h                      print this and exit\n"
          "  --version                       print the version and exit\n\n"
          "A setting on the command line wins over the environment, and that over the file.\n"
          "SIGHUP reads all again; settings that need a restart keep their values until then.\n",
          out);
    for (size_t i = 0; i < config_n_settings; i++) {
        if (strcmp(section, config_settings[i].section) != 0)
            fprintf(out, "\n[%s]\n", config_settings[i].section);
        section = config_settings[i].section;
        print_setting(out, &config_settings[i]);
    }
}
