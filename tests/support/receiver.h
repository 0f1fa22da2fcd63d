/* receiver.h - a small HTTP server in the test's own process, which webhooks are sent to. */
#ifndef TEST_RECEIVER_H
#define TEST_RECEIVER_H

#include <stddef.h>

#define TEST_MAX_RECEIVED 16

struct test_received {
    char id[64], timestamp[32], signature[80], type[40], body[512];
};

struct test_receiver;

/* Answers with these statuses in turn, the last one ever after; a 302 leads back to itself. Each
 * answer has `size` bytes. */
struct test_receiver *test_receiver_new(const unsigned *statuses, size_t n, size_t size);
void test_receiver_free(struct test_receiver *receiver);

int test_receiver_port(const struct test_receiver *receiver);
/* Waits until it has got n requests, fails the test after a minute; how many there are then. */
size_t test_receiver_wait(struct test_receiver *receiver, size_t n);
/* The i-th, a copy in one of four buffers used in turn. */
const struct test_received *test_receiver_get(struct test_receiver *receiver, size_t i);

#endif
