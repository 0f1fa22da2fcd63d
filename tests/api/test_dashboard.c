/*
 * test_dashboard.c - the page at / and the routes that it was made with: a file's preview, a job's
 * forecast, the settings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/server.h"

#define FORECASTS "/v1/fine_tuning/forecasts"

static int open_server(void **state)
{
    static const char *const settings[] = {"--training.threads=1", NULL};

    *state = test_server_new(settings);
    return 0;
}

static int close_server(void **state)
{
    test_server_free(*state);
    return 0;
}

/* ---- the page ---- */

static struct test_reply *get_with(struct test_server *server, const char *path, const char *header)
{
    const struct test_request request = {.method = "GET", .path = path, .headers = {header}};

    return test_send(server, &request);
}

static void the_page_comes_with_a_strict_policy(void **state)
{
    struct test_reply *reply = test_get(*state, "/");

    assert_int_equal(reply->status, 200);
    assert_string_equal(test_header(reply, "Content-Type"), "text/html; charset=utf-8");
    assert_string_equal(test_header(reply, "Cache-Control"), "no-cache");
    assert_string_equal(test_header(reply, "X-Content-Type-Options"), "nosniff");
    assert_string_equal(test_header(reply, "Referrer-Policy"), "no-referrer");
    assert_non_null(strstr(test_header(reply, "Content-Security-Policy"), "default-src 'self'"));
    assert_null(strstr(test_header(reply, "Content-Security-Policy"), "unsafe"));
    assert_null(test_header(reply, "Content-Encoding"));
    assert_non_null(strstr(reply->body, "<main"));
    assert_null(strstr(reply->body, "<script>"));
    assert_null(strstr(reply->body, "style="));
}

static void a_part_comes_compressed_to_who_takes_that(void **state)
{
    static const char magic[] = {'\x1f', '\x8b'};
    struct test_reply *reply = test_get(*state, "/dashboard/chart.js");
    size_t plain = reply->size;
    char etag[80];

    assert_int_equal(reply->status, 200);
    assert_string_equal(test_header(reply, "Content-Type"), "text/javascript; charset=utf-8");
    assert_non_null(strstr(reply->body, "Chart.js v3"));
    snprintf(etag, sizeof etag, "%s", test_header(reply, "ETag"));
    reply = get_with(*state, "/dashboard/chart.js", "Accept-Encoding: br, gzip;q=0.8");
    assert_string_equal(test_header(reply, "Content-Encoding"), "gzip");
    assert_string_equal(test_header(reply, "Vary"), "Accept-Encoding");
    assert_string_not_equal(test_header(reply, "ETag"), etag);
    assert_true(reply->size < plain / 2);
    assert_memory_equal(reply->body, magic, sizeof magic);
    reply = get_with(*state, "/dashboard/chart.js", "Accept-Encoding: gzip;q=0, deflate");
    assert_null(test_header(reply, "Content-Encoding"));
    assert_int_equal(reply->size, plain);
}

static void a_part_that_is_known_is_not_sent_again(void **state)
{
    char header[120];
    struct test_reply *reply = test_get(*state, "/dashboard/app.js");

    snprintf(header, sizeof header, "If-None-Match: %s", test_header(reply, "ETag"));
    reply = get_with(*state, "/dashboard/app.js", header);
    assert_int_equal(reply->status, 304);
    assert_int_equal(reply->size, 0);
    reply = get_with(*state, "/dashboard/style.css", header);
    assert_int_equal(reply->status, 200);
}

static void the_page_has_no_other_files(void **state)
{
    static const char *const paths[] = {"/dashboard/", "/dashboard/none.js",
                                        "/dashboard/..%2Fapi.c", "/dashboard/index.html/"};

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_int_equal(test_get(*state, "%s", paths[i])->status, 404);
    assert_int_equal(test_post(*state, "/", "{}")->status, 405);
}

/* ---- preview ---- */

static void a_preview_shows_rows_labels_and_errors(void **state)
{
    char file[64];
    const json_t *reply;

    snprintf(file, sizeof file, "%s",
             test_upload(*state, "odd.csv", "text,label\nfine,b\n,a\ngood,a\nbad,a\nrest,a\n"));
    reply = test_get(*state, "/v1/files/%s/preview?limit=2", file)->json;
    assert_string_equal(test_text(reply, "object"), "file.preview");
    assert_string_equal(test_text(reply, "file_id"), file);
    assert_string_equal(test_text(reply, "format"), "csv");
    assert_string_equal(test_text(reply, "task"), "classification");
    assert_int_equal(test_integer(reply, "n_rows"), 5);
    assert_int_equal(test_integer(reply, "n_bad"), 1);
    assert_true(json_is_true(test_member(reply, "is_complete")));
    assert_true(json_is_null(test_member(reply, "problem")));
    assert_int_equal(json_array_size(test_member(reply, "rows")), 2);
    assert_string_equal(test_text(reply, "rows.1.text"), "good");
    assert_string_equal(test_text(reply, "rows.1.label"), "a");
    assert_int_equal(test_integer(reply, "rows.1.line"), 4);
    assert_true(json_is_null(test_member(reply, "rows.1.text_pair")));
    assert_string_equal(test_text(reply, "labels.0.label"), "a");
    assert_int_equal(test_integer(reply, "labels.0.count"), 3);
    assert_string_equal(test_text(reply, "labels.1.label"), "b");
    assert_int_equal(test_integer(reply, "labels.1.count"), 1);
    assert_int_equal(json_array_size(test_member(reply, "errors")), 1);
    assert_int_equal(test_integer(reply, "errors.0.line"), 3);
    assert_string_equal(test_text(reply, "errors.0.reason"), "the text is empty");
}

static void the_task_of_a_preview_can_be_told(void **state)
{
    char file[64];
    const json_t *reply;

    snprintf(file, sizeof file, "%s", test_upload(*state, "n.csv", "text,label\na,1\nb,2\n"));
    reply = test_get(*state, "/v1/files/%s/preview", file)->json;
    assert_string_equal(test_text(reply, "task"), "classification");
    reply = test_get(*state, "/v1/files/%s/preview?task=regression", file)->json;
    assert_string_equal(test_text(reply, "task"), "regression");
    assert_string_equal(test_text(reply, "labels.0.label"), "score");
}

static void assert_fault(struct test_reply *reply, long status, const char *code, const char *param)
{
    if (reply->status != status)
        fail_msg("%ld instead of %ld: %s", reply->status, status, reply->body);
    assert_string_equal(test_text(reply->json, "error.code"), code);
    assert_string_equal(test_text(reply->json, "error.param"), param);
}

static void a_preview_that_cannot_be_says_why(void **state)
{
    char file[64];

    snprintf(file, sizeof file, "%s", test_upload(*state, "words.md", "hello"));
    assert_fault(test_get(*state, "/v1/files/%s/preview", file), 422, "invalid_file", "file_id");
    snprintf(file, sizeof file, "%s", test_upload(*state, "head.csv", "what,label\na,b\n"));
    assert_fault(test_get(*state, "/v1/files/%s/preview", file), 422, "invalid_file", "file_id");
    assert_fault(test_get(*state, "/v1/files/file-none/preview"), 404, "file_not_found", "file_id");
    assert_fault(test_get(*state, "/v1/files/%s/preview?limit=101", file), 400, "invalid_value",
                 "limit");
    assert_fault(test_get(*state, "/v1/files/%s/preview?task=sums", file), 400, "invalid_value",
                 "task");
    assert_fault(test_get(*state, "/v1/files/%s/preview?rows=1", file), 400, "unknown_parameter",
                 "rows");
}

/* Empty, or of one kind of row only: the limits of what may be uploaded and looked at. */
static void an_empty_file_has_a_preview(void **state)
{
    char file[64];
    const json_t *reply;

    snprintf(file, sizeof file, "%s", test_upload(*state, "one.csv", "text,label\n"));
    reply = test_get(*state, "/v1/files/%s/preview?limit=0", file)->json;
    assert_int_equal(test_integer(reply, "n_rows"), 0);
    assert_non_null(strstr(test_text(reply, "problem"), "no row"));
    assert_int_equal(json_array_size(test_member(reply, "rows")), 0);
}

/* ---- forecast ---- */

static void write_body(char *out, size_t room, const char *file, const char *more)
{
    snprintf(out, room,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"seed\": 1, "
             "\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
             "{\"n_epochs\": 2, \"batch_size\": 8, \"max_length\": 16%s}}}}",
             file, more);
}

/* 64 rows: 6 are held out, 58 in batches of 8 are 8 a time through the data. */
static void a_forecast_is_what_the_job_then_shows(void **state)
{
    char *rows = test_sentences(64, 1), file[64], body[600], id[64];
    double memory, flops;
    const json_t *reply;

    snprintf(file, sizeof file, "%s", test_upload(*state, "train.jsonl", rows));
    write_body(body, sizeof body, file, "");
    reply = test_post(*state, FORECASTS, body)->json;
    assert_string_equal(test_text(reply, "object"), "fine_tuning.forecast");
    assert_int_equal(test_integer(reply, "total_steps"), 16);
    assert_int_equal(test_integer(reply, "n_examples"), 58);
    assert_int_equal(test_integer(reply, "validation.n_examples"), 6);
    assert_string_equal(test_text(reply, "task"), "classification");
    assert_true(json_is_null(test_member(reply, "seconds"))); /* no job has run here */
    assert_int_equal(json_array_size(test_member(reply, "ranks")), 6);
    assert_int_equal(test_integer(reply, "ranks.0"), 4);
    assert_int_equal(test_integer(reply, "ranks.5"), 12);
    memory = json_number_value(test_member(reply, "memory_bytes"));
    flops = json_number_value(test_member(reply, "flops"));
    reply = test_get(*state, "/v1/fine_tuning/jobs")->json;
    assert_int_equal(json_array_size(test_member(reply, "data")), 0);

    snprintf(id, sizeof id, "%s", test_create_job(*state, body));
    reply = test_wait_job(*state, id, "succeeded");
    assert_int_equal(test_integer(reply, "forecast.total_steps"), 16);
    assert_true(json_number_value(test_member(reply, "forecast.memory_bytes")) == memory);
    assert_true(json_number_value(test_member(reply, "forecast.flops")) == flops);
    free(rows);
}

static void a_forecast_has_the_faults_of_a_job(void **state)
{
    char *rows = test_sentences(20, 1), file[64], bad[64], body[600];

    snprintf(file, sizeof file, "%s", test_upload(*state, "train.jsonl", rows));
    snprintf(bad, sizeof bad, "%s", test_upload(*state, "bad.csv", "text,label\na,x\n,y\n"));
    free(rows);
    write_body(body, sizeof body, file, ", \"rank_end\": 0");
    assert_fault(test_post(*state, FORECASTS, body), 400, "invalid_value",
                 "method.prilora.hyperparameters.rank_end");
    write_body(body, sizeof body, "file-none", "");
    assert_fault(test_post(*state, FORECASTS, body), 400, "file_not_found", "training_file");
    write_body(body, sizeof body, bad, "");
    assert_fault(test_post(*state, FORECASTS, body), 400, "invalid_training_file", "training_file");
    assert_fault(test_post(*state, FORECASTS, "{\"model\": 1}"), 400, "invalid_value", "model");
    assert_fault(test_post(*state, FORECASTS, "[]"), 400, "invalid_json", "");
    assert_fault(test_post(*state, FORECASTS, ""), 400, "missing_body", "");
}

static void write_request(char *out, size_t room, const char *body)
{
    snprintf(out, room,
             "POST " FORECASTS " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             strlen(body), body);
}

/* The server's end while forecasts are worked out, and clients that do not wait for theirs. */
static void nobody_waits_in_vain_for_a_forecast(void **state)
{
    char *rows = test_sentences(4000, 1), file[64], body[600], request[900];
    struct test_server *server = *state;

    snprintf(file, sizeof file, "%s", test_upload(server, "large.jsonl", rows));
    free(rows);
    write_body(body, sizeof body, file, "");
    write_request(request, sizeof request, body);
    for (int i = 0; i < 3; i++)
        test_send_and_leave(server, request, strlen(request));
    assert_int_equal(test_get(server, "/livez")->status, 200);
    test_server_stop(server);
    test_server_start(server);
}

/* Four are worked on; whoever comes then is told to come again, and is served when he does. */
static void only_so_many_forecasts_are_worked_on_at_once(void **state)
{
    char *rows = test_sentences(30000, 1), file[64], body[600], request[900];
    struct test_server *server = *state;
    struct test_reply *reply = NULL;
    bool was_refused = false;

    snprintf(file, sizeof file, "%s", test_upload(server, "huge.jsonl", rows));
    free(rows);
    write_body(body, sizeof body, file, "");
    write_request(request, sizeof request, body);
    for (int i = 0; i < 20 && !was_refused; i++) {
        for (int k = 0; k < 4; k++)
            test_send_and_leave(server, request, strlen(request));
        reply = test_post(server, FORECASTS, body);
        was_refused = reply->status == 429;
    }
    assert_true(was_refused);
    assert_fault(reply, 429, "too_many_at_once", "");
    assert_string_equal(test_header(reply, "Retry-After"), "1");
    for (int i = 0; i < 1200 && reply->status == 429; i++) {
        usleep(100000);
        reply = test_post(server, FORECASTS, body);
    }
    assert_int_equal(reply->status, 200);
}

static void the_settings_are_listed(void **state)
{
    const json_t *reply = test_get(*state, "/v1/fine_tuning/settings")->json, *setting = NULL;
    size_t i;

    assert_string_equal(test_text(reply, "object"), "list");
    json_array_foreach ((json_t *)test_member(reply, "data"), i, setting)
        if (strcmp(test_text(setting, "name"), "n_epochs") == 0)
            break;
    assert_string_equal(test_text(setting, "type"), "integer");
    assert_int_equal(test_integer(setting, "minimum"), 1);
    assert_int_equal(test_integer(setting, "default"), 3);
    assert_string_equal(test_text(setting, "methods.3"), "supervised");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_comes_with_a_strict_policy),
        cmocka_unit_test(a_part_comes_compressed_to_who_takes_that),
        cmocka_unit_test(a_part_that_is_known_is_not_sent_again),
        cmocka_unit_test(the_page_has_no_other_files),
        cmocka_unit_test(a_preview_shows_rows_labels_and_errors),
        cmocka_unit_test(the_task_of_a_preview_can_be_told),
        cmocka_unit_test(a_preview_that_cannot_be_says_why),
        cmocka_unit_test(an_empty_file_has_a_preview),
        cmocka_unit_test(a_forecast_is_what_the_job_then_shows),
        cmocka_unit_test(a_forecast_has_the_faults_of_a_job),
        cmocka_unit_test(nobody_waits_in_vain_for_a_forecast),
        cmocka_unit_test(only_so_many_forecasts_are_worked_on_at_once),
        cmocka_unit_test(the_settings_are_listed),
    };

    return cmocka_run_group_tests_name("dashboard", tests, open_server, close_server);
}
