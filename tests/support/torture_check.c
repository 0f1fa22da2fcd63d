/* torture_check.c - see torture.h: everything that was answered is there, once. */
#include "support/torture.h"

#include <dirent.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define JOBS    "/v1/fine_tuning/jobs"
#define N_STEPS 24
#define OVER    "succeeded|failed|cancelled"

/* ---- afterwards ---- */

/* Paused ones are woken, and all are waited for. */
static void finish_all(struct torture *t)
{
    for (int i = 0; i < t->n_jobs; i++) {
        const char *id = t->jobs[i].id;
        const json_t *job;

        if (t->jobs[i].deleted == PERHAPS && test_get(t->server, JOBS "/%s", id)->status == 404)
            t->jobs[i].deleted = YES;
        if (t->jobs[i].deleted == YES)
            continue;
        t->jobs[i].deleted = NO;
        job = test_wait_job(t->server, id, OVER "|paused");
        if (strcmp(test_text(job, "status"), "paused") == 0) {
            struct test_reply *reply = torture_ask(t, "POST", JOBS, id, "resume");

            assert_true(reply && reply->status == 200);
            test_wait_job(t->server, id, OVER);
        }
    }
}

static void check_adapter(struct torture *t, int i)
{
    struct test_reply *reply =
        test_get(t->server, JOBS "/%s/adapter/adapter_model.safetensors", t->jobs[i].id);
    int kind = t->jobs[i].kind;

    assert_int_equal(reply->status, 200);
    assert_int_equal(reply->size, t->kinds[kind].size);
    assert_memory_equal(reply->body, t->kinds[kind].adapter, reply->size);
}

/* A job that nobody cancelled has trained to its end; only one that three kills hit before its
 * first checkpoint may have been given up. */
static void check_end(struct torture *t, int i, size_t *n_succeeded)
{
    struct test_reply *reply = test_get(t->server, JOBS "/%s", t->jobs[i].id);
    const char *status = test_text(reply->json, "status");

    if (strcmp(status, "failed") == 0) {
        assert_int_not_equal(t->how, TORTURE_TERM); /* which is no death */
        assert_string_equal(test_text(reply->json, "error.code"), "daemon_died");
    } else if (strcmp(status, "cancelled") == 0) {
        assert_int_equal(t->jobs[i].cancelled, PERHAPS);
    } else {
        assert_string_equal(status, "succeeded");
        check_adapter(t, i);
        reply = test_get(t->server, JOBS "/%s/metrics?limit=1000", t->jobs[i].id);
        assert_int_equal(json_array_size(test_member(reply->json, "data")), N_STEPS);
        ++*n_succeeded;
    }
}

/* Those that tell of something that happens once. */
static bool happens_once(const char *message)
{
    static const char *const begins[] = {
        "Created ",     "Validating ", "Files validated",        "Fine-tuning job started",
        "Step ",        "Checkpoint ", "New fine-tuned model",   "The job was",
        "The job has ", "Forecast",    "Cancellation requested", "Training data",
    };

    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (strncmp(message, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}

/* In the order in which they were written: the first one, none twice, and the end last. */
static void check_events(struct torture *t, int i)
{
    struct test_reply *reply =
        test_get(t->server, JOBS "/%s/events?order=asc&limit=1000", t->jobs[i].id);
    const json_t *events = test_member(reply->json, "data");
    size_t n = json_array_size(events);
    const char *last;

    assert_int_equal(reply->status, 200);
    assert_true(n >= 3);
    for (size_t k = 0; k < n; k++) {
        const char *message = test_text(json_array_get(events, k), "message");

        if (t->how == TORTURE_TERM && strstr(message, "unexpectedly"))
            fail_msg("job %d: \"%s\" after a SIGTERM", i, message);
        for (size_t before = 0; happens_once(message) && before < k; before++)
            if (strcmp(test_text(json_array_get(events, before), "message"), message) == 0)
                fail_msg("job %d: \"%s\" was told twice", i, message);
    }
    last = test_text(json_array_get(events, n - 1), "message");
    if (strncmp(last, "The job ", 8) != 0 && !strstr(last, "ended unexpectedly"))
        fail_msg("job %d: the last event is \"%s\"", i, last);
}

/* Every number once, under the id that was answered. */
static void check_list(struct torture *t)
{
    char after[100] = "";
    int seen[TORTURE_MAX_JOBS] = {0};
    bool more = true;

    while (more) {
        struct test_reply *reply = test_get(t->server, JOBS "?limit=50%s", after);
        const json_t *data = test_member(reply->json, "data"), *job;
        size_t k;

        assert_int_equal(reply->status, 200);
        json_array_foreach ((json_t *)(uintptr_t)data, k, job) {
            int number = (int)strtol(test_text(job, "metadata.n"), NULL, 10);

            assert_true(number < t->n_jobs);
            snprintf(after, sizeof after, "&after=%s", test_text(job, "id"));
            if (number < 0)
                continue;
            assert_string_equal(test_text(job, "id"), t->jobs[number].id);
            seen[number]++;
        }
        more = json_is_true(test_member(reply->json, "has_more"));
    }
    for (int i = 0; i < t->n_jobs; i++)
        assert_int_equal(seen[i], t->jobs[i].deleted != YES);
}

static void check_file(struct torture *t, int number)
{
    char text[100];
    struct test_reply *reply = test_get(t->server, "/v1/files/%s/content", t->files[number].id);

    if (t->files[number].deleted == YES)
        assert_int_equal(reply->status, 404);
    if (reply->status == 404) {
        assert_int_not_equal(t->files[number].deleted, NO);
        return;
    }
    torture_file_text(number, text, sizeof text);
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply->body, text);
}

/* An upload whose parts were answered can be completed, if it was not. */
static void check_upload(struct torture *t, int number)
{
    struct test_reply *reply = test_get(t->server, "/v1/uploads/%s", t->files[number].upload);

    assert_int_equal(reply->status, 200);
    if (strcmp(test_text(reply->json, "status"), "completed") == 0)
        snprintf(t->files[number].id, sizeof t->files[number].id, "%s",
                 test_text(reply->json, "file.id"));
    else if (t->files[number].parts[1][0])
        assert_true(torture_complete(t, number));
}

static void check_files(struct torture *t)
{
    for (int i = 0; i < t->n_files; i++) {
        if (t->files[i].upload[0] && !t->files[i].id[0])
            check_upload(t, i);
        if (t->files[i].id[0])
            check_file(t, i);
    }
}

/* ---- what is on disk ---- */

static int64_t ask_database(sqlite3 *db, const char *sql, const char *text)
{
    sqlite3_stmt *s;
    int64_t answer;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    if (text)
        sqlite3_bind_text(s, 1, text, -1, SQLITE_TRANSIENT);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    answer = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return answer;
}

/* Entries of state/<folder> for which the query says 0; their number, the first one is told. */
static size_t count_orphans(struct torture *t, sqlite3 *db, const char *folder, const char *sql)
{
    char path[64];
    struct dirent *entry;
    size_t n = 0;
    DIR *dir;

    snprintf(path, sizeof path, "state/%s", folder);
    dir = opendir(test_server_path(t->server, path));
    assert_non_null(dir);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.' && !ask_database(db, sql, entry->d_name) && n++ == 0)
            print_message("# an orphan: %s/%s\n", folder, entry->d_name);
    closedir(dir);
    return n;
}

static void check_disk(struct torture *t)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open_v2(test_server_path(t->server, "state/prilorad.db"), &db,
                                     SQLITE_OPEN_READONLY, NULL),
                     SQLITE_OK);
    assert_int_equal(ask_database(db,
                                  "SELECT count(*) FROM pragma_integrity_check "
                                  "WHERE integrity_check <> 'ok'",
                                  NULL),
                     0);
    assert_int_equal(
        count_orphans(t, db, "jobs",
                      "SELECT count(*) FROM jobs WHERE id = ? AND fine_tuned_model IS NOT NULL"),
        0);
    assert_int_equal(count_orphans(t, db, "files", "SELECT count(*) FROM files WHERE id = ?"), 0);
    assert_int_equal(count_orphans(t, db, "parts",
                                   "SELECT count(*) FROM uploads WHERE id = ? AND status = "
                                   "'pending'"),
                     0);
    assert_int_equal(count_orphans(t, db, "uploads", "SELECT ?1 IS NULL"), 0);
    /* every end has one webhook, of jobs that are gone, too */
    assert_int_equal(ask_database(db,
                                  "SELECT count(*) FROM (SELECT 1 FROM webhooks GROUP BY "
                                  "job_id HAVING count(*) > 1)",
                                  NULL),
                     0);
    assert_int_equal(ask_database(db,
                                  "SELECT count(*) FROM jobs WHERE id NOT IN (SELECT job_id "
                                  "FROM webhooks)",
                                  NULL),
                     0);
    sqlite3_close(db);
}

/* ---- all of it ---- */

void torture_check(struct torture *t)
{
    size_t n_succeeded = 0, n_kept = 0;

    assert_true(torture_ask_again(t));
    finish_all(t);
    check_list(t);
    check_files(t);
    for (int i = 0; i < t->n_jobs; i++) {
        if (t->jobs[i].deleted == YES)
            continue;
        n_kept++;
        check_end(t, i, &n_succeeded);
        check_events(t, i);
    }
    print_message("# %d times: %d jobs, %zu kept, %zu of them succeeded; %d files\n", t->n_ends,
                  t->n_jobs, n_kept, n_succeeded, t->n_files);
    assert_true(n_succeeded > 0);
    test_server_stop(t->server); /* and what a start sweeps is swept */
    test_server_start(t->server);
    for (int i = 0; i < 100 && !strstr(test_get(t->server, "/metrics")->body, "prilorad"); i++)
        ;
    sleep(1);
    test_server_stop(t->server);
    check_disk(t);
}
