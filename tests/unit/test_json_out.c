/* test_json_out.c - JSON written as text, against what jansson makes of the same values. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "api/json_out.h"

#define FLAGS (JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(JSON_DIGITS))

/* Takes `value`: what was written is what jansson writes of it. */
static void assert_same(struct json_out *out, json_t *value)
{
    char *expected = json_dumps(value, FLAGS);

    assert_non_null(expected);
    assert_false(out->failed);
    assert_string_equal(out->text, expected);
    free(expected);
    json_decref(value);
    json_out_clear(out);
}

static void reals_are_written_as_jansson_does(void **state)
{
    static const double numbers[] = {0,         1,      -1,      0.1,       16,      1e9,
                                     1e-8,      8e-4,   1.0 / 3, 2.5e300,   5e-324,  123456789,
                                     987654321, 1234.5, -0.0,    1e-5,      0.00012, 290232266752.0,
                                     1e10,      1e100,  2e-10,   99999999.9};
    struct json_out out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        json_out_real(&out, NULL, numbers[i]);
        assert_same(&out, json_real(numbers[i]));
    }
    json_out_real(&out, NULL, (double)NAN);
    assert_same(&out, json_null());
    json_out_real(&out, NULL, (double)INFINITY);
    assert_same(&out, json_null());
}

static void texts_are_escaped_as_jansson_does(void **state)
{
    static const char *const texts[] = {"",
                                        "plain",
                                        "\"",
                                        "\\",
                                        "a\"b\\c/d",
                                        "\b\f\n\r\t",
                                        "\x01 \x1f \x7f",
                                        "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"};
    struct json_out out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_out_text(&out, NULL, texts[i]);
        assert_same(&out, json_string(texts[i]));
    }
    json_out_text(&out, NULL, "broken \xFF here");
    assert_same(&out, json_string("broken ? here"));
    json_out_text(&out, NULL, NULL);
    assert_same(&out, json_null());
}

static void objects_and_lists_have_their_commas(void **state)
{
    struct json_out out = {0};

    (void)state;
    json_out_open(&out, NULL, '{');
    json_out_integer(&out, "a", INT64_MIN);
    json_out_open(&out, "b", '[');
    json_out_bool(&out, NULL, true);
    json_out_null(&out, NULL);
    json_out_open(&out, NULL, '{');
    json_out_close(&out, '}');
    json_out_open(&out, NULL, '[');
    json_out_close(&out, ']');
    json_out_close(&out, ']');
    json_out_text(&out, "c", "{");
    json_out_text(&out, "d", "[");
    json_out_real(&out, "e", 0.5);
    json_out_close(&out, '}');
    assert_same(&out, json_pack("{s:I, s:[b, n, {}, []], s:s, s:s, s:f}", "a",
                                (json_int_t)INT64_MIN, "b", 1, "c", "{", "d", "[", "e", 0.5));
    json_out_open_list(&out);
    json_out_integer(&out, NULL, 1);
    json_out_integer(&out, NULL, 2);
    json_out_close_list(&out, true);
    assert_same(&out,
                json_pack("{s:s, s:[i, i], s:b}", "object", "list", "data", 1, 2, "has_more", 1));
}

static const char stored[] =
    "{\n  \"a\": 0.00080000000000000004, \"b\" : [1, -2.5, 1e-8, 16.0,\t123456789012345678],\r\n"
    "  \"text\": \"} , \\\" \\\\ 0.10000000000000001 {\", \"c\": {\"d\": {\"e\": 0.059999999999998,"
    " \"empty\": {}, \"none\": []}}, \"t\": true, \"f\": false, \"n\": null, "
    "\"big\": 290232266752.0, \"small\": -1.2345678901234e-15}";

static json_t *parsed(void)
{
    json_t *value = json_loads(stored, 0, NULL);

    assert_non_null(value);
    return value;
}

static void stored_json_is_written_compact(void **state)
{
    struct json_out out = {0};

    (void)state;
    json_out_raw(&out, NULL, json_raw_of(stored));
    assert_same(&out, parsed());
    json_out_raw(&out, NULL, json_raw_of(NULL));
    assert_same(&out, json_null());
}

static void members_are_found_in_stored_json(void **state)
{
    static const char *const names[] = {"a", "b", "text", "c", "t", "f", "n", "big", "small"};
    struct json_out out = {0};
    json_t *value = parsed();

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_out_raw(&out, NULL, json_raw_member(json_raw_of(stored), names[i]));
        assert_same(&out, json_incref(json_object_get(value, names[i])));
    }
    json_out_raw(&out, NULL,
                 json_raw_member(json_raw_member(json_raw_member(json_raw_of(stored), "c"), "d"),
                                 "e"));
    assert_same(&out, json_real(0.059999999999998));
    assert_null(json_raw_member(json_raw_of(stored), "d").at);
    assert_null(json_raw_member(json_raw_of("[1]"), "d").at);
    assert_true(json_raw_is_number(json_raw_member(json_raw_of(stored), "a")));
    assert_false(json_raw_is_number(json_raw_member(json_raw_of(stored), "t")));
    json_decref(value);
}

static void members_join_those_already_written(void **state)
{
    struct json_out out = {0};
    json_t *value = parsed(), *expected = json_pack("{s:i}", "step", 7);

    (void)state;
    json_object_del(value, "b");
    json_object_update(expected, value);
    json_decref(value);
    json_out_open(&out, NULL, '{');
    json_out_integer(&out, "step", 7);
    json_out_members(&out, json_raw_of(stored), "b");
    json_out_close(&out, '}');
    assert_same(&out, expected);
}

/* Every beginning of the text, and the text with each byte replaced: parts stay inside it. */
static void broken_json_is_not_read_past_its_end(void **state)
{
    static const char bytes[] = "\"{}[],:\\ 0";
    size_t n = strlen(stored);

    (void)state;
    for (size_t i = 0; i <= n; i++) {
        for (size_t k = 0; k < sizeof bytes; k++) {
            size_t size = bytes[k] ? n : i;
            char *copy = malloc(size + !size); /* no more: ASan sees a byte behind it */
            struct json_raw whole = {copy, size}, name, value;
            struct json_out out = {0};
            const char *at = NULL;

            assert_non_null(copy);
            memcpy(copy, stored, size);
            if (i < size && bytes[k])
                copy[i] = bytes[k];
            while (json_raw_next(whole, &at, &name, &value)) {
                assert_true(name.at >= copy && name.at + name.n <= copy + size);
                assert_true(value.at >= copy && value.at + value.n <= copy + size);
            }
            json_out_raw(&out, NULL, whole);
            assert_false(out.failed);
            json_out_clear(&out);
            free(copy);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reals_are_written_as_jansson_does),
        cmocka_unit_test(texts_are_escaped_as_jansson_does),
        cmocka_unit_test(objects_and_lists_have_their_commas),
        cmocka_unit_test(stored_json_is_written_compact),
        cmocka_unit_test(members_are_found_in_stored_json),
        cmocka_unit_test(members_join_those_already_written),
        cmocka_unit_test(broken_json_is_not_read_past_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
