/*
 * test_keys.c - API keys over HTTP: who needs one, what each scope may do, quotas, what is logged.
 *
 * X-Forwarded-For makes a request on loopback one from elsewhere.
 */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/server.h"

#define JOBS "/v1/fine_tuning/jobs"
#define FAR  "X-Forwarded-For: 198.51.100.7"

static int open_group(void **state)
{
    static const char *const settings[] = {"--log.level=debug", NULL};

    *state = test_server_new(settings);
    return 0;
}

static int close_group(void **state)
{
    test_server_free(*state);
    return 0;
}

/* ---- asking ---- */

/* An Authorization header with this key, in one of four buffers used in turn. */
static const char *bearer(const char *key)
{
    static char buffers[4][200];
    static unsigned next;
    char *header = buffers[next++ % 4];

    snprintf(header, sizeof buffers[0], "Authorization: Bearer %s", key);
    return header;
}

static struct test_reply *ask(struct test_server *server, const char *method, const char *path,
                              const char *first, const char *second)
{
    return test_send(
        server, &(struct test_request){.method = method, .path = path, .headers = {first, second}});
}

static void expect(const struct test_reply *reply, long status, const char *code)
{
    if (reply->status != status || strcmp(test_text(reply->json, "error.code"), code) != 0)
        fail_msg("%ld %s instead of %ld %s", reply->status, reply->body, status, code);
}

struct made {
    char id[64], key[128];
};

static struct made make(struct test_server *server, const char *json)
{
    struct test_reply *reply = test_post(server, "/v1/keys", json);
    struct made made;

    if (reply->status != 200)
        fail_msg("no key was made: %s", reply->body);
    snprintf(made.id, sizeof made.id, "%s", test_text(reply->json, "id"));
    snprintf(made.key, sizeof made.key, "%s", test_text(reply->json, "key"));
    return made;
}

/* ---- where a key is needed ---- */

static void on_loopback_no_key_is_needed_and_any_is_ignored(void **state)
{
    static const char *const headers[] = {NULL, "Authorization: Bearer whatever",
                                          "Authorization: Bearer sk-proj-abc", "Authorization: ",
                                          "Authorization: Basic cHJpbG9yYS06eA=="};

    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        assert_int_equal(ask(*state, "GET", "/v1/keys", headers[i], NULL)->status, 200);
        assert_int_equal(ask(*state, "DELETE", "/v1/files/file-x", headers[i], NULL)->status, 404);
    }
}

static void what_a_proxy_forwards_needs_one(void **state)
{
    static const char *const headers[] = {FAR, "X-Real-IP: 198.51.100.7",
                                          "Forwarded: for=198.51.100.7",
                                          "X-Forwarded-For: 127.0.0.1",
                                          "x-forwarded-for: nonsense"};
    const char *expected =
        "{\"error\":{\"message\":\"an API key is needed: send \\\"Authorization: Bearer "
        "prilora-...\\\" (\\\"prilora keys create\\\" on the server's machine makes "
        "one)\",\"type\":"
        "\"authentication_error\",\"param\":null,\"code\":\"invalid_api_key\"},";

    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct test_reply *reply = ask(*state, "GET", "/v1/models", headers[i], NULL);

        expect(reply, 401, "invalid_api_key");
        assert_string_equal(test_header(reply, "WWW-Authenticate"), "Bearer realm=\"prilorad\"");
        assert_memory_equal(reply->body, expected, strlen(expected));
        assert_int_equal(ask(*state, "GET", "/livez", headers[i], NULL)->status, 200);
        assert_int_equal(ask(*state, "GET", "/readyz", headers[i], NULL)->status, 200);
    }
    expect(ask(*state, "GET", "/v1/models", FAR, "Authorization: Bearer whatever"), 401,
           "invalid_api_key");
}

static void keys_in_addresses_are_not_taken(void **state)
{
    struct made made = make(*state, "{\"name\": \"address\"}");
    char path[200];

    snprintf(path, sizeof path, "/v1/models?api_key=%s", made.key);
    assert_int_equal(ask(*state, "GET", path, "X-Forwarded-For: 198.51.100.8", NULL)->status, 401);
    snprintf(path, sizeof path, "/v1/models?access_token=%s", made.key);
    assert_int_equal(ask(*state, "GET", path, "X-Forwarded-For: 198.51.100.8", NULL)->status, 401);
}

/* An IPv4 address of this machine other than loopback; false: it has none. */
static bool own_address(char out[INET_ADDRSTRLEN])
{
    struct ifaddrs *list, *a;
    bool found = false;

    assert_int_equal(getifaddrs(&list), 0);
    for (a = list; a && !found; a = a->ifa_next) {
        if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET || !(a->ifa_flags & IFF_UP) ||
            a->ifa_flags & IFF_LOOPBACK)
            continue;
        inet_ntop(AF_INET, &((struct sockaddr_in *)(void *)a->ifa_addr)->sin_addr, out,
                  INET_ADDRSTRLEN);
        found = true;
    }
    freeifaddrs(list);
    return found;
}

/* The first line of what it answers to a request that is sent to an address of its own. */
static void ask_at(const struct test_server *server, const char *address, const char *key,
                   const char *first_line)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server->port)};
    char text[400], answer[400] = "";
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int n = snprintf(text, sizeof text,
                     "GET /v1/models HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s\r\n\r\n",
                     address, key ? "Authorization: Bearer " : "X: y", key ? key : "");

    inet_pton(AF_INET, address, &name.sin_addr);
    assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
    assert_true(recv(fd, answer, sizeof answer - 1, 0) > 0);
    close(fd);
    answer[strcspn(answer, "\r")] = '\0';
    assert_string_equal(answer, first_line);
}

static void another_address_than_loopback_needs_one(void **state)
{
    static const char *const settings[] = {"--server.listen=0.0.0.0:0", NULL};
    struct test_server *server = test_server_new(settings);
    char address[INET_ADDRSTRLEN], *log = test_server_log(server);
    struct made made = make(server, "{\"name\": \"net\", \"scope\": \"read\"}");
    bool has_one = own_address(address);

    (void)state;
    assert_non_null(strstr(log, "is not the loopback address, and there is no TLS"));
    free(log);
    if (has_one) {
        ask_at(server, address, NULL, "HTTP/1.1 401 Unauthorized");
        ask_at(server, address, made.key, "HTTP/1.1 200 OK");
    }
    test_server_free(server);
    if (!has_one)
        skip();
}

static void with_keys_always_loopback_needs_one_but_not_the_socket(void **state)
{
    char socket_setting[400], path[300];
    const char *settings[] = {"--server.keys=always", socket_setting, NULL};
    struct test_reply *reply;
    struct test_server *server;
    char key[128];

    (void)state;
    snprintf(path, sizeof path, "/tmp/prilorad-test-%ld.sock", (long)getpid());
    snprintf(socket_setting, sizeof socket_setting, "--server.socket=%s", path);
    server = test_server_new(settings);
    expect(test_get(server, "/v1/models"), 401, "invalid_api_key");
    assert_int_equal(test_get(server, "/livez")->status, 200);
    reply = test_send(server, &(struct test_request){.method = "POST",
                                                     .path = "/v1/keys",
                                                     .body = "{\"name\": \"first\"}",
                                                     .socket = path});
    assert_int_equal(reply->status, 200);
    snprintf(key, sizeof key, "%s", test_text(reply->json, "key"));
    assert_int_equal(ask(server, "GET", "/v1/models", bearer(key), NULL)->status, 200);
    /* a proxy before the socket brings strangers, too */
    reply = test_send(server,
                      &(struct test_request){
                          .method = "GET", .path = "/v1/models", .socket = path, .headers = {FAR}});
    expect(reply, 401, "invalid_api_key");
    test_server_free(server);
}

/* ---- what keys may do ---- */

static void each_scope_may_do_what_those_before_it_may(void **state)
{
    static const struct {
        const char *method, *path;
        int needed; /* 0: nothing, 1: read, 2: submit, 3: admin */
    } requests[] = {
        {"GET", "/livez", 0},
        {"GET", "/v1/models", 1},
        {"HEAD", "/v1/models", 1},
        {"GET", "/v1/files", 1},
        {"GET", JOBS, 1},
        {"GET", JOBS "/ftjob-x/layers", 1},
        {"POST", "/v1/files", 2},
        {"DELETE", "/v1/files/file-x", 2},
        {"POST", JOBS, 2},
        {"POST", JOBS "/ftjob-x/cancel", 2},
        {"DELETE", "/v1/models/ft%3Ax", 2},
        {"GET", "/v1/keys", 3},
        {"GET", "/v1/backup", 3},
        {"POST", "/v1/maintenance/gc", 3},
        {"GET", "/v1/keys/key-x", 3},
        {"POST", "/v1/keys", 3},
        {"DELETE", "/v1/keys/key-x", 3},
    };
    static const char *const names[] = {"", "read", "submit", "admin"};
    struct made keys[4];

    for (int scope = 1; scope <= 3; scope++) {
        char json[100];

        snprintf(json, sizeof json, "{\"name\": \"n\", \"scope\": \"%s\"}", names[scope]);
        keys[scope] = make(*state, json);
    }
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        for (int scope = 1; scope <= 3; scope++) {
            struct test_reply *reply = ask(*state, requests[i].method, requests[i].path,
                                           bearer(keys[scope].key), scope == 2 ? FAR : NULL);
            char message[200];

            if (scope >= requests[i].needed) {
                if (reply->status == 403 || reply->status == 401)
                    fail_msg("%s may not %s %s", names[scope], requests[i].method,
                             requests[i].path);
                continue;
            }
            expect(reply, 403, "insufficient_scope");
            snprintf(message, sizeof message,
                     "this needs a key of scope %s, but %s is one of scope %s",
                     names[requests[i].needed], keys[scope].id, names[scope]);
            assert_string_equal(test_text(reply->json, "error.message"), message);
            assert_string_equal(test_text(reply->json, "error.type"), "permission_error");
        }
    }
}

static void a_revoked_key_is_worth_nothing_at_once(void **state)
{
    struct made made = make(*state, "{\"name\": \"short\", \"scope\": \"admin\"}");
    struct test_reply *reply;
    char path[100];

    snprintf(path, sizeof path, "/v1/keys/%s", made.id);
    assert_int_equal(ask(*state, "GET", "/v1/models", bearer(made.key), NULL)->status, 200);
    reply = ask(*state, "DELETE", path, bearer(made.key), NULL); /* it may end itself */
    assert_int_equal(reply->status, 200);
    assert_string_equal(test_text(reply->json, "id"), made.id);
    assert_true(json_is_true(test_member(reply->json, "deleted")));
    assert_true(test_integer(reply->json, "revoked_at") > 0);
    expect(ask(*state, "GET", "/v1/models", bearer(made.key), NULL), 401, "invalid_api_key");
    expect(ask(*state, "GET", "/v1/models", bearer(made.key), FAR), 401, "invalid_api_key");
    reply = ask(*state, "GET", path, NULL, NULL);
    assert_true(test_integer(reply->json, "revoked_at") > 0);
    assert_int_equal(ask(*state, "DELETE", path, NULL, NULL)->status, 200);
    expect(ask(*state, "DELETE", "/v1/keys/key-none", NULL, NULL), 404, "key_not_found");
    expect(ask(*state, "GET", "/v1/keys/file-none", NULL, NULL), 404, "key_not_found");
}

static void a_key_with_our_prefix_must_be_right_even_on_loopback(void **state)
{
    expect(ask(*state, "GET", "/v1/models", "Authorization: Bearer prilora-", NULL), 401,
           "invalid_api_key");
    expect(ask(*state, "GET", "/v1/models",
               "Authorization: bearer   prilora-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
               NULL),
           401, "invalid_api_key");
}

/* ---- the objects ---- */

static void a_key_is_shown_once_and_then_without_itself(void **state)
{
    struct test_reply *reply =
        test_post(*state, "/v1/keys",
                  "{\"name\": \"caf\\u00e9\", \"scope\": \"read\", \"expires_in\": 3600, "
                  "\"max_queued_jobs\": 5, \"max_bytes\": 1000000}");
    char id[64], key[128];
    json_int_t created;

    assert_int_equal(reply->status, 200);
    assert_string_equal(test_header(reply, "Cache-Control"), "no-store");
    snprintf(id, sizeof id, "%s", test_text(reply->json, "id"));
    snprintf(key, sizeof key, "%s", test_text(reply->json, "key"));
    created = test_integer(reply->json, "created_at");
    assert_memory_equal(id, "key-", 4);
    assert_memory_equal(key, "prilora-", 8);
    assert_int_equal(json_object_size(reply->json), 12);

    reply = test_get(*state, "/v1/keys/%s", id);
    assert_null(strstr(reply->body, key));
    assert_null(test_member(reply->json, "key"));
    assert_int_equal(json_object_size(reply->json), 11);
    assert_string_equal(test_text(reply->json, "object"), "api_key");
    assert_string_equal(test_text(reply->json, "name"), "caf\xc3\xa9");
    assert_string_equal(test_text(reply->json, "scope"), "read");
    assert_true(test_integer(reply->json, "expires_at") - created >= 3600);
    assert_true(test_integer(reply->json, "expires_at") - created <= 3601);
    assert_true(json_is_null(test_member(reply->json, "last_used_at")));
    assert_true(json_is_null(test_member(reply->json, "revoked_at")));
    assert_int_equal(test_integer(reply->json, "max_queued_jobs"), 5);
    assert_int_equal(test_integer(reply->json, "max_bytes"), 1000000);
    assert_int_equal(test_integer(reply->json, "usage.queued_jobs"), 0);
    assert_int_equal(test_integer(reply->json, "usage.bytes"), 0);

    assert_int_equal(ask(*state, "GET", "/v1/models", bearer(key), FAR)->status, 200);
    reply = test_get(*state, "/v1/keys/%s", id);
    assert_true(test_integer(reply->json, "last_used_at") >= created);

    reply = test_get(*state, "/v1/keys?limit=1");
    assert_string_equal(test_text(reply->json, "object"), "list");
    assert_string_equal(test_text(reply->json, "data.0.id"), id);
    assert_true(json_is_true(test_member(reply->json, "has_more")));
    assert_null(strstr(reply->body, "prilora-"));
    reply = test_get(*state, "/v1/keys?limit=100&after=%s", id);
    assert_int_equal(reply->status, 200);
    assert_null(strstr(reply->body, id));
    reply = test_get(*state, "/v1/keys?after=key-none");
    expect(reply, 400, "invalid_value");
}

static void wrong_wishes_are_refused_with_the_place(void **state)
{
    static const struct {
        const char *body, *code, *param, *message;
    } cases[] = {
        {"{}", "missing_required_parameter", "name", "name is missing: what is this key for?"},
        {"", "missing_body", "", NULL},
        {"[]", "invalid_json", "", "the body is not a JSON object"},
        {"{\"name\": \"a\"", "invalid_json", "", NULL},
        {"{\"name\": \"a\", \"name\": \"b\"}", "invalid_json", "", NULL},
        {"{\"name\": 7}", "invalid_value", "name", "name: must be a text of 1 to 100 bytes"},
        {"{\"name\": \"\"}", "invalid_value", "name", "name: must be a text of 1 to 100 bytes"},
        {"{\"name\": \"a\\u0000b\"}", "invalid_json", "", NULL},
        {"{\"name\": \"a\\nb\"}", "invalid_value", "name", "name: must have no control characters"},
        {"{\"name\": \"a\", \"scope\": \"root\"}", "invalid_value", "scope",
         "scope: \"root\", but must be read, submit or admin"},
        {"{\"name\": \"a\", \"scope\": \"none\"}", "invalid_value", "scope",
         "scope: \"none\", but must be read, submit or admin"},
        {"{\"name\": \"a\", \"scope\": 3}", "invalid_value", "scope", NULL},
        {"{\"name\": \"a\", \"expires_in\": 0}", "invalid_value", "expires_in",
         "expires_in: must be an integer from 1 to 3162240000"},
        {"{\"name\": \"a\", \"expires_in\": 1.5}", "invalid_value", "expires_in", NULL},
        {"{\"name\": \"a\", \"expires_in\": 9223372036854775807}", "invalid_value", "expires_in",
         NULL},
        {"{\"name\": \"a\", \"expires_at\": 1}", "invalid_value", "expires_at", NULL},
        {"{\"name\": \"a\", \"expires_at\": 4102444800, \"expires_in\": 5}", "invalid_value",
         "expires_at", "expires_in and expires_at are both given"},
        {"{\"name\": \"a\", \"max_queued_jobs\": 0}", "invalid_value", "max_queued_jobs", NULL},
        {"{\"name\": \"a\", \"max_queued_jobs\": true}", "invalid_value", "max_queued_jobs", NULL},
        {"{\"name\": \"a\", \"max_bytes\": -1}", "invalid_value", "max_bytes",
         "max_bytes: must be an integer from 1 to 9007199254740991"},
        {"{\"name\": \"a\", \"max_bytes\": \"1\"}", "invalid_value", "max_bytes", NULL},
        {"{\"name\": \"a\", \"key\": \"prilora-mine\"}", "unknown_parameter", "key", NULL},
    };
    struct test_reply *reply;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        reply = test_post(*state, "/v1/keys", cases[i].body);
        if (reply->status != 400 ||
            strcmp(test_text(reply->json, "error.code"), cases[i].code) != 0 ||
            strcmp(test_text(reply->json, "error.param"), cases[i].param) != 0 ||
            (cases[i].message &&
             strcmp(test_text(reply->json, "error.message"), cases[i].message) != 0))
            fail_msg("%s: %ld %s", cases[i].body, reply->status, reply->body);
    }
    reply = test_send(*state, &(struct test_request){.method = "POST",
                                                     .path = "/v1/keys",
                                                     .body = "{\"name\": \"a\"}",
                                                     .type = "text/plain"});
    expect(reply, 415, "unsupported_media_type");
}

/* ---- quotas ---- */

/* Uploads `text` with a key, and more bytes of another part after it. */
static struct test_reply *upload(struct test_server *server, const char *key, const char *text)
{
    static char body[400000];
    int n = snprintf(
        body, sizeof body,
        "--cut\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n"
        "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n%s\r\n"
        "--cut--\r\n",
        text);

    return test_send(server, &(struct test_request){.method = "POST",
                                                    .path = "/v1/files",
                                                    .body = body,
                                                    .size = (size_t)n,
                                                    .type = "multipart/form-data; boundary=cut",
                                                    .headers = {bearer(key)}});
}

static void bytes_are_counted_at_the_end_and_at_the_beginning(void **state)
{
    struct made made = make(*state, "{\"name\": \"b\", \"max_bytes\": 100000}");
    char *big = malloc(300001), path[100], id[64];
    struct test_reply *reply;

    assert_non_null(big);
    memset(big, 'x', 300000);
    big[300000] = '\0';
    reply = upload(*state, made.key, big); /* refused before it is read */
    expect(reply, 429, "quota_exceeded");
    assert_string_equal(test_header(reply, "x-should-retry"), "false");
    assert_non_null(strstr(test_text(reply->json, "error.message"),
                           "max_bytes of this key is 100000: its files have 0 bytes, and "));
    big[90000] = '\0';
    reply = upload(*state, made.key, big);
    assert_int_equal(reply->status, 200);
    snprintf(id, sizeof id, "%s", test_text(reply->json, "id"));
    big[10001] = '\0';
    reply = upload(*state, made.key, big);
    expect(reply, 429, "quota_exceeded");
    assert_string_equal(test_text(reply->json, "error.message"),
                        "max_bytes of this key is 100000: its files have 90000 bytes, and 10001 "
                        "more do not fit");
    assert_string_equal(test_text(reply->json, "error.param"), "max_bytes");
    assert_string_equal(test_header(reply, "x-should-retry"), "false");
    big[10000] = '\0';
    assert_int_equal(upload(*state, made.key, big)->status, 200);
    assert_int_equal(test_integer(test_get(*state, "/v1/keys/%s", made.id)->json, "usage.bytes"),
                     100000);
    snprintf(path, sizeof path, "/v1/files/%s", id);
    assert_int_equal(ask(*state, "DELETE", path, NULL, NULL)->status, 200);
    assert_int_equal(upload(*state, made.key, big)->status, 200);
    free(big);
}

static void jobs_that_are_not_over_are_counted(void **state)
{
    struct made made = make(*state, "{\"name\": \"j\", \"max_queued_jobs\": 1}");
    char *text = test_sentences(200, 1), body[400], path[100];
    struct test_request request = {.method = "POST", .path = JOBS, .body = body};
    struct test_reply *reply;

    snprintf(body, sizeof body,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"method\": {\"type\": "
             "\"prilora\", \"prilora\": {\"hyperparameters\": {\"n_epochs\": 10000}}}}",
             test_upload(*state, "a.jsonl", text));
    free(text);
    request.headers[0] = bearer(made.key);
    reply = test_send(*state, &request);
    assert_int_equal(reply->status, 200);
    snprintf(path, sizeof path, JOBS "/%s/cancel", test_text(reply->json, "id"));
    reply = test_send(*state, &request);
    expect(reply, 429, "quota_exceeded");
    assert_string_equal(test_text(reply->json, "error.message"),
                        "max_queued_jobs of this key is 1, and 1 of its jobs are not over yet");
    assert_string_equal(test_header(reply, "x-should-retry"), "false");
    assert_int_equal(
        test_integer(test_get(*state, "/v1/keys/%s", made.id)->json, "usage.queued_jobs"), 1);
    assert_int_equal(ask(*state, "POST", path, NULL, NULL)->status, 200);
    path[strlen(path) - strlen("/cancel")] = '\0';
    test_wait_job(*state, path + strlen(JOBS "/"), "cancelled");
    reply = test_send(*state, &request);
    assert_int_equal(reply->status, 200);
    snprintf(path, sizeof path, JOBS "/%s/cancel", test_text(reply->json, "id"));
    assert_int_equal(ask(*state, "POST", path, NULL, NULL)->status, 200);
}

/* ---- attempts, the log, restarts ---- */

static void who_tries_too_often_must_wait_but_right_keys_go_on(void **state)
{
    static const char from[] = "X-Forwarded-For: 203.0.113.5, 203.0.113.99";
    static const char elsewhere[] = "X-Forwarded-For: 203.0.113.99, 203.0.113.6";
    static const char wrong[] = "Authorization: Bearer prilora-wrong";
    struct made made = make(*state, "{\"name\": \"patient\"}");
    struct test_reply *reply;
    long wait;

    for (int i = 0; i < 20; i++)
        expect(ask(*state, "GET", "/v1/models", from, wrong), 401, "invalid_api_key");
    reply = ask(*state, "GET", "/v1/models", from, wrong);
    expect(reply, 429, "too_many_attempts");
    assert_string_equal(test_text(reply->json, "error.type"), "rate_limit_error");
    wait = strtol(test_header(reply, "Retry-After"), NULL, 10);
    assert_true(wait >= 1 && wait <= 60);
    assert_int_equal(ask(*state, "GET", "/v1/models", from, bearer(made.key))->status, 200);
    /* what a client says before the proxy does is not believed */
    expect(ask(*state, "GET", "/v1/models", elsewhere, wrong), 401, "invalid_api_key");
    assert_int_equal(ask(*state, "GET", "/v1/models", NULL, NULL)->status, 200);
}

static void changes_and_refusals_are_logged_and_keys_never(void **state)
{
    struct made made = make(*state, "{\"name\": \"audited\", \"scope\": \"submit\"}");
    char *log, expected[300], id[64];

    snprintf(id, sizeof id, "%s",
             test_header(ask(*state, "DELETE", "/v1/files/file-x", bearer(made.key),
                             "X-Forwarded-For: 198.51.100.20"),
                         "x-request-id"));
    ask(*state, "GET", "/v1/files", bearer(made.key), NULL);
    ask(*state, "GET", "/v1/keys?limit=1", bearer(made.key), NULL);
    ask(*state, "GET", "/v1/files?limit=3", "Authorization: Bearer prilora-sesame",
        "X-Forwarded-For: 198.51.100.21");
    test_get(*state, "/livez");
    log = test_server_log(*state);
    snprintf(expected, sizeof expected,
             "info  audit: %s \"audited\", 198.51.100.20: DELETE /v1/files/file-x 404 %s\n",
             made.id, id);
    assert_non_null(strstr(log, expected));
    snprintf(expected, sizeof expected,
             "warn  audit: refused: %s \"audited\", 127.0.0.1: GET /v1/keys 403 req-", made.id);
    assert_non_null(strstr(log, expected));
    assert_non_null(
        strstr(log, "warn  audit: refused: no key, 198.51.100.21: GET /v1/files 401 req-"));
    snprintf(expected, sizeof expected, "audit: %s \"audited\", 127.0.0.1: GET /v1/files ",
             made.id);
    assert_null(strstr(log, expected)); /* looking is no change */
    assert_null(strstr(log, made.key));
    assert_null(strstr(log, "sesame"));
    free(log);
}

static void keys_survive_a_restart(void **state)
{
    struct made kept = make(*state, "{\"name\": \"kept\", \"scope\": \"read\"}");
    struct made gone = make(*state, "{\"name\": \"gone\", \"scope\": \"read\"}");
    char path[100];
    json_int_t used;

    snprintf(path, sizeof path, "/v1/keys/%s", gone.id);
    assert_int_equal(ask(*state, "DELETE", path, NULL, NULL)->status, 200);
    assert_int_equal(ask(*state, "GET", "/v1/files", bearer(kept.key), FAR)->status, 200);
    used = test_integer(test_get(*state, "/v1/keys/%s", kept.id)->json, "last_used_at");
    test_server_stop(*state);
    test_server_start(*state);
    assert_int_equal(test_integer(test_get(*state, "/v1/keys/%s", kept.id)->json, "last_used_at"),
                     used);
    assert_int_equal(ask(*state, "GET", "/v1/files", bearer(kept.key), FAR)->status, 200);
    expect(ask(*state, "GET", "/v1/files", bearer(gone.key), NULL), 401, "invalid_api_key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_loopback_no_key_is_needed_and_any_is_ignored),
        cmocka_unit_test(what_a_proxy_forwards_needs_one),
        cmocka_unit_test(keys_in_addresses_are_not_taken),
        cmocka_unit_test(another_address_than_loopback_needs_one),
        cmocka_unit_test(with_keys_always_loopback_needs_one_but_not_the_socket),
        cmocka_unit_test(each_scope_may_do_what_those_before_it_may),
        cmocka_unit_test(a_revoked_key_is_worth_nothing_at_once),
        cmocka_unit_test(a_key_with_our_prefix_must_be_right_even_on_loopback),
        cmocka_unit_test(a_key_is_shown_once_and_then_without_itself),
        cmocka_unit_test(wrong_wishes_are_refused_with_the_place),
        cmocka_unit_test(bytes_are_counted_at_the_end_and_at_the_beginning),
        cmocka_unit_test(jobs_that_are_not_over_are_counted),
        cmocka_unit_test(who_tries_too_often_must_wait_but_right_keys_go_on),
        cmocka_unit_test(changes_and_refusals_are_logged_and_keys_never),
        cmocka_unit_test(keys_survive_a_restart),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
