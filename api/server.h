/* server.h - what the handlers share. */
#ifndef SERVER_H
#define SERVER_H

#include <pthread.h>

#include "api/api.h"
#include "api/attempts.h"
#include "api/digests.h"
#include "api/listen.h"
#include "api/peer.h"
#include "api/tls.h"
#include "api/upkeep.h"
#include "daemon/keys.h"

struct MHD_Daemon;
struct watch;
struct completions;
struct pulls;

#define SERVER_MAX_SOCKETS (LISTEN_MAX_GIVEN + 2)

struct api {
    const struct config *config;
    struct store *store;
    struct models *models;
    struct predictor *predictor;
    struct pulls *pulls;
    struct digests digests;
    struct keys *keys;
    struct peers peers;
    struct attempts attempts;
    struct tls tls;
    struct upkeep upkeep;
    struct watch *watch; /* live streams and long polls */
    struct completions *completions;
    struct MHD_Daemon *daemons[SERVER_MAX_SOCKETS]; /* one for each listening socket */
    atomic_size_t n_daemons;                        /* grows while the first ones serve already */
    bool owns_socket;  /* the file at server.socket is ours to remove */
    bool has_local;    /* a Unix socket is among them */
    int port;          /* of the first of the others; 0: there is none */
    char address[512]; /* all of them, for the log */

    pthread_mutex_t lock;    /* guards the rest */
    pthread_cond_t idle;     /* told when n_requests falls to 0 */
    size_t n_requests;       /* begun and not yet ended */
    struct request *waiting; /* suspended ones, see waiting.h */
    struct request *holders; /* those with an Idempotency-Key, until they are answered */
    bool stopping;
};

#endif
