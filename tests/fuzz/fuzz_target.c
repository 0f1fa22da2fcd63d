/*
 * fuzz_target.c - request targets and headers: "METHOD target", a newline, and a header's value
 * that is read as Range and as If-None-Match.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/content.h"
#include "api/query.h"
#include "api/range.h"
#include "api/routes.h"
#include "api/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const char *method, const char *path)
{
    const struct route *route;
    char *captures[ROUTE_MAX_CAPTURES], methods[64];
    enum route_found found = route_find(method, path, &route, captures);

    assert((found == ROUTE_FOUND) == (route != NULL));
    route_methods(path, methods, sizeof methods);
    assert((found == ROUTE_NO_PATH) == (methods[0] == '\0'));
    for (size_t i = 0; i < ROUTE_MAX_CAPTURES; i++) {
        char *disposition;

        if (!captures[i])
            continue;
        assert(captures[i][0] && utf8_valid(captures[i], strlen(captures[i])));
        disposition = content_disposition(captures[i]);
        for (const char *c = disposition; c && *c; c++)
            assert(*c >= ' ' && *c < 127);
        free(disposition);
        free(captures[i]);
    }
}

static void check_query(const char *text)
{
    struct query query;
    struct fault fault = {0};

    if (query_parse(&query, text, &fault)) {
        for (size_t i = 0; i < query.n; i++)
            assert(query_get(&query, query.list[i].name) == query.list[i].value);
    } else {
        assert(fault.status == 400 && utf8_valid(fault.message, strlen(fault.message)));
    }
    query_clear(&query);
}

static void check_header(const char *value)
{
    static const uint64_t sizes[] = {0, 1, 10, UINT64_MAX};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct range range;

        if (range_parse(&range, value, sizes[i]) == RANGE_PART)
            assert(range.size > 0 && range.size <= sizes[i] &&
                   range.first <= sizes[i] - range.size);
    }
    etag_listed(value, "\"x\"");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *target, *header;
    size_t n;

    if (!text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    header = strchr(text, '\n');
    if (header)
        *header++ = '\0';
    check_header(header ? header : "");
    target = strchr(text, ' ');
    if (target) {
        *target++ = '\0';
        n = strcspn(target, "?");
        check_query(target[n] ? target + n + 1 : "");
        target[n] = '\0';
        check_path(text, target);
    }
    free(text);
    return 0;
}
