/* test_log.c - lines of the log: as text, as JSON, for the journal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/log.h"
#include "support/scratch.h"

static int saved;

/* What is logged between begin and end. */
static void begin(void)
{
    int file = open(test_scratch_path("log"), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(file >= 0);
    saved = dup(STDERR_FILENO);
    dup2(file, STDERR_FILENO);
    close(file);
}

static char *end(void)
{
    size_t size;

    dup2(saved, STDERR_FILENO);
    close(saved);
    return test_file(test_scratch_path("log"), &size);
}

static void text_has_time_level_and_module(void **state)
{
    char *text;
    int year;

    (void)state;
    begin();
    log_configure(LOG_LEVEL_INFO, false);
    log_debug("queue", "not seen");
    log_warn("queue", "%d jobs\nare \x1b[31mred", 3);
    text = end();
    assert_int_equal(sscanf(text, "%d-", &year), 1);
    assert_true(year >= 2024);
    assert_string_equal(text + strlen("2024-01-01T00:00:00.000Z "),
                        "warn  queue: 3 jobs are ?[31mred\n");
    free(text);
}

static void json_lines_are_json_whatever_is_in_them(void **state)
{
    char *text, *line;
    json_t *object;

    (void)state;
    begin();
    log_configure(LOG_LEVEL_DEBUG, true);
    log_error("http", "a \"quoted\" path \\ and \xc3\xa9");
    log_debug("http", "not UTF-8: \xff\xfe");
    text = end();
    line = strchr(text, '\n') + 1;
    object = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
    assert_string_equal(json_string_value(json_object_get(object, "level")), "error");
    assert_string_equal(json_string_value(json_object_get(object, "module")), "http");
    assert_string_equal(json_string_value(json_object_get(object, "message")),
                        "a \"quoted\" path \\ and \xc3\xa9");
    json_decref(object);
    object = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
    assert_string_equal(json_string_value(json_object_get(object, "message")), "not UTF-8: ??");
    json_decref(object);
    assert_string_equal(strchr(line, '\n'), "\n");
    free(text);
    log_configure(LOG_LEVEL_INFO, false);
}

static void the_journal_gets_priorities_instead_of_times(void **state)
{
    struct stat st;
    char stream[64], *text;

    (void)state;
    begin();
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_configure(LOG_LEVEL_INFO, false);
    log_error("main", "gone");
    log_info("main", "here");
    text = end();
    unsetenv("JOURNAL_STREAM");
    log_configure(LOG_LEVEL_INFO, false);
    assert_string_equal(text, "<3>main: gone\n<6>main: here\n");
    free(text);
}

static void levels_are_known_by_name(void **state)
{
    enum log_level level;

    (void)state;
    assert_true(log_level_parse(&level, "error"));
    assert_int_equal(level, LOG_LEVEL_ERROR);
    assert_false(log_level_parse(&level, "loud"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_has_time_level_and_module),
        cmocka_unit_test(json_lines_are_json_whatever_is_in_them),
        cmocka_unit_test(the_journal_gets_priorities_instead_of_times),
        cmocka_unit_test(levels_are_known_by_name),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
