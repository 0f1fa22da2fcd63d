/*
 * webhook_sender.c - the thread that sends webhooks; see webhooks.h. One at a time, for they all go
 * to one address; it looks once a second for what is due.
 */
#include "daemon/webhooks.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "daemon/error.h"
#include "daemon/log.h"
#include "daemon/path.h"

#define LOOK_EVERY_S  1
#define DATABASE_S    30 /* to wait when it cannot be read or written: else one is sent for ever */
#define TIMEOUT_S     10L
#define MAX_RESPONSE  4096
#define MAX_ERROR     300
#define CREDENTIALS   "CREDENTIALS_DIRECTORY"
#define FIRST_SUCCESS 200
#define LAST_SUCCESS  299

struct webhooks {
    const char *url;
    struct store *store;
    struct webhook_secret secret;
    pthread_t thread;
    atomic_bool stopping;
    pthread_mutex_t lock; /* for `stop` alone */
    pthread_cond_t stop;
};

/* ---- one request ---- */

/* What they answer is not looked at: more than a little of it ends the transfer. */
static size_t ignore_some(char *data, size_t one, size_t n, void *context)
{
    size_t *seen = context;

    (void)data;
    *seen += one * n;
    return *seen <= MAX_RESPONSE ? one * n : 0;
}

static int check_stop(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct webhooks *w = context;

    (void)a, (void)b, (void)c, (void)d;
    return atomic_load(&w->stopping);
}

static bool add_header(struct curl_slist **list, const char *name, const char *value)
{
    char text[160];
    struct curl_slist *longer;

    snprintf(text, sizeof text, "%s: %s", name, value);
    longer = curl_slist_append(*list, text);
    if (longer)
        *list = longer;
    return longer;
}

static struct curl_slist *make_headers(const struct webhooks *w, const char *id, const char *body)
{
    struct curl_slist *list = NULL;
    char signature[WEBHOOK_SIGNATURE_SIZE], timestamp[24];
    int64_t now = store_now();

    snprintf(timestamp, sizeof timestamp, "%" PRId64, now);
    webhook_sign(signature, &w->secret, id, now, body);
    if (add_header(&list, "Content-Type", "application/json") &&
        add_header(&list, "webhook-id", id) && add_header(&list, "webhook-timestamp", timestamp) &&
        add_header(&list, "webhook-signature", signature))
        return list;
    curl_slist_free_all(list);
    return NULL;
}

static void set_options(CURL *curl, struct webhooks *w, const char *body,
                        const struct curl_slist *headers, size_t *seen, char *trouble)
{
    curl_easy_setopt(curl, CURLOPT_URL, w->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L); /* it would be another one's address */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* never wait for a name server at the end */
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "prilorad/" PRILORA_VERSION);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore_some);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, seen);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, check_stop);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, w);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, trouble);
}

/* True: they took it. Else `error` says why not. */
static bool post(struct webhooks *w, const char *id, const char *body, char error[MAX_ERROR])
{
    char trouble[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = make_headers(w, id, body);
    CURLcode code = CURLE_OUT_OF_MEMORY;
    long status = 0;
    size_t seen = 0;
    bool whole;

    if (curl && headers) {
        set_options(curl, w, body, headers, &seen, trouble);
        code = curl_easy_perform(curl);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    }
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    whole = code == CURLE_OK || (code == CURLE_WRITE_ERROR && seen > MAX_RESPONSE);
    if (whole)
        snprintf(error, MAX_ERROR, "HTTP status %ld", status);
    else
        snprintf(error, MAX_ERROR, "%s", trouble[0] ? trouble : curl_easy_strerror(code));
    return whole && status >= FIRST_SUCCESS && status <= LAST_SUCCESS;
}

/* ---- one delivery ---- */

static void log_failure(const struct webhook *webhook, const char *error, int64_t delay)
{
    if (delay)
        log_warn("webhooks", "%s, %s of %s: attempt %" PRId64 " failed: %s; again in %" PRId64 " s",
                 webhook->id, webhook->type, webhook->job_id, webhook->attempts + 1, error, delay);
    else
        log_error("webhooks", "%s, %s of %s: given up after %" PRId64 " attempts: %s", webhook->id,
                  webhook->type, webhook->job_id, webhook->attempts + 1, error);
}

/* One attempt, and its end in the row. */
static enum prilora_status deliver(struct webhooks *w, const struct webhook *webhook,
                                   struct prilora_error *err)
{
    char error[MAX_ERROR];
    char *body = webhook_body(webhook);
    uint32_t random = 0;
    int64_t delay = 0;
    bool sent;

    if (!body)
        return error_memory(err);
    sent = post(w, webhook->id, body, error);
    free(body);
    if (!sent && atomic_load(&w->stopping))
        return PRILORA_OK; /* it was not their fault */
    if (sent) {
        log_info("webhooks", "%s, %s of %s: sent", webhook->id, webhook->type, webhook->job_id);
    } else {
        if (getrandom(&random, sizeof random, 0) < 0)
            random = 0;
        delay = webhook_delay(webhook->attempts + 1, random);
        log_failure(webhook, error, delay);
    }
    return webhooks_attempted(w->store, webhook->id, sent ? NULL : error,
                              delay ? store_now() + delay : 0, err);
}

static void pause_s(struct webhooks *w, long seconds)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&w->lock);
    while (!atomic_load(&w->stopping))
        if (pthread_cond_timedwait(&w->stop, &w->lock, &until) != 0)
            break;
    pthread_mutex_unlock(&w->lock);
}

static void *send_webhooks(void *argument)
{
    struct webhooks *w = argument;
    struct webhook webhook;
    struct prilora_error err;
    bool found;

    pthread_setname_np(pthread_self(), "webhooks");
    while (!atomic_load(&w->stopping)) {
        enum prilora_status rc = webhooks_next(w->store, &webhook, &found, &err);

        if (rc == PRILORA_OK && found)
            rc = deliver(w, &webhook, &err);
        if (rc != PRILORA_OK)
            log_error("webhooks", "%s", err.message);
        webhook_clear(&webhook);
        if (rc != PRILORA_OK || !found)
            pause_s(w, rc == PRILORA_OK ? LOOK_EVERY_S : DATABASE_S);
    }
    return NULL;
}

/* ---- starting and stopping ---- */

/* The path of the secret: a bare name is one of systemd's credentials. */
static char *secret_path(const char *name, struct prilora_error *err)
{
    const char *folder = getenv(CREDENTIALS);
    char *path = NULL;

    if (!*name) {
        error_set(err, PRILORA_EINVAL,
                  "webhooks.url is set, but webhooks.secret_file is not: nothing is sent unsigned");
        return NULL;
    }
    if (!strchr(name, '/') && !folder) {
        error_set(err, PRILORA_ENOENT,
                  "webhooks.secret_file: \"%s\" would be a credential, but $" CREDENTIALS
                  " is not set; a file needs its whole path",
                  name);
        return NULL;
    }
    path = strchr(name, '/') ? strdup(name) : text_format("%s/%s", folder, name);
    if (!path)
        error_memory(err);
    return path;
}

static enum prilora_status read_secret(struct webhook_secret *out, const char *name,
                                       struct prilora_error *err)
{
    struct prilora_error why;
    char *path = secret_path(name, err), *text;
    enum prilora_status rc;

    if (!path)
        return err->status;
    text = path_first_line(path);
    if (!text) {
        rc = error_set(err, PRILORA_EIO, "webhooks.secret_file: %s cannot be read", path);
    } else {
        rc = webhook_read_secret(out, text, &why);
        if (rc != PRILORA_OK)
            error_set(err, rc, "webhooks.secret_file: %s: %s", path, why.message);
    }
    free(text);
    free(path);
    return rc;
}

enum prilora_status webhooks_start(struct webhooks **out, const struct config *config,
                                   struct store *store, struct prilora_error *err)
{
    struct webhooks *w;
    pthread_condattr_t monotonic;
    enum prilora_status rc;

    *out = NULL;
    if (!*config->webhooks_url)
        return PRILORA_OK;
    w = calloc(1, sizeof *w);
    if (!w)
        return error_memory(err);
    w->url = config->webhooks_url;
    w->store = store;
    rc = read_secret(&w->secret, config->webhooks_secret_file, err);
    if (rc != PRILORA_OK) {
        free(w);
        return rc;
    }
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&w->thread, NULL, send_webhooks, w) != 0) {
        free(w);
        return error_set(err, PRILORA_EIO, "cannot start the thread that sends webhooks");
    }
    *out = w;
    return PRILORA_OK;
}

void webhooks_stop(struct webhooks *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    atomic_store(&w->stopping, true);
    pthread_cond_broadcast(&w->stop);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->stop);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
