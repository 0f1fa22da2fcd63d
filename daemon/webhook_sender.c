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

#include "daemon/credential.h"
#include "daemon/error.h"
#include "daemon/log.h"
#include "daemon/path.h"

#define LOOK_EVERY_S  1
#define DATABASE_S    30 /* to wait when it cannot be read or written: else one is sent for ever */
#define TIMEOUT_S     10L
#define MAX_RESPONSE  4096
#define MAX_ERROR     300
#define FIRST_SUCCESS 200
#define LAST_SUCCESS  299

struct webhook_target {
    const char *url; /* the configuration's; "": nothing is sent */
    struct webhook_secret secret;
};

struct webhooks {
    struct store *store;
    pthread_t thread;
    atomic_bool stopping;
    pthread_mutex_t lock;         /* guards `target`; and for `stop` */
    pthread_cond_t stop;          /* or another target */
    struct webhook_target target; /* as it holds for the next delivery */
};

/* One delivery, with the target that it goes to. */
struct sending {
    struct webhooks *webhooks;
    struct webhook_target target;
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
    const struct sending *s = context;

    (void)a, (void)b, (void)c, (void)d;
    return atomic_load(&s->webhooks->stopping);
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

static struct curl_slist *make_headers(const struct sending *s, const char *id, const char *body)
{
    struct curl_slist *list = NULL;
    char signature[WEBHOOK_SIGNATURE_SIZE], timestamp[24];
    int64_t now = store_now();

    snprintf(timestamp, sizeof timestamp, "%" PRId64, now);
    webhook_sign(signature, &s->target.secret, id, now, body);
    if (add_header(&list, "Content-Type", "application/json") &&
        add_header(&list, "webhook-id", id) && add_header(&list, "webhook-timestamp", timestamp) &&
        add_header(&list, "webhook-signature", signature))
        return list;
    curl_slist_free_all(list);
    return NULL;
}

static void set_options(CURL *curl, struct sending *s, const char *body,
                        const struct curl_slist *headers, size_t *seen, char *trouble)
{
    curl_easy_setopt(curl, CURLOPT_URL, s->target.url);
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
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, s);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, trouble);
}

/* True: they took it. Else `error` says why not. */
static bool post(struct sending *s, const char *id, const char *body, char error[MAX_ERROR])
{
    char trouble[CURL_ERROR_SIZE] = "";
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = make_headers(s, id, body);
    CURLcode code = CURLE_OUT_OF_MEMORY;
    long status = 0;
    size_t seen = 0;
    bool whole;

    if (curl && headers) {
        set_options(curl, s, body, headers, &seen, trouble);
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
static enum prilora_status deliver(struct sending *s, const struct webhook *webhook,
                                   struct prilora_error *err)
{
    struct webhooks *w = s->webhooks;
    char error[MAX_ERROR];
    char *body = webhook_body(webhook);
    uint32_t random = 0;
    int64_t delay = 0;
    bool sent;

    if (!body)
        return error_memory(err);
    sent = post(s, webhook->id, body, error);
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

/* Until there is somebody to send to, or the end. */
static void copy_target(struct webhooks *w, struct webhook_target *out)
{
    pthread_mutex_lock(&w->lock);
    while (!*w->target.url && !atomic_load(&w->stopping))
        pthread_cond_wait(&w->stop, &w->lock);
    *out = w->target;
    pthread_mutex_unlock(&w->lock);
}

/* The next one that is due, if there is one. */
static enum prilora_status send_one(struct sending *s, bool *found, struct prilora_error *err)
{
    struct webhook webhook;
    enum prilora_status rc = webhooks_next(s->webhooks->store, &webhook, found, err);

    if (rc == PRILORA_OK && *found)
        rc = deliver(s, &webhook, err);
    webhook_clear(&webhook);
    return rc;
}

static void *send_webhooks(void *argument)
{
    struct webhooks *w = argument;
    struct sending sending = {.webhooks = w};
    struct prilora_error err;
    enum prilora_status rc;
    bool found;

    pthread_setname_np(pthread_self(), "webhooks");
    for (;;) {
        copy_target(w, &sending.target);
        if (atomic_load(&w->stopping))
            break;
        rc = send_one(&sending, &found, &err);
        if (rc != PRILORA_OK)
            log_error("webhooks", "%s", err.message);
        if (rc != PRILORA_OK || !found)
            pause_s(w, rc == PRILORA_OK ? LOOK_EVERY_S : DATABASE_S);
    }
    explicit_bzero(&sending.target.secret, sizeof sending.target.secret);
    return NULL;
}

/* ---- starting and stopping ---- */

static enum prilora_status read_secret(struct webhook_secret *out, const char *name,
                                       struct prilora_error *err)
{
    struct prilora_error why;
    char *path, *text;
    enum prilora_status rc;

    if (!*name)
        return error_set(err, PRILORA_EINVAL,
                         "webhooks.url is set, but webhooks.secret_file is not: nothing is sent "
                         "unsigned");
    path = credential_path("webhooks.secret_file", name, err);
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

static enum prilora_status read_target(struct webhook_target *out, const struct config *config,
                                       struct prilora_error *err)
{
    *out = (struct webhook_target){.url = config->webhooks_url};
    return *out->url ? read_secret(&out->secret, config->webhooks_secret_file, err) : PRILORA_OK;
}

enum prilora_status webhooks_start(struct webhooks **out, const struct config *config,
                                   struct store *store, struct prilora_error *err)
{
    struct webhooks *w = calloc(1, sizeof *w);
    pthread_condattr_t monotonic;
    enum prilora_status rc;

    *out = NULL;
    if (!w)
        return error_memory(err);
    w->store = store;
    rc = read_target(&w->target, config, err);
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

enum prilora_status webhooks_prepare(struct webhooks *w, struct webhook_target **out,
                                     const struct config *config, struct prilora_error *err)
{
    struct webhook_target *target = malloc(sizeof *target);
    enum prilora_status rc = target ? read_target(target, config, err) : error_memory(err);

    *out = NULL;
    if (rc == PRILORA_OK) /* jobs that end from now on are told, or not */
        rc = webhooks_set_target(w->store, config->webhooks_url, err);
    if (rc == PRILORA_OK)
        *out = target;
    else
        free(target);
    return rc;
}

void webhooks_take(struct webhooks *w, struct webhook_target *target)
{
    pthread_mutex_lock(&w->lock);
    w->target = *target;
    pthread_cond_broadcast(&w->stop);
    pthread_mutex_unlock(&w->lock);
    explicit_bzero(target, sizeof *target);
    free(target);
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
    explicit_bzero(&w->target.secret, sizeof w->target.secret);
    free(w);
}
