/* listen.c - see listen.h. */
#include "api/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/error.h"
#include "daemon/log.h"

#define BACKLOG     511
#define OTHER_FILES 256 /* the database of each thread, base models, checkpoints, uploads */

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

void listen_reserve(long n_connections)
{
    rlim_t wanted = (rlim_t)n_connections + OTHER_FILES;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
        log_warn("http",
                 "server.max_connections is %ld, but only %llu files may be open (RLIMIT_NOFILE): "
                 "connections beyond will be refused",
                 n_connections, (unsigned long long)limit.rlim_cur);
}
