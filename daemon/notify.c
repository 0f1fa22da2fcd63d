/* notify.c - see notify.h. */
#include "daemon/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "daemon/error.h"

#define MAX_DATAGRAM   1024
#define SEND_TIMEOUT_S 2 /* for a service manager that does not read */

/* Set by notify_open, before there are threads. */
static int fd = -1;
static struct sockaddr_un address;
static socklen_t address_size;
static uint64_t watchdog_usec;

static enum prilora_status open_socket(const char *path, struct prilora_error *err)
{
    const struct timeval patience = {.tv_sec = SEND_TIMEOUT_S};
    size_t n = strlen(path);

    if (n < 2 || n >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return error_set(err, PRILORA_EINVAL,
                         "NOTIFY_SOCKET=%.120s: neither a path nor '@' and a name", path);
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, n);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* Linux's abstract names */
    address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_errno(err, path, "open a socket");
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return PRILORA_OK;
}

static bool read_number(const char *text, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno;
}

/* Another process may be meant: then it is none of our business. */
static enum prilora_status read_watchdog(const char *usec, const char *pid,
                                         struct prilora_error *err)
{
    uint64_t whose;

    if (!usec || (pid && (!read_number(pid, &whose) || whose != (uint64_t)getpid())))
        return PRILORA_OK;
    if (!read_number(usec, &watchdog_usec) || watchdog_usec == 0 || watchdog_usec > INT64_MAX)
        return error_set(err, PRILORA_EINVAL, "WATCHDOG_USEC=%.60s: no number of microseconds",
                         usec);
    return PRILORA_OK;
}

enum prilora_status notify_open(struct prilora_error *err)
{
    const char *path = getenv("NOTIFY_SOCKET");
    enum prilora_status rc = PRILORA_OK;

    if (path && *path) {
        rc = open_socket(path, err);
        if (rc == PRILORA_OK)
            rc = read_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"), err);
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    return rc;
}

bool notify_is_open(void)
{
    return fd >= 0;
}

uint64_t notify_watchdog_usec(void)
{
    return watchdog_usec;
}

void notify_send(const char *format, ...)
{
    char text[MAX_DATAGRAM];
    va_list arguments;

    if (fd < 0)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                  address_size);
}

void notify_reloading(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    notify_send("RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}
