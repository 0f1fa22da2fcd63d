/* The state folder: locked, migrated, and never silently wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/store.h"
#include "support/scratch.h"

static struct store *open_store(const char *name)
{
    struct store *store;
    struct prilora_error err = {0};

    if (store_open(&store, test_scratch_path(name), &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    return store;
}

static char *ask(struct store *store, const char *sql)
{
    sqlite3_stmt *s = store_statement(store, sql, NULL);
    char *text;
    bool row;

    assert_non_null(s);
    assert_int_equal(store_step(store, s, &row, "ask", NULL), PRILORA_OK);
    assert_true(row);
    text = store_text(s, 0);
    sqlite3_reset(s);
    return text;
}

static void expect(struct store *store, const char *sql, const char *answer)
{
    char *text = ask(store, sql);

    assert_string_equal(text, answer);
    free(text);
}

static void a_new_folder_gets_everything(void **state)
{
    struct store *store = open_store("new/deeper");
    struct stat st;

    (void)state;
    assert_string_equal(store_folder(store), test_scratch_path("new/deeper"));
    assert_int_equal(stat(test_scratch_path("new/deeper/files"), &st), 0);
    assert_int_equal(stat(test_scratch_path("new/deeper/jobs"), &st), 0);
    assert_int_equal(stat(test_scratch_path("new/deeper/uploads"), &st), 0);
    assert_int_equal(stat(test_scratch_path("new/deeper/prilorad.db"), &st), 0);
    expect(store, "PRAGMA journal_mode", "wal");
    expect(store, "PRAGMA synchronous", "2"); /* FULL */
    expect(store, "PRAGMA foreign_keys", "1");
    expect(store, "PRAGMA user_version", "4");
    store_close(store);
}

static void what_was_written_is_there_again(void **state)
{
    struct store *store = open_store("again");
    struct stat st;

    (void)state;
    assert_int_equal(store_run(store, NULL, "write", "CREATE TABLE t (x)", ""), PRILORA_OK);
    assert_int_equal(store_run(store, NULL, "write", "INSERT INTO t VALUES (?)", "i", (int64_t)7),
                     PRILORA_OK);
    store_close(store);
    test_scratch_write("again/uploads/left", "x", 1);
    store = open_store("again");
    expect(store, "SELECT x FROM t", "7");
    assert_int_not_equal(stat(test_scratch_path("again/uploads/left"), &st), 0);
    store_close(store);
}

static void a_second_daemon_is_refused(void **state)
{
    struct store *store = open_store("locked"), *second;
    struct prilora_error err;
    char expected[1200];

    (void)state;
    assert_int_equal(store_open(&second, test_scratch_path("locked"), &err), PRILORA_EIO);
    assert_null(second);
    snprintf(expected, sizeof expected, "%s: another prilorad (process %ld) uses this state folder",
             test_scratch_path("locked"), (long)getpid());
    expected[sizeof err.message - 1] = '\0';
    assert_string_equal(err.message, expected);
    store_close(store);
    store_close(open_store("locked"));
}

static void a_newer_database_is_refused(void **state)
{
    struct store *store = open_store("newer");
    struct prilora_error err;

    (void)state;
    assert_int_equal(store_run(store, NULL, "write", "PRAGMA user_version = 99", ""), PRILORA_OK);
    store_close(store);
    assert_int_equal(store_open(&store, test_scratch_path("newer"), &err), PRILORA_EUNSUPPORTED);
    assert_non_null(strstr(err.message, "newer/prilorad.db: was written by a newer prilorad "
                                        "(schema 99; prilorad " PRILORA_VERSION " knows up to 4)"));
}

static void a_file_that_is_no_database_is_refused(void **state)
{
    struct store *store = open_store("garbage");
    struct prilora_error err;
    char noise[8192];

    (void)state;
    store_close(store);
    memset(noise, 'n', sizeof noise);
    test_scratch_write("garbage/prilorad.db", noise, sizeof noise);
    assert_int_equal(store_open(&store, test_scratch_path("garbage"), &err), PRILORA_EFORMAT);
    assert_non_null(strstr(err.message, "garbage/prilorad.db: is not a database of prilorad"));
}

static void a_damaged_database_is_found_out(void **state)
{
    struct store *store = open_store("damaged");
    struct prilora_error err;
    size_t size;
    char *data;

    (void)state;
    store_close(store); /* the last connection folds the log into the file */
    data = test_file(test_scratch_path("damaged/prilorad.db"), &size);
    assert_true(size > 3 * 4096);
    memset(data + 4096, 0xff, 2 * 4096); /* tables' root pages; the header stays */
    test_scratch_write("damaged/prilorad.db", data, size);
    free(data);
    assert_int_equal(store_open(&store, test_scratch_path("damaged"), &err), PRILORA_OK);
    assert_int_equal(store_check(store, NULL, &err), PRILORA_EFORMAT);
    assert_non_null(strstr(err.message, "damaged/prilorad.db: the database is damaged"));
    store_close(store);
}

static bool at_once(void)
{
    return true;
}

static void a_check_can_be_stopped(void **state)
{
    struct store *store = open_store("checked");
    struct prilora_error err;

    (void)state;
    assert_int_equal(store_run(store, NULL, "write",
                               "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                               "WHERE i < 5000) INSERT INTO files (id, bytes, created_at, "
                               "filename, purpose, status, sha256) "
                               "SELECT 'file-' || i, 1, 1, 'a', 'b', 'c', 'd' FROM n",
                               ""),
                     PRILORA_OK);
    assert_int_equal(store_check(store, at_once, &err), PRILORA_ESTOPPED);
    assert_int_equal(store_check(store, NULL, &err), PRILORA_OK);
    store_close(store);
}

static void a_folder_that_cannot_be_made_is_named(void **state)
{
    struct store *store;
    struct prilora_error err;

    (void)state;
    test_scratch_write("plain", "x", 1);
    assert_int_equal(store_open(&store, test_scratch_path("plain/inside"), &err), PRILORA_EIO);
    assert_non_null(strstr(err.message, "plain/inside: cannot make the folder: Not a directory"));
    assert_int_equal(store_open(&store, test_scratch_path("plain"), &err), PRILORA_EIO);
    assert_non_null(strstr(err.message, "plain: is not a folder"));
}

static void a_failed_change_leaves_nothing(void **state)
{
    struct store *store = open_store("rollback");
    struct prilora_error err = {0};

    (void)state;
    assert_int_equal(store_run(store, NULL, "write", "CREATE TABLE t (x UNIQUE)", ""), PRILORA_OK);
    assert_int_equal(store_begin(store, &err), PRILORA_OK);
    assert_int_equal(store_run(store, &err, "write", "INSERT INTO t VALUES (1)", ""), PRILORA_OK);
    assert_int_equal(store_run(store, &err, "write a row", "INSERT INTO t VALUES (1)", ""),
                     PRILORA_EIO);
    assert_string_equal(err.message, "cannot write a row: UNIQUE constraint failed: t.x");
    assert_int_equal(store_end(store, PRILORA_EIO, &err), PRILORA_EIO);
    assert_string_equal(err.message, "cannot write a row: UNIQUE constraint failed: t.x");
    expect(store, "SELECT COUNT(*) FROM t", "0");
    assert_int_equal(store_begin(store, &err), PRILORA_OK); /* no transaction was left open */
    assert_int_equal(store_end(store, PRILORA_OK, &err), PRILORA_OK);
    store_close(store);
}

static enum prilora_status add_row(struct store *store, void *context, struct prilora_error *err)
{
    return store_run(store, err, "write", "INSERT INTO t VALUES (?)", "i",
                     (int64_t)(intptr_t)context);
}

static enum prilora_status refuse(struct store *store, void *context, struct prilora_error *err)
{
    (void)store;
    (void)context;
    err->status = PRILORA_EINVAL;
    snprintf(err->message, sizeof err->message, "no");
    return PRILORA_EINVAL;
}

static enum prilora_status change(struct store *store, struct prilora_error *err)
{
    enum prilora_status rc = store_begin(store, err);

    if (rc == PRILORA_OK)
        rc = store_run(store, err, "write", "INSERT INTO t VALUES (1)", "");
    return store_end(store, rc, err);
}

static void who_joins_a_transaction_shares_its_fate(void **state)
{
    struct store *store = open_store("joined");
    struct store_joined ten = {add_row, (void *)10, NULL}, hundred = {add_row, (void *)100, NULL};
    struct store_joined no = {refuse, NULL, NULL};
    struct prilora_error err = {0};

    (void)state;
    assert_int_equal(store_run(store, NULL, "write", "CREATE TABLE t (x)", ""), PRILORA_OK);
    assert_int_equal(store_join(store, &ten, &err), PRILORA_OK);
    assert_int_equal(store_join(store, &hundred, &err), PRILORA_OK);
    assert_int_equal(change(store, &err), PRILORA_OK);
    expect(store, "SELECT group_concat(x) FROM t", "1,10,100");
    assert_int_equal(change(store, &err), PRILORA_OK); /* they were forgotten */
    expect(store, "SELECT group_concat(x) FROM t", "1,10,100,1");
    assert_int_equal(store_join(store, &ten, &err), PRILORA_OK);
    assert_int_equal(store_join(store, &no, &err), PRILORA_OK);
    assert_int_equal(change(store, &err), PRILORA_EINVAL);
    assert_string_equal(err.message, "no");
    assert_int_equal(store_join(store, &ten, &err), PRILORA_OK);
    store_leave(store);
    assert_int_equal(change(store, &err), PRILORA_OK);
    expect(store, "SELECT group_concat(x) FROM t", "1,10,100,1,1");
    store_close(store);
}

static void values_are_bound_by_their_letters(void **state)
{
    struct store *store = open_store("bind");
    double zero = 0;

    (void)state;
    assert_int_equal(store_run(store, NULL, "write", "CREATE TABLE t (a, b, c, d, e)", ""),
                     PRILORA_OK);
    assert_int_equal(store_run(store, NULL, "write", "INSERT INTO t VALUES (?, ?, ?, ?, ?)",
                               "titdd", "x'y", INT64_MIN, (const char *)NULL, 0.5, 1 / zero),
                     PRILORA_OK);
    expect(store, "SELECT quote(a) || quote(b) || quote(c) || quote(d) || quote(e) FROM t",
           "'x''y'-9223372036854775808NULL0.5NULL");
    store_close(store);
}

#define N_THREADS 4
#define N_ADDS    50

static void *add_many(void *store)
{
    for (int i = 0; i < N_ADDS; i++) {
        enum prilora_status rc = store_begin(store, NULL);

        if (rc == PRILORA_OK)
            rc = store_run(store, NULL, "add", "UPDATE t SET x = x + 1", "");
        if (store_end(store, rc, NULL) != PRILORA_OK)
            return store;
    }
    return NULL;
}

static void threads_do_not_lose_each_others_changes(void **state)
{
    struct store *store = open_store("threads");
    pthread_t threads[N_THREADS];
    void *failed;

    (void)state;
    assert_int_equal(store_run(store, NULL, "write", "CREATE TABLE t (x)", ""), PRILORA_OK);
    assert_int_equal(store_run(store, NULL, "write", "INSERT INTO t VALUES (0)", ""), PRILORA_OK);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, store), 0);
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    expect(store, "SELECT x FROM t", "200");
    store_close(store);
}

static void ids_are_of_the_right_form_and_differ(void **state)
{
    char a[ID_SIZE], b[ID_SIZE];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        store_new_id(a, "ftevent-");
        store_new_id(b, "ftevent-");
        assert_int_equal(strlen(a), 8 + 24);
        assert_int_equal(strncmp(a, "ftevent-", 8), 0);
        assert_int_equal(strspn(a + 8, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                       "0123456789"),
                         24);
        assert_string_not_equal(a, b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_folder_gets_everything),
        cmocka_unit_test(what_was_written_is_there_again),
        cmocka_unit_test(a_second_daemon_is_refused),
        cmocka_unit_test(a_newer_database_is_refused),
        cmocka_unit_test(a_file_that_is_no_database_is_refused),
        cmocka_unit_test(a_damaged_database_is_found_out),
        cmocka_unit_test(a_check_can_be_stopped),
        cmocka_unit_test(a_folder_that_cannot_be_made_is_named),
        cmocka_unit_test(a_failed_change_leaves_nothing),
        cmocka_unit_test(who_joins_a_transaction_shares_its_fate),
        cmocka_unit_test(values_are_bound_by_their_letters),
        cmocka_unit_test(threads_do_not_lose_each_others_changes),
        cmocka_unit_test(ids_are_of_the_right_form_and_differ),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
