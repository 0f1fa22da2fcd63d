/* Figures in Prometheus's text format, and what a histogram counts where. */
#include "api/exposition.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const double bounds[] = {0.5, 2};

/* What `write` writes, as text; free it. */
static char *written(void (*write)(struct exposition *e))
{
    struct exposition e = {0};
    char *text = NULL;
    size_t n;

    e.out = open_memstream(&text, &n);
    assert_non_null(e.out);
    write(&e);
    fclose(e.out);
    return text;
}

static void write_samples(struct exposition *e)
{
    const char *one[] = {"path", "a\"b\\c\nd", NULL}, *two[] = {"a", "1", "b", "", NULL};

    exposition_family(e, "things", "gauge", "Some.");
    exposition_sample(e, NULL, 0.25);
    exposition_sample(e, one, -1e300);
    exposition_sample(e, two, (double)NAN);
    exposition_count(e, two, UINT64_MAX);
}

static void samples_have_escaped_labels_and_numbers_only(void **state)
{
    char *text = written(write_samples);

    (void)state;
    assert_string_equal(text, "# HELP things Some.\n# TYPE things gauge\nthings 0.25\n"
                              "things{path=\"a\\\"b\\\\c\\nd\"} -1e+300\n"
                              "things{a=\"1\",b=\"\"} 18446744073709551615\n");
    free(text);
}

static void write_histogram(struct exposition *e)
{
    static struct meter_counts counts;
    const struct meter_histogram histogram = {bounds, 2, &counts};
    const double seen[] = {0,    0.5, 0.6, 2,
                           1000, -1,  NAN, INFINITY}; /* the last three are nothing */
    const char *labels[] = {"a", "1", NULL};

    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
        meter_observe(&histogram, seen[i]);
    exposition_family(e, "s", "histogram", "Some.");
    exposition_histogram(e, labels, &histogram);
    exposition_histogram(e, NULL, &histogram);
}

static void a_histogram_counts_upwards(void **state)
{
    char *text = written(write_histogram);

    (void)state;
    assert_string_equal(text, "# HELP s Some.\n# TYPE s histogram\n"
                              "s_bucket{a=\"1\",le=\"0.5\"} 2\n"
                              "s_bucket{a=\"1\",le=\"2\"} 4\n"
                              "s_bucket{a=\"1\",le=\"+Inf\"} 5\n"
                              "s_sum{a=\"1\"} 1003.1\n"
                              "s_count{a=\"1\"} 5\n"
                              "s_bucket{le=\"0.5\"} 2\n"
                              "s_bucket{le=\"2\"} 4\n"
                              "s_bucket{le=\"+Inf\"} 5\n"
                              "s_sum 1003.1\n"
                              "s_count 5\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_have_escaped_labels_and_numbers_only),
        cmocka_unit_test(a_histogram_counts_upwards),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
