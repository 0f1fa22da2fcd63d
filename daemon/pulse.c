/*
 * pulse.c - see pulse.h. A thread takes a slot when it first begins something, and gives it back
 * when it ends. Nothing here waits: who looks after others must not be held up by them.
 */
#include "daemon/pulse.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "prilora.h"

struct slot {
    atomic_bool taken;
    _Atomic(const char *) doing; /* NULL: nothing */
    atomic_uint_least64_t count;
    uint64_t seen; /* these two are pulse_look's alone */
    double still_s;
};

static struct slot slots[PULSE_MAX_THREADS];
static _Thread_local struct slot *own;
static pthread_key_t key; /* for its destructor */
static bool has_key;

static void release(void *context)
{
    struct slot *slot = context;

    prilora_pulse(NULL);
    own = NULL;
    atomic_store(&slot->doing, NULL);
    atomic_store(&slot->taken, false);
}

static void make_key(void)
{
    has_key = pthread_key_create(&key, release) == 0;
}

static struct slot *take_slot(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_key);
    for (size_t i = 0; has_key && i < PULSE_MAX_THREADS; i++) {
        struct slot *slot = &slots[i];
        bool taken = false;

        if (!atomic_compare_exchange_strong(&slot->taken, &taken, true))
            continue;
        if (pthread_setspecific(key, slot) == 0)
            return slot;
        atomic_store(&slot->taken, false);
        return NULL;
    }
    return NULL;
}

void pulse_begin(const char *doing)
{
    if (!own) {
        own = take_slot();
        if (!own)
            return;
        prilora_pulse(&own->count);
    }
    pulse_beat();
    atomic_store(&own->doing, doing);
}

void pulse_beat(void)
{
    if (own)
        atomic_fetch_add_explicit(&own->count, 1, memory_order_relaxed);
}

void pulse_end(void)
{
    if (!own)
        return;
    pulse_beat();
    atomic_store(&own->doing, NULL);
}

void pulse_look(struct pulse_look *out, double elapsed_s, double patience_s)
{
    *out = (struct pulse_look){0};
    for (size_t i = 0; i < PULSE_MAX_THREADS; i++) {
        struct slot *slot = &slots[i];
        uint64_t count = atomic_load_explicit(&slot->count, memory_order_relaxed);
        const char *doing = atomic_load(&slot->doing);

        if (count != slot->seen || !doing) {
            out->n_moved += count != slot->seen;
            slot->seen = count;
            slot->still_s = 0;
            continue;
        }
        slot->still_s += elapsed_s;
        if (patience_s <= 0 || slot->still_s < patience_s)
            continue;
        out->n_stalled++;
        if (slot->still_s > out->stalled_s) {
            out->stalled_s = slot->still_s;
            out->stalled = doing;
        }
    }
}
