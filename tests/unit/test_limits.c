/* What the machine allows, and what of it a job gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "daemon/limits.h"
#include "daemon/worker.h"
#include "support/scratch.h"

static void a_cpu_quota_is_rounded_up(void **state)
{
    static const struct {
        const char *text;
        long cores;
    } cases[] = {
        {"max 100000", 0},   {"200000 100000", 2}, {"150000 100000", 2},
        {"50000 100000", 1}, {"1000 100000", 1},   {"", 0},
        {"-1 100000", 0},    {"100000 0", 0},      {"100000", 0},
        {"rubbish 7", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(limits_parse_cpu_max(cases[i].text), cases[i].cores);
}

static void affinity_limits_the_cores(void **state)
{
    cpu_set_t all, one;
    int first = 0;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    assert_true(limits_cores() >= 1 && limits_cores() <= CPU_COUNT(&all));
    while (!CPU_ISSET(first, &all))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(limits_cores(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

static void cores_are_shared_among_workers(void **state)
{
    const long cores = limits_cores();

    (void)state;
    assert_int_equal(worker_threads(&(struct config){.workers = 1}), cores);
    assert_int_equal(worker_threads(&(struct config){.workers = 100 * cores}), 1);
    assert_int_equal(worker_threads(&(struct config){.workers = 2, .threads = 5}), 5);
}

/* What no group says is no limit; the least of all that one is in is. */
static void the_least_memory_of_nested_groups_counts(void **state)
{
    static const struct {
        const char *top, *a, *b;
        uint64_t least;
    } cases[] = {{NULL, "max\n", "max\n", 0},
                 {NULL, "1073741824\n", "max\n", 1073741824},
                 {NULL, "max\n", "536870912\n", 536870912},
                 {NULL, "268435456\n", "536870912\n", 268435456},
                 {"134217728\n", "268435456\n", "536870912\n", 134217728}};
    const char *names[] = {"memory.max", "a/memory.max", "a/b/memory.max"};

    (void)state;
    mkdir(test_scratch_path("a"), 0700);
    mkdir(test_scratch_path("a/b"), 0700);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *texts[] = {cases[i].top, cases[i].a, cases[i].b};

        for (size_t k = 0; k < 3; k++)
            if (texts[k])
                test_scratch_write(names[k], texts[k], strlen(texts[k]));
        assert_true(limits_group_memory(test_scratch_path("."), "/a/b") == cases[i].least);
    }
}

static void memory_is_known(void **state)
{
    (void)state;
    assert_true(limits_peak_bytes() > 1 << 20);
    assert_true(limits_memory_bytes() > limits_peak_bytes());
}

static void a_forecast_that_does_not_fit_is_refused_with_both_figures(void **state)
{
    const struct config config = {.memory_limit_mb = 100};
    struct prilora_forecast forecast = {.memory_bytes = 100 << 20, .base_bytes = 30 << 20};
    struct prilora_error err;

    (void)state;
    assert_int_equal(worker_check_memory(&config, &forecast, &err), PRILORA_OK);
    forecast.memory_bytes++;
    assert_int_equal(worker_check_memory(&config, &forecast, &err), PRILORA_ELIMIT);
    forecast.memory_bytes = (size_t)250 << 20;
    assert_int_equal(worker_check_memory(&config, &forecast, &err), PRILORA_ELIMIT);
    assert_string_equal(err.message,
                        "the job would need about 250 MiB of memory (30 MiB of them for the base "
                        "model), but training.memory_limit_mb is 100 MiB; a smaller max_length or "
                        "fewer training.threads need less");
    forecast.memory_bytes = SIZE_MAX;
    assert_int_equal(worker_check_memory(&(struct config){0}, &forecast, &err), PRILORA_ELIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cpu_quota_is_rounded_up),
        cmocka_unit_test(affinity_limits_the_cores),
        cmocka_unit_test(cores_are_shared_among_workers),
        cmocka_unit_test(the_least_memory_of_nested_groups_counts),
        cmocka_unit_test(memory_is_known),
        cmocka_unit_test(a_forecast_that_does_not_fit_is_refused_with_both_figures),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
