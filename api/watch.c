/* watch.c - see watch.h. */
#include "api/watch.h"

#include <string.h>
#include <time.h>

#include "api/peer.h"
#include "daemon/error.h"
#include "daemon/keys.h"

#define KEYS_EVERY_S 60

/* Sleeps for a second, unless it is to stop: then false. */
static bool next_second(struct watch *watch)
{
    struct timespec until;
    bool stop;
    int code = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    pthread_mutex_lock(&watch->lock);
    while (!watch->stop && code == 0)
        code = pthread_cond_timedwait(&watch->stopped, &watch->lock, &until);
    stop = watch->stop;
    pthread_mutex_unlock(&watch->lock);
    return !stop;
}

static void *run(void *context)
{
    struct watch *watch = context;

    for (unsigned long second = 1; next_second(watch); second++) {
        peers_cut(watch->peers);
        if (second % KEYS_EVERY_S == 0)
            keys_flush(watch->keys);
    }
    return NULL;
}

enum prilora_status watch_start(struct watch *watch, struct peers *peers, struct keys *keys,
                                struct prilora_error *err)
{
    pthread_condattr_t monotonic;
    int code;

    watch->peers = peers;
    watch->keys = keys;
    pthread_mutex_init(&watch->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->stopped, &monotonic);
    pthread_condattr_destroy(&monotonic);
    code = pthread_create(&watch->thread, NULL, run, watch);
    watch->is_running = code == 0;
    if (watch->is_running)
        return PRILORA_OK;
    pthread_cond_destroy(&watch->stopped);
    pthread_mutex_destroy(&watch->lock);
    return error_set(err, PRILORA_EIO, "cannot start a thread: %s", strerror(code));
}

void watch_stop(struct watch *watch)
{
    if (!watch->is_running)
        return;
    pthread_mutex_lock(&watch->lock);
    watch->stop = true;
    pthread_cond_signal(&watch->stopped);
    pthread_mutex_unlock(&watch->lock);
    pthread_join(watch->thread, NULL);
    pthread_cond_destroy(&watch->stopped);
    pthread_mutex_destroy(&watch->lock);
    watch->is_running = false;
}
