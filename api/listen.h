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

bool listen_is_loopback(int fd); /* a bound socket's own address */

#endif
