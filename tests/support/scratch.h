/* scratch.h - a folder for one test program's files. */
#ifndef TEST_SCRATCH_H
#define TEST_SCRATCH_H

#include <stddef.h>

/* cmocka group fixtures: a fresh folder below $TMPDIR or /tmp, removed with all in it. */
int test_scratch_open(void **state);
int test_scratch_close(void **state);

/* The path of `name` in that folder; one of eight buffers that are reused in turn. */
const char *test_scratch_path(const char *name);

/* Writes a file there and returns its path. */
const char *test_scratch_write(const char *name, const void *data, size_t size);

/* The whole file at `path`, malloc'ed, with a NUL after it. */
char *test_file(const char *path, size_t *size);

#endif
