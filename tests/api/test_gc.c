/*
 * test_gc.c - what nobody needs goes, what somebody needs stays, and a dry run says the same and
 * touches nothing.
 */
#include <fcntl.h>
#include <ftw.h>
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

#define JOBS "/v1/fine_tuning/jobs"
#define GC   "/v1/maintenance/gc"
#define DRY  GC "?dry_run=true"
#define DAY  86400
#define PULL ".mini.pull-0123456789ab"

/* ---- what is to go ---- */

/* A file or folder of the state with this age; folders that it is in are made. */
static void put(const struct test_server *server, const char *name, time_t age)
{
    char path[600];
    const struct timespec times[2] = {{.tv_sec = time(NULL) - age}, {.tv_sec = time(NULL) - age}};
    int fd;

    snprintf(path, sizeof path, "%s", test_server_path(server, name));
    for (char *slash = path + strlen(server->folder); (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static void set_age(const char *path, time_t age)
{
    const struct timespec times[2] = {{.tv_sec = time(NULL) - age}, {.tv_sec = time(NULL) - age}};

    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static sqlite3 *open_database(const struct test_server *server)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(test_server_path(server, "state/prilorad.db"), &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 30000);
    return db;
}

static void run(sqlite3 *db, const char *format, ...)
{
    char *sql, *message = NULL;
    va_list arguments;

    va_start(arguments, format);
    sql = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s", message);
    sqlite3_free(sql);
}

/* ---- all that is on the disk, as text ---- */

static FILE *listing;

static int list_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    static const char *const others[] = {"prilorad.db-wal", "prilorad.db-shm"}; /* SQLite's own */

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(path + ftw->base, others[i]) == 0)
            return 0;
    fprintf(listing, "%s %d %lld %lld.%09ld\n", path, type, (long long)st->st_size,
            (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
    return 0;
}

static char *list_all(const struct test_server *server)
{
    char *text = NULL;
    size_t size;

    listing = open_memstream(&text, &size);
    assert_non_null(listing);
    assert_int_equal(nftw(test_server_path(server, "state"), list_one, 16, FTW_PHYS), 0);
    fclose(listing);
    return text;
}

/* ---- answers ---- */

/* The item of this name in an answer; NULL: it is not in it. */
static const json_t *find(const json_t *answer, const char *name)
{
    const json_t *item;
    size_t i;

    json_array_foreach ((json_t *)test_member(answer, "data"), i, item)
        if (strcmp(test_text(item, "name"), name) == 0)
            return item;
    return NULL;
}

static void check_item(const json_t *answer, const char *name, const char *kind, json_int_t bytes)
{
    const json_t *item = find(answer, name);

    if (!item)
        fail_msg("%s is not found", name);
    assert_string_equal(test_text(item, "kind"), kind);
    assert_int_equal(test_integer(item, "bytes"), bytes);
    assert_true(*test_text(item, "why"));
}

static json_t *sweep(const struct test_server *server, const char *path, bool is_dry)
{
    struct test_reply *reply = test_post(server, path, NULL);
    json_int_t bytes = 0;
    const json_t *item;
    size_t i;

    if (reply->status != 200)
        fail_msg("%s: %s", path, reply->body);
    assert_string_equal(test_text(reply->json, "object"), "gc");
    assert_int_equal(json_is_true(test_member(reply->json, "dry_run")), is_dry);
    json_array_foreach ((json_t *)test_member(reply->json, "data"), i, item)
        bytes += test_integer(item, "bytes");
    assert_int_equal(test_integer(reply->json, "bytes"), bytes);
    assert_int_equal(test_integer(reply->json, "n_items"),
                     json_array_size(test_member(reply->json, "data")));
    return json_incref(reply->json);
}

/* ---- tests ---- */

struct state {
    struct test_server *server;
    char kept[64], expired[64], needed[64]; /* files */
    char job[64], old[64], paused[64];
    char model[128];
};

static void submit(const struct test_server *server, const char *file, int steps, char id[64])
{
    char json[500];

    snprintf(json, sizeof json,
             "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\", \"seed\": 5, "
             "\"method\": {\"type\": \"prilora\", \"prilora\": {\"hyperparameters\": "
             "{\"max_steps\": %d, \"batch_size\": 4, \"max_length\": 16}}}}",
             file, steps);
    snprintf(id, 64, "%s", test_create_job(server, json));
}

static void make_jobs(struct state *s)
{
    char *text = test_sentences(16, 1);

    snprintf(s->kept, sizeof s->kept, "%s", test_upload(s->server, "kept.jsonl", text));
    snprintf(s->expired, sizeof s->expired, "%s", test_upload(s->server, "old.csv", "a,b\n"));
    snprintf(s->needed, sizeof s->needed, "%s", test_upload(s->server, "needed.jsonl", text));
    free(text);
    submit(s->server, s->kept, 2, s->old);
    submit(s->server, s->kept, 2, s->job);
    submit(s->server, s->needed, 1000000, s->paused);
    test_finish_job(s->server, s->old);
    test_finish_job(s->server, s->job);
    snprintf(s->model, sizeof s->model, "%s",
             test_text(test_get(s->server, JOBS "/%s", s->job)->json, "fine_tuned_model"));
    test_wait_step(s->server, s->paused, 2);
}

/* One thing of each kind that is to go, and beside it one that is not yet. */
static void make_waste(struct state *s)
{
    const struct test_server *server = s->server;
    sqlite3 *db = open_database(server);
    char path[300];

    run(db, "UPDATE files SET expires_at = 1 WHERE id IN (%Q, %Q)", s->expired, s->needed);
    run(db, "UPDATE jobs SET finished_at = finished_at - %d WHERE id = %Q", 3 * DAY, s->old);
    run(db, "INSERT INTO idempotency VALUES ('', 'old', '', 1, '{}'), ('', 'new', '', %lld, '{}')",
        (long long)time(NULL));
    run(db, "INSERT INTO webhooks (id, job_id, type, created_at, next_at, state) VALUES "
            "('evt_1', 'j', 't', 1, 1, 'sent'), ('evt_2', 'j', 't', 1, 99999999999, 'pending')");
    run(db,
        "INSERT INTO uploads (id, created_at, expires_at, bytes, filename, mime_type, purpose, "
        "status) VALUES ('upload_late', 1, 2, 10, 'f', 'm', 'p', 'pending'), ('upload_live', 1, "
        "99999999999, 10, 'f', 'm', 'p', 'pending')");
    run(db, "INSERT INTO upload_parts (id, upload_id, created_at, bytes, sha256) VALUES "
            "('part_late', 'upload_late', 1, 10, ''), ('part_live', 'upload_live', 1, 10, '')");
    sqlite3_close(db);
    put(server, "state/files/file-orphan", 0);
    put(server, "state/parts/upload_late/part_late", 0);
    put(server, "state/parts/upload_live/part_live", 0);
    put(server, "state/parts/upload_live/part_orphan", 0);
    put(server, "state/uploads/stale", 2 * DAY);
    put(server, "state/uploads/fresh", 0);
    put(server, "state/jobs/ftjob-nobody/train.tokens", 0);
    snprintf(path, sizeof path, "state/jobs/%s/checkpoint", s->job);
    put(server, path, 0);
    snprintf(path, sizeof path, "state/jobs/%s/checkpoint.abcdef", s->paused);
    put(server, path, 2 * DAY);
    snprintf(path, sizeof path, "state/jobs/%s/checkpoint.uvwxyz", s->paused);
    put(server, path, 0);
    put(server, "models/owner/" PULL "/model.safetensors.part", 8 * DAY);
    set_age(test_server_path(server, "models/owner/" PULL), 8 * DAY);
    put(server, "models/" PULL "/model.safetensors.part", 8 * DAY); /* its folder is young */
}

static void check_waste(const struct state *s, const json_t *answer)
{
    char path[700];

    snprintf(path, sizeof path, "files/%s", s->expired);
    check_item(answer, path, "expired_file", 4);
    check_item(answer, "files/file-orphan", "orphan_file", 10);
    check_item(answer, "parts/upload_late", "upload_parts", 10);
    check_item(answer, "parts/upload_live/part_orphan", "orphan_part", 10);
    check_item(answer, "uploads/stale", "temporary_file", 10);
    check_item(answer, "jobs/ftjob-nobody", "orphan_job", 10);
    snprintf(path, sizeof path, "jobs/%s/checkpoint", s->job);
    check_item(answer, path, "checkpoint", 10);
    snprintf(path, sizeof path, "jobs/%s/checkpoint.abcdef", s->paused);
    check_item(answer, path, "temporary_file", 10);
    snprintf(path, sizeof path, "%s/models/owner/" PULL, s->server->folder);
    check_item(answer, path, "pull", 10);
    check_item(answer, "idempotency", "rows", 0);
    check_item(answer, "webhooks", "rows", 0);
    check_item(answer, "uploads", "rows", 0);
    snprintf(path, sizeof path, "jobs/%s", s->old);
    assert_non_null(find(answer, path));
    assert_string_equal(test_text(find(answer, path), "kind"), "job");
    assert_int_equal(test_integer(answer, "n_items"), 13);
}

static void check_rest(const struct state *s)
{
    const struct test_server *server = s->server;
    char body[300], path[300];

    assert_int_equal(test_get(server, "/v1/files/%s/content", s->kept)->status, 200);
    assert_int_equal(test_get(server, "/v1/files/%s/content", s->needed)->status, 200);
    assert_int_equal(test_get(server, "/v1/files/%s", s->expired)->status, 404);
    assert_int_equal(test_get(server, JOBS "/%s", s->old)->status, 404);
    assert_int_equal(test_get(server, JOBS "/%s/adapter", s->job)->status, 200);
    assert_int_equal(test_count_files(server, "state/files"), 2);
    assert_int_equal(test_count_files(server, "state/uploads"), 1);
    assert_int_equal(test_count_files(server, "state/parts"), 1);
    assert_int_equal(test_count_files(server, "state/parts/upload_live"), 1);
    assert_int_equal(test_count_files(server, "state/jobs"), 2);
    snprintf(path, sizeof path, "state/jobs/%s/checkpoint.uvwxyz", s->paused);
    assert_int_equal(access(test_server_path(server, path), F_OK), 0);
    assert_int_equal(access(test_server_path(server, "models/" PULL), F_OK), 0);
    snprintf(body, sizeof body, "{\"model\": \"%s\", \"input\": \"It rains.\"}", s->model);
    assert_int_equal(test_post(server, "/v1/predictions", body)->status, 200);
}

/* The folders of models are known before the server has one. */
static struct test_server *start(const char *name)
{
    static char models[600];
    const char *settings[] = {models, "--storage.keep_jobs_days=2", "--training.threads=1", NULL};
    struct test_server *server = calloc(1, sizeof *server);

    assert_non_null(server);
    snprintf(server->folder, sizeof server->folder, "%s", test_scratch_path(name));
    assert_int_equal(mkdir(server->folder, 0700), 0);
    snprintf(models, sizeof models, "--storage.models_dirs=examples:%s/models", server->folder);
    for (size_t i = 0; settings[i]; i++)
        server->settings[i] = settings[i];
    test_server_start(server);
    return server;
}

static void a_dry_run_says_what_a_real_one_does_and_does_nothing(void **state)
{
    struct state s = {.server = start("sweeping")};
    char path[100], *before, *after;
    json_t *dry, *real, *again;
    int64_t version;
    sqlite3 *db;

    (void)state;
    make_jobs(&s);
    snprintf(path, sizeof path, JOBS "/%s/pause", s.paused);
    assert_int_equal(test_post(s.server, path, NULL)->status, 200);
    test_wait_job(s.server, s.paused, "paused");
    make_waste(&s);

    db = open_database(s.server); /* sees whether others write */
    version = test_ask(db, "SELECT data_version FROM pragma_data_version");
    before = list_all(s.server);
    dry = sweep(s.server, DRY, true);
    after = list_all(s.server);
    assert_string_equal(before, after);
    assert_int_equal(test_ask(db, "SELECT data_version FROM pragma_data_version"), version);
    check_waste(&s, dry);

    real = sweep(s.server, GC, false);
    assert_true(json_equal(json_object_get(real, "data"), json_object_get(dry, "data")));
    assert_int_not_equal(test_ask(db, "SELECT data_version FROM pragma_data_version"), version);
    assert_int_equal(test_ask(db, "SELECT COUNT(*) FROM idempotency"), 1);
    assert_int_equal(test_ask(db, "SELECT COUNT(*) FROM webhooks"), 1);
    assert_int_equal(test_ask(db, "SELECT COUNT(*) FROM uploads"), 1);
    assert_int_equal(test_ask(db, "SELECT COUNT(*) FROM upload_parts"), 1);
    check_rest(&s);
    again = sweep(s.server, DRY, true);
    assert_int_equal(test_integer(again, "n_items"), 0);

    sqlite3_close(db);
    json_decref(dry);
    json_decref(real);
    json_decref(again);
    free(before);
    free(after);
    test_server_stop(s.server);
    free(s.server);
}

/* Half of an upload stands in the state folder while it is swept. */
static int begin_upload(const struct test_server *server)
{
    static const char head[] =
        "POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 230\r\nContent-Type: "
        "multipart/form-data; boundary=cut\r\nConnection: close\r\n\r\n--cut\r\n"
        "Content-Disposition: form-data; name=\"file\"; filename=\"slow.csv\"\r\n\r\ntext,label\n";
    int fd = test_connect(server);

    assert_int_equal(send(fd, head, sizeof head - 1, 0), sizeof head - 1);
    return fd;
}

static void end_upload(int fd)
{
    static const char tail[] = "a,b\r\n--cut\r\nContent-Disposition: form-data; name=\"purpose\""
                               "\r\n\r\nfine-tune\r\n--cut--\r\n";
    static const char start[] = "--cut\r\nContent-Disposition: form-data; name=\"file\"; "
                                "filename=\"slow.csv\"\r\n\r\ntext,label\n";
    char filler[300], answer[64] = "";
    size_t left = 230 - (sizeof start - 1) - (sizeof tail - 1);

    assert_true(left < sizeof filler);
    memset(filler, 'x', left);
    assert_int_equal(send(fd, filler, left, 0), left);
    assert_int_equal(send(fd, tail, sizeof tail - 1, 0), sizeof tail - 1);
    assert_true(recv(fd, answer, 15, MSG_WAITALL) == 15);
    assert_non_null(strstr(answer, " 200 "));
    close(fd);
}

static void nothing_in_use_goes(void **state)
{
    static const char *const settings[] = {"--training.threads=1", NULL};
    struct test_server *server = test_server_new(settings);
    char *text = test_sentences(16, 1), file[64], done[64], running[64], *adapter;
    struct test_reply *reply;
    size_t size;
    pid_t load;
    int slow;

    (void)state;
    snprintf(file, sizeof file, "%s", test_upload(server, "a.jsonl", text));
    submit(server, file, 24, done);
    reply = test_finish_job(server, done);
    size = reply->size;
    adapter = malloc(size);
    assert_non_null(adapter);
    memcpy(adapter, reply->body, size);
    submit(server, file, 24, running);
    load = test_load_begin(server, file);
    slow = begin_upload(server);
    for (int i = 0; i < 9; i++)
        json_decref(sweep(server, i % 3 ? GC : DRY, i % 3 == 0));
    end_upload(slow);
    reply = test_finish_job(server, running); /* the same job once more */
    assert_int_equal(reply->size, size);
    assert_memory_equal(reply->body, adapter, size);
    json_decref(sweep(server, GC, false));
    test_load_end(load);
    reply = test_finish_job(server, done);
    assert_int_equal(reply->size, size);
    assert_memory_equal(reply->body, adapter, size);
    reply = test_get(server, "/v1/files/%s/content", file);
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply->body, text);
    free(adapter);
    free(text);
    test_server_free(server);
}

static void what_is_asked_wrongly_is_refused(void **state)
{
    struct test_server *server = test_server_new(NULL);

    (void)state;
    assert_int_equal(test_post(server, GC "?dry_run=yes", NULL)->status, 400);
    assert_int_equal(test_post(server, GC "?dry-run=true", NULL)->status, 400);
    assert_int_equal(test_get(server, GC)->status, 405);
    test_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dry_run_says_what_a_real_one_does_and_does_nothing),
        cmocka_unit_test(nothing_in_use_goes),
        cmocka_unit_test(what_is_asked_wrongly_is_refused),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
