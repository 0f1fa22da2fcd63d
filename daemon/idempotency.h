/*
 * idempotency.h - the answers of requests that made something, by the Idempotency-Key they came
 * with, so that the same request never makes it twice.
 *
 * An answer is written in the transaction that makes what it tells of: there is no instant at which
 * one is there without the other. Failures are not kept.
 */
#ifndef IDEMPOTENCY_H
#define IDEMPOTENCY_H

#include "daemon/store.h"
#include "daemon/sweep.h"

#define IDEMPOTENCY_MAX_KEY 255
#define IDEMPOTENCY_KEPT_S  86400

struct idempotency_claim {
    char caller[ID_SIZE]; /* keys are the caller's own */
    char key[IDEMPOTENCY_MAX_KEY + 1];
    char request[65]; /* SHA-256 of all that makes the request what it is */
};

/* The kept answer, NULL if there is none; free it. EMISMATCH: the key was another request's. */
enum prilora_status idempotency_find(struct store *store, const struct idempotency_claim *claim,
                                     char **answer, struct prilora_error *err);
/* Inside of the transaction that the answer is about. */
enum prilora_status idempotency_keep(struct store *store, const struct idempotency_claim *claim,
                                     const char *answer, struct prilora_error *err);
/* Forgets those that are old enough. */
enum prilora_status idempotency_sweep(struct store *store, struct sweep *sweep,
                                      struct prilora_error *err);

#endif
