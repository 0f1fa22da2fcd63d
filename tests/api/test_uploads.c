/* test_uploads.c - files that come in parts, over HTTP: every wrong turn, and what it leaves. */
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/speaker.h"

#define CUT "multipart/form-data; boundary=cut"
#define DATA(text)                                                                                 \
    "--cut\r\nContent-Disposition: form-data; name=\"data\"; filename=\"blob\"\r\n"                \
    "Content-Type: application/octet-stream\r\n\r\n" text "\r\n"
#define PART(head, text) "--cut\r\nContent-Disposition: form-data; " head "\r\n\r\n" text "\r\n"
#define END              "--cut--\r\n"
/* What sha256sum and md5sum say of "hello world". */
#define SHA256 "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
#define MD5    "5eb63bbbe01eeed093cb22bb8f5acdc3"

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

static void announce(const struct test_server *server, size_t bytes, char id[64])
{
    char body[200];
    struct test_reply *reply;

    snprintf(body, sizeof body,
             "{\"bytes\": %zu, \"filename\": \"a.jsonl\", \"mime_type\": \"text/jsonl\", "
             "\"purpose\": \"fine-tune\"}",
             bytes);
    reply = test_post(server, "/v1/uploads", body);
    assert_int_equal(reply->status, 200);
    snprintf(id, 64, "%s", test_text(reply->json, "id"));
}

static struct test_reply *send_part(const struct test_server *server, const char *upload,
                                    const char *form, size_t size, const char *type)
{
    char path[120];

    snprintf(path, sizeof path, "/v1/uploads/%s/parts", upload);
    return test_send(server,
                     &(struct test_request){
                         .method = "POST", .path = path, .body = form, .size = size, .type = type});
}

static void add(const struct test_server *server, const char *upload, const char *form, char id[64])
{
    struct test_reply *reply = send_part(server, upload, form, 0, CUT);

    assert_int_equal(reply->status, 200);
    snprintf(id, 64, "%s", test_text(reply->json, "id"));
}

static struct test_reply *end(const struct test_server *server, const char *upload,
                              const char *verb, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static struct test_reply *end(const struct test_server *server, const char *upload,
                              const char *verb, const char *format, ...)
{
    char path[120], body[400];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(body, sizeof body, format, arguments);
    va_end(arguments);
    snprintf(path, sizeof path, "/v1/uploads/%s/%s", upload, verb);
    return test_post(server, path, *body ? body : NULL);
}

static void a_file_comes_in_parts(void **state)
{
    char id[64], first[64], second[64], file[64];
    struct test_reply *reply =
        test_post(*state, "/v1/uploads",
                  "{\"bytes\": 11, \"filename\": \"x/Gr\\u00f6\\u00dfe.jsonl\", \"mime_type\": "
                  "\"text/jsonl\", \"purpose\": \"fine-tune\", \"expires_after\": {\"anchor\": "
                  "\"created_at\", \"seconds\": 7200}}");

    assert_int_equal(reply->status, 200);
    assert_string_equal(test_text(reply->json, "object"), "upload");
    assert_string_equal(test_text(reply->json, "status"), "pending");
    assert_string_equal(test_text(reply->json, "filename"), "Gr\xc3\xb6\xc3\x9f"
                                                            "e.jsonl");
    assert_int_equal(test_integer(reply->json, "bytes"), 11);
    assert_int_equal(test_integer(reply->json, "expires_at"),
                     test_integer(reply->json, "created_at") + 3600);
    assert_true(json_is_null(json_object_get(reply->json, "file")));
    snprintf(id, sizeof id, "%s", test_text(reply->json, "id"));
    add(*state, id, DATA("world") END, second);
    reply = send_part(*state, id, PART("name=\"data\"", "hello ") END, 0, CUT);
    assert_string_equal(test_text(reply->json, "object"), "upload.part");
    assert_string_equal(test_text(reply->json, "upload_id"), id);
    snprintf(first, sizeof first, "%s", test_text(reply->json, "id"));
    reply = end(*state, id, "complete", "{\"part_ids\": [\"%s\", \"%s\"], \"md5\": \"" MD5 "\"}",
                first, second);
    assert_int_equal(reply->status, 200);
    assert_string_equal(test_text(reply->json, "status"), "completed");
    assert_string_equal(test_text(reply->json, "file.object"), "file");
    assert_string_equal(test_text(reply->json, "file.sha256"), SHA256);
    assert_int_equal(test_integer(reply->json, "file.expires_at"),
                     test_integer(reply->json, "file.created_at") + 7200);
    snprintf(file, sizeof file, "%s", test_text(reply->json, "file.id"));
    assert_string_equal(test_get(*state, "/v1/files/%s/content", file)->body, "hello world");
    reply = test_get(*state, "/v1/uploads/%s", id);
    assert_string_equal(test_text(reply->json, "file.id"), file);
    reply = test_get(*state, "/v1/uploads?limit=1");
    assert_string_equal(test_text(reply->json, "data.0.id"), id);
    assert_int_equal(test_count_files(*state, "state/parts"), 0);
}

#define UPLOAD(bytes, rest) "{\"bytes\": " bytes ", \"mime_type\": \"a/b\", " rest "}"
#define NAMED               "\"filename\": \"a\", \"purpose\": \"fine-tune\""
static const struct {
    const char *body, *param, *message;
} bad_uploads[] = {
    {"{}", "bytes", "bytes is missing: it must be an integer from 1 to 8589934592 (max_upload_mb)"},
    {UPLOAD("0", NAMED), "bytes",
     "bytes: 0, but must be an integer from 1 to 8589934592 (max_upload_mb)"},
    {UPLOAD("8589934593", NAMED), "bytes",
     "bytes: 8589934593, but must be an integer from 1 to 8589934592 (max_upload_mb)"},
    {UPLOAD("\"1\"", NAMED), "bytes",
     "bytes: \"1\", but must be an integer from 1 to 8589934592 (max_upload_mb)"},
    {UPLOAD("1", "\"purpose\": \"fine-tune\""), "filename",
     "filename is missing: it must be a file's name of at most 255 bytes"},
    {UPLOAD("1", "\"filename\": \"a/\", \"purpose\": \"fine-tune\""), "filename",
     "filename: \"a/\", but must be a file's name of at most 255 bytes"},
    {UPLOAD("1", "\"filename\": \"a\", \"purpose\": \"batch\""), "purpose",
     "purpose: \"batch\", but must be \"fine-tune\", the only one served here"},
    {"{\"bytes\": 1, " NAMED "}", "mime_type",
     "mime_type is missing: it must be a media type, as text/jsonl"},
    {UPLOAD("1", NAMED ", \"mime\": 1"), "mime", "unknown member \"mime\""},
    {UPLOAD("1", NAMED ", \"expires_after\": {\"seconds\": 7200}"), "expires_after",
     "expires_after: {\"seconds\":7200}, but must be {\"anchor\": \"created_at\", \"seconds\": "
     "3600 to 2592000}"},
    {"[]", "", "the body is not a JSON object"},
};

static void what_is_announced_is_checked(void **state)
{
    for (size_t i = 0; i < sizeof bad_uploads / sizeof *bad_uploads; i++) {
        struct test_reply *reply = test_post(*state, "/v1/uploads", bad_uploads[i].body);

        assert_int_equal(reply->status, 400);
        assert_string_equal(test_text(reply->json, "error.param"), bad_uploads[i].param);
        assert_string_equal(test_text(reply->json, "error.message"), bad_uploads[i].message);
    }
}

static const struct {
    const char *type, *form;
    long status;
    const char *code, *message;
} bad_parts[] = {
    {"application/json", "{}", 415, "unsupported_media_type",
     "the body must be multipart/form-data with the parts data"},
    {"multipart/form-data", DATA("x") END, 400, "invalid_form",
     "the Content-Type has no usable boundary"},
    {CUT, "hello", 400, "invalid_form",
     "the body is not multipart/form-data, or not all of it came"},
    {CUT, DATA("x"), 400, "invalid_form",
     "the body is not multipart/form-data, or not all of it came"},
    {CUT, END, 400, "invalid_form", "the body is not multipart/form-data, or not all of it came"},
    {CUT, PART("name=\"file\"; filename=\"a\"", "x") END, 400, "unknown_parameter",
     "unknown form field: file"},
    {CUT, DATA("x") PART("name=\"purpose\"", "fine-tune") END, 400, "unknown_parameter",
     "unknown form field: purpose"},
    {CUT, PART("name=\"data[0]\"", "x") END, 400, "unknown_parameter",
     "unknown form field: data[0]"},
    {CUT, PART("name=\"data\"", "") END, 400, "empty_file", "the data is empty"},
    {CUT, DATA("x") DATA("y") END, 400, "duplicate_parameter", "data is given twice"},
    {CUT, DATA("") DATA("y") END, 400, "duplicate_parameter", "data is given twice"},
    /* a form in the form: two files of one name */
    {CUT,
     "--cut\r\nContent-Disposition: form-data; name=\"data\"\r\nContent-Type: multipart/mixed; "
     "boundary=in\r\n\r\n--in\r\nContent-Disposition: attachment; filename=\"a\"\r\n\r\nx\r\n"
     "--in\r\nContent-Disposition: attachment; filename=\"b\"\r\n\r\ny\r\n--in--\r\n" END,
     400, "duplicate_parameter", "data is given twice"},
};

static void bad_parts_are_refused_and_leave_nothing(void **state)
{
    char id[64];

    announce(*state, 11, id);
    for (size_t i = 0; i < sizeof bad_parts / sizeof *bad_parts; i++) {
        struct test_reply *reply = send_part(*state, id, bad_parts[i].form, 0, bad_parts[i].type);

        if (reply->status != bad_parts[i].status ||
            strcmp(test_text(reply->json, "error.code"), bad_parts[i].code) != 0 ||
            strcmp(test_text(reply->json, "error.message"), bad_parts[i].message) != 0)
            fail_msg("%zu: %ld %s", i, reply->status, reply->body);
    }
    assert_int_equal(test_count_files(*state, "state/uploads"), 0);
    assert_int_equal(test_count_files(*state, "state/parts"), 0);
    assert_int_equal(end(*state, id, "cancel", "%s", "")->status, 200);
}

/* 100,000 fields in one form: the first that is one too many ends it. */
static void a_hundred_thousand_fields_are_no_trouble(void **state)
{
    static const char field[] = PART("name=\"purpose\"", "");
    const size_t n = 100000;
    char *form = malloc(n * (sizeof field - 1) + sizeof END), id[64];
    struct test_reply *reply;

    for (size_t i = 0; i < n; i++)
        memcpy(form + i * (sizeof field - 1), field, sizeof field - 1);
    memcpy(form + n * (sizeof field - 1), END, sizeof END);
    announce(*state, 11, id);
    reply = send_part(*state, id, form, 0, CUT);
    assert_int_equal(reply->status, 400);
    assert_string_equal(test_text(reply->json, "error.code"), "unknown_parameter");
    reply = test_send(
        *state,
        &(struct test_request){.method = "POST", .path = "/v1/files", .body = form, .type = CUT});
    assert_int_equal(reply->status, 400);
    assert_string_equal(test_text(reply->json, "error.code"), "duplicate_parameter");
    assert_int_equal(end(*state, id, "cancel", "%s", "")->status, 200);
    free(form);
}

static void half_a_part_leaves_nothing_behind(void **state)
{
    char id[64], request[500];
    const struct timespec tick = {0, 10000000};

    announce(*state, 11, id);
    snprintf(request, sizeof request,
             "POST /v1/uploads/%s/parts HTTP/1.1\r\nHost: localhost\r\nConnection: "
             "close\r\nContent-Type: " CUT "\r\nContent-Length: 100000\r\n\r\n" DATA("hello"),
             id);
    test_send_and_leave(*state, request, strlen(request));
    for (int i = 0; i < 1000 && test_count_files(*state, "state/uploads") > 0; i++)
        nanosleep(&tick, NULL);
    assert_int_equal(test_count_files(*state, "state/uploads"), 0);
    assert_int_equal(test_count_files(*state, "state/parts"), 0);
    assert_int_equal(end(*state, id, "cancel", "%s", "")->status, 200);
}

static void a_part_over_64_mb_is_refused_by_its_length(void **state)
{
    static const char form[] =
        "POST /v1/uploads/%s/parts HTTP/1.1\r\nHost: localhost\r\nConnection: "
        "close\r\nExpect: 100-continue\r\nContent-Type: " CUT
        "\r\nContent-Length: 70000000\r\n\r\n";
    char id[64], request[400], *answer;

    announce(*state, 11, id);
    snprintf(request, sizeof request, form, id);
    answer = test_send_raw(*state, request, strlen(request));
    assert_non_null(strstr(answer, "413 "));
    assert_non_null(strstr(answer, "67108864"));
    free(answer);
    assert_int_equal(end(*state, id, "cancel", "%s", "")->status, 200);
}

static void wrong_ends_say_what_is_wrong(void **state)
{
    char id[64], part[64];
    struct test_reply *reply;

    announce(*state, 11, id);
    add(*state, id, DATA("hello world") END, part);
    reply = end(*state, id, "complete", "{\"part_ids\": [\"%s\", \"%s\"]}", part, part);
    assert_int_equal(reply->status, 400);
    assert_string_equal(test_text(reply->json, "error.param"), "part_ids.1");
    assert_non_null(strstr(test_text(reply->json, "error.message"), part));
    assert_string_equal(test_text(reply->json, "errors.0.pointer"), "/part_ids/1");
    reply = end(*state, id, "complete", "{\"part_ids\": []}");
    assert_int_equal(reply->status, 400);
    reply = end(*state, id, "complete", "{\"part_ids\": [1]}");
    assert_string_equal(test_text(reply->json, "error.message"),
                        "part_ids: [1], but must be a list of 1 to 10000 ids of parts");
    reply = end(*state, id, "complete", "{\"part_ids\": [\"%s\"], \"md5\": \"x\"}", part);
    assert_string_equal(test_text(reply->json, "error.param"), "md5");
    reply = end(*state, "upload_none", "complete", "{\"part_ids\": [\"%s\"]}", part);
    assert_int_equal(reply->status, 404);
    assert_string_equal(test_text(reply->json, "error.code"), "upload_not_found");
    assert_int_equal(send_part(*state, "..%2Fx", DATA("x") END, 0, CUT)->status, 404);
    assert_int_equal(test_get(*state, "/v1/uploads/upload_none")->status, 404);
    reply = end(*state, id, "cancel", "%s", "");
    assert_string_equal(test_text(reply->json, "status"), "cancelled");
    assert_int_equal(test_count_files(*state, "state/parts"), 0);
    reply = end(*state, id, "complete", "{\"part_ids\": [\"%s\"]}", part);
    assert_int_equal(reply->status, 409);
    assert_string_equal(test_header(reply, "x-should-retry"), "false");
    assert_null(test_header(reply, "Retry-After"));
}

static void parts_survive_a_kill_and_bytes_of_a_half_one_do_not(void **state)
{
    char id[64], part[64];

    announce(*state, 11, id);
    add(*state, id, DATA("hello world") END, part);
    test_server_kill(*state);
    test_server_start(*state);
    assert_int_equal(end(*state, id, "complete", "{\"part_ids\": [\"%s\"]}", part)->status, 200);
}

/* ---- many at the same time ---- */

#define N_CLIENTS 6

static size_t speak_all(const struct test_server *server, struct test_speaker *clients,
                        const char *request, const char *wanted)
{
    size_t n = 0;

    for (size_t i = 0; i < N_CLIENTS; i++)
        test_speak(&clients[i], server, request);
    for (size_t i = 0; i < N_CLIENTS; i++) {
        pthread_join(clients[i].thread, NULL);
        n += strstr(clients[i].answer, wanted) != NULL;
    }
    return n;
}

static void parts_may_be_sent_and_ended_by_many_at_once(void **state)
{
    static const char form[] = DATA("hello") END;
    struct test_speaker clients[N_CLIENTS];
    char id[64], part[64], request[700], body[100];
    size_t n_ok, n_conflict = 0, files = test_count_files(*state, "state/files");

    announce(*state, 30, id);
    snprintf(request, sizeof request,
             "POST /v1/uploads/%s/parts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
             "Content-Type: " CUT "\r\nContent-Length: %zu\r\n\r\n%s",
             id, strlen(form), form);
    assert_int_equal(speak_all(*state, clients, request, "200 OK"), N_CLIENTS);
    assert_int_equal(end(*state, id, "cancel", "%s", "")->status, 200);
    announce(*state, 5, id);
    add(*state, id, form, part);
    snprintf(body, sizeof body, "{\"part_ids\": [\"%s\"]}", part);
    snprintf(request, sizeof request,
             "POST /v1/uploads/%s/complete HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             id, strlen(body), body);
    n_ok = speak_all(*state, clients, request, "200 OK");
    for (size_t i = 0; i < N_CLIENTS; i++) {
        bool conflict = strstr(clients[i].answer, "409 Conflict") != NULL;
        bool passes = strstr(clients[i].answer, "upload_being_completed") != NULL;

        n_conflict += conflict;
        if (conflict)
            assert_non_null(
                strstr(clients[i].answer, passes ? "Retry-After: 2" : "x-should-retry: false"));
        if (passes)
            assert_null(strstr(clients[i].answer, "x-should-retry"));
    }
    assert_int_equal(n_ok, 1);
    assert_int_equal(n_conflict, N_CLIENTS - 1);
    assert_int_equal(test_count_files(*state, "state/files"), files + 1);
}

/* The daemon is asked to stop while a completion runs: it ends well, and the upload is whole. */
static void a_stop_in_the_middle_loses_nothing(void **state)
{
    const size_t size = 24 << 20;
    static const char head[] = DATA("");
    const size_t n_head = sizeof head - 3;
    char *form = malloc(n_head + size + 40), id[64], part[64], request[400], body[100];
    const char *status;
    struct test_reply *reply;

    memcpy(form, head, n_head);
    memset(form + n_head, 'x', size);
    memcpy(form + n_head + size, "\r\n" END, sizeof "\r\n" END);
    announce(*state, size, id);
    reply = send_part(*state, id, form, n_head + size + strlen("\r\n" END), CUT);
    assert_int_equal(reply->status, 200);
    snprintf(part, sizeof part, "%s", test_text(reply->json, "id"));
    free(form);
    snprintf(body, sizeof body, "{\"part_ids\": [\"%s\"]}", part);
    snprintf(request, sizeof request,
             "POST /v1/uploads/%s/complete HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
             "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             id, strlen(body), body);
    test_send_and_leave(*state, request, strlen(request));
    nanosleep(&(struct timespec){0, 20000000}, NULL);
    test_server_stop(*state);
    test_server_start(*state);
    reply = test_get(*state, "/v1/uploads/%s", id);
    status = test_text(reply->json, "status");
    if (strcmp(status, "pending") == 0)
        assert_int_equal(end(*state, id, "complete", "%s", body)->status, 200);
    else
        assert_string_equal(status, "completed");
    assert_int_equal(test_count_files(*state, "state/parts"), 0);
    assert_int_equal(test_count_files(*state, "state/uploads"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_comes_in_parts),
        cmocka_unit_test(what_is_announced_is_checked),
        cmocka_unit_test(bad_parts_are_refused_and_leave_nothing),
        cmocka_unit_test(a_hundred_thousand_fields_are_no_trouble),
        cmocka_unit_test(half_a_part_leaves_nothing_behind),
        cmocka_unit_test(a_part_over_64_mb_is_refused_by_its_length),
        cmocka_unit_test(wrong_ends_say_what_is_wrong),
        cmocka_unit_test(parts_survive_a_kill_and_bytes_of_a_half_one_do_not),
        cmocka_unit_test(parts_may_be_sent_and_ended_by_many_at_once),
        cmocka_unit_test(a_stop_in_the_middle_loses_nothing),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
