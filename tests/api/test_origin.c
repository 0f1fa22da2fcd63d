/* test_origin.c - what pages in a browser may do: names in Host, Origin, CORS; headers in general.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/server.h"

#define JOBS "/v1/fine_tuning/jobs"
#define APP  "https://app.example"

static int open_group(void **state)
{
    static const char *const settings[] = {"--server.cors_origins=" APP " http://localhost:3000",
                                           "--server.allowed_hosts=tuner.example", NULL};

    *state = test_server_new(settings);
    return 0;
}

static int close_group(void **state)
{
    test_server_free(*state);
    return 0;
}

static struct test_reply *ask(struct test_server *server, const char *method, const char *path,
                              const char *first, const char *second, const char *third)
{
    return test_send(server, &(struct test_request){.method = method,
                                                    .path = path,
                                                    .headers = {first, second, third}});
}

static void expect(const struct test_reply *reply, long status, const char *code)
{
    if (reply->status != status || strcmp(test_text(reply->json, "error.code"), code) != 0)
        fail_msg("%ld %s instead of %ld %s", reply->status, reply->body, status, code);
}

/* ---- Host ---- */

static void requests_for_other_names_are_misdirected(void **state)
{
    struct test_reply *reply = ask(*state, "GET", "/livez", "Host: evil.example:80", NULL, NULL);

    expect(reply, 421, "host_not_allowed");
    assert_string_equal(test_text(reply->json, "error.message"),
                        "\"evil.example:80\" is no name of this server: use its address or "
                        "localhost, or add the name to server.allowed_hosts");
    expect(ask(*state, "POST", JOBS, "Host: evil.example", NULL, NULL), 421, "host_not_allowed");
    assert_int_equal(ask(*state, "GET", "/livez", "Host: tuner.example:9", NULL, NULL)->status,
                     200);
    assert_int_equal(ask(*state, "GET", "/livez", "Host: LOCALHOST", NULL, NULL)->status, 200);
}

static void check_raw(struct test_server *server, const char *request, const char *first_line,
                      const char *part)
{
    char *answer = test_send_raw(server, request, strlen(request));

    if (strncmp(answer, first_line, strlen(first_line)) != 0 || !strstr(answer, part))
        fail_msg("%.100s...\nanswer: %s", request, answer);
    free(answer);
}

static void a_missing_host_is_told_in_json(void **state)
{
    check_raw(*state, "GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n",
              "HTTP/1.1 400 Bad Request\r\n", "\"message\":\"there is no Host header\"");
    check_raw(*state, "GET /livez HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
              "HTTP/1.1 400 Bad Request\r\n", "\"message\":\"there is no Host header\"");
    check_raw(*state,
              "GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n"
              "Connection: close\r\n\r\n",
              "HTTP/1.1 400 Bad Request\r\n", "\"message\":\"there are 2 Host headers\"");
    check_raw(*state, "GET /livez HTTP/1.0\r\n\r\n", "HTTP/1.", " 200 OK");
}

static void bodies_of_doubtful_length_end_the_connection(void **state)
{
    static const char *const cases[][2] = {
        {"Content-Length: 5\r\nContent-Length: 4\r\n\r\nhello", "the length of the body is given"},
        {"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "the length of the body is given twice (Content-Length, Transfer-Encoding)"},
        {"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "only chunked is understood"},
        {"Transfer-Encoding: identity\r\n\r\nhello", "only chunked is understood"},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "only chunked is understood"},
    };
    char request[400];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *answer;

        /* a second request behind it must not be answered */
        snprintf(request, sizeof request,
                 "POST " JOBS " HTTP/1.1\r\nHost: localhost\r\n%s"
                 "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
                 cases[i][0]);
        answer = test_send_raw(*state, request, strlen(request));
        assert_non_null(strstr(answer, cases[i][1]));
        assert_non_null(strstr(answer, "Connection: close\r\n"));
        assert_null(strstr(answer, "200 OK"));
        free(answer);
    }
}

static void too_many_headers_are_told_in_json(void **state)
{
    char *request = malloc(70000);
    size_t n = (size_t)snprintf(request, 70000,
                                "GET /livez HTTP/1.1\r\nHost: localhost\r\n"
                                "Connection: close\r\nX-Long: ");

    memset(request + n, 'a', 31000);
    memcpy(request + n + 31000, "\r\n\r\n", 5);
    check_raw(*state, request, "HTTP/1.1 200 OK\r\n", "");
    memset(request + n, 'a', 33000);
    memcpy(request + n + 33000, "\r\n\r\n", 5);
    check_raw(*state, request, "HTTP/1.1 431 Request Header Fields Too Large\r\n",
              "but at most 32768 are taken");
    free(request);
}

/* ---- Origin ---- */

static void pages_of_strangers_change_nothing(void **state)
{
    char own[80];
    struct test_reply *reply;
    static const char *const strangers[] = {
        "Origin: http://evil.example", "Origin: null",
        "Origin: http://127.0.0.1:1",  "Origin: http://localhost",
        "Origin: http://app.example",  "Origin: *"};

    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        reply = ask(*state, "POST", JOBS "/ftjob-x/cancel", strangers[i], NULL, NULL);
        expect(reply, 403, "origin_not_allowed");
        assert_null(test_header(reply, "Access-Control-Allow-Origin"));
        expect(ask(*state, "DELETE", "/v1/files/file-x", strangers[i], NULL, NULL), 403,
               "origin_not_allowed");
        reply = ask(*state, "GET", "/v1/models", strangers[i], NULL, NULL);
        assert_int_equal(reply->status, 200); /* which the browser keeps from the page */
        assert_null(test_header(reply, "Access-Control-Allow-Origin"));
    }
    snprintf(own, sizeof own, "Origin: http://127.0.0.1:%d", ((struct test_server *)*state)->port);
    expect(ask(*state, "DELETE", "/v1/files/file-x", own, NULL, NULL), 404, "file_not_found");
    expect(ask(*state, "DELETE", "/v1/files/file-x", NULL, NULL, NULL), 404, "file_not_found");
    expect(ask(*state, "DELETE", "/v1/files/file-x", "Origin: " APP, NULL, NULL), 404,
           "file_not_found");
}

/* ---- CORS ---- */

static void pages_of_listed_origins_may_ask_and_read(void **state)
{
    static const char *const origins[] = {APP, "http://localhost:3000"};
    char origin[80];

    for (size_t i = 0; i < 2; i++) {
        struct test_reply *reply;

        snprintf(origin, sizeof origin, "Origin: %s", origins[i]);
        /* a browser sends no key with this question */
        reply = ask(*state, "OPTIONS", "/v1/files/file-x", origin,
                    "Access-Control-Request-Method: DELETE",
                    "Access-Control-Request-Headers: authorization,x-stainless-retry-count");
        assert_int_equal(reply->status, 204);
        assert_string_equal(test_header(reply, "Access-Control-Allow-Origin"), origins[i]);
        assert_string_equal(test_header(reply, "Access-Control-Allow-Methods"),
                            "GET, HEAD, DELETE");
        assert_string_equal(test_header(reply, "Access-Control-Allow-Headers"),
                            "authorization,x-stainless-retry-count");
        assert_string_equal(test_header(reply, "Vary"), "Origin");
        reply = ask(*state, "GET", "/v1/files/file-x", origin, NULL, NULL);
        expect(reply, 404, "file_not_found"); /* errors can be read as well */
        assert_string_equal(test_header(reply, "Access-Control-Allow-Origin"), origins[i]);
        assert_non_null(strstr(test_header(reply, "Access-Control-Expose-Headers"),
                               "x-request-id, x-should-retry, Retry-After, ETag"));
        assert_null(test_header(reply, "Access-Control-Allow-Credentials"));
        reply = ask(*state, "GET", "/v1/models", origin, "X-Real-IP: 192.0.2.1", NULL);
        expect(reply, 401, "invalid_api_key");
        assert_string_equal(test_header(reply, "Access-Control-Allow-Origin"), origins[i]);
    }
}

static void other_questions_before_requests_get_no_leave(void **state)
{
    static const char method[] = "Access-Control-Request-Method: GET";
    struct test_reply *reply =
        ask(*state, "OPTIONS", "/v1/models", "Origin: http://evil.example", method, NULL);

    expect(reply, 405, "method_not_allowed");
    assert_null(test_header(reply, "Access-Control-Allow-Origin"));
    assert_null(test_header(reply, "Access-Control-Allow-Methods"));
    expect(ask(*state, "OPTIONS", "/v1/nothing", "Origin: " APP, method, NULL), 404, "unknown_url");
    expect(ask(*state, "OPTIONS", "/v1/models", "Origin: " APP, NULL, NULL), 405,
           "method_not_allowed");
    reply = ask(*state, "OPTIONS", "/v1/models", "Origin: " APP, method,
                "Access-Control-Request-Headers: a\"b");
    assert_int_equal(reply->status, 204);
    assert_null(test_header(reply, "Access-Control-Allow-Headers"));
}

static void without_the_setting_there_is_no_cors(void **state)
{
    struct test_server *server = test_server_new(NULL);
    struct test_reply *reply = ask(server, "GET", "/v1/models", "Origin: " APP, NULL, NULL);

    (void)state;
    assert_int_equal(reply->status, 200);
    assert_null(test_header(reply, "Access-Control-Allow-Origin"));
    assert_null(test_header(reply, "Vary"));
    expect(ask(server, "OPTIONS", "/v1/models", "Origin: " APP,
               "Access-Control-Request-Method: GET", NULL),
           405, "method_not_allowed");
    test_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_for_other_names_are_misdirected),
        cmocka_unit_test(a_missing_host_is_told_in_json),
        cmocka_unit_test(bodies_of_doubtful_length_end_the_connection),
        cmocka_unit_test(too_many_headers_are_told_in_json),
        cmocka_unit_test(pages_of_strangers_change_nothing),
        cmocka_unit_test(pages_of_listed_origins_may_ask_and_read),
        cmocka_unit_test(other_questions_before_requests_get_no_leave),
        cmocka_unit_test(without_the_setting_there_is_no_cors),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
