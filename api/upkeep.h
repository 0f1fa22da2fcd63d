/* upkeep.h - what must be done every second whether requests come or not, on a thread of its own.
 */
#ifndef UPKEEP_H
#define UPKEEP_H

#include <pthread.h>
#include <stdbool.h>

#include "prilora.h"

struct peers;
struct keys;

struct upkeep {
    struct peers *peers;
    struct keys *keys;
    pthread_t thread;
    bool is_running;      /* of the thread that starts and stops it */
    pthread_mutex_t lock; /* guards `stop` */
    pthread_cond_t stopped;
    bool stop;
};

/* Cuts late peers, and writes once a minute when keys were used. *upkeep is all zero. */
enum prilora_status upkeep_start(struct upkeep *upkeep, struct peers *peers, struct keys *keys,
                                 struct prilora_error *err);
void upkeep_stop(struct upkeep *upkeep); /* also if it was never started */

#endif
