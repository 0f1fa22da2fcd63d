/*
 * speaker.h - requests on threads of their own. libcurl's handle of the support is one for all:
 * these speak HTTP by themselves, and want the server to close.
 */
#ifndef TEST_SPEAKER_H
#define TEST_SPEAKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "support/server.h"

struct test_speaker {
    pthread_t thread;
    int port;
    const char *request; /* with "Connection: close" */
    char answer[2000];   /* cut to the room; with a NUL after it */
    atomic_bool answered;
};

/* Joined by the caller (speaker->thread). */
void test_speak(struct test_speaker *speaker, const struct test_server *server,
                const char *request);

#endif
