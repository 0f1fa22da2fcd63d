/* config_table.c - the settings: a new one is a member of struct config and a row here. */
#include "daemon/config_table.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/pull.h"

static const char *check_listen(const char *value)
{
    const char *colon = strrchr(value, ':');
    char *end;
    long port;

    if (!colon || !isdigit((unsigned char)colon[1]))
        return "must be ADDRESS:PORT, as 127.0.0.1:8471, [::1]:8471 or :0 for a free port";
    port = strtol(colon + 1, &end, 10);
    if (*end || end - colon > 6 || port > 65535)
        return "the port must be 0 to 65535";
    if (memchr(value, ':', (size_t)(colon - value)) && (value[0] != '[' || colon[-1] != ']'))
        return "an IPv6 address needs brackets, as [::1]:8471";
    return NULL;
}

static const char *check_not_empty(const char *value)
{
    return *value ? NULL : "must not be empty";
}

#define TEXT(section, key, alias, standard, check, help)                                           \
    {                                                                                              \
        section, #key, alias, SETTING_TEXT, offsetof(struct config, key), standard, 0, 0, NULL,    \
            check, help                                                                            \
    }
/* A text or a number whose member in struct config has the section's name too. */
#define OF_HUB(key, type, standard, most, check, help)                                             \
    {                                                                                              \
        "hub", #key, NULL, type, offsetof(struct config, hub_##key), standard, 0, most, NULL,      \
            check, help                                                                            \
    }
#define NUMBER(section, key, alias, standard, least, most, help)                                   \
    {                                                                                              \
        section, #key, alias, SETTING_NUMBER, offsetof(struct config, key), standard, least, most, \
            NULL, NULL, help                                                                       \
    }
#define CHOICE(section, key, member, standard, choices, help)                                      \
    {                                                                                              \
        section, key, NULL, SETTING_CHOICE, offsetof(struct config, member), standard, 0, 0,       \
            choices, NULL, help                                                                    \
    }

const struct setting config_settings[] = {
    TEXT("server", listen, "--listen", "127.0.0.1:8471", check_listen,
         "address and port to serve HTTP on; port 0 takes a free one"),
    TEXT("server", port_file, "--port-file", "", NULL,
         "file that the port really bound is written to"),
    NUMBER("server", max_connections, NULL, "256", 1, 65536, "connections at a time"),
    NUMBER("server", max_body_mb, NULL, "8", 1, 1024,
           "size of a request body other than a file, in MiB"),
    NUMBER("server", max_upload_mb, NULL, "4096", 1, 1048576, "size of an uploaded file, in MiB"),
    NUMBER("server", request_timeout_s, NULL, "60", 1, 86400,
           "seconds after which a silent connection is closed"),
    TEXT("storage", state_dir, "--state-dir", NULL, check_not_empty,
         "folder of the database, files, checkpoints and adapters"),
    TEXT("storage", models_dirs, "--models", NULL, check_not_empty,
         "folders of base models, ':' between them"),
    NUMBER("training", workers, "--workers", "1", 1, 256, "jobs that train at a time"),
    NUMBER("training", threads, "--threads", "0", 0, 1024,
           "compute threads of each job; 0: the cores there are, divided by workers"),
    NUMBER("training", memory_limit_mb, NULL, "0", 0, 1073741824,
           "jobs that would need more MiB are refused; 0: the machine's memory"),
    OF_HUB(endpoint, SETTING_TEXT, NULL, 0, pull_check_endpoint,
           "address of the hub that base models are brought from"),
    OF_HUB(token, SETTING_SECRET, NULL, 0, NULL,
           "token for models that the hub does not give to all"),
    OF_HUB(token_file, SETTING_TEXT, "", 0, NULL, "file whose first line is the token"),
    OF_HUB(max_gb, SETTING_NUMBER, "64", 1048576, NULL,
           "largest base model that is brought, in GiB; 0: any"),
    CHOICE("log", "level", log_level, "info", "debug info warn error",
           "the least important messages that are written"),
    CHOICE("log", "format", log_format, "text", "text json",
           "lines as text (for journald or a terminal) or as JSON objects"),
};
const size_t config_n_settings = sizeof config_settings / sizeof *config_settings;

_Static_assert(sizeof config_settings / sizeof *config_settings <= CONFIG_MAX_SETTINGS,
               "struct config_sources holds all");
