/* watch.h - what must be done every second whether requests come or not, on a thread of its own. */
#ifndef WATCH_H
#define WATCH_H

#include <pthread.h>
#include <stdbool.h>

#include "prilora.h"

struct peers;
struct keys;

struct watch {
    struct peers *peers;
    struct keys *keys;
    pthread_t thread;
    bool is_running;      /* of the thread that starts and stops it */
    pthread_mutex_t lock; /* guards `stop` */
    pthread_cond_t stopped;
    bool stop;
};

/* Cuts late peers, and writes once a minute when keys were used. *watch is all zero. */
enum prilora_status watch_start(struct watch *watch, struct peers *peers, struct keys *keys,
                                struct prilora_error *err);
void watch_stop(struct watch *watch); /* also if it was never started */

#endif
