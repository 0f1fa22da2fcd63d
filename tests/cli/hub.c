/*
 * hub.c - the stand-in for a hub of models (support/hub.h) as a program, with the bundled base as
 * its model. At SIGTERM it tells of the weights: transfers, those of a part, bytes sent.
 *
 *     hub DRIP_MS [TOKEN]      pauses between pieces of 1 KiB of the weights; prints its address
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/hub.h"

#define WEIGHTS "model.safetensors"

int main(int argc, char **argv)
{
    struct test_hub_trouble trouble = {.drip_ms = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0};
    struct test_hub *hub;
    sigset_t end;
    int number;

    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigprocmask(SIG_BLOCK, &end, NULL); /* in all threads to come */
    hub = test_hub_new();
    test_hub_add_mini(hub, TEST_HUB_COMMIT);
    test_hub_trouble(hub, WEIGHTS, trouble);
    if (argc > 2)
        test_hub_need_token(hub, argv[2]);
    printf("%s\n", test_hub_endpoint(hub));
    fflush(stdout);
    sigwait(&end, &number);
    printf("%d %d %zu\n", test_hub_n_transfers(hub, WEIGHTS), test_hub_n_ranges(hub, WEIGHTS),
           test_hub_n_bytes(hub, WEIGHTS));
    test_hub_free(hub);
    return 0;
}
