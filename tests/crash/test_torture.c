/*
 * test_torture.c - the daemon is ended again and again under load; see support/torture.h.
 *
 *     test_torture [ends [seed [KILL|TERM]]]      20 kills by SIGKILL; the seed is told
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/torture.h"

static struct torture torture;

static void nothing_is_lost_and_nothing_is_doubled(void **state)
{
    struct torture *t = *state;

    for (int i = 0; i < t->n_ends; i++)
        torture_live(t);
    torture_check(t);
}

static int open_group(void **state)
{
    return torture_open(&torture, state);
}

static int close_group(void **state)
{
    return torture_close(&torture, state);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_and_nothing_is_doubled),
    };

    torture_arguments(&torture, 20, argc, argv);
    torture.how = argc > 3 && strcmp(argv[3], "TERM") == 0 ? TORTURE_TERM : TORTURE_KILL;
    return cmocka_run_group_tests(tests, open_group, close_group);
}
