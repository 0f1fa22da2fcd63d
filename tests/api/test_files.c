/* test_files.c - uploads of every shape, and what is kept of them. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <time.h>

#include <cmocka.h>

#include "support/server.h"

/* {"text": "x", "label": "a"}, and what sha256sum says of it. */
#define ROW    "{\"text\": \"x\", \"label\": \"a\"}\n"
#define SHA256 "2a6b80643eb2c8cff4a489f362480a52d84d03e46bc409ae3d03e5ee4090d051"

#define FILE_PART(name, text)                                                                      \
    "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" name "\"\r\n"            \
    "Content-Type: application/octet-stream\r\n\r\n" text "\r\n"
#define PART(key, value)                                                                           \
    "--cut\r\nContent-Disposition: form-data; name=\"" key "\"\r\n\r\n" value "\r\n"
#define PURPOSE PART("purpose", "fine-tune")
#define END     "--cut--\r\n"

static int open_group(void **state)
{
    static const char *const settings[] = {"--server.max_upload_mb=2", NULL};

    *state = test_server_new(settings);
    return 0;
}

static int close_group(void **state)
{
    test_server_free(*state);
    return 0;
}

static struct test_reply *post_form(const struct test_server *server, const char *body, size_t size,
                                    bool chunked)
{
    return test_send(server, &(struct test_request){.method = "POST",
                                                    .path = "/v1/files",
                                                    .body = body,
                                                    .size = size,
                                                    .chunked = chunked,
                                                    .type = "multipart/form-data; boundary=cut"});
}

static void a_file_may_come_before_its_purpose(void **state)
{
    static const char *const bodies[] = {
        FILE_PART("a.jsonl", ROW) PURPOSE END,
        PURPOSE FILE_PART("a.jsonl", ROW) END,
    };

    for (size_t i = 0; i < 4; i++) {
        struct test_reply *reply = post_form(*state, bodies[i % 2], 0, i / 2);
        const json_t *file = reply->json;

        assert_int_equal(reply->status, 200);
        assert_memory_equal(test_text(file, "id"), "file-", 5);
        assert_string_equal(test_text(file, "object"), "file");
        assert_int_equal(test_integer(file, "bytes"), strlen(ROW));
        assert_string_equal(test_text(file, "filename"), "a.jsonl");
        assert_string_equal(test_text(file, "purpose"), "fine-tune");
        assert_string_equal(test_text(file, "status"), "processed");
        assert_string_equal(test_text(file, "sha256"), SHA256);
        assert_true(llabs(test_integer(file, "created_at") - (json_int_t)time(NULL)) < 100);
        assert_true(json_is_null(json_object_get(file, "expires_at")));
        assert_true(json_is_null(json_object_get(file, "status_details")));
        assert_non_null(test_header(reply, "x-request-id"));
    }
}

static void a_file_is_given_back_as_it_came(void **state)
{
    char *text = malloc(1500001);
    const char *id;
    struct test_reply *reply;

    for (size_t i = 0; i < 1500000; i++)
        text[i] = (char)('a' + i * i % 23 % 26);
    text[1500000] = '\0';
    id = test_upload(*state, "large.jsonl", text);
    reply = test_get(*state, "/v1/files/%s/content", id);
    assert_int_equal(reply->status, 200);
    assert_int_equal(reply->size, 1500000);
    assert_memory_equal(reply->body, text, 1500000);
    free(text);
}

static void names_are_utf8_with_three_escapes(void **state)
{
    static const struct {
        const char *sent, *kept;
    } names[] = {
        {"Größe 你好.csv", "Größe 你好.csv"},
        {"a%22b%0D%0A.tsv", "a\"b\r\n.tsv"},
        {"100%25.csv", "100%25.csv"}, /* any other percent sign is itself */
        {"../../etc/passwd", "passwd"},
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *id = test_upload(*state, names[i].sent, ROW);
        struct test_reply *reply = test_get(*state, "/v1/files/%s", id);

        assert_string_equal(test_text(reply->json, "filename"), names[i].kept);
    }
}

static void content_disposition_quotes_any_name(void **state)
{
    const char *id = test_upload(*state, "a%22b \xc3\xbc.csv", ROW);
    struct test_reply *reply = test_get(*state, "/v1/files/%s/content", id);

    assert_string_equal(test_header(reply, "Content-Disposition"),
                        "attachment; filename=\"a_b __.csv\"; "
                        "filename*=UTF-8''a%22b%20%C3%BC.csv");
    id = test_upload(*state, "plain.csv", ROW);
    reply = test_get(*state, "/v1/files/%s/content", id);
    assert_string_equal(test_header(reply, "Content-Disposition"),
                        "attachment; filename=\"plain.csv\"");
}

static void expiry_counts_from_creation(void **state)
{
    struct test_reply *reply =
        post_form(*state,
                  FILE_PART("a.jsonl", ROW) PURPOSE PART("expires_after[anchor]", "created_at")
                      PART("expires_after[seconds]", "3600") END,
                  0, false);

    assert_int_equal(reply->status, 200);
    assert_int_equal(test_integer(reply->json, "expires_at"),
                     test_integer(reply->json, "created_at") + 3600);
}

static void lists_go_by_after_limit_order_and_purpose(void **state)
{
    char first[64], second[64];
    const json_t *list;

    snprintf(first, sizeof first, "%s", test_upload(*state, "first.jsonl", ROW));
    snprintf(second, sizeof second, "%s", test_upload(*state, "second.jsonl", ROW));
    list = test_get(*state, "/v1/files?limit=1")->json;
    assert_string_equal(test_text(list, "object"), "list");
    assert_string_equal(test_text(list, "data.0.id"), second);
    assert_string_equal(test_text(list, "first_id"), second);
    assert_string_equal(test_text(list, "last_id"), second);
    assert_true(json_is_true(json_object_get(list, "has_more")));
    list = test_get(*state, "/v1/files?limit=1&after=%s", second)->json;
    assert_string_equal(test_text(list, "data.0.id"), first);
    list = test_get(*state, "/v1/files?order=asc&after=%s&purpose=fine-tune", first)->json;
    assert_int_equal(json_array_size(json_object_get(list, "data")), 1);
    assert_string_equal(test_text(list, "data.0.id"), second);
    assert_false(json_is_true(json_object_get(list, "has_more")));
    list = test_get(*state, "/v1/files?purpose=batch")->json;
    assert_int_equal(json_array_size(json_object_get(list, "data")), 0);
    assert_true(json_is_null(json_object_get(list, "first_id")));
}

static void a_deleted_file_is_gone(void **state)
{
    char path[100];
    size_t before = test_count_files(*state, "state/files");
    struct test_reply *reply;

    snprintf(path, sizeof path, "/v1/files/%s", test_upload(*state, "a.jsonl", ROW));
    assert_int_equal(test_count_files(*state, "state/files"), before + 1);
    reply = test_send(*state, &(struct test_request){.method = "DELETE", .path = path});
    assert_int_equal(reply->status, 200);
    assert_string_equal(test_text(reply->json, "object"), "file");
    assert_true(json_is_true(json_object_get(reply->json, "deleted")));
    assert_int_equal(test_get(*state, "%s", path)->status, 404);
    assert_int_equal(test_count_files(*state, "state/files"), before);
}

/* "Not found" would have its owner upload it again. */
static void a_file_that_cannot_be_read_is_not_said_to_be_absent(void **state)
{
    char id[64], stored[600];
    struct test_reply *reply;

    snprintf(id, sizeof id, "%s", test_upload(*state, "a.jsonl", ROW));
    snprintf(stored, sizeof stored, "%s/state/files/%s", ((struct test_server *)*state)->folder,
             id);
    assert_int_equal(unlink(stored), 0);
    assert_int_equal(symlink(id, stored), 0); /* ELOOP, for root as well */
    reply = test_get(*state, "/v1/files/%s/content", id);
    assert_int_equal(reply->status, 500);
    assert_string_equal(test_text(reply->json, "error.code"), "internal_error");
    assert_null(strstr(reply->body, stored));
    assert_int_equal(unlink(stored), 0);
    assert_int_equal(test_get(*state, "/v1/files/%s/content", id)->status, 404);
}

static void a_file_over_the_limit_leaves_nothing_behind(void **state)
{
    static const char head[] = FILE_PART("big.jsonl", "");
    size_t n_head = sizeof head - 3, n_text = 3 << 20, n_tail = strlen("\r\n" PURPOSE END);
    char *body = malloc(n_head + n_text + n_tail + 1);
    size_t files = test_count_files(*state, "state/files");

    memcpy(body, head, n_head);
    memset(body + n_head, 'x', n_text);
    memcpy(body + n_head + n_text, "\r\n" PURPOSE END, n_tail + 1);
    for (int chunked = 0; chunked < 2; chunked++) {
        struct test_reply *reply = post_form(*state, body, n_head + n_text + n_tail, chunked);

        assert_int_equal(reply->status, 413);
        assert_non_null(strstr(test_text(reply->json, "error.message"), "max_upload_mb"));
    }
    free(body);
    assert_int_equal(test_count_files(*state, "state/files"), files);
    assert_int_equal(test_count_files(*state, "state/uploads"), 0);
}

/* The client goes away in the middle of its file. */
static void half_an_upload_leaves_nothing_behind(void **state)
{
    static const char half[] = "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                               "Content-Type: multipart/form-data; boundary=cut\r\n"
                               "Content-Length: 100000\r\n\r\n" FILE_PART("a.jsonl", ROW);
    const struct timespec tick = {0, 10000000};
    struct test_server *server = *state;

    test_send_and_leave(server, half, sizeof half - 1);
    for (int i = 0; i < 1000 && test_count_files(server, "state/uploads") > 0; i++)
        nanosleep(&tick, NULL);
    assert_int_equal(test_count_files(server, "state/uploads"), 0);
    assert_int_equal(test_get(server, "/livez")->status, 200);
}

/* Every cut of a whole form is refused, or (after its last byte that means something) taken. */
static void a_form_cut_anywhere_is_never_half_taken(void **state)
{
    static const char form[] = FILE_PART("a.jsonl", ROW) PURPOSE END;
    size_t files = test_count_files(*state, "state/files"), n_taken = 0;

    for (size_t n = 1; n < sizeof form; n += 7) {
        struct test_reply *reply = post_form(*state, form, n, false);

        assert_true(reply->status == 400 || reply->status == 200);
        if (reply->status == 200)
            assert_string_equal(test_text(reply->json, "sha256"), SHA256);
        n_taken += reply->status == 200;
    }
    assert_int_equal(test_count_files(*state, "state/files"), files + n_taken);
    assert_int_equal(test_count_files(*state, "state/uploads"), 0);
}

/* RFC 2046, 5.1.1: an epilogue is to be ignored. OpenAI's client 4.x sends an empty line. */
static void what_follows_a_form_means_nothing(void **state)
{
    static const char *const behind[] = {"\r\n", "more", END, PURPOSE};

    for (size_t i = 0; i < 2 * sizeof behind / sizeof *behind; i++) {
        char form[600];
        struct test_reply *reply;

        snprintf(form, sizeof form, FILE_PART("a.jsonl", ROW) PURPOSE END "%s", behind[i / 2]);
        reply = post_form(*state, form, strlen(form), i % 2);
        assert_int_equal(reply->status, 200);
        assert_string_equal(test_text(reply->json, "sha256"), SHA256);
    }
}

static void what_follows_a_form_does_not_go_on_for_ever(void **state)
{
    static const char form[] = FILE_PART("a.jsonl", ROW) PURPOSE END;
    size_t size = sizeof form + 1200000, files = test_count_files(*state, "state/files");
    char *body = malloc(size);

    assert_non_null(body);
    memset(body, 'x', size);
    memcpy(body, form, sizeof form - 1);
    assert_int_equal(post_form(*state, body, size, true)->status, 400);
    assert_int_equal(test_count_files(*state, "state/files"), files);
    assert_int_equal(test_count_files(*state, "state/uploads"), 0);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_may_come_before_its_purpose),
        cmocka_unit_test(a_file_is_given_back_as_it_came),
        cmocka_unit_test(names_are_utf8_with_three_escapes),
        cmocka_unit_test(content_disposition_quotes_any_name),
        cmocka_unit_test(expiry_counts_from_creation),
        cmocka_unit_test(lists_go_by_after_limit_order_and_purpose),
        cmocka_unit_test(a_deleted_file_is_gone),
        cmocka_unit_test(a_file_that_cannot_be_read_is_not_said_to_be_absent),
        cmocka_unit_test(a_file_over_the_limit_leaves_nothing_behind),
        cmocka_unit_test(half_an_upload_leaves_nothing_behind),
        cmocka_unit_test(a_form_cut_anywhere_is_never_half_taken),
        cmocka_unit_test(what_follows_a_form_means_nothing),
        cmocka_unit_test(what_follows_a_form_does_not_go_on_for_ever),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
