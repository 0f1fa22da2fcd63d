/*
 * test_schema.c - databases that an earlier release wrote, and large ones: nothing is lost when
 * they are migrated, and what is asked all the time does not grow with what is there.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/events.h"
#include "daemon/queue.h"
#include "daemon/schema.h"
#include "daemon/store.h"
#include "support/rows.h"
#include "support/scratch.h"

#define N_ROWS 100000
#define MOST_STEPS                                                                                 \
    6000 /* of SQLite's machine for one page of 20; to read all is above 1,000,000                 \
          */

/* tests/schema/N.sql: what the prilorad that was released with schema N had in its database when it
 * was killed, written down by sqlite3's .dump; with jobs in most states. */
static char *released(long schema)
{
    char path[64];
    size_t size;
    char *text;

    snprintf(path, sizeof path, "tests/schema/%ld.sql", schema);
    text = test_file(path, &size);
    assert_non_null(text);
    return text;
}

/* A job in each state ("job-0" validating ... "job-6" cancelled), the running one with a long
 * series of metrics, and one being validated that a worker has. */
static const char jobs_1[] =
    "INSERT INTO jobs (id, status, created_at, started_at, priority, seed, model, training_file, "
    "spec, claimed, cancel_requested) VALUES"
    " ('job-0', 'validating_files', 10, 0, 0, 1, 'm', 'file-1', '{}', 1, 0),"
    " ('job-1', 'queued', 11, 0, 3, 1, 'm', 'file-1', '{}', 0, 0),"
    " ('job-2', 'running', 12, 20, 0, 1, 'm', 'file-1', '{}', 0, 0),"
    " ('job-3', 'paused', 13, 20, 0, 1, 'm', 'file-1', '{}', 0, 0),"
    " ('job-4', 'succeeded', 14, 20, 0, 1, 'm', 'file-1', '{}', 0, 0),"
    " ('job-5', 'failed', 15, 20, 0, 1, 'm', 'file-1', '{}', 0, 0),"
    " ('job-6', 'cancelled', 16, 20, 0, 1, 'm', 'file-1', '{}', 0, 1);"
    "UPDATE jobs SET fine_tuned_model = 'ft:m::4' WHERE id = 'job-4';"
    "INSERT INTO files (id, bytes, created_at, filename, purpose, status, sha256)"
    " VALUES ('file-1', 3, 9, 'a.csv', 'fine-tune', 'processed', '00');"
    "INSERT INTO events (id, job_id, key, created_at, level, type, message)"
    " SELECT 'event-' || id, id, 'created', 10, 'info', 'message', 'Created' FROM jobs;"
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
    " INSERT INTO series SELECT 'job-2', 0, i, i, '{\"step\":' || i || '}' FROM n;";

static void run(sqlite3 *db, const char *sql)
{
    char *message = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s", message);
}

static int64_t number(struct store *store, const char *sql)
{
    sqlite3_stmt *s = store_statement(store, sql, NULL);
    int64_t answer;
    bool row;

    assert_non_null(s);
    assert_int_equal(store_step(store, s, &row, "ask", NULL), PRILORA_OK);
    assert_true(row);
    answer = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    return answer;
}

static struct store *open_store(const char *name)
{
    struct store *store;
    struct prilora_error err = {0};

    if (store_open(&store, test_scratch_path(name), &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    return store;
}

static const char *database(const char *name, const char *ending)
{
    static char paths[4][400];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/prilorad.db%s", test_scratch_path(name), ending);
    return path;
}

/* A state folder with a database as it was released. */
static sqlite3 *make_old(const char *name, long schema)
{
    char *dump = released(schema);
    sqlite3 *db;

    assert_int_equal(mkdir(test_scratch_path(name), 0700), 0);
    assert_int_equal(sqlite3_open(database(name, ""), &db), SQLITE_OK);
    run(db, dump);
    free(dump);
    return db;
}

/* Its tables, with other rows. */
static struct store *migrate(const char *name)
{
    sqlite3 *db = make_old(name, 1);

    run(db, "BEGIN; DELETE FROM events; DELETE FROM series; DELETE FROM jobs; DELETE FROM files");
    run(db, jobs_1);
    run(db, "COMMIT");
    sqlite3_close(db);
    return open_store(name);
}

/* ---- migrating ---- */

static void jobs_of_every_state_are_what_they_were(void **state)
{
    struct store *store = migrate("states");
    struct job job;

    (void)state;
    for (int i = 0; i <= JOB_CANCELLED; i++) {
        char id[16];

        snprintf(id, sizeof id, "job-%d", i);
        assert_int_equal(queue_get(store, id, &job, NULL), PRILORA_OK);
        assert_int_equal(job.status, i);
        assert_int_equal(job.created_at, 10 + i);
        assert_int_equal(job.cancel_requested, i == JOB_CANCELLED);
        assert_false(job.pause_requested);
        assert_null(job.start_from);
        job_clear(&job);
    }
    assert_int_equal(number(store, "SELECT count(*) FROM events"), 7);
    assert_int_equal(number(store, "SELECT count(*) FROM files WHERE key_id IS NULL"), 1);
    assert_int_equal(number(store, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    store_close(store);
}

/* Streams page by revision: the old rows come first, in their order, and a new one after them. */
static void a_long_series_goes_on_after_its_old_rows(void **state)
{
    struct store *store = migrate("series");
    struct series_row *rows;
    size_t n;
    bool more;

    (void)state;
    assert_int_equal(number(store, "SELECT count(*) FROM series"), N_ROWS);
    assert_int_equal(series_merge(store, SERIES_METRICS, "job-2", 50, "{\"more\":1}", NULL),
                     PRILORA_OK);
    assert_int_equal(series_list_changed(store, SERIES_METRICS, "job-2", 0, 2, &rows, &n, &more,
                                         NULL),
                     PRILORA_OK);
    assert_int_equal(n, 2);
    assert_int_equal(rows[0].step, 1);
    assert_int_equal(rows[1].step, 2);
    series_free_list(rows, n);
    assert_int_equal(series_list_changed(store, SERIES_METRICS, "job-2", N_ROWS + 1, 2, &rows, &n,
                                         &more, NULL),
                     PRILORA_OK);
    assert_int_equal(n, 1);
    assert_int_equal(rows[0].step, 50);
    assert_string_equal(rows[0].json, "{\"step\":50,\"more\":1}");
    series_free_list(rows, n);
    store_close(store);
}

static void old_jobs_end_with_one_webhook_each(void **state)
{
    struct store *store = migrate("webhooks");
    size_t n_requeued;
    struct job job;

    (void)state;
    run(store_db(store, NULL), "INSERT INTO webhook_target VALUES (1, 'http://localhost/')");
    assert_int_equal(queue_finish(store, "job-2", &(struct job_end){.status = JOB_SUCCEEDED}, NULL),
                     PRILORA_OK);
    assert_int_equal(queue_recover(store, &n_requeued, NULL), PRILORA_OK); /* job-0 */
    for (int i = 0; i < 4; i++) {
        char id[16];

        snprintf(id, sizeof id, "job-%d", i);
        if (queue_cancel(store, id, &job, NULL) == PRILORA_OK)
            job_clear(&job);
    }
    assert_int_equal(number(store, "SELECT count(*) FROM webhooks"), 4);
    assert_int_equal(number(store, "SELECT count(DISTINCT job_id) FROM webhooks WHERE job_id IN "
                                   "('job-0', 'job-1', 'job-2', 'job-3')"),
                     4);
    store_close(store);
}

/* ---- every schema that was released ---- */

static sqlite3 *open_database(const char *path)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    return db;
}

/* The columns of a table, commas between. */
static void list_columns(sqlite3 *db, const char *table, char *out, size_t room)
{
    char sql[200];
    sqlite3_stmt *s;

    snprintf(sql, sizeof sql,
             "SELECT group_concat('\"' || name || '\"') FROM pragma_table_info('%s')", table);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    snprintf(out, room, "%s", (const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
}

/* Every row of every table of `old` stands, with the columns that it had there, in the database at
 * `path`, and no other row does. */
static void check_rows(sqlite3 *old, const char *path)
{
    char sql[4000], columns[1500];
    sqlite3_stmt *tables;
    int n = 0;

    snprintf(sql, sizeof sql, "ATTACH '%s' AS new", path);
    run(old, sql);
    assert_int_equal(sqlite3_prepare_v2(old,
                                        "SELECT name FROM main.sqlite_schema WHERE type = "
                                        "'table' AND name NOT LIKE 'sqlite_%'",
                                        -1, &tables, NULL),
                     SQLITE_OK);
    for (; sqlite3_step(tables) == SQLITE_ROW; n++) {
        const char *table = (const char *)sqlite3_column_text(tables, 0);

        list_columns(old, table, columns, sizeof columns);
        snprintf(sql, sizeof sql,
                 "SELECT (SELECT COUNT(*) FROM (SELECT %s FROM main.%s EXCEPT SELECT %s FROM "
                 "new.%s)) + abs((SELECT COUNT(*) FROM main.%s) - (SELECT COUNT(*) FROM new.%s))",
                 columns, table, columns, table, table, table);
        if (test_ask(old, sql) != 0)
            fail_msg("rows of %s are not what they were", table);
    }
    sqlite3_finalize(tables);
    assert_true(n >= 4);
}

/* The database as it was released, in memory: what all is compared with. */
static sqlite3 *as_released(long schema)
{
    char *dump = released(schema);
    sqlite3 *db;

    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    run(db, dump);
    free(dump);
    assert_int_equal(test_ask(db, "SELECT user_version FROM pragma_user_version"), schema);
    assert_true(test_ask(db, "SELECT COUNT(*) FROM events") > 20);
    return db;
}

static void check_copy(sqlite3 *old, const char *path, long schema)
{
    sqlite3 *copy = open_database(path);

    assert_int_equal(test_ask(copy, "SELECT user_version FROM pragma_user_version"), schema);
    assert_int_equal(test_ask(copy, "SELECT COUNT(*) FROM pragma_integrity_check WHERE "
                                    "integrity_check <> 'ok'"),
                     0);
    sqlite3_close(copy);
    check_rows(old, path);
    run(old, "DETACH new");
}

static void what_was_running_goes_on(struct store *store)
{
    struct job *jobs;
    size_t n, n_requeued;
    bool more;
    const struct queue_query all = {.limit = 100};
    int64_t running = number(store, "SELECT count(*) FROM jobs WHERE status = 'running'");

    assert_int_equal(running, 1);
    assert_int_equal(queue_recover(store, &n_requeued, NULL), PRILORA_OK);
    assert_int_equal(n_requeued, running);
    assert_int_equal(queue_list(store, &all, &jobs, &n, &more, NULL), PRILORA_OK);
    assert_in_range(n, 5, 6);
    queue_free_list(jobs, n);
    assert_int_equal(number(store, "SELECT count(*) FROM jobs WHERE status = 'running'"), 0);
}

static void migrates(long schema)
{
    char name[32], ending[32];
    sqlite3 *old = as_released(schema);
    struct store *store;

    snprintf(name, sizeof name, "released-%ld", schema);
    snprintf(ending, sizeof ending, ".schema-%ld.bak", schema);
    sqlite3_close(make_old(name, schema));
    store = open_store(name);
    assert_int_equal(number(store, "SELECT user_version FROM pragma_user_version"),
                     schema_newest());
    assert_int_equal(number(store, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    check_rows(old, database(name, ""));
    run(old, "DETACH new");
    if (schema < schema_newest())
        check_copy(old, database(name, ending), schema);
    else
        assert_int_not_equal(access(database(name, ending), F_OK), 0);
    what_was_running_goes_on(store);
    store_close(store);
    sqlite3_close(old);
}

static void every_released_schema_becomes_the_newest(void **state)
{
    (void)state;
    for (long schema = 1; schema <= schema_newest(); schema++)
        migrates(schema);
}

/* What was only in the write-ahead log, since the daemon was killed, is in the copy. */
static void the_copy_has_what_the_log_had(void **state)
{
    sqlite3 *db = make_old("log", 1), *old = as_released(1);
    const char *row = "UPDATE jobs SET suffix = 'in the log'";
    struct store *store;

    (void)state;
    run(db, "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0");
    run(db, row);
    run(old, row);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_close(db);
    assert_int_equal(access(database("log", "-wal"), F_OK), 0);
    store = open_store("log");
    check_copy(old, database("log", ".schema-1.bak"), 1);
    store_close(store);
    sqlite3_close(old);
}

/* A new state folder has nothing to keep, and what is new is not copied again. */
static void only_old_databases_are_copied(void **state)
{
    struct store *store = open_store("new");

    (void)state;
    store_close(store);
    sqlite3_close(make_old("once", 1));
    store_close(open_store("once"));
    assert_int_equal(unlink(database("once", ".schema-1.bak")), 0);
    store_close(open_store("once"));
    assert_int_not_equal(access(database("new", ".schema-0.bak"), F_OK), 0);
    assert_int_not_equal(access(database("once", ".schema-1.bak"), F_OK), 0);
}

/* A limit on the size of files stands for a disk without room: no write of the copy succeeds. */
static void without_room_for_the_copy_nothing_changes(void **state)
{
    sqlite3 *db = make_old("full", 1), *old = as_released(1);
    struct rlimit before, limit;
    struct store *store;
    struct prilora_error err;
    enum prilora_status rc;

    (void)state;
    run(db, "PRAGMA journal_mode = WAL");
    sqlite3_close(db);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = (struct rlimit){65536, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    rc = store_open(&store, test_scratch_path("full"), &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_not_equal(rc, PRILORA_OK);
    assert_non_null(strstr(err.message, "nothing was changed"));
    assert_int_not_equal(access(database("full", ".schema-1.bak"), F_OK), 0);
    assert_int_not_equal(access(database("full", ".schema-1.bak.part"), F_OK), 0);
    check_copy(old, database("full", ""), 1); /* the database itself is as it was */
    store_close(open_store("full"));          /* with room, it goes on */
    check_copy(old, database("full", ".schema-1.bak"), 1);
    sqlite3_close(old);
}

static void who_goes_back_is_told_where_the_copy_is(void **state)
{
    struct store *store = migrate("back");
    struct prilora_error err;

    (void)state;
    run(store_db(store, NULL), "PRAGMA user_version = 1000");
    store_close(store);
    assert_int_equal(store_open(&store, test_scratch_path("back"), &err), PRILORA_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "written by a newer prilorad (schema 1000"));
    assert_non_null(strstr(err.message, database("back", ".schema-1.bak")));
    assert_int_equal(unlink(database("back", ".schema-1.bak")), 0);
    assert_int_equal(store_open(&store, test_scratch_path("back"), &err), PRILORA_EUNSUPPORTED);
    assert_null(strstr(err.message, ".bak"));
}

/* ---- what it costs ---- */

/* Jobs that are over but for a few, the rarest state first; one with many events and rows. */
static const char many[] =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
    " INSERT INTO jobs (id, status, created_at, priority, seed, model, training_file, spec)"
    " SELECT 'job-' || i, CASE WHEN i < 10 THEN 'queued' WHEN i < 20 THEN 'validating_files' WHEN "
    " i % 2 THEN 'failed' ELSE 'succeeded' END, i, i % 3, 1, 'm', 'f', '{}' FROM n;"
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
    " INSERT INTO events (id, job_id, created_at, level, type, message)"
    " SELECT 'event-' || i, 'job-1', i, 'info', 'message', 'so' FROM n;"
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
    " INSERT INTO series (job_id, series, step, created_at, json, revision)"
    " SELECT 'job-1', 0, i, i, '{}', i FROM n;";

static void list_jobs(struct store *store, unsigned statuses, const char *after, size_t expected)
{
    const struct queue_query query = {.after = after, .limit = 20, .statuses = statuses};
    struct job *jobs;
    size_t n;
    bool more;

    assert_int_equal(queue_list(store, &query, &jobs, &n, &more, NULL), PRILORA_OK);
    assert_int_equal(n, expected);
    for (size_t i = 1; i < n; i++)
        assert_true(jobs[i].created_at < jobs[i - 1].created_at);
    queue_free_list(jobs, n);
}

static void list_all(struct store *store)
{
    list_jobs(store, 0, NULL, 20);
}

static void list_page(struct store *store)
{
    list_jobs(store, 0, "job-50000", 20);
}

static void list_rare(struct store *store)
{
    list_jobs(store, 1u << JOB_QUEUED, NULL, 9);
}

static void list_frequent(struct store *store)
{
    list_jobs(store, 1u << JOB_SUCCEEDED, NULL, 20);
}

static void list_over(struct store *store)
{
    list_jobs(store, 1u << JOB_SUCCEEDED | 1u << JOB_FAILED | 1u << JOB_CANCELLED, "job-50000", 20);
}

static void claim(struct store *store, enum job_status from)
{
    struct job job;
    bool found;

    assert_int_equal(queue_claim(store, from, 0, &job, &found, NULL), PRILORA_OK);
    assert_true(found);
    assert_int_equal(job.priority, 2);
    job_clear(&job);
}

static void claim_queued(struct store *store)
{
    claim(store, JOB_QUEUED);
}

static void claim_validating(struct store *store)
{
    claim(store, JOB_VALIDATING);
}

static void last_events(struct store *store)
{
    const struct events_query query = {.job_id = "job-1", .limit = 20};
    struct event *events;
    size_t n;
    bool more;

    assert_int_equal(events_list(store, &query, &events, &n, &more, NULL), PRILORA_OK);
    assert_int_equal(n, 20);
    events_free_list(events, n);
}

static void events_after(struct store *store)
{
    struct event *events;
    size_t n;
    bool more;

    assert_int_equal(events_list_after(store, "job-1", N_ROWS - 5, 20, &events, &n, &more, NULL),
                     PRILORA_OK);
    assert_in_range(n, 5, 7);
    events_free_list(events, n);
}

static void rows_changed(struct store *store)
{
    struct series_row *rows;
    size_t n;
    bool more;

    assert_int_equal(series_list_changed(store, SERIES_METRICS, "job-1", N_ROWS - 5, 20, &rows, &n,
                                         &more, NULL),
                     PRILORA_OK);
    assert_in_range(n, 5, 6);
    series_free_list(rows, n);
}

static void write_row(struct store *store)
{
    assert_int_equal(series_merge(store, SERIES_METRICS, "job-1", 7, "{}", NULL), PRILORA_OK);
}

static void recover(struct store *store)
{
    size_t n;

    assert_int_equal(queue_recover(store, &n, NULL), PRILORA_OK);
}

static const struct {
    const char *name;
    void (*operation)(struct store *store);
} cheap[] = {
    {"list", list_all},
    {"list a later page", list_page},
    {"list a rare state", list_rare},
    {"list a frequent state", list_frequent},
    {"list three states", list_over},
    {"claim a queued job", claim_queued},
    {"claim a new job", claim_validating},
    {"list the last events", last_events},
    {"events after", events_after},
    {"rows changed since", rows_changed},
    {"write a row", write_row},
    {"recover", recover},
};

/* Steps of SQLite's machine in all statements of this thread since the last call. */
static int64_t count_steps(struct store *store)
{
    sqlite3 *db = store_db(store, NULL);
    int64_t n = 0;

    for (sqlite3_stmt *s = sqlite3_next_stmt(db, NULL); s; s = sqlite3_next_stmt(db, s))
        n += sqlite3_stmt_status(s, SQLITE_STMTSTATUS_VM_STEP, 1);
    return n;
}

static struct store *open_with_many(const char *name)
{
    struct store *store = open_store(name);

    run(store_db(store, NULL), "BEGIN");
    run(store_db(store, NULL), many);
    run(store_db(store, NULL), "COMMIT");
    return store;
}

static void what_is_asked_all_the_time_does_not_grow(void **state)
{
    struct store *store = open_with_many("large");
    uint64_t counts[JOB_CANCELLED + 1];

    (void)state;
    for (size_t i = 0; i < sizeof cheap / sizeof *cheap; i++) {
        int64_t n;

        count_steps(store);
        cheap[i].operation(store);
        n = count_steps(store);
        assert_true(n > 0);
        if (n > MOST_STEPS)
            fail_msg("to %s takes %lld steps", cheap[i].name, (long long)n);
    }
    assert_int_equal(queue_counts(store, counts, NULL), PRILORA_OK);
    assert_int_equal(counts[JOB_SUCCEEDED] + counts[JOB_FAILED], N_ROWS - 19);
    store_close(store);
}

/* However many wait, being validated or queued. */
static void a_long_line_is_looked_at_no_longer(void **state)
{
    static const enum job_status lines[] = {JOB_VALIDATING, JOB_QUEUED};
    struct store *store = open_with_many("line");
    char sql[200];

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        int64_t n;

        snprintf(sql, sizeof sql, "UPDATE jobs SET status = '%s', claimed = 0",
                 job_status_name(lines[i]));
        run(store_db(store, NULL), sql);
        count_steps(store);
        claim(store, lines[i]);
        n = count_steps(store);
        if (n > MOST_STEPS)
            fail_msg("to claim one of many takes %lld steps", (long long)n);
    }
    store_close(store);
}

/* Counting reads them all, but only an index of them. */
static void counts_come_from_an_index(void **state)
{
    struct store *store = open_store("counts");
    const char *plan;
    bool row;
    sqlite3_stmt *s = store_statement(
        store, "EXPLAIN QUERY PLAN SELECT status, COUNT(*) FROM jobs GROUP BY status", NULL);

    (void)state;
    assert_int_equal(store_step(store, s, &row, "explain", NULL), PRILORA_OK);
    plan = (const char *)sqlite3_column_text(s, 3);
    assert_non_null(strstr(plan, "COVERING INDEX"));
    sqlite3_reset(s);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_of_every_state_are_what_they_were),
        cmocka_unit_test(a_long_series_goes_on_after_its_old_rows),
        cmocka_unit_test(old_jobs_end_with_one_webhook_each),
        cmocka_unit_test(every_released_schema_becomes_the_newest),
        cmocka_unit_test(the_copy_has_what_the_log_had),
        cmocka_unit_test(only_old_databases_are_copied),
        cmocka_unit_test(without_room_for_the_copy_nothing_changes),
        cmocka_unit_test(who_goes_back_is_told_where_the_copy_is),
        cmocka_unit_test(what_is_asked_all_the_time_does_not_grow),
        cmocka_unit_test(a_long_line_is_looked_at_no_longer),
        cmocka_unit_test(counts_come_from_an_index),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
