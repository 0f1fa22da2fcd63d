/*
 * main.c - starts everything in order, waits for signals, stops everything in the other order.
 * The only file that sees both daemon/ and api/.
 */
#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/api.h"
#include "daemon/bus.h"
#include "daemon/config.h"
#include "daemon/error.h"
#include "daemon/heap.h"
#include "daemon/gc.h"
#include "daemon/files.h"
#include "daemon/idempotency.h"
#include "daemon/json_memory.h"
#include "daemon/log.h"
#include "daemon/meters.h"
#include "daemon/models.h"
#include "daemon/notify.h"
#include "daemon/path.h"
#include "daemon/predictor.h"
#include "daemon/priority.h"
#include "daemon/queue.h"
#include "daemon/store.h"
#include "daemon/webhooks.h"
#include "daemon/worker.h"

#define EXIT_USAGE      2
#define SWEEP_EVERY_S   3600
#define REQUESTS_LEFT_S 10 /* that running requests have to end in */

struct daemon {
    struct config config;
    struct store *store;
    struct models *models;
    struct predictor *predictor;
    struct api *api;
    struct workers *workers;
    struct webhooks *webhooks;
    int port;
};

/*
 * ---- signals: blocked in every thread of ours, taken by main from sigtimedwait ----
 *
 * OpenBLAS makes threads while the program is loaded, before anything could be blocked: a signal
 * that one of them is given is handed on to main.
 */
static pthread_t main_thread;

static void hand_to_main(int number)
{
    pthread_kill(main_thread, number);
}

static void block_signals(sigset_t *set)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    struct sigaction action = {.sa_handler = hand_to_main, .sa_flags = SA_RESTART};

    main_thread = pthread_self();
    sigemptyset(set);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(set, numbers[i]);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Whatever is lost by this is found again at the next start: checkpoints and database are on disk.
 */
static void exit_now(int number)
{
    static const char text[] = "main: second signal, ending at once\n";

    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(1);
}

static void let_second_signal_end(void)
{
    struct sigaction action = {.sa_handler = exit_now};
    sigset_t set;

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static bool end_is_asked(void)
{
    sigset_t waiting;

    return sigpending(&waiting) == 0 &&
           (sigismember(&waiting, SIGTERM) || sigismember(&waiting, SIGINT));
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

/* Until SIGTERM or SIGINT; sweeps meanwhile. */
static void wait_for_end(struct daemon *daemon, const sigset_t *set)
{
    const struct timespec hour = {.tv_sec = SWEEP_EVERY_S};

    for (;;) {
        int number = sigtimedwait(set, NULL, &hour);

        if (number == SIGTERM || number == SIGINT) {
            log_info("main", "%s: stopping; running jobs are checkpointed and go on later",
                     number == SIGTERM ? "SIGTERM" : "SIGINT");
            return;
        }
        if (number == SIGHUP)
            log_warn("main", "SIGHUP: settings are read at start only; restart to change them");
        else if (number < 0 && errno == EAGAIN)
            sweep(daemon, SWEEP_USUAL);
    }
}

/* ---- starting and stopping ---- */

static void configure_log(const struct config *config)
{
    enum log_level least = LOG_LEVEL_INFO;

    log_level_parse(&least, config->log_level);
    log_configure(least, strcmp(config->log_format, "json") == 0);
}

static enum prilora_status open_state(struct daemon *daemon, struct prilora_error *err)
{
    size_t n_requeued;
    enum prilora_status rc = store_open(&daemon->store, daemon->config.state_dir, err);

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
    const struct config *config = &daemon->config;
    const char *colon = strrchr(config->listen, ':');
    bool has_port = daemon->port > 0 && colon;
    char address[300] = "";
    struct model_entry *models = NULL;
    size_t n_models = 0;

    models_list(daemon->models, &models, &n_models, NULL);
    models_free_list(models, n_models);
    if (has_port)
        snprintf(address, sizeof address, "%.*s:%d", (int)(colon - config->listen), config->listen,
                 daemon->port);
    log_info("main", "ready on %s%s%s%s (process %ld, state in %s, %zu base models)", address,
             has_port && *config->tls_cert ? " (HTTPS)" : "",
             has_port && *config->socket ? " and " : "", config->socket, (long)getpid(),
             store_folder(daemon->store), n_models);
    notify_systemd("READY=1");
}

static enum prilora_status start(struct daemon *daemon, struct prilora_error *err)
{
    enum prilora_status rc;

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
                       daemon->predictor, &daemon->port, err);
    if (rc == PRILORA_OK)
        rc = workers_start(&daemon->workers, &daemon->config, daemon->store, daemon->models, err);
    if (rc == PRILORA_OK)
        rc = webhooks_start(&daemon->webhooks, &daemon->config, daemon->store, err);
    if (rc == PRILORA_OK)
        rc = write_port(daemon, err);
    return rc;
}

static void stop(struct daemon *daemon)
{
    api_stop(daemon->api, REQUESTS_LEFT_S);
    predictor_stop(daemon->predictor);
    workers_stop(daemon->workers);
    webhooks_stop(daemon->webhooks);
    api_free(daemon->api); /* last: jobs are safe while it waits for what was still computed */
    if (daemon->config.port_file && *daemon->config.port_file && daemon->port)
        unlink(daemon->config.port_file);
    models_free(daemon->models);
    store_close(daemon->store);
    curl_global_cleanup();
    config_free(&daemon->config);
}

int main(int argc, char **argv)
{
    struct daemon daemon = {0};
    struct prilora_error err = {0};
    enum config_action action = config_load(&daemon.config, argc, argv);
    enum prilora_status rc;
    sigset_t signals;

    if (action != CONFIG_RUN) {
        config_free(&daemon.config);
        return action == CONFIG_EXIT_OK ? EXIT_SUCCESS : EXIT_USAGE;
    }
    heap_configure();
    configure_log(&daemon.config);
    block_signals(&signals); /* before threads are made, which inherit it */
    rc = start(&daemon, &err);
    if (rc == PRILORA_OK) {
        tell_ready(&daemon);
        priority_lower();
        rc = tidy(&daemon, &err);
    }
    if (rc == PRILORA_OK)
        wait_for_end(&daemon, &signals);
    else
        log_error("main", "%s", err.message);
    notify_systemd("STOPPING=1");
    let_second_signal_end();
    stop(&daemon);
    if (rc == PRILORA_OK)
        log_info("main", "stopped");
    return rc == PRILORA_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
