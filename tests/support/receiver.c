/* receiver.c - see receiver.h. */
#include "support/receiver.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define WAIT_S 60

struct test_receiver {
    struct MHD_Daemon *daemon;
    unsigned statuses[TEST_MAX_RECEIVED];
    size_t n_statuses, answer_size;
    pthread_mutex_t lock; /* guards the rest */
    struct test_received received[TEST_MAX_RECEIVED];
    size_t n;
};

static void copy_header(struct MHD_Connection *connection, const char *name, char *out, size_t room)
{
    const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);

    snprintf(out, room, "%s", value ? value : "");
}

static void take(struct test_receiver *receiver, struct MHD_Connection *connection,
                 struct test_received *got)
{
    copy_header(connection, "webhook-id", got->id, sizeof got->id);
    copy_header(connection, "webhook-timestamp", got->timestamp, sizeof got->timestamp);
    copy_header(connection, "webhook-signature", got->signature, sizeof got->signature);
    copy_header(connection, "Content-Type", got->type, sizeof got->type);
    pthread_mutex_lock(&receiver->lock);
    if (receiver->n < TEST_MAX_RECEIVED)
        receiver->received[receiver->n++] = *got;
    pthread_mutex_unlock(&receiver->lock);
}

static unsigned next_status(struct test_receiver *receiver)
{
    unsigned status;

    pthread_mutex_lock(&receiver->lock);
    status = receiver->statuses[receiver->n <= receiver->n_statuses ? receiver->n - 1
                                                                    : receiver->n_statuses - 1];
    pthread_mutex_unlock(&receiver->lock);
    return status;
}

static enum MHD_Result answer(struct test_receiver *receiver, struct MHD_Connection *connection)
{
    char *text = calloc(1, receiver->answer_size + 1);
    struct MHD_Response *response;
    enum MHD_Result done;

    if (!text)
        return MHD_NO;
    memset(text, 'x', receiver->answer_size);
    response = MHD_create_response_from_buffer(receiver->answer_size, text, MHD_RESPMEM_MUST_FREE);
    MHD_add_response_header(response, "Location", "/elsewhere");
    done = MHD_queue_response(connection, next_status(receiver), response);
    MHD_destroy_response(response);
    return done;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct test_received *got = *state;
    size_t used;

    (void)url, (void)method, (void)version;
    if (!got) {
        *state = calloc(1, sizeof *got);
        return *state ? MHD_YES : MHD_NO;
    }
    if (*size > 0) {
        used = strlen(got->body);
        snprintf(got->body + used, sizeof got->body - used, "%.*s", (int)*size, data);
        *size = 0;
        return MHD_YES;
    }
    take(context, connection, got);
    return answer(context, connection);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    (void)context, (void)connection, (void)code;
    free(*state);
}

struct test_receiver *test_receiver_new(const unsigned *statuses, size_t n, size_t size)
{
    struct test_receiver *receiver = calloc(1, sizeof *receiver);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    assert_non_null(receiver);
    memcpy(receiver->statuses, statuses, n * sizeof *statuses);
    receiver->n_statuses = n;
    receiver->answer_size = size;
    pthread_mutex_init(&receiver->lock, NULL);
    receiver->daemon =
        MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, on_request,
                         receiver, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED,
                         on_completed, NULL, MHD_OPTION_END);
    assert_non_null(receiver->daemon);
    return receiver;
}

void test_receiver_free(struct test_receiver *receiver)
{
    MHD_stop_daemon(receiver->daemon);
    pthread_mutex_destroy(&receiver->lock);
    free(receiver);
}

int test_receiver_port(const struct test_receiver *receiver)
{
    return MHD_get_daemon_info(receiver->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

size_t test_receiver_wait(struct test_receiver *receiver, size_t n)
{
    const struct timespec tick = {0, 20000000};
    size_t have = 0;

    for (int i = 0; i < WAIT_S * 50; i++) {
        pthread_mutex_lock(&receiver->lock);
        have = receiver->n;
        pthread_mutex_unlock(&receiver->lock);
        if (have >= n)
            return have;
        nanosleep(&tick, NULL);
    }
    fail_msg("%zu requests came, not %zu", have, n);
    return have;
}

const struct test_received *test_receiver_get(struct test_receiver *receiver, size_t i)
{
    static struct test_received buffers[4];
    static unsigned next;
    struct test_received *copy = &buffers[next++ % 4];

    pthread_mutex_lock(&receiver->lock);
    assert_true(i < receiver->n);
    *copy = receiver->received[i];
    pthread_mutex_unlock(&receiver->lock);
    return copy;
}
