/*
 * test_backup.c - a backup is made while jobs run and clients do what they do; on its folder
 * another daemon goes on, and everything is there once, with the bytes that it would have had here.
 */
#include <dirent.h>
#include <poll.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/load.h"
#include "support/scratch.h"
#include "support/rows.h"
#include "support/server.h"
#include "support/untar.h"

#define JOBS      "/v1/fine_tuning/jobs"
#define N_BACKUPS 2

struct bytes {
    char *data;
    size_t size;
};

static struct bytes keep(const struct test_reply *reply)
{
    struct bytes out = {malloc(reply->size + 1), reply->size};

    assert_non_null(out.data);
    memcpy(out.data, reply->body, reply->size);
    return out;
}

static void submit(const struct test_server *server, const char *file, char id[64])
{
    char json[700];

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"seed\": 11, "
             "\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
             "{\"n_epochs\": 3, \"batch_size\": 4, \"max_length\": 16, \"prune_interval\": 4, "
             "\"checkpoint_steps\": 3, \"hidden_dropout\": 0.1}}}}",
             file);
    snprintf(id, 64, "%s", test_create_job(server, json));
}

static struct bytes backup(const struct test_server *server)
{
    struct test_reply *reply = test_get(server, "/v1/backup");

    assert_int_equal(reply->status, 200);
    assert_string_equal(test_header(reply, "Content-Type"), "application/x-tar");
    assert_string_equal(test_header(reply, "Cache-Control"), "no-store");
    assert_non_null(strstr(test_header(reply, "Content-Disposition"), "filename=\"prilorad-20"));
    return keep(reply);
}

/* ---- what is unpacked ---- */

/* Each row names a file below the folder, and how many bytes it has (-1: any). */
static size_t check_there(sqlite3 *db, const char *folder, const char *sql)
{
    char path[600];
    struct stat st;
    sqlite3_stmt *s;
    size_t n = 0;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    for (; sqlite3_step(s) == SQLITE_ROW; n++) {
        snprintf(path, sizeof path, "%s/%s", folder, (const char *)sqlite3_column_text(s, 0));
        if (stat(path, &st) != 0)
            fail_msg("%s is not there", path);
        if (sqlite3_column_int64(s, 1) >= 0)
            assert_int_equal(st.st_size, sqlite3_column_int64(s, 1));
    }
    sqlite3_finalize(s);
    return n;
}

static size_t count(const char *folder, const char *name)
{
    char path[600];
    struct dirent *entry;
    size_t n = 0;
    DIR *dir;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    dir = opendir(path);
    while (dir && (entry = readdir(dir)))
        n += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

/* The database is whole, every row of it has its bytes, and there are no others. */
static void check_folder(const char *folder)
{
    char path[600];
    size_t size, n_parts;
    sqlite3 *db;
    char *note;

    snprintf(path, sizeof path, "%s/prilorad-backup.json", folder);
    note = test_file(path, &size);
    assert_non_null(strstr(note, "\"missing\": []"));
    free(note);
    snprintf(path, sizeof path, "%s/prilorad.db", folder);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(test_ask(db,
                              "SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check "
                              "<> 'ok'"),
                     0);
    assert_int_equal(test_ask(db, "SELECT COUNT(*) FROM pragma_foreign_key_check"), 0);
    assert_int_equal(check_there(db, folder, "SELECT 'files/' || id, bytes FROM files"),
                     count(folder, "files"));
    n_parts = check_there(db, folder,
                          "SELECT 'parts/' || upload_id || '/' || id, bytes FROM upload_parts");
    assert_true(n_parts >= count(folder, "parts"));
    assert_true(check_there(db, folder,
                            "SELECT 'jobs/' || id || '/train.tokens', -1 FROM jobs WHERE status "
                            "IN ('queued', 'running', 'paused')") > 0);
    assert_int_equal(check_there(db, folder,
                                 "SELECT 'jobs/' || id || '/adapter/adapter_model.safetensors', "
                                 "-1 FROM jobs WHERE fine_tuned_model IS NOT NULL"),
                     1);
    assert_int_equal(count(folder, "jobs"),
                     test_ask(db, "SELECT COUNT(*) FROM jobs WHERE fine_tuned_model IS NOT NULL OR "
                                  "status IN ('queued', 'running', 'paused')"));
    sqlite3_close(db);
}

/* A daemon on what is unpacked in its state folder. */
static struct test_server *start_on(const struct bytes *tar)
{
    struct test_server *server = calloc(1, sizeof *server);

    assert_non_null(server);
    snprintf(server->folder, sizeof server->folder, "%s", test_scratch_path("restored"));
    assert_int_equal(mkdir(server->folder, 0700), 0);
    test_untar(tar->data, tar->size, test_server_path(server, "state"));
    check_folder(test_server_path(server, "state"));
    test_server_start(server);
    return server;
}

/* ---- tests ---- */

static void check_events(const struct test_server *server, const char *id)
{
    const json_t *data;
    size_t n;

    data = test_member(test_get(server, JOBS "/%s/events?limit=100", id)->json, "data");
    n = json_array_size(data);
    assert_true(n > 5);
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++)
            assert_string_not_equal(test_text(json_array_get(data, i), "id"),
                                    test_text(json_array_get(data, k), "id"));
}

static void a_backup_under_load_goes_on_elsewhere(void **state)
{
    static const char *const settings[] = {"--training.threads=1", NULL};
    struct test_server *server = test_server_new(settings), *other;
    char *text = test_sentences(32, 1), file[64], done[64], running[64];
    struct bytes adapter, tars[N_BACKUPS];
    struct test_reply *reply;
    pid_t load;

    (void)state;
    snprintf(file, sizeof file, "%s", test_upload(server, "a.jsonl", text));
    submit(server, file, done);
    adapter = keep(test_finish_job(server, done));
    submit(server, file, running);
    load = test_load_begin(server, file);
    test_wait_step(server, running, 4);
    for (size_t i = 0; i < N_BACKUPS; i++)
        tars[i] = backup(server);
    test_load_end(load);
    for (size_t i = 0; i + 1 < N_BACKUPS; i++) {
        char name[32];

        snprintf(name, sizeof name, "unpacked-%zu", i);
        test_untar(tars[i].data, tars[i].size, test_scratch_path(name));
        check_folder(test_scratch_path(name));
    }
    reply = test_finish_job(server, running); /* nothing of this was felt */
    assert_int_equal(reply->size, adapter.size);
    assert_memory_equal(reply->body, adapter.data, adapter.size);
    assert_int_equal(test_count_files(server, "state/backups"), 0);
    test_server_stop(server);

    other = start_on(&tars[N_BACKUPS - 1]);
    reply = test_finish_job(other, done);
    assert_int_equal(reply->size, adapter.size);
    assert_memory_equal(reply->body, adapter.data, adapter.size);
    reply = test_finish_job(other, running);
    assert_int_equal(reply->size, adapter.size);
    assert_memory_equal(reply->body, adapter.data, adapter.size);
    check_events(other, running);
    reply = test_get(other, "/v1/files/%s/content", file);
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply->body, text);
    test_server_stop(other);
    for (size_t i = 0; i < N_BACKUPS; i++)
        free(tars[i].data);
    free(adapter.data);
    free(text);
    test_server_free(server);
    free(other);
}

/* Deleted files and keys are not in it; what is lost on the disk is named. */
static void what_is_missing_is_named(void **state)
{
    struct test_server *server = test_server_new(NULL);
    char file[64], path[128], *note;
    struct bytes tar;
    size_t size;

    (void)state;
    test_upload(server, "there.csv", "text,label\na,b\n");
    snprintf(file, sizeof file, "%s", test_upload(server, "lost.csv", "text,label\na,b\n"));
    snprintf(path, sizeof path, "state/files/%s", file);
    assert_int_equal(unlink(test_server_path(server, path)), 0);
    tar = backup(server);
    assert_int_equal(test_untar(tar.data, tar.size, test_scratch_path("missing")), 3);
    note = test_file(test_scratch_path("missing/prilorad-backup.json"), &size);
    assert_non_null(strstr(note, path + strlen("state/")));
    free(note);
    free(tar.data);
    test_server_free(server);
}

static void sleep_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* Nothing stays behind: not of a client that goes, not of a daemon that is killed. */
static void links_go_with_who_asked_for_them(void **state)
{
    static const char request[] = "GET /v1/backup HTTP/1.1\r\nHost: localhost\r\n\r\n";
    struct test_server *server = test_server_new(NULL);
    size_t size = (size_t)14 << 20; /* more than sockets hold */
    char *text = malloc(size + 1), piece[100];
    int fd;

    (void)state;
    assert_non_null(text);
    memset(text, 'x', size);
    text[size] = '\0';
    test_upload(server, "large.csv", text);
    free(text);
    fd = test_connect(server);
    assert_int_equal(send(fd, request, sizeof request - 1, 0), sizeof request - 1);
    assert_true(recv(fd, piece, sizeof piece, MSG_WAITALL) > 0);
    assert_int_equal(test_count_files(server, "state/backups"), 1);
    close(fd);
    for (int i = 0; i < 3000 && test_count_files(server, "state/backups") > 0; i++)
        sleep_ms(20);
    assert_int_equal(test_count_files(server, "state/backups"), 0);

    fd = test_connect(server);
    assert_int_equal(send(fd, request, sizeof request - 1, 0), sizeof request - 1);
    assert_true(recv(fd, piece, sizeof piece, MSG_WAITALL) > 0);
    test_server_kill(server);
    close(fd);
    assert_int_equal(test_count_files(server, "state/backups"), 1);
    test_server_start(server);
    assert_int_equal(test_count_files(server, "state/backups"), 0);
    assert_int_equal(test_count_files(server, "state/files"), 1);
    test_server_free(server);
}

static void what_is_asked_wrongly_is_refused(void **state)
{
    struct test_server *server = test_server_new(NULL);

    (void)state;
    assert_int_equal(test_get(server, "/v1/backup?files=no")->status, 400);
    assert_int_equal(test_post(server, "/v1/backup", "{}")->status, 405);
    assert_int_equal(test_count_files(server, "state/backups"), 0);
    test_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backup_under_load_goes_on_elsewhere),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(links_go_with_who_asked_for_them),
        cmocka_unit_test(what_is_asked_wrongly_is_refused),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
