/* Uploaded files: kept, listed, deleted only when nobody needs them, swept when their time is up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/files.h"
#include "daemon/queue.h"
#include "support/scratch.h"
#include "support/state.h"

#define SHA "a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447"

static bool has_bytes(struct store *store, const char *id)
{
    struct stat st;
    char *path = files_path(store, id);
    bool there = stat(path, &st) == 0;

    free(path);
    return there;
}

static struct file adopt(struct store *store, const char *purpose, int64_t expires_at)
{
    struct prilora_error err;
    struct file file;
    char *path;
    int fd = files_spool(store, &path, &err);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "hello world\n", 12), 12);
    close(fd);
    assert_int_equal(files_adopt(store, "", path, "a \"b\".csv", purpose, 12, SHA, expires_at,
                                 &file, &err),
                     PRILORA_OK);
    assert_int_not_equal(access(path, F_OK), 0); /* it has moved */
    free(path);
    return file;
}

static void an_adopted_file_is_whole(void **state)
{
    struct file file = adopt(*state, "fine-tune", 99999999999), same;
    char *path = files_path(*state, file.id), *text;
    size_t size;

    text = test_file(path, &size);
    assert_int_equal(size, 12);
    assert_string_equal(text, "hello world\n");
    assert_int_equal(files_get(*state, file.id, &same, NULL), PRILORA_OK);
    assert_string_equal(same.filename, "a \"b\".csv");
    assert_string_equal(same.purpose, "fine-tune");
    assert_string_equal(same.status, "processed");
    assert_string_equal(same.sha256, SHA);
    assert_int_equal(same.bytes, 12);
    assert_int_equal(same.expires_at, 99999999999);
    assert_int_equal(same.created_at, file.created_at);
    assert_int_equal(strncmp(same.id, "file-", 5), 0);
    free(text);
    free(path);
    file_clear(&file);
    file_clear(&same);
}

static void a_file_that_cannot_be_adopted_stays_with_the_caller(void **state)
{
    struct prilora_error err;
    struct file file;

    assert_int_equal(files_adopt(*state, "", "/nowhere/x", "x", "p", 1, SHA, 0, &file, &err),
                     PRILORA_ENOENT);
    assert_non_null(strstr(err.message, "/nowhere/x: cannot"));
    assert_null(file.filename);
    assert_int_equal(files_get(*state, "file-none", &file, &err), PRILORA_ENOENT);
    assert_string_equal(err.message, "no such file: file-none");
}

static void an_id_cannot_leave_the_folder(void **state)
{
    assert_null(files_path(*state, "../prilorad.db"));
    assert_null(files_path(*state, "a/b"));
    assert_null(files_path(*state, ""));
    assert_null(files_path(*state, "."));
}

static void a_needed_file_is_not_deleted(void **state)
{
    struct store *store = *state;
    const char *job_id = test_add_job_in(store, JOB_RUNNING);
    struct prilora_error err;
    struct job job;
    char expected[128];

    assert_int_equal(queue_get(store, job_id, &job, NULL), PRILORA_OK);
    assert_int_equal(files_delete(store, job.training_file, &err), PRILORA_EMISMATCH);
    snprintf(expected, sizeof expected, "file %s is still needed by job %s", job.training_file,
             job_id);
    assert_string_equal(err.message, expected);
    assert_true(has_bytes(store, job.training_file));
    assert_int_equal(queue_finish(store, job_id, &(struct job_end){.status = JOB_SUCCEEDED}, NULL),
                     PRILORA_OK);
    assert_int_equal(files_delete(store, job.training_file, &err), PRILORA_OK);
    assert_false(has_bytes(store, job.training_file));
    assert_int_equal(files_delete(store, job.training_file, &err), PRILORA_ENOENT);
    job_clear(&job);
}

static void lists_are_in_order_and_by_purpose(void **state)
{
    struct store *store = *state;
    char ids[5][ID_SIZE];
    struct file *files;
    size_t n;
    bool more;
    struct files_query query = {.limit = 2};

    for (int i = 0; i < 5; i++) {
        struct file file = adopt(store, i % 2 ? "assistants" : "fine-tune", 0);

        snprintf(ids[i], ID_SIZE, "%s", file.id);
        file_clear(&file);
    }
    assert_int_equal(files_list(store, &query, &files, &n, &more, NULL), PRILORA_OK);
    assert_int_equal(n, 2);
    assert_true(more);
    assert_string_equal(files[0].id, ids[4]);
    assert_string_equal(files[1].id, ids[3]);
    files_free_list(files, n);
    query = (struct files_query){
        .after = ids[1], .purpose = "fine-tune", .ascending = true, .limit = 2};
    assert_int_equal(files_list(store, &query, &files, &n, &more, NULL), PRILORA_OK);
    assert_int_equal(n, 2);
    assert_false(more);
    assert_string_equal(files[0].id, ids[2]);
    assert_string_equal(files[1].id, ids[4]);
    files_free_list(files, n);
    query.after = "file-none";
    assert_int_equal(files_list(store, &query, &files, &n, &more, NULL), PRILORA_ENOENT);
    assert_null(files);
}

static void sweeping_removes_what_has_expired_and_what_has_no_row(void **state)
{
    struct prilora_error err;
    struct store *store = *state;
    struct file old = adopt(store, "p", store_now() - 1), young = adopt(store, "p", 0),
                later = adopt(store, "p", store_now() + 1000);
    char *needed = strdup(test_add_file(store, "x", "x")), text[] = "{}", *orphan;
    struct job job = {.model = text, .spec = text, .training_file = needed};
    struct file file;
    FILE *bytes;

    assert_int_equal(queue_submit(store, &job, NULL), PRILORA_OK);
    assert_int_equal(store_run(store, NULL, "expire",
                               "UPDATE files SET expires_at = 1 WHERE id = ?", "t", needed),
                     PRILORA_OK);
    orphan = files_path(store, "file-orphan");
    bytes = fopen(orphan, "w");
    assert_non_null(bytes);
    fclose(bytes);
    assert_int_equal(files_sweep(store, &(struct sweep){0}, &err), PRILORA_OK);
    assert_int_equal(files_get(store, old.id, &file, NULL), PRILORA_ENOENT);
    assert_false(has_bytes(store, old.id));
    assert_false(has_bytes(store, "file-orphan"));
    assert_true(has_bytes(store, young.id));
    assert_true(has_bytes(store, later.id));
    assert_true(has_bytes(store, needed)); /* its job still reads it */
    free(orphan);
    free(needed);
    file_clear(&old);
    file_clear(&young);
    file_clear(&later);
}

#define ON_STORE(test) cmocka_unit_test_setup_teardown(test, test_store_open, test_store_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(an_adopted_file_is_whole),
        ON_STORE(a_file_that_cannot_be_adopted_stays_with_the_caller),
        ON_STORE(an_id_cannot_leave_the_folder),
        ON_STORE(a_needed_file_is_not_deleted),
        ON_STORE(lists_are_in_order_and_by_purpose),
        ON_STORE(sweeping_removes_what_has_expired_and_what_has_no_row),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
