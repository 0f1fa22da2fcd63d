/*
 * test_framing.c - requests whose end, or whose headers, two servers might read differently, and
 * bodies that are not what they seem: raw bytes, and what must come back. Where the end of a
 * request is in doubt nothing behind it may be taken for another one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/server.h"

#define LAST    "Connection: close\r\n"
#define KEYS    "POST /v1/keys HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
#define LIVEZ   "GET /livez HTTP/1.1\r\nHost: localhost\r\n"
#define HIDDEN  LIVEZ LAST "\r\n" /* must not be answered */
#define CHUNKED "Transfer-Encoding: chunked\r\n"

static const struct row {
    const char *sent;
    int status;
    const char *code; /* "": it is libmicrohttpd's answer, or a success */
} rows[] = {
    /* two lengths */
    {KEYS "Content-Length: 4\r\n" CHUNKED "\r\n0\r\n\r\n" HIDDEN, 400, "ambiguous_length"},
    {KEYS CHUNKED "Content-Length: 0\r\n\r\n0\r\n\r\n" HIDDEN, 400, "ambiguous_length"},
    {KEYS "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x" HIDDEN, 400, "ambiguous_length"},
    {KEYS "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" HIDDEN, 400, "ambiguous_length"},
    /* encodings that are none, or that only one of two servers sees */
    {KEYS "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" HIDDEN, 501, "unsupported_encoding"},
    {KEYS "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" HIDDEN, 501, "unsupported_encoding"},
    {KEYS "Transfer-Encoding: identity\r\n" CHUNKED "\r\n0\r\n\r\n" HIDDEN, 501,
     "unsupported_encoding"},
    {KEYS "Transfer-Encoding : chunked\r\nContent-Length: 2\r\n\r\n{}" HIDDEN, 400,
     "invalid_header"},
    {KEYS "X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}" HIDDEN, 400,
     "invalid_header"},
    {"POST /v1/keys HTTP/1.0\r\nHost: localhost\r\n" CHUNKED "\r\n0\r\n\r\n" HIDDEN, 400,
     "ambiguous_length"},
    /* lengths that are none */
    {KEYS "Content-Length: 2, 2\r\n\r\n{}" HIDDEN, 400, ""},
    {KEYS "Content-Length: +2\r\n\r\n{}" HIDDEN, 400, ""},
    {KEYS "Content-Length: -2\r\n\r\n{}" HIDDEN, 400, ""},
    {KEYS "Content-Length: 0x2\r\n\r\n{}" HIDDEN, 400, ""},
    {KEYS "Content-Length: 18446744073709551616\r\n\r\n{}" HIDDEN, 413, ""},
    {KEYS LAST "Content-Length: 9223372036854775808\r\n\r\n{}", 413, "body_too_large"},
    /* chunks that are none */
    {KEYS CHUNKED "\r\nzz\r\n" HIDDEN, 400, ""},
    {KEYS CHUNKED "\r\n-1\r\nabc\r\n" HIDDEN, 400, ""},
    {KEYS CHUNKED "\r\n0x2\r\n{}\r\n0\r\n\r\n" HIDDEN, 400, ""},
    {KEYS CHUNKED "\r\nfffffffffffffffff\r\nabc\r\n" HIDDEN, 413, ""},
    {KEYS CHUNKED "\r\n2\r\n{}XX0\r\n\r\n" HIDDEN, 400, ""},
    /* a trailer is no header */
    {KEYS LAST CHUNKED "\r\n2\r\n{}\r\n0\r\nHost: evil.example\r\nContent-Length: 9\r\n\r\n", 400,
     "missing_required_parameter"},
    /* header lines */
    {"GET /livez HTTP/1.1\r\nHost: localhost\rX: y\r\n" LAST "\r\n", 400, "invalid_header"},
    {LIVEZ LAST "X Y: z\r\n\r\n", 400, "invalid_header"},
    {LIVEZ LAST "X\xff: z\r\n\r\n", 400, "invalid_header"},
    {LIVEZ "Host: evil.example\r\n" LAST "\r\n", 400, "invalid_host"},
    {"GET /livez HTTP/1.1\r\n" LAST "\r\n", 400, "invalid_host"},
    {LIVEZ LAST "x-request-id: \x01\x02\x7f\xff\r\n\r\n", 200, ""},
    /* bodies in another coding */
    {KEYS LAST "Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x01", 415,
     "unsupported_encoding"},
    {"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; "
     "boundary=cut\r\nContent-Encoding: br\r\n" LAST "Content-Length: 4\r\n\r\n--cu",
     415, "unsupported_encoding"},
    {KEYS LAST "Content-Encoding: Identity\r\nContent-Length: 2\r\n\r\n{}", 400,
     "missing_required_parameter"},
    /* Expect */
    {KEYS LAST "Expect: 100-continue\r\nContent-Length: 999999999\r\n\r\n", 413, "body_too_large"},
    /* versions and methods */
    {"GET /livez HTTP/1.0\r\n\r\n", 200, ""},
    {"GET /livez HTTP/2.0\r\nHost: localhost\r\n\r\n", 505, ""},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, ""},
    {"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n" LAST "\r\n", 404, "unknown_url"},
    {"TRACE /livez HTTP/1.1\r\nHost: localhost\r\nX: secret\r\n" LAST "\r\n", 405,
     "method_not_allowed"},
    {LIVEZ "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n" LAST "\r\n", 200, ""},
};

/* The status of the answer, 0 if there is none. */
static int status_of(const char *answer)
{
    return strncmp(answer, "HTTP/1.", 7) == 0 ? (int)strtol(answer + 9, NULL, 10) : 0;
}

static void check(const struct row *row, const char *answer)
{
    char code[100];

    snprintf(code, sizeof code, "\"code\":\"%s\"", row->code);
    if (status_of(answer) != row->status || (*row->code && !strstr(answer, code)) ||
        strstr(answer, "secret") ||
        /* the answer to what was hidden */
        (row->status != 200 && strstr(answer, "\"status\":\"ok\"")))
        fail_msg("%s\nwas answered by\n%s", row->sent, answer);
}

static void a_request_that_could_be_read_in_two_ways_is_refused(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *answer = test_send_raw(*state, rows[i].sent, strlen(rows[i].sent));

        check(&rows[i], answer);
        free(answer);
    }
}

static size_t count(const char *text, const char *word)
{
    size_t n = 0;

    for (; (text = strstr(text, word)); text++)
        n++;
    return n;
}

static void requests_in_a_row_are_answered_in_their_order(void **state)
{
    static const char sent[] =
        LIVEZ "\r\n" KEYS "Content-Length: 2\r\n\r\n{}" LIVEZ
              "Content-Length: 5\r\n\r\nhello" KEYS CHUNKED "\r\n2;name=value\r\n{}\r\n0\r\n\r\n"
              "HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
              "GET /readyz HTTP/1.1\r\nHost: localhost\r\n" LAST "\r\n" HIDDEN;
    char *answer = test_send_raw(*state, sent, sizeof sent - 1);

    if (count(answer, "HTTP/1.1 200 OK\r\n") != 4 || count(answer, "HTTP/1.1 400 ") != 2 ||
        count(answer, "\"status\":\"ok\"") != 3 || !strstr(answer, "\"jobs\""))
        fail_msg("%s", answer);
    free(answer);
}

/* Headers above the limit are refused in our words, and far above it in libmicrohttpd's. */
static void headers_without_end_are_refused(void **state)
{
    static const struct {
        const char *line;
        size_t n;
    } floods[] = {{"X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", 600},
                  {"a: b\r\n", 10000},
                  {"a: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", 20000}};

    for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
        char *sent = NULL, *answer;
        size_t size;
        FILE *out = open_memstream(&sent, &size);

        fputs(LIVEZ LAST, out);
        for (size_t k = 0; k < floods[i].n; k++)
            fputs(floods[i].line, out);
        fputs("\r\n", out);
        fclose(out);
        answer = test_send_raw(*state, sent, size);
        /* who does not stop sending may find the connection reset before he has read */
        if (status_of(answer) != 431 && *answer)
            fail_msg("%.300s", answer);
        free(answer);
        free(sent);
    }
    assert_int_equal(test_get(*state, "/livez")->status, 200);
}

static int open_group(void **state)
{
    *state = test_server_new(NULL);
    return 0;
}

static int close_group(void **state)
{
    test_server_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_that_could_be_read_in_two_ways_is_refused),
        cmocka_unit_test(requests_in_a_row_are_answered_in_their_order),
        cmocka_unit_test(headers_without_end_are_refused),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
