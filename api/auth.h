/*
 * auth.h - who asks, and whether he may.
 *
 * A key is needed by whoever comes from another machine: not over the loopback address or the
 * Unix socket, or through a proxy, which says so (Forwarded, X-Forwarded-For, X-Real-IP). With
 * server.keys = always the loopback address needs one, too. Where none is needed, one with our
 * prefix is still held to what it allows, and anything else that clients put there is ignored.
 *
 * Keys are taken from the Authorization header alone: addresses end up in logs and histories.
 */
#ifndef AUTH_H
#define AUTH_H

#include <stdbool.h>

#include "api/peer.h"
#include "daemon/keys.h"

struct request;

struct caller {
    char address[PEER_ADDRESS_SIZE]; /* what the nearest proxy says, if there is one */
    struct key key;                  /* id "": none */
    bool is_refused;
    bool is_quiet; /* refused too often to be logged again */
};

/* Fills r->who and r->caller. False: answered with 401, 403 or 429. */
bool auth_check(struct request *r);

/* Whether the key that the request came with, if any, still holds: what is answered bit by bit, or
 * much later, is told no more to who has lost it. */
bool auth_still_holds(const struct request *r);

/* Whether an upload of so many bytes, its form around it included, may be within the caller's
 * quota. False: answered with 429. */
bool auth_check_bytes(struct request *r, uint64_t n_bytes);

/* Answers with an error of keys_check_jobs or keys_check_bytes: 429, which waiting alone does not
 * cure. */
struct prilora_error;
void respond_quota(struct request *r, const struct prilora_error *err);

#endif
