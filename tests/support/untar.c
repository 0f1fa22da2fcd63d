/* untar.c - see untar.h. */
#include "support/untar.h"

#include <nettle/sha2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define BLOCK ((size_t)512)

static void make_parents(char *path, size_t n_folder)
{
    for (char *slash = path + n_folder; (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
}

static void write_member(const char *folder, const char *name, const char *data, size_t size)
{
    char path[600];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    make_parents(path, strlen(folder));
    file = fopen(path, "wxb"); /* no name comes twice */
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void add_sum(FILE *sums, const char *name, const char *data, size_t size)
{
    struct sha256_ctx state;
    uint8_t digest[SHA256_DIGEST_SIZE];

    sha256_init(&state);
    sha256_update(&state, size, (const uint8_t *)data);
    sha256_digest(&state, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        fprintf(sums, "%02x", digest[i]);
    fprintf(sums, "  %s\n", name);
}

size_t test_untar(const char *data, size_t size, const char *folder)
{
    char *sums_text = NULL;
    size_t n_sums = 0, at = 0, n = 0;
    FILE *sums = open_memstream(&sums_text, &n_sums);
    int has_sums = 0;

    assert_non_null(sums);
    assert_int_equal(mkdir(folder, 0700), 0);
    while (at + BLOCK <= size && data[at]) {
        const char *name = data + at, *bytes = data + at + BLOCK;
        size_t n_bytes = strtoul(data + at + 124, NULL, 8);

        assert_memory_equal(data + at + 257, "ustar", 5);
        assert_int_equal(data[at + 156], '0');
        assert_true(n_bytes <= size - at - BLOCK);
        assert_false(has_sums);
        if (strcmp(name, "SHA256SUMS") == 0) {
            fflush(sums);
            assert_int_equal(n_bytes, n_sums);
            assert_memory_equal(bytes, sums_text, n_sums);
            has_sums = 1;
        } else {
            add_sum(sums, name, bytes, n_bytes);
            write_member(folder, name, bytes, n_bytes);
            n++;
        }
        at += BLOCK + (n_bytes + BLOCK - 1) / BLOCK * BLOCK;
    }
    assert_true(has_sums);
    assert_int_equal(size, at + 2 * BLOCK);
    fclose(sums);
    free(sums_text);
    return n;
}
