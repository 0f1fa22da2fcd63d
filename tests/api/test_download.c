/* test_download.c - a finished adapter as a tar and file by file; ranges, entity tags, digests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <nettle/base64.h>
#include <nettle/sha2.h>

#include "support/scratch.h"
#include "support/server.h"

#define JOBS "/v1/fine_tuning/jobs"

struct download {
    struct test_server *server;
    char job[64], path[128]; /* of the adapter */
    char *tar;
    size_t n_tar;
};

static int open_group(void **state)
{
    struct download *d = calloc(1, sizeof *d);
    char json[600], *text = test_sentences(16, 1);
    struct test_reply *reply;

    d->server = test_server_new(NULL);
    *state = d;
    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"method\": {\"type\": "
             "\"prilora\", \"prilora\": {\"hyperparameters\": {\"max_steps\": 2, \"batch_size\": "
             "4, \"max_length\": 16}}}}",
             test_upload(d->server, "a.jsonl", text));
    free(text);
    snprintf(d->job, sizeof d->job, "%s", test_create_job(d->server, json));
    assert_string_equal(test_text(test_wait_job(d->server, d->job, "succeeded"), "status"),
                        "succeeded");
    snprintf(d->path, sizeof d->path, JOBS "/%s/adapter", d->job);
    reply = test_get(d->server, "%s", d->path);
    assert_int_equal(reply->status, 200);
    d->tar = malloc(reply->size);
    d->n_tar = reply->size;
    memcpy(d->tar, reply->body, reply->size);
    return 0;
}

static int close_group(void **state)
{
    struct download *d = *state;

    test_server_free(d->server);
    free(d->tar);
    free(d);
    return 0;
}

static void digest_header(char out[80], const void *data, size_t size)
{
    struct sha256_ctx hash;
    uint8_t bytes[32];
    char base64[BASE64_ENCODE_RAW_LENGTH(sizeof bytes) + 1] = {0};

    sha256_init(&hash);
    sha256_update(&hash, size, data);
    sha256_digest(&hash, sizeof bytes, bytes);
    base64_encode_raw(base64, sizeof bytes, bytes);
    snprintf(out, 80, "sha-256=:%s:", base64);
}

static struct test_reply *get_with(struct download *d, const char *path, const char *header,
                                   const char *more)
{
    return test_send(d->server, &(struct test_request){
                                    .method = "GET", .path = path, .headers = {header, more}});
}

static int run_tar(const char *folder, const char *archive)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        execlp("tar", "tar", "-C", folder, "-xf", archive, (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    waitpid(pid, &status, 0);
    return status;
}

/* tar(1) takes it apart; what comes out is what the single files are. */
static void tar_reads_the_archive(void **state)
{
    static const char *const names[] = {"README.md", "adapter_config.json",
                                        "adapter_model.safetensors", "input_statistics.safetensors",
                                        "labels.json"};
    struct download *d = *state;
    const char *archive = test_server_path(d->server, "a.tar");
    FILE *file = fopen(archive, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(d->tar, 1, d->n_tar, file), d->n_tar);
    fclose(file);
    assert_int_equal(run_tar(d->server->folder, archive), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct test_reply *reply = test_get(d->server, "%s/%s", d->path, names[i]);
        char member[200], *bytes;
        size_t size;

        assert_int_equal(reply->status, 200);
        snprintf(member, sizeof member, "%s/%s", d->job, names[i]);
        bytes = test_file(test_server_path(d->server, member), &size);
        assert_non_null(bytes);
        assert_int_equal(reply->size, size);
        assert_memory_equal(reply->body, bytes, size);
        free(bytes);
    }
}

static void the_job_lists_the_files_and_their_sizes(void **state)
{
    struct download *d = *state;
    json_t *job = json_deep_copy(test_get(d->server, JOBS "/%s", d->job)->json);
    json_t *files = json_object_get(json_object_get(job, "adapter"), "files"), *file;
    size_t i;

    assert_string_equal(test_text(job, "adapter.url"), d->path);
    assert_int_equal(json_array_size(files), 5);
    json_array_foreach (files, i, file) {
        struct test_reply *reply = test_get(d->server, "%s/%s", d->path, test_text(file, "name"));

        assert_int_equal(reply->status, 200);
        assert_int_equal(reply->size, test_integer(file, "bytes"));
    }
    json_decref(job);
}

static void the_archive_is_the_same_every_time_with_its_digest(void **state)
{
    struct download *d = *state;
    struct test_reply *reply = test_get(d->server, "%s", d->path);
    char digest[80], length[32];

    digest_header(digest, d->tar, d->n_tar);
    snprintf(length, sizeof length, "%zu", d->n_tar);
    assert_int_equal(reply->size, d->n_tar);
    assert_memory_equal(reply->body, d->tar, d->n_tar);
    assert_string_equal(test_header(reply, "Repr-Digest"), digest);
    assert_string_equal(test_header(reply, "Content-Length"), length);
    assert_string_equal(test_header(reply, "Content-Type"), "application/x-tar");
    assert_string_equal(test_header(reply, "Accept-Ranges"), "bytes");
    reply = test_get(d->server, "%s/labels.json", d->path);
    digest_header(digest, reply->body, reply->size);
    assert_string_equal(test_header(reply, "Repr-Digest"), digest);
}

/* Ranges around all edges of the archive: headers, data, padding, end. */
static void any_range_of_the_archive_is_its_part(void **state)
{
    struct download *d = *state;
    const size_t n = d->n_tar;
    const struct {
        size_t first, last;
    } ranges[] = {{0, 0},         {0, 511},       {511, 512},        {100, 2000},
                  {n / 3, n / 2}, {n - 1, n - 1}, {n - 1025, n - 2}, {1, n - 1}};

    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        size_t size = ranges[i].last - ranges[i].first + 1;
        char header[80], expected[80];
        struct test_reply *reply;

        snprintf(header, sizeof header, "Range: bytes=%zu-%zu", ranges[i].first, ranges[i].last);
        snprintf(expected, sizeof expected, "bytes %zu-%zu/%zu", ranges[i].first, ranges[i].last,
                 n);
        reply = get_with(d, d->path, header, NULL);
        assert_int_equal(reply->status, 206);
        assert_string_equal(test_header(reply, "Content-Range"), expected);
        assert_int_equal(reply->size, size);
        assert_memory_equal(reply->body, d->tar + ranges[i].first, size);
    }
}

static void odd_ranges_are_answered_as_http_says(void **state)
{
    struct download *d = *state;
    static const struct {
        const char *header;
        long status;
        bool is_last_five;
    } rows[] = {
        {"Range: bytes=-5", 206, true},
        {"Range: bytes=5-", 206, false},
        {"Range: bytes=0-99999999999999999999999", 206, false},
        {"Range: bytes=99999999999-", 416, false},
        {"Range: bytes=-0", 416, false},
        {"Range: bytes=5-4", 200, false},     /* no valid range: as if it were not there */
        {"Range: bytes=0-1,4-5", 200, false}, /* several: the whole is allowed */
        {"Range: lines=0-1", 200, false},
        {"Range: bytes=abc", 200, false},
        {"Range: bytes=", 200, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct test_reply *reply = get_with(d, d->path, rows[i].header, NULL);
        char expected[80];

        if (reply->status != rows[i].status)
            fail_msg("%s: %ld", rows[i].header, reply->status);
        if (reply->status == 200)
            assert_int_equal(reply->size, d->n_tar);
        if (rows[i].is_last_five) {
            snprintf(expected, sizeof expected, "bytes %zu-%zu/%zu", d->n_tar - 5, d->n_tar - 1,
                     d->n_tar);
            assert_string_equal(test_header(reply, "Content-Range"), expected);
        }
        if (reply->status == 416) {
            snprintf(expected, sizeof expected, "bytes */%zu", d->n_tar);
            assert_string_equal(test_header(reply, "Content-Range"), expected);
            assert_string_equal(test_text(reply->json, "error.code"), "range_not_satisfiable");
        }
    }
}

static void entity_tags_save_a_second_download(void **state)
{
    struct download *d = *state;
    char etag[200], header[300], path[300];
    struct test_reply *reply;

    snprintf(path, sizeof path, "%s/adapter_model.safetensors", d->path);
    snprintf(etag, sizeof etag, "%s", test_header(get_with(d, path, NULL, NULL), "ETag"));
    assert_int_equal(strlen(etag), 66); /* 64 digits in quotes */
    snprintf(header, sizeof header, "If-None-Match: \"x\", W/%s", etag);
    reply = get_with(d, path, header, NULL);
    assert_int_equal(reply->status, 304);
    assert_int_equal(reply->size, 0);
    assert_string_equal(test_header(reply, "ETag"), etag);
    assert_int_equal(get_with(d, path, "If-None-Match: *", NULL)->status, 304);
    assert_int_equal(get_with(d, path, "If-None-Match: \"x\"", NULL)->status, 200);
    /* a download goes on only where the file is still the same */
    snprintf(header, sizeof header, "If-Range: %s", etag);
    assert_int_equal(get_with(d, path, "Range: bytes=10-", header)->status, 206);
    assert_int_equal(get_with(d, path, "Range: bytes=10-", "If-Range: \"x\"")->status, 200);
}

static void head_tells_all_but_the_bytes(void **state)
{
    struct download *d = *state;
    char length[32];
    struct test_reply *reply =
        test_send(d->server, &(struct test_request){.method = "HEAD", .path = d->path});

    snprintf(length, sizeof length, "%zu", d->n_tar);
    assert_int_equal(reply->status, 200);
    assert_int_equal(reply->size, 0);
    assert_string_equal(test_header(reply, "Content-Length"), length);
    assert_non_null(test_header(reply, "ETag"));
}

/* ---- other forms ---- */

static char *get_form(struct download *d, const char *query, size_t *size)
{
    struct test_reply *reply = test_get(d->server, "%s?%s", d->path, query);
    char length[32], *bytes = malloc(reply->size);

    assert_int_equal(reply->status, 200);
    assert_string_equal(test_header(reply, "Content-Type"), "application/x-tar");
    snprintf(length, sizeof length, "%zu", reply->size);
    assert_string_equal(test_header(reply, "Content-Length"), length);
    *size = reply->size;
    memcpy(bytes, reply->body, reply->size);
    return bytes;
}

/* Offsets in headers, numbers, between tensors and at the end; lengths that cut numbers. */
static void any_range_of_another_form_is_its_part(void **state)
{
    static const char *const queries[] = {"merged=true", "rank=uniform"};
    struct download *d = *state;

    for (size_t q = 0; q < 2; q++) {
        char path[200], header[80], etag[200];
        size_t n;
        char *whole = get_form(d, queries[q], &n);
        const size_t firsts[] = {0, 511, 700, 5001, n / 3, n / 2 + 1, n - 2048};

        snprintf(path, sizeof path, "%s?%s", d->path, queries[q]);
        for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
            size_t last = firsts[i] + 70001 < n ? firsts[i] + 70001 : n - 1;
            struct test_reply *reply;

            snprintf(header, sizeof header, "Range: bytes=%zu-%zu", firsts[i], last);
            reply = get_with(d, path, header, NULL);
            assert_int_equal(reply->status, 206);
            assert_int_equal(reply->size, last - firsts[i] + 1);
            assert_memory_equal(reply->body, whole + firsts[i], reply->size);
        }
        snprintf(etag, sizeof etag, "If-None-Match: %s",
                 test_header(get_with(d, path, NULL, NULL), "ETag"));
        assert_int_equal(get_with(d, path, etag, NULL)->status, 304);
        assert_null(test_header(get_with(d, path, NULL, NULL), "Repr-Digest"));
        assert_int_equal(get_with(d, d->path, etag, NULL)->status, 200); /* another tag */
        free(whole);
    }
}

static void tar_reads_the_merged_model(void **state)
{
    static const struct {
        const char *name, *original; /* of the base, if it is the same */
    } files[] = {{"config.json", NULL},
                 {"model.safetensors", NULL},
                 {"spm.model", "examples/prilora-mini-en/spm.model"},
                 {"tokenizer_config.json", "examples/prilora-mini-en/tokenizer_config.json"}};
    struct download *d = *state;
    const char *archive = test_server_path(d->server, "merged.tar");
    size_t n, n_original;
    char *whole = get_form(d, "merged=true", &n);
    FILE *file = fopen(archive, "wb");

    assert_int_equal(fwrite(whole, 1, n, file), n);
    fclose(file);
    free(whole);
    assert_int_equal(run_tar(d->server->folder, archive), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char member[200], *bytes, *original;

        snprintf(member, sizeof member, "%s/%s", d->job, files[i].name);
        bytes = test_file(test_server_path(d->server, member), &n);
        assert_non_null(bytes);
        original = files[i].original ? test_file(files[i].original, &n_original) : NULL;
        if (original) {
            assert_int_equal(n, n_original);
            assert_memory_equal(bytes, original, n);
        }
        free(original);
        free(bytes);
    }
}

static void forms_that_there_are_not_are_refused(void **state)
{
    static const struct {
        const char *query, *param;
    } rows[] = {{"merged=yes", "merged"},
                {"merged=", "merged"},
                {"rank=8", "rank"},
                {"merged=true&rank=uniform", "rank"},
                {"file=x", "file"}};
    struct download *d = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct test_reply *reply = test_get(d->server, "%s?%s", d->path, rows[i].query);

        assert_int_equal(reply->status, 400);
        assert_string_equal(test_text(reply->json, "error.param"), rows[i].param);
    }
    assert_int_equal(test_get(d->server, "%s?merged=false", d->path)->size, d->n_tar);
    assert_int_equal(test_get(d->server, "%s/labels.json?merged=true", d->path)->status, 400);
    assert_int_equal(test_get(d->server, JOBS "/ftjob-none/adapter?merged=true")->status, 404);
}

/* The base has no part in it: nothing may be said of it. */
static void a_damaged_adapter_is_not_blamed_on_the_base(void **state)
{
    struct download *d = *state;
    char name[200], kept[600], lost[600];
    struct test_reply *reply;

    snprintf(name, sizeof name, "state/jobs/%s/adapter/adapter_config.json", d->job);
    snprintf(lost, sizeof lost, "%s", test_server_path(d->server, name));
    snprintf(kept, sizeof kept, "%s", test_server_path(d->server, "kept"));
    assert_int_equal(rename(lost, kept), 0);
    reply = test_get(d->server, "%s?rank=uniform", d->path);
    assert_int_equal(reply->status, 500);
    assert_string_equal(test_text(reply->json, "error.code"), "internal_error");
    assert_int_equal(rename(kept, lost), 0);
    assert_int_equal(test_get(d->server, "%s?rank=uniform", d->path)->status, 200);
}

static void only_files_of_the_adapter_are_given_out(void **state)
{
    static const char *const names[] = {"..",
                                        ".",
                                        "%2e%2e",
                                        "checkpoint",
                                        "..%2fcheckpoint",
                                        "..%2F..%2F..%2Fprilorad.db",
                                        "README.md%2f",
                                        "%2Fetc%2Fpasswd",
                                        "labels.json/x",
                                        ""};
    struct download *d = *state;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(test_get(d->server, "%s/%s", d->path, names[i])->status, 404);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tar_reads_the_archive),
        cmocka_unit_test(the_job_lists_the_files_and_their_sizes),
        cmocka_unit_test(the_archive_is_the_same_every_time_with_its_digest),
        cmocka_unit_test(any_range_of_the_archive_is_its_part),
        cmocka_unit_test(odd_ranges_are_answered_as_http_says),
        cmocka_unit_test(entity_tags_save_a_second_download),
        cmocka_unit_test(head_tells_all_but_the_bytes),
        cmocka_unit_test(any_range_of_another_form_is_its_part),
        cmocka_unit_test(tar_reads_the_merged_model),
        cmocka_unit_test(forms_that_there_are_not_are_refused),
        cmocka_unit_test(a_damaged_adapter_is_not_blamed_on_the_base),
        cmocka_unit_test(only_files_of_the_adapter_are_given_out),
    };

    return cmocka_run_group_tests(tests, open_group, close_group);
}
