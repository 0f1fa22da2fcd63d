/* config.c - reading the settings from their four sources; see config.h. */
#include "daemon/config_table.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/credential.h"
#include "daemon/error.h"
#include "daemon/pull.h"

#define MAX_FILE_BYTES (1 << 20)

extern char **environ;

struct loader {
    struct config *config;
    struct config_sources sources;
    const char *file; /* --config, or NULL */
    bool check, print;
};

/* ---- one value ---- */

static char **text_member(const struct setting *setting, struct config *config)
{
    return (char **)(void *)((char *)config + setting->offset);
}

static long *number_member(const struct setting *setting, struct config *config)
{
    return (long *)(void *)((char *)config + setting->offset);
}

const char *config_value(const struct setting *setting, const struct config *config, char *out,
                         size_t room)
{
    const char *member = (const char *)config + setting->offset;
    const char *text;

    if (setting->type == SETTING_NUMBER) {
        snprintf(out, room, "%ld", *(const long *)(const void *)member);
        return out;
    }
    text = *(char *const *)(const void *)member;
    return text ? text : "";
}

void config_environment_name(const struct setting *setting, char *out, size_t room)
{
    snprintf(out, room, "PRILORAD_%s_%s", setting->section, setting->key);
    for (; *out; out++)
        *out = (char)toupper((unsigned char)*out);
}

enum prilora_status config_copy_value(const struct setting *setting, struct config *to,
                                      const struct config *from, struct prilora_error *err)
{
    const char *value;
    char *copy;

    if (setting->type == SETTING_NUMBER) {
        memcpy((char *)to + setting->offset, (const char *)from + setting->offset, sizeof(long));
        return PRILORA_OK;
    }
    value = config_value(setting, from, NULL, 0);
    copy = strdup(value);
    if (!copy)
        return error_memory(err);
    free(*text_member(setting, to));
    *text_member(setting, to) = copy;
    return PRILORA_OK;
}

static bool is_choice(const char *choices, const char *value)
{
    size_t n = strlen(value);

    for (const char *at = choices; *at;) {
        size_t length = strcspn(at, " ");

        if (length == n && strncmp(at, value, n) == 0)
            return true;
        at += length + (at[length] == ' ');
    }
    return false;
}

static enum prilora_status set_number(const struct setting *setting, struct config *config,
                                      const char *value, const char *where,
                                      struct prilora_error *err)
{
    char *end;
    long number;

    errno = 0;
    number = strtol(value, &end, 10);
    if (end == value || *end || errno || number < setting->least || number > setting->most)
        return error_set_at(err, PRILORA_EINVAL, where,
                            "%s: [%s] %s = \"%.100s\": must be a whole number from %ld to %ld",
                            where, setting->section, setting->key, value, setting->least,
                            setting->most);
    *number_member(setting, config) = number;
    return PRILORA_OK;
}

static enum prilora_status set_value(const struct setting *setting, struct config *config,
                                     const char *value, const char *where,
                                     struct prilora_error *err)
{
    const char *wrong = setting->check ? setting->check(value) : NULL;
    char *copy;

    if (setting->type == SETTING_NUMBER)
        return set_number(setting, config, value, where, err);
    if (setting->type == SETTING_CHOICE && !is_choice(setting->choices, value))
        return error_set_at(err, PRILORA_EINVAL, where,
                            "%s: [%s] %s = \"%.100s\": must be one of: %s", where, setting->section,
                            setting->key, value, setting->choices);
    if (wrong)
        return error_set_at(err, PRILORA_EINVAL, where, "%s: [%s] %s = \"%.100s\": %s", where,
                            setting->section, setting->key, value, wrong);
    copy = strdup(value);
    if (!copy)
        return error_memory(err);
    free(*text_member(setting, config));
    *text_member(setting, config) = copy;
    return PRILORA_OK;
}

static const struct setting *find_setting(const char *section, size_t n_section, const char *key,
                                          size_t n_key)
{
    for (size_t i = 0; i < config_n_settings; i++) {
        const struct setting *s = &config_settings[i];

        if (strlen(s->section) == n_section && memcmp(s->section, section, n_section) == 0 &&
            strlen(s->key) == n_key && memcmp(s->key, key, n_key) == 0)
            return s;
    }
    return NULL;
}

/* Notes where a value came from; what is noted is printed only, so lack of memory may lose it. */
static void note_source(struct config_sources *sources, const struct setting *setting,
                        const char *source)
{
    char **of;

    if (!sources)
        return;
    of = &sources->of[setting - config_settings];
    free(*of);
    *of = strdup(source);
}

/* ---- the file ---- */

struct ini_text {
    struct config *config;
    struct config_sources *sources; /* may be NULL */
    const char *name, *rest;
    long line, failed_at;
    long set_at[CONFIG_MAX_SETTINGS]; /* line that set it; 0: none */
    enum prilora_status rc;
    struct prilora_error *err;
};

/* The first error stays. */
static void fail_at_line(struct ini_text *ini, const char *what, const char *seen)
{
    char where[160];

    if (ini->rc != PRILORA_OK)
        return;
    ini->failed_at = ini->line;
    snprintf(where, sizeof where, "%s:%ld", ini->name, ini->line);
    ini->rc = error_set_at(ini->err, PRILORA_EINVAL, where, "%s: %s%.100s", where, what, seen);
}

/* inih asks for line after line: counting them is how errors know theirs. */
static char *next_line(char *out, int room, void *stream)
{
    struct ini_text *ini = stream;
    size_t n = strcspn(ini->rest, "\n");

    if (!*ini->rest)
        return NULL;
    ini->line++;
    if (n + 2 > (size_t)room) {
        fail_at_line(ini, "the line is too long: ", ini->rest);
        return NULL;
    }
    memcpy(out, ini->rest, n);
    out[n] = '\0';
    ini->rest += n + (ini->rest[n] == '\n');
    return out;
}

static int take_pair(void *user, const char *section, const char *key, const char *value)
{
    struct ini_text *ini = user;
    const struct setting *setting = find_setting(section, strlen(section), key, strlen(key));
    char pair[160], where[160];
    long *set_at;

    if (ini->rc != PRILORA_OK)
        return 0;
    snprintf(pair, sizeof pair, "[%.60s] %.60s", section, key);
    snprintf(where, sizeof where, "%s:%ld", ini->name, ini->line);
    if (!setting) {
        fail_at_line(ini, "there is no such setting: ", pair);
        return 0;
    }
    set_at = &ini->set_at[setting - config_settings];
    if (*set_at) {
        fail_at_line(ini, "set a second time: ", pair);
        return 0;
    }
    *set_at = ini->line;
    ini->failed_at = ini->line;
    ini->rc = set_value(setting, ini->config, value, where, ini->err);
    note_source(ini->sources, setting, where);
    return ini->rc == PRILORA_OK;
}

static enum prilora_status read_text(struct loader *loader, struct config *config, const char *text,
                                     const char *name, struct prilora_error *err)
{
    struct ini_text ini = {.config = config,
                           .sources = loader ? &loader->sources : NULL,
                           .name = name,
                           .rest = text,
                           .err = err};
    int line = ini_parse_stream(next_line, &ini, take_pair, &ini);

    if (line < 0)
        return error_memory(err);
    /* inih reads on after a line that it did not understand, and tells of the first at the end */
    if (line == 0 || (ini.rc != PRILORA_OK && ini.failed_at <= line))
        return ini.rc;
    ini.rc = PRILORA_OK;
    ini.line = line;
    fail_at_line(&ini, "neither \"[section]\" nor \"key = value\"", "");
    return ini.rc;
}

enum prilora_status config_read_text(struct config *config, const char *text, const char *name,
                                     struct prilora_error *err)
{
    return read_text(NULL, config, text, name, err);
}

static enum prilora_status read_file(struct loader *loader, const char *path,
                                     struct prilora_error *err)
{
    enum prilora_status rc;
    FILE *file = fopen(path, "re");
    char *text = malloc(MAX_FILE_BYTES + 1);
    size_t n = 0;

    if (!file || !text) {
        rc = file ? error_memory(err) : error_errno(err, path, "open");
        goto out;
    }
    n = fread(text, 1, MAX_FILE_BYTES + 1, file);
    if (ferror(file)) {
        rc = error_errno(err, path, "read");
    } else if (n > MAX_FILE_BYTES) {
        rc = error_set(err, PRILORA_ELIMIT, "%s: has more than %d bytes", path, MAX_FILE_BYTES);
    } else if (memchr(text, '\0', n)) {
        rc = error_set(err, PRILORA_EFORMAT, "%s: is not a text file", path);
    } else {
        text[n] = '\0';
        rc = read_text(loader, loader->config, text, path, err);
    }
out:
    if (file)
        fclose(file);
    free(text);
    return rc;
}

/* ---- the environment ---- */

static bool is_in_known_section(const char *variable)
{
    for (size_t i = 0; i < config_n_settings; i++) {
        char name[100];

        config_environment_name(&config_settings[i], name, sizeof name);
        name[sizeof "PRILORAD_" + strlen(config_settings[i].section)] = '\0';
        if (strncmp(variable, name, strlen(name)) == 0)
            return true;
    }
    return false;
}

static const struct setting *find_variable(const char *variable, size_t n)
{
    for (size_t i = 0; i < config_n_settings; i++) {
        char name[100];

        config_environment_name(&config_settings[i], name, sizeof name);
        if (strlen(name) == n && memcmp(name, variable, n) == 0)
            return &config_settings[i];
    }
    return NULL;
}

static enum prilora_status read_environment(struct loader *loader, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    for (char **variable = environ; variable && *variable && rc == PRILORA_OK; variable++) {
        size_t n = strcspn(*variable, "=");
        const struct setting *setting = find_variable(*variable, n);
        char where[120];

        snprintf(where, sizeof where, "environment, %.*s", n > 90 ? 90 : (int)n, *variable);
        if (setting) {
            note_source(&loader->sources, setting, where);
            rc = set_value(setting, loader->config, *variable + n + 1, where, err);
        } else if (is_in_known_section(*variable)) {
            rc = error_set(err, PRILORA_EINVAL, "%s: there is no such setting", where);
        }
    }
    return rc;
}

/* ---- the command line ---- */

static const struct setting *find_option(const char *name, size_t n)
{
    const char *dot = memchr(name, '.', n);

    for (size_t i = 0; i < config_n_settings; i++) {
        const char *alias = config_settings[i].alias;

        if (alias && strlen(alias) == n + 2 && memcmp(alias + 2, name, n) == 0)
            return &config_settings[i];
    }
    return dot ? find_setting(name, (size_t)(dot - name), dot + 1, n - (size_t)(dot - name) - 1)
               : NULL;
}

static bool is_option(const char *name, size_t n, const char *option)
{
    return strlen(option) == n && memcmp(name, option, n) == 0;
}

/*
 * One option at argv[*i], its value in the same word after '=' or in the next one. Only what
 * `settings` asks for is done: first --config and its like are looked for, then the settings.
 */
static enum prilora_status take_option(struct loader *loader, int argc, char **argv, int *i,
                                       bool settings, struct prilora_error *err)
{
    const char *word = argv[*i], *name = word + 2, *value = strchr(word, '=');
    size_t n = value ? (size_t)(value - name) : strlen(word) - 2;
    const struct setting *setting = find_option(name, n);
    bool is_file = is_option(name, n, "config");

    value = value ? value + 1 : NULL;
    if (setting || is_file) {
        if (!value && *i + 1 >= argc)
            return error_set(err, PRILORA_EINVAL, "%s needs a value", word);
        value = value ? value : argv[++*i];
        if (is_file)
            loader->file = value;
        if (!setting || !settings)
            return PRILORA_OK;
        note_source(&loader->sources, setting, "command line");
        return set_value(setting, loader->config, value, "command line", err);
    }
    if (is_option(word, strlen(word), "--check-config"))
        loader->check = true;
    else if (is_option(word, strlen(word), "--print-config"))
        loader->print = true;
    else
        return error_set(err, PRILORA_EINVAL, "unknown option %s (see prilorad --help)", word);
    return PRILORA_OK;
}

static enum prilora_status read_options(struct loader *loader, int argc, char **argv, bool settings,
                                        struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    for (int i = 1; i < argc && rc == PRILORA_OK; i++)
        rc = strncmp(argv[i], "--", 2) == 0
                 ? take_option(loader, argc, argv, &i, settings, err)
                 : error_set(err, PRILORA_EINVAL, "unexpected argument %s (see prilorad --help)",
                             argv[i]);
    return rc;
}

/* ---- together ---- */

static enum prilora_status set_defaults(struct config *config, struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;

    for (size_t i = 0; i < config_n_settings && rc == PRILORA_OK; i++)
        if (config_settings[i].standard)
            rc =
                set_value(&config_settings[i], config, config_settings[i].standard, "default", err);
    return rc;
}

/* What other programs that use the hub are told by. */
static enum prilora_status complete_hub(struct config *config, struct prilora_error *err)
{
    const char *endpoint = getenv("HF_ENDPOINT"), *token = getenv("HF_TOKEN"), *wrong;

    if (!config->hub_endpoint && endpoint && *endpoint && (wrong = pull_check_endpoint(endpoint)))
        return error_set(err, PRILORA_EINVAL, "environment, HF_ENDPOINT = \"%.100s\": %s", endpoint,
                         wrong);
    if (!config->hub_endpoint)
        config->hub_endpoint = strdup(endpoint && *endpoint ? endpoint : "https://huggingface.co");
    if (!config->hub_token)
        config->hub_token = strdup(token && !*config->hub_token_file ? token : "");
    return config->hub_endpoint && config->hub_token ? PRILORA_OK : error_memory(err);
}

/* A credential is used for what nothing else was said of. */
static enum prilora_status use_credential(char **member, const char *name,
                                          struct prilora_error *err)
{
    if (**member || !credential_exists(name))
        return PRILORA_OK;
    free(*member);
    *member = strdup(name);
    return *member ? PRILORA_OK : error_memory(err);
}

static enum prilora_status complete_credentials(struct config *config, struct prilora_error *err)
{
    bool both = credential_exists("tls-cert") && credential_exists("tls-key");
    enum prilora_status rc = use_credential(&config->webhooks_secret_file, "webhook-secret", err);

    if (rc == PRILORA_OK && (!config->hub_token || !*config->hub_token))
        rc = use_credential(&config->hub_token_file, "hub-token", err);
    if (rc != PRILORA_OK || !both || *config->tls_cert || *config->tls_key)
        return rc;
    rc = use_credential(&config->tls_cert, "tls-cert", err);
    return rc == PRILORA_OK ? use_credential(&config->tls_key, "tls-key", err) : rc;
}

/* Defaults that depend on something else. */
static enum prilora_status complete(struct config *config, struct prilora_error *err)
{
    const char *systemd = getenv("STATE_DIRECTORY"); /* may be several, ':' between */
    size_t n = systemd ? strcspn(systemd, ":") : 0;
    enum prilora_status rc = complete_credentials(config, err); /* before HF_TOKEN is looked at */

    if (rc != PRILORA_OK)
        return rc;
    if (!config->state_dir)
        config->state_dir = n ? strndup(systemd, n) : strdup("/var/lib/prilorad");
    if (config->state_dir && !config->models_dirs)
        config->models_dirs = text_format("%s/models", config->state_dir);
    return config->models_dirs ? complete_hub(config, err) : error_memory(err);
}

static void clear_sources(struct loader *loader)
{
    for (size_t i = 0; i < CONFIG_MAX_SETTINGS; i++)
        free(loader->sources.of[i]);
}

static enum prilora_status load(struct loader *loader, int argc, char **argv,
                                struct prilora_error *err)
{
    enum prilora_status rc = set_defaults(loader->config, err);

    if (rc == PRILORA_OK)
        rc = read_options(loader, argc, argv, false, err);
    if (rc == PRILORA_OK && loader->file)
        rc = read_file(loader, loader->file, err);
    else if (rc == PRILORA_OK && access(CONFIG_DEFAULT_FILE, F_OK) == 0)
        rc = read_file(loader, CONFIG_DEFAULT_FILE, err);
    if (rc == PRILORA_OK)
        rc = read_environment(loader, err);
    if (rc == PRILORA_OK)
        rc = read_options(loader, argc, argv, true, err);
    return rc == PRILORA_OK ? complete(loader->config, err) : rc;
}

enum prilora_status config_read(struct config *out, int argc, char **argv,
                                struct prilora_error *err)
{
    struct loader loader = {.config = out};
    enum prilora_status rc = load(&loader, argc, argv, err);

    clear_sources(&loader);
    return rc;
}

static bool has_word(int argc, char **argv, const char *word)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], word) == 0)
            return true;
    return false;
}

enum config_action config_load(struct config *out, int argc, char **argv)
{
    struct loader loader = {.config = out};
    struct prilora_error err = {0};
    enum config_action action = CONFIG_RUN;

    *out = (struct config){0};
    if (has_word(argc, argv, "--help") || has_word(argc, argv, "-h")) {
        config_print_help(stdout);
        return CONFIG_EXIT_OK;
    }
    if (has_word(argc, argv, "--version")) {
        printf("prilorad %s\n", prilora_version());
        return CONFIG_EXIT_OK;
    }
    if (load(&loader, argc, argv, &err) != PRILORA_OK) {
        fprintf(stderr, "prilorad: %s\n", err.message);
        action = CONFIG_EXIT_USAGE;
    } else if (loader.print) {
        config_print(stdout, out, &loader.sources);
        action = CONFIG_EXIT_OK;
    } else if (loader.check) {
        puts("the configuration is valid");
        action = CONFIG_EXIT_OK;
    }
    clear_sources(&loader);
    return action;
}

static void free_texts(struct config *config)
{
    for (size_t i = 0; i < config_n_settings; i++)
        if (config_settings[i].type != SETTING_NUMBER) {
            free(*text_member(&config_settings[i], config));
            *text_member(&config_settings[i], config) = NULL;
        }
}

void config_free(struct config *config)
{
    struct config *newer = atomic_exchange(&config->newer, NULL);

    while (newer) {
        struct config *replaced = newer->replaced;

        config_drop(newer);
        newer = replaced;
    }
    free_texts(config);
}

void config_drop(struct config *newer)
{
    if (!newer)
        return;
    free_texts(newer);
    free(newer);
}
