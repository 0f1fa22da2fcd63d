/*
 * peer.h - who is at the other end of each connection, and how long he may take.
 *
 * libmicrohttpd's own timeout only sees silence: a client that sends a byte now and then would keep
 * its connection for ever. Every connection has a time until which the headers, or the body, of
 * its request must have come; a file that is uploaded must bring so many bytes in every such span.
 * Who is late is cut: peers_cut, which api/upkeep.c calls every second.
 */
#ifndef PEER_H
#define PEER_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define PEER_ADDRESS_SIZE 64

enum peer_phase {
    PEER_HEADERS, /* until a request's headers are there; also the rest between two requests */
    PEER_BODY,    /* until its body is there */
    PEER_UPLOAD,  /* until a file is there */
    PEER_ANSWER,  /* ours to end */
};

struct peer {
    char address[PEER_ADDRESS_SIZE]; /* "192.0.2.1", "2001:db8::1", "unix:uid=1000" */
    bool is_unix, is_loopback;
    int fd;
    struct peers *peers;
    _Atomic int phase;
    _Atomic int64_t since_ms; /* when the phase, or this span of an upload, began; monotonic */
    _Atomic uint64_t n_bytes; /* of an upload in this span */
    struct peer *next, *previous;
};

struct peers {
    int64_t limit_ms;             /* of each phase but the last */
    _Atomic uint64_t least_bytes; /* of an upload in limit_ms; 0: any */
    size_t max_tcp;
    pthread_mutex_t lock; /* guards the rest; a peer that is in the list has an open socket */
    struct peer *list;
    size_t n_tcp;
    int64_t warned_ms;
};

void peers_init(struct peers *peers, long limit_s, long min_upload_rate, size_t max_tcp);
void peers_set_rate(struct peers *peers, long min_upload_rate);
void peers_destroy(struct peers *peers);

/* For MHD_start_daemon (its accept policy) and MHD_OPTION_NOTIFY_CONNECTION; a struct peers. */
enum MHD_Result peers_accept(void *peers, const struct sockaddr *address, socklen_t size);
void peers_notify(void *peers, struct MHD_Connection *connection, void **peer,
                  enum MHD_ConnectionNotificationCode code);

struct peer *peer_of(struct MHD_Connection *connection);   /* NULL: there was no memory for it */
void peer_enter(struct peer *peer, enum peer_phase phase); /* accepts NULL, like the next */
void peer_received(struct peer *peer, size_t n_bytes);

void peers_cut(struct peers *peers);

/* The address as text, and whether it is this machine's own, for IPv6 with IPv4 inside as well. */
bool peer_describe(const struct sockaddr *address, char out[PEER_ADDRESS_SIZE]);

#endif
