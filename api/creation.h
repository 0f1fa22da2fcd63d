/*
 * creation.h - something is made, and the answer that tells of it is made in the same transaction:
 * so the answer that is kept for an Idempotency-Key is there exactly if the thing is.
 *
 *     creation_begin, then one transaction on this thread that makes the object, then creation_end
 *     with the status of both.
 */
#ifndef CREATION_H
#define CREATION_H

#include "api/json_out.h"
#include "api/request.h"

struct creation {
    struct store_joined joined;
    struct api *api;
    struct idempotency_claim claim;
    bool has_claim;
    /* writes the answer from what the transaction has written */
    enum prilora_status (*write)(struct json_out *out, struct api *api, const void *object,
                                 struct prilora_error *err);
    const void *object;
    struct json_out answer;
};

/* creation->write and ->object are set; the rest is filled in. */
enum prilora_status creation_begin(struct creation *creation, const struct request *r,
                                   struct prilora_error *err);
/* Sends the answer if rc is PRILORA_OK. False: there is none; the caller says why. */
bool creation_end(struct creation *creation, struct request *r, enum prilora_status rc);

/* For creations on another thread, which joins by itself and outlives the request. */
void creation_prepare(struct creation *creation, const struct request *r);

#endif
