/*
 * main.c - starts everything in order, waits for signals, stops everything in the other order.
 * The only file that sees both daemon/ and api/.
 */
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "api/listen.h"
#include "daemon/bus.h"
#include "daemon/clock.h"
#include "daemon/config.h"
#include "daemon/error.h"
#include "daemon/heap.h"
#include "daemon/gc.h"
#include "daemon/json_memory.h"
#include "daemon/live.h"
#include "daemon/log.h"
#include "daemon/meters.h"
#include "daemon/models.h"
#include "daemon/notify.h"
#include "daemon/path.h"
#include "daemon/predictor.h"
#include "daemon/priority.h"
#include "daemon/pulse.h"
#include "daemon/queue.h"
#include "daemon/signals.h"
#include "daemon/status.h"
#include "daemon/store.h"
#include "daemon/watchdog.h"
#include "daemon/webhooks.h"
#include "daemon/worker.h"

#define EXIT_USAGE      2
#define SWEEP_EVERY_S   3600
#define STATUS_EVERY_S  3
#define REQUESTS_LEFT_S 10 /* that running requests have to end in */

struct daemon {
    struct config config;
    struct store *store;
    struct models *models;
    struct predictor *predictor;
    struct api *api;
    struct workers *workers;
    struct webhooks *webhooks;
    struct watchdog *watchdog;
    struct listen_given given;
    int port;
    int argc; /* for the settings, which SIGHUP reads again */
    char **argv;
};

/* For what takes long: asked now and then, so it also shows that it gets on. */
static bool end_is_asked(void)
{
    pulse_beat();
    return signals_ask_for_end();
}

static bool asks_to_end(void *context)
{
    (void)context;
    return end_is_asked();
}

/* What nobody needs any more; if a client has it swept just now, that will do. */
static void sweep(struct daemon *daemon, enum sweep_depth depth)
{
    struct prilora_error err;
    struct sweep sweep = {.depth = depth, .stop = asks_to_end};
    enum prilora_status rc = gc_run(daemon->store, &daemon->config, &sweep, &err);

    if (rc != PRILORA_OK && rc != PRILORA_ESTOPPED && rc != PRILORA_EMISMATCH)
        log_error("main", "%s", err.message);
}

/*
 * What nobody has to wait for at the start, since it takes as long as there are jobs: a database
 * that turns out to be damaged ends the daemon, before more is written to it.
 */
static enum prilora_status tidy(struct daemon *daemon, struct prilora_error *err)
{
    enum prilora_status rc = store_check(daemon->store, end_is_asked, err);

    if (rc == PRILORA_OK)
        sweep(daemon, SWEEP_JOBS);
    return rc == PRILORA_ESTOPPED ? PRILORA_OK : rc;
}

/* ---- settings that change ---- */

static void configure_log(const struct config *config)
{
    enum log_level least = LOG_LEVEL_INFO;

    log_level_parse(&least, config->log_level);
    log_configure(least, strcmp(config->log_format, "json") == 0);
}

static void log_changes(const struct config_changes *changes, bool other_certificate)
{
    for (size_t i = 0; i < changes->n_now; i++)
        log_info("main", "SIGHUP: %s", changes->now[i]);
    for (size_t i = 0; i < changes->n_later; i++)
        log_warn("main", "SIGHUP: %s: holds after a restart", changes->later[i]);
    if (other_certificate)
        log_info("main", "SIGHUP: new connections get the certificate as it is now");
    if (changes->n_now + changes->n_later == 0 && !other_certificate)
        log_info("main", "SIGHUP: all settings are as they were");
}

/* All that may fail comes first: then all of it holds, or nothing. */
static enum prilora_status change_settings(struct daemon *daemon, struct prilora_error *err)
{
    struct config_changes changes;
    struct config *config;
    struct tls_pair *pair = NULL;
    struct webhook_target *target = NULL;
    bool other_certificate;
    enum prilora_status rc =
        config_reload(&config, &changes, &daemon->config, daemon->argc, daemon->argv, err);

    if (rc == PRILORA_OK)
        rc = api_prepare(daemon->api, &pair, config, err); /* also of what waits for a restart */
    if (rc == PRILORA_OK)
        rc = config_keep(config, &daemon->config, err);
    if (rc == PRILORA_OK)
        rc = webhooks_prepare(daemon->webhooks, &target, config, err);
    if (rc != PRILORA_OK) {
        api_drop(pair);
        config_drop(config);
        config_clear_changes(&changes);
        return rc;
    }
    config_take(&daemon->config, config);
    webhooks_take(daemon->webhooks, target);
    other_certificate = api_take(daemon->api, pair);
    log_changes(&changes, other_certificate);
    configure_log(config);
    config_clear_changes(&changes);
    queue_wake(daemon->store); /* what waited for memory may have it now */
    return PRILORA_OK;
}

static void reload(struct daemon *daemon)
{
    struct prilora_error err;
    enum prilora_status rc;

    notify_reloading();
    status_say("reading the settings again");
    rc = change_settings(daemon, &err);
    if (rc != PRILORA_OK)
        log_error("main", "SIGHUP: %s; all settings stay as they were", err.message);
    status_note(rc == PRILORA_OK ? ""
                                 : "the settings are wrong, the earlier ones hold: see the log");
    notify_send("READY=1");
}

/* ---- from the start to the end ---- */

/* Until SIGTERM or SIGINT; sweeps meanwhile, and tells how things stand. */
static void wait_for_end(struct daemon *daemon)
{
    const long look_s = notify_is_open() ? STATUS_EVERY_S : SWEEP_EVERY_S;
    double sweep_at = clock_seconds() + SWEEP_EVERY_S;

    for (;;) {
        int number;

        status_update(daemon->store);
        pulse_end();
        number = signals_wait(look_s);
        pulse_begin("the main thread");
        if (number == SIGTERM || number == SIGINT) {
            log_info("main", "%s: stopping; running jobs are checkpointed and go on later",
                     number == SIGTERM ? "SIGTERM" : "SIGINT");
            return;
        }
        if (number == SIGHUP)
            reload(daemon);
        if (clock_seconds() >= sweep_at) {
            sweep(daemon, SWEEP_USUAL);
            sweep_at = clock_seconds() + SWEEP_EVERY_S;
        }
    }
}

static enum prilora_status open_state(struct daemon *daemon, struct prilora_error *err)
{
    size_t n_requeued;
    enum prilora_status rc;

    status_say("opening the database");
    rc = store_open(&daemon->store, daemon->config.state_dir, err);

    if (rc == PRILORA_OK)
        rc = models_new(&daemon->models, daemon->config.models_dirs, err);
    if (rc == PRILORA_OK) /* before jobs can end */
        rc = webhooks_set_target(daemon->store, daemon->config.webhooks_url, err);
    if (rc == PRILORA_OK)
        rc = queue_recover(daemon->store, &n_requeued, err);
    if (rc == PRILORA_OK && n_requeued)
        log_warn("main", "%zu jobs were running when prilorad ended; they go on", n_requeued);
    if (rc == PRILORA_OK)
        rc = meters_begin_jobs(daemon->store, err);
    return rc;
}

static enum prilora_status write_port(const struct daemon *daemon, struct prilora_error *err)
{
    enum prilora_status rc;
    char *text;

    if (!daemon->config.port_file || !*daemon->config.port_file || daemon->port == 0)
        return PRILORA_OK;
    text = text_format("%d\n", daemon->port);
    rc = text ? path_replace(daemon->config.port_file, text, err) : error_memory(err);
    free(text);
    return rc;
}

static void tell_ready(struct daemon *daemon)
{
    struct model_entry *models = NULL;
    size_t n_models = 0;

    models_list(daemon->models, &models, &n_models, NULL);
    models_free_list(models, n_models);
    log_info("main", "ready on %s (process %ld, state in %s, %zu base models)",
             api_address(daemon->api), (long)getpid(), store_folder(daemon->store), n_models);
    watchdog_set_awaited(daemon->watchdog, false);
    notify_send("READY=1");
    status_say("looking through the state folder");
}

static enum prilora_status start(struct daemon *daemon, struct prilora_error *err)
{
    enum prilora_status rc;

    rc = watchdog_start(&daemon->watchdog, &daemon->config, err);
    if (rc != PRILORA_OK)
        return rc;
    prilora_init();
    bus_survive();
    json_memory_watch();
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return error_set(err, PRILORA_EIO, "libcurl cannot be used");
    rc = open_state(daemon, err);
    if (rc == PRILORA_OK)
        rc = predictor_start(&daemon->predictor, &daemon->config, daemon->store, daemon->models,
                             err);
    if (rc == PRILORA_OK) /* before any job runs: the port may be taken */
        rc = api_start(&daemon->api, &daemon->config, daemon->store, daemon->models,
                       daemon->predictor, &daemon->given, err);
    if (rc == PRILORA_OK)
        daemon->port = api_port(daemon->api);
    if (rc == PRILORA_OK)
        rc = workers_start(&daemon->workers, &daemon->config, daemon->store, daemon->models, err);
    if (rc == PRILORA_OK)
        rc = webhooks_start(&daemon->webhooks, &daemon->config, daemon->store, err);
    if (rc == PRILORA_OK)
        rc = write_port(daemon, err);
    return rc;
}

static void tell_stop(struct daemon *daemon)
{
    struct live_totals running;

    live_total(&running);
    watchdog_set_awaited(daemon->watchdog, true);
    notify_send("STOPPING=1");
    status_say(running.n_jobs ? "stopping: %zu running jobs are checkpointed" : "stopping",
               running.n_jobs);
}

static void stop(struct daemon *daemon)
{
    pulse_end(); /* from now on it waits for others */
    api_stop(daemon->api, REQUESTS_LEFT_S);
    predictor_stop(daemon->predictor);
    workers_stop(daemon->workers);
    webhooks_stop(daemon->webhooks);
    api_free(daemon->api); /* last: jobs are safe while it waits for what was still computed */
    if (daemon->config.port_file && *daemon->config.port_file && daemon->port)
        unlink(daemon->config.port_file);
    models_free(daemon->models);
    store_close(daemon->store);
    watchdog_stop(daemon->watchdog);
    curl_global_cleanup();
    config_free(&daemon->config);
}

/* Runs the daemon until it is told to end, or something makes it impossible to go on. */
static enum prilora_status serve(struct daemon *daemon, struct prilora_error *err)
{
    enum prilora_status rc = start(daemon, err);

    if (rc == PRILORA_OK) {
        tell_ready(daemon);
        priority_lower();
        rc = tidy(daemon, err);
    }
    if (rc == PRILORA_OK)
        wait_for_end(daemon);
    return rc;
}

int main(int argc, char **argv)
{
    struct daemon daemon = {.argc = argc, .argv = argv};
    struct prilora_error err = {0};
    /* before anything else is opened where they should be */
    enum prilora_status rc = listen_take_given(&daemon.given, &err);
    enum config_action action = config_load(&daemon.config, argc, argv);

    if (action != CONFIG_RUN) {
        config_free(&daemon.config);
        return action == CONFIG_EXIT_OK ? EXIT_SUCCESS : EXIT_USAGE;
    }
    heap_configure();
    configure_log(&daemon.config);
    signals_block();
    pulse_begin("the main thread");
    if (rc == PRILORA_OK)
        rc = notify_open(&err);
    if (rc == PRILORA_OK)
        rc = serve(&daemon, &err);
    if (rc != PRILORA_OK)
        log_error("main", "%s", err.message);
    tell_stop(&daemon);
    signals_let_end();
    stop(&daemon);
    if (rc == PRILORA_OK)
        log_info("main", "stopped");
    return rc == PRILORA_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
