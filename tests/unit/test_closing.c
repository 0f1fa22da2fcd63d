/* Where a multipart body ends, however its bytes are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/closing.h"

#define TYPE "multipart/form-data; boundary="
/* what only looks like the end is before it, and what looks like another one behind it */
#define FORM "--edge\r\n\r\n--edge-\r\n-\r\r\n--edge\r\n\r\n--edges--\r\r\n--edge--"

static size_t take(const char *content_type, const char *body, size_t cut)
{
    struct closing closing;
    size_t n, size = strlen(body);

    closing_begin(&closing, content_type);
    n = closing_take(&closing, body, cut);
    return n + closing_take(&closing, body + cut, size - cut);
}

static void the_form_ends_with_its_closing_delimiter(void **state)
{
    static const char *const behind[] = {"", "\r\n", "\r\n\r\n", "more\r\n--edge--"};

    (void)state;
    for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) {
        char body[128];

        snprintf(body, sizeof body, "%s%s", FORM, behind[i]);
        for (size_t cut = 0; cut <= strlen(body); cut++)
            assert_int_equal(take(TYPE "edge", body, cut), strlen(FORM));
    }
}

static void a_boundary_may_be_quoted(void **state)
{
    (void)state;
    assert_int_equal(take(TYPE "\"edge\"", FORM "\r\n\r\n", 3), strlen(FORM));
}

static void a_body_without_an_end_is_taken_whole(void **state)
{
    (void)state;
    assert_int_equal(take(TYPE "other", FORM "\r\n", 3), strlen(FORM) + 2);
    assert_int_equal(take("text/plain", FORM "\r\n", 3), strlen(FORM) + 2);
    assert_int_equal(take(NULL, FORM "\r\n", 3), strlen(FORM) + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_form_ends_with_its_closing_delimiter),
        cmocka_unit_test(a_boundary_may_be_quoted),
        cmocka_unit_test(a_body_without_an_end_is_taken_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
