/*
 * attempts.h - how often an address came with a wrong key lately: a sliding window.
 *
 * It is no guard against guessing, which 48 random letters are by themselves; it keeps a client
 * that tries and tries from filling the log. So a right key is let through from any address, and
 * nobody can lock out those who share one with him.
 */
#ifndef ATTEMPTS_H
#define ATTEMPTS_H

#include <pthread.h>
#include <stdint.h>

#define ATTEMPTS_MAX       20 /* in a window */
#define ATTEMPTS_WINDOW_S  60
#define ATTEMPTS_ADDRESSES 512 /* the one that was quiet for longest is forgotten */
#define ATTEMPTS_ADDRESS   64

struct attempts {
    pthread_mutex_t lock; /* guards all below */
    struct {
        char address[ATTEMPTS_ADDRESS];
        int64_t at_ms[ATTEMPTS_MAX]; /* a ring; 0: none yet */
        unsigned next;
    } list[ATTEMPTS_ADDRESSES];
};

void attempts_init(struct attempts *attempts); /* all zero before: only a part is ever touched */
void attempts_destroy(struct attempts *attempts);

/* Counts one more at now_ms (above 0). Seconds until it will be counted again if there were too
 * many, and then it was not; else 0. Of an IPv6 address the network (/64) counts. */
long attempts_count(struct attempts *attempts, const char *address, int64_t now_ms);

#endif
