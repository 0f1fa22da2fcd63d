/* listen.h - the address that the configuration names, as a listening socket. */
#ifndef LISTEN_H
#define LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "prilora.h"

/* "127.0.0.1:8471", "[::1]:8471", "localhost:0", ":8471" (every address). EINVAL names it. */
enum prilora_status listen_parse(const char *address, char *host, size_t host_room, char port[6],
                                 struct prilora_error *err);

/* A socket that listens there, close-on-exec, in *fd, and the port really bound. */
enum prilora_status listen_open(const char *address, int *fd, int *port, struct prilora_error *err);

/*
 * listen_open_unix - a Unix socket at `path` with these permissions. One that was left behind by a
 * program that is gone is replaced; EIO if somebody listens there, or it is something else.
 */
enum prilora_status listen_open_unix(const char *path, unsigned mode, int *fd,
                                     struct prilora_error *err);

/*
 * The sockets that systemd has opened for us (socket activation, sd_listen_fds(3)): $LISTEN_FDS of
 * them from descriptor 3 on, if $LISTEN_PID is this process.
 */
#define LISTEN_MAX_GIVEN 16
struct listen_given {
    size_t n;
    int fds[LISTEN_MAX_GIVEN];
    bool is_unix[LISTEN_MAX_GIVEN];
};

/*
 * listen_take_given - takes them, close-on-exec and not blocking, and the variables out of the
 * environment. First of all, before other files are opened. EINVAL, with the descriptor's number
 * and name: what is there does not listen for streams by TCP or on a Unix socket.
 */
enum prilora_status listen_take_given(struct listen_given *out, struct prilora_error *err);
/* Where it listens: "127.0.0.1:8471", "[::1]:8471" or a path. */
#define LISTEN_NAME_SIZE 140
void listen_describe(int fd, char out[LISTEN_NAME_SIZE]);
int listen_port(int fd); /* -1: it has none */

bool listen_is_loopback(int fd); /* a bound socket's own address */

#endif
