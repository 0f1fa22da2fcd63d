/* Base models: found by id, never outside their folders, opened once however many want them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/models.h"
#include "daemon/path.h"
#include "support/scratch.h"

#define BASE "prilora-mini-en"

static void add_folder(const char *name, bool with_config)
{
    char config[200];

    assert_int_equal(path_make_folder(test_scratch_path(name), NULL), PRILORA_OK);
    snprintf(config, sizeof config, "%s/config.json", name);
    if (with_config)
        test_scratch_write(config, "{}", 2);
}

static struct models *scratch_models(const char *a, const char *b)
{
    struct models *models;
    char dirs[600];

    snprintf(dirs, sizeof dirs, "%s:%s", test_scratch_path(a), test_scratch_path(b));
    assert_int_equal(models_new(&models, dirs, NULL), PRILORA_OK);
    return models;
}

static void models_are_listed_by_id(void **state)
{
    static const char *const ids[] = {"google/bert", "mini", "owner/a", "owner/b"};
    struct models *models;
    struct model_entry *entries;
    size_t n;

    (void)state;
    add_folder("a/mini", true);
    add_folder("a/owner/b", true);
    add_folder("a/owner/a", true);
    add_folder("a/owner/a/deeper", true); /* inside a model: not one of its own */
    add_folder("a/x/y/z", true);          /* too deep */
    add_folder("a/empty", false);
    add_folder("a/.hidden", true);
    add_folder("b/mini", true); /* the first folder's wins */
    add_folder("b/google/bert", true);
    test_scratch_write("a/file", "x", 1);
    models = scratch_models("a", "b");
    assert_int_equal(models_list(models, &entries, &n, NULL), PRILORA_OK);
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(entries[i].id, ids[i]);
    assert_string_equal(entries[1].folder, test_scratch_path("a/mini"));
    assert_string_equal(entries[0].folder, test_scratch_path("b/google/bert"));
    assert_true(entries[0].created > 1700000000);
    models_free_list(entries, n);
    models_free(models);
}

static void an_id_finds_its_model_or_nothing(void **state)
{
    static const char *const wrong[] = {"..",      "../a/mini",      "owner/../mini",
                                        "/mini",   "owner/",         "owner//a",
                                        "",        "./mini",         "owner",
                                        "nobody",  "owner/a/deeper", ".hidden",
                                        "mini/..", "file",           "owner/.."};
    struct models *models = scratch_models("a", "b");
    struct model_entry entry;
    struct prilora_error err;
    char expected[700];

    (void)state;
    assert_int_equal(models_find(models, "owner/a", &entry, &err), PRILORA_OK);
    assert_string_equal(entry.id, "owner/a");
    assert_string_equal(entry.folder, test_scratch_path("a/owner/a"));
    model_entry_clear(&entry);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(models_find(models, wrong[i], &entry, &err), PRILORA_ENOENT);
        snprintf(expected, sizeof expected, "no base model \"%s\" in %s, %s", wrong[i],
                 test_scratch_path("a"), test_scratch_path("b"));
        assert_string_equal(err.message, expected);
        assert_null(entry.id);
    }
    models_free(models);
}

static void a_folder_that_is_not_there_yet_is_looked_at_again(void **state)
{
    struct models *models = scratch_models("late", "later");
    struct model_entry *entries;
    size_t n;

    (void)state;
    assert_int_equal(models_list(models, &entries, &n, NULL), PRILORA_OK);
    assert_int_equal(n, 0);
    add_folder("late/m", true);
    assert_int_equal(models_list(models, &entries, &n, NULL), PRILORA_OK);
    assert_int_equal(n, 1);
    models_free_list(entries, n);
    models_free(models);
}

/* ---- open ones ---- */

static struct models *examples(void)
{
    struct models *models;

    assert_int_equal(models_new(&models, "examples", NULL), PRILORA_OK);
    return models;
}

struct opener {
    struct models *models;
    pthread_t thread;
    struct prilora_base *base;
};

static void *open_one(void *argument)
{
    struct opener *opener = argument;

    models_acquire(opener->models, BASE, &opener->base, NULL);
    return NULL;
}

#define N_OPENERS 4

static void workers_that_open_at_once_share_one_copy(void **state)
{
    struct opener openers[N_OPENERS] = {0};
    struct models *models = examples();

    (void)state;
    for (int i = 0; i < N_OPENERS; i++) {
        openers[i].models = models;
        assert_int_equal(pthread_create(&openers[i].thread, NULL, open_one, &openers[i]), 0);
    }
    for (int i = 0; i < N_OPENERS; i++) {
        pthread_join(openers[i].thread, NULL);
        assert_non_null(openers[i].base);
        assert_ptr_equal(openers[i].base, openers[0].base);
    }
    for (int i = 0; i < N_OPENERS; i++)
        models_release(models, openers[i].base);
    models_free(models);
}

static void a_released_base_stays_open_until_it_is_trimmed(void **state)
{
    struct models *models = examples();
    struct prilora_base *first, *again, *held;
    struct prilora_base_info info;

    (void)state;
    assert_int_equal(models_acquire(models, BASE, &first, NULL), PRILORA_OK);
    models_release(models, first);
    assert_int_equal(models_acquire(models, BASE, &again, NULL), PRILORA_OK);
    assert_ptr_equal(first, again);
    models_trim(models, 0); /* held: stays */
    assert_int_equal(models_acquire(models, BASE, &held, NULL), PRILORA_OK);
    assert_ptr_equal(held, again);
    prilora_base_describe(held, &info);
    assert_string_equal(info.model_type, "deberta-v2");
    models_release(models, again);
    models_release(models, held);
    models_trim(models, 0); /* ASan would tell if it were freed twice, or leaked */
    models_free(models);
}

static void a_model_replaced_on_disk_is_opened_anew(void **state)
{
    static const char *const names[] = {"config.json", "model.safetensors", "spm.model",
                                        "tokenizer_config.json"};
    struct models *models = scratch_models("c", "c");
    struct prilora_base *old, *new;
    struct stat st;
    char *config;

    (void)state;
    add_folder("c/m", false);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char from[100], to[100];
        char *data;
        size_t size;

        snprintf(from, sizeof from, "examples/" BASE "/%s", names[i]);
        snprintf(to, sizeof to, "c/m/%s", names[i]);
        data = test_file(from, &size);
        test_scratch_write(to, data, size);
        free(data);
    }
    assert_int_equal(models_acquire(models, "m", &old, NULL), PRILORA_OK);
    config = test_file(test_scratch_path("c/m/config.json"), &(size_t){0});
    assert_int_equal(path_replace(test_scratch_path("c/m/config.json"), config, NULL), PRILORA_OK);
    free(config);
    assert_int_equal(stat(test_scratch_path("c/m/config.json"), &st), 0);
    assert_int_equal(models_acquire(models, "m", &new, NULL), PRILORA_OK);
    assert_ptr_not_equal(old, new);
    models_release(models, old);
    models_release(models, new);
    models_free(models);
}

static void a_base_that_cannot_be_opened_can_be_tried_again(void **state)
{
    struct models *models = scratch_models("broken", "broken");
    struct prilora_base *base;
    struct prilora_error err;

    (void)state;
    add_folder("broken/m", true); /* "{}" is no configuration */
    for (int i = 0; i < 2; i++) {
        assert_int_not_equal(models_acquire(models, "m", &base, &err), PRILORA_OK);
        assert_null(base);
        assert_non_null(strstr(err.message, "config.json"));
    }
    models_free(models);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_are_listed_by_id),
        cmocka_unit_test(an_id_finds_its_model_or_nothing),
        cmocka_unit_test(a_folder_that_is_not_there_yet_is_looked_at_again),
        cmocka_unit_test(workers_that_open_at_once_share_one_copy),
        cmocka_unit_test(a_released_base_stays_open_until_it_is_trimmed),
        cmocka_unit_test(a_model_replaced_on_disk_is_opened_anew),
        cmocka_unit_test(a_base_that_cannot_be_opened_can_be_tried_again),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
