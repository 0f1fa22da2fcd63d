/* changed.c - see changed.h. */
#include "support/changed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "support/scratch.h"

const char *changed_folder(const char *name, const char *file, const char *as, const void *more,
                           size_t size)
{
    size_t n = 0;
    char *data = file ? test_file(file, &n) : calloc(1, 1), *all = malloc(n + size);
    char path[100];

    assert_true(data && all);
    memcpy(all, data, n);
    memcpy(all + n, more, size);
    assert_int_equal(mkdir(test_scratch_path(name), 0700), 0);
    snprintf(path, sizeof path, "%s/%s", name, as);
    test_scratch_write(path, all, n + size);
    free(data);
    free(all);
    return test_scratch_path(name);
}
