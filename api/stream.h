/* stream.h - a job's live stream: server-sent events, written while they come. */
#ifndef STREAM_H
#define STREAM_H

#include "api/request.h"

/*
 * Whether the request is for a stream: "Accept: text/event-stream", or ?stream=true for clients
 * that cannot say that; ?stream=false never is. Answers a wrong ?stream with a fault and returns
 * false; *wanted is whether there is a stream to be sent.
 */
bool stream_is_wanted(struct request *r, bool *wanted);

/* Answers. The job is the path's. */
void stream_respond(struct request *r);

#endif
