/* upkeep.c - see upkeep.h. */
#include "api/upkeep.h"

#include <string.h>
#include <time.h>

#include "api/peer.h"
#include "daemon/error.h"
#include "daemon/keys.h"
#include "daemon/pulse.h"

#define KEYS_EVERY_S 60

/* Sleeps for a second, unless it is to stop: then false. */
static bool next_second(struct upkeep *upkeep)
{
    struct timespec until;
    bool stop;
    int code = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    pthread_mutex_lock(&upkeep->lock);
    while (!upkeep->stop && code == 0)
        code = pthread_cond_timedwait(&upkeep->stopped, &upkeep->lock, &until);
    stop = upkeep->stop;
    pthread_mutex_unlock(&upkeep->lock);
    return !stop;
}

static void *run(void *context)
{
    struct upkeep *upkeep = context;

    for (unsigned long second = 1; next_second(upkeep); second++) {
        pulse_begin("the look at connections");
        peers_cut(upkeep->peers);
        if (second % KEYS_EVERY_S == 0)
            keys_flush(upkeep->keys);
        pulse_end();
    }
    return NULL;
}

enum prilora_status upkeep_start(struct upkeep *upkeep, struct peers *peers, struct keys *keys,
                                 struct prilora_error *err)
{
    pthread_condattr_t monotonic;
    int code;

    upkeep->peers = peers;
    upkeep->keys = keys;
    pthread_mutex_init(&upkeep->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&upkeep->stopped, &monotonic);
    pthread_condattr_destroy(&monotonic);
    code = pthread_create(&upkeep->thread, NULL, run, upkeep);
    upkeep->is_running = code == 0;
    if (upkeep->is_running)
        return PRILORA_OK;
    pthread_cond_destroy(&upkeep->stopped);
    pthread_mutex_destroy(&upkeep->lock);
    return error_set(err, PRILORA_EIO, "cannot start a thread: %s", strerror(code));
}

void upkeep_stop(struct upkeep *upkeep)
{
    if (!upkeep->is_running)
        return;
    pthread_mutex_lock(&upkeep->lock);
    upkeep->stop = true;
    pthread_cond_signal(&upkeep->stopped);
    pthread_mutex_unlock(&upkeep->lock);
    pthread_join(upkeep->thread, NULL);
    pthread_cond_destroy(&upkeep->stopped);
    pthread_mutex_destroy(&upkeep->lock);
    upkeep->is_running = false;
}
