/*
 * idempotency.h - the Idempotency-Key header: the same request under the same key is answered as it
 * was the first time. In memory are the keys of requests that are being answered; what was answered
 * well is in the database (daemon/idempotency.h).
 */
#ifndef API_IDEMPOTENCY_H
#define API_IDEMPOTENCY_H

#include "api/form.h"
#include "api/request.h"

/*
 * What a handler that creates calls before it does: false means answered, by the kept answer or an
 * error. True: it may create; the key, if there is one, is the request's own until it is answered.
 *
 * idempotency_check takes the body as it was collected, idempotency_check_form what was read of it.
 */
bool idempotency_check(struct request *r);
bool idempotency_check_form(struct request *r, const struct form *form, const char *sha256);

/* The request is answered, or gone: its key is free again. */
void idempotency_release(struct request *r);

#endif
