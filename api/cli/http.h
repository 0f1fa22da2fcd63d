/*
 * http.h - requests to the daemon, one connection kept for all. http_send is the plain exchange;
 * request() adds what most commands want: it tries again where that is safe and tells the user
 * what went wrong.
 */
#ifndef CLI_HTTP_H
#define CLI_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/cli/cli.h"

struct http_request {
    const char *method, *path; /* the path starts with '/' and is encoded */
    const json_t *body;
    const char *upload; /* a file's path: sent as a form for fine-tuning */
    const char *key;    /* Idempotency-Key: as often as it is sent, it is done once */
    const char *etag;   /* If-None-Match: an answer of 304 if it is still the same */
    double timeout_s;   /* 0: the standard one; for a whole answer, uploads excepted */
    bool probe;         /* a failure is not tried again */
    const char *shown;  /* with a progress line under this name */
    bool is_text;       /* the answer need not be JSON */
};

struct http_reply {
    long status; /* 0: none came */
    char *body;  /* with a NUL after it */
    size_t size;
    json_t *json;
    double retry_after_s;  /* 0: not said */
    bool should_not_retry; /* as x-should-retry: false says */
    char etag[80];         /* "": none */
    char trouble[300];     /* why none came */
    const char *advice;    /* what may mend that; NULL: nobody knows */
    bool refused;          /* nobody listens there: the request was not sent */
};

struct http *http_new(const struct settings *settings);
void http_free(struct http *http);

/* True: an answer came, of whatever status. */
bool http_send(struct http *http, const struct http_request *request, struct http_reply *out);
void http_reply_clear(struct http_reply *reply);
/* Whether the same request may succeed a little later. */
bool http_is_passing(const struct http_reply *reply);
/* Tells what this reply, which is not 2xx, says. */
int http_tell(const struct call *call, const struct http_reply *reply);

int request(const struct call *call, const struct http_request *request, struct http_reply *out);
int get(const struct call *call, struct http_reply *out, const char *path_format, const char *id);
int post(const struct call *call, struct http_reply *out, const char *path_format, const char *id,
         const json_t *body);

/* The one %s of the format is the id, encoded. Free it. */
char *http_path(const char *path_format, const char *id);
/* With --json: prints the answer as it came; true if it did. */
bool show_json(const struct call *call, const struct http_reply *reply);

/* ---- downloads ---- */

struct http_part { /* a file that grows, perhaps over several requests */
    int fd;
    int64_t size;    /* bytes there are; the request asks for those after */
    int64_t total;   /* 0: not known */
    char etag[300];  /* "": none known yet */
    char digest[64]; /* Repr-Digest's sha-256, base64; "": none */
    char filename[256];
    const char *shown;
    bool is_stream; /* fd is a pipe: what has come cannot come again */
};

/* One request for what is missing; true: the answer came whole, see `out->status`. Only bodies of
 * 200 and 206 go to the file; others are in `out`. */
bool http_fetch(struct http *http, const char *path, struct http_part *part,
                struct http_reply *out);

#endif
