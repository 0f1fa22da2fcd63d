/*
 * headers.h - headers that are wrong whatever is asked: too many bytes of them, and those whose
 * reading might differ between us and a proxy, so that one could slip a request past the other
 * (RFC 9112, 6.3 and 11.2).
 */
#ifndef HEADERS_H
#define HEADERS_H

#include <stdbool.h>

struct request;

#define HEADERS_MAX_BYTES (32 * 1024)

/* False: answered with what is wrong. */
bool headers_check(struct request *r);

#endif
