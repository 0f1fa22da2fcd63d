/* damage.c - see damage.h. */
#include "support/damage.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/tensors.h"
#include "support/scratch.h"

/* The only values that tests need in half precision: infinities, NaN, zero. */
static uint16_t half_of(double value)
{
    assert_false(isfinite(value) && value != 0);
    return (uint16_t)(isnan(value) ? 0x7e00 : isinf(value) ? 0x7c00 : 0);
}

static void overwrite(char *file, const struct pl_tensor *tensor, size_t at, double value)
{
    size_t offset = (size_t)((const char *)tensor->data - file);
    uint16_t half;
    float single = (float)value;

    assert_true(at < tensor->n_elements);
    if (tensor->dtype == PL_F32) {
        memcpy(file + offset + at * sizeof single, &single, sizeof single);
        return;
    }
    assert_int_equal(tensor->dtype, PL_F16);
    half = half_of(value);
    memcpy(file + offset + at * sizeof half, &half, sizeof half);
}

static void write_damaged(const char *to, const char *from, const char *name, size_t at,
                          double value)
{
    size_t size;
    char *bytes = test_file(from, &size);
    struct pl_tensors *tensors;
    struct prilora_error err;
    const struct pl_tensor *tensor;
    FILE *out = fopen(to, "wb");

    assert_non_null(out);
    if (pl_tensors_parse_safetensors(&tensors, bytes, size, from, &err) != PRILORA_OK)
        fail_msg("%s", err.message);
    tensor = pl_tensors_find(tensors, name);
    assert_non_null(tensor);
    overwrite(bytes, tensor, at, value);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
    pl_tensors_close(tensors);
    free(bytes);
}

void test_damage(const char *to, const char *from, const char *file, const char *name, size_t at,
                 double value)
{
    char *whole = realpath(from, NULL);
    DIR *dir = whole ? opendir(whole) : NULL;
    struct dirent *entry;

    assert_non_null(dir);
    assert_int_equal(mkdir(to, 0755), 0);
    while ((entry = readdir(dir))) {
        char source[1024], target[1024];

        if (entry->d_name[0] == '.')
            continue;
        snprintf(source, sizeof source, "%s/%s", whole, entry->d_name);
        snprintf(target, sizeof target, "%s/%s", to, entry->d_name);
        if (strcmp(entry->d_name, file) == 0)
            write_damaged(target, source, name, at, value);
        else
            assert_int_equal(symlink(source, target), 0);
    }
    closedir(dir);
    free(whole);
}
