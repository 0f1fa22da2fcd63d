/* stream.c - see stream.h. */
#include "support/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PIECE ((size_t)64 * 1024)

static long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct test_stream *test_stream_open(const struct test_server *server, const char *path,
                                     const char *headers)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server->port)};
    struct test_stream *stream = calloc(1, sizeof *stream);
    char head[1000];
    int n = snprintf(head, sizeof head,
                     "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n%s\r\n",
                     path, headers ? headers : "");

    assert_non_null(stream);
    stream->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(stream->fd >= 0);
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    assert_int_equal(connect(stream->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(stream->fd, head, (size_t)n, MSG_NOSIGNAL), n);
    return stream;
}

static void hang_up(struct test_stream *stream)
{
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
}

void test_stream_free(struct test_stream *stream)
{
    if (!stream)
        return;
    hang_up(stream);
    for (size_t i = 0; i < stream->n_messages; i++)
        json_decref(stream->messages[i].data);
    free(stream->messages);
    free(stream->raw);
    free(stream->text);
    free(stream);
}

/* What stands before `at` was taken. */
static void drop(char *text, size_t *n, const char *at)
{
    if (!at || at == text)
        return;
    *n -= (size_t)(at - text);
    memmove(text, at, *n + 1);
}

/* ---- messages ---- */

static void dispatch(struct test_stream *stream, const char *event, const char *id,
                     const char *data)
{
    struct test_message *message;

    if (!*data)
        return;
    stream->messages =
        reallocarray(stream->messages, stream->n_messages + 1, sizeof *stream->messages);
    assert_non_null(stream->messages);
    message = &stream->messages[stream->n_messages++];
    snprintf(message->event, sizeof message->event, "%s", *event ? event : "message");
    snprintf(message->id, sizeof message->id, "%s", id);
    message->data = json_loads(data, 0, NULL);
    if (!message->data)
        fail_msg("no JSON: %s", data);
}

/* One message's lines, without the empty one that ends it. */
static void read_message(struct test_stream *stream, char *lines)
{
    const char *event = "", *data = "";
    const char *id;
    char last[96] = "", *line;

    if (stream->n_messages)
        snprintf(last, sizeof last, "%s", stream->messages[stream->n_messages - 1].id);
    id = last;
    while ((line = strsep(&lines, "\n"))) {
        if (line[0] == ':')
            stream->n_comments++;
        else if (strncmp(line, "event: ", 7) == 0)
            event = line + 7;
        else if (strncmp(line, "id: ", 4) == 0)
            id = line + 4;
        else if (strncmp(line, "data: ", 6) == 0)
            data = line + 6;
        else if (strncmp(line, "retry: ", 7) == 0)
            stream->retry_ms = strtol(line + 7, NULL, 10);
        else
            fail_msg("not a line of a stream: %s", line);
    }
    dispatch(stream, event, id, data);
}

static void read_messages(struct test_stream *stream)
{
    char *at = stream->text, *end;

    while (at && (end = strstr(at, "\n\n"))) {
        *end = '\0';
        read_message(stream, at);
        at = end + 2;
    }
    drop(stream->text, &stream->n_text, at);
}

/* ---- HTTP ---- */

static void read_head(struct test_stream *stream)
{
    const char *end = strstr(stream->raw, "\r\n\r\n");

    if (!end)
        return;
    stream->status = strtol(stream->raw + strlen("HTTP/1.1 "), NULL, 10);
    if (stream->status == 200)
        assert_non_null(strstr(stream->raw, "Content-Type: text/event-stream\r\n"));
    else
        stream->ended = true;
    drop(stream->raw, &stream->n_raw, end + 4);
}

/* Whole chunks go to the text. */
static void read_chunks(struct test_stream *stream)
{
    const char *at = stream->raw;

    while (stream->status == 200 && !stream->ended) {
        const char *data = strstr(at, "\r\n");
        size_t size = strtoul(at, NULL, 16), head = data ? (size_t)(data + 2 - at) : 0;

        if (!data || stream->n_raw - (size_t)(at - stream->raw) < head + size + 2)
            break;
        stream->text = realloc(stream->text, stream->n_text + size + 1);
        assert_non_null(stream->text);
        memcpy(stream->text + stream->n_text, data + 2, size);
        stream->n_text += size;
        stream->text[stream->n_text] = '\0';
        at = data + size + 4;
        stream->ended = size == 0;
    }
    drop(stream->raw, &stream->n_raw, at);
}

/* What is there now; closes when the server has. */
static void take(struct test_stream *stream)
{
    ssize_t n;

    stream->raw = realloc(stream->raw, stream->n_raw + PIECE + 1);
    assert_non_null(stream->raw);
    n = recv(stream->fd, stream->raw + stream->n_raw, PIECE, MSG_DONTWAIT);
    if (n <= 0) {
        hang_up(stream);
        return;
    }
    stream->n_raw += (size_t)n;
    stream->raw[stream->n_raw] = '\0';
    if (!stream->status)
        read_head(stream);
    read_chunks(stream);
    read_messages(stream);
}

static bool is_open(const struct test_stream *stream)
{
    return stream->fd >= 0 && !stream->ended;
}

/* Waits up to ms for something, and takes it; how many are open still. */
static size_t read_once(struct test_stream *const *streams, size_t n, long ms)
{
    struct pollfd *list = calloc(n, sizeof *list);
    size_t n_open = 0;

    assert_non_null(list);
    for (size_t i = 0; i < n; i++)
        list[i] = (struct pollfd){is_open(streams[i]) ? streams[i]->fd : -1, POLLIN, 0};
    poll(list, n, (int)ms);
    for (size_t i = 0; i < n; i++) {
        if (list[i].revents)
            take(streams[i]);
        n_open += is_open(streams[i]);
    }
    free(list);
    return n_open;
}

bool test_streams_read(struct test_stream *const *streams, size_t n, long ms)
{
    long until = now_ms() + ms;

    while (now_ms() < until)
        if (read_once(streams, n, 100) == 0)
            return true;
    return false;
}

bool test_stream_wait(struct test_stream *stream, size_t n_messages, long ms)
{
    long until = now_ms() + ms;

    while (stream->n_messages < n_messages && is_open(stream) && now_ms() < until)
        read_once(&stream, 1, 100);
    return stream->n_messages >= n_messages;
}

size_t test_stream_count(const struct test_stream *stream, const char *event)
{
    size_t n = 0;

    for (size_t i = 0; i < stream->n_messages; i++)
        n += strcmp(stream->messages[i].event, event) == 0;
    return n;
}
