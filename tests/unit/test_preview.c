/*
 * test_preview.c - a first look at data files: what is shown, counted and called wrong; and the
 * table of settings for forms.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "support/scratch.h"
#include "train/preview.h"

static struct prilora_error err;

static struct prilora_preview *preview_with(const char *text,
                                            const struct prilora_preview_options *options)
{
    struct prilora_preview *p;
    size_t size = strlen(text);
    char *copy = malloc(size ? size : 1); /* without a NUL after it: reading on would be seen */

    assert_non_null(copy);
    memcpy(copy, text, size);
    if (pl_preview_parse(&p, copy, size, options, &err) != PRILORA_OK)
        fail_msg("[%s] %s", err.where, err.message);
    free(copy); /* nothing that is shown may point into it */
    return p;
}

static struct prilora_preview *preview(const char *name, const char *text)
{
    const struct prilora_preview_options options = {
        PRILORA_TASK_AUTO, PRILORA_GLUE_NONE, name, 3, 100, SIZE_MAX, SIZE_MAX};

    return preview_with(text, &options);
}

static struct prilora_preview_info describe(const struct prilora_preview *p)
{
    struct prilora_preview_info info;

    prilora_preview_describe(p, &info);
    return info;
}

static void assert_label(const struct prilora_preview *p, size_t i, const char *name, size_t n)
{
    size_t count;

    assert_string_equal(prilora_preview_label(p, i, &count), name);
    assert_int_equal(count, n);
}

static void the_first_rows_are_shown_as_they_stand(void **state)
{
    struct prilora_preview *p = preview("x.csv", "text,text_pair,label\n\"a, b\",c,yes\nd,e,no\n"
                                                 "f,g,yes\nh,i,yes\n");
    struct prilora_preview_info info = describe(p);
    struct prilora_preview_row row;

    (void)state;
    assert_int_equal(info.task, PRILORA_TASK_CLASSIFICATION);
    assert_string_equal(info.format, "csv");
    assert_int_equal(info.n_rows, 4);
    assert_int_equal(info.n_shown, 3);
    assert_int_equal(info.n_bad, 0);
    assert_true(info.is_complete);
    assert_null(info.problem);
    prilora_preview_show(p, 0, &row);
    assert_int_equal(row.line, 2);
    assert_string_equal(row.text, "a, b");
    assert_string_equal(row.text_pair, "c");
    assert_false(row.is_list);
    assert_int_equal(row.n_labels, 1);
    assert_string_equal(row.labels[0], "yes");
    assert_int_equal(info.n_labels, 2);
    assert_label(p, 0, "no", 1);
    assert_label(p, 1, "yes", 3);
    prilora_preview_free(p);
}

static void lists_and_numbers_tell_the_task(void **state)
{
    struct prilora_preview *p = preview("x.jsonl", "{\"text\": \"a\", \"label\": [\"u\", \"v\"]}\n"
                                                   "{\"text\": \"b\", \"label\": []}\n"
                                                   "{\"text\": \"c\", \"label\": [\"v\"]}\n");
    struct prilora_preview_row row;

    (void)state;
    assert_int_equal(describe(p).task, PRILORA_TASK_MULTI_LABEL);
    assert_label(p, 0, "u", 1);
    assert_label(p, 1, "v", 2);
    prilora_preview_show(p, 0, &row);
    assert_true(row.is_list);
    assert_int_equal(row.n_labels, 2);
    assert_string_equal(row.labels[1], "v");
    prilora_preview_show(p, 1, &row);
    assert_int_equal(row.n_labels, 0);
    prilora_preview_free(p);

    p = preview("x.tsv", "sentence\tlabel\na\t1.5\nb\t2\n");
    assert_int_equal(describe(p).task, PRILORA_TASK_REGRESSION);
    assert_label(p, 0, "score", 2);
    prilora_preview_free(p);
}

static void wrong_rows_are_told_and_counted_apart(void **state)
{
    struct prilora_preview *p =
        preview("x.csv", "text,label\na,x\n,y\nb,\nc\nd,y\n"); /* lines 3, 4 and 5 are wrong */
    struct prilora_preview_info info = describe(p);
    size_t line;

    (void)state;
    assert_int_equal(info.n_rows, 5);
    assert_int_equal(info.n_bad, 3);
    assert_int_equal(info.n_errors, 3);
    assert_string_equal(prilora_preview_error(p, 0, &line), "the text is empty");
    assert_int_equal(line, 3);
    assert_string_equal(prilora_preview_error(p, 1, &line), "the label is empty");
    assert_int_equal(line, 4);
    prilora_preview_error(p, 2, &line);
    assert_int_equal(line, 5);
    assert_label(p, 0, "x", 1);
    assert_label(p, 1, "y", 1);
    prilora_preview_free(p);
}

static void labels_that_make_no_head_are_a_problem_of_the_whole(void **state)
{
    struct prilora_preview *p = preview("x.csv", "text,label\na,x\nb,x\n");

    (void)state;
    assert_non_null(strstr(describe(p).problem, "at least two"));
    assert_int_equal(describe(p).n_shown, 2);
    prilora_preview_free(p);
    p = preview("x.jsonl", "");
    assert_non_null(strstr(describe(p).problem, "no rows"));
    prilora_preview_free(p);
}

static void texts_are_cut_between_characters(void **state)
{
    /* "aé" is 3 bytes: a cut at 2 would fall into the second character */
    const struct prilora_preview_options options = {
        PRILORA_TASK_AUTO, PRILORA_GLUE_NONE, "x.csv", 3, 2, SIZE_MAX, SIZE_MAX};
    struct prilora_preview *p = preview_with("text,label\na\xC3\xA9,x\nbc,y\n", &options);
    struct prilora_preview_row row;

    (void)state;
    prilora_preview_show(p, 0, &row);
    assert_string_equal(row.text, "a");
    assert_true(row.text_is_cut);
    prilora_preview_show(p, 1, &row);
    assert_string_equal(row.text, "bc");
    assert_false(row.text_is_cut);
    prilora_preview_free(p);
}

static void reading_ends_behind_the_limits(void **state)
{
    struct prilora_preview_options options = {
        PRILORA_TASK_AUTO, PRILORA_GLUE_NONE, "x.csv", 3, 9, SIZE_MAX, 4};
    const char *text = "text,label\na,x\nb,y\nc,x\nd,y\ne,x\nf,y\n";
    struct prilora_preview *p = preview_with(text, &options);

    (void)state;
    assert_int_equal(describe(p).n_rows, 4);
    assert_false(describe(p).is_complete);
    prilora_preview_free(p);

    options.max_rows = SIZE_MAX;
    options.max_bytes = strlen("text,label\na,x\n"); /* the row that begins there is the last */
    p = preview_with(text, &options);
    assert_int_equal(describe(p).n_rows, 2);
    assert_false(describe(p).is_complete);
    prilora_preview_free(p);
}

static void a_file_that_is_no_data_is_refused(void **state)
{
    const struct prilora_preview_options options = {
        PRILORA_TASK_AUTO, PRILORA_GLUE_NONE, NULL, 3, 9, SIZE_MAX, SIZE_MAX};
    struct prilora_preview *p;

    (void)state;
    assert_int_equal(prilora_preview_read(&p, test_scratch_path("data.bin"), &options, &err),
                     PRILORA_ENOENT);
    assert_int_equal(prilora_preview_read(&p, test_scratch_write("data.bin", "hello", 5), &options,
                                          &err),
                     PRILORA_EINVAL);
    assert_non_null(strstr(err.message, "ending"));
    assert_null(p);
}

/* A form's empty field means the default: it must be what an empty specification becomes. */
static void the_settings_table_tells_the_real_defaults(void **state)
{
    struct prilora_spec *spec;
    char *table = prilora_spec_settings(), *dump;
    json_t *list = json_loads(table, 0, NULL), *whole, *set, *setting;
    size_t i, n_compared = 0;

    (void)state;
    assert_int_equal(prilora_spec_parse(&spec, "{}", 2, &err), PRILORA_OK);
    dump = prilora_spec_dump(spec);
    whole = json_loads(dump, 0, NULL);
    set = json_object_get(json_object_get(json_object_get(whole, "method"), "prilora"),
                          "hyperparameters");
    assert_non_null(set);
    json_array_foreach (list, i, setting) {
        const char *name = json_string_value(json_object_get(setting, "name"));
        json_t *real = json_object_get(set, name), *told = json_object_get(setting, "default");

        assert_true(json_string_length(json_object_get(setting, "description")) > 0);
        if (!real)
            continue; /* r and ranks belong to other schedules, and there is no preset */
        if (json_is_null(told))
            assert_string_equal(json_string_value(real), "auto");
        else if (json_is_number(told))
            assert_true(json_number_value(told) == json_number_value(real));
        else
            assert_true(json_equal(told, real));
        n_compared++;
    }
    assert_int_equal(n_compared, json_object_size(set));
    assert_int_equal(json_array_size(list), n_compared + 3);
    json_decref(list);
    json_decref(whole);
    free(dump);
    free(table);
    prilora_spec_free(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_rows_are_shown_as_they_stand),
        cmocka_unit_test(lists_and_numbers_tell_the_task),
        cmocka_unit_test(wrong_rows_are_told_and_counted_apart),
        cmocka_unit_test(labels_that_make_no_head_are_a_problem_of_the_whole),
        cmocka_unit_test(texts_are_cut_between_characters),
        cmocka_unit_test(reading_ends_behind_the_limits),
        cmocka_unit_test(a_file_that_is_no_data_is_refused),
        cmocka_unit_test(the_settings_table_tells_the_real_defaults),
    };

    return cmocka_run_group_tests_name("preview", tests, test_scratch_open, test_scratch_close);
}
