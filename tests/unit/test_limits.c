/* What the machine allows, and what of it a job gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
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

/* What no group says is no limit; the least of all that one is in is. Either version's files. */
static void the_least_of_nested_groups_counts(void **state)
{
    static const char *const folders[] = {"", "a/", "a/b/"};
    static const struct {
        const char *file, *texts[3];
        uint64_t least;
    } cases[] = {
        {"memory.max", {NULL, "max\n", "max\n"}, 0},
        {"memory.max", {NULL, "1073741824\n", "max\n"}, 1073741824},
        {"memory.max", {NULL, "max\n", "536870912\n"}, 536870912},
        {"memory.max", {NULL, "268435456\n", "536870912\n"}, 268435456},
        {"memory.max", {"134217728\n", "268435456\n", "536870912\n"}, 134217728},
        {"memory.limit_in_bytes", {"9223372036854771712\n", NULL, NULL}, 9223372036854771712u},
        {"memory.limit_in_bytes", {"9223372036854771712\n", "1048576\n", NULL}, 1048576},
        {"memory.limit_in_bytes", {"524288\n", "1048576\n", "9223372036854771712\n"}, 524288},
        {"cpu.max", {NULL, "max 100000\n", "max 100000\n"}, 0},
        {"cpu.max", {NULL, "400000 100000\n", "150000 100000\n"}, 2},
        {"cpu.cfs_quota_us", {"-1\n", "-1\n", "-1\n"}, 0},
        {"cpu.cfs_quota_us", {"-1\n", "300000\n", "-1\n"}, 3},
        {"cpu.cfs_quota_us", {NULL, "300000\n", "50000\n"}, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool memory = strncmp(cases[i].file, "memory", 6) == 0;
        const char *root;

        test_scratch_close(NULL);
        test_scratch_open(NULL);
        mkdir(test_scratch_path("a"), 0700);
        mkdir(test_scratch_path("a/b"), 0700);
        for (size_t k = 0; k < 3; k++) {
            char name[64];

            if (!cases[i].texts[k])
                continue;
            snprintf(name, sizeof name, "%s%s", folders[k], cases[i].file);
            test_scratch_write(name, cases[i].texts[k], strlen(cases[i].texts[k]));
            snprintf(name, sizeof name, "%scpu.cfs_period_us", folders[k]);
            test_scratch_write(name, "100000\n", 7);
        }
        root = test_scratch_path(".");
        assert_int_equal(memory ? limits_group_memory(root, "/a/b")
                                : limits_group_cores(root, "/a/b"),
                         cases[i].least);
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
    struct prilora_forecast forecast = {.memory_bytes = 100 << 20,
                                        .base_bytes = 30 << 20,
                                        .total_steps = 1};
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

/* What is needed at most is no reason: short texts may need less. */
static void without_data_only_what_is_needed_anyway_is_refused(void **state)
{
    const struct config config = {.memory_limit_mb = 100};
    struct prilora_forecast forecast = {.memory_bytes = SIZE_MAX,
                                        .fixed_bytes = 100 << 20,
                                        .base_bytes = 30 << 20};
    struct prilora_error err;

    (void)state;
    assert_int_equal(worker_check_memory(&config, &forecast, &err), PRILORA_OK);
    forecast.fixed_bytes++;
    assert_int_equal(worker_check_memory(&config, &forecast, &err), PRILORA_ELIMIT);
    assert_string_equal(err.message,
                        "with any data, the job would need at least 100 MiB of memory (30 MiB of "
                        "them for the base model), but training.memory_limit_mb is 100 MiB; lower "
                        "ranks need less");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cpu_quota_is_rounded_up),
        cmocka_unit_test(affinity_limits_the_cores),
        cmocka_unit_test(cores_are_shared_among_workers),
        cmocka_unit_test(the_least_of_nested_groups_counts),
        cmocka_unit_test(memory_is_known),
        cmocka_unit_test(a_forecast_that_does_not_fit_is_refused_with_both_figures),
        cmocka_unit_test(without_data_only_what_is_needed_anyway_is_refused),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
