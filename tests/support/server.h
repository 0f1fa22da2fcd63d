/*
 * server.h - a real prilorad in a child process, and requests to it.
 *
 * The program is $PRILORAD, else build/asan/prilorad. Its state lives in a folder below $TMPDIR or
 * /tmp; what it writes to stderr is kept, and a sanitizer's report in it fails the test that ends
 * the server.
 */
#ifndef TEST_SERVER_H
#define TEST_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define TEST_MAX_SETTINGS 16

struct test_server {
    char folder[256]; /* state/, port, log */
    const char *settings[TEST_MAX_SETTINGS];
    void (*in_child)(void); /* called in the child before it becomes the daemon; NULL: nothing */
    pid_t pid;              /* 0: not running */
    int port;
};

/* A new state folder, and the daemon on it, with more settings ("--training.threads=1", NULL). It
 * fails the test if the daemon does not begin to answer. */
struct test_server *test_server_new(const char *const *settings);
/* The same, and `in_child` prepares its environment. */
struct test_server *test_server_new_as(const char *const *settings, void (*in_child)(void));
/* Stops it (see below) if it runs, and removes the folder. */
void test_server_free(struct test_server *server);

void test_server_start(struct test_server *server); /* again, on the same state */
void test_server_stop(struct test_server *server);  /* SIGTERM; it must end well and soon */
void test_server_wait(struct test_server *server);  /* the same, but something else ends it */
void test_server_kill(struct test_server *server);  /* SIGKILL */

/* Runs the daemon with these settings, which it must refuse; what it wrote. Free it. */
char *test_server_refuses(const struct test_server *server, const char *const *settings);
char *test_server_refuses_as(const struct test_server *server, const char *const *settings,
                             void (*in_child)(void));
/* What the daemon has written so far; free it. */
char *test_server_log(const struct test_server *server);

/* The path of something in the state folder; one of four buffers used in turn. */
const char *test_server_path(const struct test_server *server, const char *name);

/* What lies in a folder of the server's own ("state/files"), folders in it too. */
size_t test_count_files(const struct test_server *server, const char *folder);
double test_resident_bytes(const struct test_server *server);

/* ---- requests ---- */

struct test_reply {
    long status;
    char *body; /* with a NUL after it */
    size_t size;
    char *headers; /* the lines of the last answer */
    json_t *json;  /* the body, if it is JSON */
};

struct test_request {
    const char *method, *path;
    const char *body; /* NULL: none */
    size_t size;      /* 0: strlen(body) */
    const char *type; /* Content-Type; NULL: application/json if there is a body */
    const char *headers[6];
    bool chunked;
    const char *socket; /* path of the Unix socket to send it to; NULL: to the port */
    const char *ca;     /* certificate to believe, by HTTPS to localhost; NULL: plain HTTP */
    bool may_break;     /* the server may die meanwhile: status 0, not a failed test */
};

/* The reply is valid until the next request; freed by test_server_free. */
struct test_reply *test_send(const struct test_server *server, const struct test_request *request);
struct test_reply *test_get(const struct test_server *server, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct test_reply *test_post(const struct test_server *server, const char *path, const char *json);
/* A header's value, in one of four buffers used in turn; NULL: absent. */
const char *test_header(const struct test_reply *reply, const char *name);

/* Uploads for fine-tune and returns the id, in one of four buffers used in turn. */
const char *test_upload(const struct test_server *server, const char *filename, const char *text);

/* A connection to the server's port. */
int test_connect(const struct test_server *server);

/* Bytes as they are to the server's port; what it answers until it is silent or closes. Free it. */
char *test_send_raw(const struct test_server *server, const char *data, size_t size);

/* The same, but hangs up as soon as all is sent. */
void test_send_and_leave(const struct test_server *server, const char *data, size_t size);

/* A member, NULL if it is absent; path like "error.message" or "data.0.id". */
const json_t *test_member(const json_t *object, const char *path);
/* Text of one, "" if it is absent or no string. */
const char *test_text(const json_t *object, const char *path);
json_int_t test_integer(const json_t *object, const char *path);

/* ---- jobs ---- */

/* Labelled sentences about two things, JSONL, n rows that depend on `seed`; free it. */
char *test_sentences(size_t n, unsigned seed);

/* Creates a job from JSON and returns its id, in one of four buffers used in turn. */
const char *test_create_job(const struct test_server *server, const char *json);
/* Polls until the job has one of the states ("succeeded|failed|cancelled") or is over; returns its
 * object, the reply's. Fails the test after some minutes. */
const json_t *test_wait_job(const struct test_server *server, const char *id, const char *states);
/* Creates a job from JSON and waits until it has succeeded; its id and its adapter's name. */
void test_train(const struct test_server *server, const char *json, char job[64], char model[128]);
/* POST /v1/predictions with {"model": <model>, <rest>}. */
struct test_reply *test_predict(const struct test_server *server, const char *model,
                                const char *rest);
/* Until it has trained so many steps; fails the test if it is over by then. */
void test_wait_step(const struct test_server *server, const char *id, json_int_t step);
/* Until it has succeeded; the reply has the bytes of its adapter_model.safetensors. */
struct test_reply *test_finish_job(const struct test_server *server, const char *id);

#endif
