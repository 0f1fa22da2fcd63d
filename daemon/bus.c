/* bus.c - see bus.h. */
#include "daemon/bus.h"

#include <signal.h>
#include <stddef.h>

#include "prilora.h"

static struct sigaction before;

/* Where it is not ours the instruction is tried again, with the handler of before. */
static void on_bus(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_code > 0 && prilora_mend_map(info->si_addr))
        return;
    sigaction(number, &before, NULL);
    if (info->si_code <= 0)
        raise(number); /* somebody sent it */
}

void bus_survive(void)
{
    struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_NODEFER};

    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &before);
}
