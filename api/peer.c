/* peer.c - see peer.h. */
#include "api/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/log.h"

#define WARN_EVERY_MS 60000

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void peers_init(struct peers *peers, long limit_s, long min_upload_rate, size_t max_tcp)
{
    *peers = (struct peers){
        .limit_ms = (int64_t)limit_s * 1000,
        .max_tcp = max_tcp,
        .warned_ms = INT64_MIN / 2,
    };
    peers_set_rate(peers, min_upload_rate);
    pthread_mutex_init(&peers->lock, NULL);
}

void peers_set_rate(struct peers *peers, long min_upload_rate)
{
    atomic_store(&peers->least_bytes, (uint64_t)peers->limit_ms / 1000 * (uint64_t)min_upload_rate);
}

void peers_destroy(struct peers *peers)
{
    pthread_mutex_destroy(&peers->lock);
}

/* ---- addresses ---- */

static bool describe_v4(const struct in_addr *address, char out[PEER_ADDRESS_SIZE])
{
    inet_ntop(AF_INET, address, out, PEER_ADDRESS_SIZE);
    return ntohl(address->s_addr) >> 24 == 127;
}

bool peer_describe(const struct sockaddr *address, char out[PEER_ADDRESS_SIZE])
{
    const struct in6_addr *v6;
    struct in_addr v4;

    snprintf(out, PEER_ADDRESS_SIZE, "unknown");
    if (address->sa_family == AF_INET)
        return describe_v4(&((const struct sockaddr_in *)(const void *)address)->sin_addr, out);
    if (address->sa_family != AF_INET6)
        return false;
    v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(v6)) {
        memcpy(&v4, v6->s6_addr + 12, sizeof v4);
        return describe_v4(&v4, out);
    }
    inet_ntop(AF_INET6, v6, out, PEER_ADDRESS_SIZE);
    return IN6_IS_ADDR_LOOPBACK(v6);
}

static void describe_unix(int fd, char out[PEER_ADDRESS_SIZE])
{
    struct ucred who;
    socklen_t size = sizeof who;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0)
        snprintf(out, PEER_ADDRESS_SIZE, "unix:uid=%ld", (long)who.uid);
    else
        snprintf(out, PEER_ADDRESS_SIZE, "unix");
}

static bool is_unix(int fd)
{
    struct sockaddr_storage own = {0};
    socklen_t size = sizeof own;

    return getsockname(fd, (struct sockaddr *)&own, &size) == 0 && own.ss_family == AF_UNIX;
}

/* ---- the list ---- */

static struct peer *peer_new(struct peers *peers, struct MHD_Connection *connection)
{
    struct peer *peer = calloc(1, sizeof *peer);

    if (!peer)
        return NULL;
    peer->peers = peers;
    peer->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    peer->is_unix = is_unix(peer->fd);
    if (peer->is_unix)
        describe_unix(peer->fd, peer->address);
    else
        peer->is_loopback = peer_describe(
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr,
            peer->address);
    peer_enter(peer, PEER_HEADERS);
    return peer;
}

static void add(struct peers *peers, struct peer *peer)
{
    pthread_mutex_lock(&peers->lock);
    peer->next = peers->list;
    if (peers->list)
        peers->list->previous = peer;
    peers->list = peer;
    peers->n_tcp += !peer->is_unix;
    pthread_mutex_unlock(&peers->lock);
}

static void take_out(struct peers *peers, struct peer *peer)
{
    pthread_mutex_lock(&peers->lock);
    if (peer->previous)
        peer->previous->next = peer->next;
    else
        peers->list = peer->next;
    if (peer->next)
        peer->next->previous = peer->previous;
    peers->n_tcp -= !peer->is_unix;
    pthread_mutex_unlock(&peers->lock);
}

enum MHD_Result peers_accept(void *context, const struct sockaddr *address, socklen_t size)
{
    struct peers *peers = context;
    int64_t now = now_ms();
    bool is_full, warn;

    (void)size;
    if (address->sa_family == AF_UNIX)
        return MHD_YES;
    pthread_mutex_lock(&peers->lock);
    is_full = peers->n_tcp >= peers->max_tcp;
    warn = is_full && now - peers->warned_ms > WARN_EVERY_MS;
    if (warn)
        peers->warned_ms = now;
    pthread_mutex_unlock(&peers->lock);
    if (warn)
        log_warn("http", "%zu connections are open: more are refused (max_connections)",
                 peers->max_tcp);
    return is_full ? MHD_NO : MHD_YES;
}

void peers_notify(void *peers, struct MHD_Connection *connection, void **peer,
                  enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *peer = peer_new(peers, connection);
        if (*peer)
            add(peers, *peer);
    } else if (*peer) { /* the socket is closed after this */
        take_out(peers, *peer);
        free(*peer);
        *peer = NULL;
    }
}

struct peer *peer_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* ---- time ---- */

void peer_enter(struct peer *peer, enum peer_phase phase)
{
    if (!peer)
        return;
    atomic_store(&peer->since_ms, now_ms());
    atomic_store(&peer->n_bytes, 0);
    atomic_store(&peer->phase, (int)phase);
}

void peer_received(struct peer *peer, size_t n_bytes)
{
    if (peer)
        atomic_fetch_add(&peer->n_bytes, n_bytes);
}

/* What a late peer has not sent; NULL: it is in time. An upload that is fast enough gets a new span
 * of time. */
static const char *what_is_late(struct peers *peers, struct peer *peer, int64_t now)
{
    static const char *const names[] = {"the headers of a request", "the body of a request",
                                        "an upload"};
    int phase = atomic_load(&peer->phase);

    if (phase == PEER_ANSWER || now - atomic_load(&peer->since_ms) <= peers->limit_ms)
        return NULL;
    if (phase == PEER_UPLOAD && atomic_load(&peer->n_bytes) >= atomic_load(&peers->least_bytes)) {
        atomic_store(&peer->n_bytes, 0);
        atomic_store(&peer->since_ms, now);
        return NULL;
    }
    return names[phase];
}

void peers_cut(struct peers *peers)
{
    int64_t now = now_ms();

    pthread_mutex_lock(&peers->lock);
    for (struct peer *peer = peers->list; peer; peer = peer->next) {
        const char *late = what_is_late(peers, peer, now);

        if (!late)
            continue;
        shutdown(peer->fd, SHUT_RDWR); /* its polling thread closes it */
        peer_enter(peer, PEER_ANSWER);
        log_debug("http", "%s is cut: %s took more than %lld s", peer->address, late,
                  (long long)(peers->limit_ms / 1000));
    }
    pthread_mutex_unlock(&peers->lock);
}
