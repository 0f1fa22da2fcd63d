/*
 * guard.c - see guard.h. The list only grows, and its members are used again: so the handler may
 * walk along it whatever another thread does, and takes no lock.
 */
#include "base/guard.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/memory.h"

struct pl_guard {
    atomic_uintptr_t start; /* 0: free */
    atomic_size_t size;
    atomic_bool hurt;
    struct pl_guard *next; /* never changes once it is in the list */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what is free and what is not */
static _Atomic(struct pl_guard *) guards;
static atomic_size_t page_size;

static struct pl_guard *find_free(void)
{
    struct pl_guard *g = atomic_load(&guards);

    while (g && atomic_load(&g->start))
        g = g->next;
    return g;
}

static struct pl_guard *add_one(void)
{
    struct pl_guard *g = pl_calloc(1, sizeof *g);

    if (g) {
        g->next = atomic_load(&guards);
        atomic_store(&guards, g);
    }
    return g;
}

struct pl_guard *pl_guard_add(const void *data, size_t size)
{
    struct pl_guard *g;

    atomic_store(&page_size, (size_t)sysconf(_SC_PAGESIZE));
    pthread_mutex_lock(&lock);
    g = find_free();
    g = g ? g : add_one();
    if (g) {
        atomic_store(&g->hurt, false);
        atomic_store(&g->size, size);
        atomic_store(&g->start, (uintptr_t)data);
    }
    pthread_mutex_unlock(&lock);
    return g;
}

void pl_guard_remove(struct pl_guard *guard)
{
    if (!guard)
        return;
    pthread_mutex_lock(&lock);
    atomic_store(&guard->start, 0);
    pthread_mutex_unlock(&lock);
}

bool pl_guard_is_hurt(const struct pl_guard *guard)
{
    return atomic_load(&guard->hurt);
}

bool pl_guard_mend(const void *address)
{
    for (struct pl_guard *g = atomic_load(&guards); g; g = g->next) {
        uintptr_t start = atomic_load(&g->start), offset = (uintptr_t)address - start;
        size_t size = atomic_load(&g->size);

        if (!start || offset >= size)
            continue;
        offset -= offset % atomic_load(&page_size);
        atomic_store(&g->hurt, true);
        return (void *)syscall(SYS_mmap, start + offset, size - offset, PROT_READ,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
    }
    return false;
}
