/* creation.c - see creation.h. */
#include "api/creation.h"

#include "api/respond.h"
#include "daemon/error.h"

static enum prilora_status write_answer(struct store *store, void *context,
                                        struct prilora_error *err)
{
    struct creation *c = context;
    enum prilora_status rc = c->write(&c->answer, c->api, c->object, err);

    if (rc == PRILORA_OK && c->answer.failed)
        rc = error_memory(err);
    if (rc == PRILORA_OK && c->has_claim)
        rc = idempotency_keep(store, &c->claim, c->answer.text, err);
    return rc;
}

void creation_prepare(struct creation *creation, const struct request *r)
{
    creation->joined = (struct store_joined){write_answer, creation, NULL};
    creation->api = r->api;
    creation->claim = r->idempotency.claim;
    creation->has_claim = r->idempotency.is_held;
    creation->answer = (struct json_out){0};
}

enum prilora_status creation_begin(struct creation *creation, const struct request *r,
                                   struct prilora_error *err)
{
    creation_prepare(creation, r);
    return store_join(r->api->store, &creation->joined, err);
}

bool creation_end(struct creation *creation, struct request *r, enum prilora_status rc)
{
    store_leave(r->api->store);
    if (rc == PRILORA_OK)
        respond_written(r, 200, &creation->answer);
    else
        json_out_clear(&creation->answer);
    return rc == PRILORA_OK;
}
