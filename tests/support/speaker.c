/* speaker.c - see speaker.h. */
#include "support/speaker.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void *speak(void *argument)
{
    struct test_speaker *s = argument;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)s->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t used = 0;
    ssize_t n = 1;

    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        send(fd, s->request, strlen(s->request), MSG_NOSIGNAL) > 0)
        while (used + 1 < sizeof s->answer && n > 0) {
            n = recv(fd, s->answer + used, sizeof s->answer - 1 - used, 0);
            used += n > 0 ? (size_t)n : 0;
        }
    close(fd);
    atomic_store(&s->answered, true);
    return NULL;
}

void test_speak(struct test_speaker *speaker, const struct test_server *server, const char *request)
{
    memset(speaker, 0, sizeof *speaker);
    speaker->port = server->port;
    speaker->request = request;
    assert_int_equal(pthread_create(&speaker->thread, NULL, speak, speaker), 0);
}
