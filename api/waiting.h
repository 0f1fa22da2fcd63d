/*
 * waiting.h - requests that are answered later: their connection is suspended, no thread waits.
 *
 * A handler that cannot answer yet calls request_suspend and returns. Somebody else, on any thread,
 * calls request_wake; then `resumed` runs on the connection's polling thread, and answers or
 * suspends again. When the server stops, everything that waits is woken (api_is_stopping).
 *
 * A suspended request lives until it is woken: libmicrohttpd does not look whether its client is
 * still there. Whoever keeps a pointer to one keeps it in a list under a lock of his own, wakes it
 * only while it is in that list, holding that lock, and takes it out of the list in `resumed`: a
 * request that the server's stop has woken meanwhile is then still alive.
 */
#ifndef WAITING_H
#define WAITING_H

#include <stdbool.h>

struct api;
struct request;

/* Only inside of a handler or of `resumed`, on the request's polling thread. */
void request_suspend(struct request *r, void (*resumed)(struct request *r));
/* Any thread; does nothing if it was woken already. After it *r may be gone at any moment. */
void request_wake(struct request *r);

/* What api_stop does before it waits for the running requests: wakes all, now and from now on. */
void waiting_wake_all(struct api *api);
bool api_is_stopping(struct api *api);

#endif
