/* load.h - clients that upload, delete, send parts, submit, cancel and predict, in a process of
 * their own, while a test does something else. */
#ifndef TEST_LOAD_H
#define TEST_LOAD_H

#include <sys/types.h>

#include "support/server.h"

pid_t test_load_begin(const struct test_server *server, const char *training_file);
/* Ends it; fails the test if a request went wrong. */
void test_load_end(pid_t pid);

#endif
