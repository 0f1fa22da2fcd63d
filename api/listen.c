/* listen.c - see listen.h. */
#include "api/listen.h"

#include <arpa/inet.h>
#include <errno.h>
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

static int bound_port(int fd)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof name;

    if (getsockname(fd, (struct sockaddr *)&name, &size) != 0)
        return -1;
    if (name.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)(void *)&name)->sin6_port);
    return ntohs(((struct sockaddr_in *)(void *)&name)->sin_port);
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
    *port = *fd < 0 ? -1 : bound_port(*fd);
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
