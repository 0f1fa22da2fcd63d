/*
 * stream.h - readers of live streams: each a connection of its own, many at once in one thread.
 * Server-sent events are read as the HTML standard says (lines, dispatched at an empty one).
 */
#ifndef TEST_STREAM_H
#define TEST_STREAM_H

#include "support/server.h"

struct test_message {
    char event[32]; /* "message" if there was no event line */
    char id[96];    /* the last id so far */
    json_t *data;
};

struct test_stream {
    int fd;           /* -1: closed */
    char *raw, *text; /* what came and is no whole chunk yet; no whole message yet */
    size_t n_raw, n_text;
    long status; /* 0: no head yet */
    bool ended;  /* by the last chunk */
    long n_comments, retry_ms;
    struct test_message *messages;
    size_t n_messages;
};

/* headers: NULL, or lines that end in \r\n each. */
struct test_stream *test_stream_open(const struct test_server *server, const char *path,
                                     const char *headers);
void test_stream_free(struct test_stream *stream); /* hangs up if it is open */

/* Takes what comes for n streams, until all have ended or ms have passed; false: not all. */
bool test_streams_read(struct test_stream *const *streams, size_t n, long ms);
/* Until there are so many messages; false: there were not within ms, or the stream has ended. */
bool test_stream_wait(struct test_stream *stream, size_t n_messages, long ms);

/* Messages of this event. */
size_t test_stream_count(const struct test_stream *stream, const char *event);

#endif
