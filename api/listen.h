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

/* Lets the process open files for so many connections, and those it needs besides: raises the
 * soft limit as far as the hard one allows. Told in the log if that is too little. */
void listen_reserve(long n_connections);

#endif
