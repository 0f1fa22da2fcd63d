/*
 * fuzz_header.c - a line each: Host, Origin, a list of names, an address to listen on, and an id of
 * a live stream's message. What is said of them must agree with itself.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/listen.h"
#include "api/origin.h"
#include "api/position.h"
#include "daemon/model_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum line { HOST, ORIGIN, LIST, LISTEN, POSITION, N_LINES };

static void check_position(const char *text)
{
    static const char job[] = "ftjob-000000000000000000000000";
    struct position position;
    char again[POSITION_SIZE];

    if (!position_parse(&position, job, text))
        return;
    assert(position.event >= 0 && position.metrics >= 0 && position.layers >= 0);
    position_format(again, job, &position);
    assert(strcmp(again, text) == 0);
    assert(!position_parse(&position, "ftjob-000000000000000000000001", text));
}

static void check_listen(const char *address)
{
    char host[64], port[6];

    if (listen_parse(address, host, sizeof host, port, NULL) != PRILORA_OK)
        return;
    assert(strlen(host) < strlen(address) && strspn(port, "0123456789") == strlen(port));
    assert(strtol(port, NULL, 10) <= 65535);
}

static void check_all(char *const lines[N_LINES])
{
    bool own = origin_is_own_host(lines[HOST], "prilora.example:8471", "");

    /* whatever is ours without a list is so with one, and no list takes the empty name */
    if (own)
        assert(origin_is_own_host(lines[HOST], "prilora.example:8471", lines[LIST]));
    assert(!origin_is_own_host("", "prilora.example:8471", lines[LIST]));
    if (origin_is_same(lines[ORIGIN], lines[HOST]))
        assert(*lines[HOST] && strstr(lines[ORIGIN], "://"));
    origin_in_list(lines[LIST], lines[ORIGIN], strlen(lines[ORIGIN]));
    if (model_id_is_safe(lines[LIST]))
        assert(*lines[LIST] != '/' && *lines[LIST] != '.' && !strstr(lines[LIST], "/."));
    check_listen(lines[LISTEN]);
    check_position(lines[POSITION]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *lines[N_LINES], *at = text;

    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    for (size_t i = 0; i < N_LINES; i++) {
        char *end = strchr(at, '\n');

        lines[i] = at;
        at = end ? end + 1 : at + strlen(at);
        if (end)
            *end = '\0';
    }
    check_all(lines);
    free(text);
    return 0;
}
