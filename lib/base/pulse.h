/*
 * pulse.h - where the calling thread counts that it makes progress; see prilora_pulse. Passes over
 * a share of a batch, rows, blocks of files: whatever takes long beats at least that often.
 */
#ifndef PL_PULSE_H
#define PL_PULSE_H

#include <stdatomic.h>
#include <stdint.h>

#ifdef __cplusplus
#error "C only: C++ has other atomics"
#endif

extern _Thread_local atomic_uint_least64_t *pl_pulse_count;

static inline void pl_pulse_beat(void)
{
    if (pl_pulse_count)
        atomic_fetch_add_explicit(pl_pulse_count, 1, memory_order_relaxed);
}

#endif
