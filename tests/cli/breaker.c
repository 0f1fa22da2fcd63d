/*
 * breaker.c - a line to the daemon that breaks: forwards connections to a port, and cuts the first
 * few of them after so many bytes of answers. What clients send is copied to stderr.
 *
 *     breaker PORT BYTES BREAKS      prints the port it listens on
 */
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int dial(int port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int serve(int *port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 8) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        exit(1);
    *port = ntohs(address.sin_port);
    return fd;
}

/* Moves what is there, `most` bytes of it at most; 0: that end is closed. */
static size_t move(int from, int to, size_t most, int copy)
{
    char piece[4096];
    ssize_t n = read(from, piece, most < sizeof piece ? most : sizeof piece);

    if (n <= 0 || write(to, piece, (size_t)n) != n)
        return 0;
    if (copy >= 0)
        (void)!write(copy, piece, (size_t)n);
    return (size_t)n;
}

static void forward(int client, int server, size_t bytes)
{
    struct pollfd ends[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};

    while (bytes > 0 && poll(ends, 2, -1) > 0) {
        size_t n;

        if (ends[0].revents && move(client, server, 4096, STDERR_FILENO) == 0)
            return;
        if (ends[1].revents) {
            n = move(server, client, bytes, -1);
            if (n == 0)
                return;
            bytes -= n;
        }
    }
}

int main(int argc, char **argv)
{
    int port, listener = serve(&port);
    size_t bytes = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    long breaks = argc > 3 ? strtol(argv[3], NULL, 10) : 0;

    signal(SIGPIPE, SIG_IGN);
    printf("%d\n", port);
    fflush(stdout);
    for (;;) {
        int client = accept(listener, NULL, NULL);
        int server = dial((int)strtol(argv[1], NULL, 10));

        if (client < 0)
            return 1;
        if (server >= 0)
            forward(client, server, breaks-- > 0 ? bytes : (size_t)1 << 40);
        close(client);
        close(server);
    }
}
