/*
 * digests.h - SHA-256 of things that never change once they are there (a finished adapter's files),
 * remembered by name.
 */
#ifndef DIGESTS_H
#define DIGESTS_H

#include <pthread.h>
#include <stdbool.h>

#define DIGESTS_MAX      256
#define DIGESTS_MAX_NAME 128
#define DIGEST_HEX_SIZE  65

struct digests {
    pthread_mutex_t lock; /* guards all below; held for a copy only */
    struct {
        char name[DIGESTS_MAX_NAME], hex[DIGEST_HEX_SIZE];
    } entries[DIGESTS_MAX];
    unsigned next; /* to be overwritten */
};

void digests_init(struct digests *digests);
void digests_destroy(struct digests *digests);
bool digests_find(struct digests *digests, const char *name, char hex[DIGEST_HEX_SIZE]);
/* Over-long names are not remembered. */
void digests_put(struct digests *digests, const char *name, const char hex[DIGEST_HEX_SIZE]);

#endif
