/* test_pull.c - base models from a hub, with everything that goes wrong on the way. */
#include "daemon/pull.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <jansson.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/path.h"
#include "support/hub.h"
#include "support/scratch.h"

#define WEIGHTS "model.safetensors"

struct fixture {
    struct test_hub *hub;
    char dir[300]; /* the folder of models */
    struct pull_request request;
    struct pull_result result;
    struct prilora_error err;
    atomic_int stop;
    int n_told;
    struct pull_progress told; /* the last one; its pointers are not to be used */
    uint64_t stop_at;          /* raise the flag when so many bytes are there; 0: never */
    int how;                   /* PULL_STOP or PULL_CANCEL */
};

static void on_progress(void *context, const struct pull_progress *progress)
{
    struct fixture *f = context;

    f->n_told++;
    assert_true(progress->bytes >= f->told.bytes || progress->n_files != f->told.n_files);
    f->told = *progress;
    if (f->stop_at && progress->bytes >= f->stop_at)
        atomic_store(&f->stop, f->how);
}

#define SLOW_HOST "slow.invalid"
#define SLOW_S    15

/* In the place of the C library's: a name server that does not answer for long. */
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

    if (node && strcmp(node, SLOW_HOST) == 0) {
        sleep(SLOW_S);
        return EAI_AGAIN;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    return real(node, service, hints, out);
}

static int open_one(void **state)
{
    static int number;
    struct fixture *f = calloc(1, sizeof *f);
    char name[32];

    snprintf(name, sizeof name, "models-%d", number++);
    snprintf(f->dir, sizeof f->dir, "%s", test_scratch_path(name));
    f->hub = test_hub_new();
    test_hub_add_mini(f->hub, TEST_HUB_COMMIT);
    f->request = (struct pull_request){.endpoint = test_hub_endpoint(f->hub),
                                       .model = TEST_HUB_MODEL,
                                       .revision = "main",
                                       .models_dir = f->dir,
                                       .retry_ms = 10,
                                       .stop = &f->stop,
                                       .context = f,
                                       .on_progress = on_progress};
    *state = f;
    return 0;
}

static int close_one(void **state)
{
    struct fixture *f = *state;

    test_hub_free(f->hub);
    free(f);
    return 0;
}

static enum prilora_status pull(struct fixture *f)
{
    atomic_store(&f->stop, PULL_GO);
    f->told = (struct pull_progress){0};
    return pull_model(&f->request, &f->result, &f->err);
}

static const char *path_in(const struct fixture *f, const char *name)
{
    static char buffers[4][600];
    static unsigned next;
    char *path = buffers[next++ % 4];

    snprintf(path, sizeof buffers[0], "%s/" TEST_HUB_MODEL "/%s", f->dir, name);
    return path;
}

static void assert_ok(struct fixture *f, enum prilora_status rc)
{
    if (rc != PRILORA_OK)
        fail_msg("%s: %s", f->result.code, f->err.message);
}

static void assert_fails(struct fixture *f, enum prilora_status status, const char *code)
{
    enum prilora_status rc = pull(f);

    if (rc != status || strcmp(f->result.code, code) != 0)
        fail_msg("status %s, code \"%s\": %s", prilora_status_name(rc), f->result.code,
                 rc ? f->err.message : "");
}

static bool same_files(const char *a, const char *b)
{
    size_t n_a, n_b;
    char *text_a = test_file(a, &n_a), *text_b = test_file(b, &n_b);
    bool same = text_a && text_b && n_a == n_b && memcmp(text_a, text_b, n_a) == 0;

    free(text_a);
    free(text_b);
    return same;
}

static void assert_is_mini(const struct fixture *f)
{
    static const char *const names[] = {"config.json", "spm.model", "tokenizer_config.json",
                                        WEIGHTS};
    char original[120];

    for (size_t i = 0; i < 4; i++) {
        snprintf(original, sizeof original, "examples/prilora-mini-en/%s", names[i]);
        if (!same_files(original, path_in(f, names[i])))
            fail_msg("%s is not the one of the hub", names[i]);
    }
}

/* Entries of a folder whose names begin so. */
static int count_entries(const char *folder, const char *prefix)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int n = 0;

    while (dir && (entry = readdir(dir)))
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
             strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    if (dir)
        closedir(dir);
    return n;
}

static int leftovers(const struct fixture *f)
{
    char owner[400];

    snprintf(owner, sizeof owner, "%s/owner", f->dir);
    return count_entries(owner, ".");
}

static void no_model_is_there(const struct fixture *f)
{
    assert_int_not_equal(access(path_in(f, "config.json"), F_OK), 0);
}

/* ---- the good case ---- */

static void a_model_comes_whole_and_only_what_is_needed(void **state)
{
    struct fixture *f = *state;

    assert_ok(f, pull(f));
    assert_is_mini(f);
    assert_int_equal(count_entries(path_in(f, "."), ""), 5); /* four files and the record */
    assert_int_equal(test_hub_n_transfers(f->hub, "README.md"), 0);
    assert_string_equal(f->result.commit, TEST_HUB_COMMIT);
    assert_false(f->result.was_there);
    assert_int_equal(f->told.n_files, 4);
    assert_int_equal(f->told.bytes, 753 + 4489440 + 374351 + 319);
    assert_int_equal(f->told.total_bytes, f->told.bytes);
    assert_int_equal(leftovers(f), 0);
}

static void a_model_that_is_there_is_not_transferred_again(void **state)
{
    struct fixture *f = *state;

    assert_ok(f, pull(f));
    assert_ok(f, pull(f));
    assert_true(f->result.was_there);
    assert_int_equal(f->told.bytes, f->told.total_bytes);
    assert_int_equal(test_hub_n_transfers(f->hub, WEIGHTS), 1);
    assert_int_equal(test_hub_n_transfers(f->hub, "config.json"), 1);
    f->request.force = true;
    assert_ok(f, pull(f));
    assert_false(f->result.was_there);
    assert_int_equal(test_hub_n_transfers(f->hub, WEIGHTS), 2);
    assert_is_mini(f);
    assert_int_equal(leftovers(f), 0);
}

static void a_model_that_came_by_hand_is_recognised(void **state)
{
    struct fixture *f = *state;

    assert_ok(f, pull(f));
    assert_int_equal(unlink(path_in(f, ".pull.json")), 0);
    assert_ok(f, pull(f));
    assert_true(f->result.was_there);
    assert_int_equal(test_hub_n_transfers(f->hub, WEIGHTS), 1);
}

static void another_commit_brings_only_the_files_that_changed(void **state)
{
    static const char changed[] = "{\"do_lower_case\": false, \"new\": 1}";
    struct fixture *f = *state;
    struct stat before, after;

    assert_ok(f, pull(f));
    assert_int_equal(stat(path_in(f, "config.json"), &before), 0);
    test_hub_add_mini(f->hub, TEST_HUB_LATER);
    test_hub_add(f->hub, TEST_HUB_LATER, "tokenizer_config.json", changed, sizeof changed - 1,
                 false);
    test_hub_move(f->hub, TEST_HUB_LATER, 0);
    assert_ok(f, pull(f));
    assert_string_equal(f->result.commit, TEST_HUB_LATER);
    assert_false(f->result.was_there);
    assert_int_equal(test_hub_n_transfers(f->hub, WEIGHTS), 1);
    assert_int_equal(test_hub_n_transfers(f->hub, "tokenizer_config.json"), 2);
    assert_int_equal(stat(path_in(f, "config.json"), &after), 0);
    assert_true(before.st_ino != after.st_ino); /* whoever has the old one open, sees it */
    assert_int_equal(leftovers(f), 0);
}

static void a_branch_that_moves_meanwhile_does_not_mix_commits(void **state)
{
    struct fixture *f = *state;

    test_hub_add(f->hub, TEST_HUB_LATER, "config.json", "{}", 2, false);
    test_hub_add(f->hub, TEST_HUB_LATER, WEIGHTS, "other", 5, true);
    test_hub_move(f->hub, TEST_HUB_LATER, 1);
    assert_ok(f, pull(f));
    assert_string_equal(f->result.commit, TEST_HUB_COMMIT);
    assert_is_mini(f);
}

/* ---- tokens ---- */

static void a_token_opens_the_hub_and_stays_with_it(void **state)
{
    struct fixture *f = *state;

    test_hub_need_token(f->hub, "hf_secret");
    assert_fails(f, PRILORA_EIO, "unauthorized");
    f->request.token = "hf_other";
    assert_fails(f, PRILORA_EIO, "unauthorized");
    assert_null(strstr(f->err.message, "hf_other"));
    f->request.token = "hf_secret";
    assert_ok(f, pull(f));
    assert_is_mini(f);
    assert_false(test_hub_token_leaked(f->hub)); /* the weights came from the other host */
}

/* ---- breaks ---- */

static void a_broken_transfer_is_gone_on_with(void **state)
{
    struct fixture *f = *state;

    test_hub_trouble(f->hub, WEIGHTS,
                     (struct test_hub_trouble){.break_after = 1000000, .n_breaks = 3});
    assert_ok(f, pull(f));
    assert_is_mini(f);
    assert_int_equal(test_hub_n_transfers(f->hub, WEIGHTS), 4);
    assert_int_equal(test_hub_n_ranges(f->hub, WEIGHTS), 3);
    assert_true(test_hub_n_bytes(f->hub, WEIGHTS) < 4489440 + 3 * 100000);
}

static void a_file_that_changes_under_its_name_is_begun_again(void **state)
{
    struct fixture *f = *state;

    test_hub_trouble(
        f->hub, WEIGHTS,
        (struct test_hub_trouble){.break_after = 1000000, .n_breaks = 1, .changing = 1});
    assert_ok(f, pull(f)); /* its entity tag was another one: If-Range gave the whole */
    assert_is_mini(f);
    assert_int_equal(test_hub_n_ranges(f->hub, WEIGHTS), 0);
    assert_int_equal(test_hub_n_transfers(f->hub, WEIGHTS), 2);
}

static void a_hub_without_ranges_sends_the_whole_again(void **state)
{
    struct fixture *f = *state;

    test_hub_trouble(
        f->hub, WEIGHTS,
        (struct test_hub_trouble){.break_after = 1000000, .n_breaks = 2, .no_ranges = true});
    assert_ok(f, pull(f));
    assert_is_mini(f);
    assert_int_equal(test_hub_n_ranges(f->hub, WEIGHTS), 0);
}

static void a_transfer_that_breaks_at_once_every_time_is_given_up(void **state)
{
    struct fixture *f = *state;

    test_hub_trouble(f->hub, WEIGHTS, (struct test_hub_trouble){.n_breaks = 1000});
    assert_fails(f, PRILORA_EIO, "hub_unreachable");
    no_model_is_there(f);
    assert_int_equal(leftovers(f), 1); /* the small files wait for the next pull */
}

static void what_a_stopped_pull_has_left_is_gone_on_with(void **state)
{
    struct fixture *f = *state;

    test_hub_trouble(f->hub, WEIGHTS, (struct test_hub_trouble){.drip_ms = 1});
    f->stop_at = 1000000;
    f->how = PULL_STOP;
    assert_fails(f, PRILORA_ESTOPPED, "stopped");
    no_model_is_there(f);
    assert_int_equal(leftovers(f), 1);
    f->stop_at = 0;
    test_hub_trouble(f->hub, WEIGHTS, (struct test_hub_trouble){0});
    assert_ok(f, pull(f));
    assert_is_mini(f);
    assert_int_equal(test_hub_n_ranges(f->hub, WEIGHTS), 1);
    assert_int_equal(test_hub_n_transfers(f->hub, "config.json"), 1);
    assert_int_equal(leftovers(f), 0);
}

static void *stop_soon(void *context)
{
    const struct timespec soon = {0, 200000000};
    struct fixture *f = context;

    nanosleep(&soon, NULL);
    atomic_store(&f->stop, PULL_STOP);
    return NULL;
}

/* The daemon's stop waits for its pulls: they must not wait for a name server. */
static void a_stop_does_not_wait_for_a_name_server(void **state)
{
    struct fixture *f = *state;
    struct timespec start, end;
    pthread_t thread;

    f->request.endpoint = "http://" SLOW_HOST;
    clock_gettime(CLOCK_MONOTONIC, &start);
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, f), 0);
    assert_fails(f, PRILORA_ESTOPPED, "stopped");
    clock_gettime(CLOCK_MONOTONIC, &end);
    pthread_join(thread, NULL);
    assert_true(end.tv_sec - start.tv_sec < SLOW_S / 2); /* libcurl looks once a second */
}

static void a_cancelled_pull_leaves_nothing(void **state)
{
    struct fixture *f = *state;

    test_hub_trouble(f->hub, WEIGHTS, (struct test_hub_trouble){.drip_ms = 1});
    f->stop_at = 1000000;
    f->how = PULL_CANCEL;
    assert_fails(f, PRILORA_ESTOPPED, "cancelled");
    assert_int_equal(leftovers(f), 0);
    assert_int_not_equal(access(path_in(f, ".."), F_OK),
                         0); /* the owner's folder was made for it */
}

static void the_rest_of_another_commit_is_swept_away(void **state)
{
    struct fixture *f = *state;

    test_hub_trouble(f->hub, WEIGHTS, (struct test_hub_trouble){.drip_ms = 1});
    f->stop_at = 1000000;
    f->how = PULL_STOP;
    assert_fails(f, PRILORA_ESTOPPED, "stopped");
    f->stop_at = 0;
    test_hub_add_mini(f->hub, TEST_HUB_LATER);
    test_hub_move(f->hub, TEST_HUB_LATER, 0);
    assert_ok(f, pull(f));
    assert_int_equal(leftovers(f), 0);
}

static void a_stalled_transfer_is_broken_off_and_tried_again(void **state)
{
    struct fixture *f = *state;

    f->request.stall_s = 2;
    test_hub_trouble(f->hub, WEIGHTS,
                     (struct test_hub_trouble){.break_after = 1000000, .n_stalls = 1});
    assert_ok(f, pull(f));
    assert_is_mini(f);
    assert_int_equal(test_hub_n_ranges(f->hub, WEIGHTS), 1);
}

static void stopping_ends_a_stalled_transfer_soon(void **state)
{
    struct fixture *f = *state;
    time_t began = time(NULL);

    test_hub_trouble(f->hub, WEIGHTS,
                     (struct test_hub_trouble){.break_after = 1000000, .n_stalls = 1});
    f->stop_at = 900000;
    f->how = PULL_STOP;
    assert_fails(f, PRILORA_ESTOPPED, "stopped");
    assert_true(time(NULL) - began < PULL_STALL_S / 2);
}

static void a_busy_hub_is_asked_again_as_it_says(void **state)
{
    struct fixture *f = *state;
    struct timespec begun, over;

    test_hub_refuse_listings(f->hub, 503, 2);
    test_hub_trouble(f->hub, "config.json",
                     (struct test_hub_trouble){.status = 429, .n_statuses = 1, .retry_after_s = 2});
    clock_gettime(CLOCK_MONOTONIC, &begun);
    assert_ok(f, pull(f));
    clock_gettime(CLOCK_MONOTONIC, &over);
    assert_true(over.tv_sec - begun.tv_sec >= 1); /* not before the two seconds */
    assert_int_equal(test_hub_n_listings(f->hub), 3);
    assert_is_mini(f);
}

static void a_hub_that_stays_busy_is_left_alone(void **state)
{
    struct fixture *f = *state;

    test_hub_refuse_listings(f->hub, 503, 1000);
    assert_fails(f, PRILORA_EIO, "hub_busy");
    assert_int_equal(test_hub_n_listings(f->hub), 7);
}

/* ---- what is not as the hub says ---- */

static void a_corrupt_transfer_is_made_once_more(void **state)
{
    struct fixture *f = *state;

    test_hub_trouble(f->hub, WEIGHTS, (struct test_hub_trouble){.n_corrupt = 1});
    assert_ok(f, pull(f));
    assert_is_mini(f);
    assert_int_equal(test_hub_n_transfers(f->hub, WEIGHTS), 2);
}

static void wrong_bytes_are_refused_large_and_small(void **state)
{
    struct fixture *f = *state;

    test_hub_trouble(f->hub, "config.json", (struct test_hub_trouble){.n_corrupt = 2});
    assert_fails(f, PRILORA_EFORMAT, "digest_mismatch");
    assert_non_null(strstr(f->err.message, "SHA-1"));
    test_hub_trouble(f->hub, WEIGHTS, (struct test_hub_trouble){.n_corrupt = 2});
    assert_fails(f, PRILORA_EFORMAT, "digest_mismatch");
    assert_non_null(strstr(f->err.message, "SHA-256"));
    no_model_is_there(f);
}

static void wrong_sizes_are_refused(void **state)
{
    struct fixture *f = *state;

    test_hub_trouble(f->hub, WEIGHTS, (struct test_hub_trouble){.lie_size = 4489441});
    assert_fails(f, PRILORA_EFORMAT, "size_mismatch");
    test_hub_trouble(f->hub, WEIGHTS, (struct test_hub_trouble){.lie_size = 4489439});
    assert_fails(f, PRILORA_EFORMAT, "size_mismatch");
    no_model_is_there(f);
}

static void a_listing_without_sizes_is_filled_in_by_the_answers(void **state)
{
    struct fixture *f = *state;

    test_hub_trouble(f->hub, WEIGHTS, (struct test_hub_trouble){.unlisted = true, .n_corrupt = 1});
    test_hub_trouble(f->hub, "config.json",
                     (struct test_hub_trouble){.unlisted = true, .n_corrupt = 1});
    assert_ok(f, pull(f));
    assert_is_mini(f); /* although each first transfer was corrupt: the headers tell the digests */
    assert_int_equal(test_hub_n_transfers(f->hub, WEIGHTS), 2);
    assert_int_equal(test_hub_n_transfers(f->hub, "config.json"), 2);
}

/* ---- what is refused early ---- */

static void another_kind_of_model_is_refused_before_its_weights(void **state)
{
    static const char config[] = "{\"model_type\": \"gpt2\", \"n_layer\": 12}";
    struct fixture *f = *state;

    test_hub_add(f->hub, TEST_HUB_COMMIT, "config.json", config, sizeof config - 1, false);
    assert_fails(f, PRILORA_EUNSUPPORTED, "unsupported_model");
    assert_non_null(strstr(f->err.message, "gpt2"));
    assert_null(strstr(f->err.message, f->dir)); /* nobody is told where it would have been */
    assert_int_equal(test_hub_n_transfers(f->hub, WEIGHTS), 0);
    assert_int_equal(leftovers(f), 0);
}

static void weights_that_cannot_be_opened_do_not_take_the_place(void **state)
{
    struct fixture *f = *state;

    test_hub_add(f->hub, TEST_HUB_COMMIT, WEIGHTS, "no weights", 10, true);
    assert_fails(f, PRILORA_EUNSUPPORTED, "unsupported_model");
    no_model_is_there(f);
    assert_int_equal(leftovers(f), 0);
}

static void a_redirect_to_nowhere_is_no_file(void **state)
{
    struct fixture *f = *state;

    test_hub_trouble(f->hub, WEIGHTS, (struct test_hub_trouble){.nowhere = true});
    assert_fails(f, PRILORA_EIO, "hub_error");
    no_model_is_there(f);
    test_hub_trouble(f->hub, WEIGHTS, (struct test_hub_trouble){0});
    assert_ok(f, pull(f));
    assert_is_mini(f);
}

static void what_the_hub_does_not_have_is_said(void **state)
{
    struct fixture *f = *state;

    f->request.revision = "v9";
    assert_fails(f, PRILORA_ENOENT, "not_found");
    assert_non_null(strstr(f->err.message, "as the test wants it")); /* the hub's own words */
    f->request.revision = "main";
    f->request.model = "owner/other";
    assert_fails(f, PRILORA_ENOENT, "not_found");
    assert_int_equal(leftovers(f), 0);
}

static void names_that_lead_elsewhere_are_refused_before_anything_is_asked(void **state)
{
    static const char *const models[] = {"",          "a/b/c",   "../x",      "a/..",  ".hidden/x",
                                         "a/.hidden", "a b/c",   "a//b",      "/a",    "a/",
                                         "a@b/c",     "a/b?x=1", "a/b#c",     "a%2Fb", "a\\b",
                                         "a/b\r\nX",  "a..b/c",  "http://h/x"};
    static const char *const revisions[] = {"",   "..",  "a/../b", "/main",
                                            "-x", "a b", "a?b",    "a%2e"};
    struct fixture *f = *state;
    size_t i;

    for (i = 0; i < sizeof models / sizeof *models; i++) {
        f->request.model = models[i];
        assert_int_equal(pull(f), PRILORA_EINVAL);
        assert_string_equal(f->err.where, "model");
    }
    f->request.model = TEST_HUB_MODEL;
    for (i = 0; i < sizeof revisions / sizeof *revisions; i++) {
        f->request.revision = revisions[i];
        assert_int_equal(pull(f), PRILORA_EINVAL);
        assert_string_equal(f->err.where, "revision");
    }
    f->request.revision = "main";
    f->request.token = "abc\r\nX-Injected: 1";
    assert_int_equal(pull(f), PRILORA_EINVAL);
    assert_string_equal(f->err.where, "token");
    assert_int_equal(test_hub_n_listings(f->hub), 0);
}

static void endpoints_are_addresses_without_users_and_queries(void **state)
{
    (void)state;
    assert_null(pull_check_endpoint("https://huggingface.co"));
    assert_null(pull_check_endpoint("http://127.0.0.1:8080/mirror/"));
    assert_null(pull_check_endpoint("https://[::1]:443"));
    assert_non_null(pull_check_endpoint("huggingface.co"));
    assert_non_null(pull_check_endpoint("file:///etc/passwd"));
    assert_non_null(pull_check_endpoint("https://"));
    assert_non_null(pull_check_endpoint("https://user@host"));
    assert_non_null(pull_check_endpoint("https://host?x"));
}

/* ---- room ---- */

static void a_model_larger_than_allowed_is_refused(void **state)
{
    struct fixture *f = *state;

    f->request.max_bytes = 4000000;
    assert_fails(f, PRILORA_ELIMIT, "too_large");
    assert_int_equal(test_hub_n_transfers(f->hub, WEIGHTS), 0);
}

static void a_model_larger_than_the_disk_is_refused(void **state)
{
    struct fixture *f = *state;

    test_hub_trouble(f->hub, WEIGHTS, (struct test_hub_trouble){.lie_size = (size_t)1 << 49});
    assert_fails(f, PRILORA_ELIMIT, "no_space");
    assert_int_equal(test_hub_n_transfers(f->hub, WEIGHTS), 0);
}

static void a_folder_that_cannot_be_written_is_named(void **state)
{
    struct fixture *f = *state;

    snprintf(f->dir, sizeof f->dir, "%s", test_scratch_write("a file", "x", 1));
    assert_fails(f, PRILORA_EIO, "storage_error");
    assert_non_null(strstr(f->err.message, f->dir));
}

/* ---- what stands in the place ---- */

static void a_folder_that_nobody_pulled_is_replaced_by_force_only(void **state)
{
    struct fixture *f = *state;
    FILE *file;

    assert_int_equal(path_make_folder(path_in(f, "."), &f->err), PRILORA_OK);
    file = fopen(path_in(f, "config.json"), "w");
    fputs("{\"model_type\": \"mine\"}", file);
    fclose(file);
    assert_fails(f, PRILORA_EIO, "model_exists");
    assert_int_equal(count_entries(path_in(f, "."), ""), 1);
    f->request.force = true;
    assert_ok(f, pull(f));
    assert_is_mini(f);
    assert_int_equal(leftovers(f), 0);
}

static void a_folder_with_folders_in_it_is_never_replaced(void **state)
{
    struct fixture *f = *state;
    char inner[700];

    snprintf(inner, sizeof inner, "%s", path_in(f, "inner"));
    assert_int_equal(path_make_folder(inner, &f->err), PRILORA_OK);
    f->request.force = true;
    assert_fails(f, PRILORA_EIO, "model_exists");
    assert_int_equal(access(inner, F_OK), 0);
}

/* A link that an owner has put there is no way to write somewhere else. */
static void a_link_is_replaced_and_never_written_through(void **state)
{
    struct fixture *f = *state;
    char target[600], path[700], folder[600];
    struct stat st;

    snprintf(target, sizeof target, "%s-elsewhere", f->dir);
    assert_int_equal(path_make_folder(target, NULL), PRILORA_OK);
    snprintf(path, sizeof path, "%s/config.json", target);
    assert_int_equal(path_replace(path, "mine", NULL), PRILORA_OK);
    snprintf(folder, sizeof folder, "%s", path_in(f, ""));
    folder[strlen(folder) - 1] = '\0';
    *strrchr(folder, '/') = '\0';
    assert_int_equal(path_make_folder(folder, NULL), PRILORA_OK);
    folder[strlen(folder)] = '/';
    assert_int_equal(symlink(target, folder), 0);
    assert_fails(f, PRILORA_EIO, "model_exists");
    f->request.force = true;
    assert_ok(f, pull(f));
    assert_is_mini(f);
    assert_int_equal(lstat(folder, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 4);
    assert_int_equal(path_folder_bytes(target), 4); /* nothing else has come there */
}

/* Neither as what it was pulled from nor as one of its files. */
static void a_fifo_in_the_models_place_is_not_waited_for(void **state)
{
    static const char *const names[] = {".pull.json", "model.safetensors", "config.json"};
    struct fixture *f = *state;

    assert_ok(f, pull(f));
    alarm(60);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(unlink(path_in(f, names[i])), 0);
        assert_int_equal(mkfifo(path_in(f, names[i]), 0600), 0);
        f->request.force = true;
        assert_ok(f, pull(f));
        assert_is_mini(f);
    }
    alarm(0);
}

static void two_processes_do_not_pull_the_same_at_once(void **state)
{
    struct fixture *f = *state;
    char work[700];
    int fd;

    snprintf(work, sizeof work, "%s/owner/.mini.pull-%.12s", f->dir, TEST_HUB_COMMIT);
    assert_int_equal(path_make_folder(work, &f->err), PRILORA_OK);
    fd = open(work, O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_fails(f, PRILORA_EIO, "pull_in_progress");
    assert_int_equal(access(work, F_OK), 0);
    close(fd);
    assert_ok(f, pull(f));
    assert_int_equal(leftovers(f), 0);
}

static void a_model_can_be_brought_to_any_folder(void **state)
{
    struct fixture *f = *state;
    char folder[400], path[500];

    snprintf(folder, sizeof folder, "%s/here/", f->dir);
    f->request.folder = folder;
    assert_ok(f, pull(f));
    snprintf(path, sizeof path, "%s/here/" WEIGHTS, f->dir);
    assert_true(same_files(path, "examples/prilora-mini-en/" WEIGHTS));
}

/* ---- shards ---- */

/* Every other tensor of the bundled weights, as a file of its own; their names go into `map`. */
static char *make_shard(size_t odd, json_t *map, const char *name, size_t *size)
{
    size_t n, i = 0, used = 0;
    char *all = test_file("examples/prilora-mini-en/" WEIGHTS, &n), *head, *out, *data;
    uint64_t length;
    json_t *from, *to = json_object(), *tensor;
    const char *key;

    memcpy(&length, all, 8);
    from = json_loadb(all + 8, length, 0, NULL);
    assert_non_null(from);
    data = malloc(n);
    json_object_foreach (from, key, tensor) {
        json_t *offsets = json_object_get(tensor, "data_offsets"), *copy;
        size_t begin = (size_t)json_integer_value(json_array_get(offsets, 0));
        size_t end = (size_t)json_integer_value(json_array_get(offsets, 1));

        if (!offsets || i++ % 2 != odd)
            continue;
        memcpy(data + used, all + 8 + length + begin, end - begin);
        copy = json_deep_copy(tensor);
        json_object_set_new(copy, "data_offsets",
                            json_pack("[i, i]", (int)used, (int)(used + end - begin)));
        json_object_set_new(to, key, copy);
        json_object_set_new(map, key, json_string(name));
        used += end - begin;
    }
    head = json_dumps(to, JSON_COMPACT);
    length = strlen(head);
    *size = 8 + length + used;
    out = malloc(*size);
    memcpy(out, &length, 8);
    memcpy(out + 8, head, length);
    memcpy(out + 8 + length, data, used);
    free(data);
    free(head);
    free(all);
    json_decref(from);
    json_decref(to);
    return out;
}

static void the_files_of_every_kind_of_tokenizer_are_brought(void **state)
{
    static const char *const names[] = {"vocab.txt",        "vocab.json",
                                        "merges.txt",       "sentencepiece.bpe.model",
                                        "tokenizer.json",   "special_tokens_map.json",
                                        "added_tokens.json"};
    struct fixture *f = *state;

    /* two letters where the model's own class reads none of them; empty objects where it does */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        test_hub_add(f->hub, TEST_HUB_COMMIT, names[i], "{}", 2, false);
    test_hub_add(f->hub, TEST_HUB_COMMIT, "tf_model.h5", "{}", 2, false);
    assert_ok(f, pull(f));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (access(path_in(f, names[i]), R_OK) != 0)
            fail_msg("%s is missing", names[i]);
    assert_int_not_equal(access(path_in(f, "tf_model.h5"), F_OK), 0);
}

#define SHARD(i) "model-0000" i "-of-00002.safetensors"

static void weights_in_shards_come_with_all_shards(void **state)
{
    static const char *const shards[] = {SHARD("1"), SHARD("2")};
    static const char *const small[] = {"config.json", "spm.model"};
    struct fixture *f = *state;
    json_t *map = json_object(), *index;
    struct prilora_base *base;
    char *text;
    size_t size, i;

    f->request.revision = TEST_HUB_LATER;
    test_hub_move(f->hub, TEST_HUB_LATER, 0);
    for (i = 0; i < 2; i++) {
        char path[120];

        snprintf(path, sizeof path, "examples/prilora-mini-en/%s", small[i]);
        text = test_file(path, &size);
        test_hub_add(f->hub, TEST_HUB_LATER, small[i], text, size, false);
        free(text);
        text = make_shard(i, map, shards[i], &size);
        test_hub_add(f->hub, TEST_HUB_LATER, shards[i], text, size, true);
        free(text);
    }
    test_hub_add(f->hub, TEST_HUB_LATER, "model-stray.safetensors", "x", 1, true);
    index = json_pack("{s:O}", "weight_map", map);
    text = json_dumps(index, 0);
    test_hub_add(f->hub, TEST_HUB_LATER, "model.safetensors.index.json", text, strlen(text), false);
    free(text);
    assert_ok(f, pull(f));
    assert_int_equal(count_entries(path_in(f, "."), "model"), 3);
    assert_int_equal(prilora_base_open(&base, path_in(f, "."), &f->err), PRILORA_OK);
    prilora_base_close(base);
    assert_ok(f, pull(f));
    assert_true(f->result.was_there);
    assert_int_equal(unlink(path_in(f, ".pull.json")), 0);
    assert_ok(f, pull(f));
    assert_true(f->result.was_there);
    assert_int_equal(test_hub_n_transfers(f->hub, shards[0]), 1);
    json_decref(index);
    json_decref(map);
}

static void an_index_that_names_other_paths_is_refused(void **state)
{
    static const char *const names[] = {"../../x.safetensors", ".x.safetensors", "a/b.safetensors",
                                        "config.json", "not-there.safetensors"};
    struct fixture *f = *state;
    size_t size, i;
    char *config = test_file("examples/prilora-mini-en/config.json", &size);

    test_hub_add(f->hub, TEST_HUB_LATER, "config.json", config, size, false);
    test_hub_move(f->hub, TEST_HUB_LATER, 0);
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        char index[120];

        snprintf(index, sizeof index, "{\"weight_map\": {\"a\": \"%s\"}}", names[i]);
        test_hub_add(f->hub, TEST_HUB_LATER, "model.safetensors.index.json", index, strlen(index),
                     false);
        assert_fails(f, PRILORA_EFORMAT, "unsupported_model");
    }
    free(config);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_one, close_one)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_model_comes_whole_and_only_what_is_needed),
        TEST(a_model_that_is_there_is_not_transferred_again),
        TEST(a_model_that_came_by_hand_is_recognised),
        TEST(another_commit_brings_only_the_files_that_changed),
        TEST(a_branch_that_moves_meanwhile_does_not_mix_commits),
        TEST(a_token_opens_the_hub_and_stays_with_it),
        TEST(a_broken_transfer_is_gone_on_with),
        TEST(a_file_that_changes_under_its_name_is_begun_again),
        TEST(a_hub_without_ranges_sends_the_whole_again),
        TEST(a_transfer_that_breaks_at_once_every_time_is_given_up),
        TEST(what_a_stopped_pull_has_left_is_gone_on_with),
        TEST(a_stop_does_not_wait_for_a_name_server),
        TEST(a_cancelled_pull_leaves_nothing),
        TEST(the_rest_of_another_commit_is_swept_away),
        TEST(a_stalled_transfer_is_broken_off_and_tried_again),
        TEST(stopping_ends_a_stalled_transfer_soon),
        TEST(a_busy_hub_is_asked_again_as_it_says),
        TEST(a_hub_that_stays_busy_is_left_alone),
        TEST(a_corrupt_transfer_is_made_once_more),
        TEST(wrong_bytes_are_refused_large_and_small),
        TEST(wrong_sizes_are_refused),
        TEST(a_listing_without_sizes_is_filled_in_by_the_answers),
        TEST(another_kind_of_model_is_refused_before_its_weights),
        TEST(weights_that_cannot_be_opened_do_not_take_the_place),
        TEST(a_redirect_to_nowhere_is_no_file),
        TEST(what_the_hub_does_not_have_is_said),
        TEST(names_that_lead_elsewhere_are_refused_before_anything_is_asked),
        TEST(endpoints_are_addresses_without_users_and_queries),
        TEST(a_model_larger_than_allowed_is_refused),
        TEST(a_model_larger_than_the_disk_is_refused),
        TEST(a_folder_that_cannot_be_written_is_named),
        TEST(a_folder_that_nobody_pulled_is_replaced_by_force_only),
        TEST(a_folder_with_folders_in_it_is_never_replaced),
        TEST(a_link_is_replaced_and_never_written_through),
        TEST(a_fifo_in_the_models_place_is_not_waited_for),
        TEST(two_processes_do_not_pull_the_same_at_once),
        TEST(a_model_can_be_brought_to_any_folder),
        TEST(the_files_of_every_kind_of_tokenizer_are_brought),
        TEST(weights_in_shards_come_with_all_shards),
        TEST(an_index_that_names_other_paths_is_refused),
    };

    unsetenv("http_proxy"); /* the hub is on this machine */
    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
