/* test_base.c - lib/base: errors, memory, files, random numbers, the thread team, SHA-256. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/team.h"
#include "support/scratch.h"

/* ---- errors ------------------------------------------------------------------------------- */

static void a_failure_is_status_place_and_sentence(void **state)
{
    struct prilora_error err;

    (void)state;
    assert_int_equal(pl_fail_at(&err, PRILORA_EDATA, "train.tsv:7", "row has %d columns", 3),
                     PRILORA_EDATA);
    assert_int_equal(err.status, PRILORA_EDATA);
    assert_string_equal(err.where, "train.tsv:7");
    assert_string_equal(err.message, "row has 3 columns");
    assert_int_equal(pl_fail(&err, PRILORA_EIO, "gone"), PRILORA_EIO);
    assert_string_equal(err.where, "");
    assert_int_equal(pl_fail(NULL, PRILORA_ELIMIT, "nobody asks"), PRILORA_ELIMIT);
}

static void messages_are_one_line_of_utf8(void **state)
{
    struct prilora_error err;
    char long_text[2000];

    (void)state;
    pl_fail(&err, PRILORA_EFORMAT, "%s", "a\nb\x1b[31m\x7f\xff");
    assert_string_equal(err.message, "a?b?[31m??");
    pl_fail(&err, PRILORA_EFORMAT, "%s", "é € 𝄞 \xed\x9f\xbf");
    assert_string_equal(err.message, "é € 𝄞 \xed\x9f\xbf");
    /* overlong, surrogate, above U+10FFFF, cut off */
    pl_fail(&err, PRILORA_EFORMAT, "%s", "\xc0\x80 \xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x82");
    assert_string_equal(err.message, "?? ??? ???? ??");
    memset(long_text, 'x', sizeof long_text);
    memcpy(long_text + sizeof err.message - 2, "€", sizeof "€");
    pl_fail_at(&err, PRILORA_EFORMAT, long_text, "%s", long_text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_int_equal(err.message[sizeof err.message - 2], '?');
    assert_int_equal(strlen(err.where), sizeof err.where - 1);
}

static void every_status_has_a_word(void **state)
{
    (void)state;
    assert_string_equal(prilora_status_name(PRILORA_OK), "ok");
    assert_string_equal(prilora_status_name(PRILORA_ESTOPPED), "stopped");
    for (int i = 0; i <= PRILORA_ESTOPPED; i++)
        assert_non_null(prilora_status_name((enum prilora_status)i));
    assert_string_equal(prilora_status_name((enum prilora_status)99), "unknown");
}

/* ---- memory ------------------------------------------------------------------------------- */

static void products_that_do_not_fit_are_noticed(void **state)
{
    size_t out;

    (void)state;
    assert_true(pl_mul(&out, SIZE_MAX, 1));
    assert_true(out == SIZE_MAX);
    assert_true(pl_mul(&out, (size_t)1 << 32, ((size_t)1 << 32) - 1));
    assert_false(pl_mul(&out, (size_t)1 << 32, (size_t)1 << 32));
    assert_true(pl_mul(&out, 0, SIZE_MAX));
    assert_int_equal(out, 0);
    assert_null(pl_alloc(SIZE_MAX / 2, 3));
    assert_null(pl_realloc(NULL, SIZE_MAX / 2, 3));
    assert_null(pl_calloc_aligned(SIZE_MAX / 2, 3));
    assert_null(pl_calloc_aligned(SIZE_MAX, 1));
}

static void nothing_can_be_allocated_too(void **state)
{
    void *blocks[] = {pl_alloc(0, 8), pl_calloc(0, 8), pl_realloc(NULL, 0, 8),
                      pl_calloc_aligned(0, 8)};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_non_null(blocks[i]);
        free(blocks[i]);
    }
}

static void aligned_memory_is_zero(void **state)
{
    unsigned char *p = pl_calloc_aligned(1000, 3);

    (void)state;
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 64, 0);
    for (size_t i = 0; i < 3000; i++)
        assert_int_equal(p[i], 0);
    free(p);
}

/* The calls of one step; returns the last block. */
static float *take_some(struct pl_arena *arena)
{
    size_t mark;

    pl_arena_take(arena, 3, sizeof(float));
    mark = arena->used;
    pl_arena_take(arena, 1000, 1);
    arena->used = mark;
    return pl_arena_take(arena, 100, sizeof(float));
}

static void an_arena_holds_what_was_measured(void **state)
{
    struct pl_arena paper = pl_arena_measure(), arena;
    float *block;

    (void)state;
    assert_null(take_some(&paper));
    assert_int_equal(paper.used, 64 + 448); /* 12 and 400 bytes, in whole 64s */
    assert_int_equal(paper.peak, 64 + 1024);
    assert_true(pl_arena_open(&arena, paper.peak));
    block = take_some(&arena);
    assert_non_null(block);
    assert_int_equal((uintptr_t)block % 64, 0);
    assert_int_equal(arena.peak, paper.peak);
    for (size_t i = 0; i < 100; i++)
        block[i] = 1; /* ASan knows the block's end */
    pl_arena_close(&arena);
    assert_null(arena.base);
    assert_false(pl_arena_open(&arena, SIZE_MAX));
}

/* ---- files -------------------------------------------------------------------------------- */

static void a_file_is_read_and_mapped_whole(void **state)
{
    const char *path = test_scratch_write("whole", "a\0b", 3);
    struct prilora_error err = {0};
    struct pl_file_map map;
    char expected[1200], *data;
    size_t size;

    (void)state;
    assert_int_equal(pl_file_map(&map, path, &err), PRILORA_OK);
    assert_int_equal(map.size, 3);
    assert_memory_equal(map.data, "a\0b", 3);
    pl_file_unmap(&map);
    assert_null(map.data);
    assert_int_equal(pl_file_read(&data, &size, path, 3, &err), PRILORA_OK);
    assert_int_equal(size, 3);
    assert_memory_equal(data, "a\0b", 4); /* and a NUL */
    free(data);
    assert_int_equal(pl_file_read(&data, &size, path, 2, &err), PRILORA_ELIMIT);
    assert_null(data);
    snprintf(expected, sizeof expected, "%s: 3 bytes, but at most 2 are read", path);
    assert_string_equal(err.message, expected);
}

static void an_empty_file_maps_to_nothing(void **state)
{
    struct prilora_error err = {0};
    struct pl_file_map map;

    (void)state;
    assert_int_equal(pl_file_map(&map, test_scratch_write("empty", "", 0), &err), PRILORA_OK);
    assert_null(map.data);
    assert_int_equal(map.size, 0);
    pl_file_unmap(&map);
}

static void what_is_no_file_is_refused(void **state)
{
    struct prilora_error err = {0};
    struct pl_file_map map;
    char expected[1200];
    const char *path = test_scratch_path("missing");

    (void)state;
    assert_int_equal(pl_file_map(&map, path, &err), PRILORA_ENOENT);
    snprintf(expected, sizeof expected, "%s: cannot open: No such file or directory", path);
    assert_string_equal(err.message, expected);
    assert_int_equal(pl_file_map(&map, "/dev/null", &err), PRILORA_EFORMAT);
    assert_string_equal(err.message, "/dev/null: not a regular file");
    path = test_scratch_path("pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(pl_file_map(&map, path, &err), PRILORA_EFORMAT); /* and does not wait */
}

static size_t count_files(const char *folder)
{
    DIR *dir = opendir(folder);
    size_t n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

static enum prilora_status write_half(FILE *file, void *context, struct prilora_error *err)
{
    (void)context;
    fputs("half", file);
    return pl_fail(err, PRILORA_ENUMERIC, "no more");
}

static void a_file_is_replaced_whole_or_not_at_all(void **state)
{
    struct prilora_error err = {0};
    char path[1100], folder[1024];
    struct stat st;
    size_t size;
    char *data;

    (void)state;
    snprintf(folder, sizeof folder, "%s", test_scratch_path("replace/deep"));
    assert_int_equal(pl_file_make_folder(folder, &err), PRILORA_OK);
    snprintf(path, sizeof path, "%s/file", folder);
    assert_int_equal(pl_file_replace_bytes(path, "old", 3, &err), PRILORA_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    assert_int_equal(pl_file_replace(path, write_half, NULL, &err), PRILORA_ENUMERIC);
    assert_string_equal(err.message, "no more");
    data = test_file(path, &size);
    assert_string_equal(data, "old");
    free(data);
    assert_int_equal(count_files(folder), 1);
    assert_int_equal(pl_file_replace_bytes(path, "newer", 5, &err), PRILORA_OK);
    data = test_file(path, &size);
    assert_string_equal(data, "newer");
    free(data);
    assert_int_equal(count_files(folder), 1);
}

/* A full disk, played by the limit on file sizes. */
static void a_disk_that_is_full_leaves_the_old_file(void **state)
{
    struct prilora_error err = {0};
    struct rlimit old, small;
    char *big = calloc(1, 1 << 20), *data, path[1024], expected[1200];
    size_t size;

    (void)state;
    snprintf(path, sizeof path, "%s", test_scratch_write("full", "old", 3));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){4096, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(pl_file_replace_bytes(path, big, 1 << 20, &err), PRILORA_EIO);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_DFL);
    snprintf(expected, sizeof expected, "%s: cannot write: File too large", path);
    assert_string_equal(err.message, expected);
    data = test_file(path, &size);
    assert_string_equal(data, "old");
    free(data);
    free(big);
}

static void folders_are_made_with_their_parents(void **state)
{
    struct prilora_error err = {0};
    char path[1100], expected[1200];
    struct stat st;

    (void)state;
    snprintf(path, sizeof path, "%s/", test_scratch_path("a/b/c"));
    assert_int_equal(pl_file_make_folder(path, &err), PRILORA_OK);
    assert_int_equal(pl_file_make_folder(path, &err), PRILORA_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    snprintf(path, sizeof path, "%s", test_scratch_write("plain", "x", 1));
    assert_int_equal(pl_file_make_folder(path, &err), PRILORA_EIO);
    snprintf(expected, sizeof expected, "%s: is there, but not as a folder", path);
    assert_string_equal(err.message, expected);
    assert_int_equal(pl_file_make_folder("", &err), PRILORA_ENOENT);
    assert_int_equal(pl_file_make_folder("/", &err), PRILORA_OK);
}

/* ---- random numbers ----------------------------------------------------------------------- */

/* The three vectors that Random123 publishes for philox4x32-10 (kat_vectors): zeros, ones, pi. */
static void philox_gives_the_published_numbers(void **state)
{
    static const struct {
        struct pl_random r;
        uint64_t block;
        uint32_t expected[4];
    } vectors[] = {
        {{0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{UINT64_MAX, 0xffffffff, 0xffffffff},
         UINT64_MAX,
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x299f31d0a4093822, 0x13198a2e, 0x03707344},
         0x85a308d3243f6a88,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        uint32_t got[4];

        pl_random_block(&vectors[i].r, vectors[i].block, got);
        assert_memory_equal(got, vectors[i].expected, sizeof got);
    }
}

static void elements_are_those_of_the_blocks(void **state)
{
    struct pl_random r = pl_random_at(7, 3, PL_SITE_SHUFFLE, 5);

    (void)state;
    for (uint64_t e = 0; e < 40; e++) {
        uint32_t block[4];
        double u, v;

        pl_random_block(&r, e / 4, block);
        assert_int_equal(pl_random_u32(&r, e), block[e % 4]);
        assert_true(pl_random_uniform(&r, e) == floor(block[e % 4] / 256.0) / 16777216.0);
        u = (pl_random_u32(&r, 2 * e) + 0.5) / 4294967296.0;
        v = pl_random_u32(&r, 2 * e + 1) / 4294967296.0;
        /* the same formula in another order of operations: a few roundings of numbers below 7 */
        assert_true(fabs(pl_random_normal(&r, e) - sqrt(-2 * log(u)) * cos(2 * acos(-1.0) * v)) <
                    1e-12);
    }
}

static void streams_differ_in_every_part_of_their_key(void **state)
{
    struct pl_random streams[] = {
        pl_random_at(1, 1, PL_SITE_SPLIT, 1),
        pl_random_at(2, 1, PL_SITE_SPLIT, 1),
        pl_random_at(1 | 1ull << 40, 1, PL_SITE_SPLIT, 1),
        pl_random_at(1, 2, PL_SITE_SPLIT, 1),
        pl_random_at(1, 1 | 1ull << 32, PL_SITE_SPLIT, 1),
        pl_random_at(1, 1, PL_SITE_SHUFFLE, 1),
        pl_random_at(1, 1, PL_SITE_SPLIT, 2),
    };
    uint32_t blocks[7][4];

    (void)state;
    for (size_t i = 0; i < 7; i++) {
        pl_random_block(&streams[i], 0, blocks[i]);
        for (size_t k = 0; k < i; k++)
            /* equal by chance: 2^-128 */
            assert_true(memcmp(blocks[i], blocks[k], sizeof blocks[i]) != 0);
    }
}

static void normal_numbers_have_mean_0_and_variance_1(void **state)
{
    struct pl_random r = pl_random_at(11, 0, PL_SITE_INIT_A, 0);
    double sum = 0, squares = 0;
    size_t n = 100000;

    (void)state;
    for (size_t i = 0; i < n; i++) {
        double x = pl_random_normal(&r, i);

        sum += x;
        squares += x * x;
    }
    /* five standard deviations of the mean, 1/sqrt(n), and of the variance, sqrt(2/n) */
    assert_true(fabs(sum / (double)n) < 5 / sqrt((double)n));
    assert_true(fabs(squares / (double)n - 1) < 5 * sqrt(2 / (double)n));
}

static void permutations_hold_every_number_once(void **state)
{
    size_t order[1000], again[1000];

    (void)state;
    for (size_t n = 0; n <= 1000; n = n ? n * 10 : 1) {
        struct pl_random r = pl_random_at(5, n, PL_SITE_SHUFFLE, 0);
        bool seen[1000] = {false};

        pl_random_permute(&r, order, n);
        pl_random_permute(&r, again, n);
        for (size_t i = 0; i < n; i++) {
            assert_true(order[i] < n && !seen[order[i]]);
            assert_int_equal(order[i], again[i]);
            seen[order[i]] = true;
        }
    }
}

/* All six orders of three, each within five standard deviations of a sixth of the draws. */
static void all_orders_are_equally_likely(void **state)
{
    size_t counts[27] = {0}, n = 6000, n_orders = 0;

    (void)state;
    for (size_t i = 0; i < n; i++) {
        struct pl_random r = pl_random_at(5, i, PL_SITE_SHUFFLE, 0);
        size_t order[3];

        pl_random_permute(&r, order, 3);
        counts[order[0] * 9 + order[1] * 3 + order[2]]++;
    }
    for (size_t i = 0; i < 27; i++) {
        n_orders += counts[i] > 0;
        assert_true(counts[i] == 0 || fabs((double)counts[i] - 1000) < 5 * sqrt(6000 * 5.0 / 36));
    }
    assert_int_equal(n_orders, 6);
}

/* ---- the team ----------------------------------------------------------------------------- */

struct tally {
    struct pl_team *team;
    atomic_int done[1000];
    size_t order[1000], n_ordered; /* written in turn */
    atomic_bool bad_thread;
};

static void count_task(void *context, size_t task, size_t thread)
{
    struct tally *tally = context;

    if (thread >= pl_team_size(tally->team))
        atomic_store(&tally->bad_thread, true);
    atomic_fetch_add(&tally->done[task], 1);
    pl_turn_wait(tally->team, task);
    tally->order[tally->n_ordered++] = task;
    pl_turn_done(tally->team, task);
}

static void every_task_runs_once_and_turns_are_in_order(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 5};
    static struct tally tally;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct prilora_error err = {0};

        assert_int_equal(pl_team_new(&tally.team, sizes[i], &err), PRILORA_OK);
        assert_int_equal(pl_team_size(tally.team), sizes[i] ? sizes[i] : 1);
        for (size_t n = 0; n <= 1000; n = n ? n * 10 : 1) {
            memset(tally.done, 0, sizeof tally.done);
            tally.n_ordered = 0;
            pl_team_run(tally.team, count_task, &tally, n);
            assert_int_equal(tally.n_ordered, n);
            for (size_t k = 0; k < n; k++) {
                assert_int_equal(tally.done[k], 1);
                assert_int_equal(tally.order[k], k);
            }
        }
        assert_false(tally.bad_thread);
        pl_team_free(tally.team);
    }
    pl_team_free(NULL);
}

/* ---- SHA-256 ------------------------------------------------------------------------------ */

/* The examples of FIPS 180-4 (one block, two blocks, a million), and the empty text. */
static void sha256_gives_the_published_digests(void **state)
{
    static const struct {
        const char *text;
        size_t times;
        const char *digest;
    } examples[] = {
        {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"aaaaaaaaaa", 100000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct pl_digest d;
        char hex[PL_DIGEST_SIZE];

        pl_digest_init(&d);
        for (size_t k = 0; k < examples[i].times; k++)
            pl_digest_add(&d, examples[i].text, strlen(examples[i].text));
        pl_digest_hex(&d, hex);
        assert_string_equal(hex, examples[i].digest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_is_status_place_and_sentence),
        cmocka_unit_test(messages_are_one_line_of_utf8),
        cmocka_unit_test(every_status_has_a_word),
        cmocka_unit_test(products_that_do_not_fit_are_noticed),
        cmocka_unit_test(nothing_can_be_allocated_too),
        cmocka_unit_test(aligned_memory_is_zero),
        cmocka_unit_test(an_arena_holds_what_was_measured),
        cmocka_unit_test(a_file_is_read_and_mapped_whole),
        cmocka_unit_test(an_empty_file_maps_to_nothing),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(a_file_is_replaced_whole_or_not_at_all),
        cmocka_unit_test(a_disk_that_is_full_leaves_the_old_file),
        cmocka_unit_test(folders_are_made_with_their_parents),
        cmocka_unit_test(philox_gives_the_published_numbers),
        cmocka_unit_test(elements_are_those_of_the_blocks),
        cmocka_unit_test(streams_differ_in_every_part_of_their_key),
        cmocka_unit_test(normal_numbers_have_mean_0_and_variance_1),
        cmocka_unit_test(permutations_hold_every_number_once),
        cmocka_unit_test(all_orders_are_equally_likely),
        cmocka_unit_test(every_task_runs_once_and_turns_are_in_order),
        cmocka_unit_test(sha256_gives_the_published_digests),
    };

    return cmocka_run_group_tests_name("base", tests, test_scratch_open, test_scratch_close);
}
