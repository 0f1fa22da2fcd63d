/* load.c - see load.h. One thread, epoll; an answer that is not 200 ends the program. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "figures.h"

#define ROOM ((size_t)8 << 20) /* of one answer */

struct client {
    int fd;
    char *buffer;
    size_t n, need; /* need 0: the header is not complete */
    size_t path;    /* the next one */
    bool waiting;   /* for its time, not for an answer */
    double sent, due;
    unsigned long long step;
};

struct latencies {
    double *values;
    size_t n, room;
};

/* ---- one connection ---- */

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        child_die("cannot connect to port %d: %s", port, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void client_open(struct client *c, int port)
{
    *c = (struct client){.fd = connect_to(port), .buffer = malloc(ROOM + 1)};
    if (!c->buffer)
        child_die("out of memory");
}

static void client_close(struct client *c)
{
    close(c->fd);
    free(c->buffer);
}

static void send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

        if (n <= 0)
            child_die("cannot send a request: %s", strerror(errno));
        data += n;
        size -= (size_t)n;
    }
}

/* Reads the header's end, if it is there: how long the whole answer is. */
static void measure_answer(struct client *c)
{
    const char *end, *length;

    c->buffer[c->n] = '\0';
    end = strstr(c->buffer, "\r\n\r\n");
    if (!end)
        return;
    length = strcasestr(c->buffer, "\r\ncontent-length:");
    if (strncmp(c->buffer, "HTTP/1.1 200 ", 13) != 0 || !length || length > end)
        child_die("an unexpected answer: %.300s", c->buffer);
    c->need = (size_t)(end + 4 - c->buffer) + strtoull(length + 17, NULL, 10);
    if (c->need > ROOM)
        child_die("an answer of %zu bytes", c->need);
}

/* Takes what has come; true: the answer is complete. */
static bool take(struct client *c)
{
    ssize_t n = recv(c->fd, c->buffer + c->n, ROOM - c->n, 0);

    if (n <= 0)
        child_die("the connection is closed: %s", n ? strerror(errno) : "by prilorad");
    c->n += (size_t)n;
    if (!c->need)
        measure_answer(c);
    return c->need && c->n >= c->need;
}

char *load_send(int port, const char *method, const char *path, const char *type, const char *body,
                size_t size)
{
    struct client c;
    char head[600], *answer;
    int n;

    client_open(&c, port);
    n = body ? snprintf(head, sizeof head,
                        "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\n"
                        "Content-Length: %zu\r\n\r\n",
                        method, path, type, size)
             : snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n", method,
                        path);
    send_all(c.fd, head, (size_t)n);
    send_all(c.fd, body ? body : "", size);
    while (!take(&c))
        ;
    c.buffer[c.n] = '\0';
    answer = strdup(strstr(c.buffer, "\r\n\r\n") + 4);
    if (!answer)
        child_die("out of memory");
    client_close(&c);
    return answer;
}

char *load_request(int port, const char *path, const char *type, const char *body, size_t size)
{
    return load_send(port, body ? "POST" : "GET", path, type, body, size);
}

/* ---- many ---- */

/* The path with what %JOB and %STEP stand for. */
static void fill(char *out, size_t room, const char *path, const char *job, unsigned long long step)
{
    size_t n = 0;

    while (*path && n + 1 < room) {
        if (strncmp(path, "%JOB", 4) == 0) {
            n += (size_t)snprintf(out + n, room - n, "%s", job);
            path += 4;
        } else if (strncmp(path, "%STEP", 5) == 0) {
            n += (size_t)snprintf(out + n, room - n, "%llu", step);
            path += 5;
        } else {
            out[n++] = *path++;
        }
    }
    out[n < room ? n : room - 1] = '\0';
}

static void send_next(struct client *c, const struct load *load)
{
    static size_t turn;
    char path[300], head[400];
    int n;

    fill(path, sizeof path, load->paths[c->path],
         load->n_jobs ? load->jobs[turn++ % load->n_jobs] : "", c->step);
    n = load->body
            ? snprintf(head, sizeof head,
                       "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                       "application/json\r\nContent-Length: %zu\r\n\r\n",
                       path, strlen(load->body))
            : snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    c->path++;
    c->waiting = false;
    c->n = c->need = 0;
    c->sent = child_now();
    send_all(c->fd, head, (size_t)n);
    if (load->body)
        send_all(c->fd, load->body, strlen(load->body));
}

static void remember_step(struct client *c)
{
    const char *progress;

    c->buffer[c->n] = '\0';
    progress = strstr(c->buffer, "\"progress\":{\"step\":");
    if (progress)
        c->step = strtoull(progress + 19, NULL, 10);
}

static void keep(struct latencies *all, double seconds)
{
    if (all->n == all->room) {
        all->room = 2 * all->room + 1024;
        all->values = reallocarray(all->values, all->room, sizeof *all->values);
        if (!all->values)
            child_die("out of memory");
    }
    all->values[all->n++] = seconds;
}

static void on_answer(struct client *c, const struct load *load, struct latencies *all)
{
    double now = child_now();

    keep(all, now - c->sent);
    remember_step(c);
    if (c->path < load->n_paths) {
        send_next(c, load);
        return;
    }
    c->path = 0;
    c->due += load->interval_s;
    c->waiting = true;
}

/* Sends what is due; the seconds until the next one is. */
static double send_due(struct client *clients, const struct load *load, double until)
{
    double now = child_now(), next = until;

    for (size_t i = 0; i < load->n_connections; i++) {
        struct client *c = &clients[i];

        if (c->waiting && c->due <= now)
            send_next(c, load);
        if (c->waiting && c->due < next)
            next = c->due;
    }
    return next > now ? next - now : 0;
}

static void run_clients(struct client *clients, const struct load *load, struct latencies *all)
{
    int poller = epoll_create1(EPOLL_CLOEXEC);
    double start = child_now();
    size_t n = load->n_connections;

    for (size_t i = 0; i < n; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};

        client_open(&clients[i], load->port);
        epoll_ctl(poller, EPOLL_CTL_ADD, clients[i].fd, &event);
        clients[i].waiting = true;
        clients[i].due = start + load->interval_s * (double)i / (double)n;
    }
    while (child_now() < start + load->seconds) {
        double wait_s = send_due(clients, load, start + load->seconds);
        struct timespec wait = {(time_t)wait_s, (long)((wait_s - (double)(time_t)wait_s) * 1e9)};
        struct epoll_event events[64];
        int n_events = epoll_pwait2(poller, events, 64, &wait, NULL);

        for (int i = 0; i < n_events; i++)
            if (take(events[i].data.ptr))
                on_answer(events[i].data.ptr, load, all);
    }
    for (size_t i = 0; i < n; i++)
        client_close(&clients[i]);
    close(poller);
}

void load_run(struct load_result *out, const struct load *load)
{
    struct client *clients = calloc(load->n_connections, sizeof *clients);
    struct latencies all = {0};

    if (!clients)
        child_die("out of memory");
    run_clients(clients, load, &all);
    *out = (struct load_result){
        .n = all.n,
        .seconds = load->seconds,
        .median_s = figures_quantile(all.values, all.n, 0.5),
        .p99_s = figures_quantile(all.values, all.n, 0.99),
    };
    free(all.values);
    free(clients);
}
