/*
 * request.h - one HTTP request, from its first line to the last byte of its answer.
 *
 * libmicrohttpd calls in this order, always on one thread: request_new (first line), request_begin
 * (headers), request_take (pieces of the body), request_handle (body complete), request_free.
 */
#ifndef REQUEST_H
#define REQUEST_H

#include <microhttpd.h>
#include <stdint.h>
#include <time.h>

#include "api/auth.h"
#include "api/query.h"
#include "api/routes.h"
#include "api/server.h"
#include "daemon/idempotency.h"

struct answer {
    bool is_given;
    struct MHD_Response *response; /* NULL: none yet, or there was no memory for any */
    unsigned status;
    uint64_t n_bytes; /* of its body, as far as known before it is sent */
};

/* Of a request that is answered later, see waiting.h; guarded by api->lock. */
struct request_waiting {
    void (*resumed)(struct request *r); /* the polling thread's own; NULL: never suspended */
    bool is_asleep;
    struct request *next, *previous;
};

/* Of a request with an Idempotency-Key, see idempotency.h; the list is guarded by api->lock. */
struct request_idempotency {
    struct idempotency_claim claim;
    bool is_held; /* in the list */
    struct request *next;
};

struct request {
    struct api *api;
    struct MHD_Connection *connection;
    char id[ID_SIZE];     /* x-request-id */
    char caller[ID_SIZE]; /* id of the key that it came with; "": none */
    struct caller who;    /* more of the same */
    struct timespec started;

    char *target;       /* as it came, for the log */
    char method[16];    /* cut if longer; then no route has it */
    char *path;         /* not decoded, without the query */
    char *authority;    /* of a target that begins with http://, which goes before Host; or NULL */
    struct query query; /* decoded */
    struct fault fault; /* of the target, until it is answered */
    bool target_ok;

    const struct route *route;          /* NULL: none */
    char *captures[ROUTE_MAX_CAPTURES]; /* decoded */
    char *body;                         /* with a NUL after its last byte; NULL: none */
    size_t n_body, body_room;
    uint64_t n_discarded; /* bytes of a body that came after the answer was known */
    void *sink;           /* the route's body_sink's */
    void *state;          /* a handler's that waits; freed with free_state */
    void (*free_state)(void *state);
    struct request_waiting waiting;
    struct request_idempotency idempotency;
    unsigned n_suspensions; /* so far: tells whether a handler has answered */

    unsigned long refusals; /* json_memory_refusals() before what is done now was begun */
    bool begun, queued;
    bool is_http10;
    bool must_close; /* after the answer, without reading on */
    struct answer answer;
};

struct request *request_new(struct api *api, const char *target);
void request_begin(struct request *r, struct MHD_Connection *connection, const char *method,
                   const char *version);
/* False: the client sends on and on after what went wrong; the connection is to be cut. */
bool request_take(struct request *r, const char *data, size_t size);
void request_handle(struct request *r);
void request_free(struct request *r);

const char *request_header(const struct request *r, const char *name); /* NULL: absent */
/* "application/json" of "application/json; charset=utf-8". */
bool request_is_type(const struct request *r, const char *media_type);
/* Whether an answer should be sent before the body comes. */
bool request_answers_early(const struct request *r);

#endif
