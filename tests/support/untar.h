/* untar.h - a tar in memory, read by the letter of POSIX and nothing of ours. */
#ifndef TEST_UNTAR_H
#define TEST_UNTAR_H

#include <stddef.h>

/* Unpacks it below `folder`, which it makes; fails the test unless it is whole and its last member
 * SHA256SUMS says of all others what they are. How many others there were. */
size_t test_untar(const char *data, size_t size, const char *folder);

#endif
