/* Uploads in parts: what they become, in which order, and that nothing stays of what is dropped. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/uploads.h"
#include "support/scratch.h"
#include "support/state.h"

/* What sha256sum and md5sum say of "hello world". */
#define SHA256 "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
#define MD5    "5eb63bbbe01eeed093cb22bb8f5acdc3"

static void announce(struct store *store, int64_t bytes, char id[ID_SIZE])
{
    char filename[] = "a.jsonl", type[] = "text/jsonl", purpose[] = "fine-tune";
    struct upload upload = {
        .bytes = bytes, .filename = filename, .mime_type = type, .purpose = purpose};
    struct prilora_error err;

    assert_int_equal(uploads_create(store, &upload, &err), PRILORA_OK);
    assert_int_equal(upload.expires_at, upload.created_at + 3600);
    snprintf(id, ID_SIZE, "%s", upload.id);
}

static enum prilora_status try_part(struct store *store, const char *upload_id, const char *text,
                                    char id[ID_SIZE], struct prilora_error *err)
{
    struct upload_part part = {.bytes = (int64_t)strlen(text)};
    enum prilora_status rc;
    char *path;
    int fd = files_spool(store, &path, err);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    snprintf(part.upload_id, sizeof part.upload_id, "%s", upload_id);
    rc = uploads_add_part(store, path, &part, err);
    assert_int_equal(access(path, F_OK) == 0, rc != PRILORA_OK); /* the caller's, or moved */
    unlink(path);
    free(path);
    snprintf(id, ID_SIZE, "%s", part.id);
    return rc;
}

static void add(struct store *store, const char *upload_id, const char *text, char id[ID_SIZE])
{
    struct prilora_error err;

    assert_int_equal(try_part(store, upload_id, text, id, &err), PRILORA_OK);
}

static enum prilora_status complete(struct store *store, const char *id, const char *md5,
                                    const char *a, const char *b, struct prilora_error *err)
{
    const char *const parts[] = {a, b};
    const struct upload_order order = {.part_ids = parts, .n_parts = b ? 2 : 1, .md5 = md5};

    *err = (struct prilora_error){0};
    return uploads_complete(store, id, &order, err);
}

static struct upload get(struct store *store, const char *id)
{
    struct upload upload;
    struct prilora_error err;

    assert_int_equal(uploads_get(store, id, &upload, &err), PRILORA_OK);
    return upload;
}

static bool has_folder(struct store *store, const char *id)
{
    char *path = uploads_path(store, id, NULL);
    bool has = access(path, F_OK) == 0;

    free(path);
    return has;
}

static void the_parts_become_one_file_in_the_order_given(void **state)
{
    char id[ID_SIZE], first[ID_SIZE], second[ID_SIZE], *path, *text;
    struct prilora_error err;
    struct upload upload;
    struct file file;
    size_t size;

    announce(*state, 11, id);
    add(*state, id, "world", second); /* they came the other way round */
    add(*state, id, "hello ", first);
    assert_int_equal(complete(*state, id, MD5, first, second, &err), PRILORA_OK);
    upload = get(*state, id);
    assert_int_equal(upload.status, UPLOAD_COMPLETED);
    assert_int_equal(files_get(*state, upload.file_id, &file, &err), PRILORA_OK);
    assert_string_equal(file.sha256, SHA256);
    assert_string_equal(file.filename, "a.jsonl");
    assert_int_equal(file.bytes, 11);
    assert_int_equal(file.expires_at, 0);
    path = files_path(*state, file.id);
    text = test_file(path, &size);
    assert_string_equal(text, "hello world");
    assert_false(has_folder(*state, id));
    free(text);
    free(path);
    file_clear(&file);
    upload_clear(&upload);
}

/* Each leaves it pending: it can still be completed. */
static void what_does_not_fit_is_refused_and_changes_nothing(void **state)
{
    char id[ID_SIZE], other[ID_SIZE], first[ID_SIZE], second[ID_SIZE], stranger[ID_SIZE];
    struct prilora_error err;
    char message[200];

    announce(*state, 11, id);
    announce(*state, 11, other);
    add(*state, id, "hello ", first);
    add(*state, id, "world", second);
    add(*state, other, "world", stranger);
    assert_int_equal(complete(*state, id, NULL, first, NULL, &err), PRILORA_EINVAL);
    assert_string_equal(err.where, "/part_ids");
    assert_string_equal(err.message, "the parts have 6 bytes together, but the upload was "
                                     "announced with 11");
    assert_int_equal(complete(*state, id, NULL, first, first, &err), PRILORA_EINVAL);
    assert_string_equal(err.where, "/part_ids/1");
    snprintf(message, sizeof message, "part %s is listed twice", first);
    assert_string_equal(err.message, message);
    assert_int_equal(complete(*state, id, NULL, first, stranger, &err), PRILORA_EINVAL);
    assert_string_equal(err.where, "/part_ids/1");
    snprintf(message, sizeof message, "upload %s has no part \"%s\"", id, stranger);
    assert_string_equal(err.message, message);
    assert_int_equal(complete(*state, id, MD5, second, first, &err), PRILORA_EINVAL);
    assert_string_equal(err.where, "/md5");
    assert_non_null(strstr(err.message, MD5));
    assert_int_equal(complete(*state, "upload_none", NULL, first, NULL, &err), PRILORA_ENOENT);
    assert_int_equal(complete(*state, "../files", NULL, first, NULL, &err), PRILORA_ENOENT);
    assert_int_equal(complete(*state, id, MD5, first, second, &err), PRILORA_OK);
}

static void an_upload_is_completed_once(void **state)
{
    char id[ID_SIZE], part[ID_SIZE], late[ID_SIZE];
    struct prilora_error err;
    struct upload upload;

    announce(*state, 11, id);
    add(*state, id, "hello world", part);
    assert_int_equal(complete(*state, id, NULL, part, NULL, &err), PRILORA_OK);
    assert_int_equal(complete(*state, id, NULL, part, NULL, &err), PRILORA_EMISMATCH);
    assert_non_null(strstr(err.message, "is completed"));
    assert_int_equal(try_part(*state, id, "more", late, &err), PRILORA_EMISMATCH);
    assert_int_equal(uploads_cancel(*state, id, &upload, &err), PRILORA_EMISMATCH);
    assert_int_equal(try_part(*state, "upload_none", "more", late, &err), PRILORA_ENOENT);
}

#define N_THREADS 4

struct racer {
    pthread_t thread;
    struct store *store;
    const char *id, *part;
    enum prilora_status rc;
};

static void *race(void *argument)
{
    struct racer *racer = argument;
    struct prilora_error err;

    racer->rc = complete(racer->store, racer->id, NULL, racer->part, NULL, &err);
    return NULL;
}

static void of_completions_at_the_same_time_one_wins(void **state)
{
    char id[ID_SIZE], part[ID_SIZE];
    struct racer racers[N_THREADS];
    struct file *files;
    struct prilora_error err;
    const struct files_query all = {.limit = 1000};
    size_t n_won = 0, n_before, n_after;
    bool more;

    assert_int_equal(files_list(*state, &all, &files, &n_before, &more, &err), PRILORA_OK);
    files_free_list(files, n_before);
    announce(*state, 11, id);
    add(*state, id, "hello world", part);
    for (size_t i = 0; i < N_THREADS; i++) {
        racers[i] = (struct racer){.store = *state, .id = id, .part = part};
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < N_THREADS; i++) {
        pthread_join(racers[i].thread, NULL);
        assert_true(racers[i].rc == PRILORA_OK || racers[i].rc == PRILORA_EMISMATCH);
        n_won += racers[i].rc == PRILORA_OK;
    }
    assert_int_equal(n_won, 1);
    assert_int_equal(files_list(*state, &all, &files, &n_after, &more, &err), PRILORA_OK);
    files_free_list(files, n_after);
    assert_int_equal(n_after, n_before + 1);
}

static void a_cancelled_upload_leaves_no_bytes(void **state)
{
    char id[ID_SIZE], part[ID_SIZE];
    struct prilora_error err;
    struct upload upload;

    announce(*state, 11, id);
    add(*state, id, "hello world", part);
    assert_true(has_folder(*state, id));
    assert_int_equal(uploads_cancel(*state, id, &upload, &err), PRILORA_OK);
    assert_int_equal(upload.status, UPLOAD_CANCELLED);
    upload_clear(&upload);
    assert_false(has_folder(*state, id));
    assert_int_equal(complete(*state, id, NULL, part, NULL, &err), PRILORA_EMISMATCH);
    assert_int_equal(try_part(*state, id, "more", part, &err), PRILORA_EMISMATCH);
    assert_false(has_folder(*state, id));
}

static void parts_may_be_sent_once_more_but_not_for_ever(void **state)
{
    char id[ID_SIZE], part[ID_SIZE];
    struct prilora_error err;

    announce(*state, 5, id);
    add(*state, id, "hello", part);
    add(*state, id, "hello", part);
    assert_int_equal(try_part(*state, id, "h", part, &err), PRILORA_ELIMIT);
    assert_non_null(strstr(err.message, "announced with 5 bytes and has 10 already: 1 more"));
}

static bool at_once(void *context)
{
    ++*(int *)context;
    return true;
}

static void a_stopped_completion_leaves_the_upload_as_it_was(void **state)
{
    char id[ID_SIZE], part[ID_SIZE];
    const char *const parts[] = {part};
    int asked = 0;
    const struct upload_order order = {
        .part_ids = parts, .n_parts = 1, .stop = at_once, .stop_context = &asked};
    struct prilora_error err;

    announce(*state, 11, id);
    add(*state, id, "hello world", part);
    assert_int_equal(uploads_complete(*state, id, &order, &err), PRILORA_ESTOPPED);
    assert_int_equal(asked, 1);
    assert_int_equal(complete(*state, id, MD5, part, NULL, &err), PRILORA_OK);
}

/* "A day ago", as nobody can wait for it. */
static void age(struct store *store, const char *id, int64_t expires_at)
{
    assert_int_equal(store_run(store, NULL, "age", "UPDATE uploads SET expires_at = ? WHERE id = ?",
                               "it", expires_at, id),
                     PRILORA_OK);
}

static void an_upload_expires_with_its_parts(void **state)
{
    char id[ID_SIZE], part[ID_SIZE];
    struct prilora_error err;
    struct upload upload;

    announce(*state, 11, id);
    add(*state, id, "hello world", part);
    age(*state, id, store_now());
    upload = get(*state, id);
    assert_int_equal(upload.status, UPLOAD_EXPIRED); /* before any sweep */
    upload_clear(&upload);
    assert_int_equal(complete(*state, id, NULL, part, NULL, &err), PRILORA_EMISMATCH);
    age(*state, id, store_now() - 86400);
    assert_int_equal(uploads_sweep(*state, &(struct sweep){0}, &err), PRILORA_OK);
    assert_false(has_folder(*state, id));
    upload = get(*state, id);
    assert_int_equal(upload.status, UPLOAD_EXPIRED);
    upload_clear(&upload);
    age(*state, id, store_now() - 8 * 86400);
    assert_int_equal(uploads_sweep(*state, &(struct sweep){0}, &err), PRILORA_OK);
    assert_int_equal(uploads_get(*state, id, &upload, &err), PRILORA_ENOENT);
}

/* As a crash between the bytes and their row leaves them. */
static void bytes_without_a_row_are_swept_and_others_are_not(void **state)
{
    char id[ID_SIZE], part[ID_SIZE], *lost, *folder, *kept;
    struct prilora_error err;
    FILE *file;

    announce(*state, 11, id);
    add(*state, id, "hello world", part);
    lost = uploads_path(*state, id, "part_lost");
    kept = uploads_path(*state, id, part);
    file = fopen(lost, "w");
    assert_non_null(file);
    fclose(file);
    folder = uploads_path(*state, "upload_lost", NULL);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(uploads_sweep(*state, &(struct sweep){0}, &err), PRILORA_OK);
    assert_int_not_equal(access(lost, F_OK), 0);
    assert_int_equal(access(kept, F_OK), 0);
    assert_false(has_folder(*state, "upload_lost"));
    assert_int_equal(complete(*state, id, NULL, part, NULL, &err), PRILORA_OK);
    free(folder);
    free(lost);
    free(kept);
}

static void lists_are_newest_first(void **state)
{
    char first[ID_SIZE], second[ID_SIZE];
    struct upload *uploads;
    struct prilora_error err;
    size_t n;
    bool more;

    announce(*state, 1, first);
    announce(*state, 2, second);
    assert_int_equal(uploads_list(*state, NULL, 1, &uploads, &n, &more, &err), PRILORA_OK);
    assert_int_equal(n, 1);
    assert_true(more);
    assert_string_equal(uploads[0].id, second);
    uploads_free_list(uploads, n);
    assert_int_equal(uploads_list(*state, second, 1, &uploads, &n, &more, &err), PRILORA_OK);
    assert_string_equal(uploads[0].id, first);
    assert_int_equal(uploads[0].bytes, 1);
    uploads_free_list(uploads, n);
    assert_int_equal(uploads_list(*state, "upload_none", 1, &uploads, &n, &more, &err),
                     PRILORA_ENOENT);
}

#define with_store(f) cmocka_unit_test_setup_teardown(f, test_store_open, test_store_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(the_parts_become_one_file_in_the_order_given),
        with_store(what_does_not_fit_is_refused_and_changes_nothing),
        with_store(an_upload_is_completed_once),
        with_store(of_completions_at_the_same_time_one_wins),
        with_store(a_cancelled_upload_leaves_no_bytes),
        with_store(parts_may_be_sent_once_more_but_not_for_ever),
        with_store(a_stopped_completion_leaves_the_upload_as_it_was),
        with_store(an_upload_expires_with_its_parts),
        with_store(bytes_without_a_row_are_swept_and_others_are_not),
        with_store(lists_are_newest_first),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
