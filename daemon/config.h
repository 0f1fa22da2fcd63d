/*
 * config.h - the daemon's settings: one table row each drives the file, the environment, the
 * command line, the checks, --help and --print-config.
 *
 * Sources, later ones win: built-in default, INI file, environment (PRILORAD_<SECTION>_<KEY>),
 * command line (--<section>.<key>=VALUE). The file is the one that --config names, else
 * CONFIG_DEFAULT_FILE if there is one.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "prilora.h"

#define CONFIG_DEFAULT_FILE "/etc/prilorad/prilorad.conf"
#define CONFIG_MAX_SETTINGS 64

struct config {
    /* [server] */
    char *listen;      /* "127.0.0.1:8471", "[::1]:8471", ":0" for a free port; "none" */
    char *port_file;   /* the port really bound is written here; "" for none */
    char *socket;      /* path of a Unix socket; "": none */
    char *socket_mode; /* "0660" */
    char *tls_cert, *tls_key;
    char *keys;                       /* who needs one: "remote" or "always" */
    char *allowed_hosts;              /* names in Host, besides our own; "*": any */
    char *cors_origins;               /* "https://a.example https://b.example"; "": none */
    long max_connections;             /* by TCP */
    long max_connections_per_address; /* likewise */
    long max_body_mb;                 /* request bodies other than file uploads */
    long max_upload_mb;               /* one uploaded file, in one piece or in parts */
    long request_timeout_s; /* silence, headers or a body that take longer end a connection */
    long min_upload_rate;   /* bytes a second of a file that is uploaded */
    /* [storage] */
    char *state_dir;
    char *models_dirs;   /* folders of base models, ':' between */
    long keep_jobs_days; /* finished jobs go after so long; 0: never */
    /* [training] */
    long workers;         /* jobs at a time */
    long threads;         /* compute threads of each worker; 0: cores (and cpu.max) / workers */
    long memory_limit_mb; /* of all that trains, by forecasts; 0: the machine's (or cgroup's) */
    long stall_timeout_s; /* after which a thread that stands still is stuck; 0: never */
    /* [webhooks] */
    char *webhooks_url;         /* "": none are sent */
    char *webhooks_secret_file; /* a path, or the name of a systemd credential */
    /* [predictions] */
    long predictions_threads;         /* compute threads; 0: cores (and cpu.max) */
    long predictions_memory_limit_mb; /* of open adapters and their bases; 0: a quarter of it all */
    long max_waiting;                 /* texts */
    /* [hub] */
    char *hub_endpoint; /* of the hub that base models are brought from */
    char *hub_token, *hub_token_file;
    long hub_max_gb; /* of one model; 0: any */
    /* [log] */
    char *log_level;  /* "debug", "info", "warn", "error" */
    char *log_format; /* "text" or "json" */

    _Atomic(struct config *) newer; /* see config_now */
    struct config *replaced;        /* config_reload.c's own */
};

enum config_action { CONFIG_RUN, CONFIG_EXIT_OK, CONFIG_EXIT_USAGE };

/* Reads everything; prints what --help, --version, --check-config and --print-config ask for. */
enum config_action config_load(struct config *out, int argc, char **argv);
void config_free(struct config *config);

/*
 * config_now - the settings as they hold now: those of the start, or what a reload has put in their
 * place. For any thread; they and their texts stay as they are until config_free, so who needs two
 * settings that belong together asks once. Only live ones ever differ.
 */
const struct config *config_now(const struct config *first);

/*
 * config_reload - reads all sources again. *changes tells what is new: `now` what will hold from
 * config_take on, `later` what needs a restart. config_keep puts the values that hold in the place
 * of those that do. Errors leave *first as it was.
 */
struct config_changes {
    char *now[CONFIG_MAX_SETTINGS], *later[CONFIG_MAX_SETTINGS]; /* "log.level = warn (was info)" */
    size_t n_now, n_later;
};
enum prilora_status config_reload(struct config **out, struct config_changes *changes,
                                  const struct config *first, int argc, char **argv,
                                  struct prilora_error *err);
enum prilora_status config_keep(struct config *newer, const struct config *first,
                                struct prilora_error *err);
/* From now on config_now gives these; takes them. On one thread only. */
void config_take(struct config *first, struct config *newer);
/* Frees settings that were not taken (NULL: none). */
void config_drop(struct config *newer);
void config_clear_changes(struct config_changes *changes);

/*
 * config_read_text - settings from the text of an INI file over *config, which holds defaults or
 * nothing (all zero). `name` is the file's, for errors: "name:line: what is wrong".
 */
enum prilora_status config_read_text(struct config *config, const char *text, const char *name,
                                     struct prilora_error *err);

#endif
