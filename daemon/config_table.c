/* config_table.c - the settings: a new one is a member of struct config and a row here. */
#include "daemon/config_table.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/pull.h"

static const char *check_listen(const char *value)
{
    const char *colon = strrchr(value, ':');
    char *end;
    long port;

    if (!*value || strcmp(value, "none") == 0)
        return NULL;
    if (!colon || !isdigit((unsigned char)colon[1]))
        return "must be ADDRESS:PORT, as 127.0.0.1:8471, [::1]:8471, :0 for a free port, or none";
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

static const char *check_url(const char *value)
{
    bool right =
        !*value || strncasecmp(value, "http://", 7) == 0 || strncasecmp(value, "https://", 8) == 0;

    return right ? NULL : "must be an http:// or https:// address";
}

static const char *check_mode(const char *value)
{
    size_t n = strlen(value);

    return n >= 3 && n <= 4 && value[strspn(value, "01234567")] == '\0' && (n == 3 || *value == '0')
               ? NULL
               : "must be three octal digits, as 0660";
}

static const char *check_origins(const char *value)
{
    for (const char *word = value + strspn(value, " ,"); *word; word += strspn(word, " ,")) {
        size_t n = strcspn(word, " ,");
        size_t scheme = strncmp(word, "https://", 8) == 0  ? 8
                        : strncmp(word, "http://", 7) == 0 ? 7
                                                           : 0;

        if (scheme == 0 || n == scheme || memchr(word + scheme, '/', n - scheme) ||
            memchr(word, '*', n))
            return "must be origins, as https://app.example:8443, with spaces between; \"any\" is "
                   "not offered";
        word += n;
    }
    return NULL;
}

/* `when`: see enum setting_change. */
#define TEXT(when, section, key, alias, standard, check, help)                                     \
    {                                                                                              \
        when, section, #key, alias, SETTING_TEXT, offsetof(struct config, key), standard, 0, 0,    \
            NULL, check, help                                                                      \
    }
/* Not shown by --print-config. */
#define SECRET(when, section, key, member, help)                                                   \
    {                                                                                              \
        when, section, key, NULL, SETTING_SECRET, offsetof(struct config, member), NULL, 0, 0,     \
            NULL, NULL, help                                                                       \
    }
#define TEXT_IN(when, section, key, member, standard, check, help)                                 \
    {                                                                                              \
        when, section, key, NULL, SETTING_TEXT, offsetof(struct config, member), standard, 0, 0,   \
            NULL, check, help                                                                      \
    }
#define NUMBER(when, section, key, alias, standard, least, most, help)                             \
    {                                                                                              \
        when, section, #key, alias, SETTING_NUMBER, offsetof(struct config, key), standard, least, \
            most, NULL, NULL, help                                                                 \
    }
/* A member of another name than the key, which another section has too. */
#define NUMBER_AS(when, section, key, member, standard, least, most, help)                         \
    {                                                                                              \
        when, section, key, NULL, SETTING_NUMBER, offsetof(struct config, member), standard,       \
            least, most, NULL, NULL, help                                                          \
    }
#define CHOICE(when, section, key, member, standard, choices, help)                                \
    {                                                                                              \
        when, section, key, NULL, SETTING_CHOICE, offsetof(struct config, member), standard, 0, 0, \
            choices, NULL, help                                                                    \
    }

const struct setting config_settings[] = {
    TEXT(CHANGE_RESTART, "server", listen, "--listen", "127.0.0.1:8471", check_listen,
         "address and port to serve HTTP on; port 0 takes a free one; none: only the socket"),
    TEXT(CHANGE_RESTART, "server", port_file, "--port-file", "", NULL,
         "file that the port really bound is written to"),
    TEXT(CHANGE_RESTART, "server", socket, "--socket", "", NULL,
         "path of a Unix socket to serve HTTP on, too"),
    TEXT(CHANGE_RESTART, "server", socket_mode, NULL, "0660", check_mode,
         "permissions of that socket"),
    TEXT(CHANGE_WHILE_SET, "server", tls_cert, NULL, "", NULL,
         "PEM file of the certificate chain: serves HTTPS"),
    TEXT(CHANGE_WHILE_SET, "server", tls_key, NULL, "", NULL, "PEM file of its private key"),
    CHOICE(CHANGE_LIVE, "server", "keys", keys, "remote", "remote always",
           "who needs an API key: all but loopback and the Unix socket, or all but the latter"),
    TEXT(CHANGE_LIVE, "server", allowed_hosts, NULL, "", NULL,
         "names that requests may be sent to, besides addresses and localhost; * for any"),
    TEXT(CHANGE_LIVE, "server", cors_origins, NULL, "", check_origins,
         "origins whose web pages may use the interface, spaces between"),
    NUMBER(CHANGE_RESTART, "server", max_connections, NULL, "4096", 1, 65536,
           "connections at a time"),
    NUMBER(CHANGE_RESTART, "server", max_connections_per_address, NULL, "1024", 1, 65536,
           "of these, from one address"),
    NUMBER(CHANGE_LIVE, "server", max_body_mb, NULL, "8", 1, 1024,
           "size of a request body other than a file, in MiB"),
    NUMBER(CHANGE_LIVE, "server", max_upload_mb, NULL, "8192", 1, 1048576,
           "size of an uploaded file, in one piece or in parts, in MiB"),
    NUMBER(CHANGE_RESTART, "server", request_timeout_s, NULL, "60", 1, 86400,
           "seconds after which a silent connection, slow headers or a slow body are cut"),
    NUMBER(CHANGE_LIVE, "server", min_upload_rate, NULL, "1024", 0, 1073741824,
           "bytes a second below which an upload is cut; 0: never"),
    TEXT(CHANGE_RESTART, "storage", state_dir, "--state-dir", NULL, check_not_empty,
         "folder of the database, files, checkpoints and adapters"),
    TEXT(CHANGE_RESTART, "storage", models_dirs, "--models", NULL, check_not_empty,
         "folders of base models, ':' between them"),
    NUMBER(CHANGE_LIVE, "storage", keep_jobs_days, NULL, "0", 0, 36500,
           "days after which finished jobs are deleted, adapters and all; 0: never"),
    NUMBER(CHANGE_RESTART, "training", workers, "--workers", "1", 1, 256,
           "jobs that train at a time"),
    NUMBER(CHANGE_LIVE, "training", threads, "--threads", "0", 0, 1024,
           "compute threads of each job; 0: the cores there are, divided by workers"),
    NUMBER(CHANGE_LIVE, "training", memory_limit_mb, NULL, "0", 0, 1073741824,
           "MiB of all jobs that train: what does not fit waits or is refused; 0: the machine's, "
           "or cgroup's"),
    NUMBER(CHANGE_LIVE, "training", stall_timeout_s, NULL, "900", 0, 86400,
           "seconds of standing still after which systemd's watchdog is fed no more; 0: never"),
    TEXT_IN(CHANGE_LIVE, "webhooks", "url", webhooks_url, "", check_url,
            "address that is told when a job has ended; empty: none"),
    TEXT_IN(CHANGE_LIVE, "webhooks", "secret_file", webhooks_secret_file, "", NULL,
            "file whose first line signs webhooks: a path, or a systemd credential's name"),
    NUMBER_AS(CHANGE_RESTART, "predictions", "threads", predictions_threads, "0", 0, 1024,
              "compute threads for predictions; 0: the cores there are"),
    NUMBER_AS(CHANGE_LIVE, "predictions", "memory_limit_mb", predictions_memory_limit_mb, "0", 0,
              1073741824,
              "MiB that open adapters and their bases may take; 0: a quarter of the memory"),
    NUMBER(CHANGE_LIVE, "predictions", max_waiting, NULL, "4096", 1, 1000000,
           "texts that may wait to be predicted; more are refused for a while (429)"),
    TEXT_IN(CHANGE_LIVE, "hub", "endpoint", hub_endpoint, NULL, pull_check_endpoint,
            "address of the hub that base models are brought from"),
    SECRET(CHANGE_LIVE, "hub", "token", hub_token,
           "token for models that the hub does not give to all"),
    TEXT_IN(CHANGE_LIVE, "hub", "token_file", hub_token_file, "", NULL,
            "file whose first line is the token"),
    NUMBER_AS(CHANGE_LIVE, "hub", "max_gb", hub_max_gb, "64", 0, 1048576,
              "largest base model that is brought, in GiB; 0: any"),
    CHOICE(CHANGE_LIVE, "log", "level", log_level, "info", "debug info warn error",
           "the least important messages that are written"),
    CHOICE(CHANGE_LIVE, "log", "format", log_format, "text", "text json",
           "lines as text (for journald or a terminal) or as JSON objects"),
};
const size_t config_n_settings = sizeof config_settings / sizeof *config_settings;

_Static_assert(sizeof config_settings / sizeof *config_settings <= CONFIG_MAX_SETTINGS,
               "struct config_sources holds all");
