/*
 * respond.h - making a request's answer. Exactly one of these is called for each request; server.c
 * sends what they leave in r->answer.
 *
 * Objects and lists that were asked for by GET have an ETag, and If-None-Match is honoured: their
 * text may change only when they mean something else.
 */
#ifndef RESPOND_H
#define RESPOND_H

#include <jansson.h>

#include "api/json_out.h"
#include "api/request.h"

/* Takes `body`; NULL (out of memory while it was made) becomes a 503. */
void respond_json(struct request *r, unsigned status, json_t *body);

/* Takes what was written. */
void respond_written(struct request *r, unsigned status, struct json_out *out);

/*
 * respond_fault - an error as OpenAI's clients read it, {"error": {message, type, param, code}},
 * and in the same body a problem document (RFC 9457). What passes (429, 503, a fault with
 * retry_after_s) also gets Retry-After; any other 409, and what is final, x-should-retry: false.
 */
void respond_fault(struct request *r, const struct fault *fault);
void respond_error(struct request *r, unsigned status, const char *code, const char *param,
                   const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The same, of what passes: it may be tried again after so many seconds. */
void respond_later(struct request *r, unsigned status, const char *code, const char *param,
                   unsigned after_s, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Answers 415 and returns false if the body is not said to be application/json. */
bool respond_unless_json(struct request *r);

/* For what the daemon's parts report: 500 or 503, details only in the log. */
void respond_internal(struct request *r, const struct prilora_error *err);

/* Takes `response`; NULL becomes a 503. */
void respond_take(struct request *r, unsigned status, struct MHD_Response *response);
/* How many bytes its body has, for the count of what is sent. */
void respond_size(struct request *r, uint64_t n_bytes);
/* Adds to the answer that is already made. */
void respond_header(struct request *r, const char *name, const char *value);

#endif
