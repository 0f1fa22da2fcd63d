/* digests.c - see digests.h. A ring: the oldest is overwritten. */
#include "api/digests.h"

#include <stdio.h>
#include <string.h>

void digests_init(struct digests *digests)
{
    memset(digests, 0, sizeof *digests);
    pthread_mutex_init(&digests->lock, NULL);
}

void digests_destroy(struct digests *digests)
{
    pthread_mutex_destroy(&digests->lock);
}

bool digests_find(struct digests *digests, const char *name, char hex[DIGEST_HEX_SIZE])
{
    bool found = false;

    pthread_mutex_lock(&digests->lock);
    for (size_t i = 0; i < DIGESTS_MAX && !found; i++) {
        found = *name && strcmp(digests->entries[i].name, name) == 0;
        if (found)
            memcpy(hex, digests->entries[i].hex, DIGEST_HEX_SIZE);
    }
    pthread_mutex_unlock(&digests->lock);
    return found;
}

void digests_put(struct digests *digests, const char *name, const char hex[DIGEST_HEX_SIZE])
{
    if (strlen(name) >= DIGESTS_MAX_NAME)
        return;
    pthread_mutex_lock(&digests->lock);
    snprintf(digests->entries[digests->next].name, DIGESTS_MAX_NAME, "%s", name);
    memcpy(digests->entries[digests->next].hex, hex, DIGEST_HEX_SIZE);
    digests->next = (digests->next + 1) % DIGESTS_MAX;
    pthread_mutex_unlock(&digests->lock);
}
