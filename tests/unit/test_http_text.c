/* test_http_text.c - the small languages of HTTP: targets, ranges, entity tags, names, addresses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/content.h"
#include "api/listen.h"
#include "api/query.h"
#include "api/range.h"
#include "api/suggest.h"
#include "api/utf8.h"

/* The examples of RFC 9110, 14.1.2, for 10,000 bytes, and the edges. */
static void ranges_are_read_as_rfc_9110_writes_them(void **state)
{
    static const struct {
        const char *header;
        uint64_t size;
        enum range_kind kind;
        uint64_t first, n;
    } rows[] = {
        {"bytes=0-499", 10000, RANGE_PART, 0, 500},
        {"bytes=500-999", 10000, RANGE_PART, 500, 500},
        {"bytes=-500", 10000, RANGE_PART, 9500, 500},
        {"bytes=9500-", 10000, RANGE_PART, 9500, 500},
        {"bytes=9999-20000", 10000, RANGE_PART, 9999, 1},
        {"bytes=-20000", 10000, RANGE_PART, 0, 10000},
        {"bytes=10000-", 10000, RANGE_OUTSIDE, 0, 10000},
        {"bytes=-0", 10000, RANGE_OUTSIDE, 0, 10000},
        {"bytes=0-", 0, RANGE_OUTSIDE, 0, 0},
        {"bytes=-1", 0, RANGE_OUTSIDE, 0, 0},
        {"bytes=0-18446744073709551616", 10000, RANGE_PART, 0, 10000}, /* 2^64 */
        {"bytes=0-0,-1", 10000, RANGE_WHOLE, 0, 10000},
        {"bytes=2-1", 10000, RANGE_WHOLE, 0, 10000},
        {"bytes=-", 10000, RANGE_WHOLE, 0, 10000},
        {"Bytes 0-1", 10000, RANGE_WHOLE, 0, 10000},
        {NULL, 10000, RANGE_WHOLE, 0, 10000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct range range;

        assert_int_equal(range_parse(&range, rows[i].header, rows[i].size), rows[i].kind);
        assert_int_equal(range.first, rows[i].first);
        assert_int_equal(range.size, rows[i].n);
    }
}

static void entity_tags_are_found_in_lists(void **state)
{
    (void)state;
    assert_true(etag_listed("\"a\"", "\"a\""));
    assert_true(etag_listed("\"b,c\", W/\"a\"", "\"a\""));
    assert_true(etag_listed(" * ", "\"a\""));
    assert_false(etag_listed("\"aa\", \"b\"", "\"a\""));
    assert_false(etag_listed("a", "\"a\""));
    assert_false(etag_listed("\"a", "\"a\""));
    assert_false(etag_listed("", "\"a\""));
    assert_false(etag_listed(NULL, "\"a\""));
}

static void escapes_are_decoded_or_refused(void **state)
{
    static const struct {
        const char *text;
        bool form;
        const char *decoded; /* NULL: refused */
    } rows[] = {
        {"a%2Fb%2fc", false, "a/b/c"},
        {"a+b", false, "a+b"},
        {"a+b", true, "a b"},
        {"%C3%BC", false, "\xc3\xbc"},
        {"", false, ""},
        {"%", false, NULL},
        {"%4", false, NULL},
        {"%4g", false, NULL},
        {"a%00b", false, NULL},
        {"%ff", false, NULL},
        {"%ED%A0%80", false, NULL},    /* a surrogate */
        {"%C0%AF", false, NULL},       /* '/' in two bytes */
        {"%F4%90%80%80", false, NULL}, /* above U+10FFFF */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *decoded = percent_decode(rows[i].text, strlen(rows[i].text), rows[i].form);

        if (rows[i].decoded) {
            assert_non_null(decoded);
            assert_string_equal(decoded, rows[i].decoded);
        } else {
            assert_null(decoded);
        }
        free(decoded);
    }
}

static void queries_keep_names_and_values(void **state)
{
    struct query query;
    struct fault fault;

    (void)state;
    assert_true(query_parse(&query, "metadata%5Ba+b%5D=c%26d&&limit=&flag", &fault));
    assert_int_equal(query.n, 3);
    assert_string_equal(query_get(&query, "metadata[a b]"), "c&d");
    assert_string_equal(query_get(&query, "limit"), "");
    assert_string_equal(query_get(&query, "flag"), "");
    assert_null(query_get(&query, "after"));
    query_clear(&query);
    assert_false(query_parse(&query, "a=1&b=2&%61=3", &fault));
    assert_string_equal(fault.message, "query parameter %61 is given twice");
    assert_int_equal(query.n, 0);
}

static void text_is_repaired_byte_by_byte(void **state)
{
    char text[] = "a\xff\xc3\xbc\x01\xe2\x82";

    (void)state;
    utf8_repair(text);
    assert_string_equal(text, "a?\xc3\xbc???");
    assert_int_equal(utf8_length(text), 6);
}

static void near_names_are_suggested_and_far_ones_not(void **state)
{
    static const char *const names[] = {"model", "training_file", "validation_file", "seed", NULL};

    (void)state;
    assert_string_equal(suggest("trainingfile", names), "training_file");
    assert_string_equal(suggest("modle", names), "model");
    assert_string_equal(suggest("sed", names), "seed");
    assert_null(suggest("webhook", names));
    assert_null(suggest("", names));
}

static void any_filename_can_be_quoted(void **state)
{
    static const struct {
        const char *name, *header;
    } rows[] = {
        {"a b.csv", "attachment; filename=\"a b.csv\""},
        {"a\"\\b", "attachment; filename=\"a__b\"; filename*=UTF-8''a%22%5Cb"},
        {"\r\n", "attachment; filename=\"__\"; filename*=UTF-8''%0D%0A"},
        {"\xe2\x82\xac", "attachment; filename=\"___\"; filename*=UTF-8''%E2%82%AC"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *header = content_disposition(rows[i].name);

        assert_string_equal(header, rows[i].header);
        free(header);
    }
}

static void listen_addresses_have_a_host_and_a_port(void **state)
{
    static const struct {
        const char *address, *host, *port; /* host NULL: refused */
    } rows[] = {
        {"127.0.0.1:8471", "127.0.0.1", "8471"},
        {"[::1]:0", "::1", "0"},
        {"localhost:65535", "localhost", "65535"},
        {":80", "", "80"},
        {"[]:80", "", "80"},
        {"127.0.0.1", NULL, NULL},
        {"127.0.0.1:", NULL, NULL},
        {"127.0.0.1:65536", NULL, NULL},
        {"127.0.0.1:http", NULL, NULL},
        {"127.0.0.1:-1", NULL, NULL},
        {"::1:80", NULL, NULL},
        {"[::1:80", NULL, NULL},
        {"[:80", NULL, NULL},
        {"", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char host[64], port[6];
        struct prilora_error err;
        enum prilora_status rc = listen_parse(rows[i].address, host, sizeof host, port, &err);

        assert_int_equal(rc, rows[i].host ? PRILORA_OK : PRILORA_EINVAL);
        if (!rows[i].host) {
            assert_non_null(strstr(err.message, rows[i].address));
            continue;
        }
        assert_string_equal(host, rows[i].host);
        assert_string_equal(port, rows[i].port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_read_as_rfc_9110_writes_them),
        cmocka_unit_test(entity_tags_are_found_in_lists),
        cmocka_unit_test(escapes_are_decoded_or_refused),
        cmocka_unit_test(queries_keep_names_and_values),
        cmocka_unit_test(text_is_repaired_byte_by_byte),
        cmocka_unit_test(near_names_are_suggested_and_far_ones_not),
        cmocka_unit_test(any_filename_can_be_quoted),
        cmocka_unit_test(listen_addresses_have_a_host_and_a_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
