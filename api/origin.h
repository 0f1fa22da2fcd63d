/*
 * origin.h - requests that a browser sends for somebody else's page.
 *
 * A page may send requests to any address that its reader's machine reaches, a daemon on loopback
 * included. Two checks hold against that: Host must be a name of ours, for a page whose own name
 * was made to lead here (DNS rebinding) still names itself there; and whatever changes something
 * must come from a page of ours or of a listed origin. Listed ones may also read the answers
 * (CORS).
 */
#ifndef ORIGIN_H
#define ORIGIN_H

#include <stdbool.h>
#include <stddef.h>

struct request;

/* False: answered, 400 or 421. */
bool origin_check_host(struct request *r);
/* False: answered, 403. */
bool origin_check_change(struct request *r);
/* True: it was a browser's question before a request of a listed origin, and is answered. */
bool origin_preflight(struct request *r);
/* Of every answer: lets the page of a listed origin read it. */
void origin_add_headers(struct request *r);

/* ---- what is compared, for tests ---- */

/* Whether `host` ("localhost:8471", "[::1]", "192.0.2.1") is an address, localhost, the name in
 * `listen`, or one of the names in `allowed`. */
bool origin_is_own_host(const char *host, const char *listen, const char *allowed);
/* Whether `origin` ("https://a.example") is where `host` ("a.example:443") leads. */
bool origin_is_same(const char *origin, const char *host);
/* Whether a list of words with spaces or commas between has this one, capitals or not. */
bool origin_in_list(const char *list, const char *word, size_t n);

#endif
