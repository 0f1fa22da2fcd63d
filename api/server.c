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
#include "api/listen.h"
#include "api/respond.h"
#include "api/waiting.h"
#include "daemon/error.h"
#include "daemon/log.h"

#define POLLING_THREADS   6
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
    r->queued = true;
    return r->answer.response
               ? MHD_queue_response(r->connection, r->answer.status, r->answer.response)
               : MHD_NO;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct request *r = *state;
    bool go_on;
    unsigned suspensions;

    (void)context;
    (void)url;
    (void)version;
    if (!r)
        return MHD_NO; /* there was no memory for it */
    if (!r->begun) {
        request_begin(r, connection, method);
        return request_answers_early(r) ? send_answer(r) : MHD_YES;
    }
    if (*size > 0) {
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

/* One line each; a successful look is too common for more than debug. */
static void log_request(const struct request *r, enum MHD_RequestTerminationCode code)
{
    struct timespec now;
    double ms;
    bool whole = code == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    bool is_look = strcmp(r->method, "GET") == 0 && r->answer.status < 400 && whole;
    char target[200];
    size_t n = 0;

    clock_gettime(CLOCK_MONOTONIC, &now);
    ms = 1e3 * (double)(now.tv_sec - r->started.tv_sec) +
         1e-6 * (double)(now.tv_nsec - r->started.tv_nsec);
    for (; r->target[n] && n + 1 < sizeof target; n++)
        target[n] = r->target[n] > ' ' && r->target[n] < 127 ? r->target[n] : '?';
    target[n] = '\0';
    log_write(is_look ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "http", "%s %s %u %.1f ms %s%s",
              r->begun ? r->method : "-", target, r->answer.status, ms, r->id,
              whole ? "" : ", not completed");
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct request *r = *state;

    (void)connection;
    if (!r)
        return;
    log_request(r, code);
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

static struct MHD_Daemon *start_daemon(struct api *api, int fd)
{
    const struct config *config = api->config;
    long threads =
        POLLING_THREADS < config->max_connections ? POLLING_THREADS : config->max_connections;

    return MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                                MHD_USE_ERROR_LOG | MHD_USE_ITC | MHD_USE_ERROR_LOG,
                            0, NULL, NULL, on_request, api, MHD_OPTION_EXTERNAL_LOGGER, on_log,
                            NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE,
                            (unsigned)threads, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)config->max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)config->request_timeout_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            CONNECTION_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                            MHD_OPTION_URI_LOG_CALLBACK, on_target, api,
                            MHD_OPTION_UNESCAPE_CALLBACK, keep_escaped, NULL,
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, api, MHD_OPTION_END);
}

static void api_free(struct api *api)
{
    digests_destroy(&api->digests);
    pthread_cond_destroy(&api->idle);
    pthread_mutex_destroy(&api->lock);
    free(api);
}

enum prilora_status api_start(struct api **out, const struct config *config, struct store *store,
                              struct models *models, int *port, struct prilora_error *err)
{
    enum prilora_status rc;
    struct api *api = calloc(1, sizeof *api);
    pthread_condattr_t monotonic;
    int fd;

    *out = NULL;
    if (!api)
        return error_memory(err);
    api->config = config;
    api->store = store;
    api->models = models;
    digests_init(&api->digests);
    pthread_mutex_init(&api->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&api->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    rc = listen_open(config->listen, &fd, port, err);
    if (rc == PRILORA_OK) {
        api->daemon = start_daemon(api, fd);
        if (!api->daemon) {
            rc = error_set(err, PRILORA_EIO, "cannot start the HTTP server: %s", strerror(errno));
            close(fd);
        }
    }
    if (rc != PRILORA_OK) {
        api_free(api);
        return rc;
    }
    *out = api;
    return PRILORA_OK;
}

void api_stop(struct api *api, long timeout_s)
{
    struct timespec until;
    MHD_socket fd;

    if (!api)
        return;
    fd = MHD_quiesce_daemon(api->daemon);
    waiting_wake_all(api);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_s;
    pthread_mutex_lock(&api->lock);
    while (api->n_requests > 0) {
        if (pthread_cond_timedwait(&api->idle, &api->lock, &until) != 0)
            break;
    }
    pthread_mutex_unlock(&api->lock);
    MHD_stop_daemon(api->daemon);
    aside_wait_all();
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
    api_free(api);
}
