/*
 * test_metrics.c - metrics against closed forms and examples worked by hand.
 *
 * Tolerance: every value is a handful of double operations on small whole numbers, so the rounding
 * is a few units in the last place of numbers near 1: 1e-14.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "train/metrics.h"

static double value(const struct prilora_value *values, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(values[i].name, name) == 0)
            return values[i].value;
    fail_msg("no %s", name);
    return 0;
}

static void assert_near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-14))
        fail_msg("%.17g instead of %.17g", got, want);
}

/* Logits whose largest entry is the guessed class. */
static void guess(pl_real *logits, const int *classes, size_t n, size_t n_outputs)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n_outputs; j++)
            logits[i * n_outputs + j] = (int)j == classes[i] ? (pl_real)-0.5 : (pl_real)-1;
}

static void two_classes_by_the_confusion_table(void **state)
{
    /* true positives 3, false positives 1, false negatives 2, true negatives 4 */
    static const int guesses[] = {1, 1, 1, 1, 0, 0, 0, 0, 0, 0};
    static const float labels[] = {1, 1, 1, 0, 1, 1, 0, 0, 0, 0};
    struct prilora_value v[PRILORA_MAX_VALUES];
    pl_real logits[20];
    size_t n;

    (void)state;
    guess(logits, guesses, 10, 2);
    n = pl_metrics_compute(v, PRILORA_TASK_CLASSIFICATION, logits, labels, 10, 2, 1);
    assert_int_equal(n, 3);
    assert_near(value(v, n, "accuracy"), 0.7);
    assert_near(value(v, n, "f1"), 6.0 / 9);
    /* (tp tn - fp fn) / sqrt((tp+fp)(tp+fn)(tn+fp)(tn+fn)) */
    assert_near(value(v, n, "matthews"), 10 / sqrt(4.0 * 5 * 5 * 6));
}

static void three_classes_by_the_confusion_table(void **state)
{
    /* rows true, columns guessed:  2 1 0 / 0 3 0 / 1 1 2 */
    static const int guesses[] = {0, 0, 1, 1, 1, 1, 0, 1, 2, 2};
    static const float labels[] = {0, 0, 0, 1, 1, 1, 2, 2, 2, 2};
    struct prilora_value v[PRILORA_MAX_VALUES];
    pl_real logits[40];
    size_t n;

    (void)state;
    guess(logits, guesses, 10, 3);
    n = pl_metrics_compute(v, PRILORA_TASK_CLASSIFICATION, logits, labels, 10, 3, 1);
    assert_near(value(v, n, "accuracy"), 0.7);
    /* per class 2*2/(3+3), 2*3/(5+3), 2*2/(2+4) */
    assert_near(value(v, n, "f1"), (4.0 / 6 + 6.0 / 8 + 4.0 / 6) / 3);
    /* s = 10, c = 7, sum p t = 9 + 15 + 8, sum p^2 = 38, sum t^2 = 34 */
    assert_near(value(v, n, "matthews"), (7.0 * 10 - 32) / sqrt((100.0 - 38) * (100 - 34)));
    /* a fourth class that never occurs changes nothing */
    guess(logits, guesses, 10, 4);
    n = pl_metrics_compute(v, PRILORA_TASK_CLASSIFICATION, logits, labels, 10, 4, 1);
    assert_near(value(v, n, "f1"), (4.0 / 6 + 6.0 / 8 + 4.0 / 6) / 3);
    assert_near(value(v, n, "matthews"), (7.0 * 10 - 32) / sqrt((100.0 - 38) * (100 - 34)));
}

static void what_is_undefined_is_zero(void **state)
{
    static const int guesses[] = {0, 0, 0};
    static const float labels[] = {0, 1, 0}, scores[] = {1, 2, 3};
    static const pl_real constant[] = {2, 2, 2};
    struct prilora_value v[PRILORA_MAX_VALUES];
    pl_real logits[6];
    size_t n;

    (void)state;
    guess(logits, guesses, 3, 2);
    n = pl_metrics_compute(v, PRILORA_TASK_CLASSIFICATION, logits, labels, 3, 2, 1);
    assert_near(value(v, n, "f1"), 0);
    assert_near(value(v, n, "matthews"), 0);
    n = pl_metrics_compute(v, PRILORA_TASK_REGRESSION, constant, scores, 3, 1, 1);
    assert_near(value(v, n, "pearson"), 0);
    assert_near(value(v, n, "spearman"), 0);
    assert_near(value(v, n, "mean_squared_error"), 2.0 / 3);
    n = pl_metrics_compute(v, PRILORA_TASK_CLASSIFICATION, logits, labels, 0, 2, 1);
    assert_near(value(v, n, "accuracy"), 0);
    n = pl_metrics_compute(v, PRILORA_TASK_REGRESSION, constant, scores, 0, 1, 1);
    assert_near(value(v, n, "pearson"), 0);
    assert_int_equal(pl_metrics_compute(v, PRILORA_TASK_AUTO, logits, labels, 3, 2, 1), 0);
}

static void everything_right_is_one_and_everything_wrong_minus_one(void **state)
{
    static const int right[] = {0, 1, 1, 0}, wrong[] = {1, 0, 0, 1};
    static const float labels[] = {0, 1, 1, 0};
    struct prilora_value v[PRILORA_MAX_VALUES];
    pl_real logits[8];
    size_t n;

    (void)state;
    guess(logits, right, 4, 2);
    n = pl_metrics_compute(v, PRILORA_TASK_CLASSIFICATION, logits, labels, 4, 2, 1);
    assert_near(value(v, n, "accuracy"), 1);
    assert_near(value(v, n, "f1"), 1);
    assert_near(value(v, n, "matthews"), 1);
    guess(logits, wrong, 4, 2);
    n = pl_metrics_compute(v, PRILORA_TASK_CLASSIFICATION, logits, labels, 4, 2, 1);
    assert_near(value(v, n, "accuracy"), 0);
    assert_near(value(v, n, "f1"), 0);
    assert_near(value(v, n, "matthews"), -1);
}

static void a_tie_goes_to_the_first_class(void **state)
{
    static const pl_real logits[] = {1, 1, 0, 0};
    static const float labels[] = {0, 0};
    struct prilora_value v[PRILORA_MAX_VALUES];
    size_t n = pl_metrics_compute(v, PRILORA_TASK_CLASSIFICATION, logits, labels, 2, 2, 1);

    (void)state;
    assert_near(value(v, n, "accuracy"), 1);
}

static void multi_label_counts_whole_rows_and_single_labels(void **state)
{
    static const pl_real logits[] = {1, -1, 2, /**/ -1, -1, -1, /**/ 3, 1, -2, /**/ 0, -1, 1};
    static const float labels[] = {1, 0, 1, /**/ 0, 0, 0, /**/ 1, 0, 1, /**/ 1, 0, 1};
    struct prilora_value v[PRILORA_MAX_VALUES];
    size_t n = pl_metrics_compute(v, PRILORA_TASK_MULTI_LABEL, logits, labels, 4, 3, 3);

    (void)state;
    assert_int_equal(n, 2);
    assert_near(value(v, n, "accuracy"), 0.5);
    /* a logit of 0 is not above the threshold: hits 4, guessed 5, true 6 */
    assert_near(value(v, n, "f1"), 8.0 / 11);
}

static void pearson_and_spearman_by_hand(void **state)
{
    /* x - mean -2 -1 0 1 2; y - mean -2.2 -1.2 -2.2 0.8 4.8 */
    static const pl_real x[] = {1, 2, 3, 4, 5};
    static const float y[] = {1, 2, 1, 4, 8};
    struct prilora_value v[PRILORA_MAX_VALUES];
    size_t n = pl_metrics_compute(v, PRILORA_TASK_REGRESSION, x, y, 5, 1, 1);

    (void)state;
    /* xy = 4.4 + 1.2 + 0 + 0.8 + 9.6, xx = 10, yy = 4.84 + 1.44 + 4.84 + 0.64 + 23.04 */
    assert_near(value(v, n, "pearson"), 16 / sqrt(10 * 34.8));
    /* ranks of y 1.5 3 1.5 4 5: xy = 3 + 0 + 0 + 1 + 4, yy = 2.25 + 0 + 2.25 + 1 + 4 */
    assert_near(value(v, n, "spearman"), 8 / sqrt(10 * 9.5));
    assert_near(value(v, n, "mean_squared_error"), (0.0 + 0 + 4 + 0 + 9) / 5);
}

static void spearman_sees_only_the_order(void **state)
{
    static const pl_real x[] = {-3, 100, 7, (pl_real)0.5};
    static const float up[] = {1, 4, 3, 2}, down[] = {4, 1, 2, 3};
    struct prilora_value v[PRILORA_MAX_VALUES];
    size_t n = pl_metrics_compute(v, PRILORA_TASK_REGRESSION, x, up, 4, 1, 1);

    (void)state;
    assert_near(value(v, n, "spearman"), 1);
    n = pl_metrics_compute(v, PRILORA_TASK_REGRESSION, x, down, 4, 1, 1);
    assert_near(value(v, n, "spearman"), -1);
}

static void a_straight_line_correlates_fully_however_far_away(void **state)
{
    pl_real x[100];
    float y[100];
    struct prilora_value v[PRILORA_MAX_VALUES];
    size_t n;

    (void)state;
    for (int i = 0; i < 100; i++) {
        x[i] = (pl_real)(1 << 20) + (pl_real)i;
        y[i] = (float)(-3 * i);
    }
    n = pl_metrics_compute(v, PRILORA_TASK_REGRESSION, x, y, 100, 1, 1);
    assert_near(value(v, n, "pearson"), -1);
    assert_near(value(v, n, "spearman"), -1);
}

static void every_task_has_a_metric_of_its_own_values(void **state)
{
    static const enum prilora_task tasks[] = {PRILORA_TASK_CLASSIFICATION, PRILORA_TASK_REGRESSION,
                                              PRILORA_TASK_MULTI_LABEL};
    static const pl_real logits[] = {1, -1};
    static const float labels[] = {0, 1};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct prilora_value v[PRILORA_MAX_VALUES];
        size_t n = pl_metrics_compute(v, tasks[i], logits, labels, 1, 2, 1);

        value(v, n, pl_metric_name(pl_metric_default(tasks[i]))); /* fails if it is not there */
    }
    assert_string_equal(pl_metric_name(PRILORA_METRIC_MATTHEWS), "matthews");
    assert_string_equal(pl_metric_name(PRILORA_METRIC_LOSS), "loss");
    assert_string_equal(pl_metric_name((enum prilora_metric)99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_classes_by_the_confusion_table),
        cmocka_unit_test(three_classes_by_the_confusion_table),
        cmocka_unit_test(what_is_undefined_is_zero),
        cmocka_unit_test(everything_right_is_one_and_everything_wrong_minus_one),
        cmocka_unit_test(a_tie_goes_to_the_first_class),
        cmocka_unit_test(multi_label_counts_whole_rows_and_single_labels),
        cmocka_unit_test(pearson_and_spearman_by_hand),
        cmocka_unit_test(spearman_sees_only_the_order),
        cmocka_unit_test(a_straight_line_correlates_fully_however_far_away),
        cmocka_unit_test(every_task_has_a_metric_of_its_own_values),
    };

    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
