/*
 * server.c - libmicrohttpd's daemon and its callbacks; see request.h for the life of a request.
 *
 * A few polling threads share the connections; handlers run on them. What they do is short: a
 * query, a file's beginning, at most the fsync of an upload.
 *
 * poll(2), not epoll: libmicrohttpd 0.9.75 waits for edges there, and loses that a client has gone
 * when this comes together with its last bytes; half an upload would lie about until the timeout.
 */
#include "api/server.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/aside.h"
#include "api/audit.h"
#include "api/completions.h"
#include "api/idempotency.h"
#include "api/listen.h"
#include "api/origin.h"
#include "api/respond.h"
#include "api/traffic.h"
#include "api/waiting.h"
#include "api/watch.h"
#include "daemon/credential.h"
#include "daemon/error.h"
#include "daemon/json_memory.h"
#include "daemon/limits.h"
#include "daemon/log.h"
#include "daemon/meters.h"
#include "daemon/pulls.h"
#include "daemon/pulse.h"

#define POLLING_THREADS   6
#define FEWER_THREADS     2                   /* of a Unix socket, and of a second port */
#define SPARE_CONNECTIONS 64                  /* above the limit that peers_accept keeps */
#define FILES_LEFT        256                 /* that are open for other things than connections */
#define WATCHERS_END_S    2                   /* at the stop, that live streams have to end in */
#define CONNECTION_MEMORY ((size_t)96 * 1024) /* headers, and the pieces in which bodies come */

static void count(struct api *api, int change)
{
    pthread_mutex_lock(&api->lock);
    api->n_requests += (size_t)change;
    if (api->n_requests == 0)
        pthread_cond_broadcast(&api->idle);
    pthread_mutex_unlock(&api->lock);
}

/* ---- libmicrohttpd's callbacks ---- */

static void *on_target(void *context, const char *target, struct MHD_Connection *connection)
{
    struct request *r = request_new(context, target);

    (void)connection;
    if (r)
        count(context, +1);
    return r;
}

/* The target is taken apart by query.c and routes.c, from the form in which it came. */
static size_t keep_escaped(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

static enum MHD_Result send_answer(struct request *r)
{
    respond_header(r, "x-request-id", r->id);
    respond_header(r, "x-content-type-options", "nosniff");
    if (r->must_close)
        respond_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
    origin_add_headers(r);
    r->queued = true;
    idempotency_release(r); /* before the client can send it again */
    return r->answer.response
               ? MHD_queue_response(r->connection, r->answer.status, r->answer.response)
               : MHD_NO;
}

static enum MHD_Result go_on_with(struct request *r, struct MHD_Connection *connection,
                                  const char *method, const char *version, const char *data,
                                  size_t *size)
{
    bool go_on;
    unsigned suspensions;

    store_be_brief();
    r->refusals = json_memory_refusals();
    if (!r->begun) {
        request_begin(r, connection, method, version);
        return request_answers_early(r) ? send_answer(r) : MHD_YES;
    }
    if (*size > 0) {
        meters_add(METER_RECEIVED_BYTES, *size);
        go_on = request_take(r, data, *size);
        *size = 0;
        return go_on ? MHD_YES : MHD_NO;
    }
    if (r->queued)
        return MHD_YES;
    suspensions = r->n_suspensions;
    request_handle(r);
    return r->n_suspensions != suspensions ? MHD_YES : send_answer(r);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    enum MHD_Result result;

    (void)context;
    (void)url;
    if (!*state)
        return MHD_NO; /* there was no memory for it */
    pulse_begin("a request");
    result = go_on_with(*state, connection, method, version, data, size);
    pulse_end();
    return result;
}

/* The name that a client or a proxy gave the request, if it gave one; fit for a line of the log. */
static void theirs(const struct request *r, char *out, size_t room)
{
    const char *name = r->begun ? request_header(r, "x-request-id") : NULL;
    size_t n = 0;

    for (; name && name[n] && n + 1 < room; n++)
        out[n] = name[n] > ' ' && name[n] < 127 ? name[n] : '?';
    out[n] = '\0';
}

static double age_ms(const struct request *r)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e3 * (double)(now.tv_sec - r->started.tv_sec) +
           1e-6 * (double)(now.tv_nsec - r->started.tv_nsec);
}

/* One line each; a successful look is too common for more than debug. */
static void log_request(const struct request *r, double ms, enum MHD_RequestTerminationCode code)
{
    bool whole = code == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    bool is_look = strcmp(r->method, "GET") == 0 && r->answer.status < 400 && whole;
    char target[200], their_id[100];
    size_t n = 0;

    theirs(r, their_id, sizeof their_id);
    for (; r->target[n] && n + 1 < sizeof target; n++)
        target[n] = r->target[n] > ' ' && r->target[n] < 127 ? r->target[n] : '?';
    target[n] = '\0';
    log_write(is_look ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "http", "%s %s %u %.1f ms %s%s%s%s%s",
              r->begun ? r->method : "-", target, r->answer.status, ms, r->id,
              their_id[0] ? " (theirs: " : "", their_id, their_id[0] ? ")" : "",
              whole ? "" : ", not completed");
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct request *r = *state;
    double ms;

    peer_enter(peer_of(connection), PEER_HEADERS);
    if (!r)
        return;
    ms = age_ms(r);
    log_request(r, ms, code);
    audit_request(r);
    traffic_count(r->route, r->answer.status, 1e-3 * ms);
    if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        meters_add(METER_SENT_BYTES, r->answer.n_bytes);
    request_free(r);
    *state = NULL;
    count(context, -1);
}

static void on_log(void *context, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void on_log(void *context, const char *format, va_list arguments)
{
    char text[256];

    (void)context;
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\r\n")] = '\0';
    log_debug("http", "%s", text);
}

/* ---- starting and stopping ---- */

static unsigned max_connections(const struct api *api)
{
    uint64_t files = limits_raise_files();
    uint64_t most = (uint64_t)api->config->max_connections;

    if (files >= most + FILES_LEFT)
        return (unsigned)most;
    most = files > 2 * FILES_LEFT ? files - FILES_LEFT : FILES_LEFT;
    log_warn("http",
             "server.max_connections = %ld, but with %llu files open at a time (ulimit -Hn) %llu "
             "are taken",
             api->config->max_connections, (unsigned long long)files, (unsigned long long)most);
    return (unsigned)most;
}

/* Serves on a listening socket, which it takes. */
static enum prilora_status start_daemon(struct api *api, int fd, bool is_local,
                                        struct prilora_error *err)
{
    const struct config *config = api->config;
    unsigned per_address = is_local ? 0 : (unsigned)config->max_connections_per_address;
    unsigned most = (unsigned)api->peers.max_tcp + SPARE_CONNECTIONS;
    unsigned threads = is_local || api->n_daemons > 0 ? FEWER_THREADS : POLLING_THREADS;
    bool is_tls = !is_local && atomic_load(&api->tls.pair);
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)tls_give_pair},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | MHD_USE_ITC |
            (is_tls ? MHD_USE_TLS : 0),
        0, peers_accept, &api->peers, on_request, api, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, threads,
        MHD_OPTION_CONNECTION_LIMIT, most, MHD_OPTION_PER_IP_CONNECTION_LIMIT, per_address,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)config->request_timeout_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 0,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, api, MHD_OPTION_UNESCAPE_CALLBACK, keep_escaped,
        NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, api, MHD_OPTION_NOTIFY_CONNECTION,
        peers_notify, &api->peers, MHD_OPTION_ARRAY,
        is_tls ? tls : tls + sizeof tls / sizeof *tls - 1, MHD_OPTION_END);

    if (daemon) {
        api->daemons[api->n_daemons] = daemon;
        atomic_fetch_add(&api->n_daemons, 1);
        return PRILORA_OK;
    }
    close(fd);
    return error_set(err, PRILORA_EIO, "cannot start the HTTP server: %s", strerror(errno));
}

/* "127.0.0.1:8471 (HTTPS) and /run/prilorad/socket" */
static void note_address(struct api *api, int fd, bool is_local)
{
    size_t n = strlen(api->address);
    char name[LISTEN_NAME_SIZE];

    listen_describe(fd, name);
    snprintf(api->address + n, sizeof api->address - n, "%s%s%s", n ? " and " : "", name,
             !is_local && atomic_load(&api->tls.pair) ? " (HTTPS)" : "");
}

static enum prilora_status serve_tcp(struct api *api, int fd, struct prilora_error *err)
{
    char name[LISTEN_NAME_SIZE];

    if (!listen_is_loopback(fd) && !atomic_load(&api->tls.pair)) {
        listen_describe(fd, name);
        log_warn("http",
                 "%s is not the loopback address, and there is no TLS: keys and data can be read "
                 "on the way (server.tls_cert)",
                 name);
    }
    note_address(api, fd, false);
    if (!api->port)
        api->port = listen_port(fd);
    return start_daemon(api, fd, false, err);
}

static enum prilora_status serve_local(struct api *api, int fd, struct prilora_error *err)
{
    note_address(api, fd, true);
    api->has_local = true;
    return start_daemon(api, fd, true, err);
}

static enum prilora_status open_tcp(struct api *api, struct prilora_error *err)
{
    const char *listen = api->config->listen;
    enum prilora_status rc;
    int fd, port;

    if (!*listen || strcmp(listen, "none") == 0)
        return PRILORA_OK;
    rc = listen_open(listen, &fd, &port, err);
    return rc == PRILORA_OK ? serve_tcp(api, fd, err) : rc;
}

static enum prilora_status open_local(struct api *api, struct prilora_error *err)
{
    const struct config *config = api->config;
    enum prilora_status rc;
    int fd;

    if (!*config->socket)
        return PRILORA_OK;
    rc =
        listen_open_unix(config->socket, (unsigned)strtoul(config->socket_mode, NULL, 8), &fd, err);
    if (rc != PRILORA_OK)
        return rc;
    api->owns_socket = true;
    return serve_local(api, fd, err);
}

/* What was given goes before what is set, of each kind. */
static enum prilora_status open_sockets(struct api *api, const struct listen_given *given,
                                        struct prilora_error *err)
{
    enum prilora_status rc = PRILORA_OK;
    size_t n_local = 0;

    for (size_t i = 0; i < given->n && rc == PRILORA_OK; i++) {
        n_local += given->is_unix[i];
        rc = given->is_unix[i] ? serve_local(api, given->fds[i], err)
                               : serve_tcp(api, given->fds[i], err);
    }
    if (rc == PRILORA_OK && n_local == given->n)
        rc = open_tcp(api, err);
    if (rc == PRILORA_OK && n_local == 0)
        rc = open_local(api, err);
    if (rc == PRILORA_OK && api->n_daemons == 0)
        rc = error_set(err, PRILORA_EINVAL,
                       "neither server.listen nor server.socket is set: nobody could reach the "
                       "daemon");
    return rc;
}

static struct api *api_new(const struct config *config, struct store *store, struct models *models,
                           struct predictor *predictor)
{
    struct api *api = calloc(1, sizeof *api);
    pthread_condattr_t monotonic;

    if (!api)
        return NULL;
    api->config = config;
    api->store = store;
    api->models = models;
    api->predictor = predictor;
    digests_init(&api->digests);
    attempts_init(&api->attempts);
    peers_init(&api->peers, config->request_timeout_s, config->min_upload_rate,
               max_connections(api));
    pthread_mutex_init(&api->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&api->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return api;
}

/* Ordinary requests always find a connection. */
static size_t max_watchers(const struct api *api)
{
    return (api->peers.max_tcp * 3 + 3) / 4;
}

/* No connection is left: nobody asks for anything any more. */
static void close_connections(struct api *api)
{
    size_t n;

    waiting_wake_all(api); /* libmicrohttpd aborts if a connection is suspended still */
    upkeep_stop(&api->upkeep);
    n = atomic_exchange(&api->n_daemons, 0);
    for (size_t i = 0; i < n; i++)
        MHD_stop_daemon(api->daemons[i]);
}

void api_free(struct api *api)
{
    if (!api)
        return;
    close_connections(api);
    aside_wait_all();
    watch_stop(api->watch);
    completions_stop(api->completions);
    pulls_free(api->pulls);
    keys_close(api->keys);
    tls_close(&api->tls);
    peers_destroy(&api->peers);
    attempts_destroy(&api->attempts);
    digests_destroy(&api->digests);
    pthread_cond_destroy(&api->idle);
    pthread_mutex_destroy(&api->lock);
    free(api);
}

enum prilora_status api_start(struct api **out, const struct config *config, struct store *store,
                              struct models *models, struct predictor *predictor,
                              const struct listen_given *given, struct prilora_error *err)
{
    enum prilora_status rc;
    struct api *api = api_new(config, store, models, predictor);

    *out = NULL;
    if (!api)
        return error_memory(err);
    rc = tls_open(&api->tls, config->tls_cert, config->tls_key, err);
    if (rc == PRILORA_OK)
        rc = keys_open(&api->keys, store, err);
    if (rc == PRILORA_OK && credential_exists(KEY_CREDENTIAL))
        rc = keys_adopt(api->keys, KEY_CREDENTIAL, err);
    if (rc == PRILORA_OK)
        rc = upkeep_start(&api->upkeep, &api->peers, api->keys, err);
    if (rc == PRILORA_OK)
        rc = watch_start(&api->watch, max_watchers(api), err);
    if (rc == PRILORA_OK)
        rc = completions_start(&api->completions, store, err);
    if (rc == PRILORA_OK)
        rc = pulls_new(&api->pulls, config, err);
    if (rc == PRILORA_OK)
        rc = open_sockets(api, given, err);
    if (rc != PRILORA_OK) {
        if (api->owns_socket)
            unlink(config->socket);
        api_free(api);
        return rc;
    }
    if (strcmp(config->keys, "always") == 0 && !api->has_local && keys_is_empty(api->keys))
        log_warn("http", "server.keys = always, but there are no keys, and no server.socket to "
                         "make one over: nobody can do anything");
    *out = api;
    return PRILORA_OK;
}

int api_port(const struct api *api)
{
    return api->port;
}

const char *api_address(const struct api *api)
{
    return api->address;
}

/* ---- other settings ---- */

enum prilora_status api_prepare(struct api *api, struct tls_pair **out, const struct config *config,
                                struct prilora_error *err)
{
    (void)api;
    return tls_read(out, config->tls_cert, config->tls_key, err);
}

bool api_take(struct api *api, struct tls_pair *pair)
{
    peers_set_rate(&api->peers, config_now(api->config)->min_upload_rate);
    return tls_take(&api->tls, pair);
}

void api_drop(struct tls_pair *pair)
{
    tls_drop(pair);
}

/* ---- the end ---- */

/* No more connections are taken. The socket stays until close(2); one that systemd gave takes them
 * still, for the daemon that comes next. */
static void quiesce(struct MHD_Daemon *daemon)
{
    MHD_socket fd = MHD_quiesce_daemon(daemon);

    if (fd != MHD_INVALID_SOCKET)
        close(fd);
}

/* Until no request is left, or the time is over. */
static void wait_for_requests(struct api *api, long timeout_s)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_s;
    pthread_mutex_lock(&api->lock);
    while (api->n_requests > 0) {
        if (pthread_cond_timedwait(&api->idle, &api->lock, &until) != 0)
            break;
    }
    pthread_mutex_unlock(&api->lock);
}

void api_stop(struct api *api, long timeout_s)
{
    if (!api)
        return;
    if (api->owns_socket)
        unlink(api->config->socket); /* while it is surely ours */
    for (size_t i = 0; i < api->n_daemons; i++)
        quiesce(api->daemons[i]);
    completions_interrupt(api->completions);
    waiting_wake_all(api);
    wait_for_requests(api, WATCHERS_END_S);
    watch_cut(api->watch); /* who has not taken the end of his stream by now does not read */
    wait_for_requests(api, timeout_s);
    close_connections(api);
}
