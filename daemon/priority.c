/*
 * priority.c - see priority.h.
 *
 * Two things decide whether a thread that wakes takes the core from one that computes: its share,
 * by the nice value, and (Linux 6.12 and later, which schedule by deadlines) how long a slice the
 * computing one has asked for, since a long slice ends late. Each alone leaves a request waiting
 * for the next tick of the clock now and then; kernels before 6.12 pass over the slice, and do not
 * need it. SCHED_IDLE would give way as quickly, but leaves training nothing at all when another
 * program computes, and requests waiting for a lock that it holds.
 */
#include "daemon/priority.h"

/* not <sched.h>, which before glibc 2.41 has no sched_attr and clashes with the kernel's own */
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NICER    10
#define SOMEWHAT 5 /* of a contended core three times as much as training */
#define NICEST   19
#define SLICE_NS 100000000ull /* the longest there is */

static void lower(int by)
{
    int nice_value = getpriority(PRIO_PROCESS, 0) + by; /* on Linux, of the thread */
    struct sched_attr wanted = {
        .size = sizeof wanted,
        .sched_policy = SCHED_NORMAL,
        .sched_nice = nice_value < NICEST ? nice_value : NICEST,
        .sched_runtime = SLICE_NS,
    };

    /* refused (a sandbox may): training then only shares more evenly with requests */
    (void)!syscall(SYS_sched_setattr, 0, &wanted, 0);
}

void priority_lower(void)
{
    lower(NICER);
}

void priority_lower_some(void)
{
    lower(SOMEWHAT);
}
