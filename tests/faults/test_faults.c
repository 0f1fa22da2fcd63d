/*
 * test_faults.c - the n-th write, read or allocation of a real daemon fails, on the whole path of a
 * client's work: upload, upload in parts, job, checkpoints, export, download, deletion. Whatever
 * fails says so with a status and a code, or goes on by itself when the trouble is over; the daemon
 * lives, and what was there before is as it was.
 *
 *     test_faults                    five of each kind
 *     test_faults points             of each kind of disk trouble, spread over the path; 0: all
 *     test_faults points memory      the n-th allocation, as it falls
 *     test_faults points places      stacks of callers that allocate, each once, until none is new
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/faulty.h"

#define JOBS         "/v1/fine_tuning/jobs"
#define OVER         "succeeded|failed|cancelled"
#define TROUBLE_MS   400 /* that a full disk stays full */
#define N_CODES      8
#define FORM         "multipart/form-data; boundary=cut"
#define UNTIL_TOLD   0
#define ONCE         1
#define LEAST_POINTS 1

static struct faulty faulty;
static long n_points = 5;

struct anchor {
    char job[64], file[64];
    char *adapter;
    size_t size;
};
static struct anchor anchor; /* what was there before */

static void sleep_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* ---- requests that may fail ---- */

/* NULL: it failed, with a status and a code that say so, or without any answer. */
static struct test_reply *ask(const char *method, const char *path, const char *body,
                              const char *type)
{
    static const struct {
        long status;
        const char *codes;
    } known[] = {{507, "disk_full"},
                 {500, "internal_error"},
                 {503, "out_of_memory|database_busy|shutting_down"},
                 {409, "base_model_not_usable"},
                 {400, "invalid_model|unsupported_model"}};
    struct test_reply *reply = test_send(faulty.server, &(struct test_request){.method = method,
                                                                               .path = path,
                                                                               .body = body,
                                                                               .type = type,
                                                                               .may_break = true});

    if (reply->status == 200)
        return reply;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (reply->status == known[i].status &&
            strstr(known[i].codes, test_text(reply->json, "error.code")))
            return NULL;
    if (reply->status)
        fail_msg("%s %s: %ld %s", method, path, reply->status, reply->body);
    return NULL;
}

static bool keep_id(char id[64], const struct test_reply *reply)
{
    id[0] = '\0';
    if (reply)
        snprintf(id, 64, "%s", test_text(reply->json, "id"));
    return reply;
}

static bool upload(char id[64])
{
    char *text = test_sentences(16, 1), *body = NULL;
    size_t size;
    FILE *out = open_memstream(&body, &size);
    bool ok;

    fprintf(out,
            "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n"
            "%s\r\n--cut\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n"
            "--cut--\r\n",
            text);
    fclose(out);
    ok = keep_id(id, ask("POST", "/v1/files", body, FORM));
    free(body);
    free(text);
    return ok;
}

static bool upload_in_parts(char id[64])
{
    static const char part[] = "--cut\r\nContent-Disposition: form-data; name=\"data\"; "
                               "filename=\"blob\"\r\n\r\nabcd\r\n--cut--\r\n";
    char path[200], body[200], part_id[64];

    if (!keep_id(id, ask("POST", "/v1/uploads",
                         "{\"bytes\": 4, \"filename\": \"b.csv\", \"mime_type\": \"text/csv\", "
                         "\"purpose\": \"fine-tune\"}",
                         NULL)))
        return false;
    snprintf(path, sizeof path, "/v1/uploads/%s/parts", id);
    if (!keep_id(part_id, ask("POST", path, part, FORM)))
        return false;
    snprintf(path, sizeof path, "/v1/uploads/%s/complete", id);
    snprintf(body, sizeof body, "{\"part_ids\": [\"%s\"]}", part_id);
    return ask("POST", path, body, NULL);
}

static bool submit(const char *file, char id[64])
{
    char json[500];

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"seed\": 3, \"method\": "
             "{\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": {\"n_epochs\": 1, "
             "\"batch_size\": 4, \"max_length\": 16, \"prune_interval\": 2, \"checkpoint_steps\": "
             "2}}}}",
             file);
    return keep_id(id, ask("POST", JOBS, json, NULL));
}

/* While there is trouble: until the job is over, or a while has passed. */
static void look_on(const char *id)
{
    char path[200];
    struct test_reply *reply;

    snprintf(path, sizeof path, JOBS "/%s", id);
    for (int i = 0; i < TROUBLE_MS / 20; i++) {
        reply = ask("GET", path, NULL, NULL);
        if (reply && strstr(OVER, test_text(reply->json, "status")))
            return;
        sleep_ms(20);
    }
}

/* ---- the path ---- */

struct client {
    char file[64], upload[64], job[64];
    bool has_deleted;
};

static void walk(struct client *c)
{
    char path[200];

    *c = (struct client){0};
    upload(c->file);
    upload_in_parts(c->upload);
    if (c->file[0])
        submit(c->file, c->job);
    else
        submit(anchor.file, c->job);
    if (!c->job[0])
        return;
    look_on(c->job);
    snprintf(path, sizeof path, JOBS "/%s/events", c->job);
    ask("GET", path, NULL, NULL);
}

/* Afterwards, without trouble. Whatever came of it, the daemon and what was there are well. */
static void check_anchor(void)
{
    struct test_reply *reply;
    char *text = test_sentences(16, 1);

    assert_int_equal(test_get(faulty.server, "/livez")->status, 200);
    reply = test_get(faulty.server, "/v1/files/%s/content", anchor.file);
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply->body, text);
    reply = test_get(faulty.server, JOBS "/%s/adapter/adapter_model.safetensors", anchor.job);
    assert_int_equal(reply->status, 200);
    assert_int_equal(reply->size, anchor.size);
    assert_memory_equal(reply->body, anchor.adapter, anchor.size);
    free(text);
}

static void check_job(const char *id)
{
    static const char codes[] =
        "disk_full|io_error|out_of_memory|database_busy|damaged_file|invalid_model|"
        "invalid_specification|invalid_training_file|unsupported_model|training_failed";
    const json_t *job = test_wait_job(faulty.server, id, OVER);
    const char *status = test_text(job, "status");
    struct test_reply *reply;

    if (strcmp(status, "failed") == 0) {
        if (!strstr(codes, test_text(job, "error.code")) || !*test_text(job, "error.message"))
            fail_msg("failed: %s: %s", test_text(job, "error.code"),
                     test_text(job, "error.message"));
        return;
    }
    assert_string_equal(status, "succeeded");
    reply = test_get(faulty.server, JOBS "/%s/adapter/adapter_model.safetensors", id);
    assert_int_equal(reply->status, 200);
    assert_int_equal(reply->size, anchor.size); /* the same job */
    assert_memory_equal(reply->body, anchor.adapter, anchor.size);
}

/* A job can be there though its answer could not be made: the client heard of a failure. */
static void find_job(struct client *c)
{
    const struct test_reply *reply = test_get(faulty.server, JOBS "?limit=1");
    const char *id = test_text(reply->json, "data.0.id");

    assert_int_equal(reply->status, 200);
    if (!c->job[0] && strcmp(id, anchor.job) != 0)
        snprintf(c->job, sizeof c->job, "%s", id);
}

static void check_walk(struct client *c)
{
    char path[200];
    struct test_reply *reply;

    find_job(c);
    if (c->job[0])
        check_job(c->job);
    if (c->file[0]) {
        reply = test_get(faulty.server, "/v1/files/%s/content", c->file);
        assert_int_equal(reply->status, 200);
    }
    check_anchor();
    if (c->job[0]) {
        snprintf(path, sizeof path, JOBS "/%s", c->job);
        assert_non_null(ask("DELETE", path, NULL, NULL));
    }
    if (c->file[0]) {
        snprintf(path, sizeof path, "/v1/files/%s", c->file);
        assert_non_null(ask("DELETE", path, NULL, NULL));
    }
}

/* ---- every point of it ---- */

static long count_calls(enum shim_calls calls)
{
    struct client client;

    faulty_arm(&faulty, calls, LONG_MAX, 0, 0);
    walk(&client);
    faulty_disarm(&faulty);
    check_walk(&client);
    return atomic_load(&faulty.shim->seen);
}

static void fail_everywhere(const char *what, enum shim_calls calls, long fail, int error)
{
    long n_calls = count_calls(calls), n = n_points ? n_points : n_calls, tried = 0;
    struct client client;

    assert_true(n_calls > 0);
    for (long i = 0; i < n && i < n_calls; i++) {
        long at = n < n_calls ? i * n_calls / n : i;

        faulty_arm(&faulty, calls, at, fail, error);
        walk(&client);
        faulty_disarm(&faulty);
        tried += atomic_load(&faulty.shim->failed) > 0;
        if (faulty.shim->is_verbose)
            print_message("# at %ld: %ld failed\n", at, atomic_load(&faulty.shim->failed));
        check_walk(&client);
    }
    print_message("# %s: %ld of %ld calls failed in turn\n", what, tried, n_calls);
    assert_true(tried >= LEAST_POINTS);
}

static void a_full_disk_is_told_and_survived_wherever_it_begins(void **state)
{
    (void)state;
    fail_everywhere("disk full from the n-th write on", SHIM_WRITES, SHIM_FOREVER, ENOSPC);
}

static void a_write_that_fails_once_is_told_and_survived(void **state)
{
    (void)state;
    fail_everywhere("n-th write", SHIM_WRITES, ONCE, EIO);
}

static void a_read_that_fails_once_is_told_and_survived(void **state)
{
    (void)state;
    fail_everywhere("n-th read", SHIM_READS, ONCE, EIO);
}

static void an_allocation_that_fails_once_is_told_and_survived(void **state)
{
    (void)state;
    fail_everywhere("n-th allocation", SHIM_ALLOCATIONS, ONCE, ENOMEM);
}

static void memory_that_is_gone_for_a_while_is_told_and_survived(void **state)
{
    (void)state;
    fail_everywhere("200 allocations from the n-th on", SHIM_ALLOCATIONS, 200, ENOMEM);
}

/* libsentencepiece would crash of it: see pl_sentencepiece_wait_for_memory. */
static void what_c_plus_plus_is_refused_for_a_while_is_waited_for(void **state)
{
    (void)state;
    fail_everywhere("50 of C++'s allocations from the n-th on", SHIM_NEW, 50, ENOMEM);
}

/* Again and again, until a walk meets no new place. */
static void every_place_that_allocates_fails_once_and_is_survived(void **state)
{
    long before = -1, walks = 0;
    struct client client;

    (void)state;
    for (; atomic_load(&faulty.shim->n_places) != before && (!n_points || walks < n_points);
         walks++) {
        before = atomic_load(&faulty.shim->n_places);
        faulty_arm(&faulty, SHIM_PLACES, 0, ONCE, ENOMEM);
        walk(&client);
        faulty_disarm(&faulty);
        if (faulty.shim->is_verbose)
            print_message("# walk %ld: %ld places\n", walks,
                          atomic_load(&faulty.shim->n_places) - before);
        check_walk(&client);
    }
    print_message("# %ld places that allocate failed in %ld walks\n",
                  atomic_load(&faulty.shim->n_places), walks);
    assert_true(atomic_load(&faulty.shim->n_places) > n_points);
}

/* ---- the group ---- */

static int open_group(void **state)
{
    static const char *const settings[] = {"--training.threads=1", NULL};
    struct test_reply *reply;

    (void)state;
    faulty_open(&faulty, settings, false);
    faulty.shim->is_verbose = getenv("FAULTS_VERBOSE") != NULL;
    assert_true(upload(anchor.file) && submit(anchor.file, anchor.job));
    reply = test_finish_job(faulty.server, anchor.job);
    anchor.size = reply->size;
    anchor.adapter = malloc(reply->size);
    memcpy(anchor.adapter, reply->body, reply->size);
    return 0;
}

static int close_group(void **state)
{
    char *log = test_server_log(faulty.server);

    (void)state;
    if (faulty.shim->is_verbose)
        fprintf(stderr, "%s", log);
    free(log);
    faulty_close(&faulty);
    free(anchor.adapter);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest disk[] = {
        cmocka_unit_test(a_full_disk_is_told_and_survived_wherever_it_begins),
        cmocka_unit_test(a_write_that_fails_once_is_told_and_survived),
        cmocka_unit_test(a_read_that_fails_once_is_told_and_survived),
    };
    const struct CMUnitTest places[] = {
        cmocka_unit_test(every_place_that_allocates_fails_once_and_is_survived),
    };
    const struct CMUnitTest memory[] = {
        cmocka_unit_test(an_allocation_that_fails_once_is_told_and_survived),
        cmocka_unit_test(memory_that_is_gone_for_a_while_is_told_and_survived),
        cmocka_unit_test(what_c_plus_plus_is_refused_for_a_while_is_waited_for),
    };

    if (argc == 1)
        return cmocka_run_group_tests(disk, open_group, close_group) +
               cmocka_run_group_tests(memory, open_group, close_group);
    n_points = strtol(argv[1], NULL, 10);
    if (argc > 2 && strcmp(argv[2], "memory") == 0)
        return cmocka_run_group_tests(memory, open_group, close_group);
    if (argc > 2 && strcmp(argv[2], "places") == 0)
        return cmocka_run_group_tests(places, open_group, close_group);
    return cmocka_run_group_tests(disk, open_group, close_group);
}
