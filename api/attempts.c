/* attempts.c - see attempts.h. */
#include "api/attempts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

void attempts_init(struct attempts *attempts)
{
    pthread_mutex_init(&attempts->lock, NULL);
}

void attempts_destroy(struct attempts *attempts)
{
    pthread_mutex_destroy(&attempts->lock);
}

/* One machine has 2^64 IPv6 addresses to come from. */
static void group_of(const char *address, char out[ATTEMPTS_ADDRESS])
{
    struct in6_addr v6;

    if (inet_pton(AF_INET6, address, &v6) == 1) {
        memset(v6.s6_addr + 8, 0, 8);
        inet_ntop(AF_INET6, &v6, out, ATTEMPTS_ADDRESS);
    } else {
        snprintf(out, ATTEMPTS_ADDRESS, "%s", address);
    }
}

static int64_t last_of(const struct attempts *attempts, size_t i)
{
    return attempts->list[i].at_ms[(attempts->list[i].next + ATTEMPTS_MAX - 1) % ATTEMPTS_MAX];
}

/* Called with the lock held: the entry of a group, which may be new. */
static size_t find(struct attempts *attempts, const char *group)
{
    size_t quietest = 0;

    for (size_t i = 0; i < ATTEMPTS_ADDRESSES; i++) {
        if (strcmp(attempts->list[i].address, group) == 0)
            return i;
        if (last_of(attempts, i) < last_of(attempts, quietest))
            quietest = i;
    }
    memset(&attempts->list[quietest], 0, sizeof attempts->list[quietest]);
    snprintf(attempts->list[quietest].address, ATTEMPTS_ADDRESS, "%s", group);
    return quietest;
}

long attempts_count(struct attempts *attempts, const char *address, int64_t now_ms)
{
    char group[ATTEMPTS_ADDRESS];
    int64_t *oldest, left_ms = 0;
    size_t i;

    group_of(address, group);
    pthread_mutex_lock(&attempts->lock);
    i = find(attempts, group);
    oldest = &attempts->list[i].at_ms[attempts->list[i].next];
    if (*oldest > 0)
        left_ms = *oldest + (int64_t)ATTEMPTS_WINDOW_S * 1000 - now_ms;
    if (left_ms <= 0) {
        *oldest = now_ms;
        attempts->list[i].next = (attempts->list[i].next + 1) % ATTEMPTS_MAX;
    }
    pthread_mutex_unlock(&attempts->lock);
    return left_ms > 0 ? (long)((left_ms + 999) / 1000) : 0;
}
