/* test_tar.c - an archive read in pieces of every size is the same archive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/tar.h"
#include "support/scratch.h"

static const char *const names[] = {"a", "empty", "exact"};

static struct tar *open_three(void)
{
    char block[512];
    struct tar *tar;
    struct prilora_error err;

    memset(block, 'x', sizeof block);
    test_scratch_write("a", "hello\n", 6);
    test_scratch_write("empty", "", 0);
    test_scratch_write("exact", block, sizeof block);
    assert_int_equal(tar_open(&tar, test_scratch_path(""), "job", names, 3, 1700000000, &err),
                     PRILORA_OK);
    return tar;
}

static void headers_are_what_posix_says(void **state)
{
    struct tar *tar = open_three();
    char block[512];

    (void)state;
    /* three headers, two files of one block each, two blocks of zeros */
    assert_int_equal(tar_size(tar), (3 + 2 + 2) * 512);
    assert_int_equal(tar_read(tar, 0, block, sizeof block), 512);
    assert_string_equal(block, "job/a");
    assert_string_equal(block + 100, "0000644");
    assert_string_equal(block + 124, "00000000006");
    assert_string_equal(block + 136, "14524770400"); /* printf %o 1700000000 */
    assert_int_equal(block[156], '0');
    assert_memory_equal(block + 257,
                        "ustar\0"
                        "00",
                        8);
    tar_close(tar);
}

/* As GNU tar 1.34 has it for the same member: tar --format=ustar --owner=0 --group=0
 * --numeric-owner --mode=644 --mtime=@1700000000 -c job/a. */
static void the_checksum_is_that_of_gnu_tar(void **state)
{
    struct tar *tar = open_three();
    char block[512];

    (void)state;
    tar_read(tar, 0, block, sizeof block);
    assert_memory_equal(block + 148, "010160\0 ", 8);
    tar_close(tar);
}

static void pieces_of_any_size_make_the_same_archive(void **state)
{
    static const size_t sizes[] = {1, 7, 511, 512, 513, 5000};
    struct tar *tar = open_three();
    size_t n = (size_t)tar_size(tar);
    char *whole = calloc(1, n), *again = calloc(1, n);

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t done = 0;

        while (done < n) {
            ssize_t got = tar_read(tar, done, again + done, sizes[i]);

            assert_true(got > 0 && (size_t)got <= sizes[i] && (size_t)got <= n - done);
            done += (size_t)got;
        }
        assert_int_equal(tar_read(tar, n, again, 1), 0);
        if (i == 0)
            memcpy(whole, again, n);
        assert_memory_equal(whole, again, n);
    }
    assert_memory_equal(whole + 512, "hello\n\0\0", 8);
    free(whole);
    free(again);
    tar_close(tar);
}

static void a_missing_file_is_an_error_that_names_it(void **state)
{
    static const char *const missing[] = {"nothing-here"};
    struct tar *tar;
    struct prilora_error err;

    (void)state;
    assert_int_equal(tar_open(&tar, test_scratch_path(""), "job", missing, 1, 0, &err),
                     PRILORA_ENOENT);
    assert_null(tar);
    assert_non_null(strstr(err.message, "nothing-here"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_what_posix_says),
        cmocka_unit_test(the_checksum_is_that_of_gnu_tar),
        cmocka_unit_test(pieces_of_any_size_make_the_same_archive),
        cmocka_unit_test(a_missing_file_is_an_error_that_names_it),
    };

    return cmocka_run_group_tests(tests, test_scratch_open, test_scratch_close);
}
