/* API keys in daemon/keys.c: what is kept of them, how they end, and what quotas count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <nettle/sha2.h>

#include "daemon/files.h"
#include "daemon/keys.h"
#include "daemon/queue.h"
#include "support/scratch.h"
#include "support/state.h"

static struct keys *open_keys(struct store *store)
{
    struct keys *keys;
    struct prilora_error err;

    if (keys_open(&keys, store, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    return keys;
}

static struct key make(struct keys *keys, const struct key *wish, char text[KEY_SIZE])
{
    struct key key = *wish;
    struct prilora_error err;

    if (!key.name[0])
        snprintf(key.name, sizeof key.name, "test");
    if (!key.scope)
        key.scope = SCOPE_SUBMIT;
    if (keys_create(keys, &key, text, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    return key;
}

/* What the database has in one column of the key's row. */
static char *column(struct store *store, const char *sql, const char *id)
{
    struct prilora_error err;
    sqlite3_stmt *s = store_query(store, &err, sql, "t", id);
    bool row;
    char *text;

    assert_non_null(s);
    assert_int_equal(store_step(store, s, &row, "look", &err), PRILORA_OK);
    assert_true(row);
    text = store_text(s, 0);
    sqlite3_reset(s);
    return text;
}

static void a_key_is_known_by_its_text_alone(void **state)
{
    struct keys *keys = open_keys(*state);
    char text[KEY_SIZE], other[KEY_SIZE], wrong[KEY_SIZE];
    struct key key = make(keys, &(struct key){.scope = SCOPE_READ, .name = "first"}, text), found;
    struct key second = make(keys, &(struct key){.scope = SCOPE_ADMIN}, other);

    assert_memory_equal(text, KEY_PREFIX, strlen(KEY_PREFIX));
    assert_int_equal(strlen(text), strlen(KEY_PREFIX) + 48);
    assert_string_not_equal(text, other);
    assert_int_equal(keys_find(keys, text, &found), KEY_FOUND);
    assert_string_equal(found.id, key.id);
    assert_string_equal(found.name, "first");
    assert_int_equal(found.scope, SCOPE_READ);
    assert_int_equal(keys_find(keys, other, &found), KEY_FOUND);
    assert_string_equal(found.id, second.id);
    memcpy(wrong, text, sizeof wrong);
    wrong[strlen(wrong) - 1] ^= 1;
    assert_int_equal(keys_find(keys, wrong, &found), KEY_UNKNOWN);
    assert_int_equal(keys_find(keys, "", &found), KEY_UNKNOWN);
    assert_int_equal(keys_find(keys, key.id, &found), KEY_UNKNOWN);
    keys_close(keys);
}

static void only_its_sha256_is_kept(void **state)
{
    struct keys *keys = open_keys(*state);
    char text[KEY_SIZE], expected[65], *row;
    uint8_t bytes[32];
    struct sha256_ctx ctx;
    struct key key = make(keys, &(struct key){0}, text);

    sha256_init(&ctx);
    sha256_update(&ctx, strlen(text), (const uint8_t *)text);
    sha256_digest(&ctx, sizeof bytes, bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(expected + 2 * i, 3, "%02x", bytes[i]);
    row = column(*state, "SELECT sha256 FROM keys WHERE id = ?", key.id);
    assert_string_equal(row, expected);
    free(row);
    row = column(*state,
                 "SELECT count(*) FROM keys WHERE id = ? AND quote(name) || quote(id) || "
                 "quote(scope) || quote(sha256) LIKE '%prilora-%'",
                 key.id);
    assert_string_equal(row, "0");
    free(row);
    keys_close(keys);
}

static void keys_survive_a_restart_and_stay_revoked(void **state)
{
    struct keys *keys = open_keys(*state);
    char kept[KEY_SIZE], revoked[KEY_SIZE];
    struct key found, gone;
    struct prilora_error err;
    int64_t when;

    make(keys, &(struct key){.max_bytes = 7, .max_queued_jobs = 3}, kept);
    gone = make(keys, &(struct key){0}, revoked);
    assert_int_equal(keys_find(keys, revoked, &found), KEY_FOUND);
    assert_int_equal(keys_revoke(keys, gone.id, &found, &err), PRILORA_OK);
    assert_true(found.revoked_at >= found.created_at);
    assert_true(found.last_used_at >= found.created_at); /* not lost with it */
    assert_int_equal(keys_find(keys, revoked, &found), KEY_UNKNOWN);
    keys_close(keys);

    keys = open_keys(*state);
    assert_int_equal(keys_find(keys, kept, &found), KEY_FOUND);
    assert_int_equal(found.max_bytes, 7);
    assert_int_equal(found.max_queued_jobs, 3);
    assert_int_equal(keys_find(keys, revoked, &found), KEY_UNKNOWN);
    assert_int_equal(keys_get(keys, gone.id, &found, &err), PRILORA_OK);
    when = found.revoked_at;
    assert_int_equal(keys_revoke(keys, gone.id, &found, &err), PRILORA_OK); /* once more */
    assert_int_equal(found.revoked_at, when);
    assert_int_equal(keys_revoke(keys, "key-none", &found, &err), PRILORA_ENOENT);
    keys_close(keys);
}

static void a_key_ends_when_it_was_to(void **state)
{
    struct keys *keys = open_keys(*state);
    char text[KEY_SIZE];
    struct key found, key = make(keys, &(struct key){.expires_at = store_now() + 1}, text);
    int64_t until = store_now() + 30;

    while (keys_find(keys, text, &found) == KEY_FOUND && store_now() < until)
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    assert_true(store_now() >= key.expires_at);
    assert_int_equal(keys_find(keys, text, &found), KEY_EXPIRED);
    assert_string_equal(found.id, key.id);
    keys_close(keys);
}

static void the_last_use_is_shown_at_once_and_written_later(void **state)
{
    struct keys *keys = open_keys(*state);
    char text[KEY_SIZE], *row;
    struct key found, key = make(keys, &(struct key){0}, text);
    struct prilora_error err;

    assert_int_equal(keys_get(keys, key.id, &found, &err), PRILORA_OK);
    assert_int_equal(found.last_used_at, 0);
    keys_find(keys, text, &found);
    assert_int_equal(keys_get(keys, key.id, &found, &err), PRILORA_OK);
    assert_true(found.last_used_at >= key.created_at);
    row = column(*state, "SELECT last_used_at FROM keys WHERE id = ?", key.id);
    assert_string_equal(row, "0");
    free(row);
    keys_flush(keys);
    row = column(*state, "SELECT last_used_at >= created_at FROM keys WHERE id = ?", key.id);
    assert_string_equal(row, "1");
    free(row);
    keys_close(keys);
}

static void lists_go_from_the_newest_and_page(void **state)
{
    struct keys *keys = open_keys(*state);
    char text[KEY_SIZE], ids[5][ID_SIZE];
    struct key *list;
    struct prilora_error err;
    bool has_more;
    size_t n;

    for (size_t i = 0; i < 5; i++)
        memcpy(ids[i], make(keys, &(struct key){0}, text).id, ID_SIZE);
    assert_int_equal(keys_list(keys, NULL, 2, &list, &n, &has_more, &err), PRILORA_OK);
    assert_int_equal(n, 2);
    assert_true(has_more);
    assert_string_equal(list[0].id, ids[4]);
    assert_string_equal(list[1].id, ids[3]);
    free(list);
    assert_int_equal(keys_list(keys, ids[3], 100, &list, &n, &has_more, &err), PRILORA_OK);
    assert_false(has_more);
    assert_string_equal(list[0].id, ids[2]);
    assert_string_equal(list[2].id, ids[0]);
    free(list);
    assert_int_equal(keys_list(keys, "key-none", 2, &list, &n, &has_more, &err), PRILORA_ENOENT);
    keys_close(keys);
}

static void there_is_an_end_to_keys_and_revoking_makes_room(void **state)
{
    struct keys *keys;
    char text[KEY_SIZE];
    struct key key = {.name = "one more", .scope = SCOPE_READ}, first, found;
    struct prilora_error err;

    assert_int_equal(store_begin(*state, &err), PRILORA_OK); /* one fsync, not a thousand */
    keys = open_keys(*state);
    while (keys_create(keys, &key, text, &err) == PRILORA_OK)
        first = key;
    assert_int_equal(err.status, PRILORA_ELIMIT);
    assert_non_null(strstr(err.message, "1000"));
    assert_int_equal(keys_revoke(keys, first.id, &found, &err), PRILORA_OK);
    assert_int_equal(keys_create(keys, &key, text, &err), PRILORA_OK);
    assert_int_equal(keys_find(keys, text, &found), KEY_FOUND);
    assert_int_equal(store_end(*state, PRILORA_ESTOPPED, &err), PRILORA_ESTOPPED);
    keys_close(keys);
}

/* ---- quotas ---- */

#define SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static enum prilora_status adopt(struct store *store, const char *key_id, int64_t bytes,
                                 struct file *file, struct prilora_error *err)
{
    char *path;
    int fd = files_spool(store, &path, err);
    enum prilora_status rc;

    assert_true(fd >= 0);
    rc = files_adopt(store, key_id, path, "a.jsonl", "fine-tune", bytes, SHA, 0, file, err);
    close(fd);
    free(path);
    return rc;
}

static void files_count_until_they_are_deleted(void **state)
{
    struct keys *keys = open_keys(*state);
    char text[KEY_SIZE];
    struct key key = make(keys, &(struct key){.max_bytes = 100}, text);
    struct key other = make(keys, &(struct key){0}, text);
    struct key_usage usage;
    struct file file, more;
    struct prilora_error err;

    assert_int_equal(adopt(*state, key.id, 60, &file, &err), PRILORA_OK);
    assert_int_equal(adopt(*state, key.id, 41, &more, &err), PRILORA_ELIMIT);
    assert_string_equal(err.where, "max_bytes");
    assert_string_equal(err.message, "max_bytes of this key is 100: its files have 60 bytes, and "
                                     "41 more do not fit");
    assert_int_equal(adopt(*state, other.id, 1000, &more, &err), PRILORA_OK);
    file_clear(&more);
    assert_int_equal(adopt(*state, "", 1000, &more, &err), PRILORA_OK);
    file_clear(&more);
    assert_int_equal(adopt(*state, key.id, 40, &more, &err), PRILORA_OK);
    file_clear(&more);
    assert_int_equal(keys_usage(*state, key.id, &usage, &err), PRILORA_OK);
    assert_int_equal(usage.bytes, 100);
    assert_int_equal(keys_check_bytes(*state, key.id, INT64_MAX, &err), PRILORA_ELIMIT);
    assert_int_equal(files_delete(*state, file.id, &err), PRILORA_OK);
    assert_int_equal(keys_check_bytes(*state, key.id, 60, &err), PRILORA_OK);
    assert_int_equal(keys_check_bytes(*state, key.id, 61, &err), PRILORA_ELIMIT);
    file_clear(&file);
    keys_close(keys);
}

static void jobs_count_until_they_are_over(void **state)
{
    struct keys *keys = open_keys(*state);
    char text[KEY_SIZE], first[ID_SIZE];
    struct key key = make(keys, &(struct key){.max_queued_jobs = 2}, text);
    struct key_usage usage;
    struct file file;
    struct prilora_error err;
    struct job job = {.model = (char *)"m", .spec = (char *)"{}"}, cancelled;

    assert_int_equal(adopt(*state, "", 1, &file, &err), PRILORA_OK);
    job.training_file = file.id;
    memcpy(job.key_id, key.id, sizeof job.key_id);
    assert_int_equal(queue_submit(*state, &job, &err), PRILORA_OK);
    memcpy(first, job.id, sizeof first);
    assert_int_equal(queue_submit(*state, &job, &err), PRILORA_OK);
    assert_int_equal(queue_submit(*state, &job, &err), PRILORA_ELIMIT);
    assert_string_equal(err.where, "max_queued_jobs");
    assert_string_equal(err.message,
                        "max_queued_jobs of this key is 2, and 2 of its jobs are not over yet");
    assert_int_equal(queue_cancel(*state, first, &cancelled, &err), PRILORA_OK);
    job_clear(&cancelled);
    assert_int_equal(keys_usage(*state, key.id, &usage, &err), PRILORA_OK);
    assert_int_equal(usage.queued_jobs, 1);
    assert_int_equal(queue_submit(*state, &job, &err), PRILORA_OK);
    assert_int_equal(queue_submit(*state, &job, &err), PRILORA_ELIMIT);
    file_clear(&file);
    keys_close(keys);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, test_store_open, test_store_close)
    const struct CMUnitTest tests[] = {
        TEST(a_key_is_known_by_its_text_alone),
        TEST(only_its_sha256_is_kept),
        TEST(keys_survive_a_restart_and_stay_revoked),
        TEST(a_key_ends_when_it_was_to),
        TEST(the_last_use_is_shown_at_once_and_written_later),
        TEST(lists_go_from_the_newest_and_page),
        TEST(there_is_an_end_to_keys_and_revoking_makes_room),
        TEST(files_count_until_they_are_deleted),
        TEST(jobs_count_until_they_are_over),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
