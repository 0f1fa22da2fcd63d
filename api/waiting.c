/* waiting.c - see waiting.h. Suspended requests are a list in struct api, under its lock. */
#include "api/waiting.h"

#include "api/request.h"

/* Called with api->lock held. */
static void take_out(struct request *r)
{
    if (r->waiting.previous)
        r->waiting.previous->waiting.next = r->waiting.next;
    else
        r->api->waiting = r->waiting.next;
    if (r->waiting.next)
        r->waiting.next->waiting.previous = r->waiting.previous;
    r->waiting.next = r->waiting.previous = NULL;
    r->waiting.is_asleep = false;
}

void request_suspend(struct request *r, void (*resumed)(struct request *r))
{
    struct api *api = r->api;
    bool stopping;

    r->waiting.resumed = resumed;
    r->n_suspensions++;
    MHD_suspend_connection(r->connection);
    pthread_mutex_lock(&api->lock);
    stopping = api->stopping;
    if (!stopping) {
        r->waiting.is_asleep = true;
        r->waiting.next = api->waiting;
        if (api->waiting)
            api->waiting->waiting.previous = r;
        api->waiting = r;
    }
    pthread_mutex_unlock(&api->lock);
    if (stopping)
        MHD_resume_connection(r->connection);
}

void request_wake(struct request *r)
{
    struct MHD_Connection *connection = r->connection;
    struct api *api = r->api;
    bool was_asleep;

    pthread_mutex_lock(&api->lock);
    was_asleep = r->waiting.is_asleep;
    if (was_asleep)
        take_out(r);
    pthread_mutex_unlock(&api->lock);
    if (was_asleep)
        MHD_resume_connection(connection);
}

void waiting_wake_all(struct api *api)
{
    for (;;) {
        struct request *r;
        struct MHD_Connection *connection = NULL;

        pthread_mutex_lock(&api->lock);
        api->stopping = true;
        r = api->waiting;
        if (r) {
            connection = r->connection;
            take_out(r);
        }
        pthread_mutex_unlock(&api->lock);
        if (!connection)
            return;
        MHD_resume_connection(connection);
    }
}

bool api_is_stopping(struct api *api)
{
    bool stopping;

    pthread_mutex_lock(&api->lock);
    stopping = api->stopping;
    pthread_mutex_unlock(&api->lock);
    return stopping;
}
