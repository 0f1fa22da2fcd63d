/*
 * completions.c - see completions.h.
 *
 * A completion is in the list from when it is asked for until its request has been answered, or
 * gone; `lock` guards the list and the members that say so, and is never held while bytes are read.
 */
#include "api/completions.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/creation.h"
#include "api/respond.h"
#include "api/waiting.h"
#include "daemon/error.h"
#include "daemon/pulse.h"

#define N_THREADS     2 /* a small upload need not wait for a large one */
#define RETRY_AFTER_S 2

enum stage { STAGE_HELD, STAGE_WAITING, STAGE_RUNNING, STAGE_DONE };

struct completion {
    struct completions *all;
    struct completion *next;
    enum stage stage;
    struct request *request; /* to be woken; NULL: it is awake */
    bool is_abandoned;       /* the request is gone: who works on it frees it */
    char upload_id[ID_SIZE];
    struct completion_order order;
    struct creation creation;
    enum prilora_status rc; /* once it is done */
    struct prilora_error err;
};

struct completions {
    struct store *store;
    pthread_t threads[N_THREADS];
    size_t n_threads;
    atomic_bool stopping;
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t more;
    struct completion *first;
};

void completion_order_clear(struct completion_order *order)
{
    for (size_t i = 0; i < order->n_parts; i++)
        free(order->part_ids[i]);
    free(order->part_ids);
    *order = (struct completion_order){0};
}

static void completion_free(struct completion *c)
{
    completion_order_clear(&c->order);
    json_out_clear(&c->creation.answer);
    free(c);
}

/* Called with the lock held. */
static void take_out(struct completion *c)
{
    struct completion **at = &c->all->first;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
}

/* ---- the threads ---- */

static bool is_stopping(void *context)
{
    struct completions *all = context;

    return atomic_load(&all->stopping);
}

static void work_on(struct completions *all, struct completion *c)
{
    const struct upload_order order = {
        .part_ids = (const char *const *)c->order.part_ids,
        .n_parts = c->order.n_parts,
        .md5 = c->order.md5[0] ? c->order.md5 : NULL,
        .joined = &c->creation.joined,
        .stop = is_stopping,
        .stop_context = all,
    };

    c->rc = uploads_complete(all->store, c->upload_id, &order, &c->err);
}

/* Called with the lock held. */
static struct completion *next_waiting(struct completions *all)
{
    struct completion *c = all->first;

    while (c && c->stage != STAGE_WAITING)
        c = c->next;
    return c;
}

static void *complete_uploads(void *argument)
{
    struct completions *all = argument;

    pthread_setname_np(pthread_self(), "completer");
    pthread_mutex_lock(&all->lock);
    while (!atomic_load(&all->stopping)) {
        struct completion *c = next_waiting(all);

        if (!c) {
            pthread_cond_wait(&all->more, &all->lock);
            continue;
        }
        c->stage = STAGE_RUNNING;
        pthread_mutex_unlock(&all->lock);
        pulse_begin("the completion of an upload");
        work_on(all, c);
        pulse_end();
        pthread_mutex_lock(&all->lock);
        c->stage = STAGE_DONE;
        if (c->request)
            request_wake(c->request);
        if (c->is_abandoned) {
            take_out(c);
            completion_free(c);
        }
    }
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

enum prilora_status completions_start(struct completions **out, struct store *store,
                                      struct prilora_error *err)
{
    struct completions *all = calloc(1, sizeof *all);

    *out = NULL;
    if (!all)
        return error_memory(err);
    all->store = store;
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->more, NULL);
    while (all->n_threads < N_THREADS) {
        if (pthread_create(&all->threads[all->n_threads], NULL, complete_uploads, all) != 0) {
            completions_stop(all);
            return error_set(err, PRILORA_EIO, "cannot start the threads that complete uploads");
        }
        all->n_threads++;
    }
    *out = all;
    return PRILORA_OK;
}

void completions_interrupt(struct completions *all)
{
    pthread_mutex_lock(&all->lock);
    atomic_store(&all->stopping, true);
    pthread_cond_broadcast(&all->more);
    pthread_mutex_unlock(&all->lock);
}

void completions_stop(struct completions *all)
{
    if (!all)
        return;
    completions_interrupt(all);
    for (size_t i = 0; i < all->n_threads; i++)
        pthread_join(all->threads[i], NULL);
    while (all->first) {
        struct completion *c = all->first;

        all->first = c->next;
        completion_free(c);
    }
    pthread_cond_destroy(&all->more);
    pthread_mutex_destroy(&all->lock);
    free(all);
}

/* ---- the requests ---- */

/* request.free_state: whatever has become of it, nobody will ask for the answer any more. */
static void leave(void *state)
{
    struct completion *c = state;
    struct completions *all = c->all;
    bool unused;

    pthread_mutex_lock(&all->lock);
    c->request = NULL;
    c->is_abandoned = true;
    unused = c->stage != STAGE_RUNNING;
    if (unused)
        take_out(c);
    pthread_mutex_unlock(&all->lock);
    if (unused)
        completion_free(c);
}

static void respond_unfinished(struct request *r)
{
    respond_later(r, 503, "stopping", NULL, RETRY_AFTER_S,
                  "prilorad is stopping; look at the upload when it is back");
}

static void resumed(struct request *r)
{
    struct completion *c = r->state;
    bool done;

    pthread_mutex_lock(&c->all->lock);
    done = c->stage == STAGE_DONE;
    c->request = NULL;
    pthread_mutex_unlock(&c->all->lock);
    if (!done || c->rc == PRILORA_ESTOPPED)
        respond_unfinished(r);
    else if (c->rc == PRILORA_OK)
        respond_written(r, 200, &c->creation.answer);
    else
        c->order.respond_failure(r, &c->err);
}

static void respond_being_completed(struct request *r)
{
    respond_later(r, 409, "upload_being_completed", "upload_id", RETRY_AFTER_S,
                  "upload %s is being completed by another request", r->captures[0]);
}

/* Called with the lock held. */
static bool is_being_completed(const struct completions *all, const char *upload_id)
{
    const struct completion *c = all->first;

    while (c && (c->stage == STAGE_DONE || strcmp(c->upload_id, upload_id) != 0))
        c = c->next;
    return c != NULL;
}

/* At the end of the list, so that they are taken in their order. False: another one is at it. */
static bool append(struct completions *all, struct completion *c)
{
    struct completion **at = &all->first;
    bool other;

    pthread_mutex_lock(&all->lock);
    other = is_being_completed(all, c->upload_id);
    while (*at)
        at = &(*at)->next;
    if (!other)
        *at = c;
    pthread_mutex_unlock(&all->lock);
    return !other;
}

static void let_begin(struct completions *all, struct completion *c)
{
    pthread_mutex_lock(&all->lock);
    c->stage = STAGE_WAITING;
    pthread_cond_signal(&all->more);
    pthread_mutex_unlock(&all->lock);
}

void completions_take(struct request *r, struct completion_order *order)
{
    struct completions *all = r->api->completions;
    struct completion *c = calloc(1, sizeof *c);

    if (!c) {
        respond_json(r, 503, NULL);
        return;
    }
    *c = (struct completion){.all = all, .request = r, .order = *order};
    *order = (struct completion_order){0};
    snprintf(c->upload_id, sizeof c->upload_id, "%s", r->captures[0]);
    c->creation.write = c->order.write;
    c->creation.object = c->upload_id;
    creation_prepare(&c->creation, r);
    if (!append(all, c)) {
        completion_free(c);
        respond_being_completed(r);
        return;
    }
    r->state = c;
    r->free_state = leave;
    request_suspend(r, resumed); /* first: what is done before it would wake nobody */
    let_begin(all, c);
}
