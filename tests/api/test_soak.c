/*
 * test_soak.c - everything at once, for a while; afterwards nothing is left: no memory, no file, no
 * thread, no row of the database.
 *
 *   test_soak [SECONDS]     a few without a number; PRILORAD=build/release/prilorad for memory
 */
#include <dirent.h>
#include <ftw.h>
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
#include <sqlite3.h>

#include "support/rows.h"
#include "support/server.h"

#define JOBS         "/v1/fine_tuning/jobs"
#define SECONDS      6.0
#define MAX_TABLES   32
#define REPORT_EVERY 30
#define WARM_UP      3 /* rounds, in which every thread gets what it keeps */
/* What may stay: connections that are just being closed, and files that SQLite keeps open for each
 * thread that has read by now. */
#define MORE_FILES 40
/* Of the released daemon: arenas of threads that come and go, and OpenBLAS's buffers. */
#define MORE_BYTES (16.0 * 1048576)

static double duration_s = SECONDS;

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* ---- what is there ---- */

struct census {
    size_t files, threads, stored;
    double resident;
    struct {
        char name[64];
        json_int_t rows;
    } tables[MAX_TABLES];
    size_t n_tables;
};

static size_t entries(const struct test_server *server, const char *what)
{
    char path[64];
    DIR *dir;
    size_t n = 0;

    snprintf(path, sizeof path, "/proc/%ld/%s", (long)server->pid, what);
    dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static size_t n_walked;
static char newest[600];
static time_t newest_time;

/* SQLite's own files beside the database come and go; the machine's speed is kept when a job ends.
 */
static int count_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)ftw;
    if (kind != FTW_F || strstr(path, "/prilorad.db-") || strstr(path, "/state/speed"))
        return 0;
    n_walked++;
    if (!strstr(path, "/prilorad.") && st->st_mtime >= newest_time) {
        snprintf(newest, sizeof newest, "%s, %lld bytes", path, (long long)st->st_size);
        newest_time = st->st_mtime;
    }
    return 0;
}

static json_int_t rows_of(sqlite3 *db, const char *table)
{
    char sql[120];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM \"%s\"", table);
    return test_ask(db, sql);
}

static void count_rows(struct census *c, const struct test_server *server)
{
    sqlite3 *db;
    sqlite3_stmt *names;

    assert_int_equal(sqlite3_open_v2(test_server_path(server, "state/prilorad.db"), &db,
                                     SQLITE_OPEN_READWRITE, NULL),
                     SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT name FROM sqlite_master WHERE type = 'table' AND "
                                        "name NOT LIKE 'sqlite_%' ORDER BY name",
                                        -1, &names, NULL),
                     SQLITE_OK);
    while (sqlite3_step(names) == SQLITE_ROW && c->n_tables < MAX_TABLES) {
        snprintf(c->tables[c->n_tables].name, sizeof c->tables[0].name, "%s",
                 (const char *)sqlite3_column_text(names, 0));
        c->tables[c->n_tables].rows = rows_of(db, c->tables[c->n_tables].name);
        c->n_tables++;
    }
    sqlite3_finalize(names);
    sqlite3_close(db);
    assert_in_range(c->n_tables, 5, MAX_TABLES - 1);
}

static struct census take_census(const struct test_server *server)
{
    struct census c = {0};

    sleep_ms(1500); /* connections are closed, threads end */
    c.files = entries(server, "fd");
    c.threads = entries(server, "task");
    n_walked = 0;
    nftw(test_server_path(server, "state"), count_one, 16, FTW_PHYS);
    c.stored = n_walked;
    c.resident = test_resident_bytes(server);
    count_rows(&c, server);
    return c;
}

/* ---- what is done ---- */

static void expect(const struct test_reply *reply, long status)
{
    if (reply->status != status)
        fail_msg("%ld, not %ld: %s", reply->status, status, reply->body);
}

static void send_as(const struct test_server *server, const char *method, const char *path,
                    long status)
{
    expect(test_send(server, &(struct test_request){.method = method, .path = path}), status);
}

static void hang_up(const struct test_server *server, const char *text)
{
    const struct linger at_once = {1, 0};
    int fd = test_connect(server);

    assert_true(send(fd, text, strlen(text), MSG_NOSIGNAL) > 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

/* A job from its file to its end, watched by those who stay and those who leave. */
static void train(const struct test_server *server, unsigned round)
{
    static const char *const looks[] = {"",
                                        "?wait=1",
                                        "/events",
                                        "/checkpoints",
                                        "/layers",
                                        "/metrics",
                                        "/adapter",
                                        "/events?stream=true",
                                        "/adapter/README.md"};
    char *rows = test_sentences(24, round), file[64], job[64], model[128], text[400], path[300];

    snprintf(file, sizeof file, "%s", test_upload(server, "a.jsonl", rows));
    free(rows);
    snprintf(
        text, sizeof text,
        "{\"model\":\"prilora-mini-en\",\"training_file\":\"%s\",\"validation_file\":\"%s\","
        "\"method\":{\"type\":\"prilora\",\"prilora\":{\"hyperparameters\":{\"n_epochs\":1}}}}",
        file, file);
    snprintf(job, sizeof job, "%s", test_create_job(server, text));
    snprintf(text, sizeof text,
             "GET " JOBS "/%s/events?stream=true HTTP/1.1\r\nHost: localhost\r\n\r\n", job);
    hang_up(server, text);
    snprintf(text, sizeof text, "GET " JOBS "/%s?wait=30 HTTP/1.1\r\nHost: localhost\r\n\r\n", job);
    hang_up(server, text);
    snprintf(model, sizeof model, "%s",
             test_text(test_wait_job(server, job, "succeeded"), "fine_tuned_model"));
    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++)
        expect(test_get(server, JOBS "/%s%s", job, looks[i]), 200);
    snprintf(text, sizeof text, "{\"model\":\"%s\",\"input\":[\"rain\",\"sun\"]}", model);
    expect(test_post(server, "/v1/predictions", text), 200);
    snprintf(path, sizeof path, JOBS "/%s", job);
    send_as(server, "DELETE", path, 200);
    snprintf(path, sizeof path, "/v1/files/%s", file);
    send_as(server, "DELETE", path, 200);
}

#define PART                                                                                       \
    "--cut\r\nContent-Disposition: form-data; name=\"data\"; filename=\"p\"\r\n\r\n"               \
    "text,label\nrain,bad\nsun,good\n\r\n--cut--\r\n"
#define PART_BYTES 29

static void add_part(const struct test_server *server, const char *upload, char id[64])
{
    char path[200];

    snprintf(path, sizeof path, "/v1/uploads/%s/parts", upload);
    snprintf(id, 64, "%s",
             test_text(test_send(server, &(struct test_request){.method = "POST",
                                                                .path = path,
                                                                .body = PART,
                                                                .type = "multipart/form-data; "
                                                                        "boundary=cut"})
                           ->json,
                       "id"));
    assert_true(*id);
}

/* Two uploads: one becomes a file that is read and deleted, one is dropped. */
static void upload_in_parts(const struct test_server *server)
{
    char upload[64], part[64], path[200], text[200], file[64];

    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text,
                 "{\"bytes\":%d,\"filename\":\"b.csv\",\"mime_type\":\"text/csv\",\"purpose\":"
                 "\"fine-tune\"}",
                 PART_BYTES);
        snprintf(upload, sizeof upload, "%s",
                 test_text(test_post(server, "/v1/uploads", text)->json, "id"));
        add_part(server, upload, part);
        snprintf(path, sizeof path, "/v1/uploads/%s/%s", upload, i ? "cancel" : "complete");
        snprintf(text, sizeof text, "{\"part_ids\":[\"%s\"]}", part);
        expect(test_post(server, path, text), 200);
        if (i == 0) {
            snprintf(file, sizeof file, "%s",
                     test_text(test_post(server, path, text)->json, "file.id"));
            if (!*file) {
                snprintf(path, sizeof path, "/v1/uploads/%s", upload);
                snprintf(file, sizeof file, "%s",
                         test_text(test_get(server, "%s", path)->json, "file.id"));
            }
            expect(test_get(server, "/v1/files/%s/content", file), 200);
            expect(test_get(server, "/v1/files/%s/preview", file), 200);
            snprintf(path, sizeof path, "/v1/files/%s", file);
            send_as(server, "DELETE", path, 200);
        }
    }
}

static void misbehave(const struct test_server *server)
{
    static const char *const halves[] = {
        "GET /v1/files",
        "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; "
        "boundary=cut\r\nContent-Length: 9000\r\n\r\n--cut\r\nContent-Disposition: form-data; "
        "name=\"file\"; filename=\"a.csv\"\r\n\r\ntext,label\r\n",
        "POST " JOBS " HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
        "application/json\r\nContent-Length: 90\r\n\r\n{\"model\":",
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++)
        hang_up(server, halves[i]);
    expect(test_get(server, "/v1/files/none"), 404);
    expect(test_get(server, "/v1/files?limit=x"), 400);
    expect(test_post(server, JOBS, "{\"model\":\"prilora-mini-en\",\"training_file\":\"none\"}"),
           400);
    expect(test_post(server, "/v1/predictions", "{\"model\":\"none\",\"input\":\"a\"}"), 404);
    send_as(server, "PUT", "/v1/files", 405);
}

static void do_all(const struct test_server *server, unsigned round)
{
    train(server, round);
    for (int i = 0; i < 10; i++) {
        upload_in_parts(server);
        misbehave(server);
        expect(test_get(server, "/metrics"), 200);
    }
}

/* ---- the test ---- */

static void compare(const struct census *before, const struct census *after, bool is_released)
{
    print_message("files open %zu -> %zu, threads %zu -> %zu, stored %zu -> %zu, resident %.1f -> "
                  "%.1f MB\n",
                  before->files, after->files, before->threads, after->threads, before->stored,
                  after->stored, before->resident / 1048576, after->resident / 1048576);
    for (size_t i = 0; i < after->n_tables; i++)
        if (after->tables[i].rows != before->tables[i].rows)
            print_message("%s: %lld -> %lld rows\n", after->tables[i].name,
                          (long long)before->tables[i].rows, (long long)after->tables[i].rows);
    assert_true(after->files <= before->files + MORE_FILES);
    assert_true(after->threads <= before->threads);
    if (after->stored != before->stored)
        fail_msg("a file stays: %s", newest);
    if (is_released)
        assert_true(after->resident <= before->resident + MORE_BYTES);
}

static void after_all_of_it_nothing_is_left(void **state)
{
    const char *program = getenv("PRILORAD");
    struct test_server *server = test_server_new(NULL);
    struct census before, after;
    unsigned round = 0;
    double start;

    (void)state;
    while (round < WARM_UP)
        do_all(server, round++);
    before = take_census(server);
    for (start = seconds(); seconds() - start < duration_s;) {
        do_all(server, round++);
        if (round % REPORT_EVERY == 0)
            print_message("%.0f s, %u rounds: %.1f MB\n", seconds() - start, round,
                          test_resident_bytes(server) / 1048576);
    }
    after = take_census(server);
    print_message("%u rounds in %.0f s\n", round - WARM_UP, seconds() - start);
    compare(&before, &after, program && strstr(program, "release"));
    /* ended uploads are kept for a day, for who asks again how they ended */
    for (size_t i = 0; i < after.n_tables; i++)
        if (strncmp(after.tables[i].name, "upload", 6) != 0 &&
            after.tables[i].rows > before.tables[i].rows)
            fail_msg("%s has %lld more rows", after.tables[i].name,
                     (long long)(after.tables[i].rows - before.tables[i].rows));
    test_server_free(server);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(after_all_of_it_nothing_is_left)};

    if (argc > 1)
        duration_s = strtod(argv[1], NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
