/* interrupt.c - see interrupt.h. */
#include "api/cli/interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#define SLICE_S 0.05 /* a signal between two looks costs no more than this */

static atomic_int pressed;

static void press(int number)
{
    (void)number;
    atomic_store(&pressed, 1);
}

void interrupt_catch(void)
{
    struct sigaction action = {.sa_handler = press, .sa_flags = SA_RESETHAND};

    sigaction(SIGINT, &action, NULL); /* a second one ends the program */
}

bool interrupted(void)
{
    return atomic_load(&pressed);
}

const atomic_int *interrupt_flag(void)
{
    return &pressed;
}

double interrupt_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void interrupt_wait(double seconds)
{
    double end = interrupt_clock() + seconds, left;

    while (!interrupted() && (left = end - interrupt_clock()) > 0) {
        double slice = left < SLICE_S ? left : SLICE_S;
        struct timespec t = {.tv_sec = 0, .tv_nsec = (long)(slice * 1e9)};

        nanosleep(&t, NULL);
    }
}
