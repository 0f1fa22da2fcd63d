/*
 * test_damage.c - what the daemon leans on is damaged, changed or held by others, while it runs or
 * before it starts: the base model's files, checkpoints, data, the database. Each job ends with a
 * code and a sentence, or goes on; the daemon stays, or says why it does not start.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/scratch.h"
#include "support/server.h"

#define JOBS "/v1/fine_tuning/jobs"
#define OVER "succeeded|failed|cancelled"
#define LONG "1000" /* epochs: longer than any test */

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- a daemon with a base model of its own, "copied" ---- */

static char models_setting[1200];

static void copy_file(const char *from, const char *to)
{
    size_t size;
    char *bytes = test_file(from, &size);
    FILE *out = fopen(to, "wb");

    assert_true(bytes && out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
    free(bytes);
}

/* The path of a file of the copied model. */
static const char *of_model(const char *name)
{
    static char path[1200];

    snprintf(path, sizeof path, "%s/copied/%s", test_scratch_path("models"), name);
    return path;
}

static void copy_model(void)
{
    static const char *const names[] = {"config.json", "model.safetensors", "spm.model",
                                        "tokenizer_config.json"};
    char from[200];

    mkdir(test_scratch_path("models"), 0755);
    mkdir(of_model(""), 0755);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(from, sizeof from, "examples/prilora-mini-en/%s", names[i]);
        unlink(of_model(names[i])); /* what is open of the old one is left alone */
        copy_file(from, of_model(names[i]));
    }
}

static int open_server(void **state)
{
    static const char *settings[] = {models_setting, "--training.threads=2", NULL};

    copy_model();
    snprintf(models_setting, sizeof models_setting, "--storage.models_dirs=%s:examples",
             test_scratch_path("models"));
    *state = test_server_new(settings);
    return 0;
}

static int close_server(void **state)
{
    test_server_free(*state);
    return 0;
}

static void submit(struct test_server *server, const char *model, const char *epochs, char id[64])
{
    char json[700], *text = test_sentences(32, 1);

    snprintf(
        json, sizeof json,
        "{\"model\": \"%s\", \"training_file\": \"%s\", \"seed\": 11, \"method\": {\"type\": "
        "\"prilora\", \"prilora\": {\"hyperparameters\": {\"n_epochs\": %s, \"batch_size\": 4, "
        "\"max_length\": 16, \"checkpoint_steps\": 5}}}}",
        model, test_upload(server, "a.jsonl", text), epochs);
    free(text);
    snprintf(id, 64, "%s", test_create_job(server, json));
}

/* The job fails with this code, and a sentence with these words. */
static void expect_failure(struct test_server *server, const char *id, const char *code,
                           const char *words)
{
    const json_t *job = test_wait_job(server, id, OVER);

    assert_string_equal(test_text(job, "status"), "failed");
    assert_string_equal(test_text(job, "error.code"), code);
    if (!strstr(test_text(job, "error.message"), words))
        fail_msg("\"%s\" says nothing of \"%s\"", test_text(job, "error.message"), words);
}

/* The daemon lives, and another job on the model is as any. */
static void expect_well(struct test_server *server, const char *model)
{
    char id[64];

    submit(server, model, "1", id);
    test_finish_job(server, id);
}

static void flip(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    int byte;

    assert_non_null(file);
    assert_int_equal(fseek(file, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    byte = fgetc(file);
    assert_int_not_equal(byte, EOF);
    assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
    fputc(byte ^ 0x10, file);
    assert_int_equal(fclose(file), 0);
}

static const char *of_job(struct test_server *server, const char *id, const char *name)
{
    char path[200];

    snprintf(path, sizeof path, "state/jobs/%s/%s", id, name);
    return test_server_path(server, path);
}

static void pause_job(struct test_server *server, const char *id)
{
    char path[200];

    snprintf(path, sizeof path, JOBS "/%s/pause", id);
    assert_int_equal(test_post(server, path, NULL)->status, 200);
    assert_string_equal(test_text(test_wait_job(server, id, "paused"), "status"), "paused");
}

static void resume_job(struct test_server *server, const char *id)
{
    char path[200];

    snprintf(path, sizeof path, JOBS "/%s/resume", id);
    assert_int_equal(test_post(server, path, NULL)->status, 200);
}

/* ---- the base model ---- */

static void a_base_that_is_cut_off_under_a_job_fails_the_job_alone(void **state)
{
    struct test_server *server = *state;
    char id[64];

    submit(server, "copied", LONG, id);
    test_wait_step(server, id, 3);
    assert_int_equal(truncate(of_model("model.safetensors"), 4096), 0);
    expect_failure(server, id, "damaged_file", "model.safetensors: the file was changed");
    expect_well(server, "prilora-mini-en");
    copy_model();
    expect_well(server, "copied");
}

static void a_base_that_is_written_to_under_a_job_fails_the_job(void **state)
{
    struct test_server *server = *state;
    char id[64];

    submit(server, "copied", LONG, id);
    test_wait_step(server, id, 3);
    flip(of_model("model.safetensors"), -1000);
    expect_failure(server, id, "damaged_file", "model.safetensors: the file was changed");
    expect_well(server, "copied"); /* what stands there now is a model, too */
}

static void a_base_that_is_deleted_or_replaced_under_a_job_does_no_harm(void **state)
{
    struct test_server *server = *state;
    char id[64];

    submit(server, "copied", "20", id);
    test_wait_step(server, id, 3);
    copy_model();
    test_finish_job(server, id);
}

static void a_base_that_is_cut_off_under_predictions_is_told(void **state)
{
    struct test_server *server = *state;
    char id[64], body[300];
    struct test_reply *reply;

    submit(server, "copied", "1", id);
    test_finish_job(server, id);
    reply = test_get(server, JOBS "/%s", id);
    snprintf(body, sizeof body, "{\"model\": \"%s\", \"input\": \"It rains.\"}",
             test_text(reply->json, "fine_tuned_model"));
    assert_int_equal(test_post(server, "/v1/predictions", body)->status, 200);
    assert_int_equal(truncate(of_model("model.safetensors"), 4096), 0);
    reply = test_post(server, "/v1/predictions", body);
    assert_int_equal(reply->status, 409);
    assert_string_equal(test_text(reply->json, "error.code"), "base_model_not_usable");
    copy_model();
    assert_int_equal(test_post(server, "/v1/predictions", body)->status, 200);
}

/* ---- checkpoints ---- */

static void a_checkpoint_that_is_damaged_fails_its_job(void **state)
{
    static const struct {
        const char *what;
        long cut, flip; /* to so many bytes; the byte there */
    } damages[] = {{"empty", 0, 0}, {"cut off", 1000, 0}, {"flipped", -1, -5000}};
    struct test_server *server = *state;
    char id[64];

    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        submit(server, "prilora-mini-en", LONG, id);
        test_wait_step(server, id, 6);
        pause_job(server, id);
        if (damages[i].cut >= 0)
            assert_int_equal(truncate(of_job(server, id, "checkpoint"), damages[i].cut), 0);
        else
            flip(of_job(server, id, "checkpoint"), damages[i].flip);
        resume_job(server, id);
        expect_failure(server, id, "damaged_file", "checkpoint");
    }
    expect_well(server, "prilora-mini-en");
}

static void a_checkpoint_of_another_job_is_not_taken_up(void **state)
{
    struct test_server *server = *state;
    char id[64], other[64];

    submit(server, "prilora-mini-en", LONG, id);
    test_wait_step(server, id, 6);
    pause_job(server, id);
    submit(server, "prilora-mini-en", "999", other);
    test_wait_step(server, other, 6);
    pause_job(server, other);
    copy_file(of_job(server, other, "checkpoint"), of_job(server, id, "checkpoint"));
    resume_job(server, id);
    expect_failure(server, id, "checkpoint_mismatch", "n_epochs");
}

static void a_checkpoint_that_is_damaged_under_a_running_job_is_written_anew(void **state)
{
    struct test_server *server = *state;
    char id[64];

    submit(server, "prilora-mini-en", "30", id);
    test_wait_step(server, id, 6);
    assert_int_equal(truncate(of_job(server, id, "checkpoint"), 10), 0);
    test_finish_job(server, id);
}

/* ---- data ---- */

static void data_that_is_lost_before_its_validation_fails_the_job(void **state)
{
    struct test_server *server = *state;
    char json[200], file[64], path[200], id[64], *text = test_sentences(32, 1);

    for (int cut = 0; cut < 2; cut++) {
        snprintf(file, sizeof file, "%s", test_upload(server, "a.jsonl", text));
        snprintf(path, sizeof path, "state/files/%s", file);
        assert_int_equal(cut ? truncate(test_server_path(server, path), 100)
                             : unlink(test_server_path(server, path)),
                         0);
        snprintf(json, sizeof json, "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\"}",
                 file);
        snprintf(id, sizeof id, "%s", test_create_job(server, json));
        expect_failure(server, id, "io_error", cut ? "has 100 bytes, but" : "cannot open");
    }
    free(text);
    expect_well(server, "prilora-mini-en");
}

static void tokens_that_are_damaged_fail_the_job(void **state)
{
    struct test_server *server = *state;
    char id[64];

    submit(server, "prilora-mini-en", LONG, id);
    test_wait_step(server, id, 6);
    pause_job(server, id);
    flip(of_job(server, id, "train.tokens"), 300);
    resume_job(server, id);
    expect_failure(server, id, "damaged_file", "train.tokens");
}

/* ---- the database ---- */

static void a_held_database_is_waited_for(void **state)
{
    struct test_server *server = *state;
    char running[64], body[200], *text = test_sentences(32, 1);
    struct test_reply *reply;
    sqlite3 *db;
    double start;

    submit(server, "prilora-mini-en", "300", running);
    test_wait_step(server, running, 3);
    snprintf(body, sizeof body, "{\"model\": \"prilora-mini-en\", \"training_file\": \"%s\"}",
             test_upload(server, "a.jsonl", text));
    free(text);
    assert_int_equal(sqlite3_open(test_server_path(server, "state/prilorad.db"), &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    assert_int_equal(sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    for (int i = 0; i < 4; i++) {
        start = seconds();
        reply = test_post(server, JOBS, body);
        assert_int_equal(reply->status, 503);
        assert_string_equal(test_text(reply->json, "error.code"), "database_busy");
        assert_non_null(test_header(reply, "retry-after"));
        assert_true(seconds() - start < 60); /* not for ever */
        assert_int_equal(test_get(server, JOBS "/%s", running)->status, 200);
    }
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(test_post(server, JOBS, body)->status, 200);
    test_finish_job(server, running);
}

/* Starts the daemon on the damaged state: it must say these words and end, at once or as soon as
 * its check has read so far. */
static void expect_refusal(struct test_server *server, const char *words)
{
    char state[400], *log;
    const char *settings[] = {state, NULL};

    snprintf(state, sizeof state, "--storage.state_dir=%s", test_server_path(server, "state"));
    log = test_server_refuses(server, settings);
    if (!log || !strstr(log, words))
        fail_msg("nothing of \"%s\": %s", words, log ? log : "");
    free(log);
}

static void run_sql(struct test_server *server, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(test_server_path(server, "state/prilorad.db"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void a_database_that_cannot_be_used_is_refused_and_left_alone(void **state)
{
    struct test_server *server = *state;
    char id[64], database[600], kept[600];
    struct stat st;
    size_t n_files, n_jobs;

    submit(server, "prilora-mini-en", "1", id);
    test_finish_job(server, id);
    n_files = test_count_files(server, "state/files");
    n_jobs = test_count_files(server, "state/jobs");
    expect_refusal(server, "another prilorad");
    test_server_stop(server);
    snprintf(database, sizeof database, "%s", test_server_path(server, "state/prilorad.db"));
    snprintf(kept, sizeof kept, "%s", test_server_path(server, "kept.db"));
    copy_file(database, kept);

    assert_int_equal(truncate(database, 0), 0);
    expect_refusal(server, "the database is empty, but there are files and jobs");
    unlink(database);
    expect_refusal(server, "the database is empty, but there are files and jobs");
    copy_file(kept, database);
    assert_int_equal(stat(database, &st), 0);
    assert_int_equal(truncate(database, st.st_size / 2), 0);
    expect_refusal(server, "damaged");
    copy_file(kept, database);
    flip(database, 5);
    expect_refusal(server, "damaged");
    copy_file(kept, database);
    for (long at = 4096; at < st.st_size; at += 4096)
        flip(database, at); /* what kind of page it is */
    expect_refusal(server, "damaged");
    copy_file(kept, database);
    run_sql(server, "PRAGMA user_version = 99");
    expect_refusal(server, "newer prilorad (schema 99");

    copy_file(kept, database);
    assert_int_equal(test_count_files(server, "state/files"), n_files);
    assert_int_equal(test_count_files(server, "state/jobs"), n_jobs);
    test_server_start(server);
    assert_string_equal(test_text(test_get(server, JOBS "/%s", id)->json, "status"), "succeeded");
}

static void a_folder_that_cannot_be_written_is_refused(void **state)
{
    struct test_server *server = *state;
    char folder[600], setting[700], *log;
    const char *settings[] = {setting, NULL};

    snprintf(folder, sizeof folder, "%s", test_server_path(server, "fixed"));
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(setting, sizeof setting, "--storage.state_dir=%s/state", folder);
    if (mount("none", folder, "tmpfs", MS_RDONLY, "size=1m") != 0)
        skip(); /* only root may */
    log = test_server_refuses(server, settings);
    umount(folder);
    assert_non_null(strstr(log, "Read-only file system"));
    free(log);
}

/* As another user, by a program that becomes it first. */
static char *refused_as_nobody(struct test_server *server, const char *state)
{
    static const char wrapper[] = "#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 "
                                  "--clear-groups \"$REAL_PRILORAD\" \"$@\"\n";
    const char *program = getenv("PRILORAD"), *path;
    char real[600], setting[800], *log;
    const char *settings[] = {setting, NULL};

    snprintf(real, sizeof real, "%s", program ? program : "build/asan/prilorad");
    snprintf(setting, sizeof setting, "--storage.state_dir=%s", state);
    path = test_scratch_write("wrapper", wrapper, sizeof wrapper - 1);
    assert_int_equal(chmod(path, 0755), 0);
    setenv("REAL_PRILORAD", real, 1);
    setenv("PRILORAD", path, 1);
    log = test_server_refuses(server, settings);
    setenv("PRILORAD", real, 1);
    return log;
}

static void a_folder_of_another_user_is_refused(void **state)
{
    static const mode_t modes[] = {0700, 0755};
    struct test_server *server = *state;
    char folder[600], inside[700], *log;

    if (geteuid() != 0)
        skip(); /* only root becomes another */
    snprintf(folder, sizeof folder, "%s", test_server_path(server, "theirs"));
    snprintf(inside, sizeof inside, "%s/state", folder);
    assert_int_equal(mkdir(folder, 0755), 0);
    assert_int_equal(mkdir(inside, 0700), 0);
    assert_int_equal(chmod(server->folder, 0755), 0);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(inside, modes[i]), 0);
        log = refused_as_nobody(server, inside);
        if (!strstr(log, "Permission denied") || !strstr(log, inside))
            fail_msg("nothing of it: %s", log);
        free(log);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_server, close_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_base_that_is_cut_off_under_a_job_fails_the_job_alone),
        TEST(a_base_that_is_written_to_under_a_job_fails_the_job),
        TEST(a_base_that_is_deleted_or_replaced_under_a_job_does_no_harm),
        TEST(a_base_that_is_cut_off_under_predictions_is_told),
        TEST(a_checkpoint_that_is_damaged_fails_its_job),
        TEST(a_checkpoint_of_another_job_is_not_taken_up),
        TEST(a_checkpoint_that_is_damaged_under_a_running_job_is_written_anew),
        TEST(data_that_is_lost_before_its_validation_fails_the_job),
        TEST(tokens_that_are_damaged_fail_the_job),
        TEST(a_held_database_is_waited_for),
        TEST(a_database_that_cannot_be_used_is_refused_and_left_alone),
        TEST(a_folder_that_cannot_be_written_is_refused),
        TEST(a_folder_of_another_user_is_refused),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
