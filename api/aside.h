/*
 * aside.h - what takes too long for a polling thread: done on a thread of its own, few at a time,
 * while the request is suspended.
 *
 * The work knows nothing of the request, which may be gone before it ends: what it needs is in its
 * state, which is freed when both are through with it.
 */
#ifndef ASIDE_H
#define ASIDE_H

#include "api/request.h"

#define ASIDE_MAX 4 /* at a time; more are answered with 429 */

struct aside_work {
    void (*work)(void *state);                      /* on the thread */
    void (*answer)(struct request *r, void *state); /* then, on the request's polling thread */
    void (*free)(void *state);
};

/* The handler's last act. Takes `state`; NULL (out of memory while it was made) becomes a 503. */
void aside_run(struct request *r, const struct aside_work *work, void *state);

/* Waits until no work runs: nothing that it uses may go before. Requests were woken already. */
void aside_wait_all(void);

#endif
