/* settings.c - see settings.h. The file has lines "name = value", and comments with '#' or ';'. */
#include "api/cli/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/cli/cli.h"
#include "api/suggest.h"

const struct setting_row setting_rows[N_SETTINGS] = {
    [SETTING_URL] = {"url", "PRILORA_URL", "http://127.0.0.1:8471", "where the daemon is", false,
                     false},
    [SETTING_KEY] = {"key", "PRILORA_API_KEY", "", "the key to show it", false, true},
    [SETTING_SOCKET] = {"socket", "PRILORA_SOCKET", "", "Unix socket to reach it by", false, false},
    [SETTING_CACERT] = {"cacert", "PRILORA_CACERT", "",
                        "certificates to trust (PEM) instead of the system's", false, false},
    [SETTING_INSECURE] = {"insecure", "PRILORA_INSECURE", "false",
                          "trust any certificate: only to try things out", true, false},
};

static bool is_on(const char *value)
{
    return strcmp(value, "true") == 0 || strcmp(value, "1") == 0 || strcmp(value, "yes") == 0;
}

bool settings_is_on(const struct settings *settings, enum setting_index index)
{
    return is_on(settings->values[index]);
}

static int find(const char *name)
{
    for (int i = 0; i < N_SETTINGS; i++) {
        if (strcmp(setting_rows[i].name, name) == 0)
            return i;
    }
    return -1;
}

const struct setting_row *settings_find(const char *name)
{
    const char *names[N_SETTINGS + 1] = {0}, *meant;
    int i = find(name);

    if (i >= 0)
        return &setting_rows[i];
    for (i = 0; i < N_SETTINGS; i++)
        names[i] = setting_rows[i].name;
    meant = suggest(name, names);
    if (meant)
        fail(EXIT_USAGE, "no setting \"%s\"; did you mean \"%s\"?", name, meant);
    else
        fail(EXIT_USAGE, "no setting \"%s\" (there are url, key, socket, cacert and insecure)",
             name);
    return NULL;
}

static void put(struct settings *settings, int i, const char *value, const char *source)
{
    free(settings->values[i]);
    settings->values[i] = must(strdup(value));
    settings->sources[i] = source;
}

/* ---- reading ---- */

static char *find_path(void)
{
    const char *folder = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    if (folder && folder[0] == '/')
        return format("%s/prilora/config", folder);
    return home && *home ? format("%s/.config/prilora/config", home) : NULL;
}

struct reading {
    struct settings *settings;
    int rc;
};

static int take_line(void *context, const char *section, const char *name, const char *value)
{
    struct reading *reading = context;
    int i = find(name);

    if (*section || i < 0)
        reading->rc = fail(EXIT_USAGE, "%s: no setting \"%s%s%s\"", reading->settings->path,
                           section, *section ? "." : "", name);
    else
        put(reading->settings, i, value, "file");
    return 1;
}

static int read_file(struct settings *settings)
{
    struct reading reading = {settings, EXIT_DONE};
    FILE *file = settings->path ? fopen(settings->path, "re") : NULL;
    struct stat st;
    int line;

    if (!file) {
        if (settings->path && errno != ENOENT && errno != ENOTDIR)
            return fail(EXIT_FAILED, "%s: %s", settings->path, strerror(errno));
        return EXIT_DONE;
    }
    line = ini_parse_file(file, take_line, &reading);
    if (line > 0 && reading.rc == EXIT_DONE)
        reading.rc = fail(EXIT_USAGE, "%s:%d: must be \"name = value\"", settings->path, line);
    if (fstat(fileno(file), &st) == 0 && (st.st_mode & 077) &&
        strcmp(settings->sources[SETTING_KEY], "file") == 0)
        note("%s has a key in it and can be read by others: chmod 600 it", settings->path);
    fclose(file);
    return reading.rc;
}

static void read_options(struct settings *settings, const struct call *call)
{
    for (int i = 0; i < N_SETTINGS; i++) {
        const char *name = setting_rows[i].name, *value = call_option(call, name);

        if (call_has(call, name))
            put(settings, i, setting_rows[i].is_switch ? "true" : value, "option");
    }
}

static int rank(const char *source)
{
    static const char *const sources[] = {"default", "file", "environment", "option"};
    int i = 0;

    while (i < 3 && strcmp(sources[i], source) != 0)
        i++;
    return i;
}

int settings_load(struct settings *settings, const struct call *call)
{
    int rc;

    settings->path = find_path();
    for (int i = 0; i < N_SETTINGS; i++)
        put(settings, i, setting_rows[i].standard, "default");
    rc = read_file(settings);
    for (int i = 0; i < N_SETTINGS; i++) {
        const char *value = getenv(setting_rows[i].environment);

        if (value && *value)
            put(settings, i, value, "environment");
    }
    read_options(settings, call);
    if (*settings->values[SETTING_SOCKET] &&
        rank(settings->sources[SETTING_URL]) > rank(settings->sources[SETTING_SOCKET]))
        put(settings, SETTING_SOCKET, "", "passed over for the url");
    return rc;
}

void settings_free(struct settings *settings)
{
    for (int i = 0; i < N_SETTINGS; i++)
        free(settings->values[i]);
    free(settings->path);
    *settings = (struct settings){0};
}

/* ---- writing ---- */

static int make_folders(const char *path)
{
    char *folder = must(strdup(path));
    int rc = EXIT_DONE;

    for (char *p = strchr(folder + 1, '/'); p && rc == EXIT_DONE; p = strchr(p + 1, '/')) {
        *p = '\0';
        if (mkdir(folder, 0700) != 0 && errno != EEXIST)
            rc = fail(EXIT_FAILED, "%s: %s", folder, strerror(errno));
        *p = '/';
    }
    free(folder);
    return rc;
}

/* Whether this line sets `name`. */
static bool is_line_of(const char *line, const char *name)
{
    size_t n = strlen(name);

    line += strspn(line, " \t");
    if (strncmp(line, name, n) != 0)
        return false;
    line += n;
    line += strspn(line, " \t");
    return *line == '=' || *line == ':';
}

/* All other lines stay as they are. */
static void copy_lines(FILE *out, const char *path, const char *name)
{
    FILE *old = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;

    while (old && getline(&line, &room, old) >= 0) {
        if (!is_line_of(line, name))
            fprintf(out, "%s%s", line, strchr(line, '\n') ? "" : "\n");
    }
    free(line);
    if (old)
        fclose(old);
}

int settings_store(const struct settings *settings, const char *name, const char *value)
{
    char *next;
    FILE *out;
    int rc, fd;

    if (!settings->path)
        return fail(EXIT_FAILED, "no folder to keep settings in: neither HOME nor XDG_CONFIG_HOME");
    rc = make_folders(settings->path);
    if (rc != EXIT_DONE)
        return rc;
    next = format("%s.XXXXXX", settings->path);
    fd = mkstemp(next); /* with mode 0600 */
    out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (out) {
        copy_lines(out, settings->path, name);
        if (value)
            fprintf(out, "%s = %s\n", name, value);
    }
    if (!out || ferror(out) | fclose(out) || rename(next, settings->path) != 0) {
        rc = fail(EXIT_FAILED, "%s: %s", settings->path, strerror(errno));
        unlink(next);
    }
    free(next);
    return rc;
}
