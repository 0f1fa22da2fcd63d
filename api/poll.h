/*
 * poll.h - long polling: ?wait=<seconds> on what a job shows. The answer comes as soon as there is
 * something new, or when the time is up; then it is the ordinary one (or 304).
 *
 * A handler that may wait calls poll_begin first, makes its answer as ever with respond_*, and then
 * calls poll_end, which throws the answer away and suspends the request if there is nothing new in
 * it; `handle`, the handler itself, runs again when there may be. An answer that is an error is
 * sent at once.
 *
 * New is, of a list: that it is not empty. Of an object: that it is another one than If-None-Match
 * names; without this header, that the job has come into another state since the request came, or
 * is over.
 */
#ifndef POLL_H
#define POLL_H

#include "api/request.h"
#include "daemon/queue.h"

#define POLL_WAIT "wait" /* the parameter's name, for query_check and page_rules */

/* Answers and returns false if the parameter is wrong, or too many wait already. */
bool poll_begin(struct request *r);
void poll_end_list(struct request *r, size_t n, void (*handle)(struct request *r));
void poll_end_object(struct request *r, const struct job *job, void (*handle)(struct request *r));

#endif
