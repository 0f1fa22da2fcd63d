/*
 * streams.c - the case `streams`: what hundreds of live streams on a running job cost its training.
 *
 * Measured in processor time: what the threads that serve the streams use while they are open,
 * against what those that train use in the same while; other programs change that little. What a
 * step costs with them, against before and after, is told as well: it holds what the streams do to
 * the caches, and all the machine's noise.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cases.h"
#include "figures.h"
#include "quiet.h"
#include "submit.h"

#define N_STREAMS  500
#define WINDOW_S   5.0
#define SETTLE_S   3.0 /* that streams begin in; that the daemon notices their end in */
#define ID_ROOM    100
#define CONNECTION "800"

struct streams {
    const struct child *child;
    const char *job;
    struct pollfd open[N_STREAMS];
    double watched_s, http_s, all_s; /* while they were open: of the clock; of processors, by the
                                        threads that serve them, and by all */
};

static int open_one(const struct streams *s, const char *last_id)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)s->child->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char head[400];
    int n = snprintf(head, sizeof head,
                     "GET " JOB "%s/events?stream=true&last_event_id=%s HTTP/1.1\r\n"
                     "Host: localhost\r\n\r\n",
                     s->job, last_id);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        send(fd, head, (size_t)n, MSG_NOSIGNAL) != n)
        child_die("cannot open a stream: %s", strerror(errno));
    return fd;
}

/* Where the job's stream is now: the last id that a reader of all of it is given. */
static void find_last_id(const struct streams *s, char id[ID_ROOM])
{
    static char text[1 << 16];
    size_t kept = 0;
    struct pollfd reader = {open_one(s, ""), POLLIN, 0};
    double end = child_now() + SETTLE_S;

    *id = '\0';
    while (child_now() < end && poll(&reader, 1, 100) >= 0) {
        ssize_t n = recv(reader.fd, text + kept, sizeof text - 1 - kept, MSG_DONTWAIT);

        if (n <= 0)
            continue;
        text[kept + (size_t)n] = '\0';
        for (const char *at = text; (at = strstr(at, "\nid: ")) && strchr(at + 1, '\n'); at++)
            snprintf(id, ID_ROOM, "%.*s", (int)strcspn(at + 5, "\n"), at + 5);
        kept = kept + (size_t)n < ID_ROOM ? kept + (size_t)n : ID_ROOM;
        memmove(text, text + strlen(text) - kept, kept);
    }
    close(reader.fd);
    if (!*id)
        child_die("a stream that says nothing");
}

static void open_all(struct streams *s)
{
    char id[ID_ROOM];

    find_last_id(s, id);
    for (size_t i = 0; i < N_STREAMS; i++)
        s->open[i] = (struct pollfd){open_one(s, id), POLLIN, 0};
}

/* Reads and forgets what comes. */
static void read_all(struct streams *s, double seconds)
{
    static char text[1 << 16];
    double end = child_now() + seconds;

    while (child_now() < end) {
        poll(s->open, N_STREAMS, 100);
        for (size_t i = 0; i < N_STREAMS; i++) {
            ssize_t n = s->open[i].revents ? recv(s->open[i].fd, text, sizeof text, 0) : 1;

            if (n <= 0)
                child_die("a stream ended");
        }
    }
}

static void close_all(const struct streams *s)
{
    for (size_t i = 0; i < N_STREAMS; i++)
        close(s->open[i].fd);
    child_sleep(SETTLE_S);
}

static double serving_seconds(const struct child *child)
{
    return child_thread_seconds(child, "MHD") + child_thread_seconds(child, "ticker");
}

/* Processor seconds of the daemon for a step, in a while of training. */
static double seconds_of_step(struct streams *s, bool watched)
{
    char status[32];
    double all = child_thread_seconds(s->child, ""), serving = serving_seconds(s->child);
    double start = child_now();
    json_int_t first = step_of(s->child, s->job, status), last;

    if (watched)
        read_all(s, WINDOW_S);
    else
        child_sleep(WINDOW_S);
    last = step_of(s->child, s->job, status);
    all = child_thread_seconds(s->child, "") - all;
    if (watched) {
        s->watched_s += child_now() - start;
        s->all_s += all;
        s->http_s += serving_seconds(s->child) - serving;
    }
    return all / (double)(last - first);
}

static double more_percent(void *context)
{
    struct streams *s = context;
    double before = seconds_of_step(s, false), with, after;

    open_all(s);
    read_all(s, SETTLE_S);
    with = seconds_of_step(s, true);
    close_all(s);
    after = seconds_of_step(s, false);
    return 100 * (2 * with / (before + after) - 1);
}

void measure_streams(void)
{
    struct quiet quiet = {.wanted = 5, .most = 8};
    struct streams streams = {0};
    struct child child;
    double more;
    char *id;

    folder_open();
    setenv("PRILORAD_SERVER_MAX_CONNECTIONS", CONNECTION, 1);
    child_start(&child, folder, MODELS, CHILD_ANY_CORE);
    unsetenv("PRILORAD_SERVER_MAX_CONNECTIONS");
    id = submit_endless(&child);
    streams.child = &child;
    streams.job = id;
    more = quiet_measure(&quiet, &child, more_percent, &streams);
    figures_add("500 live streams: processor time of the threads that serve them, of all that "
                "training has",
                "%", 100 * streams.http_s / (streams.all_s - streams.http_s), FIGURE_AT_MOST, 1);
    figures_add("the same, of all cores", "%",
                100 * streams.http_s / (streams.watched_s * (double)sysconf(_SC_NPROCESSORS_ONLN)),
                FIGURE_TOLD, 0);
    figures_add("processor time of a step, more than without them", "%", more, FIGURE_TOLD, 0);
    figures_add("other programs' share of the cores meanwhile, at most", "%", 100 * quiet.others,
                FIGURE_TOLD, 0);
    child_stop(&child);
    free(id);
    folder_close();
}
