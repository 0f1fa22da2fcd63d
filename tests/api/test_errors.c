/*
 * test_errors.c - bad requests of every kind, each with its exact body: OpenAI's error object and
 * RFC 9457's problem document in one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "support/scratch.h"
#include "support/server.h"

#define JOBS "/v1/fine_tuning/jobs"

static char training_file[64];

static int open_group(void **state)
{
    static const char *const settings[] = {"--server.max_body_mb=1", "--server.max_upload_mb=1",
                                           "--training.memory_limit_mb=300", NULL};
    char *text = test_sentences(4, 1);

    *state = test_server_new(settings);
    snprintf(training_file, sizeof training_file, "%s", test_upload(*state, "a.jsonl", text));
    free(text);
    return 0;
}

static int close_group(void **state)
{
    test_server_free(*state);
    return 0;
}

/* What the body must be, byte for byte. */
struct expected {
    long status;
    const char *title, *type, *param, *code, *message, *pointer; /* param, pointer: may be NULL */
};

static char *expected_body(const struct expected *e, const char *path)
{
    json_t *body = json_pack("{s:{s:s, s:s, s:s?, s:s}, s:s, s:s, s:i, s:s, s:s}", "error",
                             "message", e->message, "type", e->type, "param", e->param, "code",
                             e->code, "type", "about:blank", "title", e->title, "status",
                             (int)e->status, "detail", e->message, "instance", path);
    char *text, *line = NULL;

    if (e->pointer)
        json_object_set_new(body, "errors",
                            json_pack("[{s:s, s:s}]", "detail", e->message, "pointer", e->pointer));
    text = json_dumps(body, JSON_COMPACT);
    assert_true(text && asprintf(&line, "%s\n", text) > 0);
    free(text);
    json_decref(body);
    return line;
}

static void check(struct test_server *server, const struct test_request *request,
                  const struct expected *e)
{
    struct test_reply *reply = test_send(server, request);
    char path[300], *expected;

    snprintf(path, sizeof path, "%.*s", (int)strcspn(request->path, "?"), request->path);
    expected = expected_body(e, path);
    if (reply->status != e->status || strcmp(reply->body, expected) != 0)
        fail_msg("%s %s %s\nanswer   %ld %s\nexpected %ld %s", request->method, request->path,
                 request->body ? request->body : "", reply->status, reply->body, e->status,
                 expected);
    free(expected);
    assert_string_equal(test_header(reply, "Content-Type"), "application/problem+json");
    assert_memory_equal(test_header(reply, "x-request-id"), "req-", 4);
}

#define INVALID     "invalid_request_error"
#define BAD_REQUEST 400, "Bad Request", INVALID
#define NOT_FOUND   404, "Not Found", INVALID

static const struct {
    const char *method, *path;
    struct expected expected;
} bad_targets[] = {
    {"GET", "/v1", {NOT_FOUND, NULL, "unknown_url", "nothing is at /v1", NULL}},
    {"GET", "/v1/nope", {NOT_FOUND, NULL, "unknown_url", "nothing is at /v1/nope", NULL}},
    /* jobs.retrieve('') */
    {"GET", JOBS "/", {NOT_FOUND, NULL, "unknown_url", "nothing is at " JOBS "/", NULL}},
    {"GET", "/v1/files/%zz", {NOT_FOUND, NULL, "unknown_url", "nothing is at /v1/files/%zz", NULL}},
    {"GET",
     "/v1/files/a%00b",
     {NOT_FOUND, NULL, "unknown_url", "nothing is at /v1/files/a%00b", NULL}},
    {"PUT",
     "/v1/files",
     {405, "Method Not Allowed", INVALID, NULL, "method_not_allowed",
      "PUT cannot be done at /v1/files, only POST, GET, HEAD", NULL}},
    {"DELETE",
     JOBS "/x/cancel",
     {405, "Method Not Allowed", INVALID, NULL, "method_not_allowed",
      "DELETE cannot be done at " JOBS "/x/cancel, only POST", NULL}},
    {"GET",
     "/v1/files/file-none",
     {NOT_FOUND, "file_id", "file_not_found", "no such file: file-none", NULL}},
    {"DELETE",
     "/v1/files/file-none",
     {NOT_FOUND, "file_id", "file_not_found", "no such file: file-none", NULL}},
    {"GET",
     "/v1/files/..%2Fprilorad.db/content",
     {NOT_FOUND, "file_id", "file_not_found", "no such file: ../prilorad.db", NULL}},
    {"GET",
     JOBS "/ftjob-none",
     {NOT_FOUND, "fine_tuning_job_id", "job_not_found", "no such job: ftjob-none", NULL}},
    {"POST",
     JOBS "/ftjob-none/cancel",
     {NOT_FOUND, "fine_tuning_job_id", "job_not_found", "no such job: ftjob-none", NULL}},
    {"GET",
     JOBS "/ftjob-none/events",
     {NOT_FOUND, "fine_tuning_job_id", "job_not_found", "no such job: ftjob-none", NULL}},
    {"GET",
     JOBS "/ftjob-none/adapter/README.md",
     {NOT_FOUND, "fine_tuning_job_id", "job_not_found", "no such job: ftjob-none", NULL}},
    {"GET",
     "/v1/models/no/such",
     {NOT_FOUND, "model", "model_not_found", "no such model: no/such", NULL}},
    {"GET",
     "/v1/models/..%2Fexamples%2Fprilora-mini-en",
     {NOT_FOUND, "model", "model_not_found", "no such model: ../examples/prilora-mini-en", NULL}},
    {"DELETE",
     "/v1/models/tiny-bert",
     {403, "Forbidden", "permission_error", "model", "base_model",
      "tiny-bert is a base model: only finished adapters can be deleted", NULL}},
    {"GET",
     "/v1/files?limit=ten",
     {BAD_REQUEST, "limit", "invalid_value",
      "limit: \"ten\", but must be an integer from 1 to 10000", NULL}},
    {"GET",
     JOBS "?limit=0",
     {BAD_REQUEST, "limit", "invalid_value", "limit: \"0\", but must be an integer from 1 to 100",
      NULL}},
    {"GET",
     JOBS "?limit=101",
     {BAD_REQUEST, "limit", "invalid_value", "limit: \"101\", but must be an integer from 1 to 100",
      NULL}},
    {"GET",
     JOBS "?limit=99999999999999999999",
     {BAD_REQUEST, "limit", "invalid_value",
      "limit: \"99999999999999999999\", but must be an integer from 1 to 100", NULL}},
    {"GET",
     JOBS "?limit=1&limit=2",
     {BAD_REQUEST, "limit", "invalid_query", "query parameter limit is given twice", NULL}},
    {"GET",
     JOBS "?after=ftjob-none",
     {BAD_REQUEST, "after", "invalid_value", "after: nothing in this list is \"ftjob-none\"",
      NULL}},
    {"GET",
     JOBS "?order=asc",
     {BAD_REQUEST, "order", "unknown_parameter", "unknown query parameter: order", NULL}},
    {"GET",
     "/v1/files?order=up",
     {BAD_REQUEST, "order", "invalid_value", "order: \"up\", but must be asc or desc", NULL}},
    {"GET",
     "/v1/files?after=%ff",
     {BAD_REQUEST, "after", "invalid_query", "query parameter after is not percent-encoded UTF-8",
      NULL}},
    {"GET",
     "/livez?x",
     {BAD_REQUEST, "x", "unknown_parameter", "unknown query parameter: x", NULL}},
    {"GET",
     JOBS "/ftjob-none/layers?history=yes",
     {BAD_REQUEST, "history", "invalid_value",
      "history: \"yes\", but must be an integer from 0 to 1", NULL}},
};

static void paths_methods_and_parameters_are_checked(void **state)
{
    for (size_t i = 0; i < sizeof bad_targets / sizeof *bad_targets; i++)
        check(*state,
              &(struct test_request){.method = bad_targets[i].method, .path = bad_targets[i].path},
              &bad_targets[i].expected);
}

static void a_405_names_the_methods_that_there_are(void **state)
{
    struct test_reply *reply =
        test_send(*state, &(struct test_request){.method = "PATCH", .path = "/v1/models/x"});

    assert_int_equal(reply->status, 405);
    assert_string_equal(test_header(reply, "Allow"), "GET, HEAD, DELETE");
}

#define HYPER "method.prilora.hyperparameters."
#define BASE  "\"model\": \"prilora-mini-en\", \"training_file\": \"@\", "
#define PRILORA(settings)                                                                          \
    "{" BASE "\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": {" settings   \
    "}}}}"
static const struct {
    const char *body;
    struct expected expected;
} bad_jobs[] = {
    {"", {BAD_REQUEST, NULL, "missing_body", "the body is empty: it must be JSON", NULL}},
    {"{\"model\"",
     {BAD_REQUEST, NULL, "invalid_json",
      "the body is not JSON: line 1, column 8: ':' expected near end of file", NULL}},
    {"[]", {BAD_REQUEST, NULL, "invalid_json", "the body is not a JSON object", NULL}},
    {"{\"model\": \"a\", \"model\": \"b\"}",
     {BAD_REQUEST, NULL, "invalid_json",
      "the body is not JSON: line 1, column 22: duplicate object key near '\"model\"'", NULL}},
    {"{\"model\": \"a\\u0000b\"}",
     {BAD_REQUEST, NULL, "invalid_json",
      "the body is not JSON: line 1, column 20: a string has a NUL character", NULL}},
    {"{\"model\": \"\xff\"}",
     {BAD_REQUEST, NULL, "invalid_json",
      "the body is not JSON: line 1, column 11: unable to decode byte 0xff near '\"'", NULL}},
    {"{}",
     {BAD_REQUEST, "model", "missing_required_parameter",
      "model is missing: it must be the id of a model", "/model"}},
    {"{\"model\": null}",
     {BAD_REQUEST, "model", "invalid_value", "model: null, but must be the id of a model",
      "/model"}},
    {"{\"model\": \"prilora-mini-en\"}",
     {BAD_REQUEST, "training_file", "missing_required_parameter",
      "training_file is missing: it must be the id of an uploaded file", "/training_file"}},
    {"{" BASE "\"sed\": 1}",
     {BAD_REQUEST, "sed", "unknown_parameter", "unknown member \"sed\"; did you mean \"seed\"?",
      "/sed"}},
    {"{" BASE "\"webhook\": 1}",
     {BAD_REQUEST, "webhook", "unknown_parameter", "unknown member \"webhook\"", "/webhook"}},
    {"{" BASE "\"seed\": 2147483648}",
     {BAD_REQUEST, "seed", "invalid_value",
      "seed: 2147483648, but must be an integer from 0 to 2147483647", "/seed"}},
    {"{" BASE "\"seed\": \"1\"}",
     {BAD_REQUEST, "seed", "invalid_value",
      "seed: \"1\", but must be an integer from 0 to 2147483647", "/seed"}},
    {"{" BASE "\"priority\": 1.5}",
     {BAD_REQUEST, "priority", "invalid_value",
      "priority: 1.5, but must be an integer from -100 to 100", "/priority"}},
    {"{" BASE "\"suffix\": \"\"}",
     {BAD_REQUEST, "suffix", "invalid_value",
      "suffix: \"\", but must be a string of 1 to 64 characters", "/suffix"}},
    {"{" BASE "\"metadata\": {\"a\": 1}}",
     {BAD_REQUEST, "metadata", "invalid_value",
      "metadata: {\"a\":1}, but must be an object of at most 16 strings: keys of 1 to 64 "
      "characters, values of at most 512",
      "/metadata"}},
    {"{" BASE "\"integrations\": [{\"type\": \"wandb\"}]}",
     {BAD_REQUEST, "integrations", "unsupported_value",
      "integrations: a job cannot name a service that it reports to; leave it out (the server's "
      "administrator can: webhooks.url)",
      "/integrations"}},
    {"{\"model\": \"../examples/prilora-mini-en\", \"training_file\": \"@\"}",
     {BAD_REQUEST, "model", "model_not_found",
      "model: no such base model or finished adapter: ../examples/prilora-mini-en (GET /v1/models "
      "lists those "
      "there are)",
      NULL}},
    {"{\"model\": \"prilora-mini-en\", \"training_file\": \"file-none\"}",
     {BAD_REQUEST, "training_file", "file_not_found", "training_file: no such file: file-none",
      NULL}},
    {"{" BASE "\"validation_file\": \"../x\"}",
     {BAD_REQUEST, "validation_file", "file_not_found", "validation_file: no such file: ../x",
      NULL}},
    {"{" BASE "\"method\": {\"type\": \"dpo\"}}",
     {BAD_REQUEST, "method.type", "invalid_value",
      "type: \"dpo\", but must be \"prilora\", \"lora\", \"head\" or \"supervised\"",
      "/method/type"}},
    {PRILORA("\"rank_start\": 0"),
     {BAD_REQUEST, HYPER "rank_start", "invalid_value",
      "rank_start: 0, but must be an integer from 1 to 1024",
      "/method/prilora/hyperparameters/rank_start"}},
    {PRILORA("\"rank_strat\": 4"),
     {BAD_REQUEST, HYPER "rank_strat", "invalid_value",
      "\"rank_strat\" is not known here; did you mean \"rank_start\"?",
      "/method/prilora/hyperparameters/rank_strat"}},
    {PRILORA("\"prune_ratio\": 1"),
     {BAD_REQUEST, HYPER "prune_ratio", "invalid_value",
      "prune_ratio: 1, but must be a number from 0 to 0.99",
      "/method/prilora/hyperparameters/prune_ratio"}},
    {PRILORA("\"recompute\": 1"),
     {BAD_REQUEST, HYPER "recompute", "invalid_value", "recompute: 1, but must be true or false",
      "/method/prilora/hyperparameters/recompute"}},
};

/* @ is replaced by the id of a file that is there. */
static void jobs_are_checked_before_they_are_queued(void **state)
{
    for (size_t i = 0; i < sizeof bad_jobs / sizeof *bad_jobs; i++) {
        char body[600];
        const char *at = strchr(bad_jobs[i].body, '@');

        snprintf(body, sizeof body, "%.*s%s%s",
                 at ? (int)(at - bad_jobs[i].body) : (int)strlen(bad_jobs[i].body),
                 bad_jobs[i].body, at ? training_file : "", at ? at + 1 : "");
        check(*state, &(struct test_request){.method = "POST", .path = JOBS, .body = body},
              &bad_jobs[i].expected);
    }
}

/* The figures are the forecast's; the sentence around them is ours. */
static void a_job_that_cannot_fit_is_refused_with_the_figures(void **state)
{
    char body[500];
    struct test_reply *reply;
    const char *message;

    snprintf(body, sizeof body,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"method\": {\"type\": "
             "\"prilora\", \"prilora\": {\"hyperparameters\": {\"batch_size\": 4096, "
             "\"max_length\": 256, \"rank_start\": 1024, \"rank_end\": 1024}}}}",
             training_file);
    reply = test_post(*state, JOBS, body);
    message = test_text(reply->json, "error.message");
    assert_int_equal(reply->status, 422);
    assert_string_equal(test_text(reply->json, "error.code"), "not_enough_memory");
    assert_non_null(strstr(message, "with any data, the job would need at least "));
    assert_non_null(strstr(message, "but training.memory_limit_mb is 300 MiB"));
}

#define PART(head, text) "--cut\r\nContent-Disposition: form-data; " head "\r\n\r\n" text "\r\n"
#define FILE_PART        PART("name=\"file\"; filename=\"a.jsonl\"", "{}")
#define PURPOSE          PART("name=\"purpose\"", "fine-tune")
#define END              "--cut--\r\n"
static const char form[] = "multipart/form-data; boundary=cut";
static const struct {
    const char *type, *body;
    struct expected expected;
} bad_forms[] = {
    {"application/json",
     "{}",
     {415, "Unsupported Media Type", INVALID, "Content-Type", "unsupported_media_type",
      "the body must be multipart/form-data with the parts file and purpose", NULL}},
    {"multipart/form-data",
     FILE_PART PURPOSE END,
     {BAD_REQUEST, NULL, "invalid_form", "the Content-Type has no usable boundary", NULL}},
    {form,
     "hello",
     {BAD_REQUEST, NULL, "invalid_form",
      "the body is not multipart/form-data, or not all of it came", NULL}},
    {form,
     FILE_PART PURPOSE,
     {BAD_REQUEST, NULL, "invalid_form",
      "the body is not multipart/form-data, or not all of it came", NULL}},
    {form,
     PURPOSE END,
     {BAD_REQUEST, "file", "missing_required_parameter", "the form has no file", NULL}},
    {form,
     FILE_PART END,
     {BAD_REQUEST, "purpose", "missing_required_parameter",
      "the form has no purpose: it must be fine-tune", NULL}},
    {form,
     FILE_PART PART("name=\"purpose\"", "batch") END,
     {BAD_REQUEST, "purpose", "invalid_value",
      "purpose: \"batch\", but must be fine-tune, the only one served here", NULL}},
    {form,
     PART("name=\"file\"; filename=\"a\"", "") PURPOSE END,
     {BAD_REQUEST, "file", "empty_file", "the file is empty", NULL}},
    {form,
     PART("name=\"file\"", "abc") PURPOSE END,
     {BAD_REQUEST, "file", "invalid_value",
      "file is a value, but must be a file: its part has no filename", NULL}},
    {form,
     FILE_PART PURPOSE FILE_PART END,
     {BAD_REQUEST, "file", "duplicate_parameter", "file is given twice", NULL}},
    {form,
     PURPOSE FILE_PART PURPOSE END,
     {BAD_REQUEST, "purpose", "duplicate_parameter", "purpose is given twice", NULL}},
    {form,
     FILE_PART PURPOSE PART("name=\"porpoise\"", "x") END,
     {BAD_REQUEST, "porpoise", "unknown_parameter", "unknown form field: porpoise", NULL}},
    {form,
     PART("name=\"file\"; filename=\"\xff\"", "{}") PURPOSE END,
     {BAD_REQUEST, "file", "invalid_filename", "the file's name is not UTF-8", NULL}},
    {form,
     PART("name=\"file\"; filename=\"a/..\"", "{}") PURPOSE END,
     {BAD_REQUEST, "file", "invalid_filename", "the file has no name", NULL}},
    {form,
     FILE_PART PURPOSE PART("name=\"expires_after[seconds]\"", "3600") END,
     {BAD_REQUEST, "expires_after[anchor]", "invalid_value",
      "expires_after[anchor]: \"\", but must be created_at", NULL}},
    {form,
     FILE_PART PURPOSE PART("name=\"expires_after[anchor]\"", "created_at")
         PART("name=\"expires_after[seconds]\"", "3599") END,
     {BAD_REQUEST, "expires_after[seconds]", "invalid_value",
      "expires_after[seconds]: \"3599\", but must be an integer from 3600 to 2592000", NULL}},
};

static void forms_are_checked(void **state)
{
    for (size_t i = 0; i < sizeof bad_forms / sizeof *bad_forms; i++)
        check(*state,
              &(struct test_request){.method = "POST",
                                     .path = "/v1/files",
                                     .body = bad_forms[i].body,
                                     .type = bad_forms[i].type},
              &bad_forms[i].expected);
}

static void a_job_must_be_json(void **state)
{
    const struct expected expected = {415,
                                      "Unsupported Media Type",
                                      INVALID,
                                      "Content-Type",
                                      "unsupported_media_type",
                                      "Content-Type: \"application/x-www-form-urlencoded\", but "
                                      "the body must be application/json",
                                      NULL};

    check(*state,
          &(struct test_request){.method = "POST",
                                 .path = JOBS,
                                 .body = "{}",
                                 .type = "application/x-www-form-urlencoded"},
          &expected);
}

static void too_large_a_body_is_refused_with_the_limit(void **state)
{
    const struct expected told = {413,
                                  "Content Too Large",
                                  INVALID,
                                  NULL,
                                  "body_too_large",
                                  "the body has 2097152 bytes, but at most 1048576 are taken "
                                  "(max_body_mb)",
                                  NULL};
    const struct expected found = {
        413,  "Content Too Large", INVALID,
        NULL, "body_too_large",    "the body has more than 1048576 bytes (max_body_mb)",
        NULL};
    struct test_request request = {.method = "POST", .path = JOBS, .size = 2 << 20};
    char *body = malloc(request.size);

    memset(body, ' ', request.size);
    request.body = body;
    check(*state, &request, &told);
    request.chunked = true;
    check(*state, &request, &found);
    free(body);
}

static void a_file_in_use_cannot_be_deleted(void **state)
{
    char body[300], path[100], job[64];
    struct test_reply *reply;

    snprintf(body, sizeof body,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"hyperparameters\": "
             "{\"n_epochs\": 10000}}",
             training_file);
    snprintf(job, sizeof job, "%s", test_create_job(*state, body));
    snprintf(path, sizeof path, "/v1/files/%s", training_file);
    reply = test_send(*state, &(struct test_request){.method = "DELETE", .path = path});
    assert_int_equal(reply->status, 409);
    assert_string_equal(test_text(reply->json, "error.code"), "file_in_use");
    assert_string_equal(test_header(reply, "x-should-retry"), "false");
    snprintf(path, sizeof path, JOBS "/%s/cancel", job);
    assert_int_equal(test_post(*state, path, NULL)->status, 200);
}

/* Rows are looked at when the job is validated: it fails, and says which line. */
static void a_bad_row_fails_the_job_with_its_line(void **state)
{
    char body[200], id[64];
    const json_t *job;

    snprintf(body, sizeof body, "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\"}",
             test_upload(*state, "bad.jsonl", "{\"text\": \"a\", \"label\": \"x\"}\nnot json\n"));
    snprintf(id, sizeof id, "%s", test_create_job(*state, body));
    job = test_wait_job(*state, id, "failed");
    assert_string_equal(test_text(job, "status"), "failed");
    assert_string_equal(test_text(job, "error.code"), "invalid_training_file");
    assert_string_equal(test_text(job, "error.param"), "training_file");
    assert_non_null(strstr(test_text(job, "error.message"), "bad.jsonl:2"));
}

static void requests_that_are_not_http_do_no_harm(void **state)
{
    static const struct {
        const char *sent, *answer; /* "": the connection is just closed */
    } rows[] = {
        {"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n", "400 Bad Request"},
        {"GET /livez HTTP/1.0\r\n\r\n", "\"status\":\"ok\""},
        {"GET /\xff\x01 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
         "nothing is at /??"},
        {"POST " JOBS " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: "
         "chunked\r\n\r\nzz\r\n",
         "400"},
        {"hello\r\n\r\n", ""},
        {"\r\n\r\n", ""},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *answer = test_send_raw(*state, rows[i].sent, strlen(rows[i].sent));

        if (!strstr(answer, rows[i].answer))
            fail_msg("%s was answered by %s", rows[i].sent, answer);
        free(answer);
    }
    assert_int_equal(test_get(*state, "/livez")->status, 200);
}

/* Ours is the one that is answered; theirs stands beside it in the log, made harmless. */
static void a_clients_own_request_id_is_only_logged(void **state)
{
    struct test_server *server = *state;
    struct test_reply *reply =
        test_send(server, &(struct test_request){.method = "POST",
                                                 .path = JOBS,
                                                 .body = "{}",
                                                 .headers = {"x-request-id: trace-1\x02\"4711"}});
    char line[200], *log;
    size_t size;

    assert_memory_equal(test_header(reply, "x-request-id"), "req-", 4);
    snprintf(line, sizeof line, "%s (theirs: trace-1", test_header(reply, "x-request-id"));
    for (int i = 0; i < 500; i++) { /* it is written after the answer */
        bool there;

        log = test_file(test_server_path(server, "log"), &size);
        there = strstr(log, line) != NULL;
        free(log);
        if (there)
            return;
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    fail_msg("the log has no \"%s\"", line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_methods_and_parameters_are_checked),
        cmocka_unit_test(a_405_names_the_methods_that_there_are),
        cmocka_unit_test(jobs_are_checked_before_they_are_queued),
        cmocka_unit_test(a_job_that_cannot_fit_is_refused_with_the_figures),
        cmocka_unit_test(forms_are_checked),
        cmocka_unit_test(a_job_must_be_json),
        cmocka_unit_test(too_large_a_body_is_refused_with_the_limit),
        cmocka_unit_test(a_file_in_use_cannot_be_deleted),
        cmocka_unit_test(a_bad_row_fails_the_job_with_its_line),
        cmocka_unit_test(a_clients_own_request_id_is_only_logged),
        cmocka_unit_test(requests_that_are_not_http_do_no_harm),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
