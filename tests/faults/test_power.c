/*
 * test_power.c - power is cut again and again under load: what was not synced is gone, or is there
 * in part. What was answered must be there all the same; see support/torture.h.
 *
 *     test_power [cuts [seed]]      6 cuts; the seed is told
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/faulty.h"
#include "support/torture.h"

static struct faulty faulty;
static struct torture torture;

static struct test_server *start(struct torture *t, const char *const *settings)
{
    (void)t;
    faulty_open(&faulty, settings, true);
    return faulty.server;
}

static void cut(struct torture *t)
{
    faulty_cut_power(&faulty, torture_draw(t, 1u << 30));
}

static void what_was_answered_outlives_power(void **state)
{
    struct torture *t = *state;

    for (int i = 0; i < t->n_ends; i++)
        torture_live(t);
    torture_check(t);
}

static int open_group(void **state)
{
    torture.start = start;
    torture.after_end = cut;
    return torture_open(&torture, state);
}

static int close_group(void **state)
{
    torture_close(&torture, state);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_answered_outlives_power),
    };

    torture_arguments(&torture, 6, argc, argv);
    return cmocka_run_group_tests(tests, open_group, close_group);
}
