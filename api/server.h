/* server.h - what the handlers share. */
#ifndef SERVER_H
#define SERVER_H

#include <pthread.h>

#include "api/api.h"
#include "api/digests.h"

struct MHD_Daemon;
struct pulls;

struct api {
    const struct config *config;
    struct store *store;
    struct models *models;
    struct pulls *pulls;
    struct digests digests;
    struct MHD_Daemon *daemon;

    pthread_mutex_t lock;    /* guards the rest */
    pthread_cond_t idle;     /* told when n_requests falls to 0 */
    size_t n_requests;       /* begun and not yet ended */
    struct request *waiting; /* suspended ones, see waiting.h */
    bool stopping;
};

#endif
