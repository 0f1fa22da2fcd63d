/*
 * fuzz_http.c - any bytes to the daemon's port, or, if the first one is 'u', what follows it to its
 * Unix socket, where nobody is asked for a key. All of the interface is there but workers.
 *
 * The connection must come to an end soon after the client's half has, and no answer may be 500.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/api.h"
#include "api/listen.h"
#include "daemon/config.h"
#include "daemon/log.h"
#include "fuzz/folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PATIENCE_MS 20000
#define ROUND       4000 /* inputs; what they have made is thrown away then */

static struct {
    struct config config;
    struct store *store;
    struct models *models;
    struct predictor *predictor;
    struct api *api;
    char state[400], socket[400];
    int port;
} d;

static void check(enum prilora_status rc)
{
    if (rc != PRILORA_OK)
        abort();
}

static void close_all(void)
{
    api_stop(d.api, 5);
    predictor_stop(d.predictor);
    api_free(d.api);
    models_free(d.models);
    store_close(d.store);
    config_free(&d.config);
    nftw(d.state, fuzz_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void open_all(void)
{
    static char state[450], socket[450];
    char *arguments[] = {"fuzz",
                         state,
                         socket,
                         "--storage.models_dirs=examples",
                         "--server.listen=127.0.0.1:0",
                         "--server.max_body_mb=1",
                         "--server.max_upload_mb=1",
                         "--hub.endpoint=http://127.0.0.1:1",
                         "--log.level=error",
                         "--config=/dev/null",
                         NULL};

    snprintf(d.state, sizeof d.state, "%s/state", fuzz_folder());
    snprintf(d.socket, sizeof d.socket, "%s/socket", fuzz_folder());
    snprintf(state, sizeof state, "--state-dir=%s", d.state);
    snprintf(socket, sizeof socket, "--server.socket=%s", d.socket);
    assert(config_load(&d.config, (int)(sizeof arguments / sizeof *arguments) - 1, arguments) ==
           CONFIG_RUN);
    check(store_open(&d.store, d.config.state_dir, NULL));
    check(models_new(&d.models, d.config.models_dirs, NULL));
    check(predictor_start(&d.predictor, &d.config, d.store, d.models, NULL));
    check(api_start(&d.api, &d.config, d.store, d.models, d.predictor, &(struct listen_given){0},
                    NULL));
    d.port = api_port(d.api);
}

static int connect_to(bool local)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in port = {.sin_family = AF_INET, .sin_port = htons((uint16_t)d.port)};
    int fd = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

    snprintf(path.sun_path, sizeof path.sun_path, "%.100s", d.socket);
    port.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    rc = local ? connect(fd, (struct sockaddr *)&path, sizeof path)
               : connect(fd, (struct sockaddr *)&port, sizeof port);
    if (fd >= 0 && rc != 0 && errno == EINTR) { /* libFuzzer's clock */
        close(fd);
        return connect_to(local);
    }
    if (fd < 0 || rc != 0)
        abort();
    return fd;
}

/* Sends all that is taken, then ends our half. */
static void speak(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

        if (n <= 0)
            break;
        data += n;
        size -= (size_t)n;
    }
    shutdown(fd, SHUT_WR);
}

static void listen_to(int fd)
{
    const struct linger at_once = {1, 0}; /* or all ports would soon be in TIME_WAIT */
    struct pollfd poller = {fd, POLLIN, 0};
    char text[4096];
    size_t n_all = 0;
    ssize_t n;

    do {
        int n_ready;

        do /* libFuzzer's clock interrupts it */
            n_ready = poll(&poller, 1, PATIENCE_MS);
        while (n_ready < 0 && errno == EINTR);
        assert(n_ready == 1); /* it hangs */
        n = recv(fd, text, sizeof text, 0);
        if (n_all == 0 && n > 12 && memcmp(text, "HTTP/1.", 7) == 0)
            assert(memcmp(text + 9, "500", 3) != 0);
        n_all += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned n;
    bool local = size > 0 && data[0] == 'u';
    int fd;

    if (n == 0) {
        prilora_init();
        curl_global_init(CURL_GLOBAL_DEFAULT);
        log_configure(LOG_LEVEL_ERROR, false);
        fuzz_folder();
        open_all();
        atexit(close_all);
    } else if (n % ROUND == 0) {
        close_all();
        open_all();
    }
    n++;
    fd = connect_to(local);
    speak(fd, data + local, size - local);
    listen_to(fd);
    return 0;
}
