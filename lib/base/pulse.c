/* pulse.c - see pulse.h. */
#include "base/pulse.h"

#include "prilora.h"

_Thread_local atomic_uint_least64_t *pl_pulse_count;

void prilora_pulse(atomic_uint_least64_t *count)
{
    pl_pulse_count = count;
}
