/*
 * closing.h - where a multipart body ends: at its closing delimiter. What follows is an epilogue,
 * which means nothing (RFC 2046, 5.1.1); clients send some, if only an empty line, and
 * libmicrohttpd's parser takes it for an error. Pure functions.
 */
#ifndef CLOSING_H
#define CLOSING_H

#include <stdbool.h>
#include <stddef.h>

struct closing {
    const char *boundary; /* within the Content-Type */
    size_t n_boundary, n_matched;
    bool found;
};

/* The boundary is taken from the media type as libmicrohttpd takes it. */
void closing_begin(struct closing *closing, const char *content_type);

/* How many of the next `size` bytes belong to the form, the closing delimiter included. */
size_t closing_take(struct closing *closing, const char *data, size_t size);

#endif
