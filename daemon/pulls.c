/* pulls.c - see pulls.h. The lock is held for copies of numbers only, never during a transfer. */
#include "daemon/pulls.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/credential.h"
#include "daemon/error.h"
#include "daemon/log.h"
#include "daemon/meters.h"
#include "daemon/path.h"
#include "daemon/priority.h"

#define MAX_KEPT 64 /* finished ones */
#define GIB      ((uint64_t)1 << 30)

struct one {
    struct pulls *pulls;
    struct one *next; /* older */
    struct pull_view view;
    char *token;
    bool force;
    uint64_t n_counted; /* of the bytes received */
    pthread_t thread;
    atomic_int stop;
};

struct pulls {
    const struct config *config;
    char *models_dir; /* the first one */
    pthread_mutex_t lock;
    struct one *newest; /* guarded by lock, and so are all views */
};

const char *pull_status_name(enum pull_status status)
{
    static const char *const names[] = {"running", "succeeded", "failed", "cancelled"};

    return names[status];
}

void pull_view_clear(struct pull_view *view)
{
    free(view->files);
    *view = (struct pull_view){0};
}

/* ---- the thread of one pull ---- */

static void take_progress(void *context, const struct pull_progress *progress)
{
    struct one *one = context;
    struct pull_view *view = &one->view;
    size_t size = progress->n_files * sizeof *progress->files;
    struct pull_file *files = size ? malloc(size) : NULL, *old = NULL;

    meters_add(METER_PULLED_BYTES, progress->n_received - one->n_counted);
    one->n_counted = progress->n_received;
    if (files)
        memcpy(files, progress->files, size);
    pthread_mutex_lock(&one->pulls->lock);
    if (files) {
        old = view->files;
        view->files = files;
        view->n_files = progress->n_files;
    }
    snprintf(view->commit, sizeof view->commit, "%s", progress->commit);
    view->bytes = progress->bytes;
    view->total_bytes = progress->total_bytes;
    view->bytes_per_second = progress->bytes_per_second;
    pthread_mutex_unlock(&one->pulls->lock);
    free(old);
}

static void finish(struct one *one, enum prilora_status rc, const struct pull_result *result,
                   const struct prilora_error *err)
{
    struct pull_view *view = &one->view;
    bool cancelled = rc == PRILORA_ESTOPPED && atomic_load(&one->stop) == PULL_CANCEL;

    if (rc == PRILORA_OK)
        log_info("pull", "%s: %s at %s: %s", view->id, view->model, result->commit,
                 result->was_there ? "was there already" : "is there");
    else
        log_warn("pull", "%s: %s: %s", view->id, view->model, err->message);
    pthread_mutex_lock(&one->pulls->lock);
    view->status = rc == PRILORA_OK ? PULLS_SUCCEEDED : cancelled ? PULLS_CANCELLED : PULLS_FAILED;
    view->finished_at = store_now();
    view->was_there = result->was_there;
    view->bytes_per_second = 0;
    if (view->status == PULLS_FAILED) {
        snprintf(view->code, sizeof view->code, "%s", result->code);
        snprintf(view->message, sizeof view->message, "%s", err->message);
    }
    pthread_mutex_unlock(&one->pulls->lock);
}

/* It is needed no longer: what has ended is listed for long. */
static void forget_token(struct one *one)
{
    if (one->token)
        explicit_bzero(one->token, strlen(one->token));
    free(one->token);
    one->token = NULL;
}

static void *run(void *argument)
{
    struct one *one = argument;
    const struct config *config = config_now(one->pulls->config);
    struct pull_request request = {
        .endpoint = config->hub_endpoint,
        .token = one->token,
        .model = one->view.model, /* these two do not change any more */
        .revision = one->view.revision,
        .models_dir = one->pulls->models_dir,
        .max_bytes = (uint64_t)config->hub_max_gb * GIB,
        .force = one->force,
        .stop = &one->stop,
        .context = one,
        .on_progress = take_progress,
    };
    struct pull_result result;
    struct prilora_error err = {0};

    pthread_setname_np(pthread_self(), "pull");
    priority_lower();
    finish(one, pull_model(&request, &result, &err), &result, &err);
    forget_token(one);
    return NULL;
}

/* ---- the list; called with the lock held ---- */

static struct one *find(struct pulls *pulls, const char *id)
{
    struct one *one = pulls->newest;

    while (one && strcmp(one->view.id, id) != 0)
        one = one->next;
    return one;
}

static enum prilora_status copy(struct pull_view *out, const struct pull_view *view,
                                struct prilora_error *err)
{
    *out = *view;
    out->files = view->n_files ? malloc(view->n_files * sizeof *view->files) : NULL;
    if (view->n_files && !out->files) {
        *out = (struct pull_view){0};
        return error_memory(err);
    }
    if (view->n_files)
        memcpy(out->files, view->files, view->n_files * sizeof *view->files);
    return PRILORA_OK;
}

static size_t count_running(const struct pulls *pulls, const char *model, struct one **same)
{
    size_t n = 0;

    *same = NULL;
    for (struct one *one = pulls->newest; one; one = one->next)
        if (one->view.status == PULLS_RUNNING) {
            n++;
            if (strcmp(one->view.model, model) == 0)
                *same = one;
        }
    return n;
}

/* Takes the finished ones beyond MAX_KEPT out; they are linked to each other. */
static struct one *take_old(struct pulls *pulls)
{
    struct one *old = NULL, **at = &pulls->newest;
    size_t n = 0;

    while (*at) {
        struct one *one = *at;

        n += one->view.status != PULLS_RUNNING;
        if (one->view.status == PULLS_RUNNING || n <= MAX_KEPT) {
            at = &one->next;
        } else {
            *at = one->next;
            one->next = old;
            old = one;
        }
    }
    return old;
}

/* ---- making and freeing ---- */

static void one_free(struct one *one)
{
    forget_token(one);
    pull_view_clear(&one->view);
    free(one);
}

static void free_all(struct one *one)
{
    while (one) {
        struct one *next = one->next;

        pthread_join(one->thread, NULL);
        one_free(one);
        one = next;
    }
}

enum prilora_status pulls_new(struct pulls **out, const struct config *config,
                              struct prilora_error *err)
{
    struct pulls *pulls = calloc(1, sizeof *pulls);
    const char *dirs = config->models_dirs + strspn(config->models_dirs, ":");

    *out = NULL;
    if (!pulls)
        return error_memory(err);
    pthread_mutex_init(&pulls->lock, NULL);
    pulls->config = config;
    pulls->models_dir = strndup(dirs, strcspn(dirs, ":"));
    if (!pulls->models_dir) {
        pulls_free(pulls);
        return error_memory(err);
    }
    *out = pulls;
    return PRILORA_OK;
}

void pulls_free(struct pulls *pulls)
{
    struct one *all;

    if (!pulls)
        return;
    pthread_mutex_lock(&pulls->lock);
    all = pulls->newest;
    for (struct one *one = all; one; one = one->next) {
        int go = PULL_GO;

        atomic_compare_exchange_strong(&one->stop, &go, PULL_STOP);
    }
    pthread_mutex_unlock(&pulls->lock);
    free_all(all);
    pthread_mutex_destroy(&pulls->lock);
    free(pulls->models_dir);
    free(pulls);
}

/* ---- starting ---- */

/* The token of the request, of the configuration, or of its file; NULL: none. Free it. */
static enum prilora_status find_token(const struct config *config, const char *given, char **out,
                                      struct prilora_error *err)
{
    enum prilora_status rc;
    char *path;

    *out = NULL;
    if (!given && !*config->hub_token && *config->hub_token_file) {
        path = credential_path("hub.token_file", config->hub_token_file, err);
        if (!path)
            return err->status;
        *out = path_first_line(path);
        rc = *out ? PRILORA_OK : error_errno(err, path, "read the hub's token");
        free(path);
        return rc;
    }
    given = given ? given : config->hub_token;
    if (*given && !(*out = strdup(given)))
        return error_memory(err);
    return PRILORA_OK;
}

static enum prilora_status make(struct pulls *pulls, const struct pulls_order *order,
                                struct one **out, struct prilora_error *err)
{
    struct one *one = calloc(1, sizeof *one);
    enum prilora_status rc =
        one ? find_token(config_now(pulls->config), order->token, &one->token, err)
            : error_memory(err);

    *out = one;
    if (rc == PRILORA_OK)
        rc = pull_check_names(order->model, order->revision, one->token, err);
    if (rc != PRILORA_OK)
        return rc;
    one->pulls = pulls;
    one->force = order->force;
    atomic_init(&one->stop, PULL_GO);
    store_new_id(one->view.id, "pull-");
    snprintf(one->view.model, sizeof one->view.model, "%s", order->model);
    snprintf(one->view.revision, sizeof one->view.revision, "%s", order->revision);
    one->view.created_at = store_now();
    return PRILORA_OK;
}

/* With the lock held: *one is put into the list (and then NULL), or one that is there is shown. */
static enum prilora_status begin(struct pulls *pulls, struct one **one, struct pull_view *out,
                                 struct prilora_error *err)
{
    struct one *same;
    size_t n = count_running(pulls, (*one)->view.model, &same);

    if (same && strcmp(same->view.revision, (*one)->view.revision) != 0)
        return error_set_at(err, PRILORA_EMISMATCH, "model",
                            "%s is being pulled at %s; %s can be pulled when that is over",
                            same->view.model, same->view.revision, (*one)->view.revision);
    if (same)
        return copy(out, &same->view, err);
    if (n >= PULLS_MAX_RUNNING)
        return error_set(err, PRILORA_ELIMIT, "%zu models are being pulled already", n);
    if (pthread_create(&(*one)->thread, NULL, run, *one) != 0)
        return error_set(err, PRILORA_EIO, "cannot start a thread for the pull");
    (*one)->next = pulls->newest;
    pulls->newest = *one;
    *one = NULL;
    return copy(out, &pulls->newest->view, err);
}

enum prilora_status pulls_start(struct pulls *pulls, const struct pulls_order *order,
                                struct pull_view *out, struct prilora_error *err)
{
    struct one *one, *old = NULL;
    enum prilora_status rc = make(pulls, order, &one, err);

    *out = (struct pull_view){0};
    if (rc == PRILORA_OK) {
        pthread_mutex_lock(&pulls->lock);
        rc = begin(pulls, &one, out, err);
        old = take_old(pulls);
        pthread_mutex_unlock(&pulls->lock);
    }
    if (one)
        one_free(one);
    free_all(old);
    return rc;
}

/* ---- looking, cancelling ---- */

static enum prilora_status not_found(const char *id, struct prilora_error *err)
{
    return error_set(err, PRILORA_ENOENT, "no such pull: %.100s", id);
}

enum prilora_status pulls_get(struct pulls *pulls, const char *id, struct pull_view *out,
                              struct prilora_error *err)
{
    struct one *one;
    enum prilora_status rc;

    *out = (struct pull_view){0};
    pthread_mutex_lock(&pulls->lock);
    one = find(pulls, id);
    rc = one ? copy(out, &one->view, err) : not_found(id, err);
    pthread_mutex_unlock(&pulls->lock);
    return rc;
}

enum prilora_status pulls_cancel(struct pulls *pulls, const char *id, struct pull_view *out,
                                 struct prilora_error *err)
{
    struct one *one;
    enum prilora_status rc;

    *out = (struct pull_view){0};
    pthread_mutex_lock(&pulls->lock);
    one = find(pulls, id);
    if (!one)
        rc = not_found(id, err);
    else if (one->view.status != PULLS_RUNNING)
        rc = error_set(err, PRILORA_EMISMATCH, "pull %s has %s already", id,
                       pull_status_name(one->view.status));
    else
        rc = copy(out, &one->view, err);
    if (rc == PRILORA_OK)
        atomic_store(&one->stop, PULL_CANCEL);
    pthread_mutex_unlock(&pulls->lock);
    return rc;
}

void pulls_free_list(struct pull_view *views, size_t n)
{
    for (size_t i = 0; views && i < n; i++)
        pull_view_clear(&views[i]);
    free(views);
}

enum prilora_status pulls_list(struct pulls *pulls, const char *after, size_t limit,
                               struct pull_view **out, size_t *n, bool *has_more,
                               struct prilora_error *err)
{
    const struct one *one;
    enum prilora_status rc = PRILORA_OK;

    *n = 0;
    *has_more = false;
    *out = calloc(limit, sizeof **out);
    if (!*out)
        return error_memory(err);
    pthread_mutex_lock(&pulls->lock);
    one = after ? find(pulls, after) : pulls->newest;
    if (!one && after)
        rc = not_found(after, err);
    else if (after)
        one = one->next;
    for (; one && rc == PRILORA_OK && *n < limit; one = one->next) {
        rc = copy(&(*out)[*n], &one->view, err);
        *n += rc == PRILORA_OK;
    }
    *has_more = rc == PRILORA_OK && one != NULL;
    pthread_mutex_unlock(&pulls->lock);
    if (rc != PRILORA_OK) {
        pulls_free_list(*out, *n);
        *out = NULL;
        *n = 0;
    }
    return rc;
}
