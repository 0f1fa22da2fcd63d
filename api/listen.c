/* listen.c - see listen.h: sockets that are opened here, and those that systemd has opened. */
#include "api/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/peer.h"
#include "daemon/error.h"

#define BACKLOG 511

enum prilora_status listen_parse(const char *address, char *host, size_t host_room, char port[6],
                                 struct prilora_error *err)
{
    const char *colon = strrchr(address, ':'), *begin = address, *end = colon;
    size_t n_digits = colon ? strspn(colon + 1, "0123456789") : 0;
    bool brackets = address[0] == '[';

    if (!colon || n_digits < 1 || n_digits > 5 || colon[1 + n_digits] != '\0' ||
        strtol(colon + 1, NULL, 10) > 65535)
        return error_set(err, PRILORA_EINVAL,
                         "listen address \"%s\" does not end in a colon and a port (0 to 65535)",
                         address);
    if (brackets) {
        begin++;
        end--;
    }
    if (end < begin || (brackets && *end != ']') ||
        memchr(begin, brackets ? ']' : ':', (size_t)(end - begin)) ||
        (size_t)(end - begin) >= host_room)
        return error_set(err, PRILORA_EINVAL,
                         "listen address \"%s\" has no host before its port (an IPv6 address "
                         "stands in brackets)",
                         address);
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    memcpy(port, colon + 1, n_digits + 1);
    return PRILORA_OK;
}

int listen_port(int fd)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof name;

    if (getsockname(fd, (struct sockaddr *)&name, &size) != 0)
        return -1;
    if (name.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)(void *)&name)->sin6_port);
    return name.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)(void *)&name)->sin_port) : -1;
}

static int open_one(const struct addrinfo *a, bool every_address)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    int on = 1, only_v6 = !every_address;
    int saved;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof only_v6);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* The first address of the list that can be had; for "every address" IPv6, which has IPv4 too. */
static int open_any(const struct addrinfo *list, bool every_address)
{
    int fd = -1;

    for (int pass = every_address ? 0 : 1; pass < 2 && fd < 0; pass++) {
        for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
            if (pass == 1 || a->ai_family == AF_INET6)
                fd = open_one(a, every_address);
        }
    }
    return fd;
}

enum prilora_status listen_open(const char *address, int *fd, int *port, struct prilora_error *err)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list;
    char host[256], service[6];
    enum prilora_status rc = listen_parse(address, host, sizeof host, service, err);
    int code;

    *fd = -1;
    if (rc != PRILORA_OK)
        return rc;
    code = getaddrinfo(host[0] ? host : NULL, service, &hints, &list);
    if (code != 0)
        return error_set(err, PRILORA_EINVAL, "listen address \"%s\": %s", address,
                         gai_strerror(code));
    *fd = open_any(list, host[0] == '\0');
    freeaddrinfo(list);
    *port = *fd < 0 ? -1 : listen_port(*fd);
    if (*port >= 0)
        return PRILORA_OK;
    rc = error_set(err, PRILORA_EIO, "cannot listen on %s: %s", address, strerror(errno));
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return rc;
}

bool listen_is_loopback(int fd)
{
    struct sockaddr_storage name = {0};
    socklen_t size = sizeof name;
    char text[PEER_ADDRESS_SIZE];

    return getsockname(fd, (struct sockaddr *)&name, &size) == 0 &&
           peer_describe((const struct sockaddr *)&name, text);
}

/* ---- Unix sockets ---- */

/* Makes room at the path. */
static enum prilora_status remove_stale(const struct sockaddr_un *name, struct prilora_error *err)
{
    struct stat st;
    int fd, code;

    if (lstat(name->sun_path, &st) != 0)
        return errno == ENOENT ? PRILORA_OK : error_errno(err, name->sun_path, "listen there");
    if (!S_ISSOCK(st.st_mode))
        return error_set(err, PRILORA_EIO, "%s (server.socket): is there, and is no socket",
                         name->sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(err, name->sun_path, "open a socket");
    code = connect(fd, (const struct sockaddr *)name, sizeof *name) == 0 ? 0 : errno;
    close(fd);
    if (code != ECONNREFUSED && code != ENOENT)
        return error_set(err, PRILORA_EIO, "%s (server.socket): somebody listens there already%s%s",
                         name->sun_path, code ? ": " : "", code ? strerror(code) : "");
    if (unlink(name->sun_path) != 0 && errno != ENOENT)
        return error_errno(err, name->sun_path, "remove what is left of a socket");
    return PRILORA_OK;
}

enum prilora_status listen_open_unix(const char *path, unsigned mode, int *fd,
                                     struct prilora_error *err)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    enum prilora_status rc;

    *fd = -1;
    if (strlen(path) >= sizeof name.sun_path)
        return error_set(err, PRILORA_EINVAL,
                         "server.socket = \"%s\": a socket's path has at most %zu bytes", path,
                         sizeof name.sun_path - 1);
    memcpy(name.sun_path, path, strlen(path));
    rc = remove_stale(&name, err);
    if (rc != PRILORA_OK)
        return rc;
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* its mode before it has a name: nobody gets in between */
    if (*fd >= 0 && fchmod(*fd, mode) == 0 &&
        bind(*fd, (const struct sockaddr *)&name, sizeof name) == 0 && chmod(path, mode) == 0 &&
        listen(*fd, BACKLOG) == 0)
        return PRILORA_OK;
    rc = error_errno(err, path, "listen there (server.socket)");
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return rc;
}

/* ---- sockets that systemd gives ---- */

#define FIRST_GIVEN 3 /* sd_listen_fds(3) */

/* The name of number `i` in "http:local:", "unknown" if there is none. */
static void given_name(const char *names, size_t i, char *out, size_t room)
{
    snprintf(out, room, "unknown");
    for (; names && i > 0; i--) {
        names = strchr(names, ':');
        names += names != NULL;
    }
    if (names && *names && *names != ':')
        snprintf(out, room, "%.*s", (int)strcspn(names, ":"), names);
}

/* What is wrong with it; NULL: nothing. */
static const char *check_given(int fd, bool *is_unix)
{
    struct sockaddr_storage name = {0};
    socklen_t name_size = sizeof name, size = sizeof(int);
    int type = 0, listens = 0;

    if (fcntl(fd, F_GETFD) < 0)
        return "is not open";
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0)
        return "is no socket";
    if (getsockname(fd, (struct sockaddr *)&name, &name_size) != 0 ||
        (name.ss_family != AF_UNIX && name.ss_family != AF_INET && name.ss_family != AF_INET6))
        return "is neither TCP nor a Unix socket";
    if (type != SOCK_STREAM)
        return "is no stream (ListenStream=)";
    size = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || !listens)
        return "does not listen (Accept= must be no)";
    *is_unix = name.ss_family == AF_UNIX;
    return NULL;
}

static enum prilora_status take_one(struct listen_given *out, int fd, const char *names,
                                    struct prilora_error *err)
{
    size_t i = (size_t)(fd - FIRST_GIVEN);
    const char *wrong = check_given(fd, &out->is_unix[i]);
    char name[80];
    int flags;

    given_name(names, i, name, sizeof name);
    if (wrong)
        return error_set(err, PRILORA_EINVAL,
                         "LISTEN_FDS: descriptor %d (\"%s\"), which the service manager gave, %s",
                         fd, name, wrong);
    flags = fcntl(fd, F_GETFL);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || flags < 0 ||
        fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return error_errno(err, name, "use the socket that was given");
    out->fds[out->n++] = fd;
    return PRILORA_OK;
}

/* A whole number, of which no more than `most` makes sense; -1: it is none. */
static long read_count(const char *text, long most)
{
    char *end;
    long number;

    errno = 0;
    number = strtol(text, &end, 10);
    return end == text || *end || errno || number < 0 || number > most ? -1 : number;
}

static enum prilora_status take_all(struct listen_given *out, struct prilora_error *err)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    enum prilora_status rc = PRILORA_OK;
    long n;

    if (!pid || !fds || read_count(pid, INT_MAX) != (long)getpid())
        return PRILORA_OK; /* they are another process's */
    n = read_count(fds, LISTEN_MAX_GIVEN);
    if (n < 0)
        return error_set(err, PRILORA_EINVAL, "LISTEN_FDS=%.60s: must be a number from 0 to %d",
                         fds, LISTEN_MAX_GIVEN);
    for (int fd = FIRST_GIVEN; fd < FIRST_GIVEN + (int)n && rc == PRILORA_OK; fd++)
        rc = take_one(out, fd, getenv("LISTEN_FDNAMES"), err);
    return rc;
}

enum prilora_status listen_take_given(struct listen_given *out, struct prilora_error *err)
{
    enum prilora_status rc;

    *out = (struct listen_given){0};
    rc = take_all(out, err);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return rc;
}

void listen_describe(int fd, char out[LISTEN_NAME_SIZE])
{
    struct sockaddr_storage name = {0};
    const struct sockaddr_un *local = (const struct sockaddr_un *)(const void *)&name;
    socklen_t size = sizeof name;
    char host[PEER_ADDRESS_SIZE];

    snprintf(out, LISTEN_NAME_SIZE, "?");
    if (getsockname(fd, (struct sockaddr *)&name, &size) != 0)
        return;
    if (name.ss_family == AF_UNIX) {
        snprintf(out, LISTEN_NAME_SIZE, "%s%.*s", local->sun_path[0] ? "" : "@",
                 (int)sizeof local->sun_path - 1, local->sun_path + !local->sun_path[0]);
        return;
    }
    peer_describe((const struct sockaddr *)&name, host);
    snprintf(out, LISTEN_NAME_SIZE, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, listen_port(fd));
}
